/*
 * store_channels.c: the durable channels: what one is, not what was published on it.
 */
#include <errno.h>

#include "store_bind.h"
#include "store_priv.h"

int
store_channel_add(struct store_tx *tx, const struct store_channel *channel)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, STORE_CHANNEL_ADD, &statement);

	if (error)
		return error;
	bind_u64(statement, 1, channel->id);
	bind_text(statement, 2, channel->tenant);
	bind_text(statement, 3, channel->name);
	bind_text(statement, 4, channel->meta);
	bind_i64(statement, 5, channel->created_ms);
	bind_i64(statement, 6, channel->ttl_ms);
	bind_i64(statement, 7, channel->history_ms);
	bind_u64(statement, 8, channel->history_bytes);
	bind_u64(statement, 9, channel->history_messages);
	bind_u64(statement, 10, channel->presence);
	bind_u64(statement, 11, channel->slow);
	return store_step(tx->store, statement);
}

int
store_channel_set_ttl(struct store_tx *tx, uint64_t id, int64_t ttl_ms)
{
	sqlite3_stmt *statement;
	unsigned count;
	int error = store_prepare(tx->store, STORE_CHANNEL_SET_TTL, &statement);

	if (error)
		return error;
	bind_u64(statement, 1, id);
	bind_i64(statement, 2, ttl_ms);
	error = store_change(tx->store, statement, &count);
	if (error)
		return error;
	return count ? 0 : -ENOENT;
}

int
store_channel_remove(struct store_tx *tx, uint64_t id)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, STORE_CHANNEL_REMOVE, &statement);

	if (error)
		return error;
	bind_u64(statement, 1, id);
	return store_step(tx->store, statement);
}

struct channel_reader {
	int (*each)(void *ctx, const struct store_channel *channel);
	void *ctx;
};

static int
channel_row(void *ctx, sqlite3_stmt *statement)
{
	const struct channel_reader *reader = ctx;
	struct store_channel channel = {
		.id = column_u64(statement, 0),
		.tenant = column_span(statement, 1),
		.name = column_span(statement, 2),
		.meta = column_span(statement, 3),
		.created_ms = sqlite3_column_int64(statement, 4),
		.ttl_ms = sqlite3_column_int64(statement, 5),
		.history_ms = sqlite3_column_int64(statement, 6),
		.history_bytes = column_u64(statement, 7),
		.history_messages = (uint32_t)column_u64(statement, 8),
		.presence = column_u64(statement, 9) != 0,
		.slow = (uint32_t)column_u64(statement, 10),
	};

	return reader->each(reader->ctx, &channel);
}

int
store_channels_load(struct store *store,
    int (*each)(void *ctx, const struct store_channel *channel), void *ctx)
{
	struct channel_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_CHANNELS, &statement);

	return error ? error : store_rows(store, statement, channel_row, &reader);
}
