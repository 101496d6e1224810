/*
 * out_easy.c: a call as an easy handle of libcurl: what is sent, what is taken of the answer, what
 * its failures mean.
 *
 * Nothing is left to defaults that an environment, a file in a home directory or an answer could
 * change: no proxy, no netrc, no redirects, no cookies, no other protocols, no decompression.
 */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "check.h"
#include "out_priv.h"

/* ── the answer as it comes ── */

static size_t
take_head(char *bytes, size_t size, size_t count, void *ctx)
{
	struct out_call *call = ctx;
	size_t len = size * count;
	call->head_bytes += len;
	if (call->head_bytes > OUT_HEAD_BYTES_MAX) {
		call->error = -EMSGSIZE;
		return 0;
	}
	if (len >= 5 && memcmp(bytes, "HTTP/", 5) == 0)
		call->delimited = false; /* a head of 1xx came before */
	else if (strncasecmp(bytes, "Content-Length:", MIN(len, (size_t)15)) == 0 ||
	    strncasecmp(bytes, "Transfer-Encoding:", MIN(len, (size_t)18)) == 0)
		call->delimited = true;
	return len;
}

static size_t
take_body(char *bytes, size_t size, size_t count, void *ctx)
{
	struct out_call *call = ctx;
	size_t len = size * count;
	int error = buf_append(&call->answer, bytes, len);
	if (!error)
		return len;
	call->error = error;
	return 0;
}

/* ── the request ── */

static bool
line_add(struct curl_slist **lines, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*lines, line);
	if (longer)
		*lines = longer;
	return longer != NULL;
}

/* Expect: an answer is not waited for before the body is sent. */
static bool
lines_add(struct out_call *call)
{
	struct curl_slist *lines = NULL;
	bool good = line_add(&lines, "Expect:") && line_add(&lines, "Accept: application/json");
	for (size_t i = 0; i < call->header_count && good; i++) {
		check(!strpbrk(call->headers[i], "\r\n"));
		good = line_add(&lines, call->headers[i]);
	}
	call->lines = lines;
	return good && curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, lines) == CURLE_OK;
}

static bool
fill_request(struct out_call *call)
{
	CURL *easy = call->easy;
	CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, call->url);
	if (!code && call->body.ptr) {
		code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body.ptr);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
	}
	if (!code)
		code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
	return !code && lines_add(call);
}

static bool
fill_limits(struct out_call *call)
{
	CURL *easy = call->easy;
	return !curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https")
	    && !curl_easy_setopt(easy, CURLOPT_PROXY, "")
	    && !curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L)
	    && !curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L)
	    && !curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED)
	    && !curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L)
	    && !curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1)
	    && !curl_easy_setopt(easy, CURLOPT_USERAGENT, "weir/" WEIR_VERSION);
}

int
out_easy_create(struct out_call *call)
{
	CURL *easy = call->easy = curl_easy_init();
	if (!easy)
		return -ENOMEM;
	curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->why);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_head);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	if (fill_limits(call) && fill_request(call))
		return 0;
	out_easy_destroy(call);
	return -ENOMEM;
}

void
out_easy_destroy(struct out_call *call)
{
	curl_easy_cleanup(call->easy);
	curl_slist_free_all(call->lines);
	call->easy = call->lines = NULL;
}

/* ── what became of it ── */

static int
errno_of(CURLcode code)
{
	switch (code) {
	case CURLE_OK: return 0;
	case CURLE_COULDNT_RESOLVE_HOST: return -EHOSTUNREACH;
	case CURLE_COULDNT_CONNECT: return -ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT: return -ETIMEDOUT;
	case CURLE_OUT_OF_MEMORY: return -ENOMEM;
	case CURLE_SSL_CONNECT_ERROR: case CURLE_PEER_FAILED_VERIFICATION: return -EPROTO;
	case CURLE_PARTIAL_FILE: case CURLE_GOT_NOTHING: case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR: return -ECONNRESET;
	default: return -EBADMSG;
	}
}

int
out_easy_result(struct out_call *call, int code)
{
	long status = 0;
	if (call->error == -EMSGSIZE) {
		snprintf(call->why, sizeof call->why, "the answer is longer than %zu bytes",
		    call->answer_bytes_max);
		return -EMSGSIZE;
	}
	if (call->error)
		return call->error;
	if (code != CURLE_OK) {
		if (!call->why[0])
			snprintf(call->why, sizeof call->why, "%s",
			    curl_easy_strerror((CURLcode)code));
		return errno_of((CURLcode)code);
	}
	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	call->status = (unsigned)status;
	return 0;
}
