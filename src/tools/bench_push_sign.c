/*
 * bench_push_sign.c: a JWT for each subscriber, as an application signs them (RFC 7519, HS256).
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "bench_push.h"
#include "check.h"

enum { TEXT_BYTES_MAX = 512 };

#define EXPIRES_S INT64_C(4102444800) /* the year 2100 */

static void
append_base64(struct buf *out, const void *bytes, size_t len)
{
	char text[sodium_base64_ENCODED_LEN(TEXT_BYTES_MAX, 0)];
	check(len <= TEXT_BYTES_MAX);
	sodium_bin2base64(text, sizeof(text), bytes, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	buf_append_str(out, text);
}

void
bench_push_sign(struct buf *out, const char *secret, const char *channel)
{
	char header[64], claims[TEXT_BYTES_MAX];
	int header_len = snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"kid\":\"%d\"}",
	    BENCH_SECRET_ID);
	int claims_len = snprintf(claims, sizeof(claims), "{\"aud\":\"weir\",\"sub\":\"%s\","
	    "\"exp\":%lld,\"weir\":{\"subscribe\":[\"%s\"]}}", channel, (long long)EXPIRES_S,
	    channel);
	size_t begin = out->len;
	append_base64(out, header, (size_t)header_len);
	buf_append_byte(out, '.');
	append_base64(out, claims, (size_t)claims_len);

	unsigned char mac[crypto_auth_hmacsha256_BYTES];
	crypto_auth_hmacsha256_state state;
	crypto_auth_hmacsha256_init(&state, (const unsigned char *)secret, strlen(secret));
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)out->ptr + begin,
	    out->len - begin);
	crypto_auth_hmacsha256_final(&state, mac);
	buf_append_byte(out, '.');
	append_base64(out, mac, sizeof(mac));
}
