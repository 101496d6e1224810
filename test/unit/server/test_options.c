/*
 * test_options.c: words behind a command: read, explained, refused with a sentence that helps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "options.h"

struct given {
	const char *data;
	struct options_list listen;
	bool check;
	enum options_result result;
	char *out, *err;
};

/* argv ends with NULL. */
static void
parse(struct given *given, const char *const *argv)
{
	size_t out_len, err_len;
	FILE *out = open_memstream(&given->out, &out_len);
	FILE *err = open_memstream(&given->err, &err_len);
	const struct options_entry entries[] = {
	    {"data", "DIR", OPTIONS_TEXT, true, &given->data, "where it is kept\nfor long"},
	    {"listen", "URL", OPTIONS_LIST, false, &given->listen, "where it listens"},
	    {"check", NULL, OPTIONS_FLAG, false, &given->check, "only look"},
	    {0},
	};
	const struct options_command command = {
	    .usage = "weir try --data DIR [OPTIONS]", .help = "Tries.", .options = entries};
	int argc = 0;
	while (argv[argc])
		argc++;
	given->result = options_parse(&command, argc, (char *const *)(uintptr_t)argv, out, err);
	fclose(out);
	fclose(err);
}

static void
finish(struct given *given)
{
	free(given->out);
	free(given->err);
}

static void
values_come_in_either_form(void **state)
{
	(void)state;
	struct given given = {0};
	parse(&given,
	    (const char *[]){"try", "--data", "d", "--listen=a", "--listen", "b", "--check", NULL});
	assert_int_equal(given.result, OPTIONS_OK);
	assert_string_equal(given.data, "d");
	assert_int_equal(given.listen.count, 2);
	assert_string_equal(given.listen.items[0], "a");
	assert_string_equal(given.listen.items[1], "b");
	assert_true(given.check);
	assert_string_equal(given.err, "");
	finish(&given);
}

static void
expect_wrong(const char *const *argv, const char *words)
{
	struct given given = {0};
	parse(&given, argv);
	assert_int_equal(given.result, OPTIONS_WRONG);
	if (!strstr(given.err, words) || strncmp(given.err, "weir try: ", 10) != 0)
		fail_msg("'%s' does not say '%s'", given.err, words);
	assert_non_null(strstr(given.err, "weir try --help"));
	finish(&given);
}

static void
what_is_wrong_is_named(void **state)
{
	(void)state;
	expect_wrong((const char *[]){"try", NULL}, "--data DIR is missing (where it is kept)");
	expect_wrong((const char *[]){"try", "--dat", "d", NULL}, "did you mean --data?");
	expect_wrong((const char *[]){"try", "--colour=red", NULL}, "there is no option --colour");
	expect_wrong((const char *[]){"try", "--data", NULL}, "--data needs a value");
	expect_wrong(
	    (const char *[]){"try", "--data=a", "--data=b", NULL}, "--data is given twice");
	expect_wrong((const char *[]){"try", "--check=yes", NULL}, "--check takes no value");
	expect_wrong((const char *[]){"try", "--data", "d", "extra", NULL}, "there is extra");
	expect_wrong((const char *[]){"try", "--", NULL}, "there is --");
}

static void
too_many_of_a_list_are_refused(void **state)
{
	(void)state;
	const char *argv[OPTIONS_LIST_MAX + 4] = {"try", "--data=d"};
	for (size_t i = 0; i <= OPTIONS_LIST_MAX; i++)
		argv[i + 2] = "--listen=x";
	expect_wrong(argv, "--listen is given too often");
}

static void
help_names_every_option(void **state)
{
	(void)state;
	struct given given = {0};
	parse(&given, (const char *[]){"try", "--help", NULL});
	assert_int_equal(given.result, OPTIONS_HELP);
	for (const char *const *word = (const char *[]){"usage: weir try", "--data DIR", "for long",
		 "--listen URL", "--check", "--help", NULL};
	     *word; word++)
		assert_non_null(strstr(given.out, *word));
	finish(&given);
}

static void
guesses_are_like_the_word(void **state)
{
	(void)state;
	const char *const words[] = {"serve", "demo", "simulate", NULL};
	assert_string_equal(options_guess("sreve", words), "serve");
	assert_string_equal(options_guess("simulat", words), "simulate");
	assert_null(options_guess("dance", words));
	assert_null(options_guess("", words));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(values_come_in_either_form),
	    cmocka_unit_test(what_is_wrong_is_named),
	    cmocka_unit_test(too_many_of_a_list_are_refused),
	    cmocka_unit_test(help_names_every_option),
	    cmocka_unit_test(guesses_are_like_the_word),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
