/*
 * access_testing.h: an index with inhabitants for tests: devices, gateways, persons, secrets.
 */
#ifndef WEIR_ACCESS_TESTING_H
#define WEIR_ACCESS_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access_registry.h"
#include "check.h"
#include "registry.h"
#include "sim.h"

#define MAIN SPAN("main")
#define NOW_MS INT64_C(1700000000000)

static const unsigned char node_secret[32] = "thirty-two bytes of node secret";

static inline struct access *
access_must_create(void)
{
	struct access *access = NULL;

	assert_int_equal(access_create(node_secret, &access), 0);
	return access;
}

/* Puts a device with this token (ptr NULL: none); the version is the last argument. */
static inline int
put_device(struct access *access, const struct store_device *device, const char *token,
    uint64_t version)
{
	unsigned char hash[ACCESS_HASH_BYTES];
	struct store_device row = *device;
	struct access_device *made = NULL;
	int error;

	row.version = version;
	if (token) {
		access_token_hash(node_secret, ACCESS_TOKEN_DEVICE, row.tenant, row.id,
		    span_str(token), hash);
		row.hash = span_of((const char *)hash, sizeof(hash));
	}
	assert_int_equal(access_device_create(&row, &made), 0);
	error = access_device_put(access, made);
	access_device_unref(made);
	return error;
}

static inline int
put_gateway(struct access *access, const struct store_gateway *gateway, const char *token)
{
	unsigned char hash[ACCESS_HASH_BYTES];
	struct store_gateway row = *gateway;
	char id[24];

	snprintf(id, sizeof(id), "%llu", (unsigned long long)row.id);
	access_token_hash(node_secret, ACCESS_TOKEN_GATEWAY, row.tenant, span_str(id),
	    span_str(token), hash);
	row.hash = span_of((const char *)hash, sizeof(hash));
	return access_gateway_put(access, &row);
}

static inline void
put_user(struct access *access, uint64_t id, struct span tenant, struct span name,
    enum store_permission permission, bool node)
{
	struct store_user user = {.id = id, .tenant = tenant, .name = name,
	    .permission = permission, .node = node, .generation = 1, .version = id};

	assert_int_equal(access_user_put(access, &user), 0);
}

static inline int
put_secret(struct access *access, uint64_t id, enum store_secret_kind kind, struct span tenant,
    const char *text, int64_t expires_ms, uint64_t version)
{
	struct env *env = sim_create(id);
	unsigned char sealed[ACCESS_SEALED_BYTES_MAX];
	struct store_secret row = {.id = id, .kind = kind, .tenant = tenant, .name = SPAN("s"),
	    .expires_ms = expires_ms, .version = version};
	struct access_secret *secret = NULL;
	int error;

	check(env);
	row.sealed = span_of((const char *)sealed, access_seal(env, node_secret, &row,
	    span_str(text), sealed));
	env_destroy(env);
	assert_int_equal(access_secret_create(node_secret, &row, &secret), 0);
	error = access_secret_put(access, secret);
	access_secret_unref(secret);
	return error;
}

/* ── tokens as anybody could make them ── */

static inline void
append_base64(char *text, size_t size, const void *bytes, size_t len)
{
	size_t at = strlen(text);

	check(sodium_bin2base64(text + at, size - at, bytes, len,
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING));
}

/* Header and claims as they are, signed with HMAC-SHA-256 under `key`. */
static inline const char *
jwt_make(char token[20000], const char *header, const char *claims, const char *key)
{
	crypto_auth_hmacsha256_state state;
	unsigned char mac[32];

	token[0] = 0;
	append_base64(token, 20000, header, strlen(header));
	strcat(token, ".");
	append_base64(token, 20000, claims, strlen(claims));
	crypto_auth_hmacsha256_init(&state, (const unsigned char *)key, strlen(key));
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)token, strlen(token));
	crypto_auth_hmacsha256_final(&state, mac);
	strcat(token, ".");
	append_base64(token, 20000, mac, sizeof(mac));
	return token;
}

/* A person's principal, by a token that the index issued. */
static inline struct access_principal *
log_in(struct access *access, uint64_t user)
{
	char token[1000];
	ssize_t len = access_jwt_issue(access, user, NOW_MS, 3600000, token, sizeof(token));

	assert_true(len > 0);
	return access_authenticate_jwt(access, span_of(token, (size_t)len), NOW_MS);
}

#endif
