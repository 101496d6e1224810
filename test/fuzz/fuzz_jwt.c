/*
 * fuzz_jwt.c: tokens before an index with two signing secrets, the node's own for persons and an
 * application's. The first byte says what the rest is: a token as it is, or "HEADER\nCLAIMS" that
 * are signed here with one of the secrets or with neither. Holds: whoever is let in has a token
 * whose signature HMAC-SHA-256 of libsodium confirms, with a secret that may sign for him; he has
 * no right that his kind never has; and no change of one character of it is let in.
 */
#include <sodium.h>
#include <string.h>

#include "access_registry.h"
#include "check.h"
#include "env.h"
#include "registry.h"

enum { TOKEN_BYTES_MAX = 4096 };

#define NOW_MS INT64_C(1700000000000)
#define USER_KEY "the node's own secret"
#define APPLICATION_KEY "application's secret of 43 characters or so"

static const unsigned char node_secret[32] = "thirty-two bytes of node secret";

static void
secret_put(struct env *env, struct access *access, uint64_t id, enum store_secret_kind kind,
    struct span tenant, struct span text)
{
	unsigned char sealed[ACCESS_SEALED_BYTES_MAX];
	struct store_secret row = {.id = id, .kind = kind, .tenant = tenant, .name = SPAN("s"),
	    .version = 1};
	struct access_secret *secret;

	row.sealed = span_of((const char *)sealed,
	    access_seal(env, node_secret, &row, text, sealed));
	check(access_secret_create(node_secret, &row, &secret) == 0);
	check(access_secret_put(access, secret) == 0);
	access_secret_unref(secret);
}

static struct access *
index_create(void)
{
	struct store_user ana = {.id = 3, .tenant = SPAN("main"), .name = SPAN("ana"),
	    .permission = STORE_USER, .generation = 1, .version = 1};
	struct env *env = env_create();
	struct access *access;

	check(env && access_create(node_secret, &access) == 0);
	secret_put(env, access, 1, STORE_SECRET_USER, SPAN("main"), SPAN(USER_KEY));
	secret_put(env, access, 5, STORE_SECRET_APPLICATION, SPAN("acme"), SPAN(APPLICATION_KEY));
	check(access_user_put(access, &ana) == 0);
	env_destroy(env);
	return access;
}

static void
hmac(struct span key, struct span text, unsigned char ret_mac[32])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, (const unsigned char *)key.ptr, key.len);
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)text.ptr, text.len);
	crypto_auth_hmacsha256_final(&state, ret_mac);
}

static void
append_base64(char *text, size_t *len, const void *bytes, size_t count)
{
	check(sodium_bin2base64(text + *len, TOKEN_BYTES_MAX - *len, bytes, count,
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING));
	*len += strlen(text + *len);
}

/* "HEADER\nCLAIMS" as a token that `key` signed. */
static struct span
token_sign(struct span script, struct span key, char text[TOKEN_BYTES_MAX])
{
	const char *lf = script.len ? memchr(script.ptr, '\n', script.len) : NULL;
	size_t header_len = lf ? (size_t)(lf - script.ptr) : script.len, len = 0;
	unsigned char mac[32];

	append_base64(text, &len, script.ptr, header_len);
	text[len++] = '.';
	script = span_skip(script, MIN(header_len + 1, script.len));
	append_base64(text, &len, script.ptr, script.len);
	hmac(key, span_of(text, len), mac);
	text[len++] = '.';
	append_base64(text, &len, mac, sizeof(mac));
	return span_of(text, len);
}

static bool
is_signed(struct span token, struct span key)
{
	const char *dot = memrchr(token.ptr, '.', token.len);
	struct span given = span_skip(token, (size_t)(dot + 1 - token.ptr));
	unsigned char mac[32], want[32];
	size_t len;

	hmac(key, span_of(token.ptr, (size_t)(dot - token.ptr)), want);
	return sodium_base642bin(mac, sizeof(mac), given.ptr, given.len, NULL, &len, NULL,
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 && len == sizeof(mac) &&
	    memcmp(mac, want, sizeof(mac)) == 0;
}

static void
check_principal(const struct access_principal *principal, struct span token)
{
	const uint32_t person = ACCESS_READ | ACCESS_SUBSCRIBE;
	const uint32_t subscriber = ACCESS_SUBSCRIBE | ACCESS_PUBLISH;

	check(principal->expires_ms > NOW_MS && !principal->revoked);
	if (principal->kind == ACCESS_PERSON) {
		check(is_signed(token, SPAN(USER_KEY)));
		check(principal->id == 3 && span_eq(principal->tenant, SPAN("main")));
		check((principal->rights & ~person) == 0 && principal->limited);
	} else {
		check(principal->kind == ACCESS_SUBSCRIBER);
		check(is_signed(token, SPAN(APPLICATION_KEY)));
		check(principal->id == 5 && span_eq(principal->tenant, SPAN("acme")));
		check((principal->rights & ~subscriber) == 0);
	}
}

/* Each character changed in one bit, which is another one in each place. */
static void
check_altered(struct access *access, struct span token, unsigned salt)
{
	char text[TOKEN_BYTES_MAX];

	memcpy(text, token.ptr, token.len);
	for (size_t i = salt % 7; i < token.len; i += 7) {
		char bit = (char)(1 << ((i + salt) % 7));

		text[i] ^= bit;
		check(!access_authenticate_jwt(access, span_of(text, token.len), NOW_MS));
		text[i] ^= bit;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const keys[] = {
		USER_KEY, APPLICATION_KEY, "another one",
	};
	char text[TOKEN_BYTES_MAX];
	struct access_principal *principal, *again;
	struct access *access;
	struct span token;

	if (size < 2 || size > TOKEN_BYTES_MAX / 2)
		return 0;
	token = span_of((const char *)data + 1, size - 1);
	if (data[0] % 4 < ARRAY_COUNT(keys))
		token = token_sign(token, span_str(keys[data[0] % 4]), text);
	access = index_create();
	principal = access_authenticate_jwt(access, token, NOW_MS);
	if (principal) {
		check_principal(principal, token);
		again = access_authenticate_jwt(access, token, NOW_MS);
		check(again == principal);
		access_principal_unref(again);
		check_altered(access, token, data[0]);
		check(!access_authenticate_jwt(access, token, principal->expires_ms));
		access_user_remove(access, 3);
		access_secret_remove(access, 5);
		check(principal->revoked);
		check(!access_authenticate_jwt(access, token, NOW_MS));
	}
	access_principal_unref(principal);
	access_destroy(access);
	return 0;
}
