/*
 * net_out.c: queued output, and the one write a turn that takes it to the socket.
 *
 * Why it exists: the kernel is the bill. What a connection is owed in a turn, copied or by
 * reference, is gathered in blocks and leaves in one sendmsg.
 *
 * A block: entries (pieces of output) grow from the front of it, the copied bytes that some of them
 * point to grow behind the entries:
 *
 *     │ head │ entry entry entry … free … │ copied bytes … free … │
 *
 * Blocks come in two sizes and from two pools of the loop: a connection's first one is small, which
 * holds an answer or a few messages; what needs more gets large ones.
 *
 * Invariants: `owed` of the first block is the sum of all entries; entries are never empty; a
 * connection owed nothing has no block; while `blocked`, EPOLLOUT is watched and stuck_tick set.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "check.h"
#include "net_priv.h"

enum {
	SMALL_BYTES = 1024,
	SMALL_ENTRIES = 8,
	LARGE_BYTES = 8192,
	LARGE_ENTRIES = 48,
	POOL_BYTES_MAX = 256 * 1024, /* of each size, a loop */
	OUT_BYTES_SURE = 64 * 1024,  /* for each, whatever all are owed */
	WRITES_MAX = 4,              /* a turn, when more than NET_IOV_MAX pieces wait */
};

struct entry {
	const char *ptr;
	size_t len;
	void (*release)(void *ctx); /* NULL: nothing to release */
	void *ctx;
};

struct net_block {
	struct net_block *next;
	struct net_block *last; /* of its connection's; in the first one only, as is owed */
	size_t owed;
	uint16_t first, count; /* entries[first .. count) wait */
	uint16_t entries_max;
	uint16_t used, used_max; /* copied bytes */
	struct entry entries[];
};

static char *
copies_of(struct net_block *block)
{
	return (char *)&block->entries[block->entries_max];
}

static size_t
copies_max(size_t block_bytes, size_t entries)
{
	return block_bytes - sizeof(struct net_block) - entries * sizeof(struct entry);
}

/* ── blocks ── */

static struct net_block *
block_get(struct net_pool *pool, size_t bytes, size_t entries)
{
	struct net_block *block = pool->first;
	if (block) {
		pool->first = block->next;
		pool->count--;
	} else {
		block = malloc(bytes);
		if (!block)
			return NULL;
	}
	block->next = NULL;
	block->owed = 0;
	block->first = block->count = block->used = 0;
	block->entries_max = (uint16_t)entries;
	block->used_max = (uint16_t)copies_max(bytes, entries);
	return block;
}

static void
block_put(struct net *net, struct net_block *block)
{
	bool small = block->entries_max == SMALL_ENTRIES;
	struct net_pool *pool = small ? &net->small : &net->large;
	if (pool->count >= POOL_BYTES_MAX / (small ? SMALL_BYTES : LARGE_BYTES)) {
		free(block);
		return;
	}
	block->next = pool->first;
	pool->first = block;
	pool->count++;
}

static void
pool_free(struct net_pool *pool)
{
	while (pool->first) {
		struct net_block *block = pool->first;
		pool->first = block->next;
		free(block);
	}
}

void
net_out_free_pools(struct net *net)
{
	pool_free(&net->small);
	pool_free(&net->large);
}

static struct net_block *
last_block(const struct net_conn *conn)
{
	return conn->out ? conn->out->last : NULL;
}

/* Appends a block that holds one more entry and `copies` bytes. */
static struct net_block *
add_block(struct net_conn *conn, size_t copies)
{
	struct net *net = conn->net;
	struct net_block *block;

	if (!conn->out && copies <= copies_max(SMALL_BYTES, SMALL_ENTRIES))
		block = block_get(&net->small, SMALL_BYTES, SMALL_ENTRIES);
	else
		block = block_get(&net->large, LARGE_BYTES, LARGE_ENTRIES);
	if (!block)
		return NULL;
	if (conn->out)
		conn->out->last->next = block;
	else
		conn->out = block;
	conn->out->last = block;
	return block;
}

/* ── queueing ── */

void
net_out_queue_write(struct net_conn *conn)
{
	struct net *net = conn->net;

	if (conn->write_queued)
		return;
	conn->write_queued = true;
	conn->next_write = NULL;
	*net->writes_end = conn;
	net->writes_end = &conn->next_write;
	loop_task_queue(net->loop, LOOP_WRITE, &net->write_task);
}

/* Whether `len` more bytes may be queued. */
static int
admit(struct net_conn *conn, size_t len)
{
	if (conn->state != NET_OPEN)
		return -EPIPE;
	if (len > net_out_room(conn)) {
		conn->want_drained = true;
		return -EMSGSIZE;
	}
	return 0;
}

static void
queued(struct net_conn *conn, size_t len)
{
	conn->out->owed += len;
	conn->net->stats.out_queued += len;
	if (conn->out->owed > conn->net->limits.out_bytes_max / 2)
		conn->want_drained = true;
	if (!conn->blocked)
		net_out_queue_write(conn);
}

static void
add_entry(struct net_block *block, struct entry entry)
{
	block->entries[block->count++] = entry;
}

/* The last entry, if it is a copy that can grow. */
static struct entry *
last_copy(struct net_block *block)
{
	if (block->count == block->first)
		return NULL;
	struct entry *last = &block->entries[block->count - 1];
	bool copy = last->ptr + last->len == copies_of(block) + block->used && !last->release;
	return copy ? last : NULL;
}

/* Copied bytes that the block still takes. */
static size_t
copy_room(struct net_block *block)
{
	if (!block || (block->count == block->entries_max && !last_copy(block)))
		return 0;
	return (size_t)(block->used_max - block->used);
}

static void
add_copy(struct net_block *block, struct span bytes)
{
	if (bytes.len == 0)
		return;
	char *to = copies_of(block) + block->used;
	struct entry *last = last_copy(block);
	memcpy(to, bytes.ptr, bytes.len);
	block->used = (uint16_t)(block->used + bytes.len);
	if (last)
		last->len += bytes.len;
	else
		add_entry(block, (struct entry){.ptr = to, .len = bytes.len});
}

static int
send_big_copy(struct net_conn *conn, struct span bytes)
{
	char *copy = malloc(bytes.len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, bytes.ptr, bytes.len);
	int error = net_send_ref(conn, span_of(copy, bytes.len), free, copy);
	if (error)
		free(copy);
	return error;
}

int
net_send(struct net_conn *conn, struct span bytes)
{
	int error = admit(conn, bytes.len);
	if (error || bytes.len == 0)
		return error;
	struct net_block *last = last_block(conn);
	size_t here = MIN(copy_room(last), bytes.len), rest = bytes.len - here;
	if (rest > copies_max(LARGE_BYTES, LARGE_ENTRIES))
		return send_big_copy(conn, bytes);
	struct net_block *more = NULL;
	if (rest > 0 && !(more = add_block(conn, rest)))
		return -ENOMEM;
	if (here > 0)
		add_copy(last, span_of(bytes.ptr, here));
	if (more)
		add_copy(more, span_skip(bytes, here));
	queued(conn, bytes.len);
	return 0;
}

int
net_send_now(struct net_conn *conn, struct span bytes)
{
	struct net *net = conn->net;
	int error = admit(conn, bytes.len);
	if (error || bytes.len == 0)
		return error;
	if (!conn->out && !conn->blocked) {
		struct iovec piece = {(void *)(uintptr_t)bytes.ptr, bytes.len}; /* not written to */
		ssize_t sent = net->sockets.ops->sendv(net->sockets.ctx, conn->io.fd, &piece, 1);
		if (sent < 0 && sent != -EAGAIN) {
			net_conn_die(conn, NET_CLOSE_ERROR);
			return -EPIPE;
		}
		if (sent > 0) {
			net->stats.bytes_out += (uint64_t)sent;
			bytes = span_skip(bytes, (size_t)sent);
		}
	}
	return net_send(conn, bytes);
}

int
net_send_ref(struct net_conn *conn, struct span bytes, void (*release)(void *ctx), void *ctx)
{
	/* Where nothing is queued one of any length is taken: it takes no memory here. */
	int error = admit(conn, conn->out ? bytes.len : 0);
	if (error)
		return error;
	if (bytes.len == 0) {
		if (release)
			release(ctx);
		return 0;
	}
	struct net_block *block = last_block(conn);
	if ((!block || block->count == block->entries_max) && !(block = add_block(conn, 0)))
		return -ENOMEM;
	add_entry(block, (struct entry){bytes.ptr, bytes.len, release, ctx});
	queued(conn, bytes.len);
	return 0;
}

size_t
net_out_bytes(const struct net_conn *conn)
{
	return conn->out ? conn->out->owed : 0;
}

size_t
net_out_room(const struct net_conn *conn)
{
	const struct net *net = conn->net;
	size_t limit = net->limits.out_bytes_max, all = net->limits.out_all_bytes_max;
	if (all && net->stats.out_queued >= all)
		limit = MIN(limit, (size_t)OUT_BYTES_SURE);
	size_t owed = net_out_bytes(conn);
	return conn->state == NET_OPEN && limit > owed ? limit - owed : 0;
}

/* ── writing ── */

/* Takes the first entry out, and its block when that was the last in it. */
static void
pop_entry(struct net_conn *conn)
{
	struct net_block *block = conn->out;
	struct entry entry = block->entries[block->first++];

	if (block->first == block->count) {
		conn->out = block->next;
		if (conn->out) {
			conn->out->last = block->last;
			conn->out->owed = block->owed;
		}
		block_put(conn->net, block);
	}
	if (entry.release)
		entry.release(entry.ctx);
}

static void
consume(struct net_conn *conn, size_t bytes)
{
	conn->out->owed -= bytes;
	conn->net->stats.out_queued -= bytes;
	while (bytes > 0) {
		struct net_block *block = conn->out;
		struct entry *entry = &block->entries[block->first];
		if (bytes < entry->len) {
			entry->ptr += bytes;
			entry->len -= bytes;
			return;
		}
		bytes -= entry->len;
		pop_entry(conn);
	}
}

void
net_out_discard(struct net_conn *conn)
{
	conn->net->stats.out_queued -= net_out_bytes(conn);
	while (conn->out)
		pop_entry(conn);
}

/* Fills net->iov; the number of pieces, and their bytes in *ret_bytes. */
static int
gather(struct net_conn *conn, size_t *ret_bytes)
{
	struct iovec *iov = conn->net->iov;
	int count = 0;

	*ret_bytes = 0;
	for (struct net_block *block = conn->out; block; block = block->next) {
		for (unsigned i = block->first; i < block->count; i++) {
			const struct entry *entry = &block->entries[i];
			if (count == NET_IOV_MAX)
				return count;
			iov[count].iov_base = (void *)(uintptr_t)entry->ptr; /* not written to */
			iov[count].iov_len = entry->len;
			count++;
			*ret_bytes += entry->len;
		}
	}
	return count;
}

static void
set_blocked(struct net_conn *conn, bool progress)
{
	struct net *net = conn->net;

	conn->blocked = true;
	if (progress || conn->stuck_tick == NET_TICK_NONE)
		conn->stuck_tick = net_wheel_tick_at(net,
		    loop_mono_ms(net->loop) + net->limits.slow_write_ms);
	net_wheel_need(conn, conn->stuck_tick);
}

/* Writes until all is out, the socket takes no more, or it was enough for one turn. 0 or -errno. */
static int
write_out(struct net_conn *conn)
{
	struct net *net = conn->net;
	bool progress = false;

	for (int i = 0; i < WRITES_MAX && conn->out; i++) {
		size_t bytes;
		int count = gather(conn, &bytes);
		ssize_t sent = net->sockets.ops->sendv(net->sockets.ctx, conn->io.fd, net->iov,
		    count);
		if (sent < 0 && sent != -EAGAIN)
			return (int)sent;
		if (sent > 0) {
			progress = true;
			net->stats.bytes_out += (uint64_t)sent;
			consume(conn, (size_t)sent);
		}
		if (sent < 0 || (size_t)sent < bytes) {
			set_blocked(conn, progress);
			return 0;
		}
	}
	if (progress)
		conn->stuck_tick = NET_TICK_NONE;
	return 0;
}

static void
tell_drained(struct net_conn *conn)
{
	if (conn->state != NET_OPEN || !conn->want_drained ||
	    net_out_bytes(conn) >= conn->net->limits.out_bytes_max / 2)
		return;
	conn->want_drained = false;
	if (conn->ops->drained)
		conn->ops->drained(conn->ctx);
}

static void
flush(struct net_conn *conn)
{
	if (conn->state == NET_LINGER || conn->state == NET_DEAD)
		return;
	if (write_out(conn)) {
		net_conn_die(conn, NET_CLOSE_ERROR);
		return;
	}
	if (conn->out && !conn->blocked)
		net_out_queue_write(conn);
	if (conn->state == NET_FINISHING && !conn->out) {
		net_conn_linger(conn);
		return;
	}
	/* Only for output: a pause is lazy, and input is watched already. */
	if (conn->blocked != ((conn->io.events & EPOLLOUT) != 0))
		net_conn_update_watch(conn);
	tell_drained(conn);
}

void
net_write_now(struct net_conn *conn)
{
	if (conn->state != NET_OPEN || conn->blocked)
		return;
	write_out(conn); /* an error shows again in LOOP_WRITE */
	net_out_queue_write(conn);
}

void
net_out_run_writes(struct loop_task *task)
{
	struct net *net = CONTAINER_OF(task, struct net, write_task);
	struct net_conn *conn = net->writes;

	net->writes = NULL;
	net->writes_end = &net->writes;
	while (conn) {
		struct net_conn *next = conn->next_write;
		conn->write_queued = false;
		flush(conn);
		conn = next;
	}
}
