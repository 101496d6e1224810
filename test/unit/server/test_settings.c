/*
 * test_settings.c: every type of setting, every source, every error with its place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "settings.h"

/* Reads `text` as a file named f.conf; the errors, as a string that the caller frees. */
static char *
errors_of(const char *text, struct settings *settings, bool *ret_good)
{
	struct buf errors;
	buf_init(&errors, 0);
	settings_init(settings);
	*ret_good = settings_read_text(settings, "f.conf", span_str(text), &errors);
	buf_append_byte(&errors, '\0');
	assert_true(buf_ok(&errors));
	char *copy = strdup(errors.ptr);
	buf_finish(&errors);
	return copy;
}

static void
expect_good(const char *text, struct settings *settings)
{
	bool good;
	char *errors = errors_of(text, settings, &good);
	assert_string_equal(errors, "");
	assert_true(good);
	free(errors);
}

/* One error, that begins with `place` and holds `words`. */
static void
expect_error(const char *text, const char *place, const char *words)
{
	struct settings settings, initial;
	bool good;
	char *errors = errors_of(text, &settings, &good);
	assert_false(good);
	if (strncmp(errors, place, strlen(place)) != 0 || !strstr(errors, words))
		fail_msg("'%s' gave '%s', not '%s…%s'", text, errors, place, words);
	assert_ptr_equal(strchr(errors, '\n'), errors + strlen(errors) - 1);
	settings_init(&initial);
	assert_memory_equal(&settings, &initial, sizeof settings);
	free(errors);
}

static void
defaults_lie_within_their_bounds(void **state)
{
	(void)state;
	struct settings settings;
	settings_init(&settings);
	assert_int_equal(settings.net.loops, 0);
	assert_int_equal(settings.journal.segment_bytes, 64 << 20);
	assert_int_equal(settings.journal.durability, 0);
	assert_int_equal(settings.series.head_age_ms_max, 600000);
	assert_int_equal(settings.http.gzip, 1);
	for (size_t i = 0; i < settings_count; i++) {
		const struct settings_entry *entry = &settings_table[i];
		assert_non_null(strchr(entry->name, '.'));
		assert_true(entry->min <= entry->max);
		assert_int_equal(entry->help[strlen(entry->help) - 1], '.');
	}
}

static void
every_type_is_read_from_a_file(void **state)
{
	(void)state;
	struct settings settings;
	expect_good("\xef\xbb\xbf# a comment\r\n; another\n\n"
		    "[net]\nloops = 3   # behind a blank\n  idle_ms=1m30s\n"
		    "[http]\nhead_ms = 250\nbody_bytes_max = 2 MiB\ngzip = off\n"
		    "[sse]\ncomment_s = 20\n"
		    "[ws]\norigins = \"http://a.example # http://b.example\"\n"
		    "[journal]\ndurability = OS\nsegment_bytes=\"16MiB\"\n"
		    "[log]\nlevel = debug",
	    &settings);
	assert_int_equal(settings.net.loops, 3);
	assert_int_equal(settings.net.idle_ms, 90000);
	assert_int_equal(settings.http.head_ms, 250);
	assert_int_equal(settings.http.body_bytes_max, 2 << 20);
	assert_int_equal(settings.http.gzip, 0);
	assert_int_equal(settings.sse.comment_ms, 20000);
	assert_string_equal(settings.ws.origins, "http://a.example # http://b.example");
	assert_int_equal(settings.journal.durability, 1);
	assert_int_equal(settings.journal.segment_bytes, 16 << 20);
	assert_int_equal(settings.log.level, 0);
}

static void
a_key_may_bear_its_section(void **state)
{
	(void)state;
	struct settings settings;
	expect_good("net.loops = 5\n", &settings);
	assert_int_equal(settings.net.loops, 5);
}

static void
errors_name_file_line_and_reason(void **state)
{
	(void)state;
	expect_error("[net]\n\nloop = 1\n", "f.conf:3: ", "did you mean net.loops?");
	expect_error("[http]\nloops = 1\n", "f.conf:2: ", "there is no setting http.loops");
	expect_error("[htp]\na = 1\nb = 2\n", "f.conf:1: ", "no section [htp]");
	expect_error("[net\nloops = 1\n", "f.conf:1: ", "ends with ]");
	expect_error("[net]\nloops\n", "f.conf:2: ", "no =");
	expect_error("[net]\n= 1\n", "f.conf:2: ", "key = value");
	expect_error("[net]\nloops = 65\n", "f.conf:2: ", "from 0 to 64");
	expect_error("[net]\nloops = -1\n", "f.conf:2: ", "net.loops is '-1'");
	expect_error("[net]\nloops = two\n", "f.conf:2: ", "a whole number");
	expect_error("[net]\nloops =\n", "f.conf:2: ", "net.loops is ''");
	expect_error("[net]\nidle_ms = 1x\n", "f.conf:2: ", "a duration from");
	expect_error("[http]\nbody_bytes_max = 1\n", "f.conf:2: ", "a size from 1KiB to 16MiB");
	expect_error("[http]\ngzip = maybe\n", "f.conf:2: ", "yes or no");
	expect_error("[journal]\ndurability = safe\n", "f.conf:2: ", "one of fsync, os, none");
	expect_error("[journal]\nsegment_bytes = 1048577\n", "f.conf:2: ", "multiple of 4096");
	expect_error("[net]\ntrusted_proxies = 10.0.0.0/8 proxy\n", "f.conf:2: ",
	    "addresses and networks");
	expect_error("[net]\nlo\xff = 1\n", "f.conf:2: ", "no line of text");
	expect_error("rubbish = 1\n", "f.conf:1: ", "weir help settings");
}

static void
a_text_that_is_too_long_is_refused(void **state)
{
	(void)state;
	char text[SETTINGS_TEXT_BYTES + 32];
	memset(text, 'a', sizeof text);
	memcpy(text, "[ws]\norigins = ", 15);
	text[sizeof text - 1] = '\0';
	expect_error(text, "f.conf:2: ", "a text of at most 1023 bytes");
}

static void
a_key_that_is_set_twice_is_refused(void **state)
{
	(void)state;
	struct settings settings;
	bool good;
	char *errors = errors_of("[net]\nloops = 1\nloops = 2\n", &settings, &good);
	assert_false(good);
	assert_string_equal(errors, "f.conf:3: net.loops is set already in line 2\n");
	free(errors);
}

static void
every_error_of_a_file_is_told(void **state)
{
	(void)state;
	struct settings settings;
	bool good;
	char *errors = errors_of("[net]\nx = 1\ny = 2\n[log]\nlevel = loud\n", &settings, &good);
	assert_non_null(strstr(errors, "f.conf:2: "));
	assert_non_null(strstr(errors, "f.conf:3: "));
	assert_non_null(strstr(errors, "f.conf:5: "));
	free(errors);
}

static void
the_environment_names_its_variable(void **state)
{
	(void)state;
	struct settings settings;
	struct buf errors;
	const char *good[] = {"PATH=/bin", "WEIR_BIN=build/weir", "WEIR_TEST_LONG=1",
	    "WEIR_NET_LOOPS=7", "WEIR_JOURNAL_SEGMENT_BYTES=1MiB", NULL};
	const char *bad[] = {"WEIR_NET_LOOPS=many", "WEIR_HTTP_NOTHING=1", NULL};
	buf_init(&errors, 0);
	settings_init(&settings);
	assert_true(settings_read_environment(&settings, good, &errors));
	assert_int_equal(settings.net.loops, 7);
	assert_int_equal(settings.journal.segment_bytes, 1 << 20);
	assert_false(settings_read_environment(&settings, bad, &errors));
	buf_append_byte(&errors, '\0');
	assert_non_null(strstr(errors.ptr, "environment WEIR_NET_LOOPS: net.loops is 'many'"));
	assert_non_null(strstr(errors.ptr, "environment WEIR_HTTP_NOTHING: there is no setting"));
	buf_finish(&errors);
}

static void
set_wins_over_environment_and_that_over_the_file(void **state)
{
	(void)state;
	char path[] = "/tmp/weir-settings-XXXXXX";
	int fd = mkstemp(path);
	const char text[] = "[net]\nloops = 1\nconns_max = 10\n[http]\nhead_ms = 1000\n";
	assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
	close(fd);
	const char *environment[] = {"WEIR_NET_LOOPS=2", "WEIR_NET_CONNS_MAX=20", NULL};
	const char *sets[] = {"net.loops=3", "net.loops = 4"};
	struct env *env = env_create();
	struct settings_sources sources = {env, path, environment, sets, 2};
	struct settings settings;
	struct buf errors;
	buf_init(&errors, 0);
	assert_true(settings_load(&sources, &settings, &errors));
	assert_int_equal(settings.net.loops, 4);
	assert_int_equal(settings.net.conns_max, 20);
	assert_int_equal(settings.http.head_ms, 1000);
	unlink(path);
	assert_false(settings_load(&sources, &settings, &errors));
	buf_append_byte(&errors, '\0');
	assert_non_null(strstr(errors.ptr, path));
	assert_non_null(strstr(errors.ptr, "cannot be read"));
	buf_finish(&errors);
	env_destroy(env);
}

static void
a_set_without_a_value_is_refused(void **state)
{
	(void)state;
	struct settings settings;
	struct buf errors;
	buf_init(&errors, 0);
	settings_init(&settings);
	assert_false(settings_read_set(&settings, "net.loops", &errors));
	assert_false(settings_read_set(&settings, "net.loops=x", &errors));
	buf_append_byte(&errors, '\0');
	assert_non_null(strstr(errors.ptr, "--set net.loops: it must be SECTION.KEY=VALUE"));
	assert_non_null(strstr(errors.ptr, "--set net.loops=x: net.loops is 'x'"));
	buf_finish(&errors);
}

static void
what_is_printed_can_be_read_again(void **state)
{
	(void)state;
	struct settings settings, again;
	settings_init(&settings);
	for (size_t i = 0; i < settings_count; i++) {
		const struct settings_entry *entry = &settings_table[i];
		struct buf text, why;
		buf_init(&text, 0);
		buf_init(&why, 0);
		settings_init(&again);
		settings_format(entry, &settings, &text);
		assert_true(settings_put(&again, span_str(entry->name), buf_span(&text), &why));
		assert_false(settings_differ(entry, &settings, &again));
		buf_finish(&text);
		buf_finish(&why);
	}
}

static void
the_manual_page_names_every_setting(void **state)
{
	(void)state;
	struct buf page;
	buf_init(&page, 0);
	settings_print(&page);
	buf_append_byte(&page, '\0');
	for (size_t i = 0; i < settings_count; i++)
		assert_non_null(strstr(page.ptr, strchr(settings_table[i].name, '.') + 1));
	assert_non_null(strstr(page.ptr, "WEIR_SERIES_HEAD_AGE_S_MAX"));
	buf_finish(&page);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults_lie_within_their_bounds),
	    cmocka_unit_test(every_type_is_read_from_a_file),
	    cmocka_unit_test(a_key_may_bear_its_section),
	    cmocka_unit_test(errors_name_file_line_and_reason),
	    cmocka_unit_test(a_text_that_is_too_long_is_refused),
	    cmocka_unit_test(a_key_that_is_set_twice_is_refused),
	    cmocka_unit_test(every_error_of_a_file_is_told),
	    cmocka_unit_test(the_environment_names_its_variable),
	    cmocka_unit_test(set_wins_over_environment_and_that_over_the_file),
	    cmocka_unit_test(a_set_without_a_value_is_refused),
	    cmocka_unit_test(what_is_printed_can_be_read_again),
	    cmocka_unit_test(the_manual_page_names_every_setting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
