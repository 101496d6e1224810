/*
 * views_past.c: what views have shown, for who asks for the past: made again out of the journal.
 *
 * A worker reads what lies behind the question's cursor, up to where the sequencer was when it
 * began. What is released meanwhile is kept (the *tail*) while anybody reads. When the worker is
 * done, the question takes its place among the entries again, and at its turn gets what was found
 * and what the tail has: everything later follows live, without a seam.
 *
 * Bounds: so many read at once and so many wait; who reads long without finding anything lets
 * others have their turn; the tail has so many bytes, and where it lost something the journal is
 * read on. Who comes to a bound is told of a gap.
 *
 * Invariants: a reading lies in `waiting`, or in `active` from when its end was fixed until its
 * question is answered; the tail holds each report that was released since the first of the active
 * ones began, but for what `tail_lost` says.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "flow_priv.h"
#include "raw_keys.h"

enum {
	RUNNING_MAX = 2, WAITING_MAX = 1024, ROUNDS_MAX = 8,
	TURN_BYTES = 8 << 20,
	EMPTY_BYTES_MAX = 256 << 20,
	FOUND_BYTES_MAX = 4 << 20,    /* of data found: then it is answered; or the question's */
	TAIL_BYTES_MAX = 16 << 20,
};

struct views_reading {
	struct job job;
	struct list link;
	struct flow *flow;
	struct flow_past *past;
	struct tombs *tombs;          /* what is hidden in what was found */
	uint64_t from, to;            /* read behind `from`, up to `to` */
	uint64_t bytes;               /* read so far, with nothing found */
	unsigned rounds;              /* how often it had to read again */
	struct views_gather found;
	size_t found_bytes;
	uint64_t upto;                /* all up to here was found; UINT64_MAX: all there is */
	bool gap;
	int error;
};

/* A report that was released while somebody read. */
struct tail_record {
	struct list link;
	struct journal_record *record;
};

static struct views_pasts *
pasts_of(const struct views_reading *reading)
{
	return &reading->flow->sequencer.channels.pasts;
}

/* ── the tail ── */

static void
tail_drop_first(struct views_pasts *pasts)
{
	struct tail_record *first = CONTAINER_OF(pasts->tail.next, struct tail_record, link);
	list_remove(&first->link);
	pasts->tail_bytes -= first->record->body.len;
	journal_record_unref(first->record);
	free(first);
}

/* Drops what none of the active ones needs. */
static void
tail_trim(struct views_pasts *pasts)
{
	uint64_t needed = UINT64_MAX;
	LIST_FOREACH(link, &pasts->active)
		needed = MIN(needed, CONTAINER_OF(link, struct views_reading, link)->to);
	while (!list_empty(&pasts->tail) &&
	    CONTAINER_OF(pasts->tail.next, struct tail_record, link)->record->seq <= needed)
		tail_drop_first(pasts);
}

void
views_past_released(struct flow *flow, struct journal_record *record)
{
	struct views_pasts *pasts = &flow->sequencer.channels.pasts;
	struct tail_record *last;
	if (list_empty(&pasts->active))
		return;
	last = malloc(sizeof *last);
	if (!last) {
		while (!list_empty(&pasts->tail))
			tail_drop_first(pasts);
		pasts->tail_lost = record->seq;
		return;
	}
	last->record = journal_record_ref(record);
	list_push_back(&pasts->tail, &last->link);
	pasts->tail_bytes += record->body.len;
	while (pasts->tail_bytes > pasts->tail_bytes_max) {
		pasts->tail_lost =
		    CONTAINER_OF(pasts->tail.next, struct tail_record, link)->record->seq;
		tail_drop_first(pasts);
	}
}

/* ── finding ── */

void
views_gather_finish(struct views_gather *gather)
{
	for (size_t i = 0; i < gather->count; i++)
		hub_message_unref(gather->messages[i]);
	free(gather->messages);
	*gather = (struct views_gather){NULL, 0, 0};
}

int
views_gather_add(struct views_gather *gather, struct hub_message *message)
{
	if (gather->count == gather->cap) {
		size_t cap = gather->cap ? gather->cap * 2 : 16;
		void *grown = realloc(gather->messages, cap * sizeof *gather->messages);
		if (!grown)
			return -ENOMEM;
		gather->messages = grown;
		gather->cap = cap;
	}
	gather->messages[gather->count++] = message;
	return 0;
}

struct finding {
	struct views_reading *reading;
	const struct journal_record *record;
};

static bool
finding_wants(void *ctx, uint64_t seq, struct span device, struct span name)
{
	const struct finding *finding = ctx;
	const struct views_reading *reading = finding->reading;
	const struct hub_question *question = &reading->past->question;
	bool match = false;
	if (question->since == HUB_SINCE_CURSOR && seq <= question->cursor)
		return false;
	for (size_t i = 0; i < question->pattern_count && !match; i++)
		match = hub_pattern_matches(question->patterns[i], name);
	return match && !tombs_hide_record(reading->tombs, question->tenant, device,
	    finding->record->seq);
}

/* -ECANCELED: it is as much as fits. */
static int
finding_give(void *ctx, uint64_t seq, struct span name, struct span data)
{
	const struct finding *finding = ctx;
	struct views_reading *reading = finding->reading;
	const struct hub_question *question = &reading->past->question;
	struct hub_message *message;
	int error = hub_message_create(seq, finding->record->arrival_ms, question->tenant, name,
	    data, &message);
	if (error)
		return error;
	error = views_gather_add(&reading->found, message);
	if (error) {
		hub_message_unref(message);
		return error;
	}
	size_t enough = question->bytes_max ? question->bytes_max : FOUND_BYTES_MAX;
	reading->found_bytes += HUB_MESSAGE_BYTES_WRITTEN + data.len;
	if (reading->found.count < question->limit &&
	    reading->found_bytes < MIN(enough, (size_t)FOUND_BYTES_MAX))
		return 0;
	reading->upto = seq;
	return -ECANCELED;
}

/* The messages of a record, whose points are in `batch`. */
static int
record_find(struct views_reading *reading, const struct journal_record *record,
    const struct series_batch *batch, struct buf *text)
{
	struct finding finding = {reading, record};
	const struct views_taker taker = {finding_wants, finding_give, &finding};
	int error = views_of_points(record, batch, reading->flow->options.partitions, &taker,
	    text);
	return error ? error : views_of_messages(record, batch, &taker, text);
}

static bool
record_asked(const struct hub_question *question, const struct journal_record *record)
{
	return record->stream == JOURNAL_REPORTS &&
	    span_eq(record->tenant, question->tenant) &&
	    record->arrival_ms <= question->until_ms &&
	    (question->since != HUB_SINCE_TIME || record->arrival_ms >= question->from_ms);
}

/* ── on a worker ── */

/* The device that a pattern is about, in `room`; false: it may be about others, or about none. */
static bool
pattern_device(struct span pattern, char *room, struct span *ret_device)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t len = 0;
	if (!span_starts(pattern, SPAN("readings/")))
		return false;
	for (pattern = span_skip(pattern, strlen("readings/")); pattern.len && *pattern.ptr != '/';
	     pattern = span_skip(pattern, 1)) {
		char byte = *pattern.ptr;
		if (byte == '+' || byte == '#')
			return false;
		if (byte == '%') {
			const char *high = pattern.len > 2 ? strchr(digits, pattern.ptr[1]) : NULL;
			const char *low = high ? strchr(digits, pattern.ptr[2]) : NULL;
			if (!low)
				return false;
			byte = (char)((high - digits) << 4 | (low - digits));
			pattern = span_skip(pattern, 2);
		}
		room[len++] = byte;
	}
	*ret_device = span_of(room, len);
	return len > 0 && !span_eq(*ret_device, SPAN("-"));
}

/* Where all that is asked for is of known devices, sealed segments show where they are. */
static int
reader_want(struct journal_reader *reader, const struct hub_question *question)
{
	size_t bytes = 0, count = 0;
	for (size_t i = 0; i < question->pattern_count; i++)
		bytes += question->patterns[i].len;
	struct span *devices = malloc(question->pattern_count * sizeof *devices + bytes);
	if (!devices)
		return -ENOMEM;
	char *room = (char *)(devices + question->pattern_count);
	bool known = true;
	for (size_t i = 0; i < question->pattern_count && known; i++) {
		struct span pattern = question->patterns[i];
		if (!views_match(pattern))
			continue;
		known = pattern_device(pattern, room, &devices[count++]);
		room += pattern.len;
	}
	int error = known ? raw_want_any(reader, question->tenant, devices, count) : 0;
	free(devices);
	return error;
}

static int
reader_begin(const struct views_reading *reading, struct journal_reader **ret_reader)
{
	const struct hub_question *question = &reading->past->question;
	int error = journal_reader_open(reading->flow->options.journal, reading->from + 1,
	    ret_reader);
	if (error)
		return error;
	journal_reader_within(*ret_reader);
	if (question->since == HUB_SINCE_TIME)
		journal_reader_skip_to_time(*ret_reader, question->from_ms);
	if (question->until_ms < INT64_MAX)
		journal_reader_skip_from_time(*ret_reader, question->until_ms + 1);
	return reader_want(*ret_reader, question);
}

struct tools {
	struct journal_reader *reader;
	struct judge *judge;
	struct buf text;
};

/* Where items of erased devices were cut out behind the cursor's back, it is not known any more
 * which of the others it had come to. */
static bool
cursor_shifted(const struct hub_question *question, const struct journal_record *record,
    const struct series_batch *batch)
{
	return question->since == HUB_SINCE_CURSOR && question->cursor > record->seq &&
	    record->format != JOURNAL_FORMAT_MESSAGES &&
	    1 + series_batch_count(batch) < record->count;
}

static int
record_read(struct views_reading *reading, struct tools *tools,
    const struct journal_record *record)
{
	struct series_batch *batch = NULL;
	if (!record_asked(&reading->past->question, record))
		return 0;
	int error = judge_replay(tools->judge, record, &batch);
	if (!error)
		reading->gap |= cursor_shifted(&reading->past->question, record, batch);
	if (!error)
		error = record_find(reading, record, batch, &tools->text);
	series_batch_destroy(batch);
	if (error == -EBADMSG)
		reading->gap = true;
	return error == -EBADMSG ? 0 : error;
}

/* One record, or one piece of damage. 1: there may be more, 0: that was all, or a negative errno:
 * -ECANCELED, it is enough. */
static int
reading_step(struct views_reading *reading, struct tools *tools, uint64_t *bytes)
{
	struct journal_record record;
	struct journal_damage damage;
	int result = journal_reader_next(tools->reader, &record, &damage);
	if (result == -EBADMSG) {
		reading->gap = true; /* flow_replay or the opening has told of it */
		return 1;
	}
	if (result <= 0 || record.seq > reading->to)
		return MIN(result, 0);
	*bytes += record.body.len + sizeof record;
	int error = record_read(reading, tools, &record);
	reading->from = record.seq + record.count - 1;
	return error ? error : 1;
}

/* What lay behind the cursor and is not kept any more. */
static bool
reading_lost(const struct views_reading *reading, uint64_t began)
{
	const struct hub_question *question = &reading->past->question;
	struct journal_stats stats;
	journal_stats(reading->flow->options.journal, &stats);
	return question->since == HUB_SINCE_CURSOR ? stats.first_seq > began + 1 :
	    began > 0 && stats.first_seq > began + 1;
}

/* Of a time it is known only by what is kept. */
static int
segment_see(void *ctx, const struct journal_segment_info *segment)
{
	struct views_reading *reading = ctx;
	if (segment->first_seq > 1 && segment->arrival_min_ms > reading->past->question.from_ms)
		reading->gap = true;
	return segment->first_seq > 0;
}

static void
reading_run(struct job *job)
{
	struct views_reading *reading = CONTAINER_OF(job, struct views_reading, job);
	const struct hub_question *question = &reading->past->question;
	struct journal *journal = reading->flow->options.journal;
	struct tools tools = {.reader = NULL};
	uint64_t began = reading->from, bytes = 0;
	int result = judge_create(reading->flow->options.partitions, &tools.judge);
	buf_init(&tools.text, 0);
	if (!result && question->since == HUB_SINCE_TIME && began == 0)
		result = MIN(journal_each_segment(journal, segment_see, reading), 0);
	if (!result)
		result = reader_begin(reading, &tools.reader);
	if (!result)
		result = 1;
	reading->upto = UINT64_MAX;
	while (result > 0 && bytes < pasts_of(reading)->turn_bytes)
		result = reading_step(reading, &tools, &bytes);
	if (result > 0)
		reading->upto = reading->from;
	else if (result == 0)
		reading->from = reading->to;
	reading->error = result == -ECANCELED ? 0 : MIN(result, 0);
	reading->bytes += bytes;
	reading->gap |= reading_lost(reading, began);
	journal_reader_close(tools.reader);
	judge_destroy(tools.judge);
	buf_finish(&tools.text);
}

/* ── on the first loop ── */

static void
reading_forget(struct views_reading *reading)
{
	views_gather_finish(&reading->found);
	reading->found_bytes = 0;
}

static void
reading_destroy(struct views_reading *reading)
{
	list_remove(&reading->link);
	reading_forget(reading);
	tombs_unref(reading->tombs);
	free(reading);
}

static uint64_t
begin_of(const struct hub_question *question)
{
	return question->since == HUB_SINCE_CURSOR ? question->cursor : 0;
}

/* Its question takes its place among the entries again. */
static void
reading_return(struct views_reading *reading)
{
	sequencer_submit_again(&reading->past->entry);
}

static void
reading_give_up(struct views_reading *reading)
{
	reading_forget(reading);
	reading->gap = true;
	reading->upto = UINT64_MAX;
	reading->from = reading->to = reading->flow->sequencer.channels.viewed_seq;
	list_remove(&reading->link);
	list_push_back(&pasts_of(reading)->active, &reading->link);
	reading_return(reading);
}

static void reading_done(struct mail *mail);

/* Begins to read, or to read on: up to where the sequencer is now. */
static void
reading_start(struct views_reading *reading)
{
	struct flow *flow = reading->flow;
	struct views_pasts *pasts = pasts_of(reading);
	struct workers *workers = flow->options.readers ? flow->options.readers :
	    flow->options.workers;
	struct tombs *tombs = flow_tombs(flow);
	if (tombs != reading->tombs) {
		reading_forget(reading); /* something of it may be hidden now */
		reading->from = begin_of(&reading->past->question);
	}
	tombs_unref(reading->tombs);
	reading->tombs = tombs;
	reading->to = flow->sequencer.channels.viewed_seq;
	list_remove(&reading->link);
	list_push_back(&pasts->active, &reading->link);
	reading->job = (struct job){
		.mail.deliver = reading_done, .reply_to = flow->loops[0]->box, .run = reading_run,
	};
	if (workers_submit(workers, &reading->job))
		reading_give_up(reading);
	else
		pasts->running++;
}

static void
readings_go_on(struct views_pasts *pasts)
{
	while (!list_empty(&pasts->waiting) && pasts->running < RUNNING_MAX && !pasts->stopped) {
		struct list *first = pasts->waiting.next;
		pasts->waiting_count--;
		reading_start(CONTAINER_OF(first, struct views_reading, link));
	}
	tail_trim(pasts);
}

static void
reading_wait(struct views_reading *reading)
{
	struct views_pasts *pasts = pasts_of(reading);
	list_remove(&reading->link);
	list_push_back(&pasts->waiting, &reading->link);
	pasts->waiting_count++;
	readings_go_on(pasts);
}

static void
reading_done(struct mail *mail)
{
	struct views_reading *reading = CONTAINER_OF(mail, struct views_reading, job.mail);
	struct views_pasts *pasts = pasts_of(reading);
	bool over = reading->upto == UINT64_MAX || reading->found.count;
	pasts->running--;
	if (reading->error || pasts->stopped || (!over && reading->bytes >= pasts->empty_bytes_max))
		reading_give_up(reading);
	else if (over)
		reading_return(reading);
	else
		reading_wait(reading);
	readings_go_on(pasts);
}

void
views_past_init(struct flow *flow)
{
	struct views_pasts *pasts = &flow->sequencer.channels.pasts;
	list_init(&pasts->waiting);
	list_init(&pasts->active);
	list_init(&pasts->tail);
	pasts->tail_bytes_max = TAIL_BYTES_MAX;
	pasts->turn_bytes = TURN_BYTES;
	pasts->empty_bytes_max = EMPTY_BYTES_MAX;
}

bool
views_past_asked(const struct flow *flow, const struct hub_question *question)
{
	const struct channels *channels = &flow->sequencer.channels;
	bool asked = false;
	for (size_t i = 0; i < question->pattern_count && !asked; i++)
		asked = views_match(question->patterns[i]);
	if (!asked || question->since == HUB_SINCE_NOW)
		return false;
	if (question->since == HUB_SINCE_TIME)
		return channels->viewed_seq && channels->viewed_ms >= question->from_ms;
	return channels->viewed_seq > begin_of(question);
}

int
views_past_begin(struct flow *flow, struct flow_past *past)
{
	struct views_pasts *pasts = &flow->sequencer.channels.pasts;
	if (pasts->stopped || pasts->waiting_count >= WAITING_MAX)
		return -EAGAIN;
	struct views_reading *reading = calloc(1, sizeof *reading);
	if (!reading)
		return -ENOMEM;
	reading->flow = flow;
	reading->past = past;
	reading->from = begin_of(&past->question);
	list_init(&reading->link);
	past->reading = reading;
	flow_count(&flow->counters.view_pasts, 1);
	reading_wait(reading);
	return 0;
}

/* What was released since it began to read. 0, -ENOMEM. */
static int
tail_find(struct views_reading *reading)
{
	struct buf text;
	int error = 0;
	buf_init(&text, 0);
	LIST_FOREACH(link, &pasts_of(reading)->tail) {
		const struct journal_record *record =
		    CONTAINER_OF(link, struct tail_record, link)->record;
		if (error || record->seq <= reading->to ||
		    !record_asked(&reading->past->question, record))
			continue;
		error = record_find(reading, record, record->parsed, &text);
	}
	buf_finish(&text);
	check(error != -EBADMSG); /* it was judged by the same code */
	return error == -ECANCELED ? 0 : error;
}

bool
views_past_join(struct flow *flow, struct flow_past *past)
{
	struct views_reading *reading = past->reading;
	struct tombs *tombs = flow_tombs(flow);
	bool hidden = tombs != reading->tombs;
	bool torn = reading->upto == UINT64_MAX && pasts_of(reading)->tail_lost > reading->to;
	tombs_unref(tombs);
	if ((hidden && reading->found.count) || torn) {
		if (reading->rounds++ < ROUNDS_MAX && !pasts_of(reading)->stopped) {
			reading->bytes = 0;
			reading_wait(reading);
			return false;
		}
		reading_forget(reading);
		reading->gap = true;
		reading->upto = UINT64_MAX;
	} else if (reading->upto == UINT64_MAX && tail_find(reading)) {
		reading->gap = true;
	}
	return true;
}

struct views_gather *
views_past_found(const struct flow_past *past, uint64_t *ret_upto, bool *ret_gap)
{
	*ret_upto = past->reading->upto;
	*ret_gap = past->reading->gap;
	return &past->reading->found;
}

void
views_past_end(struct flow_past *past)
{
	if (!past->reading)
		return;
	struct views_pasts *pasts = pasts_of(past->reading);
	reading_destroy(past->reading);
	past->reading = NULL;
	tail_trim(pasts);
}

void
views_past_stop(struct flow *flow)
{
	struct views_pasts *pasts = &flow->sequencer.channels.pasts;
	pasts->stopped = true;
	while (!list_empty(&pasts->waiting)) {
		pasts->waiting_count--;
		reading_give_up(CONTAINER_OF(pasts->waiting.next, struct views_reading, link));
	}
}
