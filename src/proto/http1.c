/*
 * http1.c: heads of HTTP/1.x messages (RFC 9112).
 *
 * Two steps. First the head's end is looked for, and on the way every byte that may stand nowhere
 * in a head is refused: so the answer does not depend on how the input was cut. Then the complete
 * head is parsed. Whatever two readers could take differently is refused, never mended.
 */
#include "http1.h"

#include <errno.h>

#include "check.h"
#include "num.h"
#include "scan.h"

#define LETTERS(l) [l] = true, [l - 'a' + 'A'] = true

static const bool token_chars[256] = {
    LETTERS('a'), LETTERS('b'), LETTERS('c'), LETTERS('d'), LETTERS('e'), LETTERS('f'),
    LETTERS('g'), LETTERS('h'), LETTERS('i'), LETTERS('j'), LETTERS('k'), LETTERS('l'),
    LETTERS('m'), LETTERS('n'), LETTERS('o'), LETTERS('p'), LETTERS('q'), LETTERS('r'),
    LETTERS('s'), LETTERS('t'), LETTERS('u'), LETTERS('v'), LETTERS('w'), LETTERS('x'),
    LETTERS('y'), LETTERS('z'),
    ['0'] = true, ['1'] = true, ['2'] = true, ['3'] = true, ['4'] = true, ['5'] = true,
    ['6'] = true, ['7'] = true, ['8'] = true, ['9'] = true,
    ['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true, ['&'] = true, ['\''] = true,
    ['*'] = true, ['+'] = true, ['-'] = true, ['.'] = true, ['^'] = true, ['_'] = true,
    ['`'] = true, ['|'] = true, ['~'] = true,
};

bool
http1_is_token_char(char c)
{
	return token_chars[(uint8_t)c];
}

static int
refuse_at(struct http1_error *ret_error, unsigned status, size_t line, const char *reason)
{
	*ret_error = (struct http1_error){.status = status, .reason = reason, .line = line};
	return -EBADMSG;
}

static size_t
line_number(struct span in, const char *at)
{
	size_t line = 1;
	for (const char *p = in.ptr; p < at; p++)
		line += *p == '\n';
	return line;
}

static int
refuse_control(struct span in, const char *at, struct http1_error *ret_error)
{
	const char *reason = "a control character in the head";
	if (*at == '\n')
		reason = "a line of the head ends in LF without CR";
	else if (*at == '\r')
		reason = "CR without LF in the head";
	else if (*at == '\0')
		reason = "NUL in the head";
	return refuse_at(ret_error, 400, line_number(in, at), reason);
}

static int
refuse_long(struct span in, struct http1_error *ret_error)
{
	if (!memchr(in.ptr, '\n', HTTP1_HEAD_BYTES_MAX))
		return refuse_at(ret_error, 414, 1, "the first line is too long");
	return refuse_at(ret_error, 431, 0, "the head is longer than 32 KiB");
}

/* The head's bytes with the empty line that ends it, or 0. */
static ssize_t
find_end(struct span in, size_t *scanned, struct http1_error *ret_error)
{
	if (in.len == 0)
		return 0;
	const char *p = in.ptr + *scanned;
	const char *end = in.ptr + MIN(in.len, HTTP1_HEAD_BYTES_MAX);
	while ((p = scan_control(p, end)) < end) {
		if (*p == '\t') {
			p++;
			continue;
		}
		if (*p == '\r' && end - p < 2)
			break;
		if (*p != '\r' || p[1] != '\n')
			return refuse_control(in, p, ret_error);
		p += 2;
		if (p - in.ptr > 2 && p[-3] == '\n')
			return p - in.ptr;
	}
	*scanned = (size_t)(p - in.ptr);
	return in.len >= HTTP1_HEAD_BYTES_MAX ? refuse_long(in, ret_error) : 0;
}

/* Takes the next line, without its CRLF, off a complete head. */
static struct span
next_line(struct span *head)
{
	const char *lf = memchr(head->ptr, '\n', head->len);
	size_t len = (size_t)(lf - head->ptr);
	struct span line = span_of(head->ptr, len - 1);
	*head = span_skip(*head, len + 1);
	return line;
}

static struct span
trim(struct span text)
{
	while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
		text = span_skip(text, 1);
	while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
		text.len--;
	return text;
}

static size_t
token_len(struct span text)
{
	size_t len = 0;
	while (len < text.len && token_chars[(uint8_t)text.ptr[len]])
		len++;
	return len;
}

/* Takes what stands before the next comma off *list. false at the end. */
static bool
next_item(struct span *list, struct span *ret_item)
{
	if (!list->ptr)
		return false;
	const char *comma = list->len ? memchr(list->ptr, ',', list->len) : NULL;
	size_t len = comma ? (size_t)(comma - list->ptr) : list->len;
	*ret_item = trim(span_of(list->ptr, len));
	*list = comma ? span_skip(*list, len + 1) : span_of(NULL, 0);
	return true;
}

bool
http1_list_has(struct span list, struct span token)
{
	struct span item;
	while (next_item(&list, &item)) {
		if (span_eq_nocase(item, token))
			return true;
	}
	return false;
}

/* ── headers that frame the message ── */

struct head {
	struct http1_header *headers;
	size_t count;
	size_t line; /* the number of the line at hand */
	unsigned minor;
	bool is_request;
	bool has_host, has_length, chunked;
	bool asks_close, asks_keep, asks_upgrade, names_websocket, expects_continue;
	uint64_t length;
	struct http1_error *error;
};

static int
refuse(struct head *head, unsigned status, const char *reason)
{
	return refuse_at(head->error, status, head->line, reason);
}

static int
take_length(struct head *head, struct span value)
{
	if (head->has_length)
		return refuse(head, 400, "Content-Length stands there twice");
	if (head->chunked)
		return refuse(head, 400, "both Transfer-Encoding and Content-Length");
	int error = num_parse_u64(value, &head->length);
	if (error == -ERANGE || (!error && head->length > INT64_MAX))
		return refuse(head, 400, "Content-Length is too large");
	if (error)
		return refuse(head, 400, "Content-Length is not a plain number");
	head->has_length = true;
	return 0;
}

/* Codings that this server knows of but does not undo: "gzip, chunked" is 501, nonsense 400. */
static bool
is_known_coding_list(struct span value)
{
	static const char *const codings[] = {"gzip", "x-gzip", "deflate", "compress",
	    "x-compress"};
	struct span item;
	bool last_chunked = false;
	while (next_item(&value, &item)) {
		bool known = false;
		for (size_t i = 0; i < ARRAY_COUNT(codings); i++)
			known |= span_eq_nocase(item, span_str(codings[i]));
		if (last_chunked)
			return false;
		last_chunked = span_eq_nocase(item, SPAN("chunked"));
		if (!known && !last_chunked)
			return false;
	}
	return last_chunked;
}

static int
take_coding(struct head *head, struct span value)
{
	if (head->chunked)
		return refuse(head, 400, "Transfer-Encoding stands there twice");
	if (head->has_length)
		return refuse(head, 400, "both Content-Length and Transfer-Encoding");
	if (head->minor == 0)
		return refuse(head, 400, "Transfer-Encoding in HTTP/1.0");
	if (!span_eq_nocase(value, SPAN("chunked"))) {
		if (is_known_coding_list(value))
			return refuse(head, 501, "only the transfer coding \"chunked\" is known");
		return refuse(head, 400, "Transfer-Encoding is not exactly \"chunked\"");
	}
	head->chunked = true;
	return 0;
}

/* host[:port] of RFC 3986, without user names; may be empty. */
static bool
is_host(struct span host)
{
	for (size_t i = 0; i < host.len; i++) {
		char c = host.ptr[i];
		bool alnum = scan_is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
		if (!alnum && (c == '\0' || !strchr("-._~%!$&'()*+;=[]:", c)))
			return false;
	}
	return true;
}

static int
take_host(struct head *head, struct span value)
{
	if (!head->is_request)
		return 0;
	if (head->has_host)
		return refuse(head, 400, "Host stands there twice");
	if (!is_host(value))
		return refuse(head, 400, "a bad character in Host");
	head->has_host = true;
	return 0;
}

static int
take_meaning(struct head *head, struct span name, struct span value)
{
	switch (name.len) {
	case 4:
		if (span_eq_nocase(name, SPAN("host")))
			return take_host(head, value);
		break;
	case 6:
		if (span_eq_nocase(name, SPAN("expect")))
			head->expects_continue |= span_eq_nocase(value, SPAN("100-continue"));
		break;
	case 7:
		if (span_eq_nocase(name, SPAN("upgrade")))
			head->names_websocket |= http1_list_has(value, SPAN("websocket"));
		break;
	case 10:
		if (span_eq_nocase(name, SPAN("connection"))) {
			head->asks_close |= http1_list_has(value, SPAN("close"));
			head->asks_keep |= http1_list_has(value, SPAN("keep-alive"));
			head->asks_upgrade |= http1_list_has(value, SPAN("upgrade"));
		}
		break;
	case 14:
		if (span_eq_nocase(name, SPAN("content-length")))
			return take_length(head, value);
		break;
	case 17:
		if (span_eq_nocase(name, SPAN("transfer-encoding")))
			return take_coding(head, value);
		break;
	}
	return 0;
}

static int
take_header(struct head *head, struct span line)
{
	size_t len = token_len(line);
	char stop = len < line.len ? line.ptr[len] : '\0';
	if (len == 0 && (stop == ' ' || stop == '\t'))
		return refuse(head, 400, "a header line begins with a blank (it is folded)");
	if (len == 0 && stop == ':')
		return refuse(head, 400, "a header line without a name before ':'");
	if (len == line.len)
		return refuse(head, 400, "a header line without ':'");
	if (stop == ' ' || stop == '\t')
		return refuse(head, 400, "a header line with a blank before ':'");
	if (stop != ':')
		return refuse(head, 400, "a bad character in a header's name");
	if (head->count == HTTP1_HEADERS_MAX)
		return refuse(head, 431, "more than 100 headers");
	struct span name = span_of(line.ptr, len), value = trim(span_skip(line, len + 1));
	head->headers[head->count++] = (struct http1_header){name, value};
	return take_meaning(head, name, value);
}

/* The lines after the first one, up to the empty one. */
static int
take_headers(struct head *head, struct span lines)
{
	int error = 0;
	for (head->line = 2; lines.len > 2 && !error; head->line++)
		error = take_header(head, next_line(&lines));
	return error;
}

static bool
keeps_alive(const struct head *head)
{
	return !head->asks_close && (head->minor == 1 || head->asks_keep);
}

/* "HTTP/1.0" or "HTTP/1.1": 0 and the minor. */
static int
parse_version(struct span text, unsigned *ret_minor, struct http1_error *ret_error)
{
	if (text.len != 8 || !span_starts(text, SPAN("HTTP/")) || !scan_is_digit(text.ptr[5]) ||
	    text.ptr[6] != '.' || !scan_is_digit(text.ptr[7]))
		return refuse_at(ret_error, 400, 1, "no HTTP version in the first line");
	if (text.ptr[5] != '1' || text.ptr[7] > '1')
		return refuse_at(ret_error, 505, 1, "a version other than HTTP/1.0 and HTTP/1.1");
	*ret_minor = (unsigned)(text.ptr[7] - '0');
	return 0;
}

/* ── requests ── */

/* Leaves an absolute-form's path in *target. */
static int
strip_authority(struct span *target, struct http1_error *ret_error)
{
	bool secure = target->len >= 8 && span_eq_nocase(span_of(target->ptr, 8), SPAN("https://"));
	if (!secure && (target->len < 7 ||
	    !span_eq_nocase(span_of(target->ptr, 7), SPAN("http://"))))
		return refuse_at(ret_error, 400, 1, "the request's target begins with no '/'");
	struct span rest = span_skip(*target, secure ? 8 : 7);
	const char *slash = memchr(rest.ptr, '/', rest.len);
	struct span host = span_of(rest.ptr, slash ? (size_t)(slash - rest.ptr) : rest.len);
	if (host.len == 0 || !is_host(host))
		return refuse_at(ret_error, 400, 1, "a bad host in the request's target");
	*target = slash ? span_skip(rest, host.len) : SPAN("/");
	return 0;
}

static int
parse_target(struct http1_request *request, struct http1_error *ret_error)
{
	struct span target = request->target;
	if (target.len > HTTP1_TARGET_BYTES_MAX)
		return refuse_at(ret_error, 414, 1, "the request's target is longer than 16 KiB");
	for (size_t i = 0; i < target.len; i++) {
		if (target.ptr[i] == '#' || target.ptr[i] == '\t')
			return refuse_at(ret_error, 400, 1,
			    "a bad character in the request's target");
	}
	if (span_eq(request->method, SPAN("CONNECT")))
		return refuse_at(ret_error, 501, 1, "CONNECT is not implemented");
	bool star = span_eq(target, SPAN("*"));
	if (star && !span_eq(request->method, SPAN("OPTIONS")))
		return refuse_at(ret_error, 400, 1, "the target '*' is for OPTIONS alone");
	if (!star && (target.len == 0 || target.ptr[0] != '/')) {
		int error = strip_authority(&target, ret_error);
		if (error)
			return error;
	}
	const char *mark = memchr(target.ptr, '?', target.len);
	size_t path_len = mark ? (size_t)(mark - target.ptr) : target.len;
	request->target = target;
	request->path = span_of(target.ptr, path_len);
	request->query = span_skip(target, mark ? path_len + 1 : path_len);
	return 0;
}

/* method SP target SP version */
static int
parse_request_line(struct span line, struct http1_request *request, struct http1_error *ret_error)
{
	size_t len = token_len(line);
	if (line.len == 0)
		return refuse_at(ret_error, 400, 1, "the request line is empty");
	if (len == 0 || len == line.len || line.ptr[len] != ' ')
		return refuse_at(ret_error, 400, 1, "the request line has a bad method");
	request->method = span_of(line.ptr, len);
	line = span_skip(line, len + 1);
	const char *space = memchr(line.ptr, ' ', line.len);
	if (!space && line.len > HTTP1_TARGET_BYTES_MAX)
		return refuse_at(ret_error, 414, 1, "the request's target is longer than 16 KiB");
	if (!space)
		return refuse_at(ret_error, 400, 1, "no HTTP version in the first line");
	request->target = span_of(line.ptr, (size_t)(space - line.ptr));
	struct span version = span_skip(line, request->target.len + 1);
	if (version.len > 0 && memchr(version.ptr, ' ', version.len))
		return refuse_at(ret_error, 400, 1, "the request line has a space too many");
	int error = parse_version(version, &request->minor, ret_error);
	return error ? error : parse_target(request, ret_error);
}

ssize_t
http1_parse_request(struct span in, size_t *scanned, struct http1_request *ret_request,
    struct http1_error *ret_error)
{
	ssize_t bytes = find_end(in, scanned, ret_error);
	if (bytes <= 0)
		return bytes;
	struct span lines = span_of(in.ptr, (size_t)bytes);
	if (lines.ptr[0] == '\r')
		lines = span_skip(lines, 2);
	int error = parse_request_line(next_line(&lines), ret_request, ret_error);
	if (error)
		return error;
	struct head head = {.headers = ret_request->headers, .minor = ret_request->minor,
	    .is_request = true, .error = ret_error};
	error = take_headers(&head, lines);
	if (error)
		return error;
	if (!head.has_host && head.minor == 1)
		return refuse_at(ret_error, 400, 0, "HTTP/1.1 without Host");
	ret_request->header_count = head.count;
	ret_request->has_length = head.has_length;
	ret_request->length = head.length;
	ret_request->chunked = head.chunked;
	ret_request->keep_alive = keeps_alive(&head);
	ret_request->expect_continue = head.expects_continue && head.minor == 1;
	ret_request->upgrade_websocket =
	    head.asks_upgrade && head.names_websocket && head.minor == 1;
	return bytes;
}

const struct span *
http1_header_get(const struct http1_request *request, struct span name)
{
	for (size_t i = 0; i < request->header_count; i++) {
		if (span_eq_nocase(request->headers[i].name, name))
			return &request->headers[i].value;
	}
	return NULL;
}

bool
http1_header_has_token(const struct http1_request *request, struct span name, struct span token)
{
	for (size_t i = 0; i < request->header_count; i++) {
		const struct http1_header *header = &request->headers[i];
		if (span_eq_nocase(header->name, name) && http1_list_has(header->value, token))
			return true;
	}
	return false;
}

/* ── responses ── */

/* version SP 3 digits [SP reason] */
static int
parse_status_line(struct span line, struct http1_response *response,
    struct http1_error *ret_error)
{
	const char *p = line.ptr;
	int error = parse_version(span_of(p, MIN(line.len, 8u)), &response->minor, ret_error);
	if (error)
		return error;
	if (line.len < 12 || p[8] != ' ' || p[9] < '1' || p[9] > '9' || !scan_is_digit(p[10]) ||
	    !scan_is_digit(p[11]) || (line.len > 12 && p[12] != ' '))
		return refuse_at(ret_error, 400, 1, "no status of three digits in the first line");
	response->status = (unsigned)((p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0'));
	return 0;
}

ssize_t
http1_parse_response(struct span in, size_t *scanned, struct http1_response *ret_response,
    struct http1_error *ret_error)
{
	ssize_t bytes = find_end(in, scanned, ret_error);
	if (bytes <= 0)
		return bytes;
	struct span lines = span_of(in.ptr, (size_t)bytes);
	int error = parse_status_line(next_line(&lines), ret_response, ret_error);
	if (error)
		return error;
	struct head head = {.headers = ret_response->headers, .minor = ret_response->minor,
	    .error = ret_error};
	error = take_headers(&head, lines);
	if (error)
		return error;
	ret_response->header_count = head.count;
	ret_response->has_length = head.has_length;
	ret_response->length = head.length;
	ret_response->chunked = head.chunked;
	ret_response->keep_alive = keeps_alive(&head);
	return bytes;
}

/* ── status texts ── */

const char *
http1_status_text(unsigned status)
{
	static const struct {
		unsigned status;
		const char *text;
	} texts[] = {
	    {100, "Continue"}, {101, "Switching Protocols"}, {200, "OK"}, {201, "Created"},
	    {202, "Accepted"}, {204, "No Content"}, {206, "Partial Content"},
	    {301, "Moved Permanently"}, {302, "Found"}, {303, "See Other"},
	    {304, "Not Modified"}, {307, "Temporary Redirect"}, {308, "Permanent Redirect"},
	    {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
	    {405, "Method Not Allowed"}, {406, "Not Acceptable"}, {408, "Request Timeout"},
	    {409, "Conflict"}, {410, "Gone"}, {411, "Length Required"},
	    {412, "Precondition Failed"}, {413, "Content Too Large"}, {414, "URI Too Long"},
	    {415, "Unsupported Media Type"}, {416, "Range Not Satisfiable"},
	    {417, "Expectation Failed"}, {422, "Unprocessable Content"},
	    {426, "Upgrade Required"}, {428, "Precondition Required"},
	    {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
	    {500, "Internal Server Error"}, {501, "Not Implemented"}, {502, "Bad Gateway"},
	    {503, "Service Unavailable"}, {504, "Gateway Timeout"},
	    {505, "HTTP Version Not Supported"}, {507, "Insufficient Storage"},
	};
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
		if (texts[i].status == status)
			return texts[i].text;
	}
	return "Unknown";
}
