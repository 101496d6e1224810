/*
 * ws_accept.c: the answer to a WebSocket key: base64(SHA-1(key + GUID)), RFC 6455 section 4.2.2.
 *
 * SHA-1 (RFC 3174) is here for this alone: the protocol asks for it, nothing secret hangs on it.
 * A key is at most KEY_BYTES_MAX long, so the message is at most two blocks, padded in place.
 */
#include "base64.h"
#include "check.h"
#include "ws.h"

enum {
	BLOCK_BYTES = 64,
	DIGEST_BYTES = 20,
	KEY_TEXT_BYTES = 24,
	KEY_BYTES = 16,
	/* 0x80 and eight bytes of length follow key and GUID. */
	KEY_BYTES_MAX = 2 * BLOCK_BYTES - 36 - 9,
};

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

static uint32_t
rotate_left(uint32_t x, unsigned bits)
{
	return x << bits | x >> (32 - bits);
}

static void
sha1_block(uint32_t hash[5], const uint8_t *block)
{
	uint32_t w[80];
	for (unsigned t = 0; t < 16; t++)
		w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
		    (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
	for (unsigned t = 16; t < 80; t++)
		w[t] = rotate_left(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
	uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];
	for (unsigned t = 0; t < 80; t++) {
		uint32_t f, k;
		if (t < 20)
			f = (b & c) | (~b & d), k = 0x5a827999;
		else if (t < 40)
			f = b ^ c ^ d, k = 0x6ed9eba1;
		else if (t < 60)
			f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
		else
			f = b ^ c ^ d, k = 0xca62c1d6;
		uint32_t next = rotate_left(a, 5) + f + e + w[t] + k;
		e = d;
		d = c;
		c = rotate_left(b, 30);
		b = a;
		a = next;
	}
	hash[0] += a;
	hash[1] += b;
	hash[2] += c;
	hash[3] += d;
	hash[4] += e;
}

void
ws_accept(struct span key, char ret_accept[WS_ACCEPT_BYTES])
{
	uint32_t hash[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	uint8_t message[2 * BLOCK_BYTES] = {0};
	check(key.len <= KEY_BYTES_MAX);
	if (key.len > 0)
		memcpy(message, key.ptr, key.len);
	memcpy(message + key.len, guid, sizeof(guid) - 1);
	size_t len = key.len + sizeof(guid) - 1;
	message[len] = 0x80;
	size_t blocks = len + 9 <= BLOCK_BYTES ? 1 : 2;
	/* At most 127 bytes: the bits of the length fit the last two bytes. */
	message[blocks * BLOCK_BYTES - 2] = (uint8_t)(len * 8 >> 8);
	message[blocks * BLOCK_BYTES - 1] = (uint8_t)(len * 8);
	for (size_t i = 0; i < blocks; i++)
		sha1_block(hash, message + i * BLOCK_BYTES);
	char digest[DIGEST_BYTES];
	for (unsigned i = 0; i < DIGEST_BYTES; i++)
		digest[i] = (char)(hash[i / 4] >> (24 - 8 * (i % 4)));
	size_t written = base64_encode(span_of(digest, sizeof(digest)), false, ret_accept);
	check(written == WS_ACCEPT_BYTES);
}

bool
ws_key_valid(struct span key)
{
	char bytes[KEY_TEXT_BYTES / 4 * 3 + 3];
	return key.len == KEY_TEXT_BYTES && base64_decode(key, false, bytes) == KEY_BYTES;
}
