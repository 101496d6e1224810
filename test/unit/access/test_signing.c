/*
 * test_signing.c: secrets made and replaced in the store, and what becomes of what they signed.
 */
#include "access_change.h"
#include "access_signing.h"
#include "access_testing.h"
#include "store.h"

#define HOUR_MS INT64_C(3600000)

struct world {
	struct env *env;
	struct store *store;
	struct access *access;
};

/* A unit that does one thing to signing secrets and tells the index of it. */
struct step {
	struct store_unit unit;
	int (*run)(struct step *step, struct store_tx *tx);
	struct access_signing signing;
	struct store_secret row;
	int64_t now_ms;
	uint64_t id;
	char text[ACCESS_KEY_BYTES];
	int error;
};

static int
step_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct step *step = CONTAINER_OF(unit, struct step, unit);

	return step->run(step, tx);
}

static void
step_done(struct store_unit *unit, int error)
{
	CONTAINER_OF(unit, struct step, unit)->error = error;
}

static int
add(struct step *step, struct store_tx *tx)
{
	return access_signing_add(&step->signing, tx, &step->row, step->text);
}

static int
rotate(struct step *step, struct store_tx *tx)
{
	return access_signing_rotate(&step->signing, tx, step->now_ms, HOUR_MS, &step->id);
}

static int
ensure(struct step *step, struct store_tx *tx)
{
	return access_signing_ensure(&step->signing, tx, step->now_ms);
}

static int
step_run(struct world *world, struct step *step)
{
	struct access_change *change = access_change_create(node_secret);

	assert_non_null(change);
	step->unit.apply = step_apply;
	step->unit.done = step_done;
	step->signing = (struct access_signing){world->env, node_secret, change};
	store_run(world->store, &step->unit);
	if (step->error == 0)
		assert_int_equal(access_change_apply(change, world->access), 0);
	access_change_unref(change);
	return step->error;
}

static struct world
world_make(void)
{
	struct world world = {.env = sim_create(1), .access = access_must_create()};

	check(world.env);
	assert_int_equal(env_mkdir(world.env, "data"), 0);
	assert_int_equal(store_open(world.env, "data", &world.store), 0);
	put_user(world.access, 3, MAIN, SPAN("ana"), STORE_USER, false);
	return world;
}

static void
world_end(struct world *world)
{
	store_close(world->store);
	access_destroy(world->access);
	env_destroy(world->env);
}

static bool
is_valid(struct world *world, const char *token, int64_t now_ms)
{
	struct access_principal *principal = access_authenticate_jwt(world->access,
	    span_str(token), now_ms);

	access_principal_unref(principal);
	return principal != NULL;
}

static void
issue(struct world *world, int64_t now_ms, char token[1000])
{
	ssize_t len = access_jwt_issue(world->access, 3, now_ms, HOUR_MS, token, 999);

	assert_true(len > 0);
	token[len] = 0;
}

struct rows {
	size_t count, endless;
	uint64_t last;
};

static int
row_each(void *ctx, const struct store_secret *secret)
{
	struct rows *rows = ctx;

	rows->count++;
	rows->endless += secret->expires_ms == 0;
	rows->last = secret->id;
	return 0;
}

static struct rows
rows_of(struct world *world)
{
	struct rows rows = {0};

	assert_int_equal(store_secrets_load(world->store, row_each, &rows), 0);
	return rows;
}

static void
first_secret_is_made_once(void **state)
{
	struct world world = world_make();
	struct step step = {.run = ensure, .now_ms = NOW_MS};
	char token[1000];

	(void)state;
	assert_int_equal(access_jwt_issue(world.access, 3, NOW_MS, HOUR_MS, token, sizeof token),
	    -ENOKEY);
	for (int i = 0; i < 3; i++)
		assert_int_equal(step_run(&world, &step), 0);
	assert_int_equal(rows_of(&world).count, 1);
	assert_int_equal(rows_of(&world).endless, 1);
	issue(&world, NOW_MS, token);
	assert_true(is_valid(&world, token, NOW_MS));
	world_end(&world);
}

static void
old_tokens_live_out_their_time_after_a_rotation(void **state)
{
	struct world world = world_make();
	struct step step = {.run = rotate, .now_ms = NOW_MS};
	char old[1000], new[1000];

	(void)state;
	assert_int_equal(step_run(&world, &step), 0);
	step.now_ms += HOUR_MS / 2;
	issue(&world, step.now_ms, old);
	assert_int_equal(step_run(&world, &step), 0);
	assert_int_equal(rows_of(&world).count, 2);
	assert_int_equal(rows_of(&world).endless, 1);
	assert_true(rows_of(&world).last == step.id);
	issue(&world, step.now_ms, new);
	assert_true(is_valid(&world, old, step.now_ms + HOUR_MS - 1));
	assert_false(is_valid(&world, old, step.now_ms + HOUR_MS));
	assert_true(is_valid(&world, new, step.now_ms + HOUR_MS - 1));
	/* A third one within the hour gives the first no more time. */
	step.now_ms += HOUR_MS / 2;
	assert_int_equal(step_run(&world, &step), 0);
	assert_true(is_valid(&world, old, step.now_ms));
	assert_false(is_valid(&world, old, step.now_ms + HOUR_MS / 2));
	assert_true(is_valid(&world, new, step.now_ms));
	/* And one after their time removes them. */
	step.now_ms += 2 * HOUR_MS;
	assert_int_equal(step_run(&world, &step), 0);
	assert_int_equal(rows_of(&world).count, 2);
	world_end(&world);
}

static void
secret_of_an_application_signs_what_its_text_signs(void **state)
{
	struct world world = world_make();
	struct step step = {.run = add, .row = {.tenant = MAIN, .name = SPAN("shop"),
	    .kind = STORE_SECRET_APPLICATION, .created_ms = NOW_MS}};
	char token[20000], key[ACCESS_KEY_BYTES + 1] = "", header[80];
	const char *claims = "{\"aud\":\"weir\",\"exp\":1700000060,\"weir\":{}}";

	(void)state;
	assert_int_equal(step_run(&world, &step), 0);
	memcpy(key, step.text, ACCESS_KEY_BYTES);
	snprintf(header, sizeof header, "{\"alg\":\"HS256\",\"kid\":\"%llu\"}",
	    (unsigned long long)step.row.id);
	assert_true(is_valid(&world, jwt_make(token, header, claims, key), NOW_MS));
	step.row.id = 0;
	assert_int_equal(step_run(&world, &step), -EEXIST);
	assert_int_equal(rows_of(&world).count, 1);
	step.row.tenant = SPAN("nowhere");
	assert_int_equal(step_run(&world, &step), -ENOENT);
	world_end(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_secret_is_made_once),
		cmocka_unit_test(old_tokens_live_out_their_time_after_a_rotation),
		cmocka_unit_test(secret_of_an_application_signs_what_its_text_signs),
	};

	return cmocka_run_group_tests_name("access_signing", tests, NULL, NULL);
}
