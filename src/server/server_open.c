/*
 * server_open.c: opens what a data directory holds, in the order of who needs whom: store, journal,
 * the store's lists (while this thread still owns it), its writer, flow, parts.
 *
 * A damaged or missing part does not keep the server from starting: it is told, and what it held is
 * not served; everything else is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "server_priv.h"
#include "thread.h"

enum {
	JOBS_WAITING_MAX = 1024, /* questions that wait; beyond it the answer is 503 */
	HASHES_AT_ONCE = 2,      /* of passwords; each takes 64 MiB */
};

/* ── what the store says, copied before its writer owns it ── */

struct lists {
	struct server *server;
	struct store_part *parts;
	size_t part_count, part_cap;
	uint64_t cursors[FLOW_PARTITIONS_MAX], floors[FLOW_PARTITIONS_MAX];
	struct store_tombstone *tombstones; /* the text of each is one allocation, of its tenant */
	size_t tombstone_count;
	struct channel_row *channels, **channels_tail;
	struct made *made; /* with a limit on the series of a principal */
	size_t made_count, made_cap;
};

struct made {
	uint64_t series, maker;
};

/* A durable channel, with its texts. */
struct channel_row {
	struct channel_row *next;
	struct store_channel channel;
	char text[];
};

static int
tombstone_take(void *ctx, const struct store_tombstone *tombstone)
{
	struct lists *lists = ctx;
	size_t tenant_len = tombstone->tenant.len, len = tenant_len + tombstone->device.len;
	void *grown = realloc(lists->tombstones,
	    (lists->tombstone_count + 1) * sizeof *lists->tombstones);
	if (grown)
		lists->tombstones = grown;
	char *text = grown ? malloc(len + 1) : NULL;
	if (!text)
		return -ENOMEM;
	memcpy(text, tombstone->tenant.ptr, tenant_len);
	memcpy(text + tenant_len, tombstone->device.ptr, tombstone->device.len);
	struct store_tombstone *copy = &lists->tombstones[lists->tombstone_count++];
	*copy = *tombstone;
	copy->tenant = span_of(text, tenant_len);
	copy->device = span_of(text + tenant_len, tombstone->device.len);
	copy->series_failure = copy->journal_failure = SPAN("");
	return 0;
}

static int
part_take(void *ctx, const struct store_part *part)
{
	struct lists *lists = ctx;
	if (lists->part_count == lists->part_cap) {
		size_t cap = lists->part_cap ? lists->part_cap * 2 : 64;
		void *grown = realloc(lists->parts, cap * sizeof *lists->parts);
		if (!grown)
			return -ENOMEM;
		lists->parts = grown;
		lists->part_cap = cap;
	}
	lists->parts[lists->part_count++] = *part;
	return 0;
}

static int
channel_take(void *ctx, const struct store_channel *channel)
{
	struct lists *lists = ctx;
	struct channel_row *row = malloc(sizeof *row + channel->tenant.len + channel->name.len +
	    channel->meta.len);
	if (!row)
		return -ENOMEM;
	char *at = row->text;
	row->next = NULL;
	row->channel = *channel;
	row->channel.tenant = span_keep(&at, channel->tenant);
	row->channel.name = span_keep(&at, channel->name);
	row->channel.meta = span_keep(&at, channel->meta);
	*lists->channels_tail = row;
	lists->channels_tail = &row->next;
	return 0;
}

static int
maker_take(void *ctx, uint64_t series, uint64_t maker)
{
	struct lists *lists = ctx;
	if (lists->made_count == lists->made_cap) {
		size_t cap = lists->made_cap ? lists->made_cap * 2 : 64;
		void *grown = realloc(lists->made, cap * sizeof *lists->made);
		if (!grown)
			return -ENOMEM;
		lists->made = grown;
		lists->made_cap = cap;
	}
	lists->made[lists->made_count++] = (struct made){series, maker};
	return 0;
}

static void
lists_free(struct lists *lists)
{
	for (struct channel_row *row = lists->channels, *next; row; row = next) {
		next = row->next;
		free(row);
	}
	free(lists->parts);
	free(lists->made);
	for (size_t i = 0; i < lists->tombstone_count; i++)
		free((char *)(uintptr_t)lists->tombstones[i].tenant.ptr);
	free(lists->tombstones);
}

static int
lists_load(struct server *server, struct lists *lists, uint32_t partitions, char *ret_reason)
{
	struct store *store = server->data.store;
	int error = store_parts_load(store, part_take, lists);
	for (uint32_t p = 0; p < partitions && !error; p++)
		error = store_cursor_get(store, "points", p, &lists->cursors[p]);
	for (uint32_t p = 0; p < partitions && !error; p++)
		error = store_cursor_get(store, "floor", p, &lists->floors[p]);
	if (!error)
		error = store_tombstones_load(store, tombstone_take, lists);
	if (!error)
		error = store_channels_load(store, channel_take, lists);
	if (!error && server->settings.series.principal_max)
		error = store_makers_load(store, maker_take, lists);
	if (!error)
		error = server_registry_load(server);
	if (error)
		data_explain(ret_reason, "weir.db in %s cannot be read: %s", server->options.data,
		    store_error(store));
	return error;
}

/* ── damage ── */

static void
journal_damaged(void *ctx, const struct journal_damage *damage)
{
	struct server *server = ctx;
	log_event(server->log, LOG_WARN, "journal_damage",
	    LOG_FIELDS(LOG_TEXT("segment", damage->segment), LOG_NUMBER("offset", damage->offset),
		LOG_NUMBER("bytes", damage->bytes), LOG_TEXT("reason", damage->reason)));
}

static void
part_damaged(void *ctx, const struct series_damage *damage)
{
	struct server *server = ctx;
	log_event(server->log, LOG_ERROR, "part_damage",
	    LOG_FIELDS(LOG_TEXT("file", damage->file), LOG_NUMBER("offset", damage->offset),
		LOG_TEXT("reason", damage->reason)));
}

/* ── journal, flow, parts ── */

static int
journal_begin(struct server *server, char *ret_reason)
{
	char dir[DATA_PATH_BYTES];
	const struct settings *settings = &server->settings;
	int error = data_path(server->options.data, "journal", dir);
	if (error)
		return error;
	struct journal_options options = {
	    .dir = dir,
	    .segment_bytes = settings->journal.segment_bytes,
	    .durability = (enum journal_durability)settings->journal.durability,
	    .direct = settings->journal.direct,
	};
	error = journal_open(server->env, &options, journal_damaged, server, &server->journal);
	if (error == -EPROTO)
		data_explain(
		    ret_reason, "the journal in %s was made by a newer version of weir", dir);
	else if (error)
		data_explain(
		    ret_reason, "the journal in %s cannot be opened: %s", dir, strerror(-error));
	return error;
}

static void
flow_fatal(void *ctx, const char *what, int error)
{
	server_fatal(ctx, what, error);
}

static void
flow_is_full(void *ctx)
{
	struct server *server = ctx;
	if (server->retention)
		retention_hurry(server->retention);
}

static void
flow_warn(void *ctx, const char *what, int error)
{
	struct server *server = ctx;
	if (error == 0)
		log_event(server->log, LOG_WARN, "limit", LOG_FIELDS(LOG_TEXT("what", what)));
	else
		log_event(server->log, LOG_WARN, error == -EBADMSG ? "damage" : "trouble",
		    LOG_FIELDS(LOG_TEXT("what", what), LOG_TEXT("error", strerror(-error))));
}

static int
flow_begin(struct server *server, uint32_t partitions, char *ret_reason)
{
	static const unsigned rollups[] = {
	    [SETTINGS_ROLLUPS_HOURS_DAYS] = SERIES_ROLLUP_HOURS | SERIES_ROLLUP_DAYS,
	    [SETTINGS_ROLLUPS_ALL] = SERIES_ROLLUP_MINUTES | SERIES_ROLLUP_HOURS |
		SERIES_ROLLUP_DAYS,
	    [SETTINGS_ROLLUPS_HOURS] = SERIES_ROLLUP_HOURS,
	    [SETTINGS_ROLLUPS_DAYS] = SERIES_ROLLUP_DAYS,
	    [SETTINGS_ROLLUPS_NONE] = 0,
	};
	const struct settings *settings = &server->settings;
	int error = data_path(server->options.data, "series", server->series_dir);
	if (!error)
		error = workers_create(
		    (unsigned)settings->workers.threads, JOBS_WAITING_MAX, &server->workers);
	if (!error)
		error = workers_create(
		    (unsigned)settings->query.threads, JOBS_WAITING_MAX, &server->queries);
	if (!error)
		error = workers_create(
		    HASHES_AT_ONCE, (size_t)settings->access.hashes_max, &server->hashers);
	if (!error)
		error = logins_create(server->env, &server->logins);
	if (error)
		return error;
	struct flow_options options = {
	    .ring_bytes_max = settings->hub.ring_bytes_max,
	    .presence_linger_ms = settings->channels.presence_linger_ms,
	    .presence_members_max = settings->channels.presence_members_max,
	    .env = server->env,
	    .journal = server->journal,
	    .store = server->writer,
	    .workers = server->workers,
	    .readers = server->queries,
	    .series_dir = server->series_dir,
	    .partitions = partitions,
	    .loops = server->loop_count,
	    .intake_bytes_max = settings->intake.bytes_max,
	    .head_bytes_max = settings->series.head_bytes_max,
	    .head_age_ms_max = (int64_t)settings->series.head_age_ms_max,
	    .replay_bytes_max = settings->series.replay_bytes_max,
	    .series_max = settings->series.max,
	    .tenant_series_max = settings->series.tenant_max,
	    .principal_series_max = settings->series.principal_max,
	    .tag_values_max = settings->series.tag_values_max,
	    .rollups = rollups[server->settings.series.rollups],
	    .fatal = flow_fatal,
	    .warn = flow_warn,
	    .full = flow_is_full,
	    .ctx = server,
	};
	error = flow_create(&options, &server->flow);
	if (error)
		data_explain(ret_reason, "the series in %s cannot be opened: %s",
		    server->series_dir, strerror(-error));
	return error;
}

static int
part_attach(struct server *server, uint32_t partitions, const struct store_part *part)
{
	int error = part->partition < partitions
			? series_partition_attach(flow_partition(server->flow, part->partition),
			      part, part_damaged, server)
			: -EBADMSG;
	if (error != -EBADMSG && error != -ENOENT)
		return error;
	log_event(server->log, LOG_ERROR, "part_not_served",
	    LOG_FIELDS(LOG_NUMBER("part", part->id), LOG_NUMBER("points", part->points),
		LOG_TEXT("reason", error == -ENOENT ? "the file is missing" : "it is damaged")));
	return 0;
}

/* Partitions are attached side by side: of a million series every part names an eighth, and each
 * is looked up. */
struct attaching {
	struct server *server;
	const struct lists *lists;
	uint32_t partitions;
	atomic_uint next;     /* partition */
	atomic_int error;     /* the first */
};

static void
partition_attach(struct attaching *attaching, uint32_t partition)
{
	const struct lists *lists = attaching->lists;
	int none = 0, error = 0;
	for (size_t i = 0; i < lists->part_count && !error; i++) {
		/* Those of partitions that there are not come last. */
		uint32_t of = MIN(lists->parts[i].partition, attaching->partitions);
		if (of == partition)
			error = part_attach(attaching->server, attaching->partitions,
			    &lists->parts[i]);
	}
	if (error)
		atomic_compare_exchange_strong(&attaching->error, &none, error);
}

static void
attach_run(void *ctx)
{
	struct attaching *attaching = ctx;
	uint32_t partition;
	while (!atomic_load(&attaching->error) &&
	    (partition = atomic_fetch_add(&attaching->next, 1)) <= attaching->partitions)
		partition_attach(attaching, partition);
}

static int
attach_all(struct server *server, const struct lists *lists, uint32_t partitions)
{
	struct attaching attaching = {
	    .server = server, .lists = lists, .partitions = partitions};
	pthread_t threads[FLOW_LOOPS_MAX];
	unsigned count = 0, most = MIN(server->loop_count, partitions);
	/* This thread is one of them; those that cannot be had are done without. */
	while (lists->part_count > 1 && count + 1 < most &&
	    thread_start(&threads[count], "attach", attach_run, &attaching) == 0)
		count++;
	attach_run(&attaching);
	while (count > 0)
		thread_join(threads[--count]);
	return atomic_load(&attaching.error);
}

static int
id_order(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a;
	uint64_t right = *(const uint64_t *)b;
	return (left > right) - (left < right);
}

static int
parts_sweep(struct server *server, const struct lists *lists)
{
	uint64_t next_id = 1;
	uint64_t *known = calloc(lists->part_count + 1, sizeof *known);
	if (!known)
		return -ENOMEM;
	for (size_t i = 0; i < lists->part_count; i++)
		known[i] = lists->parts[i].id;
	qsort(known, lists->part_count, sizeof *known, id_order);
	int error =
	    series_sweep(server->env, server->series_dir, known, lists->part_count, &next_id);
	/* Also above those whose file is missing. */
	if (lists->part_count)
		next_id = MAX(next_id, known[lists->part_count - 1] + 1);
	for (size_t i = 0; i < lists->tombstone_count; i++)
		next_id = MAX(next_id, lists->tombstones[i].part_id + 1);
	free(known);
	if (!error)
		flow_set_next_part_id(server->flow, next_id);
	return error;
}

static int
parts_attach(
    struct server *server, const struct lists *lists, uint32_t partitions, char *ret_reason)
{
	int error = 0;
	for (uint32_t p = 0; p < partitions; p++) {
		series_partition_set_cursor(flow_partition(server->flow, p), lists->cursors[p]);
		if (lists->floors[p])
			series_partition_set_floor(flow_partition(server->flow, p),
			    (int64_t)lists->floors[p]);
	}
	for (size_t i = 0; i < lists->tombstone_count && !error; i++)
		error = flow_hide(server->flow, &lists->tombstones[i]);
	if (!error)
		error = attach_all(server, lists, partitions);
	if (!error)
		error = parts_sweep(server, lists);
	if (error)
		data_explain(ret_reason, "the parts in %s cannot be read: %s", server->series_dir,
		    strerror(-error));
	return error;
}

static int
channels_restore(struct server *server, const struct lists *lists)
{
	int error = 0;
	for (const struct channel_row *row = lists->channels; row && !error; row = row->next)
		error = flow_channel_restore(server->flow, &row->channel);
	return error;
}

static int
makers_restore_all(struct server *server, const struct lists *lists)
{
	int error = 0;
	for (size_t i = 0; i < lists->made_count && !error; i++)
		error = flow_maker_restore(server->flow, lists->made[i].series,
		    lists->made[i].maker);
	return error;
}

int
server_open(struct server *server, char *ret_reason)
{
	uint32_t partitions;
	struct lists lists = {.server = server};
	lists.channels_tail = &lists.channels;
	int error = data_open(server->env, server->options.data, &server->data, ret_reason);
	if (!error)
		error = data_partitions(&server->data, (uint32_t)server->settings.series.partitions,
		    &partitions, ret_reason);
	if (!error)
		error = server_accounts_prepare(server, ret_reason);
	if (!error)
		error = journal_begin(server, ret_reason);
	if (!error)
		error = lists_load(server, &lists, partitions, ret_reason);
	if (!error)
		error = store_writer_start(server->data.store,
		    (unsigned)server->settings.store.gather_ms, &server->writer);
	if (!error)
		error = flow_begin(server, partitions, ret_reason);
	if (!error)
		error = parts_attach(server, &lists, partitions, ret_reason);
	if (!error)
		error = channels_restore(server, &lists);
	if (!error)
		error = makers_restore_all(server, &lists);
	lists_free(&lists);
	return error;
}
