/*
 * judge.c: bodies to points and verdicts: entry, results, replay.
 *
 * The points of an item wait until the item as a whole turned out well, then join the batch: so a
 * line that breaks off in its middle leaves nothing behind.
 */
#include "judge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "judge_priv.h"

void
judge_result_init(struct judge_result *result)
{
	memset(result, 0, sizeof *result);
}

void
judge_result_clear(struct judge_result *result)
{
	series_batch_destroy(result->batch);
	result->batch = NULL;
	result->reject_count = 0;
	result->messages = 0;
}

void
judge_result_reset(struct judge_result *result)
{
	judge_result_clear(result);
	result->items = result->accepted = result->rejected = 0;
	result->detail_count = 0;
}

void
judge_result_finish(struct judge_result *result)
{
	judge_result_clear(result);
	free(result->rejects);
	free(result->details);
	result->rejects = NULL;
	result->details = NULL;
	result->reject_cap = 0;
}

int
judge_create(uint32_t partitions, struct judge **ret_judge)
{
	struct judge *judge = calloc(1, sizeof *judge);
	if (!judge)
		return -ENOMEM;
	judge->partitions = partitions;
	buf_init(&judge->scratch, 0);
	buf_init(&judge->keys, 0);
	judge->series = calloc(JUDGE_SERIES_KNOWN, sizeof judge->series[0]);
	int error = judge->series ? line_cache_create(&judge->lines) : -ENOMEM;
	if (error)
		goto fail;
	*ret_judge = judge;
	return 0;

fail:
	judge_destroy(judge);
	return error;
}

void
judge_set_limits(struct judge *judge, const struct judge_limits *limits)
{
	judge->limits = *limits;
}

void
judge_destroy(struct judge *judge)
{
	if (!judge)
		return;
	buf_finish(&judge->scratch);
	buf_finish(&judge->keys);
	free(judge->points);
	line_cache_destroy(judge->lines);
	free(judge->series);
	free(judge);
}

bool
judge_skips(struct judge_run *run, uint32_t item, int32_t reading)
{
	while (run->skip < run->skip_end &&
	    (run->skip->item < item || (run->skip->item == item && run->skip->reading < reading)))
		run->skip++;
	return run->skip < run->skip_end && run->skip->item == item &&
	    run->skip->reading == reading;
}

static int
reject_push(struct judge_result *result, const struct journal_reject *reject)
{
	if (result->reject_count == result->reject_cap) {
		uint32_t cap = result->reject_cap ? result->reject_cap * 2 : 16;
		void *grown = realloc(result->rejects, cap * sizeof *result->rejects);
		if (!grown)
			return -ENOMEM;
		result->rejects = grown;
		result->reject_cap = cap;
	}
	result->rejects[result->reject_count++] = *reject;
	return 0;
}

static void
detail_add(struct judge_result *result, const struct judge_detail *like, const char *text)
{
	result->rejected++;
	if (!result->details)
		result->details = malloc(JUDGE_DETAILS_MAX * sizeof *result->details);
	if (!result->details || result->detail_count == JUDGE_DETAILS_MAX)
		return;
	struct judge_detail *detail = &result->details[result->detail_count++];
	*detail = *like;
	snprintf(detail->text, sizeof detail->text, "%s", text ? text : verdict_text(like->code));
}

int
judge_reject(struct judge_run *run, int32_t reading, uint32_t code, uint32_t column,
    const char *word, const char *text)
{
	struct judge_result *result = run->result;
	if (!result)
		return -EBADMSG;
	struct journal_reject reject = {.item = run->item, .reading = reading, .code = code};
	int error = reject_push(result, &reject);
	if (error)
		return error;
	struct judge_detail detail = {
		.item = result->items + run->item,
		.reading = reading,
		.code = code,
		.column = column,
		.word = word,
	};
	detail_add(result, &detail, text);
	return 0;
}

void
judge_result_too_long(struct judge_result *result)
{
	struct judge_detail detail = {
		.item = result->items++, .reading = -1, .code = VERDICT_TOO_LONG};
	detail_add(result, &detail, NULL);
}

bool
judge_name_ok(struct span name)
{
	if (name.len == 0 || name.len > JUDGE_NAME_BYTES_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];
		if (c < 0x20 || c == 0x7f)
			return false;
	}
	return true;
}

uint32_t
judge_time(const struct judge_run *run, int64_t ms)
{
	int64_t now = run->body->arrival_ms;
	if (ms < JUDGE_TIME_MS_MIN || ms > JUDGE_TIME_MS_MAX)
		return VERDICT_BAD_TIME;
	if (!run->result)
		return 0;
	const struct judge_limits *limits = &run->judge->limits;
	if ((limits->future_ms && ms > now + limits->future_ms) ||
	    (limits->past_ms && ms < now - limits->past_ms))
		return VERDICT_OUT_OF_TIME;
	return limits->kept_ms && ms < now - limits->kept_ms ? VERDICT_TOO_OLD : 0;
}

bool
judge_points_kept(const struct judge_run *run)
{
	const struct judge_point *points = run->judge->points;
	for (size_t i = 0; i < run->judge->point_count; i++)
		if (!judge_kept(run, points[i].partition, points[i].time_ms))
			return false;
	return true;
}

int
judge_points_allow(struct judge_run *run)
{
	struct judge *judge = run->judge;
	struct census *census = run->result ? judge->limits.census : NULL;
	int error = 0;
	for (size_t i = 0; census && i < judge->point_count && !error; i++) {
		const struct judge_point *point = &judge->points[i];
		struct census_series series = {
			.tenant = run->body->tenant,
			.principal = run->body->principal,
			.key = span_of(judge->keys.ptr + point->key_off, point->key_len),
			.hash = point->hash,
			.now_ms = run->body->arrival_ms,
		};
		if (i == 0 || point->hash != point[-1].hash)
			error = census_allow(census, &series, judge->why);
	}
	return error;
}

/* Room for one more. 0 or -ENOMEM. */
static int
points_reserve(struct judge *judge)
{
	if (judge->point_count < judge->point_cap)
		return 0;
	size_t cap = judge->point_cap ? judge->point_cap * 2 : 64;
	void *grown = realloc(judge->points, cap * sizeof *judge->points);
	if (!grown)
		return -ENOMEM;
	judge->points = grown;
	judge->point_cap = cap;
	return 0;
}

int
judge_point_add(struct judge_run *run, struct span key, uint32_t partition, int64_t time_ms,
    double value)
{
	struct judge *judge = run->judge;
	size_t off = judge->keys.len;
	int error = points_reserve(judge);
	if (!error)
		error = buf_append_span(&judge->keys, key);
	if (error)
		return error;
	judge->points[judge->point_count++] = (struct judge_point){
		.hash = series_key_hash(key),
		.key_off = off,
		.key_len = key.len,
		.partition = partition,
		.time_ms = time_ms,
		.value = value,
	};
	return 0;
}

int
judge_point_again(struct judge_run *run, const struct judge_point *before, int64_t time_ms,
    double value)
{
	struct judge *judge = run->judge;
	struct judge_point point = *before; /* reserving may move it */
	int error = points_reserve(judge);
	if (error)
		return error;
	point.time_ms = time_ms;
	point.value = value;
	judge->points[judge->point_count++] = point;
	return 0;
}

void
judge_points_drop(struct judge_run *run)
{
	run->judge->point_count = 0;
	buf_clear(&run->judge->keys);
}

const struct judge_point *
judge_point_before(const struct judge *judge, size_t back, struct span tenant, struct span metric)
{
	if (back > judge->point_count)
		return NULL;
	const struct judge_point *point = &judge->points[judge->point_count - back];
	struct span key = span_of(judge->keys.ptr + point->key_off, point->key_len);
	/* Both with their lengths before them, two bytes each; then follow the tags. */
	size_t head = 2 + tenant.len;
	if (key.len < head + 2 + metric.len)
		return NULL;
	size_t len = (size_t)(unsigned char)key.ptr[head] << 8 | (unsigned char)key.ptr[head + 1];
	return span_eq(span_of(key.ptr + head + 2, len), metric) ? point : NULL;
}

int
judge_series_take(struct judge_run *run, uint32_t partition, uint64_t hash, struct span series,
    uint32_t *ret_series)
{
	struct judge *judge = run->judge;
	struct judge_series *known = &judge->series[hash % JUDGE_SERIES_KNOWN];
	if (known->run == judge->run && known->hash == hash &&
	    span_eq(series_batch_series_key(run->batch, known->number), series)) {
		*ret_series = known->number;
		return 0;
	}
	int error = series_batch_add_series(run->batch, partition, hash, series, ret_series);
	if (!error)
		*known = (struct judge_series){judge->run, hash, *ret_series};
	return error;
}

int
judge_points_commit(struct judge_run *run)
{
	struct judge *judge = run->judge;
	int error = 0;
	for (size_t i = 0; i < judge->point_count && !error; i++) {
		const struct judge_point *point = &judge->points[i];
		struct span key = span_of(judge->keys.ptr + point->key_off, point->key_len);
		uint32_t series;
		error = judge_series_take(run, point->partition, point->hash, key, &series);
		if (!error)
			error = series_batch_add_point(run->batch, series, point->time_ms,
			    point->value);
	}
	judge_points_drop(run);
	return error;
}

struct span
judge_take_line(const char **at, const char *end)
{
	const char *begin = *at;
	const char *lf = memchr(begin, '\n', (size_t)(end - begin));
	const char *stop = lf ? lf : end;
	*at = lf ? lf + 1 : end;
	return span_of(begin, (size_t)(stop - begin));
}

static int
judge_format(struct judge_run *run, char *ret_error, size_t error_size)
{
	run->judge->run++;
	switch (run->body->format) {
	case JOURNAL_FORMAT_JSON:
		return judge_json(run, ret_error, error_size);
	case JOURNAL_FORMAT_NDJSON:
	case JOURNAL_FORMAT_MESSAGES:
		return judge_ndjson(run);
	case JOURNAL_FORMAT_LINE:
		return judge_lines(run);
	case JOURNAL_FORMAT_NONE:
		break;
	}
	return -EBADMSG;
}

int
judge_run(struct judge *judge, const struct judge_body *body, struct judge_result *result,
    char *ret_error, size_t error_size)
{
	check(!result->batch);
	struct judge_run run = {.judge = judge, .body = body, .result = result};
	uint64_t accepted = result->accepted, rejected = result->rejected;
	size_t details = result->detail_count;
	int error = series_batch_create(judge->partitions, &run.batch);
	if (error)
		return error;
	error = judge_format(&run, ret_error, error_size);
	judge_points_drop(&run);
	if (error)
		goto fail;
	result->items += run.item;
	result->batch = run.batch;
	return 0;

fail:
	series_batch_destroy(run.batch);
	result->accepted = accepted;
	result->rejected = rejected;
	result->detail_count = details;
	result->reject_count = 0;
	result->messages = 0;
	return error;
}

int
judge_replay(struct judge *judge, const struct journal_record *record,
    struct series_batch **ret_batch)
{
	struct judge_body body = {
		.format = (enum journal_format)record->format,
		.tenant = record->tenant,
		.gateway = judge_gateway_of(record->principal),
		.arrival_ms = record->arrival_ms,
		.precision = (enum lp_precision)record->hints,
		.bytes = (char *)(uintptr_t)record->body.ptr, /* replay writes nothing */
		.len = record->body.len,
	};
	struct judge_run run = {
		.judge = judge,
		.body = &body,
		.skip = record->rejects,
		/* No list is a null pointer, which has no end. */
		.skip_end = record->reject_count ? record->rejects + record->reject_count :
						   record->rejects,
	};
	int error = series_batch_create(judge->partitions, &run.batch);
	if (error)
		return error;
	char text[128];
	error = judge_format(&run, text, sizeof text);
	judge_points_drop(&run);
	if (error) {
		series_batch_destroy(run.batch);
		return error;
	}
	*ret_batch = run.batch;
	return 0;
}
