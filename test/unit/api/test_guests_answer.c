/*
 * test_guests_answer.c: what an application says of a guest: read, or taken for nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "guests_answer.h"

#define WHOLE                                                                                      \
	"{\"allow\":[\"a/+\",\"\\u0062\"],\"publish\":[\"p\"],\"user\":\"Ev\\u0065\","             \
	"\"expires_in_s\":60,\"cache_s\":0,\"detail\":\"no\",\"else\":{\"allow\":[true]}} \n"

static struct guests_answer
read_good(const char *text, bool refusal)
{
	struct guests_answer answer;
	const char *why = "";
	if (guests_answer_read(span_str(text), refusal, &answer, &why))
		fail_msg("%s: %s", text, why);
	return answer;
}

static void
every_member_is_read(void **state)
{
	struct guests_answer answer = read_good(WHOLE, false);
	(void)state;
	assert_true(answer.allows && !answer.allows_all);
	assert_int_equal(answer.pattern_count, 2);
	assert_true(span_eq(answer.patterns[0], SPAN("a/+")));
	assert_true(span_eq(answer.patterns[1], SPAN("b")));
	assert_int_equal(answer.publish_count, 1);
	assert_true(span_eq(answer.publish[0], SPAN("p")));
	assert_true(span_eq(answer.user, SPAN("Eve")));
	assert_true(span_eq(answer.detail, SPAN("no")));
	assert_true(answer.expires_in_s == 60);
	assert_true(answer.cache_said && answer.cache_s == 0);
	guests_answer_finish(&answer);
	answer = read_good("{\"allow\":true}", false);
	assert_true(answer.allows && answer.allows_all && !answer.cache_said);
	guests_answer_finish(&answer);
	answer = read_good("{\"allow\":[]}", false);
	assert_true(!answer.allows && !answer.allows_all);
	guests_answer_finish(&answer);
	answer = read_good("{\"detail\":\"x\"}", true);
	assert_false(answer.allows);
	guests_answer_finish(&answer);
}

static void
assert_worthless(struct span text)
{
	/* At the end of its own memory, where reading on is seen. */
	char *copy = malloc(text.len ? text.len : 1);
	struct guests_answer answer;
	const char *why = NULL;
	assert_non_null(copy);
	memcpy(copy, text.ptr, text.len);
	if (guests_answer_read(span_of(copy, text.len), false, &answer, &why) != -EBADMSG)
		fail_msg("'%.*s' was read", SPAN_ARG(text));
	assert_non_null(why);
	free(copy);
}

static void
a_part_of_it_is_worth_nothing(void **state)
{
	size_t whole = strlen(WHOLE) - 2; /* the blanks behind it */
	(void)state;
	for (size_t len = 0; len < whole; len++)
		assert_worthless(span_of(WHOLE, len));
}

static void
what_is_wrong_in_it_makes_all_of_it_worthless(void **state)
{
	static const char *const texts[] = {
		"{}", "[]", "true", "\"allow\"", "{\"allow\":null}", "{\"allow\":1}",
		"{\"allow\":\"true\"}", "{\"allow\":{}}", "{\"allow\":[1]}",
		"{\"allow\":[[\"a\"]]}",
		"{\"allow\":[\"a\",null]}", "{\"allow\":true,\"allow\":true}",
		"{\"allow\":true,\"user\":null}", "{\"allow\":true,\"user\":[]}",
		"{\"allow\":true,\"publish\":true}", "{\"allow\":true,\"publish\":[false]}",
		"{\"allow\":true,\"expires_in_s\":0}", "{\"allow\":true,\"expires_in_s\":-1}",
		"{\"allow\":true,\"expires_in_s\":1.5}", "{\"allow\":true,\"expires_in_s\":1e3}",
		"{\"allow\":true,\"expires_in_s\":99999999999999999999}",
		"{\"allow\":true,\"cache_s\":\"1\"}", "{\"allow\":true}x", "{\"allow\":true}{}",
		"{\"Allow\":true}", "{'allow':true}", "{\"allow\":true,}",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
		assert_worthless(span_str(texts[i]));
}

static void
lists_are_bounded(void **state)
{
	char text[8 * GUESTS_ANSWER_PATTERNS_MAX];
	(void)state;
	for (size_t more = 0; more < 2; more++) {
		size_t len = (size_t)snprintf(text, sizeof text, "{\"allow\":[\"a\"");
		for (size_t i = 1; i < GUESTS_ANSWER_PATTERNS_MAX + more; i++)
			len += (size_t)snprintf(text + len, sizeof text - len, ",\"a\"");
		len += (size_t)snprintf(text + len, sizeof text - len, "]}");
		if (more) {
			assert_worthless(span_of(text, len));
			continue;
		}
		struct guests_answer answer = read_good(text, false);
		assert_int_equal(answer.pattern_count, GUESTS_ANSWER_PATTERNS_MAX);
		guests_answer_finish(&answer);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_member_is_read),
		cmocka_unit_test(a_part_of_it_is_worth_nothing),
		cmocka_unit_test(what_is_wrong_in_it_makes_all_of_it_worthless),
		cmocka_unit_test(lists_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
