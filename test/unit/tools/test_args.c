/*
 * test_args.c: options from a command line; what is wrong is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "args.h"
#include "check.h"

struct values {
	const char *name;
	uint64_t count;
	double number;
	int64_t wait_ms;
	int choice;
	bool flag;
	const char *operands[2];
	size_t operand_count;
};

static int
parse(struct values *v, const char *line)
{
	static const char *const choices[] = {"red", "blue", NULL};
	const struct args_option table[] = {
	    {.name = "name", .kind = ARGS_STRING, .ret_value = &v->name},
	    {.name = "count", .kind = ARGS_COUNT, .ret_value = &v->count, .least = 1, .most = 9},
	    {.name = "number",
		.kind = ARGS_NUMBER,
		.ret_value = &v->number,
		.least = 0.5,
		.most = 2},
	    {.name = "wait", .kind = ARGS_DURATION, .ret_value = &v->wait_ms},
	    {.name = "choice", .kind = ARGS_CHOICE, .ret_value = &v->choice, .choices = choices},
	    {.name = "flag", .kind = ARGS_FLAG, .ret_value = &v->flag},
	};
	static char words[20][40];
	char *argv[20], text[400], *rest = NULL;
	int argc = 0;
	strcpy(text, line);
	for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		argv[argc] = strcpy(words[argc], word), argc++;
	*v = (struct values){.operand_count = 2};
	return args_parse(
	    "test", argc, argv, table, ARRAY_COUNT(table), v->operands, &v->operand_count);
}

static void
both_ways_to_give_a_value(void **state)
{
	(void)state;
	struct values v;
	assert_int_equal(parse(&v, "test --name=a=b --count 7 --number 1.5 one --wait 2s "
				   "--choice blue --flag two"),
	    0);
	assert_string_equal(v.name, "a=b");
	assert_int_equal(v.count, 7);
	assert_true(v.number == 1.5);
	assert_int_equal(v.wait_ms, 2000);
	assert_int_equal(v.choice, 1);
	assert_true(v.flag);
	assert_int_equal(v.operand_count, 2);
	assert_string_equal(v.operands[0], "one");
	assert_string_equal(v.operands[1], "two");
}

static void
nothing_given_changes_nothing(void **state)
{
	(void)state;
	struct values v;
	assert_int_equal(parse(&v, "test"), 0);
	assert_null(v.name);
	assert_int_equal(v.operand_count, 0);
}

static void
wrong_lines(void **state)
{
	(void)state;
	static const char *const lines[] = {"test --nam x", "test --name", "test -n x",
	    "test --count 0", "test --count 10", "test --count 1.5", "test --count -1",
	    "test --count=", "test --number 0.4", "test --number x", "test --wait 5",
	    "test --wait 0s", "test --choice green", "test --flag=yes", "test a b c"};
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
		struct values v;
		if (parse(&v, lines[i]) != -EINVAL)
			fail_msg("%s", lines[i]);
	}
}

static void
help_is_told_apart(void **state)
{
	(void)state;
	struct values v;
	assert_int_equal(parse(&v, "test --help"), ARGS_HELP);
	assert_int_equal(parse(&v, "test --count 3 -h"), ARGS_HELP);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(both_ways_to_give_a_value),
	    cmocka_unit_test(nothing_given_changes_nothing),
	    cmocka_unit_test(wrong_lines),
	    cmocka_unit_test(help_is_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
