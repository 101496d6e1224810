/*
 * store_tables.c: the typed questions to weir.db. Each binds its values to a statement that was
 * prepared once; none puts a value into SQL text.
 *
 * Bound memory is the caller's and not copied: every statement is reset, and its bindings are
 * forgotten, before the function returns.
 */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "store_bind.h"
#include "store_priv.h"

/* ── meta ── */

int
store_meta_get(struct store *store, const char *name, char *ret_value, size_t size,
    size_t *ret_len)
{
	sqlite3_stmt *statement;
	struct span value;
	int error = store_prepare(store, STORE_META_GET, &statement);

	if (error)
		return error;
	bind_text(statement, 1, span_str(name));
	error = store_step(store, statement);
	if (error <= 0)
		return error ? error : -ENOENT;
	value = column_span(statement, 0);
	if (value.len <= size) {
		if (value.len)
			memcpy(ret_value, value.ptr, value.len);
		*ret_len = value.len;
	}
	error = value.len <= size ? 0 : -ERANGE;
	store_reset(statement);
	return error;
}

struct store *
store_tx_store(struct store_tx *tx)
{
	return tx->store;
}

int
store_meta_put(struct store_tx *tx, const char *name, const void *value, size_t len)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, STORE_META_PUT, &statement);

	if (error)
		return error;
	bind_text(statement, 1, span_str(name));
	bind_blob(statement, 2, span_of(value, len));
	return store_step(tx->store, statement);
}

/* ── cursors ── */

int
store_cursor_put(struct store_tx *tx, const char *processor, uint32_t partition, uint64_t seq)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, STORE_CURSOR_PUT, &statement);

	if (error)
		return error;
	bind_text(statement, 1, span_str(processor));
	bind_u64(statement, 2, partition);
	bind_u64(statement, 3, seq);
	return store_step(tx->store, statement);
}

int
store_cursor_get(struct store *store, const char *processor, uint32_t partition,
    uint64_t *ret_seq)
{
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_CURSOR_GET, &statement);

	if (error)
		return error;
	bind_text(statement, 1, span_str(processor));
	bind_u64(statement, 2, partition);
	error = store_step(store, statement);
	if (error < 0)
		return error;
	*ret_seq = error ? column_u64(statement, 0) : 0;
	store_reset(statement);
	return 0;
}

/* ── parts ── */

int
store_part_add(struct store_tx *tx, const struct store_part *part)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, STORE_PART_ADD, &statement);

	if (error)
		return error;
	bind_u64(statement, 1, part->id);
	bind_u64(statement, 2, part->partition);
	bind_i64(statement, 3, part->day);
	bind_u64(statement, 4, part->level);
	bind_u64(statement, 5, part->seq_first);
	bind_u64(statement, 6, part->seq_last);
	bind_i64(statement, 7, part->time_first);
	bind_i64(statement, 8, part->time_last);
	bind_u64(statement, 9, part->points);
	bind_u64(statement, 10, part->series);
	bind_u64(statement, 11, part->bytes);
	bind_u64(statement, 12, part->rollup);
	bind_u64(statement, 13, part->rolled);
	return store_step(tx->store, statement);
}

int
store_part_remove(struct store_tx *tx, uint64_t id)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, STORE_PART_REMOVE, &statement);

	if (error)
		return error;
	bind_u64(statement, 1, id);
	return store_step(tx->store, statement);
}

static void
part_read(sqlite3_stmt *statement, struct store_part *ret_part)
{
	*ret_part = (struct store_part){
		.id = column_u64(statement, 0),
		.partition = (uint32_t)column_u64(statement, 1),
		.day = sqlite3_column_int(statement, 2),
		.level = (uint32_t)column_u64(statement, 3),
		.seq_first = column_u64(statement, 4),
		.seq_last = column_u64(statement, 5),
		.time_first = sqlite3_column_int64(statement, 6),
		.time_last = sqlite3_column_int64(statement, 7),
		.points = column_u64(statement, 8),
		.series = column_u64(statement, 9),
		.bytes = column_u64(statement, 10),
		.rollup = (uint32_t)column_u64(statement, 11),
		.rolled = (uint32_t)column_u64(statement, 12),
	};
}

int
store_part_set_rolled(struct store_tx *tx, uint64_t id, uint32_t rolled)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, STORE_PART_SET_ROLLED, &statement);

	if (error)
		return error;
	bind_u64(statement, 1, id);
	bind_u64(statement, 2, rolled);
	return store_step(tx->store, statement);
}

int
store_parts_load(struct store *store, int (*each)(void *ctx, const struct store_part *part),
    void *ctx)
{
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_PARTS, &statement);

	if (error)
		return error;
	while ((error = store_step(store, statement)) == 1) {
		struct store_part part;

		part_read(statement, &part);
		error = each(ctx, &part);
		if (error)
			break;
	}
	store_reset(statement);
	return error;
}

/* ── tombstones ── */

int
store_tombstone_put(struct store_tx *tx, const struct store_tombstone *tombstone)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, STORE_TOMBSTONE_PUT, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tombstone->tenant);
	bind_text(statement, 2, tombstone->device);
	bind_u64(statement, 3, tombstone->seq);
	bind_u64(statement, 4, tombstone->part_id);
	bind_i64(statement, 5, tombstone->created_ms);
	bind_i64(statement, 6, tombstone->series_done_ms);
	bind_i64(statement, 7, tombstone->journal_done_ms);
	return store_step(tx->store, statement);
}

static int
tombstone_done(struct store_tx *tx, enum store_statement which, struct span tenant,
    struct span device, uint64_t seq, int64_t now_ms)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, which, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_text(statement, 2, device);
	bind_u64(statement, 3, seq);
	bind_i64(statement, 4, now_ms);
	return store_step(tx->store, statement);
}

int
store_tombstone_series_done(struct store_tx *tx, struct span tenant, struct span device,
    uint64_t seq, int64_t now_ms)
{
	return tombstone_done(tx, STORE_TOMBSTONE_SERIES_DONE, tenant, device, seq, now_ms);
}

int
store_tombstone_journal_done(struct store_tx *tx, struct span tenant, struct span device,
    uint64_t seq, int64_t now_ms)
{
	return tombstone_done(tx, STORE_TOMBSTONE_JOURNAL_DONE, tenant, device, seq, now_ms);
}

static int
tombstone_failed(struct store_tx *tx, enum store_statement which, struct span tenant,
    struct span device, uint64_t seq, struct span why)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, which, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_text(statement, 2, device);
	bind_u64(statement, 3, seq);
	bind_text(statement, 4, why);
	return store_step(tx->store, statement);
}

int
store_tombstone_series_failed(struct store_tx *tx, struct span tenant, struct span device,
    uint64_t seq, struct span why)
{
	return tombstone_failed(tx, STORE_TOMBSTONE_SERIES_FAILED, tenant, device, seq, why);
}

int
store_tombstone_journal_failed(struct store_tx *tx, struct span tenant, struct span device,
    uint64_t seq, struct span why)
{
	return tombstone_failed(tx, STORE_TOMBSTONE_JOURNAL_FAILED, tenant, device, seq, why);
}

struct tombstone_reader {
	int (*each)(void *ctx, const struct store_tombstone *tombstone);
	void *ctx;
};

static int
tombstone_row(void *ctx, sqlite3_stmt *statement)
{
	const struct tombstone_reader *reader = ctx;
	struct store_tombstone tombstone = {
		.tenant = column_span(statement, 0),
		.device = column_span(statement, 1),
		.seq = column_u64(statement, 2),
		.part_id = column_u64(statement, 3),
		.created_ms = sqlite3_column_int64(statement, 4),
		.series_done_ms = sqlite3_column_int64(statement, 5),
		.journal_done_ms = sqlite3_column_int64(statement, 6),
		.series_failure = column_span(statement, 7),
		.journal_failure = column_span(statement, 8),
	};

	return reader->each(reader->ctx, &tombstone);
}

int
store_tombstones_load(struct store *store,
    int (*each)(void *ctx, const struct store_tombstone *tombstone), void *ctx)
{
	struct tombstone_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_TOMBSTONES, &statement);

	return error ? error : store_rows(store, statement, tombstone_row, &reader);
}

/* ── keys ── */

int
store_key_add(struct store_tx *tx, const struct store_key *key, uint64_t *ret_id,
    uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version;
	int error = store_version_raise(tx->store, &version);

	if (error == 0)
		error = store_prepare(tx->store, STORE_KEY_ADD, &statement);
	if (error)
		return error;
	bind_text(statement, 1, key->tenant);
	bind_text(statement, 2, key->name);
	bind_blob(statement, 3, key->hash);
	bind_u64(statement, 4, key->rights);
	bind_text(statement, 5, key->channels);
	bind_i64(statement, 6, key->created_ms);
	bind_u64(statement, 7, version);
	error = store_step(tx->store, statement);
	if (error)
		return error;
	*ret_id = (uint64_t)sqlite3_last_insert_rowid(tx->store->db);
	*ret_version = version;
	return 0;
}

int
store_key_remove(struct store_tx *tx, struct span tenant, struct span name,
    uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, STORE_KEY_REMOVE, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_text(statement, 2, name);
	error = store_step(tx->store, statement);
	if (error)
		return error;
	if (sqlite3_changes(tx->store->db) == 0)
		return -ENOENT;
	return store_version_raise(tx->store, ret_version);
}

int
store_key_put(struct store_tx *tx, const struct store_key *key, uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version;
	unsigned count;
	int error = store_version_raise(tx->store, &version);

	if (error == 0)
		error = store_prepare(tx->store, STORE_KEY_PUT, &statement);
	if (error)
		return error;
	bind_text(statement, 1, key->tenant);
	bind_text(statement, 2, key->name);
	bind_u64(statement, 3, key->rights);
	bind_text(statement, 4, key->channels);
	bind_u64(statement, 5, version);
	error = store_change(tx->store, statement, &count);
	if (error)
		return error;
	if (count == 0)
		return -ENOENT;
	*ret_version = version;
	return 0;
}

struct key_reader {
	int (*each)(void *ctx, const struct store_key *key);
	void *ctx;
};

static int
key_row(void *ctx, sqlite3_stmt *statement)
{
	const struct key_reader *reader = ctx;
	struct store_key key = {
		.id = column_u64(statement, 0),
		.tenant = column_span(statement, 1),
		.name = column_span(statement, 2),
		.hash = column_span(statement, 3),
		.rights = (uint32_t)column_u64(statement, 4),
		.channels = column_span(statement, 5),
		.created_ms = sqlite3_column_int64(statement, 6),
		.version = column_u64(statement, 7),
	};

	return reader->each(reader->ctx, &key);
}

int
store_key_find(struct store *store, struct span tenant, struct span name,
    int (*each)(void *ctx, const struct store_key *key), void *ctx)
{
	struct key_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_KEY_FIND, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_text(statement, 2, name);
	return store_row(store, statement, key_row, &reader);
}

int
store_keys_list(struct store *store, struct span tenant, struct span after, unsigned limit,
    int (*each)(void *ctx, const struct store_key *key), void *ctx)
{
	struct key_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_KEYS_PAGE, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_text(statement, 2, after);
	bind_u64(statement, 3, limit);
	return store_rows(store, statement, key_row, &reader);
}

int
store_keys_load(struct store *store, int (*each)(void *ctx, const struct store_key *key),
    void *ctx)
{
	struct key_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_KEYS, &statement);

	return error ? error : store_rows(store, statement, key_row, &reader);
}
