/*
 * access_priv.h: what the files of this room share.
 */
#ifndef WEIR_ACCESS_PRIV_H
#define WEIR_ACCESS_PRIV_H

#include <stdbool.h>

#include "span.h"

#define ACCESS_PATTERN_BYTES_MAX 255

/* Whether this is a channel name or a pattern: UTF-8, 1..255 bytes, no empty level, '+' only as a
 * whole level, '#' only as the whole last one. */
bool access_pattern_valid(struct span pattern);

/* Whether every name that `inner` matches is matched by `outer` too. Exact, for valid patterns, by
 * MQTT's rules (5.0, 4.7.1): '+' is one level, '#' any number of them, also none. */
bool access_pattern_contains(struct span outer, struct span inner);

#endif
