/*
 * ws.c: heads and masks of WebSocket frames (RFC 6455 section 5.2).
 *
 *   byte 0: fin rsv1 rsv2 rsv3 opcode(4)   byte 1: mask len(7)
 *   len 126: 2 bytes of length follow, 127: 8 bytes, big-endian; then 4 bytes of mask, if any
 */
#include "ws.h"

#include <endian.h>
#include <errno.h>

enum {
	FIN = 0x80,
	RSV1 = 0x40,
	RSV23 = 0x30,
	OPCODE = 0x0f,
	MASKED = 0x80,
	LEN = 0x7f,
	LEN_16 = 126,
	LEN_64 = 127,
};

static uint64_t
read_big_endian(const uint8_t *p, size_t bytes)
{
	uint64_t value = 0;
	while (bytes-- > 0)
		value = value << 8 | *p++;
	return value;
}

/* How many bytes of length follow the first two of a head. */
static size_t
length_bytes(uint8_t len)
{
	return len == LEN_64 ? 8 : len == LEN_16 ? 2 : 0;
}

/* What is wrong with the part of a head that is there, or NULL. */
static const char *
find_fault(const uint8_t *p, size_t len, bool rsv1_allowed)
{
	if (len == 0)
		return NULL;
	unsigned opcode = p[0] & OPCODE;
	bool control = opcode >= WS_CLOSE;
	if (opcode > WS_PONG || (opcode > WS_BINARY && !control))
		return "a frame with an unknown opcode";
	if (p[0] & RSV23)
		return "a frame with reserved bits";
	if (p[0] & RSV1 && (!rsv1_allowed || control || opcode == WS_CONTINUATION))
		return "a frame with the compression bit where it may not stand";
	if (control && !(p[0] & FIN))
		return "a control frame in fragments";
	if (len < 2)
		return NULL;
	uint8_t short_len = p[1] & LEN;
	if (control && short_len >= LEN_16)
		return "a control frame longer than 125 bytes";
	size_t more = length_bytes(short_len);
	if (len < 2 + more)
		return NULL;
	uint64_t long_len = read_big_endian(p + 2, more);
	if (more && long_len < (more == 2 ? LEN_16 : UINT16_MAX + 1))
		return "a frame whose length is not written in the shortest form";
	if (long_len > INT64_MAX)
		return "a frame whose length has its highest bit set";
	return NULL;
}

const char *
ws_head_reason(struct span in, bool rsv1_allowed)
{
	return find_fault((const uint8_t *)in.ptr, in.len, rsv1_allowed);
}

ssize_t
ws_parse_head(struct span in, bool rsv1_allowed, struct ws_frame *ret_frame)
{
	const uint8_t *p = (const uint8_t *)in.ptr;
	if (find_fault(p, in.len, rsv1_allowed))
		return -EBADMSG;
	if (in.len < 2)
		return 0;
	uint8_t short_len = p[1] & LEN;
	bool masked = p[1] & MASKED;
	size_t more = length_bytes(short_len), bytes = 2 + more + (masked ? 4 : 0);
	if (in.len < bytes)
		return 0;
	*ret_frame = (struct ws_frame){
	    .fin = p[0] & FIN,
	    .rsv1 = p[0] & RSV1,
	    .opcode = p[0] & OPCODE,
	    .masked = masked,
	    .len = more ? read_big_endian(p + 2, more) : short_len,
	};
	if (masked)
		memcpy(ret_frame->mask, p + 2 + more, 4);
	return (ssize_t)bytes;
}

void
ws_unmask(const uint8_t mask[4], uint64_t offset, char *bytes, size_t len)
{
	uint8_t turned[8];
	for (size_t i = 0; i < sizeof(turned); i++)
		turned[i] = mask[(offset + i) % 4];
	uint64_t wide_mask, wide;
	memcpy(&wide_mask, turned, sizeof(wide_mask));
	size_t i = 0;
	for (; len - i >= sizeof(wide); i += sizeof(wide)) {
		memcpy(&wide, bytes + i, sizeof(wide));
		wide ^= wide_mask;
		memcpy(bytes + i, &wide, sizeof(wide));
	}
	for (; i < len; i++)
		bytes[i] = (char)(bytes[i] ^ turned[i % 8]);
}

size_t
ws_write_head(char ret_head[WS_HEAD_BYTES_MAX], enum ws_opcode opcode, bool fin, bool rsv1,
    uint64_t len, const uint8_t *mask)
{
	uint8_t short_len = len < LEN_16 ? (uint8_t)len : len <= UINT16_MAX ? LEN_16 : LEN_64;
	size_t more = length_bytes(short_len), bytes = 2;
	ret_head[0] = (char)((fin ? FIN : 0) | (rsv1 ? RSV1 : 0) | (int)opcode);
	ret_head[1] = (char)((mask ? MASKED : 0) | short_len);
	uint64_t wide = htobe64(len);
	memcpy(ret_head + bytes, (const char *)&wide + (sizeof(wide) - more), more);
	bytes += more;
	if (!mask)
		return bytes;
	memcpy(ret_head + bytes, mask, 4);
	return bytes + 4;
}

bool
ws_close_code_valid(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1011) ||
	    (code >= 3000 && code <= 4999);
}
