/*
 * access_jwt.c: JSON Web Tokens (RFC 7515, 7519): signed and checked, HS256 and nothing else.
 *
 * What a token says of itself is not believed before the signature is: of the header only `alg`
 * (must be HS256, RFC 7518 3.2) and `kid` are read, and which secret may sign what is decided by
 * the secret's row, not by the token. A token with `crit` is refused: it wants rules that are not
 * kept here. Base64url is read strictly (no padding, spare bits zero), so a token has one text.
 *
 * A principal that was made from a token is kept in the index while somebody else holds it, so that
 * it can be marked revoked, and so that the same token again costs one hash.
 */
#include <errno.h>
#include <json.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access_registry.h"
#include "access_registry_priv.h"
#include "access_secrets_priv.h"
#include "check.h"
#include "num.h"

#define ISSUER "weir"
#define AUDIENCE_USER "weir-user"
#define AUDIENCE_SUBSCRIBER "weir"
#define HEADER_BYTES_MAX 512
#define DEPTH_MAX 16
#define SKEW_MS 5000             /* other clocks may be ahead by this: iat, nbf */
#define SECONDS_MAX 253402300799 /* the end of the year 9999 */
#define SWEEP_MIN 64

/* ── principals of tokens ── */

/* 32 bytes: there may be as many as subscribers. Of the keyed hash of a JWT half suffices: nobody
 * outside can compute it. */
struct token {
	unsigned char hash[ACCESS_HASH_BYTES / 2]; /* it begins with the slot, a device's is that */
	uint64_t secret_id;                        /* that signed it; 0: a device */
	struct access_principal *principal;
};

struct device_name {
	struct span tenant, id;
};

static uint64_t
token_slot(const unsigned char *hash)
{
	uint64_t slot;

	memcpy(&slot, hash, sizeof(slot));
	return slot;
}

static bool
token_has_hash(const void *value, const void *key)
{
	const struct token *token = value;

	return token->secret_id && access_secret_equal(span_of((const char *)token->hash,
	    sizeof(token->hash)), span_of(key, sizeof(token->hash)));
}

static bool
token_is_device(const void *value, const void *key)
{
	const struct token *token = value;
	const struct device_name *name = key;

	return token->secret_id == 0 && span_eq(token->principal->tenant, name->tenant) &&
	    span_eq(span_skip(token->principal->name, strlen("device-")), name->id);
}

static void
token_drop(struct access *access, struct token *token, bool revoke)
{
	check(map_remove(&access->tokens, token_slot(token->hash), token));
	if (revoke)
		access_principal_revoke(access, token->principal);
	access_principal_unref(token->principal);
	slab_put(&access->token_slab, token);
}

/* Drops those that `which` wants. Removal moves others only into the place that became free or
 * behind it, so that place is looked at again. */
static void
tokens_drop(struct access *access, bool (*which)(const struct token *token, const void *ctx),
    const void *ctx, bool revoke)
{
	struct token *token;
	size_t pos = 0;

	while ((token = map_next(&access->tokens, &pos))) {
		if (!which(token, ctx))
			continue;
		token_drop(access, token, revoke);
		pos--;
	}
}

static bool
nobody_holds(const struct token *token, const void *ctx)
{
	(void)ctx;
	return atomic_load_explicit(&token->principal->refs, memory_order_relaxed) == 1;
}

/* Takes the principal's reference; NULL when memory is out. Else another reference. */
static struct access_principal *
token_keep(struct access *access, const void *hash, size_t hash_len, uint64_t secret_id,
    struct access_principal *principal)
{
	struct token *token = slab_get(&access->token_slab);

	if (token == NULL)
		goto fail;
	*token = (struct token){.secret_id = secret_id, .principal = principal};
	memcpy(token->hash, hash, MIN(hash_len, sizeof(token->hash)));
	if (access->tokens.count >= access->tokens_sweep_at) {
		tokens_drop(access, nobody_holds, NULL, false);
		access->tokens_sweep_at = 2 * access->tokens.count + SWEEP_MIN;
	}
	if (map_add(&access->tokens, token_slot(token->hash), token))
		goto fail;
	return access_principal_ref(principal);

fail:
	slab_put(&access->token_slab, token);
	access_principal_unref(principal);
	return NULL;
}

struct access_principal *
access_tokens_device(struct access *access, struct span tenant, struct span id)
{
	struct device_name name = {tenant, id};
	uint64_t slot = access_slot(access, tenant, id);
	const struct token *token = map_get(&access->tokens, slot, token_is_device, &name);
	struct access_principal *principal;

	if (token)
		return access_principal_ref(token->principal);
	principal = access_principal_create(tenant, SPAN("device-"), id, NULL, NULL,
	    SPAN(""));
	if (principal == NULL)
		return NULL;
	principal->kind = ACCESS_DEVICE;
	principal->rights = ACCESS_READ | ACCESS_WRITE;
	return token_keep(access, &slot, sizeof(slot), 0, principal);
}

void
access_tokens_revoke_device(struct access *access, struct span tenant, struct span id)
{
	struct device_name name = {tenant, id};
	struct token *token = map_get(&access->tokens, access_slot(access, tenant, id),
	    token_is_device, &name);

	if (token)
		token_drop(access, token, true);
}

struct owner {
	enum access_kind kind;
	uint64_t id;
};

static bool
belongs_to(const struct token *token, const void *ctx)
{
	const struct owner *owner = ctx;

	return owner->kind == ACCESS_PERSON ? token->principal->kind == ACCESS_PERSON &&
	    token->principal->id == owner->id : token->secret_id == owner->id;
}

void
access_tokens_revoke(struct access *access, enum access_kind kind, uint64_t id)
{
	struct owner owner = {kind, id};

	tokens_drop(access, belongs_to, &owner, true);
}

void
access_tokens_cap(struct access *access, uint64_t secret_id, int64_t expires_ms)
{
	struct token *token;
	size_t pos = 0;

	while ((token = map_next(&access->tokens, &pos))) {
		if (token->secret_id != secret_id || token->principal->expires_ms <= expires_ms)
			continue;
		token->principal->expires_ms = expires_ms;
		access->losses.principals++;
	}
}

static bool
any_token(const struct token *token, const void *ctx)
{
	(void)token;
	(void)ctx;
	return true;
}

void
access_tokens_init(struct access *access)
{
	slab_init(&access->token_slab, sizeof(struct token));
}

void
access_tokens_finish(struct access *access)
{
	tokens_drop(access, any_token, NULL, false);
	map_finish(&access->tokens);
	slab_finish(&access->token_slab);
	access_secrets_finish(access);
}

/* ── signing ── */

static void
sign(const struct access_secret *secret, struct span text,
    unsigned char ret_mac[crypto_auth_hmacsha256_BYTES])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, (const unsigned char *)secret->text, secret->text_len);
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)text.ptr, text.len);
	crypto_auth_hmacsha256_final(&state, ret_mac);
	sodium_memzero(&state, sizeof(state));
}

/* Appends base64url and a dot or nothing. false: no room. */
static bool
append_base64(char *token, size_t size, size_t *len, const void *bytes, size_t bytes_len, char end)
{
	size_t room = sodium_base64_encoded_len(bytes_len,
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);

	if (*len + room + 1 > size)
		return false;
	sodium_bin2base64(token + *len, size - *len, bytes, bytes_len,
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	*len += room - 1; /* its NUL */
	if (end)
		token[(*len)++] = end;
	return true;
}

ssize_t
access_jwt_issue(const struct access *access, uint64_t user_id, int64_t now_ms,
    int64_t lifetime_ms, char *ret_token, size_t size)
{
	const struct access_user *user = access_user_find(access, user_id);
	const struct access_secret *secret = access_secret_youngest(access, STORE_SECRET_USER,
	    now_ms);
	unsigned char mac[crypto_auth_hmacsha256_BYTES];
	char header[80], claims[512];
	size_t len = 0;
	int header_len, claims_len;

	if (user == NULL)
		return -ENOENT;
	if (secret == NULL)
		return -ENOKEY;
	header_len = snprintf(header, sizeof(header),
	    "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"%llu\"}", (unsigned long long)secret->id);
	/* Names are of [a-z0-9._-]: nothing to escape. */
	claims_len = snprintf(claims, sizeof(claims), "{\"iss\":\"" ISSUER "\",\"aud\":\""
	    AUDIENCE_USER "\",\"sub\":\"%.*s@%.*s\",\"iat\":%lld,\"exp\":%lld,\"uid\":%llu,"
	    "\"gen\":%llu}", user->name_len, user->name, user->tenant_len, user->tenant,
	    (long long)(now_ms / 1000), (long long)((now_ms + lifetime_ms) / 1000),
	    (unsigned long long)user->id, (unsigned long long)user->generation);
	if (!append_base64(ret_token, size, &len, header, (size_t)header_len, '.') ||
	    !append_base64(ret_token, size, &len, claims, (size_t)claims_len, 0))
		return -ENOBUFS;
	sign(secret, span_of(ret_token, len), mac);
	if (len + 1 >= size)
		return -ENOBUFS;
	ret_token[len++] = '.';
	return append_base64(ret_token, size, &len, mac, sizeof(mac), 0) ? (ssize_t)len : -ENOBUFS;
}

/* ── reading ── */

/* The JSON object in a part of a token, or NULL. `room` bytes suffice for its text. */
static struct json_object *
part_parse(struct span part, size_t bytes_max, int depth_max)
{
	unsigned char text[ACCESS_JWT_BYTES_MAX];
	struct json_tokener *tokener;
	struct json_object *object = NULL;
	size_t len;

	if (sodium_base642bin(text, MIN(bytes_max, sizeof(text)), part.ptr, part.len, NULL, &len,
	    NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING))
		return NULL;
	tokener = json_tokener_new_ex(depth_max);
	if (tokener == NULL)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, (const char *)text, (int)len);
	if (json_tokener_get_error(tokener) != json_tokener_success ||
	    json_tokener_get_parse_end(tokener) != len ||
	    !json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		object = NULL;
	}
	json_tokener_free(tokener);
	return object;
}

/* A string member; ptr NULL when there is none. */
static struct span
text_of(struct json_object *object, const char *name)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, name, &value) ||
	    !json_object_is_type(value, json_type_string))
		return span_of(NULL, 0);
	return span_of(json_object_get_string(value),
	    (size_t)json_object_get_string_len(value));
}

static bool
number_of(struct json_object *object, const char *name, uint64_t *ret_value)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, name, &value) ||
	    !json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0)
		return false;
	*ret_value = json_object_get_uint64(value);
	return true;
}

/* A NumericDate in milliseconds. 1; 0: there is none; -1: it is no number. */
static int
time_of(struct json_object *claims, const char *name, int64_t *ret_ms)
{
	struct json_object *value;
	double seconds;

	if (!json_object_object_get_ex(claims, name, &value))
		return 0;
	if (!json_object_is_type(value, json_type_int) &&
	    !json_object_is_type(value, json_type_double))
		return -1;
	seconds = floor(json_object_get_double(value));
	if (!(seconds >= 0)) /* NaN, too */
		return -1;
	*ret_ms = (int64_t)MIN(seconds, (double)SECONDS_MAX) * 1000;
	return 1;
}

/* `aud` is the audience, or a list that has it. */
static bool
audience_has(struct json_object *claims, struct span audience)
{
	struct json_object *value;
	size_t count;

	if (span_eq(text_of(claims, "aud"), audience))
		return true;
	if (!json_object_object_get_ex(claims, "aud", &value) ||
	    !json_object_is_type(value, json_type_array))
		return false;
	count = json_object_array_length(value);
	for (size_t i = 0; i < count; i++) {
		struct json_object *item = json_object_array_get_idx(value, i);

		if (json_object_is_type(item, json_type_string) &&
		    span_eq(span_of(json_object_get_string(item),
		    (size_t)json_object_get_string_len(item)), audience))
			return true;
	}
	return false;
}

/* Whether the time is right; when it ends. */
static bool
times_hold(struct json_object *claims, int64_t now_ms, int64_t *ret_expires_ms)
{
	int64_t exp = 0, nbf = 0, iat = 0;

	if (time_of(claims, "exp", &exp) != 1 || time_of(claims, "nbf", &nbf) < 0 ||
	    time_of(claims, "iat", &iat) < 0)
		return false;
	if (now_ms >= exp || nbf > now_ms + SKEW_MS || iat > now_ms + SKEW_MS)
		return false;
	*ret_expires_ms = exp;
	return true;
}

/* ── whose it is ── */

static struct access_principal *
person_create(struct access *access, struct json_object *claims)
{
	const struct access_user *user;
	struct access_principal *principal;
	uint64_t id, generation;

	if (!span_eq(text_of(claims, "iss"), SPAN(ISSUER)) ||
	    !span_eq(text_of(claims, "aud"), SPAN(AUDIENCE_USER)) ||
	    !number_of(claims, "uid", &id) || !number_of(claims, "gen", &generation))
		return NULL;
	user = access_user_find(access, id);
	if (user == NULL || user->generation != generation)
		return NULL;
	principal = access_principal_create(span_of(user->tenant, user->tenant_len), SPAN("user-"),
	    span_of(user->name, user->name_len), NULL, NULL, SPAN(""));
	if (principal == NULL)
		return NULL;
	principal->kind = ACCESS_PERSON;
	principal->id = id;
	principal->limited = user->permission == STORE_USER;
	if (principal->limited) {
		principal->rights = ACCESS_READ | ACCESS_SUBSCRIBE;
		return principal;
	}
	principal->rights = ACCESS_RIGHTS_COMMON | ACCESS_ADMIN;
	if (user->permission == STORE_ADMIN || access->developer_manages_users)
		principal->rights |= ACCESS_ACCOUNTS;
	if (user->permission == STORE_ADMIN && user->node)
		principal->rights |= ACCESS_NODE;
	return principal;
}

bool
access_name_plain(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
			return false;
	}
	return text.len <= ACCESS_PATTERN_BYTES_MAX;
}

/* A list of patterns in the claim `weir`. false: it is none. NULL where there is no such member. */
static bool
patterns_of(struct json_object *weir, const char *name, struct json_object **ret_patterns)
{
	if (!json_object_object_get_ex(weir, name, ret_patterns)) {
		*ret_patterns = NULL;
		return true;
	}
	return access_patterns_valid(*ret_patterns);
}

/* What it shows of him to others; empty where that is too long. */
static struct span
info_of(struct json_object *weir)
{
	struct json_object *info;
	const char *text;
	size_t len;

	if (!json_object_object_get_ex(weir, "info", &info))
		return SPAN("");
	text = json_object_to_json_string_length(info,
	    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	return text && len <= ACCESS_INFO_BYTES_MAX ? span_of(text, len) : SPAN("");
}

static struct access_principal *
subscriber_create(const struct access_secret *secret, struct json_object *claims)
{
	struct json_object *weir, *subscribe, *publish;
	struct access_principal *principal;
	struct span sub = text_of(claims, "sub");

	if (!audience_has(claims, SPAN(AUDIENCE_SUBSCRIBER)) || !access_name_plain(sub) ||
	    !json_object_object_get_ex(claims, "weir", &weir) ||
	    !json_object_is_type(weir, json_type_object) ||
	    !patterns_of(weir, "subscribe", &subscribe) || !patterns_of(weir, "publish", &publish))
		return NULL;
	principal = access_principal_create(span_of(secret->tenant, secret->tenant_len),
	    SPAN("sub-"), sub, subscribe, publish, info_of(weir));
	if (principal == NULL)
		return NULL;
	principal->kind = ACCESS_SUBSCRIBER;
	principal->id = secret->id;
	principal->rights = (principal->pattern_count ? ACCESS_SUBSCRIBE : 0) |
	    (principal->publish_count ? ACCESS_PUBLISH : 0);
	return principal;
}

bool
access_is_jwt(struct span credential)
{
	unsigned dots = 0;

	for (size_t i = 0; i < credential.len; i++)
		dots += credential.ptr[i] == '.';
	return dots == 2;
}

struct parts {
	struct span header, claims, mac, text; /* text: what is signed */
};

static bool
token_split(struct span token, struct parts *ret_parts)
{
	const char *first, *second;

	if (token.len > ACCESS_JWT_BYTES_MAX || !access_is_jwt(token))
		return false;
	first = memchr(token.ptr, '.', token.len);
	second = memchr(first + 1, '.', token.len - (size_t)(first + 1 - token.ptr));
	ret_parts->header = span_of(token.ptr, (size_t)(first - token.ptr));
	ret_parts->claims = span_of(first + 1, (size_t)(second - first) - 1);
	ret_parts->text = span_of(token.ptr, (size_t)(second - token.ptr));
	ret_parts->mac = span_skip(token, ret_parts->text.len + 1);
	return true;
}

/* The secret that the header names, when it is one this header may name. */
static const struct access_secret *
header_secret(const struct access *access, struct span part, int64_t now_ms)
{
	struct json_object *header = part_parse(part, HEADER_BYTES_MAX, 3);
	const struct access_secret *secret = NULL;
	struct json_object *crit;
	struct span kid;
	uint64_t id;

	if (header == NULL)
		return NULL;
	kid = text_of(header, "kid");
	if (span_eq(text_of(header, "alg"), SPAN("HS256")) &&
	    !json_object_object_get_ex(header, "crit", &crit) && kid.len && kid.ptr[0] != '0' &&
	    num_parse_u64(kid, &id) == 0)
		secret = access_secret_find(access, id, now_ms);
	json_object_put(header);
	return secret;
}

static bool
signature_holds(const struct access_secret *secret, const struct parts *parts)
{
	unsigned char mac[crypto_auth_hmacsha256_BYTES], given[sizeof(mac)];
	size_t len;

	if (sodium_base642bin(given, sizeof(given), parts->mac.ptr, parts->mac.len, NULL, &len,
	    NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) || len != sizeof(given))
		return false;
	sign(secret, parts->text, mac);
	return access_secret_equal(span_of((const char *)mac, sizeof(mac)),
	    span_of((const char *)given, sizeof(given)));
}

/* A principal for a token that was not seen before. */
static struct access_principal *
principal_of(struct access *access, const struct access_secret *secret,
    const struct parts *parts, int64_t now_ms)
{
	struct json_object *claims = part_parse(parts->claims, ACCESS_JWT_BYTES_MAX, DEPTH_MAX);
	struct access_principal *principal = NULL;
	int64_t expires_ms;

	if (claims && times_hold(claims, now_ms, &expires_ms)) {
		principal = secret->kind == STORE_SECRET_USER ? person_create(access, claims) :
		    subscriber_create(secret, claims);
		if (principal)
			principal->expires_ms = secret->expires_ms ?
			    MIN(expires_ms, secret->expires_ms) : expires_ms;
	}
	json_object_put(claims);
	return principal;
}

struct access_principal *
access_authenticate_jwt(struct access *access, struct span text, int64_t now_ms)
{
	unsigned char hash[ACCESS_HASH_BYTES];
	const struct access_secret *secret;
	struct access_principal *principal;
	struct token *token;
	struct parts parts;

	if (!token_split(text, &parts))
		return NULL;
	access_key_hash(access->secret, text, hash);
	token = map_get(&access->tokens, token_slot(hash), token_has_hash, hash);
	if (token && now_ms < token->principal->expires_ms)
		return access_principal_ref(token->principal);
	if (token)
		return NULL;
	secret = header_secret(access, parts.header, now_ms);
	if (secret == NULL || !signature_holds(secret, &parts))
		return NULL;
	principal = principal_of(access, secret, &parts, now_ms);
	return principal ? token_keep(access, hash, sizeof(hash), secret->id, principal) : NULL;
}
