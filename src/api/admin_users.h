/*
 * admin_users.h: what accounts have in common with what a person may change of his own.
 */
#ifndef WEIR_ADMIN_USERS_H
#define WEIR_ADMIN_USERS_H

#include "admin_json.h"
#include "registry.h"
#include "session.h"

/* "admin", "developer", "user". */
const char *admin_users_permission(enum store_permission permission);

/* {"username":…} without anything secret. */
void admin_users_write(struct buf *out, const struct store_user *user);

/* The same in the call's memory. */
struct span admin_users_document(struct admin_call *call, const struct store_user *user);

/* A user that the store shows, in the call's memory; his version is the answer's. */
int admin_users_keep(struct admin_call *call, const struct store_user *found,
    struct store_user *ret_user);

/* Sets contacts (merged), language and tz of what the body says. */
int admin_users_contacts(struct admin_call *call, const struct admin_object *body,
    struct store_user *user);

/* A new password. */
int admin_users_password(struct admin_call *call, const struct admin_member *member,
    struct span *ret_password);

/* Ends all tokens of a user, or (name ptr NULL) the caller's own: answers 204. The route's gone is
 * admin_call_gone. */
void admin_users_revoke(struct session_request *request, struct span name);

#endif
