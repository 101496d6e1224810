/*
 * access_credentials.c: keys as secrets: made, hashed, compared; credentials as requests bring
 * them, and whose they are.
 *
 * A key is 32 random bytes as base64url. What is kept of it is BLAKE2b-256 keyed with the node's
 * secret (RFC 7693; libsodium's crypto_generichash), so a copied weir.db neither shows a key nor
 * lets one be tried. A slow hash is for what people think up; this has 256 bits of chance.
 */
#include <sodium.h>
#include <string.h>

#include "access_registry.h"
#include "check.h"

#define KEY_RAW_BYTES 32

_Static_assert(ACCESS_KEY_BYTES + 1 == sodium_base64_ENCODED_LEN(KEY_RAW_BYTES,
    sodium_base64_VARIANT_URLSAFE_NO_PADDING), "a key's text and a NUL");
_Static_assert(ACCESS_HASH_BYTES == crypto_generichash_BYTES, "BLAKE2b-256");

void
access_key_generate(struct env *env, char ret_key[ACCESS_KEY_BYTES])
{
	unsigned char raw[KEY_RAW_BYTES];
	char text[ACCESS_KEY_BYTES + 1];

	env_random(env, raw, sizeof(raw));
	sodium_bin2base64(text, sizeof(text), raw, sizeof(raw),
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	memcpy(ret_key, text, ACCESS_KEY_BYTES);
	sodium_memzero(raw, sizeof(raw));
	sodium_memzero(text, sizeof(text));
}

void
access_key_hash(const unsigned char secret[32], struct span key,
    unsigned char ret_hash[ACCESS_HASH_BYTES])
{
	/* Fails only for lengths outside BLAKE2b's, and these are constants. */
	check(crypto_generichash(ret_hash, ACCESS_HASH_BYTES, (const unsigned char *)key.ptr,
	    key.len, secret, 32) == 0);
}

bool
access_secret_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || sodium_memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ── the Authorization header (RFC 9110, 11.4; RFC 6750, 2.1; RFC 7617) ── */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Splits "Scheme  value " into its two words; the value has no blank or control inside. */
static bool
header_split(struct span header, struct span *ret_scheme, struct span *ret_value)
{
	size_t len = 0;
	struct span rest;

	while (header.len && is_blank(header.ptr[0]))
		header = span_skip(header, 1);
	while (header.len && is_blank(header.ptr[header.len - 1]))
		header.len--;
	while (len < header.len && !is_blank(header.ptr[len]))
		len++;
	rest = span_skip(header, len);
	while (rest.len && is_blank(rest.ptr[0]))
		rest = span_skip(rest, 1);
	if (len == 0 || rest.len == 0)
		return false;
	for (size_t i = 0; i < rest.len; i++) {
		if (rest.ptr[i] <= ' ' || rest.ptr[i] >= 0x7f)
			return false;
	}
	*ret_scheme = span_of(header.ptr, len);
	*ret_value = rest;
	return true;
}

/* Standard or URL alphabet, with or without padding; the whole of it must be well formed. */
static bool
base64_decode(struct span text, char *bytes, size_t size, size_t *ret_len)
{
	if (text.len == 0 || size == 0)
		return false;
	bool padded = text.ptr[text.len - 1] == '=';
	bool url = memchr(text.ptr, '-', text.len) || memchr(text.ptr, '_', text.len);
	int variant = url ?
	    (padded ? sodium_base64_VARIANT_URLSAFE : sodium_base64_VARIANT_URLSAFE_NO_PADDING) :
	    (padded ? sodium_base64_VARIANT_ORIGINAL : sodium_base64_VARIANT_ORIGINAL_NO_PADDING);

	return sodium_base642bin((unsigned char *)bytes, size, text.ptr, text.len, NULL, ret_len,
	    NULL, variant) == 0;
}

/* "user:password" in base64. */
static bool
basic_read(struct span text, char *scratch, size_t scratch_size, struct span *ret_user,
    struct span *ret_password)
{
	struct span password;
	const char *colon;
	size_t len;

	if (!base64_decode(text, scratch, scratch_size, &len))
		goto fail;
	colon = len ? memchr(scratch, ':', len) : NULL;
	if (colon == NULL)
		goto fail;
	password = span_skip(span_of(scratch, len), (size_t)(colon - scratch) + 1);
	if (password.len == 0)
		goto fail;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)scratch[i] < ' ' || scratch[i] == 0x7f)
			goto fail;
	}
	*ret_user = span_of(scratch, (size_t)(colon - scratch));
	*ret_password = password;
	return true;

fail:
	sodium_memzero(scratch, scratch_size); /* no half-read secret stays about */
	return false;
}

bool
access_header_read(struct span header, char *scratch, size_t scratch_size, struct span *ret_user,
    struct span *ret_secret)
{
	struct span scheme, value;

	if (!header_split(header, &scheme, &value))
		return false;
	if (span_eq_nocase(scheme, SPAN("Bearer")) || span_eq_nocase(scheme, SPAN("Token"))) {
		*ret_user = span_of(NULL, 0);
		*ret_secret = value;
		return true;
	}
	if (span_eq_nocase(scheme, SPAN("Basic")))
		return basic_read(value, scratch, scratch_size, ret_user, ret_secret);
	return false;
}

/* ── who has them ── */

struct access_principal *
access_authenticate_credential(struct access *access, struct span credential, int64_t now_ms)
{
	if (access_is_jwt(credential))
		return access_authenticate_jwt(access, credential, now_ms);
	return access_authenticate(access, credential);
}

struct access_principal *
access_authenticate_basic(struct access *access, struct span user, struct span password)
{
	if (span_starts(user, SPAN("gateway-")) || span_starts(user, SPAN("device-")))
		return access_authenticate_pair(access, user, password);
	return access_authenticate(access, password);
}

struct access_principal *
access_authenticate_header(struct access *access, struct span header, int64_t now_ms)
{
	char scratch[ACCESS_BASIC_BYTES_MAX];
	struct access_principal *principal;
	struct span user, secret;

	if (!access_header_read(header, scratch, sizeof(scratch), &user, &secret))
		return NULL;
	if (user.ptr == NULL)
		return access_authenticate_credential(access, secret, now_ms);
	principal = access_authenticate_basic(access, user, secret);
	sodium_memzero(scratch, sizeof(scratch));
	return principal;
}
