/*
 * stream.h: answers that a worker makes, on their way to a client, with credit:
 * a client who reads slowly makes the worker wait, one who left makes it stop.
 */
#ifndef WEIR_STREAM_H
#define WEIR_STREAM_H

#include "api.h"
#include "buf.h"

struct stream;

struct stream_work {
	/* On a query worker, or as stream_run_now says. Returns 0 or a negative errno: before the
	 * first block left, the answer is a problem (-EIO 500, -ENOMEM 503); later the body is
	 * cut off. */
	int (*run)(void *ctx, struct stream *stream);
	/* NULL, or what a second worker can do for run(): it comes before it, beside it, after it
	 * has returned, or not at all, and must not wait. */
	void (*help)(void *ctx);
	/* On the loop, once, after both or when they will never run. */
	void (*done)(void *ctx);
	void *ctx;
	const char *content_type;
};

/* The stream that will answer this request; becomes its state. NULL: out of memory, answered. */
struct stream *stream_open(struct session_request *request);

/* Begins the work; takes work->ctx over. When the client has left done() is called at once; when
 * the queue is full also, and the answer is 503. On the loop. */
void stream_submit(struct stream *stream, const struct stream_work *work);

/* No work: the answer is a problem that fits the negative errno. On the loop. */
void stream_refuse(struct stream *stream, int error);

/* Runs the work now, on any thread, for an answer that is no more than a block; run() must not
 * wait. 0: stream_finish_now sends it, on the loop. Else nothing has happened: stream_submit. */
int stream_run_now(struct stream *stream, const struct stream_work *work);
void stream_finish_now(struct stream *stream, const struct stream_work *work);

/* Within run(): 0, or -ECANCELED when the client left (return it). May block on a worker, never
 * where the work is run now. */
int stream_write(struct stream *stream, struct span bytes);

/* Within run(): room for `bytes`, of which stream_advance says how many were written there. As
 * stream_write. */
#define STREAM_RESERVE_MAX 16384u
int stream_reserve(struct stream *stream, size_t bytes, char **ret_at);
void stream_advance(struct stream *stream, size_t bytes);

/* Within help(): whether others wait for a worker. */
bool stream_others_wait(struct stream *stream);

/* Members of the operations of routes that use streams. */
void stream_writable(struct session_request *request);
void stream_gone(struct session_request *request, bool broken);

#endif
