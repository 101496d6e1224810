/*
 * registry_priv.h: what the files of the registry share.
 */
#ifndef WEIR_REGISTRY_PRIV_H
#define WEIR_REGISTRY_PRIV_H

#include "registry.h"
#include "store_priv.h"

/* Whether each is at most STORE_TEXT_BYTES_MAX long. */
bool registry_texts_fit(const struct span *texts, size_t count);

/* The least text above all that begin with `prefix`, bytewise. false: the prefix is longer than any
 * text may be. */
bool registry_prefix_end(struct span prefix, char ret_end[STORE_TEXT_BYTES_MAX + 1],
    size_t *ret_len);

/* "3,17" as group_concat makes it; how many. */
size_t registry_users_parse(struct span text, uint64_t ret_users[STORE_USERS_MAX]);

/* Raises the version and prepares the statement of the change. */
int registry_begin(struct store_tx *tx, enum store_statement which,
    sqlite3_stmt **ret_statement, uint64_t *ret_version);

/* Runs a statement that must change something, else -ENOENT. */
int registry_change_one(struct store_tx *tx, sqlite3_stmt *statement);

/* The same for the only statement of a change that has this version. */
int registry_end(struct store_tx *tx, sqlite3_stmt *statement, uint64_t version,
    uint64_t *ret_version);

/* The number that a statement about a tenant answers; -ENOENT. */
int registry_tenant_number(struct store_tx *tx, enum store_statement which, struct span tenant,
    uint64_t *ret_value);

/* -ENOENT: the tenant has no user of this id. */
int registry_user_check(struct store_tx *tx, struct span tenant, uint64_t user);

#endif
