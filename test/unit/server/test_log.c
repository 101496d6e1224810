/*
 * test_log.c: lines of the log: quoting, JSON, levels, cuts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "json.h"
#include "log.h"

struct world {
	struct env *env;
	struct log log;
	int fds[2];
	char text[8192];
};

static int
setup(void **state)
{
	struct world *world = test_calloc(1, sizeof *world);
	world->env = env_create();
	assert_int_equal(pipe(world->fds), 0);
	log_init(&world->log, world->env, world->fds[1]);
	*state = world;
	return 0;
}

static int
teardown(void **state)
{
	struct world *world = *state;
	close(world->fds[0]);
	close(world->fds[1]);
	env_destroy(world->env);
	test_free(world);
	return 0;
}

/* What was logged; NULL: nothing. Once: the write end is closed. */
static const char *
logged(struct world *world)
{
	close(world->fds[1]);
	ssize_t len = read(world->fds[0], world->text, sizeof world->text - 1);
	world->fds[1] = dup(world->fds[0]);
	if (len <= 0)
		return NULL;
	world->text[len] = '\0';
	return world->text;
}

static void
plain_values_are_bare_and_others_quoted(void **state)
{
	struct world *world = *state;
	log_event(&world->log, LOG_INFO, "try",
	    LOG_FIELDS(LOG_TEXT("plain", "http://127.0.0.1:80"), LOG_NUMBER("n", -5),
		LOG_TEXT("blank", "a b"), LOG_TEXT("empty", ""), LOG_TEXT("quote", "a\"b\\c"),
		LOG_TEXT("equals", "a=b"), LOG_TEXT("line", "a\nb\x01"), LOG_TEXT("umlaut", "ü")));
	const char *text = logged(world);
	assert_memory_equal(text, "time=2", 6);
	assert_string_equal(strstr(text, " level="),
	    " level=info event=try plain=http://127.0.0.1:80 n=-5 blank=\"a b\" empty=\"\" "
	    "quote=\"a\\\"b\\\\c\" equals=\"a=b\" line=\"a\\nb\\u0001\" umlaut=\"ü\"\n");
}

static void
json_lines_are_json(void **state)
{
	struct world *world = *state;
	struct json_reader reader;
	atomic_store(&world->log.format, LOG_FORMAT_JSON);
	log_event(&world->log, LOG_WARN, "try",
	    LOG_FIELDS(LOG_TEXT("text", "a\"\n\xff"), LOG_NUMBER("n", 7)));
	const char *text = logged(world);
	assert_non_null(strstr(
	    text, ",\"level\":\"warn\",\"event\":\"try\",\"text\":\"a\\\"\\n?\",\"n\":7}\n"));
	json_reader_init(&reader, span_str(text), false);
	enum json_token token;
	while ((token = json_next(&reader)) != JSON_END)
		assert_int_not_equal(token, JSON_ERROR);
}

static void
less_than_the_level_is_not_written(void **state)
{
	struct world *world = *state;
	atomic_store(&world->log.level, LOG_WARN);
	assert_false(log_wants(&world->log, LOG_INFO));
	log_event(&world->log, LOG_INFO, "quiet", NULL);
	assert_null(logged(world));
}

static void
what_is_too_long_is_cut_and_the_line_still_whole(void **state)
{
	struct world *world = *state;
	char longest[6000];
	memset(longest, 0xc3, sizeof longest); /* "ü" again and again */
	for (size_t i = 1; i < sizeof longest; i += 2)
		longest[i] = (char)0xbc;
	longest[sizeof longest - 2] = '\0';
	atomic_store(&world->log.format, LOG_FORMAT_JSON);
	log_event(&world->log, LOG_ERROR, "try",
	    LOG_FIELDS(LOG_TEXT("long", longest), LOG_TEXT("after", "left out")));
	const char *text = logged(world);
	assert_in_range(strlen(text), 4000, 4096);
	assert_string_equal(text + strlen(text) - 3, "\"}\n");
	struct json_reader reader;
	json_reader_init(&reader, span_str(text), false);
	enum json_token token;
	while ((token = json_next(&reader)) != JSON_END)
		assert_int_not_equal(token, JSON_ERROR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		plain_values_are_bare_and_others_quoted, setup, teardown),
	    cmocka_unit_test_setup_teardown(json_lines_are_json, setup, teardown),
	    cmocka_unit_test_setup_teardown(less_than_the_level_is_not_written, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		what_is_too_long_is_cut_and_the_line_still_whole, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
