/*
 * http_cors.c: pages of other origins (the Fetch standard's CORS): which of them may read answers,
 * and what a browser asks for before it sends what a form could not.
 *
 * An origin is kept as its place in the list of settings, which a restart alone changes: so what
 * answers later, an event stream, need not remember its text.
 */
#include "session_priv.h"

static struct span
next_origin(struct span *list)
{
	while (list->len && list->ptr[0] == ' ')
		*list = span_skip(*list, 1);
	const char *blank = list->len ? memchr(list->ptr, ' ', list->len) : NULL;
	struct span origin = span_of(list->ptr, blank ? (size_t)(blank - list->ptr) : list->len);
	*list = span_skip(*list, origin.len);
	return origin;
}

uint8_t
http_cors_origin(const struct session_request *request)
{
	const char *text = request->http->sessions->settings.cors_origins;
	struct span origin = session_header(request, "Origin");
	if (!text || !origin.len)
		return 0;
	struct span list = span_str(text), word;
	for (uint8_t i = 1; i < UINT8_MAX && (word = next_origin(&list)).len; i++) {
		if (span_eq(word, SPAN("*")) || span_eq(word, origin))
			return i;
	}
	return 0;
}

void
http_cors_write(const struct session_loop *sessions, uint8_t origin, struct buf *out)
{
	const char *text = sessions->settings.cors_origins;
	if (!text)
		return;
	buf_append_str(out, "Vary: Origin\r\n");
	if (!origin)
		return;
	struct span list = span_str(text), word = {NULL, 0};
	while (origin-- > 0)
		word = next_origin(&list);
	buf_append_str(out, "Access-Control-Allow-Origin: ");
	buf_append_span(out, word);
	buf_append_str(out, "\r\nAccess-Control-Expose-Headers: ETag, Retry-After\r\n");
	/* Who lets all in does not mean all that their browsers know. */
	if (!span_eq(word, SPAN("*")))
		buf_append_str(out, "Access-Control-Allow-Credentials: true\r\n");
}

void
http_cors_add(struct session_request *request)
{
	http_cors_write(request->http->sessions, http_cors_origin(request), &request->added);
}

void
session_open_to_pages(struct session_request *request)
{
	if (!http_cors_origin(request)) /* else it has been said, for this one */
		session_add_header(request, "Access-Control-Allow-Origin", SPAN("*"));
}

void
http_cors_preflight(struct session_request *request, struct span methods)
{
	if (!http_cors_origin(request) ||
	    !session_header(request, "Access-Control-Request-Method").ptr)
		return;
	session_add_header(request, "Access-Control-Allow-Methods", methods);
	session_add_header(request, "Access-Control-Allow-Headers", SPAN("Authorization, "
	    "Content-Type, Content-Encoding, Last-Event-ID, If-None-Match, Cache-Control"));
	session_add_header(request, "Access-Control-Max-Age", SPAN("7200"));
}
