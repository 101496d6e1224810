/*
 * stream.c: blocks of an answer from a worker to a connection, with credit.
 *
 * Three threads' worth of care: the worker fills a block and mails it to the loop; the loop writes
 * it to the session or keeps it until the client has read; the bytes under way are counted under a
 * lock that the worker waits on. Everything but that count belongs to one side at a time.
 */
#include "stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "check.h"

#define STREAM_BLOCK_BYTES 65536u
#define STREAM_CREDIT_BYTES (1u << 20) /* made but not yet taken by the session */

struct stream_block {
	struct mail mail;
	struct stream *stream;
	struct stream_block *next;
	size_t len;
	bool last;
	int error;      /* with last: how run() ended */
	char bytes[];
};

struct stream {
	struct session_request *request; /* NULL: the client left */
	struct stream_work work;
	struct mailbox *box;
	struct workers *queries;
	struct job job, help_job;
	bool submitted;
	bool helping;                    /* help_job is not back */
	bool released;                   /* nobody needs it but the helper */
	bool now;                        /* run() may not wait, and fills one block */
	bool begun;                      /* the head of the answer left */
	bool worker_ended;               /* the last block arrived, or there is no worker */
	struct stream_block *head, **tail;
	struct stream_block *filling;    /* the worker's */

	pthread_mutex_t lock;            /* guards what follows */
	pthread_cond_t room;
	size_t under_way;
	bool cancelled;
};

static int
stream_create(struct session_request *request, struct stream **ret_stream)
{
	struct stream *stream = calloc(1, sizeof *stream);
	if (!stream)
		return -ENOMEM;
	stream->request = request;
	stream->tail = &stream->head;
	pthread_mutex_init(&stream->lock, NULL);
	pthread_cond_init(&stream->room, NULL);
	*ret_stream = stream;
	return 0;
}

static void
stream_destroy(struct stream *stream)
{
	while (stream->head) {
		struct stream_block *next = stream->head->next;
		free(stream->head);
		stream->head = next;
	}
	free(stream->filling);
	pthread_mutex_destroy(&stream->lock);
	pthread_cond_destroy(&stream->room);
	free(stream);
}

/* Nothing is to be sent any more. */
static void
stream_release(struct stream *stream)
{
	stream->released = true;
	if (!stream->helping)
		stream_destroy(stream);
}

/* What was run has ended. */
static void
stream_end_work(struct stream *stream)
{
	stream->worker_ended = true;
	if (!stream->helping && stream->work.done)
		stream->work.done(stream->work.ctx);
}

static void
credit_give(struct stream *stream, size_t bytes)
{
	pthread_mutex_lock(&stream->lock);
	stream->under_way -= bytes;
	pthread_cond_signal(&stream->room);
	pthread_mutex_unlock(&stream->lock);
}

static void
block_pop(struct stream *stream)
{
	struct stream_block *block = stream->head;
	stream->head = block->next;
	if (!stream->head)
		stream->tail = &stream->head;
	credit_give(stream, block->len);
	free(block);
}

/* The request goes its own way: what follows is its last answer. */
static struct session_request *
stream_detach(struct stream *stream)
{
	struct session_request *request = stream->request;
	stream->request = NULL;
	session_set_state(request, NULL);
	return request;
}

static void
stream_problem(struct session_request *request, int error)
{
	if (error == -ENOMEM || error == -EAGAIN)
		session_problem(request, 503, NULL, "the server is busy; try again");
	else if (error == -E2BIG)
		session_problem(request, 400, NULL,
		    "too many series match; ask for fewer by naming a metric or tags");
	else
		session_problem(request, 500, NULL, "reading the stored data failed");
}

/* Everything came before anything left: an answer with a length, or a problem. */
static void
stream_whole(struct stream *stream)
{
	struct stream_block *block = stream->head;
	struct session_request *request = stream_detach(stream);
	if (block->error)
		stream_problem(request, block->error);
	else
		session_answer(request, 200, stream->work.content_type,
		    span_of(block->bytes, block->len));
	stream_release(stream);
}

static void
stream_finish(struct stream *stream, int error)
{
	struct session_request *request = stream_detach(stream);
	if (error)
		session_answer_abort(request);
	else
		session_answer_end(request);
	stream_release(stream);
}

/* Writes what the session takes. Ends the answer after the last block. */
static void
stream_pump(struct stream *stream)
{
	while (stream->head) {
		struct stream_block *block = stream->head;
		bool last = block->last;
		int error = block->error;
		if (!stream->begun && last) {
			stream_whole(stream);
			return;
		}
		if (!stream->begun &&
		    session_answer_begin(stream->request, 200, stream->work.content_type))
			return;
		stream->begun = true;
		if (block->len && session_answer_write(stream->request,
				      span_of(block->bytes, block->len)))
			return;
		block_pop(stream);
		if (last) {
			stream_finish(stream, error);
			return;
		}
	}
}

static void
block_deliver(struct mail *mail)
{
	struct stream_block *block = CONTAINER_OF(mail, struct stream_block, mail);
	struct stream *stream = block->stream;
	block->next = NULL;
	*stream->tail = block;
	stream->tail = &block->next;
	if (block->last)
		stream_end_work(stream);
	if (stream->request)
		stream_pump(stream);
	else if (stream->worker_ended)
		stream_release(stream);
	else
		block_pop(stream);
}

/* ── the worker's side ── */

static struct stream_block *
block_create(struct stream *stream)
{
	struct stream_block *block = malloc(sizeof *block + STREAM_BLOCK_BYTES);
	if (!block)
		return NULL;
	block->stream = stream;
	block->len = 0;
	block->last = false;
	block->error = 0;
	block->mail.deliver = block_deliver;
	return block;
}

static int
block_send(struct stream *stream)
{
	struct stream_block *block = stream->filling;
	stream->filling = NULL;
	pthread_mutex_lock(&stream->lock);
	while (stream->under_way > STREAM_CREDIT_BYTES && !stream->cancelled)
		pthread_cond_wait(&stream->room, &stream->lock);
	bool cancelled = stream->cancelled;
	stream->under_way += block->len;
	pthread_mutex_unlock(&stream->lock);
	mailbox_send(stream->box, &block->mail);
	return cancelled ? -ECANCELED : 0;
}

/* A block that takes as many bytes more. */
static int
block_fill(struct stream *stream, size_t bytes)
{
	if (stream->filling && STREAM_BLOCK_BYTES - stream->filling->len < bytes) {
		int error = stream->now ? -EAGAIN : block_send(stream);
		if (error)
			return error;
	}
	if (!stream->filling)
		stream->filling = block_create(stream);
	return stream->filling ? 0 : -ENOMEM;
}

int
stream_write(struct stream *stream, struct span bytes)
{
	while (bytes.len) {
		int error = block_fill(stream, 1);
		if (error)
			return error;
		struct stream_block *block = stream->filling;
		size_t len = MIN(bytes.len, STREAM_BLOCK_BYTES - block->len);
		memcpy(block->bytes + block->len, bytes.ptr, len);
		block->len += len;
		bytes = span_skip(bytes, len);
	}
	return 0;
}

int
stream_reserve(struct stream *stream, size_t bytes, char **ret_at)
{
	check(bytes <= STREAM_RESERVE_MAX);
	int error = block_fill(stream, bytes);
	if (error == 0)
		*ret_at = stream->filling->bytes + stream->filling->len;
	return error;
}

void
stream_advance(struct stream *stream, size_t bytes)
{
	check(bytes <= STREAM_BLOCK_BYTES - stream->filling->len);
	stream->filling->len += bytes;
}

int
stream_run_now(struct stream *stream, const struct stream_work *work)
{
	stream->now = true;
	int error = work->run(work->ctx, stream);
	stream->now = false;
	if (error == 0)
		error = block_fill(stream, 0);
	if (error) {
		free(stream->filling);
		stream->filling = NULL;
	}
	return error;
}

static void
stream_run(struct job *job)
{
	struct stream *stream = CONTAINER_OF(job, struct stream, job);
	/* The last block is made first: ending must not need memory. */
	struct stream_block *last = block_create(stream);
	int error = last ? stream->work.run(stream->work.ctx, stream) : -ENOMEM;
	if (stream->filling && last) {
		free(last);
		last = NULL;
	}
	if (last)
		stream->filling = last;
	if (!stream->filling)
		return; /* not even one block: stream_ran says so */
	stream->filling->last = true;
	stream->filling->error = error;
	pthread_mutex_lock(&stream->lock);
	stream->under_way += stream->filling->len;
	pthread_mutex_unlock(&stream->lock);
}

/* The job's own mail, behind all blocks: brings the last one. */
static void
stream_ran(struct mail *mail)
{
	struct job *job = CONTAINER_OF(mail, struct job, mail);
	struct stream *stream = CONTAINER_OF(job, struct stream, job);
	struct stream_block *last = stream->filling;
	if (last) {
		stream->filling = NULL;
		block_deliver(&last->mail);
		return;
	}
	stream_end_work(stream);
	if (stream->request && stream->begun)
		session_answer_abort(stream_detach(stream));
	else if (stream->request)
		stream_problem(stream_detach(stream), -ENOMEM);
	stream_release(stream);
}

static void
stream_help(struct job *job)
{
	struct stream *stream = CONTAINER_OF(job, struct stream, help_job);
	stream->work.help(stream->work.ctx);
}

bool
stream_others_wait(struct stream *stream)
{
	return workers_waiting(stream->queries) > 0;
}

static void
stream_helped(struct mail *mail)
{
	struct job *job = CONTAINER_OF(mail, struct job, mail);
	struct stream *stream = CONTAINER_OF(job, struct stream, help_job);
	stream->helping = false;
	if (stream->worker_ended)
		stream_end_work(stream);
	if (stream->released)
		stream_destroy(stream);
}

/* ── the loop's side ── */

struct stream *
stream_open(struct session_request *request)
{
	const struct api_loop *al = session_app(request);
	struct stream *stream;
	if (stream_create(request, &stream)) {
		stream_problem(request, -ENOMEM);
		return NULL;
	}
	stream->box = al->box;
	stream->queries = al->api->queries;
	session_set_state(request, stream);
	return stream;
}

void
stream_submit(struct stream *stream, const struct stream_work *work)
{
	int error = stream->request ? 0 : -ECANCELED;
	if (!error) {
		stream->work = *work;
		stream->submitted = true;
		stream->job.reply_to = stream->box;
		stream->job.run = stream_run;
		stream->job.mail.deliver = stream_ran;
		error = workers_submit(stream->queries, &stream->job);
	}
	if (!error && work->help) {
		stream->help_job.reply_to = stream->box;
		stream->help_job.run = stream_help;
		stream->help_job.mail.deliver = stream_helped;
		stream->helping = workers_submit(stream->queries, &stream->help_job) == 0;
	}
	if (!error)
		return;
	if (work->done)
		work->done(work->ctx);
	stream_refuse(stream, error);
}

void
stream_finish_now(struct stream *stream, const struct stream_work *work)
{
	struct stream_block *last = stream->filling;
	stream->work = *work;
	stream->filling = NULL;
	stream->under_way = last->len;
	last->last = true;
	block_deliver(&last->mail);
}

void
stream_refuse(struct stream *stream, int error)
{
	if (stream->request)
		stream_problem(stream_detach(stream), error);
	stream_destroy(stream);
}

void
stream_writable(struct session_request *request)
{
	struct stream *stream = session_state(request);
	if (stream)
		stream_pump(stream);
}

void
stream_gone(struct session_request *request, bool broken)
{
	struct stream *stream = session_state(request);
	(void)broken;
	if (!stream)
		return;
	session_set_state(request, NULL);
	stream->request = NULL;
	if (!stream->submitted)
		return; /* stream_submit will see it */
	pthread_mutex_lock(&stream->lock);
	stream->cancelled = true;
	pthread_cond_signal(&stream->room);
	pthread_mutex_unlock(&stream->lock);
	if (stream->worker_ended)
		stream_release(stream);
}
