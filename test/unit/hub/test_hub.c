/*
 * The sequencer's half: which loops want a name, against a model that looks at every pattern.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "check.h"
#include "hub.h"
#include "prng.h"

#define MAIN SPAN("main")

static void
loops_are_bounded(void **state)
{
	(void)state;
	struct hub *hub;
	assert_int_equal(hub_create(0, &hub), -EINVAL);
	assert_int_equal(hub_create(65, &hub), -EINVAL);
	assert_int_equal(hub_create(64, &hub), 0);
	hub_destroy(hub);
	hub_destroy(NULL);
}

static void
wants_come_and_go(void **state)
{
	(void)state;
	struct hub *hub;
	assert_int_equal(hub_create(64, &hub), 0);
	assert_int_equal(hub_wanted(hub, MAIN, SPAN("a/b")), 0);
	assert_int_equal(hub_want(hub, 0, MAIN, SPAN("a/b"), true), 0);
	assert_int_equal(hub_want(hub, 0, MAIN, SPAN("a/b"), true), 0);
	assert_int_equal(hub_want(hub, 63, MAIN, SPAN("a/+"), true), 0);
	assert_int_equal(hub_want(hub, 5, MAIN, SPAN("#"), true), 0);
	assert_int_equal(hub_wanted(hub, MAIN, SPAN("a/b")),
	    UINT64_C(1) | UINT64_C(1) << 63 | UINT64_C(1) << 5);
	assert_int_equal(hub_wanted(hub, MAIN, SPAN("a")), UINT64_C(1) << 5);
	assert_int_equal(hub_wanted(hub, SPAN("other"), SPAN("a/b")), 0);
	assert_int_equal(hub_want(hub, 5, MAIN, SPAN("#"), false), 0);
	assert_int_equal(hub_want(hub, 0, MAIN, SPAN("a/b"), false), 0);
	assert_int_equal(hub_want(hub, 0, MAIN, SPAN("a/b"), false), 0);
	assert_int_equal(hub_wanted(hub, MAIN, SPAN("a/b")), UINT64_C(1) << 63);
	char big[256] = {0};
	assert_int_equal(hub_want(hub, 0, MAIN, span_of(big, 256), true), -EINVAL);
	hub_destroy(hub);
}

static void
first_levels_reject_quickly(void **state)
{
	(void)state;
	struct hub *hub;
	assert_int_equal(hub_create(2, &hub), 0);
	assert_false(hub_wants_any(hub, MAIN, SPAN("readings")));
	assert_int_equal(hub_want(hub, 0, MAIN, SPAN("alerts/7"), true), 0);
	assert_false(hub_wants_any(hub, MAIN, SPAN("readings")));
	assert_int_equal(hub_want(hub, 1, MAIN, SPAN("+/7"), true), 0);
	assert_true(hub_wants_any(hub, MAIN, SPAN("readings")));
	assert_int_equal(hub_want(hub, 1, MAIN, SPAN("+/7"), false), 0);
	assert_false(hub_wants_any(hub, MAIN, SPAN("readings")));
	assert_int_equal(hub_want(hub, 1, MAIN, SPAN("readings/#"), true), 0);
	assert_int_equal(hub_want(hub, 1, MAIN, SPAN("readings/7/x"), true), 0);
	assert_int_equal(hub_want(hub, 1, MAIN, SPAN("readings/7/x"), false), 0);
	assert_true(hub_wants_any(hub, MAIN, SPAN("readings")));
	assert_false(hub_wants_any(hub, SPAN("other"), SPAN("readings")));
	assert_int_equal(hub_want(hub, 1, MAIN, SPAN("readings/#"), false), 0);
	assert_false(hub_wants_any(hub, MAIN, SPAN("readings")));
	hub_destroy(hub);
}

/* A text of 1 to 4 levels over a tiny alphabet, so that much matches. */
static size_t
random_text(struct prng *prng, bool wild, char text[16])
{
	size_t len = 0;
	size_t levels = 1 + (size_t)prng_below(prng, 4);
	for (size_t i = 0; i < levels; i++) {
		if (i)
			text[len++] = '/';
		uint64_t draw = prng_below(prng, wild ? 5 : 3);
		if (draw == 4 && i + 1 < levels)
			draw = 3;
		text[len++] = "abc+#"[draw];
	}
	return len;
}

static void
random_wants_agree_with_the_model(void **state)
{
	(void)state;
	enum { PATTERNS = 60, LOOPS = 3, STEPS = 20000 };
	const uint64_t seed = 42;
	printf("seed %llu\n", (unsigned long long)seed);
	struct prng prng = {seed};
	char texts[PATTERNS][16];
	size_t lens[PATTERNS];
	for (size_t i = 0; i < PATTERNS; i++)
		lens[i] = random_text(&prng, true, texts[i]);
	uint64_t wanted[PATTERNS] = {0};
	struct hub *hub;
	assert_int_equal(hub_create(LOOPS, &hub), 0);
	for (size_t step = 0; step < STEPS; step++) {
		size_t i = (size_t)prng_below(&prng, PATTERNS);
		unsigned loop = (unsigned)prng_below(&prng, LOOPS);
		bool want = prng_below(&prng, 2);
		assert_int_equal(hub_want(hub, loop, MAIN, span_of(texts[i], lens[i]), want), 0);
		for (size_t k = 0; k < PATTERNS; k++) {
			if (!span_eq(span_of(texts[k], lens[k]), span_of(texts[i], lens[i])))
				continue;
			wanted[k] = want ? wanted[k] | UINT64_C(1) << loop
			    : wanted[k] & ~(UINT64_C(1) << loop);
		}
		char name[16];
		struct span text = span_of(name, random_text(&prng, false, name));
		uint64_t expected = 0;
		for (size_t k = 0; k < PATTERNS; k++) {
			if (hub_pattern_matches(span_of(texts[k], lens[k]), text))
				expected |= wanted[k];
		}
		assert_int_equal(hub_wanted(hub, MAIN, text), expected);
		if (expected)
			assert_true(hub_wants_any(hub, MAIN, span_of(name, 1)));
	}
	hub_destroy(hub);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loops_are_bounded),
		cmocka_unit_test(wants_come_and_go),
		cmocka_unit_test(first_levels_reject_quickly),
		cmocka_unit_test(random_wants_agree_with_the_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
