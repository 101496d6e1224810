/*
 * Streams of those who lose what they listen with: credentials that expire, are revoked or end
 * earlier, devices that are taken from a person. And that nothing is done when nobody loses
 * anything.
 */
#include "world.h"

#include "access_registry.h"
#include "live.h"
#include "registry.h"
#include "session_priv.h"
#include "ws.h"

#define UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

/* Clocks that can be set ahead. */
struct jump {
	struct env_ops ops;
	const struct env_ops *real;
	int64_t ahead_ms;
};

static struct jump *
jump_of(struct env *env)
{
	return (struct jump *)(uintptr_t)env->ops; /* its first member */
}

static int64_t
jump_now(struct env *env)
{
	return jump_of(env)->real->now_ms(env) + jump_of(env)->ahead_ms;
}

static uint64_t
jump_mono(struct env *env)
{
	return jump_of(env)->real->mono_ns(env) + (uint64_t)jump_of(env)->ahead_ms * 1000000;
}

static void
jump_begin(struct jump *jump, struct world *world)
{
	*jump = (struct jump){.ops = *world->env->ops, .real = world->env->ops};
	jump->ops.now_ms = jump_now;
	jump->ops.mono_ns = jump_mono;
	world->env->ops = &jump->ops;
}

/* Sets the clocks so that it is this time, or leaves them where it was. */
static void
jump_to(struct jump *jump, struct world *world, int64_t now_ms)
{
	jump->ahead_ms = MAX(jump->ahead_ms, now_ms - jump->real->now_ms(world->env));
}

static void
jump_end(struct jump *jump, struct world *world)
{
	world->env->ops = jump->real;
}

/* A key of its own whose principal ends so long from now (0: never). */
static void
add_key(struct world *world, unsigned number, int64_t lasts_ms)
{
	char key[16];
	snprintf(key, sizeof(key), "key-%u", number);
	world_add_key(world, 100 + number, key, 15, "");
	struct access_principal *principal = access_authenticate(world->access, span_str(key));
	assert_non_null(principal);
	if (lasts_ms)
		principal->expires_ms = env_now_ms(world->env) + lasts_ms;
	access_principal_unref(principal);
}

static void
open_sse(struct client *client, struct world *world, unsigned number, const char *channel)
{
	char text[256];
	client_open(client, world);
	snprintf(text, sizeof(text), "GET /sse?channel=%s HTTP/1.1\r\nHost: h\r\n"
	    "Authorization: Bearer key-%u\r\n\r\n", channel, number);
	client_say(client, text);
	client_await(client, "\r\n\r\n");
	assert_true(client_has(client, " 200 OK"));
}

static void
open_ws(struct client *client, struct world *world, unsigned number, const char *channel)
{
	char text[512];
	client_open(client, world);
	snprintf(text, sizeof(text), "GET /ws?channel=%s HTTP/1.1\r\nHost: h\r\n"
	    "Authorization: Bearer key-%u\r\n" UPGRADE "\r\n", channel, number);
	client_say(client, text);
	client_expect(client, 101, NULL);
}

/* The last frame says why. */
static void
expect_4401(struct client *client)
{
	struct ws_frame frame = {.opcode = WS_TEXT};
	client_await_eof(client);
	while (frame.opcode == WS_TEXT) {
		ssize_t head = ws_parse_head(buf_span(&client->in), false, &frame);
		assert_true(head > 0);
		buf_consume(&client->in, (size_t)head);
		if (frame.opcode == WS_TEXT)
			buf_consume(&client->in, (size_t)frame.len);
	}
	assert_int_equal(frame.opcode, WS_CLOSE);
	assert_true(client->in.len == frame.len && frame.len >= 2);
	assert_int_equal((unsigned char)client->in.ptr[0] << 8 |
	    (unsigned char)client->in.ptr[1], 4401);
}

static void
expect_alive(struct client *client, const char *channel)
{
	char data[32];
	snprintf(data, sizeof(data), "\"still %p\"", (void *)client);
	world_message(client->world, channel, data);
	client_await(client, data);
	assert_false(client->eof);
}

static void
a_stream_ends_when_its_credentials_do(void **state)
{
	(void)state;
	struct world world;
	struct client soon_sse, soon_ws, later, never;
	world_open(&world);
	add_key(&world, 1, 200);
	add_key(&world, 2, 3600000);
	add_key(&world, 3, 0);
	open_sse(&soon_sse, &world, 1, "a");
	open_ws(&soon_ws, &world, 1, "a");
	open_sse(&later, &world, 2, "a");
	open_ws(&never, &world, 3, "a");
	client_await_eof(&soon_sse);
	expect_4401(&soon_ws);
	expect_alive(&later, "a");
	expect_alive(&never, "a");
	client_close(&soon_sse);
	client_close(&soon_ws);
	client_close(&later);
	client_close(&never);
	world_close(&world);
}

/* The wheel has 256 slots. */
static void
ends_lie_any_number_of_turns_of_the_wheel_ahead(void **state)
{
	static const int64_t lasts_s[] = {1, 100, 255, 256, 257, 258, 600, 3600};
	enum { COUNT = ARRAY_COUNT(lasts_s) };
	(void)state;
	struct world world;
	struct jump jump;
	struct client clients[COUNT];
	world_open(&world);
	jump_begin(&jump, &world);
	int64_t begin_ms = env_now_ms(world.env);
	for (unsigned i = 0; i < COUNT; i++) {
		add_key(&world, i, begin_ms + lasts_s[i] * 1000 - env_now_ms(world.env));
		open_sse(&clients[i], &world, i, "a");
	}
	for (unsigned next = 0; next < COUNT; next++) {
		if (next && lasts_s[next] - lasts_s[next - 1] > 2) {
			jump_to(&jump, &world, begin_ms + lasts_s[next] * 1000 - 1500);
			client_idle(&clients[next]);
			assert_false(clients[next].eof);
		}
		jump_to(&jump, &world, begin_ms + lasts_s[next] * 1000);
		client_await_eof(&clients[next]);
	}
	for (unsigned i = 0; i < COUNT; i++)
		client_close(&clients[i]);
	jump_end(&jump, &world);
	world_close(&world);
}

static void
an_end_that_comes_earlier_than_it_was_is_kept(void **state)
{
	(void)state;
	struct world world;
	struct client first, second;
	world_open(&world);
	add_key(&world, 1, 3600000);
	add_key(&world, 2, 0);
	open_ws(&first, &world, 1, "a");
	open_ws(&second, &world, 2, "a");
	struct access_principal *principal = access_authenticate(world.access, SPAN("key-1"));
	principal->expires_ms = env_now_ms(world.env) + 100;
	access_principal_unref(principal);
	access_key_remove(world.access, 102); /* who is swept over is looked at again */
	session_revoked(world.sessions);
	expect_4401(&second);
	expect_4401(&first);
	client_close(&first);
	client_close(&second);
	world_close(&world);
}

/* ── persons and their devices ── */

static void
put_device(struct world *world, const char *id, uint64_t version, uint64_t user)
{
	const struct store_device row = {.tenant = SPAN("main"), .id = span_str(id), .state = true,
	    .version = version, .users = &user, .user_count = user != 0};
	struct access_device *device;
	assert_int_equal(access_device_create(&row, &device), 0);
	assert_int_equal(access_device_put(world->access, device), 0);
	access_device_unref(device);
}

/* A key whose holder is taken for a person who sees his own devices only. */
static void
add_person(struct world *world, unsigned number)
{
	char key[16];
	const struct store_user user = {.id = number, .tenant = SPAN("main"), .name = SPAN("u"),
	    .permission = STORE_USER, .version = 1};
	assert_int_equal(access_user_put(world->access, &user), 0);
	add_key(world, number, 3600000);
	snprintf(key, sizeof(key), "key-%u", number);
	struct access_principal *principal = access_authenticate(world->access, span_str(key));
	principal->kind = ACCESS_PERSON;
	principal->limited = true;
	principal->id = number;
	access_principal_unref(principal);
}

static void
a_person_hears_a_device_no_more_once_it_is_taken(void **state)
{
	(void)state;
	struct world world;
	struct client seven, eight, both, other;
	world_open(&world);
	add_person(&world, 1);
	add_person(&world, 2);
	put_device(&world, "7", 1, 1);
	put_device(&world, "8", 2, 1);
	put_device(&world, "9", 3, 2);
	open_sse(&seven, &world, 1, "readings/7/%23");
	open_ws(&eight, &world, 1, "readings/8/%23");
	open_ws(&both, &world, 1, "alerts/8&channel=readings/7/temp");
	open_sse(&other, &world, 2, "readings/9/%23");
	put_device(&world, "7", 4, 1); /* another version, still his */
	session_revoked(world.sessions);
	client_idle(&seven);
	expect_alive(&seven, "readings/7/temp");
	put_device(&world, "7", 5, 2);
	session_revoked(world.sessions);
	client_await_eof(&seven);
	expect_4401(&both);
	expect_alive(&eight, "readings/8/temp");
	expect_alive(&other, "readings/9/temp");
	access_device_remove(world.access, SPAN("main"), SPAN("8"));
	session_revoked(world.sessions);
	expect_4401(&eight);
	expect_alive(&other, "readings/9/temp");
	client_close(&seven);
	client_close(&eight);
	client_close(&both);
	client_close(&other);
	world_close(&world);
}

static void
what_a_person_may_not_hear_is_refused(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	add_person(&world, 1);
	put_device(&world, "7", 1, 1);
	put_device(&world, "8", 2, 0);
	static const char *const channels[] = {
		"readings/8/temp", "readings/99/temp", "readings/%2B/temp", "%23", "blog/1"};
	for (size_t i = 0; i < ARRAY_COUNT(channels); i++) {
		char text[256];
		snprintf(text, sizeof(text), "GET /sse?channel=%s HTTP/1.1\r\nHost: h\r\n"
		    "Authorization: Bearer key-1\r\n\r\n", channels[i]);
		expect(&world, text, 403, NULL);
	}
	open_sse(&client, &world, 1, "readings/7/%2B&channel=alerts/7");
	expect_alive(&client, "readings/7/temp");
	client_close(&client);
	world_close(&world);
}

/* ── what costs nothing ── */

static bool
is_sweep_due(struct world *world)
{
	session_revoked(world->sessions);
	bool due = world->sessions->sweep_task.queued;
	world_turn(world, 0);
	return due;
}

static void
who_loses_nothing_causes_no_sweep(void **state)
{
	(void)state;
	struct world world;
	struct client key, person;
	world_open(&world);
	add_key(&world, 3, 0);
	add_key(&world, 4, 0);
	add_person(&world, 1);
	open_sse(&key, &world, 3, "a");
	assert_false(is_sweep_due(&world));
	/* Devices come, change, go; nobody who listens is limited. */
	for (uint64_t i = 1; i <= 1000; i++) {
		char id[16];
		snprintf(id, sizeof(id), "%llu", (unsigned long long)i % 100);
		put_device(&world, id, i, i % 3);
		assert_false(is_sweep_due(&world));
	}
	access_device_remove(world.access, SPAN("main"), SPAN("1"));
	access_key_remove(world.access, 104); /* held by nobody */
	assert_false(is_sweep_due(&world));
	put_device(&world, "7", 2000, 1);
	open_sse(&person, &world, 1, "readings/7/temp");
	put_device(&world, "new", 2001, 0);
	put_device(&world, "7", 2002, 1);
	assert_false(is_sweep_due(&world));
	put_device(&world, "new", 2003, 1);
	put_device(&world, "new", 2004, 0);
	assert_true(is_sweep_due(&world));
	expect_alive(&person, "readings/7/temp");
	access_key_remove(world.access, 103);
	assert_true(is_sweep_due(&world));
	client_await_eof(&key);
	client_close(&key);
	client_close(&person);
	assert_false(is_sweep_due(&world));
	world_close(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_ends_when_its_credentials_do),
		cmocka_unit_test(ends_lie_any_number_of_turns_of_the_wheel_ahead),
		cmocka_unit_test(an_end_that_comes_earlier_than_it_was_is_kept),
		cmocka_unit_test(a_person_hears_a_device_no_more_once_it_is_taken),
		cmocka_unit_test(what_a_person_may_not_hear_is_refused),
		cmocka_unit_test(who_loses_nothing_causes_no_sweep),
	};
	return cmocka_run_group_tests_name("session_ends", tests, NULL, NULL);
}
