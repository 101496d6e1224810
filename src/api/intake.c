/*
 * intake.c: bodies of readings on their way into the journal.
 *
 * A body of lines leaves in records of about api.chunk_bytes, cut at line ends, while more of it
 * arrives; a JSON document is read whole. What is under way for one request is bounded: above
 * INTAKE_AHEAD_BYTES the body waits. It waits, too, while its principal is over his limits of bytes
 * or readings; of a request that has nothing accepted yet the answer is 429 then. A client that
 * leaves in the middle leaves its complete lines, as far as the limits allow it at once. The
 * intake outlives its request until the last record has come back.
 *
 * Where the head names nobody, the first item must name a gateway before anything is judged, within
 * INTAKE_NAMELESS_BYTES. A principal who is revoked or expires while his body arrives is refused
 * from the next chunk on; what was accepted before stays. The answer waits until devices that the
 * body registers are known to every loop.
 */
#include "intake.h"

#include <errno.h>
#include <stdlib.h>

#include "api_priv.h"
#include "check.h"
#include "gate.h"
#include "json.h"
#include "num.h"
#include "registrar.h"

#define INTAKE_AHEAD_BYTES (4u << 20)
#define INTAKE_NAMELESS_BYTES 65536u /* kept of a body that is nobody's yet */
#define INTAKE_RETRY_MS 2
#define INTAKE_RETRIES_MAX 1000

struct intake {
	struct session_request *request; /* NULL: gone */
	struct api_loop *al;
	struct intake_kind kind;
	struct access_principal *principal; /* NULL: the body must tell */
	struct gate gate;
	struct registrar_wait wait;
	bool registering;     /* the wait is set */
	size_t look_bytes;    /* so much of a nameless body must be there for the next look */
	struct buf body;
	bool typed_ndjson;    /* the content type says so */
	bool skipping;        /* inside a line that is too long */
	bool ended;
	bool answered;
	bool under_way;       /* a record of this body was appended */
	unsigned retries;
	uint64_t wait_ms;     /* with -EDQUOT: until the limits allow more */
	uint64_t told_bytes;  /* still to come, as the head says; of compressed ones less */
	size_t paid_bytes;    /* of the body's beginning, taken from the limit */
	size_t ahead_bytes;   /* appended, not yet durable */
	unsigned records;
	struct intake_record *pending; /* judged, refused by a node that is too busy */
	struct loop_timer retry;
	struct judge_result result;
};

struct intake_record {
	struct flow_ticket ticket;
	struct intake *intake;
	size_t bytes;
	uint64_t readings; /* to be taken from the limit */
};

static void intake_go_on(struct intake *intake);

static void
record_destroy(struct intake_record *sent)
{
	if (!sent)
		return;
	journal_record_unref(sent->ticket.record);
	free(sent);
}

static void
intake_destroy(struct intake *intake)
{
	record_destroy(intake->pending);
	loop_timer_cancel(intake->al->loop, &intake->retry);
	list_remove(&intake->wait.link);
	gate_finish(&intake->gate);
	access_principal_unref(intake->principal);
	judge_result_finish(&intake->result);
	buf_finish(&intake->body);
	free(intake);
}

/* Once: what is still under way finishes by itself, the rest is dropped. NULL: answered already, or
 * nobody waits any more. */
static struct session_request *
intake_take_answer(struct intake *intake)
{
	if (intake->answered)
		return NULL;
	intake->answered = true;
	buf_finish(&intake->body);
	record_destroy(intake->pending);
	intake->pending = NULL;
	return intake->request;
}

static void
intake_fail(struct intake *intake, int error)
{
	struct session_request *request = intake_take_answer(intake);
	if (!request)
		return;
	if (error == -ENOSPC)
		session_problem(request, 503, NULL,
		    "the disk is full: what is not acknowledged is not kept; try later");
	else if (error == -EAGAIN)
		session_problem(request, 503, NULL, "too much is under way; try again");
	else
		api_no_memory(request);
}

static void
intake_settle(struct intake *intake)
{
	bool empty = intake->body.len == 0 && !intake->pending;
	if (intake->ended && intake->records == 0 && empty && !intake->registering) {
		struct session_request *request = intake_take_answer(intake);
		if (request)
			intake->kind.answer(request, &intake->result);
	}
	if (!intake->request && intake->answered && intake->records == 0)
		intake_destroy(intake);
}

static void
record_done(struct flow_ticket *ticket, int error)
{
	struct intake_record *sent = CONTAINER_OF(ticket, struct intake_record, ticket);
	struct intake *intake = sent->intake;
	intake->ahead_bytes -= sent->bytes;
	intake->records--;
	free(sent);
	if (error)
		intake_fail(intake, error);
	if (intake->answered)
		intake_settle(intake);
	else
		intake_go_on(intake);
}

/* Takes from the principal's limit: 0, or -EDQUOT. Only who has nothing accepted yet is refused. */
static int
intake_take(struct intake *intake, enum access_rate_of of, uint64_t amount)
{
	const struct api *api = intake->al->api;
	intake->wait_ms = access_limits_take(api->limits, intake->principal, of, amount,
	    env_mono_ns(api->env), !intake->under_way);
	return intake->wait_ms ? -EDQUOT : 0;
}

static void
batch_drop(void *batch)
{
	series_batch_destroy(batch);
}

int
intake_record(const struct access_principal *principal, const struct judge_body *body,
    struct judge_result *result, struct journal_record **ret_record)
{
	struct journal_record like = {
		.count = 1 + (uint32_t)series_batch_count(result->batch) + result->messages,
		.stream = JOURNAL_REPORTS,
		.format = (uint16_t)body->format,
		.hints = (uint32_t)body->precision,
		.arrival_ms = body->arrival_ms,
		.tenant = principal->tenant,
		.principal = principal->name,
		.body = span_of(body->bytes, body->len),
		.rejects = result->rejects,
		.reject_count = result->reject_count,
	};
	struct journal_record *record;
	int error = journal_record_create(&like, true, &record);
	if (error)
		return error;
	record->parsed = result->batch;
	record->parsed_destroy = batch_drop;
	result->batch = NULL;
	*ret_record = record;
	return 0;
}

/* The body's memory becomes the record's, what lies behind the record a new body's: so what is long
 * is not copied. */
static int
record_take_body(struct intake *intake, const struct judge_body *body,
    struct journal_record **ret)
{
	struct buf rest, *whole = &intake->body;
	buf_init(&rest, 0);
	int error = buf_append(&rest, body->bytes + body->len, whole->len - body->len);
	if (!error)
		error = intake_record(intake->principal, body, &intake->result, ret);
	if (error) {
		buf_finish(&rest);
		return error;
	}
	if (whole->cap - body->len > body->len / 4) {
		char *shrunk = realloc(whole->ptr, body->len);
		if (shrunk)
			(*ret)->body.ptr = shrunk;
	}
	*whole = rest;
	return 0;
}

/* What was judged, with so many readings, becomes a record, pending. */
static int
record_make(struct intake *intake, const struct judge_body *body, uint64_t readings)
{
	struct intake_record *sent = calloc(1, sizeof *sent);
	if (!sent)
		return -ENOMEM;
	int error = record_take_body(intake, body, &sent->ticket.record);
	if (error) {
		free(sent);
		return error;
	}
	sent->intake = intake;
	sent->bytes = body->len;
	sent->readings = readings;
	sent->ticket.done = record_done;
	intake->pending = sent;
	return 0;
}

/* The pending record goes under way. 0 (also when there is none), -EAGAIN or -EDQUOT. */
static int
record_append(struct intake *intake)
{
	struct intake_record *sent = intake->pending;
	if (!sent)
		return 0;
	int error = intake_take(intake, ACCESS_RATE_READINGS, sent->readings);
	if (error)
		return error;
	sent->readings = 0;
	error = flow_append(intake->al->flow, &sent->ticket);
	if (error)
		return error;
	intake->under_way = true;
	intake->pending = NULL;
	intake->ahead_bytes += sent->bytes;
	intake->records++;
	return 0;
}

static void
intake_registered(struct registrar_wait *wait)
{
	struct intake *intake = CONTAINER_OF(wait, struct intake, wait);
	intake->registering = false;
	if (intake->answered)
		intake_settle(intake);
	else
		intake_go_on(intake);
}

/* Whether the principal still is somebody. false: answered. */
static bool
intake_valid(struct intake *intake)
{
	const struct access_principal *principal = intake->principal;
	if (!principal->revoked && (principal->expires_ms == 0 ||
	    loop_now_ms(intake->al->loop) < principal->expires_ms))
		return true;
	struct session_request *request = intake_take_answer(intake);
	if (request)
		session_problem(request, 401, NULL, "these credentials are not valid any more; "
		    "what came before that is kept");
	return false;
}

/* Judges and appends the first `len` bytes of the body. -EBADMSG: answered, the document is
 * malformed or the principal is nobody any more; -EDQUOT: the limits do not allow it yet. */
static int
intake_submit(struct intake *intake, size_t len)
{
	struct judge_result *result = &intake->result;
	struct judge_body body = {
		.format = intake->kind.format,
		.tenant = intake->principal->tenant,
		.principal = intake->principal->name,
		.gateway = judge_gateway_of(intake->principal->name),
		.arrival_ms = loop_now_ms(intake->al->loop),
		.precision = intake->kind.precision,
		.bytes = intake->body.ptr,
		.len = len,
		.gate = &intake->gate.judge,
	};
	char text[160];
	uint64_t accepted = result->accepted;
	if (!intake_valid(intake))
		return -EBADMSG;
	if (registrar_full(intake->al->registrar))
		return -EAGAIN;
	intake->gate.request = intake->request;
	intake->gate.noted = false;
	int error = len > intake->paid_bytes ?
	    intake_take(intake, ACCESS_RATE_BYTES, len - intake->paid_bytes) : 0;
	if (error)
		return error;
	intake->paid_bytes = MAX(intake->paid_bytes, len);
	error = judge_run(flow_judge(intake->al->flow), &body, result, text, sizeof text);
	if (error == -EBADMSG) {
		struct session_request *request = intake_take_answer(intake);
		if (request)
			session_problem(request, 400, NULL, "the body is no JSON: %s", text);
		return error;
	}
	if (intake->gate.noted)
		intake->registering = registrar_await(intake->al->registrar, &intake->wait);
	if (!error && result->accepted > accepted)
		error = record_make(intake, &body, result->accepted - accepted);
	else if (!error)
		buf_consume(&intake->body, len);
	judge_result_clear(result);
	if (error)
		return error;
	intake->paid_bytes -= len;
	return record_append(intake);
}

/* ── cutting ── */

/* JSON or NDJSON? NDJSON when the first line is a document and more than blanks follows. 0: not
 * known yet. */
static enum journal_format
format_guess(struct intake *intake)
{
	const char *begin = intake->body.ptr;
	const char *lf = intake->body.len ? memchr(begin, '\n', intake->body.len) : NULL;
	if (intake->typed_ndjson)
		return JOURNAL_FORMAT_NDJSON;
	if (!lf)
		return intake->ended ? JOURNAL_FORMAT_JSON : JOURNAL_FORMAT_NONE;
	struct json_reader reader;
	json_reader_init(&reader, span_of(begin, (size_t)(lf - begin)), false);
	enum json_token token = json_next(&reader);
	if (token != JSON_OBJECT)
		return JOURNAL_FORMAT_JSON;
	token = json_skip(&reader, token);
	if (token == JSON_ERROR || json_next(&reader) != JSON_END)
		return JOURNAL_FORMAT_JSON;
	return JOURNAL_FORMAT_NDJSON;
}

/* How many bytes can be judged now: complete lines up to about a chunk, or all at the end. */
static size_t
lines_ready(const struct intake *intake)
{
	const struct buf *body = &intake->body;
	size_t chunk = intake->al->api->chunk_bytes;
	if (body->len <= chunk && intake->ended)
		return body->len;
	if (body->len < chunk)
		return 0;
	const char *lf = memrchr(body->ptr, '\n', MIN(body->len, chunk));
	if (!lf)
		lf = memchr(body->ptr, '\n', body->len);
	if (lf)
		return (size_t)(lf - body->ptr) + 1;
	return intake->ended ? body->len : 0;
}

/* A line longer than any may be is dropped as it arrives. */
static int
intake_bound_line(struct intake *intake)
{
	struct buf *body = &intake->body;
	if (body->len <= LP_LINE_BYTES_MAX || memchr(body->ptr, '\n', body->len))
		return 0;
	judge_result_too_long(&intake->result);
	intake->skipping = true;
	buf_clear(body);
	return 0;
}

static void
retry_fire(struct loop_timer *timer)
{
	intake_go_on(CONTAINER_OF(timer, struct intake, retry));
}

static void
intake_wait(struct intake *intake, uint64_t wait_ms)
{
	if (loop_timer_set(intake->al->loop, &intake->retry,
	    loop_mono_ms(intake->al->loop) + wait_ms))
		intake_fail(intake, -ENOMEM);
}

/* The node's intake is full: wait for a while, then say so. */
static void
intake_retry(struct intake *intake)
{
	if (intake->retries++ == INTAKE_RETRIES_MAX)
		intake_fail(intake, -EAGAIN);
	else
		intake_wait(intake, INTAKE_RETRY_MS);
}

/* The principal is over his limits: a body that is accepted in part waits until he is within. For a
 * client that left nothing is kept, or leaving would cost nothing. */
static void
intake_limit(struct intake *intake)
{
	if (intake->under_way && intake->request) {
		intake_wait(intake, intake->wait_ms);
		return;
	}
	struct session_request *request = intake_take_answer(intake);
	if (request)
		session_problem_later(request, intake->wait_ms,
		    "bytes or readings with these credentials");
}

static size_t
intake_ready(struct intake *intake)
{
	if (intake->kind.format == JOURNAL_FORMAT_NONE)
		intake->kind.format = format_guess(intake);
	if (intake->kind.format == JOURNAL_FORMAT_NONE)
		return 0;
	if (intake->kind.format == JOURNAL_FORMAT_JSON)
		return intake->ended ? intake->body.len : 0;
	return lines_ready(intake);
}

/* Moves on as far as it can: appends what is ready, holds the body back or asks for more. */
static void
intake_go_on(struct intake *intake)
{
	size_t ready;
	int error = record_append(intake);
	while (!error && intake->ahead_bytes <= INTAKE_AHEAD_BYTES &&
	    (ready = intake_ready(intake)))
		error = intake_submit(intake, ready);
	if (!error && intake->kind.format != JOURNAL_FORMAT_JSON &&
	    intake->kind.format != JOURNAL_FORMAT_NONE)
		error = intake_bound_line(intake);
	if (error == -EAGAIN)
		intake_retry(intake);
	else if (error == -EDQUOT)
		intake_limit(intake);
	else if (error && error != -EBADMSG)
		intake_fail(intake, error);
	else
		intake->retries = 0;
	if (intake->request && !intake->answered && !intake->ended)
		session_pause_body(intake->request,
		    error == -EAGAIN || error == -EDQUOT ||
		    intake->ahead_bytes > INTAKE_AHEAD_BYTES);
	intake_settle(intake);
}

/* ── whose body it is ── */

/* The gateway that the body names (NULL: none); requests and failures are counted as where the head
 * names somebody. A reference, or NULL: answered. */
static struct access_principal *
intake_authenticate(struct intake *intake, const struct judge_named *named)
{
	const struct api *api = intake->al->api;
	struct span address = span_str(session_peer(intake->request));
	uint64_t now_ns = env_mono_ns(api->env);
	uint64_t late_ms = named ? access_limits_failures(api->limits, address, now_ns) : 0;
	uint64_t much_ms = 0;
	struct access_principal *principal = named && !late_ms ?
	    gate_authenticate(intake->al->access, named) : NULL;
	if (principal)
		much_ms = access_limits_take(api->limits, principal, ACCESS_RATE_REQUESTS, 1,
		    now_ns, true);
	else if (named && !late_ms && api->limits)
		access_limits_failed(api->limits, address, now_ns);
	if (principal && !much_ms)
		return principal;
	access_principal_unref(principal);
	intake_take_answer(intake);
	if (late_ms || much_ms)
		session_problem_later(intake->request, late_ms + much_ms, late_ms ?
		    "wrong credentials of this address" : "requests with these credentials");
	else
		session_problem(intake->request, 401, NULL, named ?
		    "these credentials are not valid" : "this path needs credentials: in the "
		    "head, or a gateway's in the first item");
	return NULL;
}

/* Finds the principal of a body whose head named none. Whether there is one; if not, more of the
 * body must come, or the request was answered. */
static bool
intake_identify(struct intake *intake)
{
	const struct buf *body = &intake->body;
	struct judge_named gateway;
	if (intake->principal)
		return true;
	if (intake->answered || (!intake->ended && body->len < intake->look_bytes))
		return false;
	struct span first = span_of(body->ptr, MIN(body->len, (size_t)INTAKE_NAMELESS_BYTES));
	int found = judge_first_gateway(first, &gateway);
	if (found == 0 && !intake->ended && body->len < INTAKE_NAMELESS_BYTES) {
		/* Twice as much before the next look: a body in small pieces costs no more. */
		intake->look_bytes = MIN(2 * body->len + 256, (size_t)INTAKE_NAMELESS_BYTES);
		return false;
	}
	intake->principal = intake_authenticate(intake, found > 0 ? &gateway : NULL);
	explicit_bzero(&gateway, sizeof gateway);
	if (!intake->principal)
		return false;
	gate_init(&intake->gate, intake->al, intake->principal);
	return true;
}

/* ── the route's operations ── */

void
intake_begin(struct session_request *request, const struct intake_kind *kind)
{
	struct api_loop *al = session_app(request);
	struct intake *intake = calloc(1, sizeof *intake);
	if (!intake) {
		api_no_memory(request);
		return;
	}
	struct span type = session_header(request, "Content-Type");
	num_parse_u64(session_header(request, "Content-Length"), &intake->told_bytes);
	intake->request = request;
	intake->al = al;
	intake->kind = *kind;
	intake->typed_ndjson = span_starts(type, SPAN("application/x-ndjson"));
	intake->retry.fire = retry_fire;
	intake->wait.done = intake_registered;
	list_init(&intake->wait.link);
	intake->principal = (struct access_principal *)(uintptr_t)session_principal(request);
	if (intake->principal) {
		access_principal_ref(intake->principal);
		gate_init(&intake->gate, al, intake->principal);
	}
	buf_init(&intake->body, 0);
	judge_result_init(&intake->result);
	session_set_state(request, intake);
}

/* Drops the rest of a line that is too long. */
static struct span
intake_skip(struct intake *intake, struct span bytes)
{
	const char *lf = bytes.len ? memchr(bytes.ptr, '\n', bytes.len) : NULL;
	if (!lf)
		return span_of(NULL, 0);
	intake->skipping = false;
	return span_skip(bytes, (size_t)(lf - bytes.ptr) + 1);
}

/* Room for what comes now and, as far as the head told, for the rest of a record: a buffer that
 * doubles again and again is copied as often. */
static int
intake_reserve(struct intake *intake, size_t bytes)
{
	uint64_t told = MAX(intake->told_bytes, bytes);
	struct buf *body = &intake->body;
	intake->told_bytes = told - bytes;
	if (body->cap - body->len >= bytes)
		return 0;
	return buf_reserve(body, (size_t)MAX(bytes, MIN(told, intake->al->api->chunk_bytes)));
}

void
intake_body(struct session_request *request, struct span bytes)
{
	struct intake *intake = session_state(request);
	if (!intake || intake->answered)
		return;
	if (intake->skipping)
		bytes = intake_skip(intake, bytes);
	if (intake_reserve(intake, bytes.len) || buf_append_span(&intake->body, bytes)) {
		intake_fail(intake, -ENOMEM);
		return;
	}
	if (!intake_identify(intake))
		return;
	bool whole = intake->kind.format == JOURNAL_FORMAT_NONE ||
	    intake->kind.format == JOURNAL_FORMAT_JSON;
	size_t bytes_max = session_body_bytes_max(request);
	if (whole && intake->body.len > bytes_max) {
		intake_take_answer(intake);
		session_problem(request, 413, NULL, "a JSON document may have %zu bytes; "
		    "NDJSON, a line an item, is unbounded", bytes_max);
		return;
	}
	if (intake->body.len >= intake->al->api->chunk_bytes)
		intake_go_on(intake);
}

void
intake_end(struct session_request *request, struct span whole)
{
	struct intake *intake = session_state(request);
	(void)whole;
	if (!intake || intake->answered)
		return;
	intake->ended = true;
	if (!intake_identify(intake))
		return;
	if (intake->body.len == 0 && intake->kind.format == JOURNAL_FORMAT_NONE) {
		intake_take_answer(intake);
		session_problem(request, 400, NULL, "the body is empty: send readings as JSON");
		return;
	}
	intake_go_on(intake);
}

void
intake_gone(struct session_request *request, bool broken)
{
	struct intake *intake = session_state(request);
	if (!intake)
		return;
	session_set_state(request, NULL);
	intake->request = NULL;
	if (!intake->principal)
		intake_take_answer(intake);
	if (intake->kind.format == JOURNAL_FORMAT_NONE && !intake->answered)
		intake->kind.format = format_guess(intake);
	intake->ended = true;
	if (intake->answered) {
		intake_settle(intake);
		return;
	}
	bool lines = intake->kind.format == JOURNAL_FORMAT_LINE ||
	    intake->kind.format == JOURNAL_FORMAT_NDJSON ||
	    intake->kind.format == JOURNAL_FORMAT_MESSAGES;
	struct buf *body = &intake->body;
	const char *lf = broken && lines && body->len ? memrchr(body->ptr, '\n', body->len) : NULL;
	body->len = lf ? (size_t)(lf - body->ptr) + 1 : 0;
	intake_go_on(intake);
}
