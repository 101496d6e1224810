/*
 * Memory that runs out: each allocation of a varied conversation fails once. Whatever it was for,
 * the server goes on, each handler that began hears its end once, nothing leaks, and the next
 * client is served.
 *
 * Linked with --wrap for the allocating functions; only the server's own turns are hit.
 */
#include "world.h"

#include "ws.h"

enum { POSITIONS_MAX = 2000 };

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *ptr, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *ptr, size_t bytes);

/* Allocations until the one that fails; negative: none does. The functions above have no place
 * for a context. */
static long alloc_left = -1;
static bool alloc_armed;

static bool
alloc_fails(void)
{
	return alloc_armed && alloc_left >= 0 && alloc_left-- == 0;
}

void *
__wrap_malloc(size_t bytes)
{
	return alloc_fails() ? NULL : __real_malloc(bytes);
}

void *
__wrap_calloc(size_t count, size_t bytes)
{
	return alloc_fails() ? NULL : __real_calloc(count, bytes);
}

void *
__wrap_realloc(void *ptr, size_t bytes)
{
	return alloc_fails() ? NULL : __real_realloc(ptr, bytes);
}

static void
set_armed(bool on)
{
	alloc_armed = on;
}

static void
say_text(struct client *client, const char *text)
{
	static const uint8_t mask[4] = {1, 2, 3, 4};
	char bytes[256];
	size_t len = ws_write_head(bytes, WS_TEXT, true, false, strlen(text), mask);
	memcpy(bytes + len, text, strlen(text));
	ws_unmask(mask, 0, bytes + len, strlen(text));
	client_send(client, span_of(bytes, len + strlen(text)));
}

#define UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void
converse(struct world *world)
{
	struct client http, sse, ws, poll;
	client_open(&http, world);
	client_open(&sse, world);
	client_open(&ws, world);
	client_open(&poll, world);
	client_say(&poll, "GET /poll?channel=a/b&channel=c/d&since=now HTTP/1.1\r\nHost: h\r\n" AUTH
	    "\r\n");
	client_say(&sse, "GET /sse?channel=a/%2B&channel=b HTTP/1.1\r\nHost: h\r\n" AUTH "\r\n");
	client_say(&ws, "GET /ws?channel=a/b HTTP/1.1\r\nHost: h\r\n" UPGRADE "\r\n");
	client_say(&http, "GET /echo/x?a=b HTTP/1.1\r\nHost: h\r\n" AUTH "\r\n");
	client_say(&http, "POST /whole HTTP/1.1\r\nHost: h\r\n" AUTH
	    "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
	client_say(&http, "GET /rows?n=3000 HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
	say_text(&ws, "{\"token\":\"" KEY_ALL "\",\"ref\":1}");
	say_text(&ws, "{\"subscribe\":[\"c/#\",\"d\"],\"ref\":2}");
	client_idle(&ws);
	world_message(world, "a/b", "1");
	world_message(world, "c/d", "2");
	client_idle(&poll);
	world_message(world, "a/b", "3");
	for (unsigned seq = 0; seq < 12; seq++) {
		char next[32], again[128];
		snprintf(next, sizeof(next), "\"next\":\"m%u\"", seq);
		snprintf(again, sizeof(again), "GET /poll?channel=a/b&channel=c/d&since=m%u "
		    "HTTP/1.1\r\nHost: h\r\n" AUTH "\r\n", seq);
		if (client_has(&poll, next))
			client_say(&poll, again);
	}
	world_message(world, "c/d", "4");
	client_idle(&poll);
	say_text(&ws, "{\"unsubscribe\":[\"d\"],\"ref\":3}");
	say_text(&ws, "{\"publish\":[\"d\"],\"data\":{},\"ref\":4}");
	client_say(&http, "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
	client_idle(&http);
	if (world->publish.done)
		world->publish.done(world->publish.ctx, 0, SPAN("m9"));
	client_idle(&ws);
	client_close(&http);
	client_close(&sse);
	client_close(&ws);
	client_close(&poll);
	client_open(&http, world);
	client_idle(&http);
	client_close(&http);
}

static void
each_allocation_fails_once(void **state)
{
	(void)state;
	long position = 0;
	bool all = false;
	for (; position < POSITIONS_MAX && !all; position++) {
		struct world world;
		world_open_with(&world, &world_settings, 8192, socket_real());
		world.faults = set_armed;
		alloc_left = position;
		converse(&world);
		all = alloc_left >= 0;
		alloc_left = -1;
		expect(&world, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200, "hello");
		world_close(&world);
	}
	assert_true(all);
	printf("%ld allocations\n", position);
	assert_true(position > 50);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_fails_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
