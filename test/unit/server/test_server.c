/*
 * test_server.c: whole servers in one process, talked to over their own ports.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "http_client.h"
#include "process.h"
#include "server.h"

#define SERVERS 5
#define KEY "a-key-of-the-test"

struct world {
	struct env *env;
	struct log log;
	struct settings settings;
	char top[32], dirs[SERVERS][48], reason[SERVER_REASON_BYTES];
	struct server *servers[SERVERS];
	int null_fd;
};

static int
setup(void **state)
{
	struct world *world = test_calloc(1, sizeof *world);
	strcpy(world->top, "/tmp/weir-server-XXXXXX");
	assert_non_null(mkdtemp(world->top));
	for (unsigned i = 0; i < SERVERS; i++)
		snprintf(world->dirs[i], sizeof world->dirs[i], "%s/%u", world->top, i);
	world->env = env_create();
	world->null_fd = open("/dev/null", O_WRONLY);
	log_init(&world->log, world->env, world->null_fd);
	settings_init(&world->settings);
	world->settings.net.loops = 2;
	world->settings.journal.segment_bytes = 1 << 20;
	*state = world;
	return 0;
}

static int remove_dir(struct env *env, const char *dir);

struct removal {
	struct env *env;
	const char *dir;
};

static int
remove_each(void *ctx, const char *name)
{
	struct removal *removal = ctx;
	char path[256];
	struct stat st;
	snprintf(path, sizeof path, "%s/%s", removal->dir, name);
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		remove_dir(removal->env, path);
	else
		unlink(path);
	return 0;
}

static int
remove_dir(struct env *env, const char *dir)
{
	struct removal removal = {env, dir};
	env_list_dir(env, dir, remove_each, &removal);
	return rmdir(dir);
}

static int
teardown(void **state)
{
	struct world *world = *state;
	for (unsigned i = 0; i < SERVERS; i++)
		server_stop(world->servers[i]);
	remove_dir(world->env, world->top);
	env_destroy(world->env);
	close(world->null_fd);
	test_free(world);
	return 0;
}

static int
start_on(struct world *world, unsigned index, const char *url)
{
	struct server_options options = {
	    .data = world->dirs[index],
	    .listen = &url,
	    .listen_count = 1,
	    .settings = &world->settings,
	    .env = world->env,
	    .log = &world->log,
	    .demo_key = KEY,
	};
	return server_start(&options, &world->servers[index], world->reason);
}

static void
start(struct world *world, unsigned index)
{
	if (start_on(world, index, "http://127.0.0.1:0"))
		fail_msg("%s", world->reason);
	while (!server_is_ready(world->servers[index]))
		nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static struct http_client *
connect_to(struct world *world, unsigned index)
{
	struct http_client *client;
	struct http_client_options options = {
	    .address = server_address(world->servers[index], 0),
	    .authorization = "Bearer " KEY,
	};
	assert_int_equal(http_client_create(&options, &client), 0);
	return client;
}

static unsigned
call(struct http_client *client, const char *method, const char *target, const char *body,
    struct http_client_reply *ret_reply)
{
	assert_int_equal(
	    http_client_call(client, method, target, NULL, span_str(body), ret_reply), 0);
	return ret_reply->status;
}

static bool
holds(struct span text, const char *words)
{
	return memmem(text.ptr, text.len, words, strlen(words)) != NULL;
}

static void
five_servers_live_in_one_process(void **state)
{
	struct world *world = *state;
	struct http_client_reply reply;
	for (unsigned i = 0; i < SERVERS; i++)
		start(world, i);
	for (unsigned i = 0; i < SERVERS; i++) {
		char line[64];
		struct http_client *client = connect_to(world, i);
		snprintf(line, sizeof line, "five,device=d%u v=%u 1000000000", i, i);
		assert_int_equal(call(client, "POST", "/write", line, &reply), 204);
		http_client_destroy(client);
	}
	for (unsigned i = 0; i < SERVERS; i++) {
		char own[32], other[32];
		struct http_client *client = connect_to(world, i);
		snprintf(own, sizeof own, "\"d%u\"", i);
		snprintf(other, sizeof other, "\"d%u\"", (i + 1) % SERVERS);
		assert_int_equal(
		    call(client, "GET", "/api/v1/latest?metric=five.v", "", &reply), 200);
		assert_true(holds(reply.body, own));
		assert_false(holds(reply.body, other));
		http_client_destroy(client);
	}
}

static void
what_was_written_is_there_after_a_stop(void **state)
{
	struct world *world = *state;
	struct http_client_reply reply;
	for (unsigned round = 0; round < 3; round++) {
		char line[64];
		start(world, 0);
		struct http_client *client = connect_to(world, 0);
		snprintf(line, sizeof line, "kept,device=d v=%u %u000000000", round, round + 1);
		assert_int_equal(call(client, "POST", "/write", line, &reply), 204);
		assert_int_equal(
		    call(client, "GET", "/api/v1/query?metric=kept.v&from=0&to=10000", "", &reply),
		    200);
		assert_true(holds(reply.body, "[1000,0]"));
		snprintf(line, sizeof line, "[%u000,%u]", round + 1, round);
		assert_true(holds(reply.body, line));
		http_client_destroy(client);
		assert_int_equal(server_stop(world->servers[0]), 0);
		world->servers[0] = NULL;
	}
}

static void
a_stop_right_after_the_start_is_clean(void **state)
{
	struct world *world = *state;
	for (unsigned round = 0; round < 5; round++) {
		assert_int_equal(start_on(world, 0, "http://127.0.0.1:0"), 0);
		assert_int_equal(server_stop(world->servers[0]), 0);
		world->servers[0] = NULL;
	}
}

static void
a_taken_port_is_refused_also_by_another_weir(void **state)
{
	struct world *world = *state;
	start(world, 0);
	const char *url = server_address(world->servers[0], 0);
	assert_int_equal(start_on(world, 1, url), -EADDRINUSE);
	assert_non_null(strstr(world->reason, url));
	assert_non_null(strstr(world->reason, "--listen"));
	/* What had begun was undone: the directory is free again. */
	start(world, 1);
}

static void
addresses_that_are_none_are_refused(void **state)
{
	struct world *world = *state;
	static const char *const bad[] = {"", "http://", "127.0.0.1:1", "ftp://127.0.0.1:1",
	    "http://127.0.0.1:99999", "http://127.0.0.1:x", "unix:", "https://127.0.0.1:1"};
	bool loopback;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_false(server_address_check(bad[i], &loopback));
		assert_int_equal(start_on(world, 0, bad[i]), -EINVAL);
	}
	assert_int_equal(start_on(world, 0, "http://example.invalid:1"), -EINVAL);
}

static void
loopback_is_told_from_the_rest(void **state)
{
	(void)state;
	static const struct {
		const char *url;
		bool loopback;
	} urls[] = {{"http://127.0.0.1:80", true}, {"http://127.1.2.3:80/", true},
	    {"http://[::1]:80", true}, {"http://localhost:80", true}, {"unix:/tmp/a", true},
	    {"http://0.0.0.0:80", false}, {"http://[::]:80", false}, {"http://10.0.0.1", false}};
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		bool loopback = !urls[i].loopback;
		assert_true(server_address_check(urls[i].url, &loopback));
		assert_int_equal(loopback, urls[i].loopback);
	}
}

static void
other_partitions_than_the_directory_has_are_refused(void **state)
{
	struct world *world = *state;
	start(world, 0);
	server_stop(world->servers[0]);
	world->servers[0] = NULL;
	world->settings.series.partitions = 3;
	assert_int_equal(start_on(world, 0, "http://127.0.0.1:0"), -EINVAL);
	assert_non_null(strstr(world->reason, "series.partitions"));
}

/* One request on the administrator's socket. */
static unsigned
ask_admin(
    struct world *world, const char *method, const char *target, const char *body, char *ret_key)
{
	char address[128];
	struct http_client *client;
	struct http_client_reply reply;
	snprintf(address, sizeof address, "unix:%s/admin.sock", world->dirs[0]);
	struct http_client_options options = {.address = address};
	assert_int_equal(http_client_create(&options, &client), 0);
	unsigned status = call(client, method, target, body, &reply);
	const char *at = ret_key ? memmem(reply.body.ptr, reply.body.len, "\"key\":\"", 7) : NULL;
	if (at)
		snprintf(ret_key, 128, "Bearer %.43s", at + 7);
	http_client_destroy(client);
	return status;
}

static unsigned
status_with(struct world *world, const char *authorization)
{
	struct http_client *client;
	struct http_client_reply reply;
	struct http_client_options options = {
	    .address = server_address(world->servers[0], 0), .authorization = authorization};
	assert_int_equal(http_client_create(&options, &client), 0);
	unsigned status = call(client, "GET", "/api/v1/latest?metric=x", "", &reply);
	http_client_destroy(client);
	return status;
}

static void
keys_come_and_go_on_every_loop_and_outlive_a_restart(void **state)
{
	struct world *world = *state;
	char key[128];
	start(world, 0);
	assert_int_equal(ask_admin(world, "POST", "/api/v1/admin/keys",
			     "{\"name\":\"k\",\"rights\":[\"read\"]}", key),
	    201);
	/* New connections go to either loop. */
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(status_with(world, key), 200);
	server_stop(world->servers[0]);
	start(world, 0);
	assert_int_equal(status_with(world, key), 200);
	assert_int_equal(ask_admin(world, "DELETE", "/api/v1/admin/keys/k", "", NULL), 204);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(status_with(world, key), 401);
}

static void
a_reload_changes_what_is_live(void **state)
{
	struct world *world = *state;
	struct http_client_reply reply;
	start(world, 0);
	struct http_client *client = connect_to(world, 0);
	char body[3000];
	memset(body, ' ', sizeof body);
	body[sizeof body - 1] = '\0';
	assert_int_equal(call(client, "POST", "/api/v1/readings", body, &reply), 400);
	world->settings.http.body_bytes_max = 2000;
	world->settings.net.loops = 1; /* needs a restart: told, not done */
	server_reload(world->servers[0], &world->settings);
	while (call(client, "POST", "/api/v1/readings", body, &reply) != 413)
		assert_int_equal(reply.status, 400);
	http_client_destroy(client);
}

static void
metrics_are_of_all_loops_together(void **state)
{
	struct world *world = *state;
	struct http_client_reply reply;
	start(world, 0);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(status_with(world, "Bearer " KEY), 200);
	struct http_client *client = connect_to(world, 0);
	assert_int_equal(call(client, "GET", "/metrics", "", &reply), 200);
	assert_true(holds(reply.body, "\nweir_connections_accepted_total 11\n"));
	assert_true(holds(reply.body, "\nweir_requests_total{class=\"2xx\"} 10\n"));
	assert_true(holds(reply.body, "\nweir_request_seconds_count 10\n"));
	assert_true(holds(reply.body, "\nweir_ready 1\n"));
	http_client_destroy(client);
}

/* ── tables of descriptors ── */

#define TABLES_MAX 8
#define SOCKETS_MAX 256

/* What is open in the tables of the process ([0]) and of its loops. */
struct tables {
	size_t count, files[TABLES_MAX], socket_count[TABLES_MAX];
	unsigned long sockets[TABLES_MAX][SOCKETS_MAX];
};

static void
table_read(const struct world *world, const char *dir, struct tables *tables)
{
	size_t at = tables->count++;
	assert_true(at < TABLES_MAX);
	DIR *fds = opendir(dir);
	assert_non_null(fds);
	for (struct dirent *entry; (entry = readdir(fds));) {
		char link[320], target[256] = {0};
		snprintf(link, sizeof link, "%s/%s", dir, entry->d_name);
		if (readlink(link, target, sizeof target - 1) <= 0)
			continue;
		if (strncmp(target, world->top, strlen(world->top)) == 0)
			tables->files[at]++;
		size_t count = tables->socket_count[at];
		if (sscanf(target, "socket:[%lu]", &tables->sockets[at][count]) == 1)
			tables->socket_count[at] = count + 1;
		assert_true(count + 1 < SOCKETS_MAX);
	}
	closedir(fds);
}

static void
tables_read(const struct world *world, struct tables *tables)
{
	memset(tables, 0, sizeof *tables);
	table_read(world, "/proc/self/fd", tables);
	DIR *tasks = opendir("/proc/self/task");
	assert_non_null(tasks);
	for (struct dirent *task; (task = readdir(tasks));) {
		char path[300], name[16] = {0};
		snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
		int fd = open(path, O_RDONLY);
		if (fd < 0 || read(fd, name, sizeof name - 1) <= 0)
			name[0] = 0;
		if (fd >= 0)
			close(fd);
		snprintf(path, sizeof path, "/proc/self/task/%s/fd", task->d_name);
		if (strncmp(name, "loop-", 5) == 0)
			table_read(world, path, tables);
	}
	closedir(tasks);
}

static bool
table_has(const struct tables *tables, size_t at, unsigned long socket)
{
	for (size_t i = 0; i < tables->socket_count[at]; i++)
		if (tables->sockets[at][i] == socket)
			return true;
	return false;
}

/* Sockets of loops that are in another table, too. */
static size_t
count_shared(const struct tables *tables)
{
	size_t shared = 0;
	for (size_t at = 1; at < tables->count; at++)
		for (size_t i = 0; i < tables->socket_count[at]; i++)
			for (size_t other = 0; other < tables->count; other++)
				shared += other != at &&
				    table_has(tables, other, tables->sockets[at][i]);
	return shared;
}

enum { TABLE_CLIENTS = 12 };

static void
talk_and_read_tables(struct world *world, struct tables *tables)
{
	struct http_client *clients[TABLE_CLIENTS];
	struct http_client_reply reply;
	start(world, 0);
	for (unsigned i = 0; i < TABLE_CLIENTS; i++) {
		char line[64];
		clients[i] = connect_to(world, 0);
		snprintf(line, sizeof line, "t,device=d%u v=1 1000000000", i);
		assert_int_equal(call(clients[i], "POST", "/write", line, &reply), 204);
		assert_int_equal(call(clients[i], "GET", "/metrics", "", &reply), 200);
	}
	tables_read(world, tables);
	for (unsigned i = 0; i < TABLE_CLIENTS; i++)
		http_client_destroy(clients[i]);
}

static void
each_loop_knows_its_own_connections_and_no_files(void **state)
{
	struct world *world = *state;
	struct tables tables;
	if (process_may_own_files()) {
		skip();
		return;
	}
	world->settings.net.loops = 3;
	talk_and_read_tables(world, &tables);
	assert_int_equal(tables.count, 1 + 3);
	assert_true(tables.files[0] > 0);
	size_t sockets = 0;
	for (size_t at = 1; at < tables.count; at++) {
		assert_int_equal(tables.files[at], 0);
		sockets += tables.socket_count[at];
	}
	assert_true(sockets >= TABLE_CLIENTS + 3 + 1); /* listeners, the administrator's */
	assert_int_equal(count_shared(&tables), 0);
	/* Nobody listens any more once they have ended. */
	char address[SERVER_ADDRESS_BYTES];
	snprintf(address, sizeof address, "%s", server_address(world->servers[0], 0));
	assert_int_equal(server_stop(world->servers[0]), 0);
	world->servers[0] = NULL;
	assert_int_equal(start_on(world, 0, address), 0);
}

static void
loops_share_a_table_where_it_is_wanted(void **state)
{
	struct world *world = *state;
	struct tables tables;
	world->settings.net.descriptor_tables = SETTINGS_TABLES_SHARED;
	talk_and_read_tables(world, &tables);
	assert_int_equal(tables.count, 1 + 2);
	for (size_t at = 0; at < tables.count; at++)
		assert_true(tables.files[at] > 0);
	assert_true(count_shared(&tables) >= TABLE_CLIENTS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(five_servers_live_in_one_process, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		what_was_written_is_there_after_a_stop, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_stop_right_after_the_start_is_clean, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_taken_port_is_refused_also_by_another_weir, setup, teardown),
	    cmocka_unit_test_setup_teardown(addresses_that_are_none_are_refused, setup, teardown),
	    cmocka_unit_test(loopback_is_told_from_the_rest),
	    cmocka_unit_test_setup_teardown(
		other_partitions_than_the_directory_has_are_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		keys_come_and_go_on_every_loop_and_outlive_a_restart, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_reload_changes_what_is_live, setup, teardown),
	    cmocka_unit_test_setup_teardown(metrics_are_of_all_loops_together, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		each_loop_knows_its_own_connections_and_no_files, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		loops_share_a_table_where_it_is_wanted, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
