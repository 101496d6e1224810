/*
 * access_registry_priv.h: what the index of the registry and that of tokens share.
 */
#ifndef WEIR_ACCESS_REGISTRY_PRIV_H
#define WEIR_ACCESS_REGISTRY_PRIV_H

#include "access_priv.h"
#include "registry.h"

struct access_user {
	uint64_t id, version, generation;
	enum store_permission permission;
	bool node;
	uint8_t name_len, tenant_len;
	char name[STORE_NAME_BYTES_MAX], tenant[STORE_NAME_BYTES_MAX];
	struct map devices; /* of struct access_device: those he was given */
};

/* NULL when there is none. */
struct access_user *access_user_find(const struct access *access, uint64_t id);

/* The slot of what this tenant calls so. */
uint64_t access_slot(const struct access *access, struct span tenant, struct span id);

/* ── access_jwt.c: principals made from tokens that were right, kept so that what becomes of the
 * one behind them reaches them ── */

/* The principal of a device whose token is right. NULL: memory is out. A reference. */
struct access_principal *access_tokens_device(struct access *access, struct span tenant,
    struct span id);
void access_tokens_revoke_device(struct access *access, struct span tenant, struct span id);

/* All of a person (by id) or of a signing secret (ACCESS_SUBSCRIBER, by id; those of persons that
 * it signed, too). */
void access_tokens_revoke(struct access *access, enum access_kind kind, uint64_t id);

/* What the secret signed ends no later than this. */
void access_tokens_cap(struct access *access, uint64_t secret_id, int64_t expires_ms);
void access_tokens_init(struct access *access);
void access_tokens_finish(struct access *access);

#endif
