/*
 * fuzz_readings.c: bodies of readings: the first byte chooses the format. Holds: replay of the
 * record gives exactly what was accepted; no credential remains; line protocol stays as it came;
 * raw messages are lines of JSON; a list of verdicts that was cut is damage, not a crash.
 */
#include <errno.h>

#include "json.h"
#include "judging.h"
#include "raw.h"

static bool
all_stars(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] != '*')
			return false;
	return true;
}

/* Every member named auth has stars for a value. false: it is no JSON. */
static bool
check_starred(struct span *rest)
{
	struct json_reader reader;
	enum json_token token;
	json_reader_init(&reader, *rest, true);
	while ((token = json_next(&reader)) != JSON_END && token != JSON_ERROR) {
		if (token != JSON_KEY || !json_text_eq(&reader, SPAN("auth")))
			continue;
		token = json_next(&reader);
		if (token == JSON_ERROR)
			return false;
		check(token == JSON_STARS || (token == JSON_STRING && all_stars(reader.text)));
	}
	*rest = span_of(reader.pos, (size_t)(reader.end - reader.pos));
	return token == JSON_END || json_more(&reader);
}

static void
check_documents(struct span body)
{
	do
		check(check_starred(&body));
	while (body.len);
}

static bool
is_blank(struct span line)
{
	for (size_t i = 0; i < line.len; i++)
		if (line.ptr[i] != ' ' && line.ptr[i] != '\t' && line.ptr[i] != '\r')
			return false;
	return true;
}

static void
check_lines(struct span body)
{
	while (body.len) {
		const char *lf = memchr(body.ptr, '\n', body.len);
		size_t len = lf ? (size_t)(lf - body.ptr) : body.len;
		struct span line = span_of(body.ptr, len), rest = line;
		body = span_skip(body, lf ? len + 1 : len);
		check(is_blank(line) || all_stars(line) || (check_starred(&rest) && !rest.len));
	}
}

static void
check_raw(const struct judging *judging)
{
	struct journal_record record = judging_record(judging);
	struct buf scratch, out;
	buf_init(&scratch, 0);
	buf_init(&out, 0);
	int count = raw_write(&record, span_of(NULL, 0), NULL, &scratch, &out);
	check(count >= 0);
	struct span rest = buf_span(&out);
	for (; count > 0; count--) {
		struct json_reader reader;
		json_reader_init(&reader, rest, false);
		check(json_skip(&reader, json_next(&reader)) == JSON_OBJECT_END);
		check(reader.pos < reader.end && *reader.pos == '\n');
		check(!memchr(rest.ptr, '\n', (size_t)(reader.pos - rest.ptr)));
		rest = span_skip(rest, (size_t)(reader.pos - rest.ptr) + 1);
	}
	check(rest.len == 0);
	buf_finish(&scratch);
	buf_finish(&out);
}

/* Damage must be an error or other points, never a crash. */
static void
replay_without_last_verdict(struct judging *judging)
{
	struct journal_record record = judging_record(judging);
	struct series_batch *batch;
	if (record.reject_count == 0)
		return;
	record.reject_count--;
	if (judge_replay(judging->replayer, &record, &batch) == 0)
		series_batch_destroy(batch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const enum journal_format formats[] = {JOURNAL_FORMAT_JSON, JOURNAL_FORMAT_NDJSON,
	    JOURNAL_FORMAT_LINE};
	if (size == 0)
		return 0;
	struct judging judging;
	enum journal_format format = bytes[0] < 234 ? formats[bytes[0] % 3] :
						      JOURNAL_FORMAT_MESSAGES;
	struct span text = span_of((const char *)bytes + 1, size - 1);
	judging_init(&judging);
	judging_run(&judging, format, (enum lp_precision)(bytes[0] / 3 % 6), text);
	struct span body = span_of(judging.body.bytes, judging.body.len);
	check(!judging.error || (judging.error == -EBADMSG && format == JOURNAL_FORMAT_JSON));
	check(!judging.error || judging.reason[0]);
	if (!judging.error) {
		if (format == JOURNAL_FORMAT_JSON)
			check_documents(body);
		else if (format != JOURNAL_FORMAT_LINE)
			check_lines(body);
		else
			check(span_eq(body, text));
		check_raw(&judging);
		replay_without_last_verdict(&judging);
	}
	judging_finish(&judging);
	return 0;
}
