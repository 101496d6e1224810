/*
 * addresses.h: IP addresses as text, and lists of them and of networks, as settings give them:
 * "127.0.0.1 10.0.0.0/8 fd00::/8", separated by blanks.
 *
 * IPv4 within IPv6 (::ffff:127.0.0.1) is IPv4. Pure functions.
 */
#ifndef WEIR_ADDRESSES_H
#define WEIR_ADDRESSES_H

#include <stdbool.h>

#include "span.h"

#define ADDRESSES_TEXT_BYTES 46 /* of one, with its NUL */

/* Whether every word of the list is an address or a network. */
bool addresses_list_valid(struct span list);

/* Whether the list has the address, or a network with it. What is no address is in no list. */
bool addresses_listed(struct span list, struct span address);

/* The address in its one usual form. false: it is none. */
bool addresses_normal(struct span address, char ret_text[ADDRESSES_TEXT_BYTES]);

#endif
