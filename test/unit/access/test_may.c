/*
 * test_may.c: the table of rights, whole: every verb and object for every kind of principal, own
 * and foreign things, and another tenant's.
 */
#include "access_may.h"
#include "access_testing.h"

#define Y ACCESS_YES
#define N ACCESS_NO
#define U ACCESS_UNSEEN

enum who { LOCAL, GOVERNOR, ADMIN, DEVELOPER, PLAIN_DEVELOPER, USER, GATEWAY, DEVICE, WRITER,
	READER, SUBSCRIBER, WHO_COUNT };

static const char *const who_names[WHO_COUNT] = {"local", "governor", "admin", "developer",
	"developer without accounts", "user", "gateway", "device", "writing key", "reading key",
	"subscriber"};

struct world {
	struct access *access;
	struct access_principal *principals[WHO_COUNT];
};

static void
put_key(struct access *access, uint64_t id, const char *key, uint32_t rights, struct span channels)
{
	unsigned char hash[ACCESS_HASH_BYTES];
	struct store_key row = {.id = id, .tenant = MAIN, .name = SPAN("k"), .rights = rights,
	    .channels = channels, .hash = span_of((const char *)hash, sizeof(hash))};

	access_key_hash(node_secret, span_str(key), hash);
	assert_int_equal(access_key_put(access, &row), 0);
}

/* User 3 and device 7 and gateway 7 are who asks; device 8 is bound to gateway 8; 9 to none. */
static int
world_setup(void **state)
{
	const uint64_t users[] = {3};
	struct store_device own = {.tenant = MAIN, .id = SPAN("7"), .state = true, .gateway = 7,
	    .users = users, .user_count = 1};
	struct store_device foreign = {.tenant = MAIN, .id = SPAN("8"), .state = true,
	    .gateway = 8};
	struct store_device unbound = {.tenant = MAIN, .id = SPAN("9"), .state = true};
	struct store_gateway gateway = {.tenant = MAIN, .id = 7, .may_enrol = true};
	struct store_device dash = {.tenant = MAIN, .id = SPAN("-"), .state = true,
	    .users = users, .user_count = 1};
	struct world *world = calloc(1, sizeof(*world));
	char token[20000];

	check(world);
	world->access = access_must_create();
	put_user(world->access, 1, MAIN, SPAN("root"), STORE_ADMIN, true);
	put_user(world->access, 2, MAIN, SPAN("adm"), STORE_ADMIN, false);
	put_user(world->access, 3, MAIN, SPAN("ana"), STORE_USER, false);
	put_user(world->access, 4, MAIN, SPAN("dev"), STORE_DEVELOPER, false);
	put_device(world->access, &own, "t", 1);
	put_device(world->access, &foreign, "t", 1);
	put_device(world->access, &unbound, "t", 1);
	put_device(world->access, &dash, "t", 1);
	put_gateway(world->access, &gateway, "t");
	put_secret(world->access, 1, STORE_SECRET_USER, MAIN, "n", 0, 1);
	put_secret(world->access, 5, STORE_SECRET_APPLICATION, MAIN, "a", 0, 1);
	put_key(world->access, 1, "w", ACCESS_WRITE | ACCESS_PUBLISH, SPAN("[\"blog/#\"]"));
	put_key(world->access, 2, "r", ACCESS_READ | ACCESS_SUBSCRIBE, SPAN(""));
	world->principals[LOCAL] = access_local(world->access);
	world->principals[GOVERNOR] = log_in(world->access, 1);
	world->principals[ADMIN] = log_in(world->access, 2);
	world->principals[USER] = log_in(world->access, 3);
	world->principals[DEVELOPER] = log_in(world->access, 4);
	access_set_developer_accounts(world->access, false);
	put_user(world->access, 6, MAIN, SPAN("dev2"), STORE_DEVELOPER, false);
	world->principals[PLAIN_DEVELOPER] = log_in(world->access, 6);
	world->principals[GATEWAY] = access_authenticate_gateway(world->access, MAIN, 7,
	    SPAN("t"));
	world->principals[DEVICE] = access_authenticate_device(world->access, MAIN, SPAN("7"),
	    SPAN("t"));
	world->principals[WRITER] = access_authenticate(world->access, SPAN("w"));
	world->principals[READER] = access_authenticate(world->access, SPAN("r"));
	jwt_make(token, "{\"alg\":\"HS256\",\"kid\":\"5\"}", "{\"aud\":\"weir\","
	    "\"exp\":1700000060,\"weir\":{\"subscribe\":[\"blog/#\"],\"publish\":[\"talk\"]}}",
	    "a");
	world->principals[SUBSCRIBER] = access_authenticate_jwt(world->access, span_str(token),
	    NOW_MS);
	*state = world;
	return 0;
}

static int
world_teardown(void **state)
{
	struct world *world = *state;

	for (int who = 0; who < WHO_COUNT; who++)
		access_principal_unref(world->principals[who]);
	access_destroy(world->access);
	free(world);
	return 0;
}

/* Own things have 7 (a device, a gateway), 3 (an account, a venue's user); foreign ones 8. */
static const uint64_t venue_mine[] = {8, 3}, venue_theirs[] = {8};

#define OBJ(w, ...) {.what = w, .tenant = {"main", 4}, __VA_ARGS__}
#define NAME(text) {text, sizeof(text) - 1}

static const struct {
	const char *what;
	enum access_verb verb;
	struct access_object object;
	/* local governor admin developer plain-dev user gateway device writer reader subscriber */
	enum access_answer answers[WHO_COUNT];
} rows[] = {
	{"see node", ACCESS_SEE, OBJ(ACCESS_A_NODE), {Y, Y, N, N, N, N, N, N, N, N, N}},
	{"change node", ACCESS_CHANGE, OBJ(ACCESS_A_NODE), {Y, Y, N, N, N, N, N, N, N, N, N}},
	{"see tenant", ACCESS_SEE, OBJ(ACCESS_A_TENANT), {Y, Y, Y, Y, Y, N, N, N, N, Y, N}},
	{"change tenant", ACCESS_CHANGE, OBJ(ACCESS_A_TENANT), {Y, Y, Y, Y, Y, N, N, N, N, N, N}},
	{"report to tenant", ACCESS_REPORT, OBJ(ACCESS_A_TENANT),
	    {Y, Y, Y, Y, Y, N, N, N, Y, N, N}},
	{"enrol", ACCESS_ENROL, OBJ(ACCESS_A_TENANT), {N, N, N, N, N, N, Y, N, N, N, N}},
	{"see own account", ACCESS_SEE, OBJ(ACCESS_AN_ACCOUNT, .number = 3),
	    {Y, Y, Y, Y, N, Y, N, N, N, N, N}},
	{"see own account", ACCESS_SEE, OBJ(ACCESS_AN_ACCOUNT, .number = 6),
	    {Y, Y, Y, Y, Y, U, N, N, N, N, N}},
	{"adjust own account", ACCESS_ADJUST, OBJ(ACCESS_AN_ACCOUNT, .number = 3),
	    {Y, Y, Y, Y, N, Y, N, N, N, N, N}},
	{"change own account", ACCESS_CHANGE, OBJ(ACCESS_AN_ACCOUNT, .number = 3),
	    {Y, Y, Y, Y, N, U, N, N, N, N, N}},
	{"change own account", ACCESS_CHANGE, OBJ(ACCESS_AN_ACCOUNT, .number = 6),
	    {Y, Y, Y, Y, N, U, N, N, N, N, N}},
	{"see key", ACCESS_SEE, OBJ(ACCESS_A_KEY), {Y, Y, Y, Y, N, U, N, N, N, N, N}},
	{"change key", ACCESS_CHANGE, OBJ(ACCESS_A_KEY), {Y, Y, Y, Y, N, U, N, N, N, N, N}},
	{"see own device", ACCESS_SEE, OBJ(ACCESS_A_DEVICE, .id = NAME("7")),
	    {Y, Y, Y, Y, Y, Y, N, Y, N, Y, N}},
	{"see foreign device", ACCESS_SEE, OBJ(ACCESS_A_DEVICE, .id = NAME("8")),
	    {Y, Y, Y, Y, Y, U, N, U, N, Y, N}},
	{"see no device", ACCESS_SEE, OBJ(ACCESS_A_DEVICE, .id = NAME("99")),
	    {Y, Y, Y, Y, Y, U, N, U, N, Y, N}},
	{"change own device", ACCESS_CHANGE, OBJ(ACCESS_A_DEVICE, .id = NAME("7")),
	    {Y, Y, Y, Y, Y, U, N, U, N, N, N}},
	{"adjust own device", ACCESS_ADJUST, OBJ(ACCESS_A_DEVICE, .id = NAME("7")),
	    {Y, Y, Y, Y, Y, Y, N, N, N, N, N}},
	{"adjust foreign device", ACCESS_ADJUST, OBJ(ACCESS_A_DEVICE, .id = NAME("8")),
	    {Y, Y, Y, Y, Y, U, N, N, N, N, N}},
	{"report own device", ACCESS_REPORT, OBJ(ACCESS_A_DEVICE, .id = NAME("7")),
	    {Y, Y, Y, Y, Y, U, Y, Y, Y, N, N}},
	{"report foreign device", ACCESS_REPORT, OBJ(ACCESS_A_DEVICE, .id = NAME("8")),
	    {Y, Y, Y, Y, Y, U, N, U, Y, N, N}},
	{"report unbound device", ACCESS_REPORT, OBJ(ACCESS_A_DEVICE, .id = NAME("9")),
	    {Y, Y, Y, Y, Y, U, Y, U, Y, N, N}},
	{"see own gateway", ACCESS_SEE, OBJ(ACCESS_A_GATEWAY, .number = 7),
	    {Y, Y, Y, Y, Y, U, Y, N, N, N, N}},
	{"see foreign gateway", ACCESS_SEE, OBJ(ACCESS_A_GATEWAY, .number = 8),
	    {Y, Y, Y, Y, Y, U, U, N, N, N, N}},
	{"change own gateway", ACCESS_CHANGE, OBJ(ACCESS_A_GATEWAY, .number = 7),
	    {Y, Y, Y, Y, Y, U, U, N, N, N, N}},
	{"report of own gateway", ACCESS_REPORT, OBJ(ACCESS_A_GATEWAY, .number = 7),
	    {N, N, N, N, N, N, Y, N, N, N, N}},
	{"report of foreign gateway", ACCESS_REPORT, OBJ(ACCESS_A_GATEWAY, .number = 8),
	    {N, N, N, N, N, N, U, N, N, N, N}},
	{"see own venue", ACCESS_SEE, OBJ(ACCESS_A_VENUE, .users = venue_mine, .user_count = 2),
	    {Y, Y, Y, Y, Y, Y, N, N, N, N, N}},
	{"see foreign venue", ACCESS_SEE, OBJ(ACCESS_A_VENUE, .users = venue_theirs,
	    .user_count = 1), {Y, Y, Y, Y, Y, U, N, N, N, N, N}},
	{"change own venue", ACCESS_CHANGE, OBJ(ACCESS_A_VENUE, .users = venue_mine,
	    .user_count = 2), {Y, Y, Y, Y, Y, U, N, N, N, N, N}},
	{"publish", ACCESS_PUBLISH_TO, OBJ(ACCESS_A_CHANNEL, .id = NAME("blog/1")),
	    {Y, Y, Y, Y, Y, N, N, N, Y, N, N}},
	{"publish elsewhere", ACCESS_PUBLISH_TO, OBJ(ACCESS_A_CHANNEL, .id = NAME("talk")),
	    {Y, Y, Y, Y, Y, N, N, N, N, N, Y}},
	{"publish to a view", ACCESS_PUBLISH_TO,
	    OBJ(ACCESS_A_CHANNEL, .id = NAME("readings/7/temp")),
	    {N, N, N, N, N, N, N, N, N, N, N}},
	{"publish to own alerts", ACCESS_PUBLISH_TO, OBJ(ACCESS_A_CHANNEL, .id = NAME("alerts/7")),
	    {N, N, N, N, N, N, N, N, N, N, N}},
	{"publish as a gateway", ACCESS_PUBLISH_TO,
	    OBJ(ACCESS_A_CHANNEL, .id = NAME("gateways/7/logs")),
	    {N, N, N, N, N, N, N, N, N, N, N}},
	{"listen", ACCESS_LISTEN, OBJ(ACCESS_A_CHANNEL, .id = NAME("blog/1")),
	    {Y, Y, Y, Y, Y, N, N, N, N, Y, Y}},
	{"listen to all", ACCESS_LISTEN, OBJ(ACCESS_A_CHANNEL, .id = NAME("#")),
	    {Y, Y, Y, Y, Y, N, N, N, N, Y, N}},
	{"listen to own device", ACCESS_LISTEN, OBJ(ACCESS_A_CHANNEL, .id = NAME("readings/7/+")),
	    {Y, Y, Y, Y, Y, Y, N, N, N, Y, N}},
	{"listen to own, escaped", ACCESS_LISTEN,
	    OBJ(ACCESS_A_CHANNEL, .id = NAME("readings/%37/temp")),
	    {Y, Y, Y, Y, Y, Y, N, N, N, Y, N}},
	{"listen to own alerts", ACCESS_LISTEN, OBJ(ACCESS_A_CHANNEL, .id = NAME("alerts/7")),
	    {Y, Y, Y, Y, Y, Y, N, N, N, Y, N}},
	{"listen to what is of no device", ACCESS_LISTEN,
	    OBJ(ACCESS_A_CHANNEL, .id = NAME("readings/-/temp")),
	    {Y, Y, Y, Y, Y, N, N, N, N, Y, N}},
	{"listen to foreign device", ACCESS_LISTEN,
	    OBJ(ACCESS_A_CHANNEL, .id = NAME("readings/8/temp")),
	    {Y, Y, Y, Y, Y, N, N, N, N, Y, N}},
	{"listen to all devices", ACCESS_LISTEN,
	    OBJ(ACCESS_A_CHANNEL, .id = NAME("readings/+/temp")),
	    {Y, Y, Y, Y, Y, N, N, N, N, Y, N}},
	{"listen to the tree", ACCESS_LISTEN, OBJ(ACCESS_A_CHANNEL, .id = NAME("readings/#")),
	    {Y, Y, Y, Y, Y, N, N, N, N, Y, N}},
	{"listen to own gateway", ACCESS_LISTEN,
	    OBJ(ACCESS_A_CHANNEL, .id = NAME("gateways/7/logs")),
	    {Y, Y, Y, Y, Y, N, Y, N, N, Y, N}},
	{"listen to foreign gateway", ACCESS_LISTEN,
	    OBJ(ACCESS_A_CHANNEL, .id = NAME("gateways/8/logs")),
	    {Y, Y, Y, Y, Y, N, N, N, N, Y, N}},
};

static void
every_right_of_everybody(void **state)
{
	const struct world *world = *state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		for (int who = 0; who < WHO_COUNT; who++) {
			enum access_answer answer;

			assert_non_null(world->principals[who]);
			answer = access_may(world->access, world->principals[who], rows[i].verb,
			    &rows[i].object);
			if (answer != rows[i].answers[who])
				fail_msg("%s: %s (row %zu): %d", who_names[who], rows[i].what, i,
				    answer);
		}
	}
}

static void
things_of_another_tenant_are_unseen(void **state)
{
	const struct world *world = *state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct access_object object = rows[i].object;

		if (object.what == ACCESS_A_NODE)
			continue;
		object.tenant = SPAN("acme");
		for (int who = ADMIN; who < WHO_COUNT; who++)
			assert_int_equal(access_may(world->access, world->principals[who],
			    rows[i].verb, &object), U);
	}
}

static void
readings_are_seen_all_or_of_own_devices_or_not(void **state)
{
	static const enum access_sight sights[WHO_COUNT] = {
		[LOCAL] = ACCESS_SIGHT_ALL, [GOVERNOR] = ACCESS_SIGHT_ALL,
		[ADMIN] = ACCESS_SIGHT_ALL, [DEVELOPER] = ACCESS_SIGHT_ALL,
		[PLAIN_DEVELOPER] = ACCESS_SIGHT_ALL, [USER] = ACCESS_SIGHT_OWN,
		[DEVICE] = ACCESS_SIGHT_OWN, [READER] = ACCESS_SIGHT_ALL,
	};
	const struct world *world = *state;

	for (int who = 0; who < WHO_COUNT; who++) {
		struct span id;
		size_t pos = 0, count = 0;

		assert_int_equal(access_sight(world->principals[who]), sights[who]);
		while (access_own_device_next(world->access, world->principals[who], &pos, &id)) {
			assert_true(span_eq(id, SPAN("7")) || span_eq(id, SPAN("-")));
			count++;
		}
		assert_int_equal(count, who == USER ? 2 : who == DEVICE);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_right_of_everybody, world_setup,
		    world_teardown),
		cmocka_unit_test_setup_teardown(readings_are_seen_all_or_of_own_devices_or_not,
		    world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(things_of_another_tenant_are_unseen, world_setup,
		    world_teardown),
	};

	return cmocka_run_group_tests_name("access_may", tests, NULL, NULL);
}
