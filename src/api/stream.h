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
	/* On a query worker. Returns 0 or a negative errno: before the first block left, the answer
	 * is a problem (-EIO 500, -ENOMEM 503); later the body is cut off. */
	int (*run)(void *ctx, struct stream *stream);
	/* On the loop, once, after run() or when it will never run. */
	void (*done)(void *ctx);
	void *ctx;
	const char *content_type;
};

/* Takes over the request's answer and work->ctx. From a handler, on the loop. When the queue is
 * full the answer is 503 and done() is called. */
void stream_start(struct session_request *request, const struct stream_work *work);

/* On the worker, within run(): 0, or -ECANCELED when the client left (return it). May block. */
int stream_write(struct stream *stream, struct span bytes);

/* Routes whose answers come from streams use these operations' members. */
void stream_writable(struct session_request *request);
void stream_gone(struct session_request *request, bool broken);

#endif
