/*
 * scripted_server.h: a server on loopback that plays a script: for each step it reads one request
 * whole, then writes given bytes, in pieces of a given size, and keeps or closes the connection.
 */
#ifndef WEIR_SCRIPTED_SERVER_H
#define WEIR_SCRIPTED_SERVER_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "check.h"
#include "http1.h"
#include "socket.h"
#include "thread.h"

struct scripted_step {
	const char *answer; /* NULL: none */
	size_t piece;	    /* bytes a write; 0: all at once */
	bool early;	    /* answers after the head, without reading the body, and closes */
	bool close;	    /* closes after the answer */
	bool silent;	    /* waits until the client closes */
	bool accept;	    /* the answer is a 202 that accepts each "time" of the request */
	bool forever;	    /* this step is played again and again */
};

struct scripted_server {
	int listener;
	char address[64];
	const struct scripted_step *steps;
	size_t count;
	size_t played;
	struct buf heard; /* all requests, one after another */
	pthread_t thread;
};

static inline void
scripted_set_blocking(int fd)
{
	int error = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	check(error == 0);
}

/* Whether a whole request came; false at the connection's end. */
static inline bool
scripted_read(struct scripted_server *s, int fd, bool only_head)
{
	size_t scanned = 0, from = s->heard.len;
	for (;;) {
		struct http1_request request;
		struct http1_error why;
		struct span in = span_skip(buf_span(&s->heard), from);
		ssize_t n = in.len ? http1_parse_request(in, &scanned, &request, &why) : 0;
		check(n >= 0);
		if (n > 0 && (only_head || in.len - (size_t)n >= request.length))
			return true;
		char bytes[4096];
		ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
		if (got <= 0)
			return false;
		check(buf_append(&s->heard, bytes, (size_t)got) == 0);
		/* A NUL behind it: tests look at it with the functions of string.h. */
		check(buf_append_byte(&s->heard, '\0') == 0);
		s->heard.len--;
	}
}

static inline void
scripted_write(int fd, const struct scripted_step *step)
{
	size_t len = strlen(step->answer), piece = step->piece ? step->piece : len;
	for (size_t at = 0; at < len; at += piece)
		if (send(fd, step->answer + at, MIN(piece, len - at), MSG_NOSIGNAL) < 0)
			return;
}

static inline void
scripted_accept(struct scripted_server *s, int fd, size_t from)
{
	unsigned times = 0;
	struct span request = span_skip(buf_span(&s->heard), from);
	for (; request.len >= 6; request = span_skip(request, 1))
		times += span_starts(request, SPAN("\"time\""));
	char body[100], answer[300];
	snprintf(
	    body, sizeof(body), "{\"rejected\":[],\"accepted\":%u,\"rejected_count\":0}", times);
	snprintf(answer, sizeof(answer), "HTTP/1.1 202 Accepted\r\nContent-Length: %zu\r\n\r\n%s",
	    strlen(body), body);
	scripted_write(fd, &(struct scripted_step){.answer = answer});
}

static inline void
scripted_run(void *ctx)
{
	struct scripted_server *s = ctx;
	int fd = -1;
	while (s->played < s->count) {
		const struct scripted_step *step = &s->steps[s->played];
		if (fd < 0) {
			fd = accept(s->listener, NULL, NULL);
			if (fd < 0)
				return;
		}
		size_t from = s->heard.len;
		bool whole = scripted_read(s, fd, step->early);
		if (whole) {
			s->played += !step->forever;
			if (step->answer)
				scripted_write(fd, step);
			if (step->accept)
				scripted_accept(s, fd, from);
			char byte;
			while (step->silent && recv(fd, &byte, 1, 0) > 0)
				;
		}
		if (!whole || step->close || step->early || step->silent) {
			close(fd);
			fd = -1;
		}
	}
	if (fd >= 0)
		close(fd);
}

static inline void
scripted_start(struct scripted_server *s, const struct scripted_step *steps, size_t count)
{
	*s = (struct scripted_server){.steps = steps, .count = count};
	buf_init(&s->heard, 0);
	s->listener = socket_listen("127.0.0.1:0", false);
	check(s->listener >= 0);
	scripted_set_blocking(s->listener);
	check(socket_local_name(s->listener, s->address, sizeof(s->address)) == 0);
	check(thread_start(&s->thread, "script", scripted_run, s) == 0);
}

/* Ends the script wherever it is. */
static inline void
scripted_finish(struct scripted_server *s)
{
	shutdown(s->listener, SHUT_RDWR);
	thread_join(s->thread);
	close(s->listener);
	buf_finish(&s->heard);
}

#endif
