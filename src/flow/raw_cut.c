/*
 * raw_cut.c: cuts the items of erased devices out of a body.
 *
 * An item of JSON becomes {} and is noted as rejected; a line becomes an empty one, which no format
 * counts as anything. Whose an item is, is found as the judge finds it. A rejected item stands for
 * nothing: it goes, too, when it only mentions the device; so does a body that cannot be read.
 */
#include "raw_cut.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "judge_priv.h"
#include "raw_keys.h"

#define DEVICE_PRINCIPAL "device-"
#define NOTHING "{}"

struct raw_cut {
	struct tombs *tombs;
	uint64_t seq;
	uint64_t *wanted;
	size_t wanted_count;

	/* Of the record under way. */
	const struct journal_record *record;
	struct buf body, scratch;
	struct journal_reject *rejects;
	size_t reject_count, reject_cap;
	uint32_t reject;        /* the next of the record's */
	uint32_t item;
	const char *copied;     /* the record's body stands in `body` up to here */
	bool cut;               /* something was */
	struct lp_line line;
};

static int
keys_order(const void *a, const void *b)
{
	uint32_t left = (uint32_t)*(const uint64_t *)a, right = (uint32_t)*(const uint64_t *)b;
	return (left > right) - (left < right);
}

int
raw_cut_create(struct tombs *tombs, struct raw_cut **ret_cut)
{
	struct raw_cut *cut = calloc(1, sizeof *cut);
	if (!cut)
		return -ENOMEM;
	cut->tombs = tombs_ref(tombs);
	buf_init(&cut->body, 0);
	buf_init(&cut->scratch, 0);
	size_t count = tombs ? tombs->count : 0;
	cut->wanted = malloc((count + 1) * sizeof cut->wanted[0]);
	if (!cut->wanted) {
		raw_cut_destroy(cut);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		const struct tomb *tomb = &tombs->of[i];
		cut->wanted[cut->wanted_count++] = raw_key(tomb->tenant, tomb->device);
		cut->seq = MAX(cut->seq, tomb->seq);
	}
	qsort(cut->wanted, cut->wanted_count, sizeof cut->wanted[0], keys_order);
	*ret_cut = cut;
	return 0;
}

void
raw_cut_destroy(struct raw_cut *cut)
{
	if (!cut)
		return;
	tombs_unref(cut->tombs);
	buf_finish(&cut->body);
	buf_finish(&cut->scratch);
	free(cut->rejects);
	free(cut->wanted);
	free(cut);
}

const uint64_t *
raw_cut_wanted(const struct raw_cut *cut, size_t *ret_count)
{
	*ret_count = cut->wanted_count;
	return cut->wanted;
}

uint64_t
raw_cut_seq(const struct raw_cut *cut)
{
	return cut->seq;
}

/* ── whose an item is ── */

static bool
keys_concern(const struct raw_cut *cut, const struct journal_keys *keys)
{
	bool concern = keys->unknown;
	for (size_t i = 0; i < keys->count && !concern; i++)
		concern = bsearch(&keys->keys[i], cut->wanted, cut->wanted_count,
		    sizeof cut->wanted[0], keys_order) != NULL;
	return concern;
}

/* Whether a device that is to go stands anywhere in the text. */
static bool
is_mentioned(const struct raw_cut *cut, struct span text)
{
	for (size_t i = 0; i < cut->tombs->count && text.len > 0; i++) {
		const struct tomb *tomb = &cut->tombs->of[i];
		if (cut->record->seq <= tomb->seq &&
		    span_eq(tomb->tenant, cut->record->tenant) &&
		    memmem(text.ptr, text.len, tomb->device.ptr, tomb->device.len))
			return true;
	}
	return false;
}

static bool
is_of_erased(const struct raw_cut *cut, struct span device)
{
	return tombs_hide_record(cut->tombs, cut->record->tenant, device, cut->record->seq);
}

/* Whether the item under way as a whole was rejected. */
static bool
item_rejected(struct raw_cut *cut)
{
	const struct journal_record *record = cut->record;
	for (uint32_t i = cut->reject; i < record->reject_count &&
	    record->rejects[i].item == cut->item; i++)
		if (record->rejects[i].reading < 0)
			return true;
	return false;
}

/* Whether the object whose JSON_OBJECT was read is to go; reads it to its end. 0, -EBADMSG. */
static int
object_look(const struct raw_cut *cut, struct json_reader *reader, bool *ret_goes)
{
	char room[JUDGE_NAME_BYTES_MAX];
	struct span device = span_of(NULL, 0);
	unsigned depth = reader->depth;
	bool in_device = false, is_id = false;
	while (reader->depth >= depth) {
		enum json_token token = json_next(reader);
		if (token == JSON_ERROR || token == JSON_END)
			return -EBADMSG;
		if (is_id && !device.ptr)
			device = judge_device_id(reader, token, room);
		if (token == JSON_KEY && reader->depth == depth)
			in_device = json_text_eq(reader, SPAN("device"));
		is_id = token == JSON_KEY && in_device && reader->depth == depth + 1 &&
		    json_text_eq(reader, SPAN("id"));
	}
	*ret_goes = is_of_erased(cut, device);
	return 0;
}

/* ── what is left ── */

static int
reject_add(struct raw_cut *cut, struct journal_reject reject)
{
	if (cut->reject_count == cut->reject_cap) {
		size_t cap = cut->reject_cap ? cut->reject_cap * 2 : 16;
		struct journal_reject *grown = realloc(cut->rejects, cap * sizeof grown[0]);
		if (!grown)
			return -ENOMEM;
		cut->rejects = grown;
		cut->reject_cap = cap;
	}
	cut->rejects[cut->reject_count++] = reject;
	return 0;
}

/* Keeps what was said of the item under way, or leaves it out. */
static int
rejects_pass(struct raw_cut *cut, bool keep)
{
	const struct journal_record *record = cut->record;
	int error = 0;
	for (; !error && cut->reject < record->reject_count &&
	    record->rejects[cut->reject].item <= cut->item; cut->reject++)
		if (keep)
			error = reject_add(cut, record->rejects[cut->reject]);
	return error;
}

/* The item under way, which stands at [from, to), stays or becomes `instead`. */
static int
item_settle(struct raw_cut *cut, bool goes, const char *from, const char *to, const char *instead)
{
	int error = rejects_pass(cut, !goes);
	if (!error && goes) {
		buf_append(&cut->body, cut->copied, (size_t)(from - cut->copied));
		buf_append_str(&cut->body, instead);
		cut->copied = to;
		cut->cut = true;
		if (*instead)
			error = reject_add(cut, (struct journal_reject){.item = cut->item,
			    .reading = -1, .code = VERDICT_ERASED});
	}
	cut->item++;
	return error;
}

/* ── formats ── */

/* The item whose first token was read. */
static int
value_cut(void *ctx, struct json_reader *reader, enum json_token token)
{
	struct raw_cut *cut = ctx;
	bool goes = false, rejected = item_rejected(cut);
	const char *from = token == JSON_OBJECT || token == JSON_ARRAY ? reader->pos - 1 :
	    token == JSON_STRING ? reader->text.ptr - 1 : reader->text.ptr;
	if (token == JSON_END || token == JSON_ERROR)
		return -EBADMSG;
	if (token == JSON_TRUE || token == JSON_FALSE || token == JSON_NULL)
		from = reader->pos;
	int error = token == JSON_OBJECT ? object_look(cut, reader, &goes) :
	    json_skip(reader, token) == JSON_ERROR ? -EBADMSG : 0;
	if (error)
		return error;
	struct span text = span_of(from, (size_t)(reader->pos - from));
	goes = goes || (rejected && is_mentioned(cut, text));
	return item_settle(cut, goes, from, reader->pos, NOTHING);
}

static int
json_cut(struct raw_cut *cut)
{
	struct json_reader reader;
	return judge_each_item(&reader, cut->record->body, true, value_cut, cut);
}

static bool
ndjson_goes(struct raw_cut *cut, struct span line)
{
	struct json_reader reader;
	bool goes = false;
	json_reader_init(&reader, line, true);
	return json_next(&reader) == JSON_OBJECT && !object_look(cut, &reader, &goes) && goes;
}

static bool
line_goes(struct raw_cut *cut, struct span line)
{
	struct lp_error bad;
	if (lp_parse_line(line, cut->scratch.ptr, &cut->line, &bad))
		return false;
	for (size_t i = 0; i < cut->line.tag_count; i++)
		if (span_eq(cut->line.tags[i].name, SPAN("device")))
			return is_of_erased(cut, cut->line.tags[i].value);
	return false;
}

static int
lines_cut(struct raw_cut *cut, bool (*goes)(struct raw_cut *cut, struct span line))
{
	const char *at = cut->record->body.ptr, *end = at + cut->record->body.len;
	int error = buf_reserve(&cut->scratch, cut->record->body.len + 1);
	while (!error && at < end) {
		struct span line = judge_take_line(&at, end);
		bool away = line.len > 0 && (goes(cut, line) ||
		    (item_rejected(cut) && is_mentioned(cut, line)));
		error = item_settle(cut, away, line.ptr, line.ptr + line.len, "");
	}
	return error;
}

static int
body_cut(struct raw_cut *cut)
{
	switch (cut->record->format) {
	case JOURNAL_FORMAT_JSON:
		return json_cut(cut);
	case JOURNAL_FORMAT_NDJSON:
		return lines_cut(cut, ndjson_goes);
	case JOURNAL_FORMAT_LINE:
		return lines_cut(cut, line_goes);
	default:
		return 0; /* a gateway's messages, of no device */
	}
}

/* A body that cannot be read is as good as none. */
static int
unreadable_cut(struct raw_cut *cut)
{
	cut->cut = is_mentioned(cut, cut->record->body);
	cut->reject_count = 0;
	buf_clear(&cut->body);
	cut->copied = cut->record->body.ptr + cut->record->body.len;
	return 0;
}

/* The device may have reported itself. */
static bool
principal_goes(const struct raw_cut *cut)
{
	struct span principal = cut->record->principal, start = SPAN(DEVICE_PRINCIPAL);
	return span_starts(principal, start) && is_of_erased(cut, span_skip(principal, start.len));
}

int
raw_cut_record(void *ctx, const struct journal_record *record, const struct journal_keys *keys,
    struct journal_record *ret_record)
{
	struct raw_cut *cut = ctx;
	cut->record = record;
	bool alone = principal_goes(cut);
	if (record->stream != JOURNAL_REPORTS || (!alone && !keys_concern(cut, keys)))
		return 0;
	buf_clear(&cut->body);
	cut->reject_count = 0;
	cut->reject = cut->item = 0;
	cut->copied = record->body.ptr;
	cut->cut = false;
	int error = body_cut(cut);
	if (error == -EBADMSG)
		error = unreadable_cut(cut);
	if (error || (!cut->cut && !alone))
		return error;
	cut->item = UINT32_MAX;
	error = rejects_pass(cut, true);
	buf_append(&cut->body, cut->copied,
	    (size_t)(record->body.ptr + record->body.len - cut->copied));
	if (error || !buf_ok(&cut->body))
		return -ENOMEM;
	*ret_record = *record;
	ret_record->body = buf_span(&cut->body);
	ret_record->rejects = cut->reject_count ? cut->rejects : NULL;
	ret_record->reject_count = (uint32_t)cut->reject_count;
	if (alone)
		ret_record->principal = SPAN(DEVICE_PRINCIPAL "*");
	return 1;
}
