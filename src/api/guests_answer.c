/*
 * guests_answer.c: the application's word about a guest, read. A member of the wrong type, or one
 * that stands there twice, makes all of it worthless.
 */
#include "guests_answer.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "json.h"
#include "num.h"

enum { SECONDS_MAX = 1000000000 };

enum member { ALLOW, PUBLISH, USER, DETAIL, EXPIRES, CACHE, MEMBER_COUNT };

struct reading {
	struct json_reader json;
	struct guests_answer *answer;
	unsigned seen;               /* a bit a member */
	const char *why;
	bool memory_out;
};

static const char *const names[MEMBER_COUNT] = {
	[ALLOW] = "allow", [PUBLISH] = "publish", [USER] = "user", [DETAIL] = "detail",
	[EXPIRES] = "expires_in_s", [CACHE] = "cache_s",
};

static struct span
decoded(struct reading *reading)
{
	struct guests_answer *answer = reading->answer;
	char *to = answer->text + answer->text_len;
	size_t len = json_string_decode(reading->json.text, to);
	answer->text_len += len;
	return span_of(to, len);
}

static void
read_text(struct reading *reading, enum json_token token, struct span *ret_text)
{
	if (token == JSON_STRING)
		*ret_text = decoded(reading);
	else
		reading->why = "user and detail are texts";
}

static void
read_seconds(struct reading *reading, enum json_token token, uint64_t *ret_seconds)
{
	if (token != JSON_NUMBER || num_parse_u64(reading->json.text, ret_seconds) ||
	    *ret_seconds > SECONDS_MAX)
		reading->why = "expires_in_s and cache_s are whole numbers";
}

static void
read_patterns(struct reading *reading, struct span **ret_patterns, size_t *ret_count)
{
	struct span *patterns = calloc(GUESTS_ANSWER_PATTERNS_MAX, sizeof *patterns);
	enum json_token token;
	size_t count = 0;
	if (!patterns)
		reading->memory_out = true;
	while (patterns && (token = json_next(&reading->json)) == JSON_STRING) {
		if (count == GUESTS_ANSWER_PATTERNS_MAX)
			break;
		patterns[count++] = decoded(reading);
	}
	if (patterns && token != JSON_ARRAY_END)
		reading->why = "a list of channels has at most 1000 texts and nothing else";
	*ret_patterns = patterns;
	*ret_count = count;
}

static void
read_allow(struct reading *reading, enum json_token token)
{
	struct guests_answer *answer = reading->answer;
	if (token == JSON_TRUE) {
		answer->allows = answer->allows_all = true;
	} else if (token == JSON_ARRAY) {
		read_patterns(reading, &answer->patterns, &answer->pattern_count);
		answer->allows = answer->pattern_count > 0;
	} else if (token != JSON_FALSE) {
		reading->why = "allow is true, false or a list";
	}
}

static void
read_value(struct reading *reading, enum member member, enum json_token token)
{
	struct guests_answer *answer = reading->answer;
	switch (member) {
	case ALLOW:
		read_allow(reading, token);
		break;
	case PUBLISH:
		if (token == JSON_ARRAY)
			read_patterns(reading, &answer->publish, &answer->publish_count);
		else
			reading->why = "publish is a list";
		break;
	case USER:
		read_text(reading, token, &answer->user);
		break;
	case DETAIL:
		read_text(reading, token, &answer->detail);
		break;
	case EXPIRES:
		read_seconds(reading, token, &answer->expires_in_s);
		if (!reading->why && answer->expires_in_s == 0)
			reading->why = "expires_in_s is at least 1";
		break;
	case CACHE:
		read_seconds(reading, token, &answer->cache_s);
		answer->cache_said = true;
		break;
	case MEMBER_COUNT:
		break;
	}
}

static void
read_member(struct reading *reading)
{
	unsigned member = 0;
	while (member < MEMBER_COUNT && !json_text_eq(&reading->json, span_str(names[member])))
		member++;
	enum json_token token = json_next(&reading->json);
	if (member == MEMBER_COUNT) {
		if (json_skip(&reading->json, token) == JSON_ERROR)
			reading->why = "it is no JSON";
		return;
	}
	if (reading->seen & 1u << member)
		reading->why = "a member stands there twice";
	else
		read_value(reading, (enum member)member, token);
	reading->seen |= 1u << member;
}

static void
read_document(struct reading *reading)
{
	enum json_token token = json_next(&reading->json);
	if (token != JSON_OBJECT) {
		reading->why = "it is no JSON object";
		return;
	}
	while (!reading->why && !reading->memory_out &&
	    (token = json_next(&reading->json)) == JSON_KEY)
		read_member(reading);
	if (!reading->why && !reading->memory_out &&
	    (token != JSON_OBJECT_END || json_next(&reading->json) != JSON_END))
		reading->why = "it is no JSON";
}

int
guests_answer_read(struct span body, bool refusal, struct guests_answer *ret_answer,
    const char **ret_why)
{
	struct guests_answer answer = {.text = malloc(body.len + 1)};
	struct reading reading = {.answer = &answer, .memory_out = !answer.text};
	json_reader_init(&reading.json, body, false);
	if (!reading.memory_out)
		read_document(&reading);
	if (!reading.why && !refusal && !(reading.seen & 1u << ALLOW))
		reading.why = "allow is missing";
	if (reading.why || reading.memory_out) {
		guests_answer_finish(&answer);
		*ret_why = reading.memory_out ? "memory is out" : reading.why;
		return reading.memory_out ? -ENOMEM : -EBADMSG;
	}
	*ret_answer = answer;
	return 0;
}

void
guests_answer_finish(struct guests_answer *answer)
{
	free(answer->patterns);
	free(answer->publish);
	free(answer->text);
	*answer = (struct guests_answer){0};
}
