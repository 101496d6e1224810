/*
 * test_registry_power.c: the power goes at each operation of an administrator's change that touches
 * many tables: it is there wholly or not at all, and once told it stays.
 */
#include "registry_testing.h"
#include "store_model.h"

#define MAIN SPAN("main")

/* What one change leaves behind, counted. */
struct state {
	uint64_t version;
	unsigned devices, users, gateways, venues, assigned, audits, secrets;
};

/* A user, two devices of his, a gateway, a venue with a plan, a secret, and the audit of it. */
static int
change_much(struct store_tx *tx, void *ctx)
{
	static const char plan[5000] = "picture";
	const unsigned *round = ctx;
	char name[16], id[24];
	size_t len = (size_t)snprintf(name, sizeof(name), "n%u", *round);
	struct store_user user = {.tenant = MAIN, .name = span_of(name, len),
	    .permission = STORE_USER};
	struct store_device device = {.tenant = MAIN, .user_count = 1};
	struct store_gateway gateway = {.tenant = MAIN};
	struct store_venue venue = {.tenant = MAIN, .name = user.name, .user_count = 1};
	struct store_secret secret = {.tenant = MAIN, .name = user.name,
	    .kind = STORE_SECRET_APPLICATION};
	struct store_audit audit = {.tenant = MAIN, .what = user.name};
	uint64_t user_id = 0, venue_id = 0, version;
	int error = store_user_add(tx, &user, &user_id, &version);

	device.users = venue.users = &user_id;
	for (int i = 0; error == 0 && i < 2; i++) {
		error = store_device_next_id(tx, MAIN, id, &len);
		device.id = span_of(id, len);
		if (error == 0)
			error = store_device_add(tx, &device, &version);
	}
	if (error == 0)
		error = store_gateway_next_id(tx, MAIN, &gateway.id);
	if (error == 0)
		error = store_gateway_add(tx, &gateway, &version);
	if (error == 0)
		error = store_venue_add(tx, &venue, &venue_id, &version);
	if (error == 0)
		error = store_venue_plan_put(tx, MAIN, venue_id, SPAN("image/png"),
		    span_of(plan, sizeof(plan)), &version);
	if (error == 0)
		error = store_secret_next_id(tx, &secret.id);
	if (error == 0)
		error = store_secret_add(tx, &secret, &version);
	return error ? error : store_audit_add(tx, &audit);
}

static int
count_device(void *ctx, const struct store_device *device)
{
	struct state *state = ctx;

	state->devices++;
	state->assigned += (unsigned)device->user_count;
	return 0;
}

static int
count_user(void *ctx, const struct store_user *user)
{
	(void)user;
	++*(unsigned *)ctx;
	return 0;
}

static int
count_gateway(void *ctx, const struct store_gateway *gateway)
{
	(void)gateway;
	++*(unsigned *)ctx;
	return 0;
}

static int
count_venue(void *ctx, const struct store_venue *venue)
{
	struct state *state = ctx;

	state->venues++;
	state->assigned += (unsigned)venue->user_count + venue->has_plan;
	return 0;
}

static int
count_secret(void *ctx, const struct store_secret *secret)
{
	(void)secret;
	++*(unsigned *)ctx;
	return 0;
}

static int
count_audit(void *ctx, const struct store_audit *audit)
{
	(void)audit;
	++*(unsigned *)ctx;
	return 0;
}

static void
state_read(struct store *store, struct state *ret_state)
{
	static const struct store_page all = {.limit = STORE_LIST_MAX};

	*ret_state = (struct state){.version = registry_version(store)};
	assert_int_equal(store_devices_load(store, count_device, ret_state), 0);
	assert_int_equal(store_users_load(store, count_user, &ret_state->users), 0);
	assert_int_equal(store_gateways_load(store, count_gateway, &ret_state->gateways), 0);
	assert_int_equal(store_venues_list(store, MAIN, 0, &all, count_venue, ret_state), 0);
	assert_int_equal(store_secrets_load(store, count_secret, &ret_state->secrets), 0);
	assert_int_equal(store_audits_list(store, MAIN, 0, 1, &all, count_audit,
	    &ret_state->audits), 0);
}

/* The state after so many whole changes: seven versions each. */
static bool
state_is(const struct state *state, unsigned changes)
{
	return state->version == 7 * changes && state->devices == 2 * changes &&
	    state->users == changes && state->gateways == changes && state->venues == changes &&
	    state->assigned == 4 * changes && state->secrets == changes &&
	    state->audits == changes;
}

/* Whether the power went before the end. */
static bool
life(uint64_t crash_after)
{
	struct env *env = sim_create(crash_after + 1);
	struct store *store = NULL;
	struct state found;
	unsigned told = 0, tried = 0;
	uint64_t operations;

	check(env);
	sim_crash_after(env, crash_after);
	if (store_open(env, "/", &store) == 0) {
		for (unsigned round = 0; round < 3; round++) {
			tried++;
			if (run_one(store, change_much, &round))
				break;
			told++;
		}
	}
	store_close(store);
	operations = sim_op_count(env);
	sim_power_cut(env);
	store = store_must_open(env, "/");
	model_check_integrity(store);
	state_read(store, &found);
	if (!state_is(&found, told) && !state_is(&found, tried))
		fail_msg("crash after %llu: half a change (version %llu)",
		    (unsigned long long)crash_after, (unsigned long long)found.version);
	store_close(store);
	env_destroy(env);
	return operations > crash_after;
}

static void
power_cut_leaves_a_change_whole_or_undone(void **state)
{
	uint64_t operations = 0;

	(void)state;
	while (life(operations))
		operations++;
	assert_true(operations > 40);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_cut_leaves_a_change_whole_or_undone),
	};

	return cmocka_run_group_tests_name("store_registry_power", tests, NULL, NULL);
}
