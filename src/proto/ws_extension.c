/*
 * ws_extension.c: what a client offers in Sec-WebSocket-Extensions (RFC 6455 section 9.1), and
 * whether an offer of permessage-deflate (RFC 7692 section 7.1) is one that can be taken: without
 * context takeover, with a window of the server's own choice.
 */
#include "ws.h"

/* What an offer of permessage-deflate has said so far; each parameter once. */
enum {
	SERVER_TAKEOVER = 1, CLIENT_TAKEOVER = 2, SERVER_BITS = 4, CLIENT_BITS = 8, REFUSED = 16,
};

static void
skip_blanks(struct span *text)
{
	while (text->len && (text->ptr[0] == ' ' || text->ptr[0] == '\t'))
		*text = span_skip(*text, 1);
}

static bool
is_token_byte(char c)
{
	return c > ' ' && c < 0x7f && !strchr("()<>@,;:\\\"/[]?={}", c);
}

static bool
take_byte(struct span *text, char byte)
{
	skip_blanks(text);
	if (!text->len || text->ptr[0] != byte)
		return false;
	*text = span_skip(*text, 1);
	return true;
}

/* Empty: there is none. */
static struct span
take_token(struct span *text)
{
	skip_blanks(text);
	size_t len = 0;
	while (len < text->len && is_token_byte(text->ptr[len]))
		len++;
	struct span token = span_of(text->ptr, len);
	*text = span_skip(*text, len);
	return token;
}

/* A token, in quotes or not. */
static struct span
take_value(struct span *text)
{
	bool quoted = take_byte(text, '"');
	struct span value = take_token(text);
	if (quoted && !take_byte(text, '"'))
		value.len = 0;
	return value;
}

/* 8 to 15, without a zero before it. */
static bool
is_window(struct span value)
{
	if (value.len == 1)
		return value.ptr[0] == '8' || value.ptr[0] == '9';
	return value.len == 2 && value.ptr[0] == '1' && value.ptr[1] >= '0' && value.ptr[1] <= '5';
}

static unsigned
judge_parameter(struct span name, bool has_value, struct span value)
{
	if (span_eq(name, SPAN("server_no_context_takeover")))
		return has_value ? REFUSED : SERVER_TAKEOVER;
	if (span_eq(name, SPAN("client_no_context_takeover")))
		return has_value ? REFUSED : CLIENT_TAKEOVER;
	if (span_eq(name, SPAN("client_max_window_bits")))
		return has_value && !is_window(value) ? REFUSED : CLIENT_BITS;
	/* A smaller window is not made: one form of a message serves all. */
	if (span_eq(name, SPAN("server_max_window_bits")))
		return has_value && span_eq(value, SPAN("15")) ? SERVER_BITS : REFUSED;
	return REFUSED;
}

/* Takes an offer off *text. false: it is no offer, and nothing after it is looked at. */
static bool
take_offer(struct span *text, bool *ret_good)
{
	unsigned said = 0;
	struct span name = take_token(text);
	if (!name.len)
		return false;
	while (take_byte(text, ';')) {
		struct span parameter = take_token(text), value = {NULL, 0};
		bool has_value = take_byte(text, '=');
		if (has_value)
			value = take_value(text);
		if (!parameter.len || (has_value && !value.len))
			return false;
		unsigned one = judge_parameter(parameter, has_value, value);
		said |= said & one ? REFUSED : one;
	}
	*ret_good = span_eq(name, SPAN("permessage-deflate")) && !(said & REFUSED);
	return true;
}

bool
ws_deflate_offered(struct span offers)
{
	bool good = false;
	do {
		if (!take_offer(&offers, &good))
			return false;
	} while (!good && take_byte(&offers, ','));
	return good;
}
