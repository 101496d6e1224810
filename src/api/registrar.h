/*
 * registrar.h: devices that an application writes for the first time become devices of the
 * registry: active, without a token, bound to no gateway.
 *
 * Ids are noted while bodies are judged and go to the store in units, those of one turn together;
 * then every loop hears of them. An id that is under way is not noted again. What is lost in a
 * crash, or when the store fails, is noted with the device's next reading.
 */
#ifndef WEIR_REGISTRAR_H
#define WEIR_REGISTRAR_H

#include "api.h"
#include "list.h"

struct registrar;

/* One for a loop. 0 or -ENOMEM. */
int registrar_create(struct api_loop *al, struct registrar **ret_registrar);

/* When nothing of it is with the store or in the mail any more. NULL ok. */
void registrar_destroy(struct registrar *registrar);

/* The id is one (store_device_id_valid) that this loop does not know. `from`: the address, for the
 * audit. 0 or -ENOMEM. */
int registrar_note(struct registrar *registrar, const struct access_principal *principal,
    const char *from, struct span id);

/* Whether so much is under way that who writes must wait. */
bool registrar_full(const struct registrar *registrar);

struct registrar_wait {
	struct list link;           /* list_init() first; list_remove() guarantees silence */
	void (*done)(struct registrar_wait *wait);
};

/* Calls done() once, on the loop, when what was noted so far is known to every loop, or could not
 * be stored. false: that is so already. A wait that is set moves. */
bool registrar_await(struct registrar *registrar, struct registrar_wait *wait);

#endif
