/*
 * bench_limits.c: what the machine gives to bare loops of the system calls that a server makes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "check.h"
#include "http1.h"
#include "socket.h"
#include "thread.h"

enum { BLOCK = 4096, BLOCKS = 4096, RECV_BYTES = 1 << 18 };

/* ── the disk ── */

/* A file of BLOCKS blocks that were really written. */
static int
open_written(struct bench *b, const char *name)
{
	char path[BENCH_PATH_BYTES + 32];
	static const char block[BLOCK] = {1};
	snprintf(path, sizeof(path), "%s/%s", b->home, name);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return bench_fail(b, -errno, "%s: %s", path, strerror(errno));
	for (int i = 0; i < BLOCKS; i++) {
		if (pwrite(fd, block, BLOCK, (off_t)i * BLOCK) != BLOCK) {
			close(fd);
			return bench_fail(b, -EIO, "%s: %s", path, strerror(errno));
		}
	}
	fsync(fd);
	return fd;
}

int
bench_limit_sync(struct bench *b, double *ret_per_s)
{
	static const char block[BLOCK] = {2};
	int fd = open_written(b, "limit-sync"), error = 0;
	if (fd < 0)
		return fd;
	double began = bench_seconds(b), now = began;
	unsigned count = 0;
	while (now - began < 1.0 && !error) {
		off_t at = (off_t)(count % BLOCKS) * BLOCK;
		if (pwrite(fd, block, BLOCK, at) != BLOCK || fdatasync(fd) < 0)
			error = bench_fail(b, -EIO, "fdatasync: %s", strerror(errno));
		count++;
		now = bench_seconds(b);
	}
	close(fd);
	if (!error)
		*ret_per_s = count / (now - began);
	return error;
}

struct reading {
	struct env *env;
	const char *path;
	char *block;
	uint64_t bytes;
};

static int
read_entry(void *ctx, const char *name)
{
	struct reading *r = ctx;
	char path[2 * BENCH_PATH_BYTES];
	snprintf(path, sizeof(path), "%s/%s", r->path, name);
	struct stat st;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		struct reading below = {r->env, path, r->block, 0};
		env_list_dir(r->env, path, read_entry, &below);
		r->bytes += below.bytes;
		return 0;
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;
	while (fd >= 0 && (n = read(fd, r->block, RECV_BYTES)) > 0)
		r->bytes += (uint64_t)n;
	if (fd >= 0)
		close(fd);
	return 0;
}

int
bench_limit_read(struct bench *b, const char *path, double *ret_s, uint64_t *ret_bytes)
{
	struct reading r = {.env = b->env, .path = path, .block = malloc(RECV_BYTES)};
	if (!r.block)
		return -ENOMEM;
	double began = bench_seconds(b);
	env_list_dir(b->env, path, read_entry, &r);
	*ret_s = bench_seconds(b) - began;
	*ret_bytes = r.bytes;
	free(r.block);
	return 0;
}

int
bench_limit_scan(struct bench *b, uint64_t count, double *ret_s)
{
	double *values = malloc(count * sizeof(*values));
	if (!values)
		return -ENOMEM;
	for (uint64_t i = 0; i < count; i++)
		values[i] = (double)(i & 255);
	double began = bench_seconds(b), sum = 0;
	for (uint64_t i = 0; i < count; i++)
		sum += values[i];
	*ret_s = bench_seconds(b) - began;
	free(values);
	return sum < 0 ? -EPROTO : 0;
}

/* ── a server that only receives, writes, syncs, answers ── */

struct bare {
	int fd, file;
	char *bytes;
	uint64_t offset;
	pthread_t thread;
	bool started;
};

static void
bare_block(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	check(flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0);
}

/* Body bytes still to come after a head that may be only partly there; -1: no whole head. */
static int64_t
bare_left(struct span in)
{
	struct http1_request request;
	struct http1_error why;
	size_t scanned = 0;
	ssize_t head = http1_parse_request(in, &scanned, &request, &why);
	if (head <= 0)
		return head < 0 ? INT64_MAX : -1;
	return (int64_t)request.length - (int64_t)(in.len - (size_t)head);
}

static bool
bare_store(struct bare *s, size_t len)
{
	size_t room = (size_t)BLOCK * BLOCKS - (size_t)s->offset;
	ssize_t n = pwrite(s->file, s->bytes, MIN(len, room), (off_t)s->offset);
	s->offset = (s->offset + (n > 0 ? (uint64_t)n : 0)) % ((uint64_t)BLOCK * BLOCKS);
	return n >= 0;
}

static void
bare_run(void *ctx)
{
	static const char answer[] = "HTTP/1.1 204 No Content\r\n\r\n";
	struct bare *s = ctx;
	thread_be_prompt();
	for (bool good = true; good;) {
		size_t len = 0;
		int64_t left = -1;
		while (good && left < 0) {
			ssize_t n = recv(s->fd, s->bytes + len, RECV_BYTES - len, 0);
			good = n > 0;
			len += good ? (size_t)n : 0;
			left = good ? bare_left(span_of(s->bytes, len)) : -1;
		}
		good = good && bare_store(s, len);
		while (good && left > 0) {
			ssize_t n = recv(s->fd, s->bytes, RECV_BYTES, 0);
			good = n > 0 && bare_store(s, (size_t)n);
			left -= n;
		}
		good = good && fdatasync(s->file) == 0 &&
		       send(s->fd, answer, strlen(answer), MSG_NOSIGNAL) > 0;
	}
	close(s->fd);
}

struct bench_bare {
	struct bench *bench;
	int listener, file;
	unsigned count, accepted;
	struct bare *bares;
	pthread_t thread;
	bool accepting;
	char address[64];
};

static void
bare_accept(void *ctx)
{
	struct bench_bare *s = ctx;
	for (s->accepted = 0; s->accepted < s->count; s->accepted++) {
		struct bare *bare = &s->bares[s->accepted];
		bare->fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		if (bare->fd < 0)
			return;
		bare->file = s->file;
		bare->started = thread_start(&bare->thread, "bare", bare_run, bare) == 0;
		if (!bare->started)
			close(bare->fd);
	}
}

void
bench_limit_bare_end(struct bench_bare *s)
{
	if (!s)
		return;
	if (s->accepting) {
		shutdown(s->listener, SHUT_RDWR);
		thread_join(s->thread);
	}
	for (unsigned i = 0; s->bares && i < s->count; i++) {
		if (s->bares[i].started)
			thread_join(s->bares[i].thread);
		free(s->bares[i].bytes);
	}
	free(s->bares);
	if (s->listener >= 0)
		close(s->listener);
	if (s->file >= 0)
		close(s->file);
	free(s);
}

static int
bare_open(struct bench_bare *s)
{
	s->file = open_written(s->bench, "limit-bare");
	if (s->file < 0)
		return s->file;
	s->bares = calloc(s->count, sizeof(*s->bares));
	for (unsigned i = 0; s->bares && i < s->count; i++)
		if (!(s->bares[i].bytes = malloc(RECV_BYTES)))
			return -ENOMEM;
	if (!s->bares)
		return -ENOMEM;
	s->listener = socket_listen("127.0.0.1:0", false);
	if (s->listener < 0)
		return s->listener;
	bare_block(s->listener);
	int error = socket_local_name(s->listener, s->address, sizeof(s->address));
	if (!error)
		error = thread_start(&s->thread, "accept", bare_accept, s);
	s->accepting = !error;
	return error;
}

int
bench_limit_bare_start(struct bench *b, unsigned connections, struct bench_bare **ret_bare)
{
	struct bench_bare *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = (struct bench_bare){.bench = b, .count = connections, .listener = -1, .file = -1};
	int error = bare_open(s);
	if (error)
		bench_limit_bare_end(s);
	else
		*ret_bare = s;
	return error;
}

const char *
bench_limit_bare_address(const struct bench_bare *bare)
{
	return bare->address;
}

int
bench_limit_bare(
    struct bench *b, const struct bench_load *given, struct bench_load_result *ret_result)
{
	struct bench_load load = *given;
	struct bench_bare *bare;
	int error = bench_limit_bare_start(b, (unsigned)load.connections, &bare);
	if (error)
		return error;
	load.address = bench_limit_bare_address(bare);
	/* Answers are 204 whatever the format. */
	error = bench_load_run(b, &load, ret_result);
	bench_limit_bare_end(bare);
	return error;
}

/* ── waking another thread through loopback ── */

struct wake {
	struct bench *bench;
	int fd;
	unsigned count;
	double *ms; /* when sent, then how long it took */
};

static void
wake_receive(void *ctx)
{
	struct wake *w = ctx;
	for (unsigned i = 0; i < w->count; i++) {
		double sent;
		if (recv(w->fd, &sent, sizeof(sent), MSG_WAITALL) != sizeof(sent))
			break;
		w->ms[i] = (bench_seconds(w->bench) - sent) * 1e3;
	}
}

/* Two ends of one loopback connection, both blocking. */
static int
wake_connect(int fds[2])
{
	char address[64];
	int listener = socket_listen("127.0.0.1:0", false);
	if (listener < 0)
		return listener;
	int error = socket_local_name(listener, address, sizeof(address));
	fds[0] = error ? error : socket_connect(address);
	error = fds[0] < 0 ? fds[0] : 0;
	if (!error) {
		bare_block(listener);
		fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		error = fds[1] < 0 ? -errno : 0;
		if (error)
			close(fds[0]);
		else
			bare_block(fds[0]);
	}
	close(listener);
	return error;
}

int
bench_limit_wake(
    struct bench *b, unsigned count, unsigned gap_us, double *ret_p50_ms, double *ret_p99_ms)
{
	int fds[2];
	pthread_t thread;
	struct wake w = {.bench = b, .count = count, .ms = calloc(count, sizeof(*w.ms))};
	if (!w.ms)
		return -ENOMEM;
	int error = wake_connect(fds);
	if (error)
		goto out;
	w.fd = fds[1];
	error = thread_start(&thread, "wake", wake_receive, &w);
	bool started = !error;
	for (unsigned i = 0; i < count && !error; i++) {
		double now = bench_seconds(b);
		if (send(fds[0], &now, sizeof(now), MSG_NOSIGNAL) != sizeof(now))
			error = -errno;
		usleep(gap_us);
	}
	shutdown(fds[0], SHUT_RDWR);
	if (started)
		thread_join(thread);
	close(fds[0]);
	close(fds[1]);
	bench_sort(w.ms, count);
	*ret_p50_ms = bench_quantile(w.ms, count, 0.5);
	*ret_p99_ms = bench_quantile(w.ms, count, 0.99);
out:
	free(w.ms);
	return error;
}
