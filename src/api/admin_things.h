/*
 * admin_things.h: what devices and gateways share: tokens, and free configurations.
 */
#ifndef WEIR_ADMIN_THINGS_H
#define WEIR_ADMIN_THINGS_H

#include "admin_json.h"

#define ADMIN_TOKEN_BYTES_MAX 128   /* of one that is brought along */
#define ADMIN_CONFIG_VALUE_BYTES_MAX 1024

/* A new token, in the call's memory. */
struct span admin_things_token(struct admin_call *call);

/* The hash that the registry keeps of the token of the thing of this kind (ACCESS_TOKEN_DEVICE …)
 * and id. */
struct span admin_things_hash(struct admin_call *call, const char *kind, struct span id,
    struct span token);

/* The body {"auth": …} of a login. */
int admin_things_auth(struct admin_call *call, struct span body, struct span *ret_token);

/* Counts a try to log in on the store's thread (logins.h): 0, or refused with 429. */
int admin_things_try(struct admin_call *call, struct span account);
void admin_things_right(struct admin_call *call, struct span account);

/* 0: the token is the one of the hash; otherwise refused with 401. An empty hash is nobody's. */
int admin_things_login(struct admin_call *call, const char *kind, struct span id,
    struct span token, struct span hash);

/* Merges `changes` into a stored configuration: a string or number is set (and kept as a string),
 * null deletes. own() is asked first and returns 1 for a member that it takes for itself, 0, or a
 * negative errno. The result lies in the call's memory; empty: there is nothing in it. */
int admin_things_merge(struct admin_call *call, struct span config,
    const struct admin_object *changes,
    int (*own)(struct admin_call *call, const struct admin_member *member),
    struct span *ret_config);

#endif
