/*
 * store_model.h: a small state in weir.db, and the same state in plain memory to compare it with.
 * A batch of units moves it from one state to the next; after a fault the store must hold a state
 * that some batch ended with, never one between.
 */
#ifndef WEIR_STORE_MODEL_H
#define WEIR_STORE_MODEL_H

#include "sim.h"
#include "store_priv.h"
#include "store_testing.h"

#include <errno.h>

enum { MODEL_CURSORS = 6, MODEL_VALUES = 4, MODEL_VALUE_BYTES_MAX = 20000 };

struct model {
	uint64_t cursors[MODEL_CURSORS];
	uint64_t parts; /* bit N: part N + 1 is there */
	struct {
		uint32_t len, fill; /* len 0: no value */
	} values[MODEL_VALUES];
};

/* What one unit does. */
struct model_change {
	uint32_t cursor, part, value, len, fill;
	uint64_t seq;
	bool add_part;
	bool fails; /* of its own accord, after all is written */
};

static inline struct model_change
model_draw(struct env *env, const struct model *model, uint64_t seq)
{
	struct model_change change = {
		.cursor = (uint32_t)sim_random_below(env, MODEL_CURSORS),
		.part = (uint32_t)sim_random_below(env, 64),
		.value = (uint32_t)sim_random_below(env, MODEL_VALUES),
		.len = 1 + (uint32_t)sim_random_below(env, sim_random_below(env, 4) ? 200 :
		    MODEL_VALUE_BYTES_MAX),
		.fill = (uint32_t)sim_random_below(env, 256),
		.seq = seq,
		.fails = sim_random_below(env, 8) == 0,
	};

	change.add_part = !(model->parts >> change.part & 1);
	return change;
}

static inline void
model_apply(struct model *model, const struct model_change *change)
{
	model->cursors[change->cursor] = change->seq;
	model->parts ^= UINT64_C(1) << change->part;
	model->values[change->value].len = change->len;
	model->values[change->value].fill = change->fill;
}

static inline void
model_name(char name[16], uint32_t value)
{
	snprintf(name, 16, "value-%u", (unsigned)value);
}

/* A job's work: a struct model_change. */
static inline int
model_write(struct store_tx *tx, void *ctx)
{
	const struct model_change *change = ctx;
	struct store_part part = {.id = change->part + 1, .seq_last = change->seq};
	char value[MODEL_VALUE_BYTES_MAX];
	char name[16];
	int error;

	model_name(name, change->value);
	memset(value, (int)change->fill, change->len);
	error = store_cursor_put(tx, "model", change->cursor, change->seq);
	if (error == 0)
		error = change->add_part ? store_part_add(tx, &part) :
		    store_part_remove(tx, part.id);
	if (error == 0)
		error = store_meta_put(tx, name, value, change->len);
	return error ? error : change->fails ? -ECANCELED : 0;
}

static inline int
model_see_part(void *ctx, const struct store_part *part)
{
	struct model *model = ctx;

	check(part->id >= 1 && part->id <= 64);
	model->parts |= UINT64_C(1) << (part->id - 1);
	return 0;
}

/* What the store holds. 0 or the error of a read. */
static inline int
model_read(struct store *store, struct model *ret_model)
{
	static const char differs[] = "a value is not all of one byte";
	char value[MODEL_VALUE_BYTES_MAX];
	char name[16];
	int error = 0;

	memset(ret_model, 0, sizeof(*ret_model));
	for (uint32_t i = 0; error == 0 && i < MODEL_CURSORS; i++)
		error = store_cursor_get(store, "model", i, &ret_model->cursors[i]);
	if (error == 0)
		error = store_parts_load(store, model_see_part, ret_model);
	for (uint32_t i = 0; error == 0 && i < MODEL_VALUES; i++) {
		size_t len = 0;

		model_name(name, i);
		error = store_meta_get(store, name, value, sizeof(value), &len);
		if (error == -ENOENT) {
			error = 0;
			continue;
		}
		for (size_t k = 1; error == 0 && k < len; k++) {
			if (value[k] != value[0])
				fail_msg("%s", differs);
		}
		ret_model->values[i].len = (uint32_t)len;
		ret_model->values[i].fill = (unsigned char)value[0];
	}
	return error;
}

static inline bool
model_equal(const struct model *a, const struct model *b)
{
	return memcmp(a, b, sizeof(*a)) == 0; /* no padding in it */
}

_Static_assert(sizeof(struct model) == 8 * (MODEL_CURSORS + 1 + MODEL_VALUES), "no padding");

enum { MODEL_BATCH_MAX = 5 };

/* Runs a batch drawn from the seed. *model goes on with what it commits, when it commits; *ret_next
 * is that state in any case. Returns what the units that did not fail by themselves were told. */
static inline int
model_batch(struct env *env, struct store *store, struct model *model, uint64_t *seq,
    struct model *ret_next)
{
	struct model_change changes[MODEL_BATCH_MAX];
	struct job jobs[MODEL_BATCH_MAX];
	size_t count = 1 + (size_t)sim_random_below(env, MODEL_BATCH_MAX);
	bool judged = false;
	int error = 0;

	*ret_next = *model;
	for (size_t i = 0; i < count; i++) {
		changes[i] = model_draw(env, ret_next, ++*seq);
		if (!changes[i].fails)
			model_apply(ret_next, &changes[i]);
		jobs[i] = job_make(model_write, &changes[i]);
		if (i > 0)
			jobs[i - 1].unit.next = &jobs[i].unit;
	}
	store_run(store, &jobs[0].unit);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(jobs[i].calls, 1);
		assert_true(jobs[i].error <= 0);
		if (changes[i].fails && jobs[i].error == -ECANCELED)
			continue;
		if (changes[i].fails)
			assert_int_not_equal(jobs[i].error, 0);
		else if (judged)
			assert_int_equal(jobs[i].error, error); /* together or not at all */
		if (!changes[i].fails) {
			error = jobs[i].error;
			judged = true;
		}
	}
	if (error == 0)
		*model = *ret_next;
	return error;
}

/* SQLite's own check of all pages and indices. */
static inline void
model_check_integrity(struct store *store)
{
	sqlite3_stmt *statement = NULL;

	assert_int_equal(sqlite3_prepare_v2(store->db, "PRAGMA integrity_check", -1, &statement,
	    NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
	sqlite3_finalize(statement);
}

#endif
