/*
 * socket_faulty.c: a network that behaves badly by seed, in front of another table.
 *
 * It only does what a real network may do: hands over fewer bytes than asked for, answers that
 * nothing is there yet though something is, breaks a connection. It invents no bytes and loses
 * none, except those behind a break. An -EAGAIN is made up at most twice in a row, so that who
 * asks again gets on.
 */
#include "socket.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "prng.h"

enum { AGAIN_IN_A_ROW_MAX = 2, IOV_SENT_MAX = 16 };

struct faulty {
	struct socket_env below;
	struct prng random;
	unsigned break_every;
	unsigned again_count; /* made up in a row */
};

/* One call in four is answered with -EAGAIN. */
static bool
refuses(struct faulty *f)
{
	if (f->again_count == AGAIN_IN_A_ROW_MAX || prng_below(&f->random, 4) > 0) {
		f->again_count = 0;
		return false;
	}
	f->again_count++;
	return true;
}

static bool
breaks(struct faulty *f)
{
	return f->break_every > 0 && prng_below(&f->random, f->break_every) == 0;
}

/* Half of the calls do less than `len`, often very little. */
static size_t
shorten(struct faulty *f, size_t len)
{
	if (len < 2 || prng_below(&f->random, 2) == 0)
		return len;
	size_t bound = prng_below(&f->random, 2) ? len : MIN(len, (size_t)8);
	return 1 + (size_t)prng_below(&f->random, bound);
}

static int
faulty_accept(void *ctx, int listener, struct sockaddr_storage *ret_peer)
{
	struct faulty *f = ctx;
	if (refuses(f))
		return -EAGAIN;
	return f->below.ops->accept(f->below.ctx, listener, ret_peer);
}

static ssize_t
faulty_recv(void *ctx, int fd, void *ret_bytes, size_t len)
{
	struct faulty *f = ctx;
	if (breaks(f))
		return -ECONNRESET;
	if (refuses(f))
		return -EAGAIN;
	return f->below.ops->recv(f->below.ctx, fd, ret_bytes, shorten(f, len));
}

static ssize_t
faulty_sendv(void *ctx, int fd, const struct iovec *iov, int count)
{
	struct faulty *f = ctx;
	struct iovec part[IOV_SENT_MAX];
	size_t len = 0;
	if (breaks(f))
		return -ECONNRESET;
	if (refuses(f))
		return -EAGAIN;
	count = MIN(count, IOV_SENT_MAX);
	for (int i = 0; i < count; i++)
		len += iov[i].iov_len;
	len = shorten(f, len);
	for (int i = 0; i < count; i++) {
		part[i].iov_base = iov[i].iov_base;
		part[i].iov_len = MIN(iov[i].iov_len, len);
		len -= part[i].iov_len;
	}
	return f->below.ops->sendv(f->below.ctx, fd, part, count);
}

static const struct socket_ops faulty_ops = {
    .accept = faulty_accept,
    .recv = faulty_recv,
    .sendv = faulty_sendv,
};

struct socket_env
socket_faulty_create(struct socket_env below, uint64_t seed, unsigned break_every)
{
	struct faulty *f = malloc(sizeof(*f));
	if (!f)
		return (struct socket_env){NULL, NULL};
	*f = (struct faulty){.below = below, .random = {seed}, .break_every = break_every};
	return (struct socket_env){&faulty_ops, f};
}

void
socket_faulty_destroy(struct socket_env faulty)
{
	free(faulty.ctx);
}
