/*
 * raw_list.c: GET /api/v1/raw: the messages as they came, read from the journal on a query worker.
 */
#include "raw.h"

#include <errno.h>
#include <stdlib.h>

#include "api_priv.h"
#include "check.h"
#include "raw_keys.h"
#include "sight.h"
#include "stream.h"

struct raw_question {
	const struct api *api;
	struct span tenant, device;  /* in the bytes behind the struct */
	struct flow_scope *scope;    /* NULL: all devices */
	struct tombs *tombs;         /* what is erased */
	int64_t from_ms, to_ms;
	uint64_t limit, written;
	struct buf scratch, out;
	char bytes[];
};

static int
raw_flush(struct raw_question *question, struct stream *stream, size_t at_least)
{
	if (question->out.len <= at_least)
		return 0;
	int error = stream_write(stream, buf_span(&question->out));
	buf_clear(&question->out);
	return error;
}

/* A damaged stretch is told of in a line of its own: the rest still is true. */
static void
raw_damage(struct raw_question *question, const struct journal_damage *damage)
{
	buf_printf(&question->out,
	    "{\"warning\":\"journal segment %s is damaged at byte %llu: %s\"}\n", damage->segment,
	    (unsigned long long)damage->offset, damage->reason);
}

static int
raw_record(struct raw_question *question, const struct journal_record *record)
{
	if (record->stream != JOURNAL_REPORTS || record->arrival_ms < question->from_ms ||
	    record->arrival_ms >= question->to_ms || !span_eq(record->tenant, question->tenant))
		return 0;
	int written = raw_write_shown(record, question->device, question->scope, question->tombs,
	    &question->scratch, &question->out);
	if (written == -EBADMSG) {
		buf_printf(&question->out, "{\"warning\":\"record %llu cannot be read\"}\n",
		    (unsigned long long)record->seq);
		return 0;
	}
	if (written > 0)
		question->written += (uint64_t)written;
	return written < 0 ? written : 0;
}

static int
raw_run(void *ctx, struct stream *stream)
{
	struct raw_question *question = ctx;
	struct journal_reader *reader;
	int error = journal_reader_open(question->api->journal, 1, &reader);
	if (error)
		return error;
	journal_reader_skip_to_time(reader, question->from_ms);
	journal_reader_skip_from_time(reader, question->to_ms);
	error = raw_want(reader, question->tenant, question->device, question->scope);
	while (!error && (!question->limit || question->written < question->limit)) {
		struct journal_record record;
		struct journal_damage damage;
		int result = journal_reader_next(reader, &record, &damage);
		if (result == 0)
			break;
		if (result == -EBADMSG)
			raw_damage(question, &damage);
		else
			error = result < 0 ? result : raw_record(question, &record);
		if (!error)
			error = raw_flush(question, stream, 16384);
	}
	journal_reader_close(reader);
	return error ? error : raw_flush(question, stream, 0);
}

static void
raw_destroy(void *ctx)
{
	struct raw_question *question = ctx;
	buf_finish(&question->scratch);
	buf_finish(&question->out);
	flow_scope_destroy(question->scope);
	tombs_unref(question->tombs);
	free(question);
}

static struct raw_question *
raw_create(struct session_request *request)
{
	const struct api_loop *al = session_app(request);
	struct span tenant = session_principal(request)->tenant;
	struct span device = session_query(request, "device");
	struct raw_question *question = calloc(1, sizeof *question + tenant.len + device.len + 1);
	if (!question)
		return NULL;
	question->api = al->api;
	question->tombs = flow_loop_tombs(al->flow);
	memcpy(question->bytes, tenant.ptr, tenant.len);
	if (device.len)
		memcpy(question->bytes + tenant.len, device.ptr, device.len);
	question->tenant = span_of(question->bytes, tenant.len);
	if (device.ptr)
		question->device = span_of(question->bytes + tenant.len, device.len);
	buf_init(&question->scratch, 0);
	buf_init(&question->out, 0);
	return question;
}

static void
raw_end(struct session_request *request, struct span whole)
{
	const struct api_loop *al = session_app(request);
	int64_t now = loop_now_ms(al->loop), from, to;
	uint64_t limit = 0;
	(void)whole;
	if (!sight_check(request))
		return;
	if (!api_query_time(request, "from", now - 3600000, &from) ||
	    !api_query_time(request, "to", INT64_MAX, &to) ||
	    !api_query_number(request, "limit", 1, UINT32_MAX, &limit))
		return;
	struct raw_question *question = raw_create(request);
	if (!question || sight_scope(request, question->device.ptr, &question->scope)) {
		if (question)
			raw_destroy(question);
		api_no_memory(request);
		return;
	}
	struct stream *stream = stream_open(request);
	if (!stream) {
		raw_destroy(question);
		return;
	}
	question->from_ms = from;
	question->to_ms = to;
	question->limit = limit;
	struct stream_work work = {
		.run = raw_run,
		.done = raw_destroy,
		.ctx = question,
		.content_type = "application/x-ndjson",
	};
	stream_submit(stream, &work);
}

static const struct session_route_ops raw_ops = {
	.end = raw_end,
	.writable = stream_writable,
	.gone = stream_gone,
};

static const struct session_doc raw_doc = {
	.query = {
		{"device?", "string", "Only messages of this device."},
		{"from?", "When", "The first arrival; by default -1h."},
		{"to?", "When", "The end, exclusive; by default there is none."},
		{"limit?", "integer", "Messages, at most; by default all."},
	},
	.answers = {
		{200, "application/x-ndjson RawLine", "A message a line, as they arrived."},
		SIGHT_DOC,
		{500, "", "The journal cannot be read."},
	},
};

const struct session_route api_raw_routes[] = {
	{
		.path = "/api/v1/raw",
		.methods = SESSION_GET,
		.rights = ACCESS_READ,
		.ops = &raw_ops,
		.summary = "The messages as they came, from the journal",
		.doc = &raw_doc,
	},
	{.path = NULL},
};
