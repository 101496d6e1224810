/*
 * flow.h: from an accepted record to everything that follows from it: sequencer, committer,
 * release, points, views, replay. And the way back: questions to the loops that own partitions.
 *
 * One `flow` a node, one `flow_loop` a loop. The first loop is the sequencer. Unless said
 * otherwise functions are called on the loop's own thread.
 */
#ifndef WEIR_FLOW_H
#define WEIR_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "census.h"
#include "hub.h"
#include "hub_channels.h"
#include "journal.h"
#include "judge.h"
#include "loop.h"
#include "mail.h"
#include "query.h"
#include "series.h"
#include "store.h"
#include "tombs.h"
#include "workers.h"

struct flow;
struct flow_loop;

#define FLOW_LOOPS_MAX 64
#define FLOW_PARTITIONS_MAX 256

struct flow_options {
	struct env *env;
	struct journal *journal;
	struct store_writer *store;
	struct workers *workers;      /* flushes and merges */
	struct workers *readers;      /* read the journal for who asks; NULL: workers */
	const char *series_dir;
	uint32_t partitions;
	unsigned loops;
	size_t intake_bytes_max;      /* bodies under way in the node */
	size_t head_bytes_max;        /* of all partitions; to 4 times that with many series */
	int64_t head_age_ms_max;
	uint64_t replay_bytes_max;    /* of bodies that a partition may be behind; 0: any */
	unsigned rollups;             /* which are kept: SERIES_ROLLUP_… */
	uint64_t ring_bytes_max;      /* of what was published, for patterns that catch up */
	uint64_t reserve_step;        /* seqs reserved at a time; 0: so many that it is seldom */
	/* Beyond it new series are refused; 0: no limit. In all, of a tenant, made by a principal,
	 * with different values of a tag of a tenant. */
	uint64_t series_max, tenant_series_max, principal_series_max, tag_values_max;
	uint64_t presence_linger_ms;  /* who is away no longer than that has not left */
	uint64_t presence_members_max; /* listed by all channels that show who is there */

	/* Any thread. What ends the process: storage failed twice, memory out in the middle of what
	 * was acknowledged. Does not return to normal work. */
	void (*fatal)(void *ctx, const char *what, int error);
	/* Any thread, often: the disk is full. May be NULL. */
	void (*full)(void *ctx);
	/* Any thread. Something an operator should read: damage, a flush that failed; with error 0
	 * that a limit is reached. */
	void (*warn)(void *ctx, const char *what, int error);
	void *ctx;
};

int flow_create(const struct flow_options *options, struct flow **ret_flow);

/* Ends the committer: after the loops and the workers, so that what it still answers can be
 * delivered before flow_destroy. May be left out where nothing is under way. */
void flow_stop(struct flow *flow);

/* After every loop stopped, every flow_loop was destroyed, and the workers, too: one of them may
 * still be handing the committer his mail. Stops the committer. NULL ok. */
void flow_destroy(struct flow *flow);

/* `loop`, `box` and `hub` are the loop's own; the partitions whose number modulo the loops is its
 * index become its. */
int flow_loop_create(struct flow *flow, struct loop *loop, struct mailbox *box,
    struct hub_local *hub, struct flow_loop **ret_loop);
void flow_loop_destroy(struct flow_loop *fl);

/* The hooks for this node's hub_locals (ctx: the flow). */
const struct hub_hooks *flow_hub_hooks(void);

/* ── start: before the loops run, on one thread ── */

/* The partition with this number, to attach parts and cursors to. */
struct series_partition *flow_partition(struct flow *flow, uint32_t number);

/* Part ids below this were used. */
void flow_set_next_part_id(struct flow *flow, uint64_t next_id);

/* A durable channel of the store's. Its time begins anew. 0, -ENOMEM, -EEXIST. */
int flow_channel_restore(struct flow *flow, const struct store_channel *row);

/* A row of who made a series (store_makers_load), when there is a limit on that. 0 or -ENOMEM. */
int flow_maker_restore(struct flow *flow, uint64_t series, uint64_t maker);

/* Replays the journal from the partitions' cursors into their heads, and what durable channels
 * remember of it into their histories. May run on any thread while
 * no loop touches partitions (the server is not ready); it starts further ones, as many as there
 * are loops, and they call `progress` (NULL ok) one at a time. 0, -ENOMEM, -EIO.
 * Damage is warned of and skipped. */
int flow_replay(struct flow *flow, void (*progress)(void *ctx, uint64_t seq, uint64_t seq_end),
    void *ctx);

/* Starts the committer's thread, which has the descriptors of the calling one, once all loops are
 * made. Where it was not called flow_start does it. 0 or -errno. */
int flow_start_committer(struct flow *flow);

/* Starts the numbering: appends are taken from here on. 0 or -errno. */
int flow_start(struct flow *flow);

/* ── what takes a seq ── */

/* The common part of what goes to the sequencer and comes back released. All flow's. */
struct flow_entry {
	struct mail mail;
	struct flow_entry *next;
	struct flow_loop *origin;
	uint64_t seq;
	uint8_t kind;
	bool ready;      /* nothing but its place in the order holds it back */
	int error;
};

/* An append. The caller's, flow's from flow_append until done(). */
struct flow_ticket {
	struct flow_entry entry;
	struct journal_record *record;  /* a reference, given back by flow after done() */
	/* On the loop that appended. 0: durable, and in the queue of every loop. -ENOSPC: the disk
	 * is full and nothing was kept. The ticket is the caller's again. */
	void (*done)(struct flow_ticket *ticket, int error);
};

/* Takes record (with its batch as record->parsed) over. 0; -EAGAIN when more than
 * intake_bytes_max is under way (nothing taken; the caller answers 429 or holds the body back). */
int flow_append(struct flow_loop *fl, struct flow_ticket *ticket);

/* Bytes of bodies under way in the node; any thread. */
size_t flow_intake_bytes(const struct flow *flow);

struct judge *flow_judge(struct flow_loop *fl); /* the loop's own */

/* Which times are taken: so far in the future and the past, and no older than is kept; 0: any. */
void flow_loop_set_times(struct flow_loop *fl, int64_t future_ms, int64_t past_ms,
    int64_t kept_ms);

/* ── channels ── */

#define FLOW_KEY_BYTES_MAX 255      /* of an idempotency key */
#define FLOW_KEY_MS (300 * 1000)    /* how long one is remembered */

/* One message for one or many channels. The caller's, flow's from flow_publish until done(); what
 * its spans point to lives as long. */
struct flow_publish {
	struct flow_ticket ticket;      /* flow's */
	struct span tenant, principal;
	const struct span *channels;    /* names (made when they are new, for an hour) and ids */
	size_t channel_count;           /* 1 … HUB_MESSAGE_CHANNELS_MAX */
	struct span key;                /* the same key again publishes nothing; empty: none */
	struct span type;               /* media type of what is no JSON; empty: JSON */
	struct span data;               /* JSON */

	/* On the loop that published, after release. 0; -ENOENT: `unknown` is all digits and no
	 * channel has that id; -ENOSPC: it could not be made durable, or its seq not reserved, and
	 * nobody heard it; -ENOMEM. */
	void (*done)(struct flow_publish *publish, int error);
	uint64_t seq;
	int64_t time_ms;
	size_t unknown;                 /* index in channels */
	atomic_size_t delivered;        /* to how many live subscriptions on this node */
	struct hub_message *message;    /* flow's, as all below */
	struct hub_channel *last;       /* of its channels, unless one was removed meanwhile */
	uint64_t removed;
};

void flow_publish(struct flow_loop *fl, struct flow_publish *publish);

/* What is known of a channel. */
struct flow_channel_info {
	uint64_t id;
	uint8_t name_len;
	char name[HUB_NAME_BYTES_MAX];
	int64_t expires_ms;             /* INT64_MAX: never */
	bool durable, presence;
	enum hub_slow slow;
	uint32_t meta_len;              /* GET: in `meta` */
	uint64_t subscribers;           /* on this node, by its name; GET and LIST */
	uint64_t messages, bytes, last_seq;
};

#define FLOW_CHANNEL_TTL_AS_IT_IS INT64_C(-1) /* RENEW: as long as it was */

enum flow_channel_op { FLOW_CHANNEL_ADD, FLOW_CHANNEL_RENEW, FLOW_CHANNEL_REMOVE,
	FLOW_CHANNEL_GET, FLOW_CHANNEL_LIST, FLOW_CHANNEL_NAMES, FLOW_CHANNEL_PRESENCE };

/* Longest name of a channel that shows who is there: it has another one, `$presence/NAME`, where
 * that is told. */
#define FLOW_PRESENCE_NAME_BYTES_MAX (HUB_NAME_BYTES_MAX - 10)

/* Of those who are at a channel. */
struct flow_presence {
	size_t members;
	uint64_t unlisted;              /* subscriptions that there was no room for */
	bool more;                      /* behind number_last, the last one listed */
	uint64_t number_last;
};

/* Something about channels. The caller's, flow's from flow_channel until done(). */
struct flow_channel {
	struct flow_entry entry;        /* flow's */
	enum flow_channel_op op;
	struct hub_channel_spec spec;   /* ADD; of the others the tenant */
	struct span name;               /* RENEW, REMOVE, GET, PRESENCE: which one, name or id */
	const struct span *names;       /* NAMES: which ones; `limit` of them */
	int64_t ttl_ms;                 /* RENEW; 0: it stays for ever */
	uint64_t after_id;              /* LIST: those behind it; PRESENCE: behind this number */
	size_t limit;                   /* LIST: how many; room in `infos`. PRESENCE: how many */
	struct flow_channel_info *infos; /* room for one, or for `limit`; the caller's */
	struct buf *meta;               /* GET: takes the meta data; PRESENCE: who is there, JSON
					objects with commas between; the caller's */
	struct flow_presence presence;
	size_t info_count;              /* how many there are; NAMES: the index of the unknown */
	/* On the loop that asked. 0; -EEXIST (infos[0] has it), -ENOENT, -ENOMEM; -ENODATA: the
	 * channel does not show who is there; of a durable one -ENOSPC and -EIO: it is not on disk,
	 * and as before. */
	void (*done)(struct flow_channel *op, int error);
	struct mail mail;               /* flow's, as all below */
	struct store_unit unit;
	struct store_channel row;
	unsigned at;
};

void flow_channel(struct flow_loop *fl, struct flow_channel *op);

/* ── questions ── */

/* The devices whose readings somebody may see. Immutable; any thread may look. */
struct flow_scope;

/* Copies the ids, which come in any order. -ENOMEM. */
int flow_scope_create(const struct flow_loop *fl, struct span tenant, const struct span *ids,
    size_t count, struct flow_scope **ret_scope);
void flow_scope_destroy(struct flow_scope *scope); /* NULL ok */
bool flow_scope_has(const struct flow_scope *scope, struct span id);

/* All its devices, in no order that matters. */
const struct span *flow_scope_all(const struct flow_scope *scope, size_t *ret_count);

/* A selector that owns its bytes. */
struct flow_selector {
	struct span tenant, metric;
	struct series_tag tags[SERIES_TAGS_MAX];
	size_t tag_count;
	const struct flow_scope *scope; /* of this tenant; lives until done(). NULL: all devices,
					and what is of none */
};

/* Snapshots of all matching series. The caller's, flow's from flow_ask until done(); cancel by
 * setting nothing: done() always comes (within one round of mail). */
struct flow_ask {
	struct flow_selector selector;  /* spans live until done() */
	int64_t from_ms, to_ms;
	size_t series_max;
	/* Before done(), where a single loop owns all that may match: on that loop, with what
	 * done() gets. For who can answer without waiting. NULL: nothing. */
	void (*here)(struct flow_ask *ask, struct series_snapshot *const *snapshots,
	    size_t count);
	void (*done)(struct flow_ask *ask, int error); /* on the asking loop */
	struct series_snapshot *snapshots[FLOW_PARTITIONS_MAX]; /* the caller's after done */
	size_t snapshot_count;
	struct flow_ask_legs *legs;     /* flow's */
};

int flow_ask(struct flow_loop *fl, struct flow_ask *ask); /* 0 or -ENOMEM: done() will not come */

/* The newest points of the matching series; each() runs on the owners' threads, one owner at a
 * time, in order of partition; it must only append to what the caller provided. */
struct flow_latest {
	struct flow_selector selector;
	int (*each)(void *ctx, const struct series_latest *latest);
	void *ctx;
	void (*done)(struct flow_latest *latest, int error);
	struct mail mail;               /* flow's, as all below */
	struct flow_loop *origin;
	unsigned at;
	int error;
};

void flow_latest(struct flow_loop *fl, struct flow_latest *latest);

/* ── the periodic look at what is kept ── */

/* Goes from loop to loop: each does and adds up what concerns its partitions. The caller's, flow's
 * from flow_look until done(). What of the series is to go is asked here too: a loop begins it (its
 * slots work one piece at a time) and the look does not wait for it. */
struct flow_look {
	void (*done)(struct flow_look *look); /* on the asking loop */

	/* What may go: points and roll-ups that lie before a time (INT64_MIN: none), and what makes
	 * the share of partitions more than their bytes (UINT64_MAX: no limit): each gives up in
	 * proportion, so `…_bytes_now` says what they had at the last look. */
	int64_t points_before_ms, rollups_before_ms;
	uint64_t points_bytes_max, points_bytes_now;
	uint64_t rollups_bytes_max, rollups_bytes_now;
	uint64_t flush_seq;             /* what is not in parts up to here becomes one early */

	/* The answers. */
	uint64_t cursor_seq;            /* every partition has all up to here in parts */
	uint64_t part_bytes;            /* of points and roll-ups */
	uint64_t points_bytes, rollups_bytes;

	struct mail mail;               /* flow's, as all below */
	struct flow_loop *origin;
	unsigned at;
};

void flow_look(struct flow_loop *fl, struct flow_look *look);

/* ── erasure ── */

/* All data of a device, up to now: hidden before done(), erased in the background after. The device
 * must be in no loop's registry any more (or what is still accepted lives on). The caller's, flow's
 * from flow_erase until done(). */
struct flow_erase {
	struct store_tombstone tombstone; /* tenant and device are the caller's, the rest flow's */
	/* On the asking loop. Not 0: it may be hidden, but is not after the next start. */
	void (*done)(struct flow_erase *erase, int error);
	struct mail mail;               /* flow's, as all below */
	struct store_unit unit;
	struct flow_loop *origin;
	unsigned at;
	bool quiet;                     /* nothing was on its way when it took its seq */
	int error;
};

void flow_erase(struct flow_loop *fl, struct flow_erase *erase);

/* At start, after the cursors were set and before parts are attached: a tombstone that is stored.
 * The next part id must lie above its part_id. 0 or -ENOMEM. */
int flow_hide(struct flow *flow, const struct store_tombstone *tombstone);

/* The journal holds nothing before `first_seq` any more: tombstones up to there are done as far as
 * raw messages go. Any thread, while the store's thread runs. 0 or -ENOMEM: then asked again. */
int flow_loop_raw_gone(struct flow_loop *fl, uint64_t first_seq);

/* The journal holds nothing of these any more, and no file does. / It could not be brought about,
 * and will be tried again: `why` is for whoever asks. Any thread, while the store's thread runs. 0
 * or -ENOMEM: then all is as before. */
int flow_loop_raw_erased(struct flow_loop *fl, struct tombs *tombs);
void flow_loop_raw_failed(struct flow_loop *fl, struct tombs *tombs, const char *why);

/* The journal goes on in a new segment (journal_roll). The caller's, flow's from flow_roll until
 * done(). On the first loop. */
struct flow_roll {
	void (*done)(struct flow_roll *roll, int error);
	uint64_t number;                /* of the last full segment */
	struct mail mail;               /* flow's, as all below */
	struct flow_loop *origin;
	int error;
};

void flow_roll(struct flow_loop *fl, struct flow_roll *roll);

/* What is hidden in the journal, a reference (tombs_unref); NULL: nothing. Any thread. */
struct tombs *flow_tombs(struct flow *flow);
struct tombs *flow_loop_tombs(struct flow_loop *fl);

/* ── end ── */

/* After the loops stopped, before workers are destroyed: they get nothing new to read. */
void flow_stop_reading(struct flow *flow);

/* Flushes every head of this loop's partitions and makes each day one part; done(ctx) when all is
 * stored or failed. For the end of life: nothing may be appended any more. */
void flow_loop_flush(struct flow_loop *fl, void (*done)(void *ctx, int error), void *ctx);

struct flow_stats {
	uint64_t records, readings, released_seq, commits, flushes, flushes_failed, merges, rolls;
	uint64_t retired;               /* times that days were given up */
	uint64_t erased;                /* steps of erasing */
	uint64_t records_failed, replayed;
	uint64_t series_refused[CENSUS_LIMIT_COUNT]; /* points of new series, by limit */
	uint64_t present, presence_told; /* members listed now; messages about them */
	uint64_t view_pasts;             /* questions for which the journal was read */
};
void flow_stats(const struct flow *flow, struct flow_stats *ret_stats); /* any thread */

/* This loop's partitions, summed. */
void flow_loop_series_stats(struct flow_loop *fl, struct series_partition_stats *ret_stats);

#endif
