/*
 * datagrams.c: line protocol by UDP.
 *
 * What one turn finds in the socket becomes one body, a line end between two datagrams, and one
 * record. Nothing here waits: while the node has no room for a record, or DATAGRAMS_AHEAD_BYTES are
 * on their way to the disk, the socket is not read, its buffer in the kernel fills, and what comes
 * then is lost and counted there. So memory is bounded whatever comes.
 */
#include "datagrams.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "api_priv.h"
#include "check.h"
#include "intake.h"
#include "socket.h"

#define DATAGRAMS_GATHER_MAX 256u            /* in one record */
#define DATAGRAMS_AHEAD_BYTES (1u << 20)
#define DATAGRAMS_RETRY_MS 2                 /* while the node is full */
#define DATAGRAMS_BROKEN_MS 100              /* after a read that failed */
#define DATAGRAMS_KEY_MS 1000                /* between two looks for a key that is missing */
#define DATAGRAMS_WARN_MS 10000

enum warning { WARN_LINE, WARN_DROP, WARN_COUNT };

/* Where a datagram begins in the body. */
struct place {
	size_t off;
	struct sockaddr_storage peer;
};

struct sent {
	struct flow_ticket ticket;
	struct datagrams *datagrams;
	size_t bytes, count; /* of the body; datagrams in it */
	uint64_t lines;      /* accepted */
};

struct datagrams {
	struct datagrams_options options;
	struct loop_io io;
	struct loop_timer retry;
	bool reading;                   /* between start and stop */
	struct access_principal *principal; /* NULL: not found yet, or gone */
	uint64_t look_at_ms;
	struct buf body;                /* gathered in this turn */
	struct place places[DATAGRAMS_GATHER_MAX];
	size_t place_count;
	struct judge_result result;
	struct sent *pending;           /* the node has no room for it yet */
	size_t ahead_bytes;             /* appended, not yet durable */
	uint64_t warn_at_ms[WARN_COUNT];
	struct datagrams_stats stats;
	struct socket_datagram received[SOCKET_DATAGRAMS_MAX];
	char bytes[SOCKET_DATAGRAMS_MAX * SOCKET_DATAGRAM_BYTES];
};

/* Whether this may be said now. */
static bool
warn_due(struct datagrams *datagrams, enum warning what)
{
	uint64_t now_ms = loop_mono_ms(datagrams->options.al->loop);
	if (now_ms < datagrams->warn_at_ms[what])
		return false;
	datagrams->warn_at_ms[what] = now_ms + DATAGRAMS_WARN_MS;
	return true;
}

static void
datagrams_drop(struct datagrams *datagrams, enum datagrams_drop why, size_t count)
{
	static const char *const reasons[DATAGRAMS_DROP_COUNT] = {
		[DATAGRAMS_FULL] = "",
		[DATAGRAMS_KEY] = "no key of this name or id may write",
		[DATAGRAMS_LIMIT] = "the key is over its limits",
		[DATAGRAMS_FAILED] = "they could not be stored",
	};
	char what[256];
	datagrams->stats.dropped[why] += count;
	if (count == 0 || !warn_due(datagrams, WARN_DROP))
		return;
	snprintf(what, sizeof what, "%s (key %.64s)", reasons[why], datagrams->options.key);
	datagrams->options.warn(datagrams->options.ctx, "udp_dropped", NULL, what);
}

/* ── records on their way ── */

static void
sent_destroy(struct sent *sent)
{
	if (!sent)
		return;
	journal_record_unref(sent->ticket.record);
	free(sent);
}

/* Reads as long as there is room for what is read. */
static void
datagrams_settle(struct datagrams *datagrams)
{
	bool read = datagrams->reading && !datagrams->pending &&
	    datagrams->ahead_bytes <= DATAGRAMS_AHEAD_BYTES;
	if (loop_watch(datagrams->options.al->loop, &datagrams->io, read ? EPOLLIN : 0))
		datagrams->options.warn(datagrams->options.ctx, "udp_broken", NULL,
		    "the socket cannot be watched");
}

static void
datagrams_wait(struct datagrams *datagrams, uint64_t wait_ms)
{
	struct loop *loop = datagrams->options.al->loop;
	loop_watch(loop, &datagrams->io, 0);
	if (!loop_timer_set(loop, &datagrams->retry, loop_mono_ms(loop) + wait_ms))
		return;
	size_t lost = datagrams->pending ? datagrams->pending->count : 0;
	sent_destroy(datagrams->pending);
	datagrams->pending = NULL;
	datagrams_drop(datagrams, DATAGRAMS_FAILED, lost);
	datagrams_settle(datagrams);
}

static void
sent_append(struct datagrams *datagrams, struct sent *sent)
{
	datagrams->pending = sent;
	if (flow_append(datagrams->options.al->flow, &sent->ticket)) {
		datagrams_wait(datagrams, DATAGRAMS_RETRY_MS);
		return;
	}
	datagrams->pending = NULL;
	datagrams->ahead_bytes += sent->bytes;
}

static void
retry_fire(struct loop_timer *timer)
{
	struct datagrams *datagrams = CONTAINER_OF(timer, struct datagrams, retry);
	if (datagrams->pending)
		sent_append(datagrams, datagrams->pending);
	datagrams_settle(datagrams);
}

static void
sent_done(struct flow_ticket *ticket, int error)
{
	struct sent *sent = CONTAINER_OF(ticket, struct sent, ticket);
	struct datagrams *datagrams = sent->datagrams;
	datagrams->ahead_bytes -= sent->bytes;
	if (error)
		datagrams_drop(datagrams, DATAGRAMS_FAILED, sent->count);
	else
		datagrams->stats.accepted += sent->lines;
	free(sent);
	datagrams_settle(datagrams);
}

/* ── judging ── */

/* Whose they are; NULL: nobody's. */
static struct access_principal *
principal_find(struct datagrams *datagrams)
{
	const struct api_loop *al = datagrams->options.al;
	struct access_principal *found = datagrams->principal;
	if (found && !found->revoked)
		return found;
	access_principal_unref(found);
	datagrams->principal = NULL;
	if (!found && loop_mono_ms(al->loop) < datagrams->look_at_ms)
		return NULL;
	datagrams->look_at_ms = loop_mono_ms(al->loop) + DATAGRAMS_KEY_MS;
	found = access_key_find(al->access, span_str(datagrams->options.key));
	if (found && (found->rights & ACCESS_WRITE))
		datagrams->principal = found;
	else
		access_principal_unref(found);
	return datagrams->principal;
}

/* false: it is over the limit, and what was gathered is dropped. */
static bool
limit_take(struct datagrams *datagrams, enum access_rate_of of, uint64_t amount)
{
	const struct api *api = datagrams->options.al->api;
	if (!access_limits_take(api->limits, datagrams->principal, of, amount,
	    env_mono_ns(api->env), true))
		return true;
	datagrams_drop(datagrams, DATAGRAMS_LIMIT, datagrams->place_count);
	return false;
}

/* Tells of the first bad line: whose, and which one of its datagram. */
static void
rejected_warn(struct datagrams *datagrams)
{
	const struct judge_detail *detail = datagrams->result.details;
	const char *at = datagrams->body.ptr, *end = at + datagrams->body.len;
	char peer[64], what[320];
	size_t of = 0;
	uint64_t line = 1;
	if (datagrams->result.detail_count == 0 || !warn_due(datagrams, WARN_LINE))
		return;
	for (uint64_t item = 0; item < detail->item && at < end; item++) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		at = lf ? lf + 1 : end;
		line++;
		while (of + 1 < datagrams->place_count &&
		    datagrams->places[of + 1].off <= (size_t)(at - datagrams->body.ptr)) {
			of++;
			line = 1;
		}
	}
	socket_peer_name(&datagrams->places[of].peer, peer, sizeof peer);
	snprintf(what, sizeof what, "line %llu, column %u: %s: %s", (unsigned long long)line,
	    detail->column, detail->word ? detail->word : verdict_word(detail->code),
	    detail->text);
	datagrams->options.warn(datagrams->options.ctx, "udp_rejected", peer, what);
}

/* What was judged becomes a record. */
static void
record_send(struct datagrams *datagrams, struct judge_body *body)
{
	struct sent *sent = calloc(1, sizeof *sent);
	char *shrunk = realloc(datagrams->body.ptr, datagrams->body.len);
	if (shrunk) {
		datagrams->body.ptr = body->bytes = shrunk;
		datagrams->body.cap = body->len;
	}
	int error = sent ? intake_record(datagrams->principal, body, &datagrams->result,
	    &sent->ticket.record) : -ENOMEM;
	if (error) {
		free(sent);
		datagrams_drop(datagrams, DATAGRAMS_FAILED, datagrams->place_count);
		return;
	}
	buf_init(&datagrams->body, 0);
	sent->datagrams = datagrams;
	sent->bytes = body->len;
	sent->count = datagrams->place_count;
	sent->lines = datagrams->result.accepted;
	sent->ticket.done = sent_done;
	sent_append(datagrams, sent);
}

/* What was gathered is judged and sent on its way. */
static void
gathered_take(struct datagrams *datagrams)
{
	const struct api_loop *al = datagrams->options.al;
	struct judge_result *result = &datagrams->result;
	if (!principal_find(datagrams)) {
		datagrams_drop(datagrams, DATAGRAMS_KEY, datagrams->place_count);
		return;
	}
	struct judge_body body = {
		.format = JOURNAL_FORMAT_LINE,
		.tenant = datagrams->principal->tenant,
		.principal = datagrams->principal->name,
		.arrival_ms = loop_now_ms(al->loop),
		.precision = datagrams->options.precision,
		.bytes = datagrams->body.ptr,
		.len = datagrams->body.len,
	};
	if (!limit_take(datagrams, ACCESS_RATE_REQUESTS, datagrams->place_count) ||
	    !limit_take(datagrams, ACCESS_RATE_BYTES, body.len))
		return;
	if (judge_run(flow_judge(al->flow), &body, result, NULL, 0)) {
		datagrams_drop(datagrams, DATAGRAMS_FAILED, datagrams->place_count);
		return;
	}
	datagrams->stats.rejected += result->rejected;
	rejected_warn(datagrams);
	if (result->accepted && limit_take(datagrams, ACCESS_RATE_READINGS, result->accepted))
		record_send(datagrams, &body);
}

/* ── reading ── */

/* A datagram joins the body. 0 or -ENOMEM. */
static int
datagram_join(struct datagrams *datagrams, struct span bytes, const struct sockaddr_storage *peer)
{
	struct buf *body = &datagrams->body;
	bool broken = body->len && body->ptr[body->len - 1] != '\n';
	datagrams->stats.received++;
	datagrams->stats.bytes += bytes.len;
	if (bytes.len == 0)
		return 0;
	int error = buf_reserve(body, bytes.len + broken);
	if (error)
		return error;
	if (broken)
		body->ptr[body->len++] = '\n';
	datagrams->places[datagrams->place_count++] = (struct place){body->len, *peer};
	return buf_append_span(body, bytes);
}

/* Reads what is there, as much as one record may hold. 0, -EAGAIN: there is no more, or why not. */
static int
datagrams_gather(struct datagrams *datagrams)
{
	size_t bytes_max = datagrams->options.al->api->chunk_bytes;
	int error = 0;
	while (!error && datagrams->body.len < bytes_max &&
	    datagrams->place_count + SOCKET_DATAGRAMS_MAX <= DATAGRAMS_GATHER_MAX) {
		int count = socket_receive_datagrams(datagrams->io.fd, datagrams->bytes,
		    datagrams->received);
		error = MIN(count, 0);
		for (int i = 0; i < count; i++) {
			const struct socket_datagram *one = &datagrams->received[i];
			struct span bytes = span_of(datagrams->bytes +
			    (size_t)i * SOCKET_DATAGRAM_BYTES, one->len);
			if (datagram_join(datagrams, bytes, &one->peer))
				datagrams_drop(datagrams, DATAGRAMS_FAILED, 1);
		}
		if (count >= 0 && count < SOCKET_DATAGRAMS_MAX)
			error = -EAGAIN;
	}
	return error;
}

static void
io_ready(struct loop_io *io, uint32_t events)
{
	struct datagrams *datagrams = CONTAINER_OF(io, struct datagrams, io);
	(void)events;
	int error = datagrams_gather(datagrams);
	if (datagrams->body.len)
		gathered_take(datagrams);
	judge_result_reset(&datagrams->result);
	buf_clear(&datagrams->body);
	datagrams->place_count = 0;
	if (error && error != -EAGAIN)
		datagrams_wait(datagrams, DATAGRAMS_BROKEN_MS);
	else
		datagrams_settle(datagrams);
}

/* ── from outside ── */

int
datagrams_create(const struct datagrams_options *options, struct datagrams **ret_datagrams)
{
	struct datagrams *datagrams = calloc(1, sizeof *datagrams);
	if (!datagrams)
		return -ENOMEM;
	datagrams->options = *options;
	datagrams->io = (struct loop_io){.ready = io_ready, .fd = options->fd};
	datagrams->retry.fire = retry_fire;
	buf_init(&datagrams->body, 0);
	judge_result_init(&datagrams->result);
	*ret_datagrams = datagrams;
	return 0;
}

int
datagrams_fd(const struct datagrams *datagrams)
{
	return datagrams ? datagrams->io.fd : -1;
}

void
datagrams_destroy(struct datagrams *datagrams)
{
	if (!datagrams)
		return;
	datagrams_stop(datagrams);
	loop_timer_cancel(datagrams->options.al->loop, &datagrams->retry);
	sent_destroy(datagrams->pending);
	judge_result_finish(&datagrams->result);
	buf_finish(&datagrams->body);
	access_principal_unref(datagrams->principal);
	close(datagrams->io.fd);
	free(datagrams);
}

void
datagrams_start(struct datagrams *datagrams)
{
	if (!datagrams)
		return;
	datagrams->reading = true;
	datagrams_settle(datagrams);
}

void
datagrams_stop(struct datagrams *datagrams)
{
	if (!datagrams)
		return;
	datagrams->reading = false;
	datagrams_settle(datagrams);
}

bool
datagrams_waiting(const struct datagrams *datagrams)
{
	return datagrams && datagrams->pending;
}

void
datagrams_stats(const struct datagrams *datagrams, struct datagrams_stats *ret_stats)
{
	*ret_stats = datagrams->stats;
	ret_stats->dropped[DATAGRAMS_FULL] = socket_datagrams_lost(datagrams->io.fd);
}
