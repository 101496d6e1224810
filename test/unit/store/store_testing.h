/*
 * store_testing.h: what the tests of the store share: a directory on the real disk that goes away
 * again, and units made of a function and its argument.
 */
#ifndef WEIR_STORE_TESTING_H
#define WEIR_STORE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "store.h"

/* ── a directory of the real world ── */

struct place {
	struct env *env;
	char dir[64];
};

static inline int
place_unlink(void *ctx, const char *name)
{
	struct place *place = ctx;
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", place->dir, name);
	return env_unlink(place->env, path);
}

static inline int
place_setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	check(place);
	place->env = env_create();
	strcpy(place->dir, "/tmp/weir-store-XXXXXX");
	check(place->env && mkdtemp(place->dir));
	*state = place;
	return 0;
}

static inline int
place_teardown(void **state)
{
	struct place *place = *state;

	env_list_dir(place->env, place->dir, place_unlink, place);
	rmdir(place->dir);
	env_destroy(place->env);
	free(place);
	return 0;
}

static inline struct store *
store_must_open(struct env *env, const char *dir)
{
	struct store *store = NULL;
	char reason[200] = "";
	int error = store_open_explained(env, dir, reason, sizeof(reason), &store);

	if (error)
		fail_msg("store_open: %d, %s", error, reason);
	return store;
}

/* ── units ── */

struct job {
	struct store_unit unit;
	int (*work)(struct store_tx *tx, void *ctx);
	void *ctx;
	int error; /* what done() was told */
	int calls; /* of done() */
};

static inline int
job_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct job *job = CONTAINER_OF(unit, struct job, unit);

	return job->work(tx, job->ctx);
}

static inline void
job_done(struct store_unit *unit, int error)
{
	struct job *job = CONTAINER_OF(unit, struct job, unit);

	job->error = error;
	job->calls++;
}

static inline struct job
job_make(int (*work)(struct store_tx *tx, void *ctx), void *ctx)
{
	return (struct job){
		.unit = {.apply = job_apply, .done = job_done},
		.work = work,
		.ctx = ctx,
		.error = 1,
	};
}

/* Runs one unit by itself and returns what done() was told. */
static inline int
run_one(struct store *store, int (*work)(struct store_tx *tx, void *ctx), void *ctx)
{
	struct job job = job_make(work, ctx);

	store_run(store, &job.unit);
	assert_int_equal(job.calls, 1);
	return job.error;
}

#endif
