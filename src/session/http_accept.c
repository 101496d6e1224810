/*
 * http_accept.c: what the client takes: media types asked for by name, and compression
 * (RFC 9110, sections 12.5.1 and 12.5.3; q-values to a thousandth).
 */
#include "check.h"
#include "session_priv.h"

static struct span
trim(struct span text)
{
	while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
		text = span_skip(text, 1);
	while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
		text.len--;
	return text;
}

/* Takes what lies before the next `mark` off *rest; ptr NULL after the last. */
static bool
next_part(struct span *rest, char mark, struct span *ret_part)
{
	if (!rest->ptr)
		return false;
	const char *at = rest->len ? memchr(rest->ptr, mark, rest->len) : NULL;
	struct span part = *rest;
	if (at) {
		part.len = (size_t)(at - rest->ptr);
		*rest = span_skip(*rest, part.len + 1);
	} else {
		rest->ptr = NULL;
	}
	*ret_part = trim(part);
	return true;
}

/* "0.25" in thousandths; what is no weight counts as 0: not wanted. */
static int
weight_of(struct span text)
{
	if (text.len == 0 || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1'))
		return 0;
	int weight = (text.ptr[0] - '0') * 1000, unit = 100;
	if (text.len > 1 && text.ptr[1] != '.')
		return 0;
	for (size_t i = 2; i < text.len; i++, unit /= 10) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return 0;
		weight += (text.ptr[i] - '0') * unit;
	}
	return MIN(weight, 1000);
}

/* One element of an Accept header: its name without parameters, and its weight. */
static struct span
read_element(struct span element, int *ret_weight)
{
	struct span name, parameter;
	*ret_weight = 1000;
	next_part(&element, ';', &name);
	while (next_part(&element, ';', &parameter)) {
		if (parameter.len > 2 && span_eq_nocase(span_of(parameter.ptr, 2), SPAN("q=")))
			*ret_weight = weight_of(span_skip(parameter, 2));
	}
	return name;
}

/* The weight that the header gives to a name; -1: it does not speak of it. */
static int
find_weight(const struct session_request *request, struct span header, struct span wanted)
{
	for (size_t i = 0; i < request->header_count; i++) {
		if (!span_eq_nocase(request->headers[i].name, header))
			continue;
		struct span rest = request->headers[i].value, element;
		while (next_part(&rest, ',', &element)) {
			int weight;
			if (element.len && span_eq_nocase(read_element(element, &weight), wanted))
				return weight;
		}
	}
	return -1;
}

bool
session_accepts(const struct session_request *request, const char *media_type)
{
	return find_weight(request, SPAN("Accept"), span_str(media_type)) > 0;
}

bool
http_accept_gzip(const struct session_request *request)
{
	struct span header = SPAN("Accept-Encoding");
	int gzip = find_weight(request, header, SPAN("gzip"));
	if (gzip < 0)
		gzip = find_weight(request, header, SPAN("x-gzip"));
	if (gzip < 0)
		gzip = find_weight(request, header, SPAN("*"));
	return gzip > 0 && gzip >= find_weight(request, header, SPAN("identity"));
}

bool
http_accept_packable(const char *content_type)
{
	static const char *const types[] = {
		"text/", "application/json", "application/problem+json", "application/x-ndjson",
		"application/javascript", "application/openapi", "image/svg+xml",
	};
	struct span type = span_str(content_type);
	for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
		if (span_starts(type, span_str(types[i])))
			return !span_starts(type, SPAN("text/event-stream"));
	}
	return false;
}
