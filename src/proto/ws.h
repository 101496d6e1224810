/*
 * ws.h: WebSocket frames (RFC 6455). No I/O, no allocation, nothing kept but the parser's state.
 */
#ifndef WEIR_WS_H
#define WEIR_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "span.h"

enum ws_opcode {
	WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10
};

#define WS_HEAD_BYTES_MAX 14
#define WS_ACCEPT_BYTES 28

/* The value of Sec-WebSocket-Accept for a key (no NUL). */
void ws_accept(struct span key, char ret_accept[WS_ACCEPT_BYTES]);

/* Whether a Sec-WebSocket-Key is 16 bytes in base64. */
bool ws_key_valid(struct span key);

/* What to answer when permessage-deflate was offered so that it can be taken. */
#define WS_DEFLATE_ANSWER \
	"permessage-deflate; server_no_context_takeover; client_no_context_takeover"

/* Whether a value of Sec-WebSocket-Extensions has an offer that this answer fits. */
bool ws_deflate_offered(struct span offers);

struct ws_frame {
	bool fin, rsv1;
	uint8_t opcode;
	bool masked;
	uint8_t mask[4];
	uint64_t len; /* of the payload */
};

/* > 0: bytes of the head. 0: more input needed. -EBADMSG: reserved bits or opcode, fragmented or
 * long control frame, length not minimal or 2^63 and more. `rsv1_allowed`: compression negotiated
 * (never allowed in control and continuation frames, RFC 7692). */
ssize_t ws_parse_head(struct span in, bool rsv1_allowed, struct ws_frame *ret_frame);

/* After -EBADMSG for the same input: a sentence that names place and reason. Else NULL. */
const char *ws_head_reason(struct span in, bool rsv1_allowed);

/* Unmasks in place; `offset` is how much of the payload came before. */
void ws_unmask(const uint8_t mask[4], uint64_t offset, char *bytes, size_t len);

/* A head: its length. Servers do not mask (`mask` NULL), clients do. */
size_t ws_write_head(char ret_head[WS_HEAD_BYTES_MAX], enum ws_opcode opcode, bool fin, bool rsv1,
    uint64_t len, const uint8_t *mask);

/* Whether a close code may come from a peer: 1000-1003, 1007-1011, 3000-4999. */
bool ws_close_code_valid(unsigned code);

#endif
