/*
 * access_secrets_priv.h: signing secrets, for who signs and checks with them.
 */
#ifndef WEIR_ACCESS_SECRETS_PRIV_H
#define WEIR_ACCESS_SECRETS_PRIV_H

#include "access_priv.h"
#include "registry.h"

struct access_secret {
	refcount refs;
	uint64_t id, version;
	enum store_secret_kind kind;
	int64_t created_ms, expires_ms;
	uint8_t tenant_len;
	char tenant[STORE_NAME_BYTES_MAX];
	char *text; /* sodium_malloc, read-only */
	size_t text_len;
};

/* The secret, unless its time is over; NULL. */
const struct access_secret *access_secret_find(const struct access *access, uint64_t id,
    int64_t now_ms);

/* The one of this kind that was made last and is valid; NULL when none is. */
const struct access_secret *access_secret_youngest(const struct access *access,
    enum store_secret_kind kind, int64_t now_ms);

void access_secrets_finish(struct access *access);

#endif
