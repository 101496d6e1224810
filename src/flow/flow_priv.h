/*
 * flow_priv.h: what the files of this room share.
 */
#ifndef WEIR_FLOW_PRIV_H
#define WEIR_FLOW_PRIV_H

#include <stdatomic.h>

#include "census.h"
#include "flow.h"
#include "list.h"
#include "makers.h"
#include "map.h"

#define FLOW_PROCESSOR "points"             /* the cursor's name in the store */
#define FLOW_RESERVE_STEP (1ull << 24)      /* seqs reserved at a time, unless told otherwise */
#define FLOW_RELEASE_MAX 1024u              /* entries released in one turn */
#define FLOW_GATHER_NS 200000u              /* a commit waits so long for those that come */
#define FLOW_GATHER_BYTES (256u << 10)      /* unless so much has come */
#define FLOW_GATHER_RECORDS 16u             /* or so many: their share of its cost is small */
#define FLOW_RETRY_MS 5000                  /* after a flush that failed */
#define FLOW_SHELF_BYTES_MAX (4u << 20)     /* of parts, kept for queries */
#define FLOW_ERASE_RETRY_MS 600000          /* after a step of erasing that failed */

enum flow_kind { FLOW_TICKET, FLOW_PUBLISH, FLOW_WANT, FLOW_ASK, FLOW_CHANNEL, FLOW_CLOSED };

/* A loop begins or ends to want a pattern: one allocation with its text. */
struct flow_want {
	struct flow_entry entry;
	struct span tenant, pattern;
	bool wanted;
	uint64_t token;
};

/* A loop asks what was: one allocation with its texts. */
struct flow_past {
	struct flow_entry entry;
	struct hub_question question;
	uint64_t token;
	struct views_reading *reading; /* what views showed; NULL: not asked for, or not begun */
	bool gap;
};

/* Messages for an answer, references, in the order of their seqs. */
struct views_gather {
	struct hub_message **messages;
	size_t count, cap;
};

/* A channel whose time is over. */
struct flow_closed {
	struct flow_entry entry;
	uint64_t id;
	struct span tenant, name;
};

/* ── committer.c ── */

/* What goes to the committer and comes back. */
struct commit_batch {
	struct mail mail;
	struct committer *committer;
	struct journal_record **records;
	struct flow_ticket **tickets;
	size_t count, cap, bytes;          /* bytes of bodies */
	int error;
};

struct committer;

/* Starts the thread. `done` is called on the loop of `reply_to`. 0 or -errno. */
int committer_create(struct flow *flow, struct mailbox *reply_to,
    void (*done)(struct flow *flow, struct commit_batch *batch), struct committer **ret_committer);
void committer_begin(struct committer *committer); /* looks after the first spare segment */
void committer_destroy(struct committer *committer); /* NULL ok; nothing may be in flight */
void committer_send(struct committer *committer, struct commit_batch *batch);
void committer_roll(struct committer *committer, struct flow_roll *roll);

/* ── channels.c: on the first loop ── */

struct release;

/* presence.c's. */
struct presences {
	struct flow *flow;
	struct map places;                 /* of struct place: channels that show who is there */
	struct list away;                  /* of member.away: nobody of them is subscribed now */
	struct list untold;                /* of place.untold */
	struct loop_task tell;
	struct loop_timer timer;           /* after who is away for too long */
	uint64_t number_last;
};

/* views_past.c's. */
struct views_pasts {
	struct list waiting, active;       /* of views_reading.link */
	size_t waiting_count;
	unsigned running;
	struct list tail;                  /* of tail_record.link */
	size_t tail_bytes;
	size_t tail_bytes_max;
	uint64_t tail_lost;                /* reports up to this seq are not in the tail */
	/* Read before others have their turn; read in all without finding anything. */
	uint64_t turn_bytes, empty_bytes_max;
	bool stopped;
};

struct channels {
	struct hub_channels *registry;
	struct presences *presences;
	struct map keys;                   /* of struct key */
	struct list keys_by_age;
	uint64_t viewed_seq;               /* up to which views may have shown something */
	int64_t viewed_ms;
	struct views_pasts pasts;
	int64_t time_last_ms;              /* of the last message: no later one has an earlier */
	uint64_t refill_first;             /* the lowest id of what was restored; 0: nothing was */
	int64_t refill_ms;                 /* the longest history of it */
	struct loop_timer look;            /* after ends of channels and of keys; the first loop
						cancels it when it ends */
};

int channels_create(struct flow *flow);  /* 0 or -ENOMEM */
int channels_start(struct flow *flow);   /* when all is restored; 0 or -ENOMEM */
void channels_finish(struct flow *flow);

/* A message gets its seq, its time, its channels; those that are not there yet are made. Whether
 * it is to be committed: then its ticket has a record. */
bool channels_number(struct flow *flow, struct flow_publish *publish);

/* At its turn: into the histories, and to who wants it. 0 or -ENOMEM. */
int channels_release(struct flow *flow, struct flow_publish *publish, struct release *release);

/* 0 or -ENOMEM; *ret_gone: it is answered later, when it comes again. */
int channels_answer(struct flow *flow, struct flow_past *past, struct release *release,
    bool *ret_gone);

/* How many seqs it takes: a channel that is made one, its id. */
unsigned channels_takes(const struct flow_channel *op);

/* 0: it is through, entry.error says how; 1: it goes on by itself. */
int channels_apply(struct flow *flow, struct flow_channel *op, struct release *release);
int channels_close(struct flow *flow, struct flow_closed *closed, struct release *release);

/* Removes it, and tells who is subscribed. Another one may go with it. */
void channels_end(struct flow *flow, struct hub_channel *channel);

/* When it ends from now on. */
int64_t channels_renew(struct flow *flow, struct hub_channel *channel, int64_t ttl_ms);

/* Remembers the message's key, if it has one. 0 or -ENOMEM. */
int channels_key_keep(struct flow *flow, const struct flow_publish *publish);

/* ── presence.c: on the first loop ── */

#define PRESENCE_TREE "$presence/"

int presence_create(struct flow *flow);   /* 0 or -ENOMEM */
int presence_start(struct flow *flow);    /* when there are loops; 0 or -ENOMEM */
void presence_stop(struct flow *flow);    /* on the first loop */
void presence_destroy(struct presences *presences);

/* A channel shows who is there from now on: takes the id behind its own. 0 or -ENOMEM. */
int presence_begin(struct flow *flow, const struct hub_channel *channel, int64_t now_ms);
void presence_end(struct flow *flow, const struct hub_channel *channel); /* if it does */

/* A loop wants a pattern: whether that is a name of one is told it. 0 or -ENOMEM. */
int presence_wanted(struct flow *flow, unsigned loop, struct span tenant, struct span pattern,
    struct release *release);

/* 0; -ENODATA: it does not show it; -ENOMEM. */
int presence_list(const struct flow *flow, const struct hub_channel *channel,
    struct flow_channel *op);

/* Somebody came or left. Any loop. */
void presence_sighted(struct flow *flow, uint64_t channel, const struct hub_member *member,
    bool here);

/* ── channels_kept.c: on the first loop ── */

/* These settle the operation when the store is done with it. */
void channels_kept_add(struct flow *flow, struct flow_channel *op,
    const struct hub_channel *channel);
void channels_kept_change(struct flow *flow, struct flow_channel *op,
    const struct hub_channel *channel);    /* renewed or removed */

/* One whose time is over: ends when its row is gone. */
void channels_kept_over(struct flow *flow, struct hub_channel *channel);

/* At start: histories of restored channels, out of the journal. 0, -ENOMEM, -EIO. */
int channels_refill(struct flow *flow,
    void (*progress)(void *ctx, uint64_t seq, uint64_t seq_end), void *ctx);

/* ── sequencer.c: on the first loop ── */

struct sequencer {
	struct loop_task append, flush, gather;
	uint64_t next_seq;
	uint64_t reserved;                 /* asked for: a record in the list, or older, says so */
	uint64_t reserved_durable;         /* said so on disk */
	struct flow_ticket *ahead;         /* reserves the next range, in no list; NULL: none */
	uint64_t ahead_seq;                /* from this seq on it is time for one */
	struct flow_entry *head, **tail;   /* in seq order, not yet released */
	struct commit_batch batches[2];    /* one fills while the other is in flight */
	struct commit_batch *filling;
	bool in_flight;
	size_t expected;                   /* records under way when the last commit ended */
	uint64_t gather_end_ns;            /* so long the next one may wait for as many; 0: not */
	struct channels channels;
};

int sequencer_start(struct flow *flow);
void sequencer_finish(struct flow *flow);

/* Tells the origin of an entry that it is through. */
void sequencer_settle(struct flow_entry *entry);

/* The same for many, chained by origin; `fl` is the loop that this is called on, whose own are told
 * within the call. sequencer_chain puts an entry first. */
void sequencer_chain(struct flow_entry **chains, struct flow_entry *entry);
void sequencer_settle_chains(struct flow_loop *fl, struct flow_entry **chains);

/* Takes `count` seqs: the first of them. They are reserved, or the process ends. */
uint64_t sequencer_take(struct flow *flow, unsigned count);

/* Hands an entry to the sequencer, on its origin's loop; in the order of the calls. Messages that
 * are published in the same turn go together, in its LOOP_FLUSH. */
void sequencer_submit(struct flow_loop *fl, struct flow_entry *entry, enum flow_kind kind);
void sequencer_submit_init(struct flow_loop *fl);
void sequencer_submit_finish(struct flow_loop *fl);

/* One that was released takes its place among the entries again. On the first loop. */
void sequencer_submit_again(struct flow_entry *entry);

/* ── points.c ── */

struct points_slot; /* one partition's flushing and merging */

struct points {
	struct points_slot *slots;
	unsigned count;
	struct loop_timer timer;
	bool ending; /* flow_loop_flush was called: no more retries, merges */
	void (*flushed)(void *ctx, int error); /* of flow_loop_flush; NULL: not asked */
	void *flushed_ctx;
	int flushed_error;
};

int points_create(struct flow_loop *fl);
void points_destroy(struct flow_loop *fl);

/* A released record: its points join the heads of this loop's partitions. */
void points_apply(struct flow_loop *fl, const struct journal_record *record);

/* Records came by, of whatever partitions: all cursors are to follow some time. */
void points_passed(struct flow_loop *fl);

/* After the records of a release: flushes what became too large, arms the timer. */
void points_settle(struct flow_loop *fl);

/* What lies before these times is to go, in the loop's partition `index`. */
void points_retire(struct flow_loop *fl, unsigned index, int64_t points_before_ms,
    int64_t rollups_before_ms);

/* The head of the loop's partition `index` becomes a part before its time, and its cursor moves. */
void points_flush(struct flow_loop *fl, unsigned index);

/* ── erase.c ── */

/* The points of `tombs` could not be erased; stored for whoever asks. Any thread. */
void erase_series_failed(struct flow *flow, struct tombs *tombs, const char *why);

/* ── views.c: on the first loop ── */

/* Whether the pattern may mean the name of a view; and of nothing else. */
bool views_match(struct span pattern);
bool views_only(struct span pattern);

/* Who takes the messages of a record; `batch` has its points. */
struct views_taker {
	/* Whether a message is wanted, before its data is made; `device` with ptr NULL: of none. */
	bool (*wants)(void *ctx, uint64_t seq, struct span device, struct span name);
	int (*give)(void *ctx, uint64_t seq, struct span name, struct span data);
	void *ctx;
};

/* In the order of their seqs, those of points before those of messages. `text` is the caller's,
 * reused. 0, -ENOMEM, what give() said; -EBADMSG: damage that the record's CRC did not see. Any
 * thread. */
int views_of_points(const struct journal_record *record, const struct series_batch *batch,
    uint32_t partitions, const struct views_taker *taker, struct buf *text);
int views_of_messages(const struct journal_record *record, const struct series_batch *batch,
    const struct views_taker *taker, struct buf *text);

/* Adds the view messages of a released record that somebody wants. 0 or -ENOMEM. */
int views_add(struct flow *flow, struct release *release, const struct journal_record *record);

/* ── views_past.c: on the first loop ── */

int views_gather_add(struct views_gather *gather, struct hub_message *message); /* takes it over */
void views_gather_finish(struct views_gather *gather);

void views_past_init(struct flow *flow);

/* Whether something that is asked for was shown. */
bool views_past_asked(const struct flow *flow, const struct hub_question *question);

/* Begins to read for it. 0: its entry is views_past.c's, and comes again when that is done;
 * -EAGAIN, -ENOMEM. */
int views_past_begin(struct flow *flow, struct flow_past *past);

/* When it has come again, at its turn: adds what was released meanwhile. false: it reads on. */
bool views_past_join(struct flow *flow, struct flow_past *past);

/* What was found, which is all up to *ret_upto (UINT64_MAX: all there is). */
struct views_gather *views_past_found(const struct flow_past *past, uint64_t *ret_upto,
    bool *ret_gap);
void views_past_end(struct flow_past *past);

/* A report was released. */
void views_past_released(struct flow *flow, struct journal_record *record);

/* No more work for workers: who waits is told of a gap. */
void views_past_stop(struct flow *flow);

/* ── release.c: what a turn of the sequencer lets go, the same object for all loops ── */

int release_create(struct flow *flow, struct release **ret_release);
int release_add_record(struct release *release, struct journal_record *record);  /* refs */
int release_add_message(struct release *release, struct hub_message *message, uint64_t loops);

/* The same for a client's message: its publisher is told when every loop has delivered it. */
int release_add_publish(struct release *release, struct flow_publish *publish, uint64_t loops);
int release_add_answer(struct release *release, unsigned loop, const struct hub_caught *caught,
    struct hub_message **messages, size_t count); /* takes the array and its references over */
int release_add_closed(struct release *release, uint64_t id, struct span tenant,
    struct span name);
/* A channel, which shows who is there, for these loops. */
int release_add_present(struct release *release, uint64_t loops, uint64_t id, struct span tenant,
    struct span name);
int release_add_confirm(struct release *release, unsigned loop, uint64_t token, uint64_t seq);

/* Hands it to every loop that it concerns but, unless it has older ones to take, the one that this
 * is called on: whether that is to take its part now. release_end follows, with what this said. */
bool release_send(struct release *release, uint64_t seq_last, struct flow_loop *fl);

/* The part of the loop that this is called on, within the call; gives the reference up. */
void release_end(struct release *release, struct flow_loop *fl, bool take);

/* ── flow.c ── */

/* The floor of a partition has risen: judges are to know. On its owner. */
void flow_floor_raise(struct flow *flow, uint32_t partition);

/* At start: all series of the partitions count. Once. 0 or -ENOMEM. */
int flow_count_series(struct flow *flow);

struct flow_counters {
	atomic_uint_fast64_t records, readings, released_seq, commits, flushes, flushes_failed;
	atomic_uint_fast64_t merges, rolls, retired, erased, records_failed, replayed;
	atomic_uint_fast64_t present, presence_told, view_pasts;
};

struct flow {
	struct flow_options options;
	struct hub *hub;
	struct flow_loop *loops[FLOW_LOOPS_MAX];
	struct series_partition *partitions[FLOW_PARTITIONS_MAX];
	_Atomic uint64_t next_part_id;
	atomic_size_t intake_bytes;
	struct sequencer sequencer;
	struct committer *committer;
	struct flow_counters counters;
	atomic_uint_fast64_t released_bytes; /* of bodies, replayed ones too */
	pthread_mutex_t tombs_lock;
	struct tombs *tombs;               /* what is hidden in the journal; NULL: nothing */
	struct series_shelf *shelf;        /* what queries have read, of all partitions */
	struct census *census;             /* NULL: there is no limit on series */
	struct makers *makers;             /* NULL: there is none on those of a principal */
	bool counted;                      /* the census has all that parts have */
	struct judge_floors floors;
	_Atomic int64_t floor_of[FLOW_PARTITIONS_MAX];
};

struct flow_loop {
	struct flow *flow;
	struct loop *loop;
	struct mailbox *box;
	struct hub_local *hub;
	unsigned index;
	struct judge *judge;
	uint64_t released_seq;             /* all up to it came by here; see flow_position */
	atomic_uint_fast64_t handed;       /* releases that the sequencer gave this loop */
	uint64_t handed_ms;                /* when it did; the sequencer's */
	uint64_t taken;                    /* of them, those that it has worked off */
	struct loop_task submit;
	struct flow_entry *said, **said_tail; /* published in this turn */
	struct points points;
};

/* The loop that owns a partition. */
static inline struct flow_loop *
flow_owner(const struct flow *flow, uint32_t partition)
{
	return flow->loops[partition % flow->options.loops];
}

static inline uint64_t
flow_all_loops(const struct flow *flow)
{
	return UINT64_MAX >> (64 - flow->options.loops);
}

/* All up to this seq has been released and worked off by this loop, as far as it concerns it. */
uint64_t flow_position(struct flow_loop *fl);

static inline void
flow_full(const struct flow *flow)
{
	if (flow->options.full)
		flow->options.full(flow->options.ctx);
}

static inline void
flow_count(atomic_uint_fast64_t *counter, uint64_t by)
{
	atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* ── scope.c ── */

/* The ids of a partition, ascending; NULL: there are none. */
const struct span *flow_scope_part(const struct flow_scope *scope, uint32_t partition,
    size_t *ret_count);

#endif
