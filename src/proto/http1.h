/*
 * http1.h: HTTP/1.1 and 1.0 on the wire (RFC 9112), strict against request smuggling.
 *
 * No I/O, no allocation, nothing kept: spans point into the input. Refused with -EBADMSG and a
 * status and reason: bare LF or CR, obs-fold, space before ':', NUL or controls, no or two Host
 * (1.1), Content-Length twice (even when equal) or with Transfer-Encoding or not all digits,
 * Transfer-Encoding other than exactly "chunked" or on HTTP/1.0, heads over the limits (431, 414),
 * unknown versions (505).
 */
#ifndef WEIR_HTTP1_H
#define WEIR_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "span.h"

#define HTTP1_HEAD_BYTES_MAX 32768
#define HTTP1_TARGET_BYTES_MAX 16384
#define HTTP1_HEADERS_MAX 100

struct http1_header {
	struct span name, value; /* value without surrounding blanks */
};

struct http1_request {
	struct span method, target; /* origin-form, absolute-form's path (at least "/"), or "*" */
	struct span path, query;    /* of target, both still percent-encoded; query without '?' */
	unsigned minor;             /* HTTP/1.minor: 0 or 1 */
	size_t header_count;
	struct http1_header headers[HTTP1_HEADERS_MAX];
	bool has_length;
	uint64_t length;            /* Content-Length */
	bool chunked;
	bool keep_alive;            /* what the client asks for, defaults of the version applied */
	bool expect_continue;
	bool upgrade_websocket;     /* Connection: upgrade and Upgrade: websocket */
};

struct http1_error {
	unsigned status;     /* 400, 414, 431, 501, 505 */
	const char *reason;  /* a sentence that names place and reason */
	size_t line;         /* of the head, from 1; 0: the head as a whole */
};

/* Parses a head. One empty line before it is passed over. *ret_request is scratch meanwhile: of no
 * meaning unless the answer is > 0. *scanned remembers how far the search for its end came (0 to
 * begin; give it back with more input), so that input in small pieces costs linear time.
 * > 0: the head's bytes. 0: more input needed. -EBADMSG: *ret_error. */
ssize_t http1_parse_request(struct span in, size_t *scanned, struct http1_request *ret_request,
    struct http1_error *ret_error);

/* The first header of this name, or NULL. */
const struct span *http1_header_get(const struct http1_request *request, struct span name);

/* Whether a character may stand in a token: a method, a header's name (RFC 9110, 5.6.2). */
bool http1_is_token_char(char c);

/* Whether a comma list holds this token, case aside. */
bool http1_list_has(struct span list, struct span token);

/* Whether a comma list header (any of its lines) holds this token, case aside. */
bool http1_header_has_token(const struct http1_request *request, struct span name,
    struct span token);

/* A response's head (for tools and tests): as http1_parse_request. */
struct http1_response {
	unsigned minor, status;
	size_t header_count;
	struct http1_header headers[HTTP1_HEADERS_MAX];
	bool has_length, chunked, keep_alive;
	uint64_t length;
};
ssize_t http1_parse_response(struct span in, size_t *scanned, struct http1_response *ret_response,
    struct http1_error *ret_error);

/* ── chunked bodies ── */

struct http1_chunked {
	uint8_t state;
	uint8_t line_bytes;  /* of the size line or trailer so far: bounded */
	uint32_t trailer_bytes;
	uint64_t left;       /* of this chunk */
};

void http1_chunked_init(struct http1_chunked *chunked);

/* Takes input in any cut. Returns the bytes of `in` it used; *ret_data is the body data among them
 * (may be empty). *ret_end once the last chunk and its trailers are over; what follows is not
 * used. -EBADMSG, and for ever: bad size (over 16 digits, sign, space), bare LF, size line over
 * 255 bytes, folded or bad trailers, trailers over 8 KiB. */
ssize_t http1_chunked_feed(struct http1_chunked *chunked, struct span in, struct span *ret_data,
    bool *ret_end);

/* After -EBADMSG: a sentence that names place and reason. Else NULL. */
const char *http1_chunked_reason(const struct http1_chunked *chunked);

/* ── URL parts ── */

/* Percent-decodes into `out` (at least in.len bytes); '+' is a space when `form`. The length, or
 * -EINVAL (bad escape, NUL). May decode in place (out == in.ptr). */
ssize_t http1_url_decode(struct span in, bool form, char *out);

/* Takes the next `name=value` off *query (both encoded). false at the end. Empty pairs skipped. */
bool http1_query_next(struct span *query, struct span *ret_name, struct span *ret_value);

/* "Not Found" for 404; "Unknown" for what it does not know. */
const char *http1_status_text(unsigned status);

#endif
