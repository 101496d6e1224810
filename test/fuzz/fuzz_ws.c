/*
 * fuzz_ws.c: a stream of WebSocket frames. Holds: a head that is taken is the only way to write
 * it, a cut one asks for more, masking twice changes nothing however it is cut.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "ws.h"

static void
check_head(struct span in, bool rsv1_allowed, const struct ws_frame *frame, size_t bytes)
{
	char head[WS_HEAD_BYTES_MAX];
	struct ws_frame cut;
	size_t len = ws_write_head(head, (enum ws_opcode)frame->opcode, frame->fin, frame->rsv1,
	    frame->len, frame->masked ? frame->mask : NULL);
	check(len == bytes && memcmp(head, in.ptr, len) == 0);
	for (size_t i = 0; i < bytes; i++)
		check(ws_parse_head(span_of(in.ptr, i), rsv1_allowed, &cut) == 0);
	check(!ws_head_reason(in, rsv1_allowed));
}

static void
check_masking(const struct ws_frame *frame, struct span payload)
{
	char *once = malloc(payload.len + 1), *cut = malloc(payload.len + 1);
	check(once && cut);
	if (payload.len > 0) {
		memcpy(once, payload.ptr, payload.len);
		memcpy(cut, payload.ptr, payload.len);
	}
	size_t first = payload.len / 3;
	ws_unmask(frame->mask, 0, once, payload.len);
	ws_unmask(frame->mask, 0, cut, first);
	ws_unmask(frame->mask, first, cut + first, payload.len - first);
	check(memcmp(once, cut, payload.len) == 0);
	ws_unmask(frame->mask, 0, once, payload.len);
	check(payload.len == 0 || memcmp(once, payload.ptr, payload.len) == 0);
	free(once);
	free(cut);
}

static void
check_stream(struct span in, bool rsv1_allowed)
{
	for (;;) {
		struct ws_frame frame;
		ssize_t bytes = ws_parse_head(in, rsv1_allowed, &frame);
		check((bytes < 0) == (ws_head_reason(in, rsv1_allowed) != NULL));
		if (bytes < 0)
			check(bytes == -EBADMSG);
		if (bytes <= 0)
			break;
		check((size_t)bytes <= in.len);
		check_head(in, rsv1_allowed, &frame, (size_t)bytes);
		in = span_skip(in, (size_t)bytes);
		struct span payload = span_of(in.ptr, MIN(in.len, frame.len));
		if (frame.masked)
			check_masking(&frame, payload);
		in = span_skip(in, payload.len);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct span in = span_of((const char *)bytes, size);
	char accept[WS_ACCEPT_BYTES];
	if (size == 0)
		return 0;
	check_stream(in, false);
	check_stream(in, true);
	struct span key = span_of(in.ptr, MIN(in.len, 24u));
	if (ws_key_valid(key))
		ws_accept(key, accept);
	return 0;
}
