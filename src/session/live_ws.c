/*
 * live_ws.c: WebSocket (RFC 6455): handshake, frames, pings, closing.
 *
 * Invariants: after a close frame nothing is sent; a message is handled when its last frame is
 * complete, one frame a call, so what it causes (a pause, the end) holds for the next; memory for
 * input exists only while a message is arriving.
 */
#include "live_ws.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "deflate.h"
#include "hash.h"
#include "utf8.h"

enum {
	TOKEN_MS = 10 * 1000,
	CLOSE_TEXT_BYTES_MAX = 123,
	WHOLE_BYTES_MAX = 16 * 1024, /* a loop keeps so much for frames */
};

/* ── sending ── */

static void
send_frame(struct live_ws *ws, enum ws_opcode opcode, struct span payload)
{
	char head[WS_HEAD_BYTES_MAX];
	struct buf *out = &ws->live.sessions->scratch;
	size_t before = out->len;
	buf_append(out, head, ws_write_head(head, opcode, true, false, payload.len, NULL));
	buf_append_span(out, payload);
	if (buf_ok(out))
		live_send(&ws->live, span_skip(buf_span(out), before));
	else
		net_close(ws->live.conn, NET_CLOSE_MEMORY);
	out->len = before;
}

void
live_ws_send_text(struct live_ws *ws, struct span text)
{
	if (ws->state != LIVE_WS_OVER)
		send_frame(ws, WS_TEXT, text);
}

void
live_ws_close(struct live_ws *ws, unsigned code, enum net_close_reason reason, const char *text)
{
	if (ws->state == LIVE_WS_OVER)
		return;
	if (ws->state == LIVE_WS_WAIT) {
		live_refuse(&ws->live, reason);
	} else {
		char payload[2 + CLOSE_TEXT_BYTES_MAX];
		size_t len = MIN(strlen(text), (size_t)CLOSE_TEXT_BYTES_MAX);
		payload[0] = (char)(code >> 8);
		payload[1] = (char)(code & 255);
		memcpy(payload + 2, text, len);
		send_frame(ws, WS_CLOSE, span_of(payload, 2 + len));
	}
	ws->state = LIVE_WS_OVER;
	net_finish(ws->live.conn, reason);
}

/* Room for the longest head, in front of a payload whose length is not known yet. */
static int
begin_text(struct buf *out)
{
	int error = buf_reserve(out, WS_HEAD_BYTES_MAX);
	if (!error)
		out->len += WS_HEAD_BYTES_MAX;
	return error;
}

/* The payload, all from `begin` on but for that room, is there: it moves up to its head. */
static void
end_text(struct buf *out, size_t begin)
{
	char head[WS_HEAD_BYTES_MAX], *to = out->ptr + begin;
	size_t len = out->len - begin - WS_HEAD_BYTES_MAX;
	size_t head_len = ws_write_head(head, WS_TEXT, true, false, len, NULL);
	memmove(to + head_len, to + WS_HEAD_BYTES_MAX, len);
	memcpy(to, head, head_len);
	out->len = begin + head_len + len;
}

struct buf *
live_ws_text_begin(struct live_ws *ws)
{
	struct buf *out = &ws->live.sessions->scratch;
	begin_text(out);
	return out;
}

void
live_ws_text_end(struct live_ws *ws)
{
	struct buf *out = &ws->live.sessions->scratch;
	if (!buf_ok(out)) {
		net_close(ws->live.conn, NET_CLOSE_MEMORY);
	} else if (ws->state != LIVE_WS_OVER) {
		end_text(out, 0);
		live_send(&ws->live, buf_span(out));
	}
	buf_clear(out);
}

static int
append_text(struct buf *out, bool deflated, struct span payload)
{
	char head[WS_HEAD_BYTES_MAX];
	int error = buf_append(out, head,
	    ws_write_head(head, WS_TEXT, true, deflated, payload.len, NULL));
	return error ? error : buf_append_span(out, payload);
}

static int
encode(const struct hub_message *message, uint64_t channels, struct buf *out)
{
	size_t begin = out->len;
	int error = begin_text(out);
	if (!error)
		error = hub_message_json(message, channels, out);
	if (!error)
		end_text(out, begin);
	else
		out->len = begin;
	return error;
}

/* As it is, where compression makes it no shorter. */
static int
encode_deflated(const struct hub_message *message, uint64_t channels, struct buf *out)
{
	struct buf json, packed;
	buf_init(&json, 0);
	buf_init(&packed, 0);
	int error = hub_message_json(message, channels, &json);
	if (!error)
		error = deflate_pack(buf_span(&json), &packed);
	bool shorter = packed.len < json.len;
	if (!error)
		error = append_text(out, shorter, shorter ? buf_span(&packed) : buf_span(&json));
	buf_finish(&packed);
	buf_finish(&json);
	return error;
}

/* Pings come after ws_ping_ms of silence, less up to a quarter of it, a share of each connection's
 * own: so what a broadcast brought into step does not ping in step. */
static uint64_t
ping_at(const struct live_ws *ws)
{
	unsigned ping_ms = ws->live.sessions->settings.ws_ping_ms;
	uint64_t address = (uint64_t)(uintptr_t)ws;
	uint64_t share = hash64(span_of((const char *)&address, sizeof(address)), 0) & 0xffff;
	return ws->live.sent_ms + ping_ms - share * (ping_ms / 4) / 0x10000;
}

static void
arm(struct live_ws *ws)
{
	net_set_deadline(ws->live.conn, ping_at(ws));
}

/* ── what is said ── */

struct live_ws_talk *
live_ws_talk_get(struct live_ws *ws)
{
	if (ws->talk)
		return ws->talk;
	struct live_ws_talk *talk = calloc(1, sizeof(*talk));
	if (!talk)
		return NULL;
	list_init(&talk->errands);
	ws->talk = talk;
	return talk;
}

void
live_ws_talk_trim(struct live_ws *ws)
{
	const struct live_ws_talk *talk = ws->talk;
	if (!talk || talk->opening || talk->input.here || talk->acks || talk->guest ||
	    !list_empty(&talk->errands))
		return;
	check(talk->publish_count == 0 && !talk->looking);
	free(ws->talk);
	ws->talk = NULL;
}

/* ── opening ── */

static void
forget_opening(struct live_ws *ws)
{
	struct live_ws_opening *opening = ws->talk ? ws->talk->opening : NULL;
	if (!opening)
		return;
	free(opening->patterns);
	free(opening);
	ws->talk->opening = NULL;
}

static void
send_head(struct live_ws *ws)
{
	const struct live_ws_opening *opening = ws->talk->opening;
	live_send(&ws->live, span_of(opening->head, opening->head_len));
}

void
live_ws_opened(struct live_ws *ws)
{
	ws->state = LIVE_WS_OPEN;
	forget_opening(ws);
	live_ws_talk_trim(ws);
	arm(ws);
	net_retry_input(ws->live.conn);
}

static void
try_open(struct live_ws *ws)
{
	struct live *live = &ws->live;
	if (ws->state != LIVE_WS_WAIT || !live->conn || live->sink.waiting)
		return;
	send_head(ws);
	live_ws_opened(ws);
}

static void
start(struct live *live)
{
	struct live_ws *ws = live_ws_of(live);
	net_set_deadline(live->conn, live->sent_ms + live->sessions->settings.head_ms);
	if (ws->state == LIVE_WS_TOKEN) {
		send_head(ws);
		net_set_deadline(live->conn, live->sent_ms + TOKEN_MS);
	} else {
		try_open(ws);
	}
}

/* With the first of the past, for then every subscription is in force or silent. */
static void
open_for_past(struct live_ws *ws)
{
	struct live *live = &ws->live;
	if (ws->state != LIVE_WS_WAIT || !live->conn || !live->pasts)
		return;
	send_head(ws);
	live_ws_opened(ws);
}

static void
deliver(struct sink *sink, struct hub_message *message, uint64_t channels)
{
	struct live_ws *ws = CONTAINER_OF(sink, struct live_ws, live.sink);
	open_for_past(ws);
	if (ws->state == LIVE_WS_OPEN)
		live_deliver(&ws->live, message, channels);
}

static int
send_message(struct live *live, struct hub_message *message, uint64_t channels)
{
	const struct live_ws *ws = live_ws_of(live);
	if (ws->state != LIVE_WS_OPEN)
		return 0;
	if (ws->deflate && message->data.len >= ws->live.sessions->settings.ws_deflate_bytes_min)
		return live_send_form(live, message, HUB_FORM_WS_DEFLATE, channels,
		    encode_deflated);
	return live_send_form(live, message, HUB_FORM_WS, channels, encode);
}

static void
say_gap(struct live *live)
{
	live_ws_send_text(live_ws_of(live), SPAN("{\"gap\":true}"));
}

static void
too_slow(struct live *live, uint64_t seq)
{
	char text[64];
	snprintf(text, sizeof(text), "too slow; resume with since=m%llu", (unsigned long long)seq);
	live_ws_close(live_ws_of(live), LIVE_WS_CODE_SLOW, NET_CLOSE_OVERFLOW, text);
}

/* Compressed ones are sent one by one, for short ones among them are not. */
static void
deliver_run(struct sink *sink, struct hub_run *run)
{
	struct live_ws *ws = CONTAINER_OF(sink, struct live_ws, live.sink);
	if (ws->state == LIVE_WS_OPEN && !ws->deflate &&
	    live_send_run(&ws->live, run, HUB_FORM_WS, encode))
		return;
	for (size_t i = 0; i < run->count; i++)
		deliver(sink, run->messages[i], HUB_ALL_CHANNELS);
}

static void
subscribed(struct sink *sink, uint64_t seq)
{
	struct live_ws *ws = CONTAINER_OF(sink, struct live_ws, live.sink);
	(void)seq;
	if (sink->waiting)
		return;
	if (ws->state == LIVE_WS_OPEN)
		live_ws_confirmed(ws);
	else
		try_open(ws);
}

static void
gap(struct sink *sink)
{
	struct live_ws *ws = CONTAINER_OF(sink, struct live_ws, live.sink);
	open_for_past(ws);
	if (ws->state == LIVE_WS_OPEN)
		say_gap(&ws->live);
}

static void
caught(struct sink *sink, const struct hub_caught *result)
{
	struct live_ws *ws = CONTAINER_OF(sink, struct live_ws, live.sink);
	enum live_caught how = live_caught(&ws->live, result);
	if (how == LIVE_CAUGHT_NOTHING)
		live_ws_close(ws, LIVE_WS_CODE_FAULT, NET_CLOSE_ERROR, "the past cannot be read");
	else if (how == LIVE_CAUGHT_ALL)
		subscribed(sink, result->seq);
}

static void
channel_closed(struct sink *sink, const struct hub_target *channel)
{
	struct live_ws *ws = CONTAINER_OF(sink, struct live_ws, live.sink);
	char text[64];
	int len = snprintf(text, sizeof(text), "{\"closed\":[%llu]}",
	    (unsigned long long)channel->id);
	open_for_past(ws);
	if (ws->state == LIVE_WS_OPEN)
		live_ws_send_text(ws, span_of(text, (size_t)len));
}

/* ── frames ── */

static void
take_close(struct live_ws *ws, struct span payload)
{
	unsigned code = LIVE_WS_CODE_DONE;
	if (payload.len == 1) {
		code = LIVE_WS_CODE_PROTOCOL;
	} else if (payload.len >= 2) {
		unsigned said = (unsigned)(unsigned char)payload.ptr[0] << 8
		    | (unsigned char)payload.ptr[1];
		code = ws_close_code_valid(said) ? said : (unsigned)LIVE_WS_CODE_PROTOCOL;
		if (!utf8_valid(span_skip(payload, 2)))
			code = LIVE_WS_CODE_NOT_JSON;
	}
	live_ws_close(ws, code, NET_CLOSE_PEER, "");
}

static void
take_control(struct live_ws *ws, const struct ws_frame *frame, struct span masked)
{
	char payload[125];
	if (masked.len)
		memcpy(payload, masked.ptr, masked.len);
	ws_unmask(frame->mask, 0, payload, masked.len);
	if (frame->opcode == WS_CLOSE)
		take_close(ws, span_of(payload, masked.len));
	else if (frame->opcode == WS_PING)
		send_frame(ws, WS_PONG, span_of(payload, masked.len));
}

/* What is arriving; NULL: nothing is. */
static struct live_ws_input *
input_of(const struct live_ws *ws)
{
	return ws->talk && ws->talk->input.here ? &ws->talk->input : NULL;
}

static void
forget_input(struct live_ws *ws)
{
	struct live_ws_input *arriving = input_of(ws);
	if (!arriving)
		return;
	buf_finish(&arriving->message);
	*arriving = (struct live_ws_input){0};
}

/* NULL: memory is out, and the connection is closed. */
static struct live_ws_input *
ensure_input(struct live_ws *ws)
{
	struct live_ws_talk *talk = live_ws_talk_get(ws);
	if (!talk) {
		net_close(ws->live.conn, NET_CLOSE_MEMORY);
		return NULL;
	}
	if (talk->input.here)
		return &talk->input;
	talk->input = (struct live_ws_input){.here = true, .utf8 = UTF8_START};
	buf_init(&talk->input.message, 0);
	return &talk->input;
}

/* What is wrong with a data frame here: a close code, or 0. */
static unsigned
fault_of(const struct live_ws *ws, const struct ws_frame *frame)
{
	const struct live_ws_input *arriving = input_of(ws);
	size_t limit = ws->live.sessions->settings.ws_message_bytes_max;
	if (frame->opcode == WS_BINARY)
		return LIVE_WS_CODE_BINARY;
	if (!arriving != (frame->opcode != WS_CONTINUATION))
		return LIVE_WS_CODE_PROTOCOL;
	if (frame->len > limit || (arriving && arriving->message.len > limit - frame->len))
		return LIVE_WS_CODE_TOO_BIG;
	return 0;
}

/* What comes out is bounded as what comes as it is. */
static void
take_deflated(struct live_ws *ws, struct span packed)
{
	struct buf text;
	buf_init(&text, 0);
	int error = deflate_unpack(packed, ws->live.sessions->settings.ws_message_bytes_max, &text);
	if (error == -ENOMEM)
		net_close(ws->live.conn, NET_CLOSE_MEMORY);
	else if (error == -EFBIG)
		live_ws_close(ws, LIVE_WS_CODE_TOO_BIG, NET_CLOSE_PROTOCOL,
		    "the message is too big");
	else if (error || !utf8_valid(buf_span(&text)))
		live_ws_close(ws, LIVE_WS_CODE_NOT_JSON, NET_CLOSE_PROTOCOL,
		    error ? "broken compression" : "not UTF-8");
	else
		live_ws_message(ws, buf_span(&text));
	buf_finish(&text);
}

/* The payload of a data frame, as far as it is here. */
static size_t
take_payload(struct live_ws *ws, struct span bytes)
{
	struct live_ws_input *input = input_of(ws);
	size_t len = (size_t)MIN((uint64_t)bytes.len, input->frame.len - input->got);
	struct buf *message = &input->message;
	if (buf_append(message, bytes.ptr, len)) {
		net_close(ws->live.conn, NET_CLOSE_MEMORY);
		return bytes.len;
	}
	if (len) {
		char *piece = message->ptr + message->len - len;
		ws_unmask(input->frame.mask, input->got, piece, len);
		if (!input->deflated)
			input->utf8 = utf8_continue(input->utf8, span_of(piece, len));
	}
	input->got += len;
	bool frame_over = input->got == input->frame.len, over = frame_over && input->frame.fin;
	if (input->utf8 == UTF8_REJECT || (over && input->utf8 != UTF8_START)) {
		live_ws_close(ws, LIVE_WS_CODE_NOT_JSON, NET_CLOSE_PROTOCOL, "not UTF-8");
		return len;
	}
	if (frame_over)
		input->in_frame = false;
	if (over) {
		struct buf whole = *message;
		bool deflated = input->deflated;
		*input = (struct live_ws_input){0};
		if (deflated)
			take_deflated(ws, buf_span(&whole));
		else
			live_ws_message(ws, buf_span(&whole));
		buf_finish(&whole);
		live_ws_talk_trim(ws);
	}
	return len;
}

/* A message in one frame that is all here: it needs no memory of its own. */
static void
take_whole(struct live_ws *ws, const struct ws_frame *frame, struct span masked)
{
	struct buf *text = &ws->live.sessions->frame;
	if (buf_append_span(text, masked)) {
		net_close(ws->live.conn, NET_CLOSE_MEMORY);
	} else {
		ws_unmask(frame->mask, 0, text->ptr, text->len);
		if (utf8_valid(buf_span(text)))
			live_ws_message(ws, buf_span(text));
		else
			live_ws_close(ws, LIVE_WS_CODE_NOT_JSON, NET_CLOSE_PROTOCOL, "not UTF-8");
	}
	buf_clear(text);
}

static size_t
take_frame(struct live_ws *ws, struct span bytes)
{
	struct ws_frame frame;
	ssize_t head = ws_parse_head(bytes, ws->deflate, &frame);
	if (head == 0)
		return 0;
	if (head < 0 || !frame.masked) {
		live_ws_close(ws, LIVE_WS_CODE_PROTOCOL, NET_CLOSE_PROTOCOL, "a broken frame");
		return bytes.len;
	}
	bytes = span_skip(bytes, (size_t)head);
	if (frame.opcode >= WS_CLOSE) {
		if (bytes.len < frame.len)
			return 0;
		take_control(ws, &frame, span_of(bytes.ptr, (size_t)frame.len));
		return (size_t)head + (size_t)frame.len;
	}
	unsigned fault = fault_of(ws, &frame);
	if (fault) {
		live_ws_close(ws, fault, NET_CLOSE_PROTOCOL, fault == LIVE_WS_CODE_TOO_BIG
		    ? "the message is too big" : "this frame cannot come here");
		return bytes.len + (size_t)head;
	}
	if (frame.opcode == WS_TEXT && frame.fin && !frame.rsv1 && frame.len <= bytes.len &&
	    frame.len > 0 && frame.len <= WHOLE_BYTES_MAX) {
		take_whole(ws, &frame, span_of(bytes.ptr, (size_t)frame.len));
		return (size_t)head + (size_t)frame.len;
	}
	struct live_ws_input *arriving = ensure_input(ws);
	if (!arriving)
		return bytes.len + (size_t)head;
	if (frame.opcode != WS_CONTINUATION)
		arriving->deflated = frame.rsv1;
	arriving->frame = frame;
	arriving->got = 0;
	arriving->in_frame = true;
	return (size_t)head + take_payload(ws, bytes);
}

static size_t
input(void *ctx, struct span bytes)
{
	struct live_ws *ws = live_ws_of(ctx);
	if (ws->state == LIVE_WS_WAIT)
		return 0;
	if (ws->state == LIVE_WS_OVER)
		return bytes.len;
	ws->pinged = false;
	const struct live_ws_input *arriving = input_of(ws);
	if (arriving && arriving->in_frame)
		return take_payload(ws, bytes);
	return take_frame(ws, bytes);
}

static void
deadline(void *ctx)
{
	struct live_ws *ws = live_ws_of(ctx);
	if (ws->state == LIVE_WS_TOKEN) {
		live_ws_close(ws, LIVE_WS_CODE_EXPIRED, NET_CLOSE_REVOKED, "no token came");
		return;
	}
	if (ws->state == LIVE_WS_WAIT)
		live_ws_close(ws, LIVE_WS_CODE_FAULT, NET_CLOSE_ERROR, "");
	if (ws->state != LIVE_WS_OPEN)
		return;
	if (loop_mono_ms(ws->live.sessions->loop) >= ping_at(ws)) {
		if (ws->pinged) {
			net_close(ws->live.conn, NET_CLOSE_IDLE);
			return;
		}
		ws->pinged = true;
		send_frame(ws, WS_PING, (struct span){NULL, 0});
	}
	arm(ws);
}

static void
closed(void *ctx, enum net_close_reason reason)
{
	(void)reason; /* net counts it */
	live_destroy(ctx);
}

static void
end(struct live *live, enum net_close_reason reason)
{
	if (reason == NET_CLOSE_DRAIN)
		live_ws_close(live_ws_of(live), LIVE_WS_CODE_DRAIN, reason, "the server stops");
	else
		live_ws_close(live_ws_of(live), LIVE_WS_CODE_EXPIRED, reason,
		    "the credentials have ended");
}

static void
free_ws(struct live *live)
{
	struct live_ws *ws = live_ws_of(live);
	live_ws_forget(ws);
	forget_input(ws);
	forget_opening(ws);
	live_ws_forget_guest(ws);
	free(ws->talk);
	slab_put(&live->sessions->ws_slab, ws);
}

static const struct live_ops ws_ops = {
	.conn = {.input = input, .drained = live_drained, .deadline = deadline, .closed = closed},
	.start = start,
	.end = end,
	.free = free_ws,
	.send = send_message,
	.gap = say_gap,
	.slow = too_slow,
};

static const struct sink_ops ws_sink_ops = {
	.deliver = deliver, .deliver_run = deliver_run,
	.subscribed = subscribed, .gap = gap, .caught = caught,
	.closed = channel_closed, .who = live_who,
};

/* ── the handshake ── */

static bool
is_listed(struct span list, struct span wanted)
{
	while (list.len) {
		const char *blank = memchr(list.ptr, ' ', list.len);
		size_t len = blank ? (size_t)(blank - list.ptr) : list.len;
		struct span word = span_of(list.ptr, len);
		if (span_eq(word, SPAN("*")) || span_eq_nocase(word, wanted))
			return true;
		list = span_skip(list, blank ? len + 1 : len);
	}
	return false;
}

/* A page may connect to the host it came from, or if its origin is on the list of settings. */
static bool
may_come_from(const struct session_request *request, struct span origin)
{
	const char *list = request->http->sessions->settings.ws_origins;
	if (!origin.ptr || (list && is_listed(span_str(list), origin)))
		return true;
	const char *mark = memmem(origin.ptr, origin.len, "://", 3);
	if (!mark)
		return false;
	struct span host = span_skip(origin, (size_t)(mark - origin.ptr) + 3);
	return host.len && span_eq_nocase(host, session_header(request, "Host"));
}

static bool
check_handshake(struct session_request *request)
{
	struct span version = session_header(request, "Sec-WebSocket-Version");
	struct span key = session_header(request, "Sec-WebSocket-Key");
	if (request->is_head || request->minor0 || !request->upgrade
	    || !span_eq(version, SPAN("13"))) {
		session_add_header(request, "Upgrade", SPAN("websocket"));
		session_add_header(request, "Sec-WebSocket-Version", SPAN("13"));
		session_problem(request, 426, NULL, "this path speaks WebSocket, version 13");
		return false;
	}
	if (!ws_key_valid(key)) {
		session_problem(request, 400, NULL, "Sec-WebSocket-Key is not 16 bytes in base64");
		return false;
	}
	if (http_body_expected(request)) {
		session_problem(request, 400, NULL, "a WebSocket handshake has no body");
		return false;
	}
	if (!may_come_from(request, session_header(request, "Origin"))) {
		session_problem(request, 403, NULL, "pages of this origin may not connect");
		return false;
	}
	return true;
}

/* A client may offer in several headers. */
static bool
takes_deflate(const struct session_request *request)
{
	if (!request->http->sessions->settings.ws_deflate_bytes_min)
		return false;
	for (size_t i = 0; i < request->header_count; i++) {
		const struct http1_header *header = &request->headers[i];
		if (span_eq_nocase(header->name, SPAN("Sec-WebSocket-Extensions")) &&
		    ws_deflate_offered(header->value))
			return true;
	}
	return false;
}

static void
write_head(struct live_ws_opening *opening, const struct session_request *request, bool deflate)
{
	char accept[WS_ACCEPT_BYTES];
	ws_accept(session_header(request, "Sec-WebSocket-Key"), accept);
	struct span protocols = session_header(request, "Sec-WebSocket-Protocol");
	bool named = http1_list_has(protocols, SPAN("weir.v1.json"));
	int len = snprintf(opening->head, sizeof(opening->head),
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: %.*s\r\n%s%s\r\n", WS_ACCEPT_BYTES, accept,
	    named ? "Sec-WebSocket-Protocol: weir.v1.json\r\n" : "",
	    deflate ? "Sec-WebSocket-Extensions: " WS_DEFLATE_ANSWER "\r\n" : "");
	opening->head_len = (size_t)len;
}

/* Keeps the patterns for later: one allocation, texts behind the spans. */
static bool
keep_patterns(struct live_ws_opening *opening, const struct session_subscription *subscription)
{
	size_t bytes = subscription->pattern_count * sizeof(struct span);
	for (size_t i = 0; i < subscription->pattern_count; i++)
		bytes += subscription->patterns[i].len;
	opening->patterns = malloc(bytes + 1);
	if (!opening->patterns)
		return false;
	char *to = (char *)(opening->patterns + subscription->pattern_count);
	for (size_t i = 0; i < subscription->pattern_count; i++) {
		struct span pattern = subscription->patterns[i];
		opening->patterns[i] = span_of(to, pattern.len);
		if (pattern.len)
			memcpy(to, pattern.ptr, pattern.len);
		to += pattern.len;
	}
	opening->asked = *subscription;
	opening->asked.patterns = opening->patterns;
	return true;
}

static struct live_ws_opening *
opening_create(struct live_ws *ws)
{
	struct live_ws_talk *talk = live_ws_talk_get(ws);
	if (talk)
		talk->opening = calloc(1, sizeof(*talk->opening));
	return talk ? talk->opening : NULL;
}

void
live_ws_init(struct session_loop *sessions)
{
	slab_init(&sessions->ws_slab, sizeof(struct live_ws));
}

void
session_become_ws(struct session_request *request,
    const struct session_subscription *subscription)
{
	if (request->broken || !check_handshake(request))
		return;
	struct live_ws *ws = slab_get(&request->http->sessions->ws_slab);
	if (!ws) {
		session_problem(request, 503, NULL, "memory is out");
		return;
	}
	*ws = (struct live_ws){0};
	live_init(&ws->live, &ws_ops, &ws_sink_ops, request);
	ws->rights = request->route->rights;
	bool known = request->principal || ws->rights == 0;
	ws->state = known ? LIVE_WS_WAIT : LIVE_WS_TOKEN;
	struct live_refusal refusal = {503, "memory is out"};
	struct live_ws_opening *opening = opening_create(ws);
	bool good = opening && live_ws_keep_guest(ws, request) &&
	    !live_slow_set(&ws->live, subscription->slow) &&
	    (known ? live_listen(&ws->live, subscription, &refusal) :
	    keep_patterns(opening, subscription));
	if (!good) {
		session_problem(request, refusal.status, NULL, "%s", refusal.detail);
		live_destroy(&ws->live);
		return;
	}
	ws->deflate = takes_deflate(request);
	snprintf(opening->from, sizeof(opening->from), "%s", session_peer(request));
	write_head(opening, request, ws->deflate);
	request->status = 101;
	live_take(&ws->live, request);
}
