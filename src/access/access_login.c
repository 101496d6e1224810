/*
 * access_login.c: passwords, and the throttle of logins.
 *
 * The throttle is a table of leaky buckets, four to a row; a row is chosen by a SipHash with a key
 * of this process, so nobody can aim at another's row. A bucket holds failures times the ms each
 * takes to leak: its level is the debt, an integer, and an empty one is free.
 */
#include "access_login.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "access_priv.h"
#include "check.h"

/* ── passwords ── */

_Static_assert(ACCESS_PASSWORD_HASH_BYTES == crypto_pwhash_STRBYTES, "Argon2id's text");

const char *
access_password_flaw(struct span name, struct span text)
{
	bool seen[256] = {false};
	unsigned different = 0;

	if (text.len < ACCESS_PASSWORD_BYTES_MIN)
		return "it must have 8 bytes or more";
	if (text.len > ACCESS_PASSWORD_BYTES_MAX)
		return "it must have 256 bytes or fewer";
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = (unsigned char)text.ptr[i];

		if (byte < ' ' || byte == 0x7f)
			return "it has control characters";
		different += !seen[byte];
		seen[byte] = true;
	}
	if (different < 4)
		return "it must have 4 different characters or more";
	if (span_eq_nocase(text, name))
		return "it is the name";
	return NULL;
}

int
access_password_hash(struct span password, char ret_hash[ACCESS_PASSWORD_HASH_BYTES])
{
	char hash[ACCESS_PASSWORD_HASH_BYTES];

	if (password.len < ACCESS_PASSWORD_BYTES_MIN || password.len > ACCESS_PASSWORD_BYTES_MAX)
		return -EINVAL;
	if (sodium_init() < 0 || crypto_pwhash_str(hash, password.ptr, password.len,
	    crypto_pwhash_OPSLIMIT_INTERACTIVE, crypto_pwhash_MEMLIMIT_INTERACTIVE))
		return -ENOMEM;
	memcpy(ret_hash, hash, sizeof(hash));
	return 0;
}

bool
access_password_check(struct span hash, struct span password)
{
	/* Of nothing in particular, with the costs of access_password_hash. */
	static const char nobody[] = "$argon2id$v=19$m=65536,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	char text[ACCESS_PASSWORD_HASH_BYTES] = "";
	bool known = hash.len > 0 && hash.len < sizeof(text);
	bool right;

	memcpy(text, known ? hash.ptr : nobody, known ? hash.len : sizeof(nobody));
	if (sodium_init() < 0 || password.len > ACCESS_PASSWORD_BYTES_MAX)
		return false;
	right = crypto_pwhash_str_verify(text, password.ptr, password.len) == 0;
	return known && right;
}

/* ── throttle ── */

enum scope { PAIR, ACCOUNT, ADDRESS, SCOPE_COUNT };

/* So many failures at once, then one each `leak_ms`. */
static const struct {
	unsigned failures;
	uint64_t leak_ms;
} scopes[SCOPE_COUNT] = {
	[PAIR] = {5, 30000},
	[ACCOUNT] = {50, 5000},
	[ADDRESS] = {30, 5000},
};

enum { ROWS = 1024, WAYS = 4 };

struct bucket {
	uint64_t name;     /* 0: free */
	uint64_t empty_ms; /* when the debt is gone */
};

struct access_throttle {
	unsigned char key[crypto_shorthash_KEYBYTES];
	struct bucket rows[ROWS][WAYS];
};

int
access_throttle_create(struct env *env, struct access_throttle **ret_throttle)
{
	struct access_throttle *throttle = calloc(1, sizeof(*throttle));

	if (throttle == NULL)
		return -ENOMEM;
	env_random(env, throttle->key, sizeof(throttle->key));
	*ret_throttle = throttle;
	return 0;
}

void
access_throttle_destroy(struct access_throttle *throttle)
{
	free(throttle);
}

size_t
access_address_bytes(struct span address, unsigned char ret_bytes[16])
{
	char text[INET6_ADDRSTRLEN + 1] = "";
	struct in6_addr in6;

	memcpy(text, address.ptr, MIN(address.len, sizeof(text) - 1));
	if (inet_pton(AF_INET, text, ret_bytes) == 1)
		return 4;
	if (inet_pton(AF_INET6, text, &in6) != 1)
		return 0;
	if (IN6_IS_ADDR_V4MAPPED(&in6)) {
		memcpy(ret_bytes, in6.s6_addr + 12, 4);
		return 4;
	}
	memcpy(ret_bytes, in6.s6_addr, 8);
	return 8;
}

static uint64_t
name_of(const struct access_throttle *throttle, enum scope scope, struct span account,
    struct span address)
{
	unsigned char bytes[2 + 256 + 16];
	unsigned char from[16];
	size_t len = 0;
	uint64_t name;

	bytes[len++] = (unsigned char)scope;
	if (scope != ADDRESS) {
		size_t part = MIN(account.len, (size_t)256);

		if (part)
			memcpy(bytes + len, account.ptr, part);
		len += part;
		bytes[len++] = 0;
	}
	if (scope != ACCOUNT) {
		size_t part = access_address_bytes(address, from);

		memcpy(bytes + len, from, part);
		len += part;
	}
	crypto_shorthash((unsigned char *)&name, bytes, len, throttle->key);
	return name ? name : 1;
}

/* The bucket of this name; made when `make`, in place of the one with the least debt. */
static struct bucket *
bucket_of(struct access_throttle *throttle, uint64_t name, bool make)
{
	struct bucket *row = throttle->rows[name % ROWS], *least = row;

	for (int i = 0; i < WAYS; i++) {
		if (row[i].name == name)
			return &row[i];
		if (row[i].empty_ms < least->empty_ms)
			least = &row[i];
	}
	if (!make)
		return NULL;
	*least = (struct bucket){.name = name};
	return least;
}

uint64_t
access_throttle_try(struct access_throttle *throttle, struct span account, struct span address,
    uint64_t now_ms)
{
	uint64_t names[SCOPE_COUNT], wait_ms = 0;

	for (int scope = 0; scope < SCOPE_COUNT; scope++) {
		const struct bucket *bucket;
		uint64_t limit_ms = (scopes[scope].failures - 1) * scopes[scope].leak_ms;

		names[scope] = name_of(throttle, (enum scope)scope, account, address);
		bucket = bucket_of(throttle, names[scope], false);
		if (bucket && bucket->empty_ms > now_ms + limit_ms)
			wait_ms = MAX(wait_ms, bucket->empty_ms - now_ms - limit_ms);
	}
	if (wait_ms)
		return wait_ms;
	for (int scope = 0; scope < SCOPE_COUNT; scope++) {
		struct bucket *bucket = bucket_of(throttle, names[scope], true);

		bucket->empty_ms = MAX(bucket->empty_ms, now_ms) + scopes[scope].leak_ms;
	}
	return 0;
}

void
access_throttle_right(struct access_throttle *throttle, struct span account, struct span address,
    uint64_t now_ms)
{
	for (int scope = 0; scope < SCOPE_COUNT; scope++) {
		struct bucket *bucket = bucket_of(throttle, name_of(throttle, (enum scope)scope,
		    account, address), false);

		if (bucket == NULL)
			continue;
		if (scope == PAIR || bucket->empty_ms < now_ms + scopes[scope].leak_ms)
			bucket->empty_ms = 0;
		else
			bucket->empty_ms -= scopes[scope].leak_ms;
	}
}
