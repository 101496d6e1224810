/*
 * test_url.c: which addresses and headers are taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "check.h"
#include "out.h"

static void
addresses(void **state)
{
	static const char *const good[] = {
		"http://127.0.0.1:3000/weir/auth", "https://app.example/x?y=z", "http://[::1]:80/",
		"http://localhost",
	};
	static const char *const bad[] = {
		"", "127.0.0.1:3000/x", "/path", "ftp://h/x", "file:///etc/passwd", "gopher://h",
		"http://", "http://user@h/", "http://user:pass@h/x", "http://h:99999/",
		"http://h/a b", "http://h/\r\nX: y", "unix:/x",
	};
	const char *reason;
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		if (!out_url_check(good[i], &reason))
			fail_msg("%s: %s", good[i], reason);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		reason = NULL;
		if (out_url_check(bad[i], &reason))
			fail_msg("%s was taken", bad[i]);
		assert_non_null(reason);
	}
}

static void
headers(void **state)
{
	static const char *const good[] = {"Cookie", "authorization", "X-Forwarded-For", "Origin"};
	static const char *const bad[] = {
		"", "Host", "content-length", "Transfer-Encoding", "connection", "Expect", "a b",
		"a:b", "Cookie\r", "Sec-WebSocket-Key", "\xc3\xa4",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++)
		assert_true(out_header_check(span_str(good[i])));
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		assert_false(out_header_check(span_str(bad[i])));
	assert_false(out_header_check(SPAN("a\0b")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(headers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
