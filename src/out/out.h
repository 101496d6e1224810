/*
 * out.h: requests that the server makes itself: to an application that is asked, to a receiver of
 * notices. HTTP/1.1 by libcurl, many at once, on one thread of its own.
 *
 * A call is given with out_send and comes back by mail, answered or failed, exactly once. Calls
 * under way and calls that wait are bounded; beyond that -EAGAIN. Connections are kept. Redirects
 * are not followed, proxies of the environment are not used, cookies are not kept, only http and
 * https are spoken, certificates are checked. The thread sleeps while there is nothing to do.
 *
 * Who uses this calls curl_global_init once in the process, before out_create.
 */
#ifndef WEIR_OUT_H
#define WEIR_OUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "env.h"
#include "list.h"
#include "loop.h"
#include "mail.h"
#include "span.h"

struct out;

struct out_options {
	struct env *env;
	unsigned under_way_max;  /* calls at once, each on a connection of its own */
	unsigned waiting_max;    /* calls that wait for one of these */
};

#define OUT_WHY_BYTES 256

/* The caller's, with all that it points to, until it is delivered. */
struct out_call {
	struct mail mail;            /* deliver(&call->mail) is called at reply_to */
	struct mailbox *reply_to;
	const char *method;          /* "POST" */
	const char *url;             /* one that out_url_check likes */
	const char *const *headers;  /* "Name: value", without CR and LF; see out_header_check */
	size_t header_count;
	struct span body;            /* ptr NULL: none */
	unsigned timeout_ms;         /* from the moment it is given, waiting included; not 0 */
	size_t answer_bytes_max;     /* longer ones fail */

	/* What became of it. On failure the rest is empty, but for `why`, a piece of a sentence:
	 * -ETIMEDOUT; -ECONNREFUSED, -EHOSTUNREACH: nobody is there; -ECONNRESET: it broke off;
	 * -EMSGSIZE: the answer is too long; -EBADMSG: it is none; -ECANCELED: out_stop, out_drop;
	 * -ENOMEM; -EPROTO: TLS. */
	int error;
	unsigned status;
	struct buf answer;           /* to be finished by the caller */
	bool delimited;              /* the answer said where it ends: all of it is here */
	char why[OUT_WHY_BYTES];

	/* The room's. */
	struct out *out;
	void (*deliver)(struct mail *mail); /* the caller's, while the mail goes our way */
	void *easy, *lines;          /* curl's */
	struct list link;
	struct loop_timer timer;
	size_t head_bytes;
	atomic_bool dropped;
};

/* Whether this is an absolute http or https address without user and password; else *ret_reason
 * is what is wrong with it. Any thread. */
bool out_url_check(const char *url, const char **ret_reason);

/* Whether a header of this name may be given with a call: a token (RFC 9110) that is not about the
 * connection or the body. */
bool out_header_check(struct span name);

/* No thread yet. 0, -ENOMEM, -EMFILE. */
int out_create(const struct out_options *options, struct out **ret_out);

/* The descriptor that wakes the thread: whoever calls out_send from a thread with a table of
 * descriptors of its own (process_own_files) must have it in there. */
int out_wake_fd(const struct out *out);

/* Starts the thread, in the caller's table of descriptors. 0 or -errno. */
int out_start(struct out *out);

/* Any thread, between out_start and out_stop. 0, or -EAGAIN: too many calls. */
int out_send(struct out *out, struct out_call *call);

/* Any thread, before it is delivered: nobody wants the answer any more. If it was not sent yet it
 * will not be. It is delivered all the same. */
void out_drop(struct out_call *call);

/* Calls that have not come back; any thread. */
unsigned out_count(const struct out *out);

/* What is under way fails; returns when the thread has ended. Harmless when there is none. */
void out_stop(struct out *out);
void out_destroy(struct out *out); /* NULL allowed; stopped */

#endif
