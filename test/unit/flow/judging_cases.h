/*
 * judging_cases.h: tables of bodies and what must become of them.
 */
#ifndef WEIR_TEST_FLOW_JUDGING_CASES_H
#define WEIR_TEST_FLOW_JUDGING_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "judging.h"

/* One body and what must become of it. */
struct judging_case {
	const char *name;
	const char *body;
	const char *points;   /* "" none */
	const char *rejects;  /* "" none */
	const char *after;    /* the body afterwards; NULL: as it came */
};

static inline bool
judging_same(const char *what, const struct judging_case *one, struct span is, const char *must)
{
	if (span_eq(is, span_str(must)))
		return true;
	print_error("%s: %s are\n%.*sthey must be\n%s", one->name, what, SPAN_ARG(is), must);
	return false;
}

static inline void
judging_check_cases(struct judging *judging, enum journal_format format,
    enum lp_precision precision, const struct judging_case *cases, size_t count)
{
	bool good = true;
	for (size_t i = 0; i < count; i++) {
		const struct judging_case *one = &cases[i];
		judging_run(judging, format, precision, span_str(one->body));
		if (judging->error) {
			print_error("%s: %d %s\n", one->name, judging->error, judging->reason);
			good = false;
			continue;
		}
		struct span body = span_of(judging->body.bytes, judging->body.len);
		good &= judging_same("points", one, buf_span(&judging->points), one->points);
		good &= judging_same("rejects", one, buf_span(&judging->rejects), one->rejects);
		good &= judging_same("bytes", one, body, one->after ? one->after : one->body);
		good &= judging->result.rejected == judging->result.reject_count;
	}
	assert_true(good);
}

#endif
