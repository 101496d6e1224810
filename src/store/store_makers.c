/*
 * store_makers.c: who made which series, a row of two hashes each: what no part file says, and what
 * limits on the series of a key must know after a restart.
 */
#include "store_bind.h"
#include "store_priv.h"

int
store_maker_add(struct store_tx *tx, uint64_t series, uint64_t maker)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, STORE_MAKER_ADD, &statement);

	if (error)
		return error;
	bind_u64(statement, 1, series);
	bind_u64(statement, 2, maker);
	return store_step(tx->store, statement);
}

int
store_maker_remove(struct store_tx *tx, uint64_t series)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, STORE_MAKER_REMOVE, &statement);

	if (error)
		return error;
	bind_u64(statement, 1, series);
	return store_step(tx->store, statement);
}

struct maker_reader {
	int (*each)(void *ctx, uint64_t series, uint64_t maker);
	void *ctx;
};

static int
maker_row(void *ctx, sqlite3_stmt *statement)
{
	const struct maker_reader *reader = ctx;

	return reader->each(reader->ctx, column_u64(statement, 0), column_u64(statement, 1));
}

int
store_makers_load(struct store *store,
    int (*each)(void *ctx, uint64_t series, uint64_t maker), void *ctx)
{
	struct maker_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_MAKERS, &statement);

	return error ? error : store_rows(store, statement, maker_row, &reader);
}
