/* Line protocol: what a line means, what is refused, where and with which code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "buf.h"
#include "guard.h"
#include "lineproto.h"

struct fixture {
	struct guard input, scratch;
	struct lp_line line;
	struct lp_error error;
	struct buf text;
};

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	guard_init(&f->input, LP_LINE_BYTES_MAX + 1);
	guard_init(&f->scratch, LP_LINE_BYTES_MAX + 1);
	buf_init(&f->text, 0);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	guard_finish(&f->input);
	guard_finish(&f->scratch);
	buf_finish(&f->text);
	free(f);
	return 0;
}

/* Input and scratch end at forbidden pages; neither is longer than promised. */
static int
parse(struct fixture *f, struct span line)
{
	struct span input = guard_end(&f->input, line);
	struct span scratch = guard_end(&f->scratch, line);
	char *writable = f->scratch.map + (scratch.ptr - f->scratch.map);
	memset(writable, '~', scratch.len);
	return lp_parse_line(input, writable, &f->line, &f->error);
}

static void
assert_span(struct span got, const char *want)
{
	if (!span_eq(got, span_str(want)))
		fail_msg("\"%.*s\" instead of \"%s\"", SPAN_ARG(got), want);
}

/* The parsed line in one writing, so that tables can say what they expect. */
static void
describe(struct fixture *f)
{
	static const char types[] = "fiubs";
	struct lp_line *line = &f->line;
	buf_clear(&f->text);
	buf_printf(&f->text, "<%.*s>", SPAN_ARG(line->measurement));
	for (size_t i = 0; i < line->tag_count; i++)
		buf_printf(&f->text, "[%.*s|%.*s]", SPAN_ARG(line->tags[i].name),
		    SPAN_ARG(line->tags[i].value));
	for (size_t i = 0; i < line->field_count; i++) {
		const struct lp_field *field = &line->fields[i];
		buf_printf(&f->text, " %.*s:%c", SPAN_ARG(field->name), types[field->type]);
		if (field->type == LP_STRING)
			buf_printf(&f->text, "(%.*s)", SPAN_ARG(field->string));
		else
			buf_printf(&f->text, "%.17g%s", field->number, field->inexact ? "~" : "");
	}
	if (line->has_time)
		buf_printf(&f->text, " @%lld", (long long)line->time);
	buf_append_byte(&f->text, '\0');
}

static void
good_lines_mean_what_they_say(void **state)
{
	static const char *const cases[][2] = {
	    {"m f=1", "<m> f:f1"},
	    {"m f=1 5", "<m> f:f1 @5"},
	    {"m,t=v f=1 1700000000000000000", "<m>[t|v] f:f1 @1700000000000000000"},
	    {"weather,city=Bonn,site=north temp=21.5,hum=40i,on=t,n=7u,s=\"x y\" -12",
		"<weather>[city|Bonn][site|north] temp:f21.5 hum:i40 on:b1 n:u7 s:s(x y) @-12"},
	    {"m\\,a\\ b,t\\,a\\=g\\ x=v\\,\\=\\  f\\,i\\=e\\ ld=1",
		"<m,a b>[t,a=g x|v,= ] f,i=e ld:f1"},
	    {"m=a,t=v f=1", "<m=a>[t|v] f:f1"},
	    {"m\\=a f=1", "<m\\=a> f:f1"},
	    {"C:\\dir,p=D:\\x\\y f=1", "<C:\\dir>[p|D:\\x\\y] f:f1"},
	    {"m\\\\ x f=1", "<m\\ x> f:f1"},
	    {"m,t=a\\\\,u f=1", "<m>[t|a\\,u] f:f1"},
	    {"m s=\"\"", "<m> s:s()"},
	    {"m s=\"a\\\"b\\\\c\\nd\"", "<m> s:s(a\"b\\c\\nd)"},
	    {"m s=\"\\\\\"", "<m> s:s(\\)"},
	    {"m s=\"a,b=c d\",g=2", "<m> s:s(a,b=c d) g:f2"},
	    {"m \"f\"=1", "<m> \"f\":f1"},
	    {"m,t=\"v\" f=1", "<m>[t|\"v\"] f:f1"},
	    {"  \tm f=1", "<m> f:f1"},
	    {"m  f=1   5  ", "<m> f:f1 @5"},
	    {"m f=1 ", "<m> f:f1"},
	    {"m f=1\r", "<m> f:f1"},
	    {"m f=1 5\r", "<m> f:f1 @5"},
	    {"m f=1 9223372036854775807", "<m> f:f1 @9223372036854775807"},
	    {"m f=1 -9223372036854775808", "<m> f:f1 @-9223372036854775808"},
	    {"m f=1 000000000000000000000007", "<m> f:f1 @7"},
	    {"m f=1 0", "<m> f:f1 @0"},
	    {"caf\xc3\xa9,ort=K\xc3\xb6ln gr\xc3\xb6\xc3\x9f" "e=1",
		"<caf\xc3\xa9>[ort|K\xc3\xb6ln] gr\xc3\xb6\xc3\x9f" "e:f1"},
	    {"m s=\"tab\there\"", "<m> s:s(tab\there)"},
	    {"m f=1,f=2", "<m> f:f1 f:f2"},
	    {"a_measurement_of_length,with_tag_names=that_are_long,and_more=of_the_same "
	     "field_name_long=123456.789,x=1 1", "<a_measurement_of_length>[with_tag_names|"
	     "that_are_long][and_more|of_the_same] field_name_long:f123456.789 x:f1 @1"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		int error = parse(f, span_str(cases[i][0]));
		if (error)
			fail_msg("%s at %u: %s", f->error.text, f->error.column, cases[i][0]);
		describe(f);
		assert_string_equal(f->text.ptr, cases[i][1]);
	}
}

static void
values_are_read_exactly(void **state)
{
	static const char *const cases[][2] = {
	    {"0", "f0"}, {"-0", "f-0"}, {"1.", "f1"}, {".5", "f0.5"}, {"-.5", "f-0.5"},
	    {"+1.5", "f1.5"}, {"007", "f7"}, {"1e3", "f1000"}, {"1E-3", "f0.001"},
	    {"1.5e+2", "f150"}, {"-1.234456e+78", "f-1.234456e+78"}, {"1e22", "f1e+22"},
	    {"1e23", "f9.9999999999999992e+22"}, {"9007199254740992", "f9007199254740992"},
	    {"9007199254740993", "f9007199254740992"}, {"0.1", "f0.10000000000000001"},
	    {"123456789.123456789", "f123456789.12345679"},
	    {"1234567890123456789012", "f1.2345678901234568e+21"},
	    {"0.00000000000000000000000001", "f1e-26"}, {"2.2250738585072011e-308",
	    "f2.2250738585072009e-308"}, {"4.9e-324", "f4.9406564584124654e-324"},
	    /* 2^64 + 1, which 64 bits would take for 1. */
	    {"18446744073709551617", "f1.8446744073709552e+19"},
	    {"1844674407370955161.7", "f1.8446744073709553e+18"},
	    {"1e-400", "f0"}, {"0e999999999999", "f0"}, {"1.7976931348623157e308",
	    "f1.7976931348623157e+308"}, {"00000000000000000000000000001.5", "f1.5"},
	    {"12345678.12345678", "f12345678.12345678"}, {"12345678", "f12345678"},
	    {"1i", "i1"}, {"-1i", "i-1"}, {"+1i", "i1"}, {"0i", "i0"}, {"007i", "i7"},
	    {"9007199254740992i", "i9007199254740992"}, {"9007199254740993i",
	    "i9007199254740992~"}, {"-9007199254740993i", "i-9007199254740992~"},
	    {"9223372036854775807i", "i9.2233720368547758e+18~"},
	    {"-9223372036854775808i", "i-9.2233720368547758e+18~"},
	    {"1u", "u1"}, {"18446744073709551615u", "u1.8446744073709552e+19~"},
	    {"00000000000000000000000000000012u", "u12"},
	    {"t", "b1"}, {"T", "b1"}, {"true", "b1"}, {"True", "b1"}, {"TRUE", "b1"},
	    {"f", "b0"}, {"F", "b0"}, {"false", "b0"}, {"False", "b0"}, {"FALSE", "b0"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		static const char *const around[][2] = {{"", ""}, {"", ",w=1"}, {"", " 1"},
		    {"a=1,", ""}};
		static const char *const meaning[][2] = {{"", ""}, {"", " w:f1"}, {"", " @1"},
		    {" a:f1", ""}};
		for (size_t form = 0; form < ARRAY_COUNT(around); form++) {
			char line[100], want[100];
			int len = snprintf(line, sizeof(line), "m %sv=%s%s", around[form][0],
			    cases[i][0], around[form][1]);
			snprintf(want, sizeof(want), "<m>%s v:%s%s", meaning[form][0], cases[i][1],
			    meaning[form][1]);
			if (parse(f, span_of(line, (size_t)len)))
				fail_msg("%s: %s", line, f->error.text);
			describe(f);
			assert_string_equal(f->text.ptr, want);
		}
	}
}

static void
numbers_round_as_the_c_library_rounds_them(void **state)
{
	struct fixture *f = *state;
	uint64_t random = 1;
	for (int round = 0; round < 50000; round++) {
		char number[48], line[64];
		random = random * 6364136223846793005u + 1442695040888963407u;
		uint64_t digits = random >> (round % 60);
		random = random * 6364136223846793005u + 1442695040888963407u;
		int exponent = (int)(random >> 40) % 40 - 20;
		int places = (int)(random >> 33) % 6;
		if (round % 3 == 0)
			snprintf(number, sizeof(number), "%llu.%0*llu",
			    (unsigned long long)digits >> 20, places + 1,
			    (unsigned long long)digits % 10);
		else if (round % 3 == 1)
			snprintf(number, sizeof(number), "-%llu", (unsigned long long)digits);
		else
			snprintf(number, sizeof(number), "%llue%d", (unsigned long long)digits,
			    exponent);
		int len = snprintf(line, sizeof(line), "m v=%s", number);
		assert_int_equal(parse(f, span_of(line, (size_t)len)), 0);
		double want = strtod(number, NULL);
		if (memcmp(&want, &f->line.fields[0].number, sizeof(want)) != 0)
			fail_msg("%s read as %.17g", number, f->line.fields[0].number);
	}
}

static void
blank_lines_and_comments_are_nothing(void **state)
{
	static const char *const cases[] = {"", "\r", " ", " \t ", "#", "# a b=c", "  # x", " \r"};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		assert_int_equal(parse(f, span_str(cases[i])), LP_BLANK);
}

static void
bad_lines_are_refused_with_column_and_code(void **state)
{
	static const struct {
		const char *line;
		uint32_t column;
		const char *code;
	} cases[] = {
	    {"m", 2, "missing_fields"}, {"m ", 3, "missing_fields"}, {"m,t=v", 6, "missing_fields"},
	    {"m,t=v  ", 8, "missing_fields"}, {",t=v f=1", 1, "bad_measurement"},
	    {" ,t=v f=1", 2, "bad_measurement"},
	    {"m, f=1", 3, "bad_tag"}, {"m,t f=1", 4, "bad_tag"}, {"m,t", 4, "bad_tag"},
	    {"m,t= f=1", 5, "bad_tag"}, {"m,t=", 5, "bad_tag"}, {"m,=v f=1", 3, "bad_tag"},
	    {"m,t=,u=v f=1", 5, "bad_tag"}, {"m,t=v,f=1", 10, "missing_fields"},
	    {"m,t=a=b f=1", 6, "bad_tag"}, {"m,,t=v f=1", 3, "bad_tag"},
	    {"m,t=v, f=1", 7, "bad_tag"}, {"m,t,u=v f=1", 4, "bad_tag"},
	    {"m,t=v,t=v f=1", 7, "duplicate_tag"}, {"m,t=v,u=w,t=x f=1", 11, "duplicate_tag"},
	    {"m,a\\ b=v,a\\ b=w f=1", 10, "duplicate_tag"},
	    {"m f", 4, "bad_field"}, {"m f 5", 4, "bad_field"}, {"m =1", 3, "bad_field"},
	    {"m f=1,", 7, "bad_field"}, {"m f=1,,g=2", 7, "bad_field"},
	    {"m f=1, g=2", 7, "bad_field"},
	    {"m f,g=1", 4, "bad_field"}, {"m ,f=1", 3, "bad_field"},
	    {"m f=", 5, "bad_field_value"}, {"m f=,g=1", 5, "bad_field_value"},
	    {"m f= 5", 5, "bad_field_value"}, {"m f=1=2", 6, "bad_field_value"},
	    {"m f=abc", 5, "bad_field_value"}, {"m f=tru", 5, "bad_field_value"},
	    {"m f=tRUE", 5, "bad_field_value"}, {"m f=yes", 5, "bad_field_value"},
	    {"m f=NaN", 5, "bad_field_value"}, {"m f=nan", 5, "bad_field_value"},
	    {"m f=Inf", 5, "bad_field_value"}, {"m f=-inf", 5, "bad_field_value"},
	    {"m f=+Infinity", 5, "bad_field_value"}, {"m f=-", 5, "bad_field_value"},
	    {"m f=.", 5, "bad_field_value"}, {"m f=+", 5, "bad_field_value"},
	    {"m f=1x", 6, "bad_field_value"}, {"m f=1.2.3", 8, "bad_field_value"},
	    {"m f=1e", 7, "bad_field_value"}, {"m f=1e+", 8, "bad_field_value"},
	    {"m f=0x1f", 6, "bad_field_value"}, {"m f=1,000", 10, "bad_field"},
	    {"m f=--1", 5, "bad_field_value"}, {"m f=1e400", 5, "bad_field_value"},
	    {"m f=1_000", 6, "bad_field_value"}, {"m f=1.5i", 8, "bad_field_value"},
	    {"m f=1e3i", 8, "bad_field_value"}, {"m f=i", 5, "bad_field_value"},
	    {"m f=1ii", 6, "bad_field_value"}, {"m f=-1u", 6, "bad_field_value"},
	    {"m f=+1u", 6, "bad_field_value"}, {"m f=9223372036854775808i", 5, "bad_field_value"},
	    {"m f=-9223372036854775809i", 6, "bad_field_value"},
	    {"m f=18446744073709551616u", 5, "bad_field_value"},
	    {"m f=18446744073709551617i", 5, "bad_field_value"},
	    {"m f=18446744073709551617u", 5, "bad_field_value"},
	    {"m f=1 18446744073709551617", 7, "bad_timestamp"},
	    {"m f=99999999999999999999999u", 5, "bad_field_value"},
	    {"m s=\"", 5, "bad_field_value"}, {"m s=\"abc", 5, "bad_field_value"},
	    {"m s=\"abc\\\"", 5, "bad_field_value"}, {"m s=\"abc\\", 5, "bad_field_value"},
	    {"m s=\"a\"b", 8, "bad_field_value"}, {"m s=\"a\"\"b\"", 8, "bad_field_value"},
	    {"m s='a'", 5, "bad_field_value"}, {"m f=1\t5", 6, "bad_field_value"},
	    {"m f=1 x", 7, "bad_timestamp"}, {"m f=1 5x", 8, "bad_timestamp"},
	    {"m f=1 5 6", 8, "bad_timestamp"}, {"m f=1 1.5", 8, "bad_timestamp"},
	    {"m f=1 -", 8, "bad_timestamp"}, {"m f=1 +5", 7, "bad_timestamp"},
	    {"m f=1 9223372036854775808", 7, "bad_timestamp"},
	    {"m f=1 -9223372036854775809", 8, "bad_timestamp"},
	    {"m f=1 123456789012345678901", 7, "bad_timestamp"},
	    {"m\x01 f=1", 2, "bad_character"}, {"m,t=\x7f f=1", 5, "bad_character"},
	    {"m,t\tt=v f=1", 5, "bad_character"}, {"m f\rf=1", 5, "bad_character"},
	    {"m\xff f=1", 2, "bad_utf8"}, {"m f=1,s=\"\xc3\"", 11, "bad_utf8"},
	    {"m s=\"\xed\xa0\x80\"", 7, "bad_utf8"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		if (parse(f, span_str(cases[i].line)) != -EBADMSG)
			fail_msg("taken: %s", cases[i].line);
		if (f->error.column != cases[i].column || strcmp(f->error.code, cases[i].code) != 0)
			fail_msg("%u %s (%s) for: %s", f->error.column, f->error.code,
			    f->error.text, cases[i].line);
	}
	assert_int_equal(parse(f, SPAN("m s=\"a\0b\"")), -EBADMSG);
	assert_int_equal(f->error.column, 7);
}

static void
every_prefix_is_read_within_its_bounds(void **state)
{
	static const char *const lines[] = {
	    "weather\\ x,city=Bo\\,nn,site=north temp=21.5,hum=40i,s=\"x \\\" y\",b=true 1700000",
	    "m,aaaaaaaaaaaaaaaaaaaaaaaaa=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb cccccccccccccccccc=1e10 -5",
	    "\xc3\xa9\\ ,t=\xe2\x82\xac f=\"\\\\\\\\\\\\\\\\\" 99999999999999999999",
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
		for (size_t len = 0; len <= strlen(lines[i]); len++) {
			int answer = parse(f, span_of(lines[i], len));
			assert_true(answer == 0 || answer == -EBADMSG || answer == LP_BLANK);
			if (answer == -EBADMSG)
				assert_true(f->error.column >= 1 && f->error.column <= len + 1);
		}
	}
}

static void
the_series_is_what_came(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(parse(f, SPAN("  m\\ x,t=a\\,b,u=c  f=1 5")), 0);
	assert_span(f->line.series, "m\\ x,t=a\\,b,u=c");
	assert_int_equal(parse(f, SPAN("m f=1")), 0);
	assert_span(f->line.series, "m");
	assert_int_equal(f->line.fields[0].column, 5);
}

static void
counts_are_limited(void **state)
{
	struct fixture *f = *state;
	for (int extra = 0; extra < 2; extra++) {
		buf_clear(&f->text);
		buf_append_str(&f->text, "m");
		for (int i = 0; i < LP_TAGS_MAX + extra; i++)
			buf_printf(&f->text, ",t%d=v", i);
		buf_append_str(&f->text, " f=1");
		assert_int_equal(parse(f, buf_span(&f->text)), extra ? -EBADMSG : 0);
		if (extra)
			assert_string_equal(f->error.code, "too_many_tags");
		buf_clear(&f->text);
		buf_append_str(&f->text, "m ");
		for (int i = 0; i < LP_FIELDS_MAX + extra; i++)
			buf_printf(&f->text, "%sf%d=%d", i ? "," : "", i, i);
		assert_int_equal(parse(f, buf_span(&f->text)), extra ? -EBADMSG : 0);
		if (extra)
			assert_string_equal(f->error.code, "too_many_fields");
		else
			assert_true(f->line.fields[LP_FIELDS_MAX - 1].number == LP_FIELDS_MAX - 1);
	}
}

static void
long_lines_are_refused(void **state)
{
	struct fixture *f = *state;
	for (unsigned extra = 0; extra < 2; extra++) {
		buf_clear(&f->text);
		buf_append_str(&f->text, "m s=\"");
		while (f->text.len < LP_LINE_BYTES_MAX - 1 + extra)
			buf_append_byte(&f->text, 'x');
		buf_append_byte(&f->text, '"');
		assert_int_equal(parse(f, buf_span(&f->text)), extra ? -EBADMSG : 0);
	}
	assert_string_equal(f->error.code, "line_too_long");
}

static void
precisions_and_milliseconds(void **state)
{
	static const struct {
		const char *name;
		int64_t time, ms;
	} cases[] = {
	    {"", 1999999, 1}, {"ns", -1, -1}, {"n", 1000000, 1}, {"us", 1999, 1}, {"u", -1001, -2},
	    {"\xc2\xb5", 2000, 2}, {"\xce\xbc", 2000, 2}, {"ms", -7, -7}, {"s", 3, 3000},
	    {"m", -2, -120000}, {"h", 1, 3600000}, {"ns", INT64_MIN, -9223372036855},
	    {"ms", INT64_MIN, INT64_MIN},
	};
	static const char *const bad[] = {"x", "NS", "sec", "d", " s", "s ", "nss"};
	(void)state;
	enum lp_precision precision;
	int64_t ms = 77;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		assert_int_equal(lp_precision_parse(span_str(cases[i].name), &precision), 0);
		assert_true(lp_time_ms(cases[i].time, precision, &ms));
		assert_true(ms == cases[i].ms);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		assert_int_equal(lp_precision_parse(span_str(bad[i]), &precision), -EINVAL);
	ms = 77;
	assert_false(lp_time_ms(INT64_MAX / 999, LP_S, &ms));
	assert_false(lp_time_ms(INT64_MIN / 59999, LP_M, &ms));
	assert_false(lp_time_ms(INT64_MAX, LP_H, &ms));
	assert_true(ms == 77);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(good_lines_mean_what_they_say),
	    TEST(values_are_read_exactly),
	    TEST(numbers_round_as_the_c_library_rounds_them),
	    TEST(blank_lines_and_comments_are_nothing),
	    TEST(bad_lines_are_refused_with_column_and_code),
	    TEST(every_prefix_is_read_within_its_bounds),
	    TEST(the_series_is_what_came),
	    TEST(counts_are_limited),
	    TEST(long_lines_are_refused),
	    TEST(precisions_and_milliseconds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
