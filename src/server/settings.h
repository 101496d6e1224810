/*
 * settings.h: what can be set, in one table: names, types, bounds, defaults, help.
 *
 * From the table come the reader of the configuration file, of the environment and of --set, the
 * errors, --check-config and `weir help settings`. Values live in a plain struct, so that a test
 * can have five servers with five of them. One thread at a time.
 */
#ifndef WEIR_SETTINGS_H
#define WEIR_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "env.h"
#include "span.h"

#define SETTINGS_TEXT_BYTES 1024 /* of a text, with its NUL */

/* All numbers: counts, bytes, milliseconds; words as their place in the table's list; yes is 1. */
struct settings {
	struct {
		uint64_t loops, conns_max, in_bytes_max, out_bytes_max, out_all_bytes_max;
		uint64_t slow_write_ms, idle_ms, drain_ms, descriptor_tables;
		char trusted_proxies[SETTINGS_TEXT_BYTES];
	} net;
	struct {
		uint64_t head_ms, body_ms, body_bytes_max, gzip;
		char cors_origins[SETTINGS_TEXT_BYTES];
	} http;
	struct {
		uint64_t comment_ms, retry_ms;
	} sse;
	struct {
		uint64_t ping_ms, message_bytes_max, deflate, deflate_bytes_min;
		char origins[SETTINGS_TEXT_BYTES];
	} ws;
	struct {
		uint64_t segment_bytes, durability, direct, seal, seal_age_ms;
	} journal;
	struct {
		uint64_t head_bytes_max, head_age_ms_max, replay_bytes_max;
		uint64_t partitions, query_series_max, rollups;
		uint64_t max, tenant_max, principal_max, tag_values_max;
	} series;
	struct {
		uint64_t look_ms, raw_ms, raw_bytes, disk_bytes_max, reserve_bytes;
		uint64_t points_ms, points_bytes, rollups_ms, rollups_bytes;
	} retention;
	struct {
		uint64_t erase_hours_max;
	} privacy;
	struct {
		uint64_t future_ms, past_ms;
	} time;
	struct {
		uint64_t threads;
	} query, workers;
	struct {
		uint64_t bytes_max, chunk_bytes;
	} intake;
	struct {
		uint64_t precision, buffer_bytes;
		char listen[SETTINGS_TEXT_BYTES], key[SETTINGS_TEXT_BYTES];
	} udp;
	struct {
		uint64_t gather_ms;
	} store;
	struct {
		uint64_t ring_bytes_max;
	} hub;
	struct {
		uint64_t presence, presence_linger_ms, presence_members_max;
	} channels;
	struct {
		uint64_t requests_per_s, readings_per_s, bytes_per_s, burst_ms, failures_per_s;
	} rate;
	struct {
		uint64_t format, level, ring_bytes;
	} log;
	struct {
		uint64_t open;
	} metrics;
	struct {
		uint64_t developer_manages_users, token_ms, hashes_max;
	} access;
	struct {
		uint64_t subscribe_timeout_ms, subscribe_cache_ms, subscribe_cache_ms_max;
		uint64_t subscribe_asks_max, subscribe_waiting_max;
		char subscribe_url[SETTINGS_TEXT_BYTES], subscribe_headers[SETTINGS_TEXT_BYTES];
		char subscribe_tenant[SETTINGS_TEXT_BYTES];
	} auth;
	struct {
		uint64_t dumpable;
	} process;
};

/* The order of the words in the table. */
enum settings_open { SETTINGS_OPEN_LOOPBACK, SETTINGS_OPEN_YES, SETTINGS_OPEN_NO };
enum settings_tables { SETTINGS_TABLES_PER_LOOP, SETTINGS_TABLES_SHARED };
enum settings_rollups {
	SETTINGS_ROLLUPS_HOURS_DAYS,
	SETTINGS_ROLLUPS_ALL,
	SETTINGS_ROLLUPS_HOURS,
	SETTINGS_ROLLUPS_DAYS,
	SETTINGS_ROLLUPS_NONE
};

enum settings_type {
	SETTINGS_BOOL,     /* yes, no */
	SETTINGS_INT,
	SETTINGS_BYTES,    /* 4096, 64KiB, 1 MiB */
	SETTINGS_MS,       /* a duration: 500ms, 5m, 1h30m; a bare number is milliseconds */
	SETTINGS_S,        /* likewise; a bare number is seconds; kept in milliseconds */
	SETTINGS_WORD,     /* one of a list */
	SETTINGS_TEXT,     /* words separated by blanks; may be empty */
};

struct settings_entry {
	const char *name;       /* "net.loops" */
	enum settings_type type;
	size_t offset;          /* in struct settings */
	uint64_t min, max;      /* of numbers, in the unit of the struct */
	const char *words;      /* of SETTINGS_WORD, separated by '|' */
	const char *initial;    /* as text */
	bool live;              /* SIGHUP changes it; else it needs a restart */
	const char *help;
};

extern const struct settings_entry settings_table[];
extern const size_t settings_count;

/* Everything as it is without being set. */
void settings_init(struct settings *settings);

/* Where settings come from; what comes later in this list wins. Any may be absent. */
struct settings_sources {
	struct env *env;          /* reads the file */
	const char *file;         /* of "key = value" lines in [sections] */
	const char *const *environment; /* "WEIR_NET_LOOPS=2" …, NULL; others are passed over */
	const char *const *sets;  /* "net.loops=2" */
	size_t set_count;
};

/* Defaults, then every source. Appends a line for each error ("weir.conf:3: …"); false when there
 * was one, and then *ret_settings is not written. */
bool settings_load(const struct settings_sources *sources, struct settings *ret_settings,
    struct buf *errors);

/* The pieces of settings_load. Errors likewise. */
bool settings_read_text(struct settings *settings, const char *name, struct span text,
    struct buf *errors);
bool settings_read_environment(struct settings *settings, const char *const *environment,
    struct buf *errors);
bool settings_read_set(struct settings *settings, const char *assignment, struct buf *errors);

/* Sets one value from text. false with a sentence appended to `why`, nothing is set then. */
bool settings_put(struct settings *settings, struct span name, struct span value,
    struct buf *why);

/* Whether the two differ in this entry. */
bool settings_differ(const struct settings_entry *entry, const struct settings *a,
    const struct settings *b);

/* Takes this entry's value over. */
void settings_copy(const struct settings_entry *entry, struct settings *to,
    const struct settings *from);

/* The manual page: every setting with type, bounds, default, environment name and help. */
void settings_print(struct buf *out);

/* A value as text, as it could be set. */
void settings_format(const struct settings_entry *entry, const struct settings *settings,
    struct buf *out);

#endif
