/*
 * access.h: who is it, and may it: principals, the index of application keys, channels. Devices,
 * gateways, persons and JWTs are in access_registry.h, the rules of rights in access_may.h.
 *
 * Each loop has an index of its own (struct access), so a known key costs no look-up elsewhere;
 * changes come to every loop by mail in version order. A principal is immutable and counted: a
 * request keeps the one it began with.
 */
#ifndef WEIR_ACCESS_H
#define WEIR_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"
#include "span.h"
#include "thread.h"

struct store_key;

enum access_right {
	ACCESS_READ = 1,
	ACCESS_WRITE = 2,
	ACCESS_PUBLISH = 4,
	ACCESS_SUBSCRIBE = 8,
	ACCESS_ADMIN = 16,    /* administers a tenant */
	ACCESS_ACCOUNTS = 32, /* its accounts, too */
	ACCESS_NODE = 64,     /* governs all tenants */
};

/* Who it is. */
enum access_kind {
	ACCESS_APPLICATION, /* a key */
	ACCESS_LOCAL,       /* admin.sock */
	ACCESS_PERSON,
	ACCESS_GATEWAY,
	ACCESS_DEVICE,
	ACCESS_SUBSCRIBER,  /* a JWT that an application signed */
};

/* "read,write,publish,subscribe" in any order. 0 or -EINVAL (with the offending word). */
int access_rights_parse(struct span text, uint32_t *ret_rights, struct span *ret_bad);

#define ACCESS_INFO_BYTES_MAX 256

/* One block of memory, as small as can be: every token of a subscriber has one. */
struct access_principal {
	refcount refs;
	uint32_t rights;
	uint8_t kind;        /* enum access_kind */
	bool limited;        /* a person who sees his own devices and venues only */
	bool may_enrol;      /* a gateway that may register devices */
	bool revoked;        /* written and read by the owning loop only */
	uint16_t pattern_count, publish_count; /* the latter a subscriber's only */
	uint16_t info_len;
	uint32_t publish_at; /* in `patterns`: those that it may publish to */
	struct span tenant;  /* "main" */
	struct span name;    /* "app-NAME", "user-NAME", "gateway-7", "device-ID", "sub-SUB";
				"local" for admin.sock */
	uint64_t id;         /* of the key, user, gateway or signing secret; 0: local, device */
	int64_t expires_ms;  /* nobody from then on; 0: never */
	const char *patterns; /* channels it may use, each behind a byte with its length; none: all
				of its tenant. Of a subscriber: those it may subscribe to, none:
				none */
};

/* JSON that a subscriber's token shows of him; empty: none. */
static inline struct span
access_principal_info(const struct access_principal *principal)
{
	return span_of(principal->name.ptr + principal->name.len, principal->info_len);
}

struct access_principal *access_principal_ref(struct access_principal *principal);
void access_principal_unref(struct access_principal *principal);

/* Whether a channel name (or a subscription pattern, which must lie inside) is allowed. */
bool access_may_channel(const struct access_principal *principal, struct span name_or_pattern);

/* Whether it may publish there, as far as its lists say. */
bool access_may_publish(const struct access_principal *principal, struct span name);

struct access;

/* An index for one loop. `secret` (32 bytes) keys the hashes; copied into protected memory.
 * 0 or -ENOMEM. */
int access_create(const unsigned char secret[32], struct access **ret_access);
void access_destroy(struct access *access);

/* Adds or replaces by id (the replaced principal is marked revoked; a version older than the known
 * one changes nothing), or removes (marks revoked) by id. The owning loop. 0, -ENOMEM, or -EINVAL:
 * the key's hash, rights or channels cannot be read. An empty list of channels is as none: all. */
int access_key_put(struct access *access, const struct store_key *key);
void access_key_remove(struct access *access, uint64_t id);

/* The principal of a key as the client sent it, or NULL. A reference the caller gives back.
 * Constant time in the key's bytes. */
struct access_principal *access_authenticate(struct access *access, struct span key);

/* The principal of a key by its id in digits, by its name (tenant main) or TENANT/NAME; or NULL. A
 * reference, as above. Looks at all keys: not for every request. */
struct access_principal *access_key_find(struct access *access, struct span which);

/* The principal of the admin socket: ADMIN and all else, tenant main. A reference, as above. */
struct access_principal *access_local(struct access *access);

/* A hash of bytes with secrets in them, behind those whose hash is `before` (0: none): nobody
 * outside can tell which other bytes have it. Of this process: not to be kept. */
uint64_t access_print(const struct access *access, struct span bytes, uint64_t before);

/* Whether two secrets (or hashes of them) are the same, in a time that only their lengths decide.
 * The one place where secrets are compared. */
bool access_secret_equal(struct span a, struct span b);

/* How often somebody who is known elsewhere lost what he had: `principals` were revoked or will end
 * earlier, `devices` were taken from persons. Who keeps principals looks at them again when these
 * rise, and only then. */
struct access_losses {
	uint64_t principals, devices;
};
struct access_losses access_losses(const struct access *access);

/* A new key: 43 characters of base64url (32 random bytes), no NUL, and its hash. */
#define ACCESS_KEY_BYTES 43
#define ACCESS_HASH_BYTES 32
void access_key_generate(struct env *env, char ret_key[ACCESS_KEY_BYTES]);
void access_key_hash(const unsigned char secret[32], struct span key,
    unsigned char ret_hash[ACCESS_HASH_BYTES]);

/* The credentials in an Authorization header's value: "Bearer S", "Token S", "Basic b64(U:S)".
 * Schemes in any case; base64 in either alphabet, padded or not. false when it is none of these.
 * *ret_secret points into the header or, for Basic, into `scratch`, as *ret_user does, whose ptr is
 * NULL for the others. The caller wipes `scratch`. */
#define ACCESS_BASIC_BYTES_MAX 1024
bool access_header_read(struct span header, char *scratch, size_t scratch_size,
    struct span *ret_user, struct span *ret_secret);

/* ── who has these credentials: a reference, or NULL: nobody; by the wall clock `now_ms` ── */

/* A key or a JWT: of a Bearer header, `?token=`, or a WebSocket's first frame. */
struct access_principal *access_authenticate_credential(struct access *access,
    struct span credential, int64_t now_ms);

/* User and password: a gateway or device (access_authenticate_pair), or, whatever else the user is
 * called, the password is a key. */
struct access_principal *access_authenticate_basic(struct access *access, struct span user,
    struct span password);

/* The value of an Authorization header: either of the two. */
struct access_principal *access_authenticate_header(struct access *access, struct span header,
    int64_t now_ms);

#endif
