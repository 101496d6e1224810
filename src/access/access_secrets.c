/*
 * access_secrets.c: secrets that sign JWTs: sealed for the store, opened, found.
 *
 * A seal is XChaCha20-Poly1305 (libsodium) under a key derived from the node's secret:
 *
 *     24 bytes nonce, random │ the text, encrypted │ 16 bytes tag
 *
 * with kind, id and tenant as associated data, so that a seal opens in its own row only.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "access_registry.h"
#include "access_registry_priv.h"
#include "access_secrets_priv.h"
#include "check.h"
#include "hash.h"

#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES

_Static_assert(ACCESS_SEALED_BYTES_MAX == NONCE_BYTES + ACCESS_SECRET_TEXT_BYTES_MAX + TAG_BYTES,
    "as the header says");

struct binding {
	uint64_t kind, id;
	char tenant[STORE_NAME_BYTES_MAX];
};

static struct binding
binding_of(const struct store_secret *secret)
{
	struct binding binding = {.kind = (uint64_t)secret->kind, .id = secret->id};

	check(secret->tenant.len <= sizeof(binding.tenant));
	memcpy(binding.tenant, secret->tenant.ptr, secret->tenant.len);
	return binding;
}

static void
seal_key(const unsigned char node_secret[32], unsigned char ret_key[ACCESS_HASH_BYTES])
{
	access_key_hash(node_secret, SPAN("weir: seal of secrets"), ret_key);
}

size_t
access_seal(struct env *env, const unsigned char node_secret[32],
    const struct store_secret *secret, struct span text,
    unsigned char ret_sealed[ACCESS_SEALED_BYTES_MAX])
{
	struct binding binding = binding_of(secret);
	unsigned char key[ACCESS_HASH_BYTES];
	unsigned long long len;

	check(text.len <= ACCESS_SECRET_TEXT_BYTES_MAX);
	seal_key(node_secret, key);
	env_random(env, ret_sealed, NONCE_BYTES);
	crypto_aead_xchacha20poly1305_ietf_encrypt(ret_sealed + NONCE_BYTES, &len,
	    (const unsigned char *)text.ptr, text.len, (const unsigned char *)&binding,
	    sizeof(binding), NULL, ret_sealed, key);
	sodium_memzero(key, sizeof(key));
	return NONCE_BYTES + (size_t)len;
}

/* Into secret->text, which has room. */
static int
unseal(const unsigned char node_secret[32], const struct store_secret *row,
    struct access_secret *secret)
{
	const unsigned char *sealed = (const unsigned char *)row->sealed.ptr;
	struct binding binding = binding_of(row);
	unsigned char key[ACCESS_HASH_BYTES];
	unsigned long long len = 0;
	int result;

	seal_key(node_secret, key);
	result = crypto_aead_xchacha20poly1305_ietf_decrypt((unsigned char *)secret->text, &len,
	    NULL, sealed + NONCE_BYTES, row->sealed.len - NONCE_BYTES,
	    (const unsigned char *)&binding, sizeof(binding), sealed, key);
	sodium_memzero(key, sizeof(key));
	secret->text_len = (size_t)len;
	return result ? -EBADMSG : 0;
}

int
access_secret_create(const unsigned char node_secret[32], const struct store_secret *row,
    struct access_secret **ret_secret)
{
	struct access_secret *secret = NULL;
	int error = -EBADMSG;

	if (row->sealed.len <= NONCE_BYTES + TAG_BYTES ||
	    row->sealed.len > ACCESS_SEALED_BYTES_MAX || row->tenant.len > STORE_NAME_BYTES_MAX)
		goto fail;
	error = -ENOMEM;
	secret = calloc(1, sizeof(*secret));
	if (secret == NULL || sodium_init() < 0)
		goto fail;
	refcount_init(&secret->refs);
	secret->text = sodium_malloc(row->sealed.len);
	if (secret->text == NULL)
		goto fail;
	error = unseal(node_secret, row, secret);
	if (error)
		goto fail;
	sodium_mprotect_readonly(secret->text);
	secret->id = row->id;
	secret->version = row->version;
	secret->kind = row->kind;
	secret->created_ms = row->created_ms;
	secret->expires_ms = row->expires_ms;
	secret->tenant_len = (uint8_t)row->tenant.len;
	memcpy(secret->tenant, row->tenant.ptr, row->tenant.len);
	*ret_secret = secret;
	return 0;

fail:
	if (secret)
		sodium_free(secret->text);
	free(secret);
	return error;
}

void
access_secret_unref(struct access_secret *secret)
{
	if (secret == NULL || !refcount_down(&secret->refs))
		return;
	sodium_free(secret->text);
	free(secret);
}

/* ── the index ── */

static uint64_t
secret_slot(const struct access *access, uint64_t id)
{
	return hash64(span_of((const char *)&id, sizeof(id)), access->seed);
}

static bool
secret_is(const void *value, const void *key)
{
	return ((const struct access_secret *)value)->id == *(const uint64_t *)key;
}

/* Takes it out of the index. */
static void
unlink_secret(struct access *access, struct access_secret *secret)
{
	check(map_remove(&access->secrets, secret_slot(access, secret->id), secret));
	access_secret_unref(secret);
}

int
access_secret_put(struct access *access, struct access_secret *secret)
{
	struct access_secret *old = map_get(&access->secrets, secret_slot(access, secret->id),
	    secret_is, &secret->id);
	int error;

	if (old && old->version > secret->version)
		return 0;
	if (old)
		unlink_secret(access, old);
	if (secret->expires_ms)
		access_tokens_cap(access, secret->id, secret->expires_ms);
	error = map_add(&access->secrets, secret_slot(access, secret->id), secret);
	if (error == 0)
		refcount_up(&secret->refs);
	return error;
}

void
access_secret_remove(struct access *access, uint64_t id)
{
	struct access_secret *secret = map_get(&access->secrets, secret_slot(access, id),
	    secret_is, &id);

	if (secret == NULL)
		return;
	access_tokens_revoke(access, ACCESS_SUBSCRIBER, id);
	unlink_secret(access, secret);
}

static bool
is_valid(const struct access_secret *secret, int64_t now_ms)
{
	return secret->expires_ms == 0 || now_ms < secret->expires_ms;
}

const struct access_secret *
access_secret_find(const struct access *access, uint64_t id, int64_t now_ms)
{
	const struct access_secret *secret = map_get(&access->secrets, secret_slot(access, id),
	    secret_is, &id);

	return secret && is_valid(secret, now_ms) ? secret : NULL;
}

const struct access_secret *
access_secret_youngest(const struct access *access, enum store_secret_kind kind, int64_t now_ms)
{
	const struct access_secret *secret, *youngest = NULL;
	size_t pos = 0;

	while ((secret = map_next(&access->secrets, &pos))) {
		if (secret->kind == kind && is_valid(secret, now_ms) &&
		    (youngest == NULL || secret->id > youngest->id))
			youngest = secret;
	}
	return youngest;
}

void
access_secrets_finish(struct access *access)
{
	struct access_secret *secret;
	size_t pos = 0;

	while ((secret = map_next(&access->secrets, &pos)))
		access_secret_unref(secret);
	map_finish(&access->secrets);
}
