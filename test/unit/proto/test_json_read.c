/* The JSON reader: a corpus of good and bad documents, tokens, positions; json-c as a judge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "buf.h"
#include "guard.h"
#include "json.h"

static const char *const good[] = {
    "[]", "{}", "[[]   ]", "[\"\"]", "[\"a\"]", "[false]", "[null, 1, \"1\", {}]", "[null]",
    "[1\n]", " [1]", "[1,null,null,null,2]", "[2] ", "[123e65]", "[0e+1]", "[0e1]", "[ 4]",
    "[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]\n",
    "[20e1]", "[-0]", "[-123]", "[-1]", "[1E22]", "[1E-2]", "[1E+2]", "[123e45]",
    "[123.456e78]", "[1e-2]", "[1e+2]", "[123]", "[123.456789]", "[0.5]", "[1e99999]",
    "[100000000000000000000000000000000000000000000]",
    "{\"asd\":\"sdf\", \"dfg\":\"fgh\"}", "{\"asd\":\"sdf\"}", "{\"a\":\"b\",\"a\":\"c\"}",
    "{\"\":0}", "{\"foo\\u0000bar\": 42}", "{\"a\":[]}", "{\n\"a\": \"b\"\n}",
    "{\"min\": -1.0e+28, \"max\": 1.0e+28}", "{\"title\":\"\\u041f\\u043e \\u0412\\u0438\" }",
    "[\"\\u0060\\u012a\\u12AB\"]", "[\"\\uD801\\udc37\"]", "[\"\\ud83d\\ude39\\ud83d\\udc8d\"]",
    "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]", "[\"\\\\u0000\"]", "[\"\\\"\"]", "[\"a/*b*/c/*d//e\"]",
    "[\"\\\\a\"]", "[\"\\\\n\"]", "[\"\\u0012\"]", "[\"\\uFFFF\"]", "[\"asd\"]", "[ \"asd\"]",
    "[\"\\uDBFF\\uDFFF\"]", "[\"new\\u00A0line\"]", "[\"\xf4\x8f\xbf\xbf\"]",
    "[\"\xef\xbf\xbf\"]", "[\"\\u0000\"]", "[\"\\u002c\"]", "[\"\xcf\x80\"]",
    "[\"\xf0\x9b\xbf\xbf\"]", "[\"asd \"]", "\" \"", "[\"\\u0821\"]", "[\"\\u0123\"]",
    "[\"\xe2\x80\xa8\"]", "[\"\xe2\x80\xa9\"]", "[\"\\u0061\\u30af\\u30EA\\u30b9\"]",
    "[\"\x7f\"]", "[\"\\uA66D\"]", "[\"\xe2\x8d\x82\xe3\x88\xb4\"]", "[\"\xc2\x80\"]", "false",
    "42", "-0.1", "null", "\"asd\"", "true", "\"\"", "[\"a\"]\n", "[true]", " [] ", "\t\r\n0\t\r\n",
    "{\"a\":{\"b\":{\"c\":[[[{}]]]}}}", "[\"*\",\"***\"]",
    "{\"device\":{\"id\":123,\"auth\":\"x\"},\"readings\":[{\"time\":1700000000000,\"t\":4.2}]}",
};

static const char *const bad[] = {
    "", " ", "\n", "[1 true]", "[a\xe5]", "[\"\": 1]", "[\"\"],", "[,1]", "[1,,2]", "[\"x\",,]",
    "[\"x\"]]", "[\"\",]", "[\"x\"", "[x", "[3[4]]", "[\xff]", "[1:2]", "[,", "[,]", "[-]",
    "[   , \"\"]", "[\"a\",\n4\n,1,", "[1,]", "[1,,]", "[\"\013a\"\\f]", "[*]", "[\"\"",
    "[1,", "[1,\n1\n,1", "[{}", "[fals]", "[nul]", "[tru]", "[nulll]", "[truefalse]", "[NULL]",
    "[True]", "[++1234]", "[+1]", "[+Inf]", "[-01]", "[-1.0.]", "[-2.]", "[-NaN]", "[.-1]",
    "[.2e-3]", "[0.1.2]", "[0.3e+]", "[0.3e]", "[0.e1]", "[0E+]", "[0E]", "[0e+]", "[0e]",
    "[1.0e+]", "[1.0e-]", "[1.0e]", "[1 000.0]", "[1eE2]", "[2.e+3]", "[2.e-3]", "[2.e3]",
    "[9.e+]", "[Inf]", "[NaN]", "[\xef\xbc\x91]", "[1+2]", "[0x1]", "[0x42]", "[Infinity]",
    "[0e+-1]", "[-123.123foo]", "[123\xe5]", "[1e1\xe5]", "[0\xe5]", "[-Infinity]", "[-foo]",
    "[- 1]", "[-012]", "[-.123]", "[-1x]", "[1ea]", "[1e\xe5]", "[1.]", "[.123]", "[1.2a-3]",
    "[1.8011670033376514H-308]", "[012]", "[\"x\", truth]", "{[: \"x\"}\n", "{\"x\", null}",
    "{\"x\"::\"b\"}", "{\xf0\x9f\x87\xa8}", "{\"a\":\"a\" 123}", "{key: 'value'}",
    "{\"\xb9\":\"0\",}", "{\"a\" b}", "{:\"b\"}", "{\"a\" \"b\"}", "{\"a\":", "{\"a\"",
    "{1:1}", "{9999E9999:1}", "{null:null,null:null}", "{\"id\":0,,,,,}", "{'a':0}",
    "{\"id\":0,}", "{\"a\":\"b\"}/**/", "{\"a\":\"b\"}/**//", "{\"a\":\"b\"}//",
    "{\"a\":\"b\"}/", "{\"a\":\"b\",,\"c\":\"d\"}", "{a: \"b\"}", "{\"a\":\"a", "{ \"foo\" : 1, ",
    "{\"a\":\"b\"}#", "[\"\\uD800\\\"]", "[\"\\uD800\\u\"]", "[\"\\uD800\\u1\"]",
    "[\"\\uD800\\u1x\"]", "[\xc3\xa9]", "[\"\\x00\"]", "[\"\\\\\\\"]", "[\"\\\t\"]",
    "[\"\\\xf0\x9f\x8c\x80\"]", "[\"\\\"]", "[\"\\u00A\"]", "[\"\\uD834\\uDd\"]",
    "[\"\\uD800\\uD800\\x\"]", "[\"\\u\xe5\"]", "[\"\\a\"]", "[\"\\uqqqq\"]", "[\"\\\xe5\"]",
    "[\\u0020\"asd\"]", "[\\n]", "\"", "['single quote']", "abc", "[\"\\", "[\"new\nline\"]",
    "[\"\t\"]", "\"\\UA66D\"", "\"\"x", "<.>", "[<null>]", "[1]x", "[1]]", "[\"asd]",
    "a\xc3\xa5", "[True]", "1]", "{\"x\": true,", "[][]", "]", "\xef\xbb\xbf{}", "\xe5", "[",
    "{\"\":", "{\"a\":/*comment*/\"b\"}", "{\"a\": true} \"x\"", "['", "[\"a", "[{\"\":[{", "{",
    "{]", "{,", "{[", "{\"a", "{'a'", "[\"\\{[\"\\{", "*", "{\"a\":\"b\"}#{}", "[\\u000A\"\"]",
    "[1", "[ false, nul", "[ true, fals", "[ false, tru", "{\"asd\":\"asd\"", "\xc3\xa5",
    "[\xe2\x81\xa0]", "[\x0c]", "01", "00", "1.5.5", "1a", "truefalse", "nullx", "-", "1e",
    "[\"\\ud800\"]", "[\"\\uDc00\"]", "[\"\\ud800\\ud800\"]", "[\"\\ud800a\"]",
    "[\"\\udc00\\ud800\"]",
    "[\"\xff\"]", "[\"\xc0\xaf\"]", "[\"\xed\xa0\x80\"]", "[\"\xf4\xbf\xbf\xbf\"]",
    "[\"\xe0\xff\"]",
    "[\"\x80\"]", "[\"\xfc\x80\x80\x80\x80\x80\"]", "[\"\xc3\"]", "[\"\xc3\"", "{\"\xff\":1}",
    "1 2", "{} {}", "[1}", "{\"a\":1]", "{\"a\":1}}", "\"a\"\"b\"", ",", ":", "{\"a\":}",
    "{\"a\":,}",
};

/* JSON_END or JSON_ERROR. */
static enum json_token
read_all(struct json_reader *reader, struct span document, bool stars)
{
	enum json_token token;
	json_reader_init(reader, document, stars);
	do {
		token = json_next(reader);
		assert_true(reader->pos >= document.ptr && reader->pos <= reader->end);
	} while (token != JSON_END && token != JSON_ERROR);
	if (token == JSON_ERROR) {
		assert_non_null(reader->reason);
		assert_int_equal(json_next(reader), JSON_ERROR);
	}
	return token;
}

static void
good_documents_are_taken_and_no_prefix_of_them_is_read_beyond(void **state)
{
	(void)state;
	struct guard guard;
	struct json_reader reader;
	guard_init(&guard, 4096);
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		struct span document = span_str(good[i]);
		if (read_all(&reader, guard_end(&guard, document), false) != JSON_END)
			fail_msg("refused (%s): %s", reader.reason, good[i]);
		assert_int_equal(read_all(&reader, guard_begin(&guard, document), true), JSON_END);
		for (size_t len = 0; len < document.len; len++)
			read_all(&reader, guard_end(&guard, span_of(document.ptr, len)), false);
	}
	guard_finish(&guard);
}

static void
containers_and_strings_cut_anywhere_are_refused(void **state)
{
	(void)state;
	struct json_reader reader;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		struct span document = span_str(good[i]);
		while (document.len && strchr(" \t\r\n", document.ptr[document.len - 1]))
			document.len--;
		if (!strchr("[{\"", document.ptr[0]))
			continue;
		for (size_t len = 0; len < document.len; len++)
			assert_int_equal(
			    read_all(&reader, span_of(document.ptr, len), false), JSON_ERROR);
	}
}

static void
bad_documents_are_refused(void **state)
{
	(void)state;
	struct guard guard;
	struct json_reader reader;
	guard_init(&guard, 4096);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		struct span document = guard_end(&guard, span_str(bad[i]));
		if (read_all(&reader, document, false) != JSON_ERROR)
			fail_msg("taken: %s", bad[i]);
	}
	assert_int_equal(read_all(&reader, SPAN("[\"a\0b\"]"), false), JSON_ERROR);
	assert_int_equal(read_all(&reader, SPAN("[1]\0"), false), JSON_ERROR);
	assert_int_equal(read_all(&reader, SPAN("\0[1]"), false), JSON_ERROR);
	guard_finish(&guard);
}

static void
tokens_come_in_order_with_their_texts(void **state)
{
	static const struct {
		enum json_token token;
		const char *text;
		bool escaped;
		unsigned depth;
	} want[] = {
	    {JSON_OBJECT, NULL, false, 1}, {JSON_KEY, "a", false, 1}, {JSON_ARRAY, NULL, false, 2},
	    {JSON_NUMBER, "-1.5e3", false, 2}, {JSON_TRUE, NULL, false, 2},
	    {JSON_FALSE, NULL, false, 2}, {JSON_NULL, NULL, false, 2},
	    {JSON_OBJECT, NULL, false, 3},
	    {JSON_OBJECT_END, NULL, false, 2}, {JSON_ARRAY_END, NULL, false, 1},
	    {JSON_KEY, "b\\u0063", true, 1}, {JSON_STRING, "\\\"\\n", true, 1},
	    {JSON_KEY, "long enough for sixteen", false, 1},
	    {JSON_STRING, "\xc3\xa9, \xe2\x82\xac and more than that", false, 1},
	    {JSON_OBJECT_END, NULL, false, 0}, {JSON_END, NULL, false, 0},
	    {JSON_END, NULL, false, 0},
	};
	(void)state;
	struct json_reader reader;
	json_reader_init(&reader,
	    SPAN(" {\"a\" : [-1.5e3, true,false ,null,{ }] ,\"b\\u0063\":\"\\\"\\n\","
	    "\"long enough for sixteen\":\"\xc3\xa9, \xe2\x82\xac and more than that\"} "),
	    false);
	for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
		assert_int_equal(json_next(&reader), want[i].token);
		assert_int_equal(reader.depth, want[i].depth);
		if (want[i].text)
			assert_true(span_eq(reader.text, span_str(want[i].text)));
		if (want[i].token == JSON_KEY || want[i].token == JSON_STRING)
			assert_int_equal(reader.escaped, want[i].escaped);
	}
}

static void
depth_is_limited(void **state)
{
	(void)state;
	char text[2 * (JSON_DEPTH_MAX + 1)];
	struct json_reader reader;
	for (size_t depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		enum json_token end = read_all(&reader, span_of(text, 2 * depth), false);
		assert_int_equal(end, depth <= JSON_DEPTH_MAX ? JSON_END : JSON_ERROR);
	}
	assert_string_equal(reader.reason, "nested deeper than 64 levels");
}

static void
the_kind_of_each_level_is_kept(void **state)
{
	(void)state;
	struct buf text;
	struct json_reader reader;
	buf_init(&text, 0);
	for (int i = 0; i < JSON_DEPTH_MAX; i++)
		buf_append_str(&text, i % 3 ? "[" : "{\"k\":");
	buf_append_str(&text, "0");
	for (int i = JSON_DEPTH_MAX - 1; i >= 0; i--)
		buf_append_str(&text, i % 3 ? "]" : "}");
	assert_int_equal(read_all(&reader, buf_span(&text), false), JSON_END);
	/* Each closing mark that is of the other kind. */
	for (size_t i = text.len - JSON_DEPTH_MAX; i < text.len; i++) {
		char right = text.ptr[i];
		text.ptr[i] = right == ']' ? '}' : ']';
		assert_int_equal(read_all(&reader, buf_span(&text), false), JSON_ERROR);
		assert_ptr_equal(reader.pos, text.ptr + i);
		text.ptr[i] = right;
	}
	buf_finish(&text);
}

static void
errors_name_line_and_column(void **state)
{
	static const struct {
		const char *document, *words;
		size_t line, column;
	} cases[] = {
	    {"{\"a\":1,\n \"b\" 2}", "no ':'", 2, 6},
	    {"[1,2,\n\n  x]", "no value", 3, 3},
	    {"[1 2]", "neither ',' nor ']'", 1, 4},
	    {"{\"a\":1 \"b\":2}", "neither ',' nor '}'", 1, 8},
	    {"{\"a\":1,}", "no member name", 1, 8},
	    {"[\"ab\\x\"]", "escape", 1, 5},
	    {"[\"ab\tc\"]", "control", 1, 5},
	    {"[\"ab\xff\"]", "UTF-8", 1, 5},
	    {"[01]", "leading zero", 1, 2},
	    {"[1.]", "after the point", 1, 4},
	    {"[1ex]", "exponent", 1, 4},
	    {"[trux]", "true, false and null", 1, 5},
	    {"[1,", "ends in the middle", 1, 4},
	    {"", "is empty", 1, 1},
	    {"{}\nx", "follows", 2, 1},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct json_reader reader;
		size_t line, column;
		assert_int_equal(read_all(&reader, span_str(cases[i].document), false), JSON_ERROR);
		json_position(&reader, &line, &column);
		if (!strstr(reader.reason, cases[i].words) || line != cases[i].line ||
		    column != cases[i].column)
			fail_msg("%zu:%zu %s for: %s", line, column, reader.reason,
			    cases[i].document);
	}
}

static void
stars_stand_for_values_only_where_allowed(void **state)
{
	(void)state;
	struct json_reader reader;
	struct span document = SPAN("{\"auth\":****,\"x\":[*,**]}");
	assert_int_equal(read_all(&reader, document, false), JSON_ERROR);
	assert_int_equal(read_all(&reader, document, true), JSON_END);
	assert_int_equal(read_all(&reader, SPAN("*"), true), JSON_END);
	assert_int_equal(read_all(&reader, SPAN("{*:1}"), true), JSON_ERROR);
	assert_int_equal(read_all(&reader, SPAN("[*1]"), true), JSON_ERROR);
	assert_int_equal(read_all(&reader, SPAN("[1*]"), true), JSON_ERROR);
	json_reader_init(&reader, document, true);
	json_next(&reader);
	json_next(&reader);
	assert_int_equal(json_next(&reader), JSON_STARS);
	assert_true(span_eq(reader.text, SPAN("****")));
}

static void
values_are_skipped_to_their_end(void **state)
{
	(void)state;
	struct json_reader reader;
	json_reader_init(&reader, SPAN("[{\"a\":[{},[]]},7,[[]],{\"b\":[}]"), false);
	assert_int_equal(json_next(&reader), JSON_ARRAY);
	assert_int_equal(json_skip(&reader, json_next(&reader)), JSON_OBJECT_END);
	assert_int_equal(json_skip(&reader, json_next(&reader)), JSON_NUMBER);
	assert_int_equal(json_skip(&reader, json_next(&reader)), JSON_ARRAY_END);
	assert_int_equal(json_skip(&reader, json_next(&reader)), JSON_ERROR);
}

static void
documents_one_after_the_other_are_read_one_by_one(void **state)
{
	(void)state;
	struct span rest = SPAN(" {\"a\":1}\n\n[2]\n3 \n\"x\"{} ");
	struct json_reader reader;
	int documents = 0;
	do {
		json_reader_init(&reader, rest, false);
		enum json_token first = json_next(&reader);
		assert_int_not_equal(first, JSON_ERROR);
		json_skip(&reader, first);
		documents++;
		/* Whether the end was asked for or not makes no difference. */
		if (documents % 2)
			json_next(&reader);
		rest = span_of(reader.pos, (size_t)(reader.end - reader.pos));
	} while (json_more(&reader));
	assert_int_equal(documents, 5);
	assert_int_equal(json_next(&reader), JSON_END);
	read_all(&reader, SPAN("[1,"), false);
	assert_false(json_more(&reader));
}

static void
escapes_are_undone_and_compared(void **state)
{
	static const struct {
		const char *text;
		struct span plain;
	} cases[] = {
	    {"", {"", 0}}, {"abc", {"abc", 3}},
	    {"\\\"\\\\\\/\\b\\f\\n\\r\\t", {"\"\\/\b\f\n\r\t", 8}},
	    {"\\u0041\\u00e9\\u20AC", {"A\xc3\xa9\xe2\x82\xac", 6}},
	    {"\\ud83D\\uDE00x", {"\xf0\x9f\x98\x80x", 5}}, {"a\\u0000b", {"a\0b", 3}},
	    {"\xc3\xa9\\n", {"\xc3\xa9\n", 3}}, {"\\u0061uth", {"auth", 4}},
	    {"\\\\u0041", {"\\u0041", 6}},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char document[64], out[64];
		struct json_reader reader;
		int len = snprintf(document, sizeof(document), "\"%s\"", cases[i].text);
		json_reader_init(&reader, span_of(document, (size_t)len), false);
		assert_int_equal(json_next(&reader), JSON_STRING);
		size_t out_len = json_string_decode(reader.text, out);
		assert_true(span_eq(span_of(out, out_len), cases[i].plain));
		assert_true(json_text_eq(&reader, cases[i].plain));
		assert_false(json_text_eq(&reader, SPAN("abd")));
		memcpy(out, cases[i].plain.ptr, cases[i].plain.len);
		out[cases[i].plain.len] = '!';
		assert_false(json_text_eq(&reader, span_of(out, cases[i].plain.len + 1)));
		if (cases[i].plain.len)
			assert_false(json_text_eq(&reader, span_of(out, cases[i].plain.len - 1)));
	}
}

/* ── json-c as a second opinion ── */

static uint64_t
draw(uint64_t *random)
{
	*random += 0x9e3779b97f4a7c15u;
	uint64_t z = *random;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* `text` has a NUL behind its last byte: json-c knows by it that a number is over. */
static bool
json_c_takes(struct span text)
{
	struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX + 2);
	assert_non_null(tokener);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	struct json_object *object =
	    json_tokener_parse_ex(tokener, text.ptr, (int)text.len + 1);
	bool taken = json_tokener_get_error(tokener) == json_tokener_success;
	json_object_put(object);
	json_tokener_free(tokener);
	return taken;
}

/* What json-c, even when strict, is known to take and RFC 8259 does not. */
static bool
is_known_leniency(const struct json_reader *reader)
{
	static const char *const reasons[] = {
	    "a control character in a string, not escaped",
	    "a bad escape in a string",        /* lone surrogates */
	    "a string that is not UTF-8",      /* overlong forms, surrogates */
	    "a number without digits",         /* -.5 */
	    "a number without digits after the point",
	    "a number with a leading zero",
	};
	struct span rest = span_of(reader->pos, (size_t)(reader->end - reader->pos));
	for (size_t i = 0; i < ARRAY_COUNT(reasons); i++) {
		if (!strcmp(reader->reason, reasons[i]))
			return true;
	}
	/* A point at the document's end. */
	if (rest.len == 0 && reader->pos > reader->begin && reader->pos[-1] == '.')
		return true;
	/* Names in single quotes, and these words. */
	return span_starts(rest, SPAN("'")) || span_starts(rest, SPAN("NaN")) ||
	    span_starts(rest, SPAN("Infinity"));
}

static size_t
mutate(uint64_t *random, char *text, size_t len, size_t max)
{
	static const char alphabet[] = "[]{},:\"\\ue+-.0123459tfnabd \n\t/*'\xc3\xa9\x80\x01";
	for (uint64_t times = draw(random) % 4; times > 0; times--) {
		size_t at = len ? draw(random) % len : 0;
		char c = alphabet[draw(random) % (sizeof(alphabet) - 1)];
		uint64_t kind = draw(random) % 4;
		if (kind == 0 && len > 0) {
			text[at] = c;
		} else if (kind == 1 && len < max) {
			memmove(text + at + 1, text + at, len - at);
			text[at] = c;
			len++;
		} else if (kind == 2 && len > 0) {
			memmove(text + at, text + at + 1, len - at - 1);
			len--;
		} else if (kind == 3 && len > 0) {
			size_t from = draw(random) % len;
			text[at] = text[from];
		}
	}
	return len;
}

static void
json_c_judges_mutated_documents_alike(void **state)
{
	(void)state;
	const char *setting = getenv("WEIR_SEED");
	uint64_t seed = setting ? strtoull(setting, NULL, 0) : 1, random = seed;
	unsigned taken = 0, refused = 0;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < 40000; round++) {
		char text[256];
		const char *base = round % 4 ? good[draw(&random) % ARRAY_COUNT(good)]
		    : bad[draw(&random) % ARRAY_COUNT(bad)];
		struct json_reader reader;
		size_t len = mutate(&random, text, (size_t)snprintf(text, 128, "%s", base), 200);
		text[len] = '\0';
		bool ours = read_all(&reader, span_of(text, len), false) == JSON_END;
		bool theirs = json_c_takes(span_of(text, len));
		taken += ours;
		refused += !ours;
		if (ours == theirs || (!ours && is_known_leniency(&reader)))
			continue;
		fail_msg("round %d: %s (%s) but json-c %s: %s", round, ours ? "taken" : "refused",
		    reader.reason ? reader.reason : "", theirs ? "takes" : "refuses", text);
	}
	assert_true(taken > 2000 && refused > 2000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_documents_are_taken_and_no_prefix_of_them_is_read_beyond),
	    cmocka_unit_test(containers_and_strings_cut_anywhere_are_refused),
	    cmocka_unit_test(bad_documents_are_refused),
	    cmocka_unit_test(tokens_come_in_order_with_their_texts),
	    cmocka_unit_test(depth_is_limited),
	    cmocka_unit_test(the_kind_of_each_level_is_kept),
	    cmocka_unit_test(errors_name_line_and_column),
	    cmocka_unit_test(stars_stand_for_values_only_where_allowed),
	    cmocka_unit_test(values_are_skipped_to_their_end),
	    cmocka_unit_test(documents_one_after_the_other_are_read_one_by_one),
	    cmocka_unit_test(escapes_are_undone_and_compared),
	    cmocka_unit_test(json_c_judges_mutated_documents_alike),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
