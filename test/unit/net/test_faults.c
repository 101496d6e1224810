/*
 * Conversations over sockets that shorten, refuse and break by seed: every byte arrives in its
 * place, or the connection ends with a reason; nothing leaks and nobody is forgotten.
 */
#include "net_world.h"

#include <stdio.h>

#include "net_priv.h"

enum { CLIENTS = 6, BYTES = 60000 };

struct client {
	int fd;
	size_t sent, got;
	bool over;
};

/* One step of a client: sends some, reads what is there, and compares. */
static void
client_step(struct client *c, const char *bytes, unsigned *seed)
{
	char got[4096];
	if (c->over)
		return;
	if (c->sent < BYTES) {
		size_t len = 1 + (size_t)rand_r(seed) % 3000;
		len = MIN(len, BYTES - c->sent);
		ssize_t n = send(c->fd, bytes + c->sent, len, MSG_NOSIGNAL);
		c->sent += n > 0 ? (size_t)n : 0;
	}
	ssize_t n = client_try_recv(c->fd, got, sizeof(got));
	if (n > 0) {
		assert_true(c->got + (size_t)n <= c->sent);
		assert_memory_equal(got, bytes + c->got, (size_t)n);
		c->got += (size_t)n;
	}
	c->over = c->got == BYTES || (n <= 0 && n != -EAGAIN);
}

/* The number of clients that got everything back. */
static unsigned
converse(unsigned seed, unsigned break_every, bool lines_only)
{
	struct world *w = malloc(sizeof(*w));
	assert_non_null(w);
	struct socket_env faulty = socket_faulty_create(socket_real(), seed, break_every);
	world_open(w, faulty, usual_limits);
	w->model.echo = true;
	w->model.lines_only = lines_only;
	struct client clients[CLIENTS] = {0};
	char *bytes = pattern_new(BYTES);
	bytes[BYTES - 1] = '\n';
	unsigned complete = 0, open = CLIENTS, steps = 0;
	for (int i = 0; i < CLIENTS; i++)
		clients[i].fd = client_open(w);
	while (open > 0) {
		open = 0;
		for (int i = 0; i < CLIENTS; i++) {
			client_step(&clients[i], bytes, &seed);
			open += !clients[i].over;
		}
		loop_turn(w->loop, 0);
		world_pass_ms(w, steps % 5 == 0); /* paused accepting goes on by time */
		assert_true(++steps < PUMP_MAX);
	}
	for (int i = 0; i < CLIENTS; i++) {
		complete += clients[i].got == BYTES;
		close(clients[i].fd);
	}
	for (int i = 0; i < 20; i++)
		loop_turn(w->loop, 0);
	for (unsigned i = 0; i < w->owner_count; i++)
		assert_true(!w->owners[i].closeds || w->owners[i].reason == NET_CLOSE_PEER ||
		    w->owners[i].reason == NET_CLOSE_ERROR);
	world_close(w);
	free(w);
	free(bytes);
	socket_faulty_destroy(faulty);
	return complete;
}

static void
short_and_refused_calls_lose_nothing(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 20; seed++) {
		print_message("seed %u\n", seed);
		assert_int_equal(converse(seed, 0, seed % 2), CLIENTS);
	}
}

static void
broken_connections_end_and_the_others_do_not_suffer(void **state)
{
	(void)state;
	unsigned complete = 0;
	for (unsigned seed = 1; seed <= 20; seed++) {
		print_message("seed %u\n", seed);
		complete += converse(seed, 300, seed % 2);
	}
	assert_true(complete > 0 && complete < 20 * CLIENTS); /* both happened */
}

/* ── a peer that says FIN under faults still gets all of the answer ── */

static void
half_closed_conversations_are_answered_whole_under_faults(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 20; seed++) {
		struct world *w = malloc(sizeof(*w));
		struct socket_env faulty = socket_faulty_create(socket_real(), seed, 0);
		char got[5000], *bytes = pattern_new(sizeof(got));
		assert_non_null(w);
		print_message("seed %u\n", seed);
		world_open(w, faulty, usual_limits);
		w->model.echo = true;
		int fd = client_open(w);
		client_send(w, fd, bytes, sizeof(got));
		shutdown(fd, SHUT_WR);
		client_recv(w, fd, got, sizeof(got));
		assert_memory_equal(got, bytes, sizeof(got));
		client_expect_end(w, fd);
		close(fd);
		PUMP(w, w->owners[0].closeds);
		assert_int_equal(w->owners[0].reason, NET_CLOSE_PEER);
		world_close(w);
		free(w);
		free(bytes);
		socket_faulty_destroy(faulty);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_and_refused_calls_lose_nothing),
		cmocka_unit_test(broken_connections_end_and_the_others_do_not_suffer),
		cmocka_unit_test(half_closed_conversations_are_answered_whole_under_faults),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
