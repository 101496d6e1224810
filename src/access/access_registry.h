/*
 * access_registry.h: a loop's index of devices, gateways, persons and signing secrets, and how each
 * of them proves who it is.
 *
 * Records of devices and secrets are immutable, counted and shared by all loops: they are made once
 * (from what the store holds) and put into every loop's index. What is replaced or removed loses
 * its power at once: a principal that was made from it is marked revoked. A change that cannot be
 * made for want of memory leaves nobody with rights he has no more.
 *
 * Memory: a device takes about 100 bytes in all loops together and 21 to 43 in each.
 */
#ifndef WEIR_ACCESS_REGISTRY_H
#define WEIR_ACCESS_REGISTRY_H

#include "access.h"

struct store_device;
struct store_gateway;
struct store_secret;
struct store_user;

/* ── devices ── */

struct access_device;

/* A record with one reference. -ENOMEM; -EINVAL: the token's hash is neither empty nor one. */
int access_device_create(const struct store_device *device, struct access_device **ret_device);
void access_device_unref(struct access_device *device); /* NULL ok; any thread */

/* Adds or replaces; takes a reference of its own. An older version than the known one changes
 * nothing. 0 or -ENOMEM (only for a device that was not there, or one that users are given). */
int access_device_put(struct access *access, struct access_device *device);
void access_device_remove(struct access *access, struct span tenant, struct span id);
size_t access_device_count(const struct access *access);

/* NULL when there is none. Valid until the next put or remove. */
const struct access_device *access_device_find(const struct access *access, struct span tenant,
    struct span id);
struct span access_device_id(const struct access_device *device);
bool access_device_active(const struct access_device *device);

/* The only gateway that may write for it; 0: any of the tenant's. */
uint64_t access_device_gateway(const struct access_device *device);

/* Whether this is the device's token: the text of it, or the digits of an integer. The first time
 * costs a BLAKE2b, later on a SipHash of 128 bits (whose key is as secret as the node's; so to be
 * taken for a token that was right, another one must hit 1 in 2^128). */
bool access_device_token(const struct access *access, const struct access_device *device,
    struct span token);

/* The hash that the registry keeps of a device's or gateway's token: BLAKE2b-256 keyed with the
 * node's secret over kind, tenant, id and token, so that a hash is of no use in another row. */
void access_token_hash(const unsigned char secret[32], const char *kind, struct span tenant,
    struct span id, struct span token, unsigned char ret_hash[ACCESS_HASH_BYTES]);
#define ACCESS_TOKEN_DEVICE "device"
#define ACCESS_TOKEN_GATEWAY "gateway"

/* A new token for either: 40 hexadecimal digits (160 bits), no NUL. */
#define ACCESS_TOKEN_BYTES 40
void access_token_generate(struct env *env, char ret_token[ACCESS_TOKEN_BYTES]);

/* A device that speaks for itself ("device-ID"), or NULL: unknown, inactive or a wrong token. */
struct access_principal *access_authenticate_device(struct access *access, struct span tenant,
    struct span id, struct span token);

/* ── gateways ── */

/* As access_device_put. On -ENOMEM the gateway is refused until it is put again. -EINVAL: as
 * above. */
int access_gateway_put(struct access *access, const struct store_gateway *gateway);
void access_gateway_remove(struct access *access, struct span tenant, uint64_t id);

/* NULL: unknown, its state is set and not Active, or the token is wrong. A reference. */
struct access_principal *access_authenticate_gateway(struct access *access, struct span tenant,
    uint64_t id, struct span token);

/* "gateway-7:TOKEN", "device-ID:TOKEN", each also with "@TENANT" before the colon: the decoded form
 * of HTTP Basic, or an MQTT client's user and password. NULL as above, or neither of these. */
struct access_principal *access_authenticate_pair(struct access *access, struct span user,
    struct span password);

/* ── persons ── */

/* access.developer_manages_users; true until said otherwise. Counts for principals made later. */
void access_set_developer_accounts(struct access *access, bool allowed);

/* On -ENOMEM the person's tokens are refused until he is put again. */
int access_user_put(struct access *access, const struct store_user *user);
void access_user_remove(struct access *access, uint64_t id);

/* His enum store_permission; 0: there is no such person. */
unsigned access_user_permission(const struct access *access, uint64_t user);

/* Whether the person was given the device. */
bool access_user_has_device(const struct access *access, uint64_t user, struct span tenant,
    struct span id);

/* His devices, in no order: *pos starts at 0; NULL at the end. No change meanwhile. */
const struct access_device *access_user_device_next(const struct access *access, uint64_t user,
    size_t *pos);

/* ── secrets and JWTs ── */

struct access_secret;

/* Opens what was sealed. -EBADMSG: it was not sealed by this node for this id, or was altered;
 * -ENOMEM. */
int access_secret_create(const unsigned char node_secret[32], const struct store_secret *secret,
    struct access_secret **ret_secret);
void access_secret_unref(struct access_secret *secret); /* NULL ok; any thread */

/* A later version differs in when it ends: what it signed stays good until then. 0, -ENOMEM. */
int access_secret_put(struct access *access, struct access_secret *secret);
void access_secret_remove(struct access *access, uint64_t id);

/* Seals a secret's text (at most ACCESS_SECRET_TEXT_BYTES_MAX) for its row: XChaCha20-Poly1305,
 * bound to id, kind and tenant of `secret`. Returns the length. */
#define ACCESS_SECRET_TEXT_BYTES_MAX 128
#define ACCESS_SEALED_BYTES_MAX (24 + ACCESS_SECRET_TEXT_BYTES_MAX + 16)
size_t access_seal(struct env *env, const unsigned char node_secret[32],
    const struct store_secret *secret, struct span text,
    unsigned char ret_sealed[ACCESS_SEALED_BYTES_MAX]);

/* A JWT for a person: HS256, kid, iss weir, aud weir-user, sub NAME@TENANT, iat, exp. Signed with
 * the youngest valid secret of kind USER. The length, -ENOKEY when there is none, -ENOENT: no such
 * user, -ENOMEM, -ENOBUFS. */
#define ACCESS_JWT_BYTES_MAX 8192
ssize_t access_jwt_issue(const struct access *access, uint64_t user, int64_t now_ms,
    int64_t lifetime_ms, char *ret_token, size_t size);

/* Whose JWT this is: a person's or a subscriber's; NULL: nobody's. A reference. The same token
 * gives the same principal, so a known one costs one hash. */
struct access_principal *access_authenticate_jwt(struct access *access, struct span token,
    int64_t now_ms);

/* Whether a credential looks like a JWT (two dots), as no key does. */
bool access_is_jwt(struct span credential);

#endif
