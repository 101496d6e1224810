/*
 * access_priv.h: what the files of this room share.
 */
#ifndef WEIR_ACCESS_PRIV_H
#define WEIR_ACCESS_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "access.h"
#include "map.h"
#include "slab.h"
#include "span.h"

#define ACCESS_PATTERN_BYTES_MAX 255
#define ACCESS_SECRET_BYTES 32
#define ACCESS_RIGHTS_COMMON (ACCESS_READ | ACCESS_WRITE | ACCESS_PUBLISH | ACCESS_SUBSCRIBE)

struct json_object;

/* A loop's index. */
struct access {
	unsigned char *secret; /* sodium_malloc: guarded, locked into memory, read-only */
	struct map by_hash, by_id; /* access.c's: keys */
	struct access_principal *local;
	struct access_losses losses;

	/* access_registry.c's */
	uint64_t seed;                 /* of the maps' hashes; nobody outside can know it */
	unsigned char fast_key[16];    /* SipHash of tokens that were right */
	unsigned char print_key[16];   /* and of access_print */
	bool developer_manages_users;
	struct map devices;            /* of struct access_device */
	struct map gateways, users, secrets;
	struct map tokens;             /* of struct token: JWTs and devices that were right */
	struct slab token_slab;
	size_t tokens_sweep_at;
};

/* Whether this is a channel name or a pattern: UTF-8, 1..255 bytes, no empty level, '+' only as a
 * whole level, '#' only as the whole last one. */
bool access_pattern_valid(struct span pattern);

/* Whether every name that `inner` matches is matched by `outer` too. Exact, for valid patterns, by
 * MQTT's rules (5.0, 4.7.1): '+' is one level, '#' any number of them, also none. */
bool access_pattern_contains(struct span outer, struct span inner);

/* Whether a name that somebody else gave may stand in logs and records. */
bool access_name_plain(struct span name);

/* Whether this is a JSON array of at most 1,000 valid patterns. */
bool access_patterns_valid(struct json_object *patterns);

/* A principal of kind 0 without rights, in one block. The lists are valid ones, or NULL.
 * NULL: memory is out. */
struct access_principal *access_principal_create(struct span tenant, struct span prefix,
    struct span name, struct json_object *patterns, struct json_object *publish,
    struct span info);

/* What of an address (text without a port) counts: the four bytes of an IPv4 one, the first eight
 * of an IPv6 one. How many; 0: it is none. */
size_t access_address_bytes(struct span address, unsigned char ret_bytes[16]);

/* Marks it revoked: who holds it besides the caller is to see that. */
void access_principal_revoke(struct access *access, struct access_principal *principal);

void access_registry_init(struct access *access);
void access_registry_finish(struct access *access);

#endif
