/*
 * hub.h: channels: names and patterns, live delivery, and catching up.
 *
 * Two halves. The *hub* lives with the sequencer: it knows which loops want which names and
 * patterns, makes each message once and sends it to the loops that want it, in seq order. A
 * *hub_local* lives on each loop: it knows that loop's subscriptions and hands a message to their
 * sinks. A message is immutable and counted; what a transport sends of it is encoded once and kept
 * with it. What channels there are and what they remember is in hub_channels.h.
 */
#ifndef WEIR_HUB_H
#define WEIR_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "span.h"
#include "thread.h"

/* ── names ── */

#define HUB_NAME_BYTES_MAX 255

/* 0, or -EINVAL with *ret_reason a sentence: UTF-8, 1..255 bytes, no empty level, no '+' or '#'
 * in a name, nor all digits; in a pattern '+' fills a level and '#' the last one(s). All digits are
 * the name of a channel that was made without one: its id. */
int hub_name_check(struct span name, const char **ret_reason);
int hub_pattern_check(struct span pattern, const char **ret_reason);
bool hub_pattern_is_name(struct span pattern); /* no wild cards */
bool hub_pattern_is_id(struct span pattern);   /* all digits */
bool hub_pattern_matches(struct span pattern, struct span name);
bool hub_name_is_hidden(struct span name); /* from patterns that begin with a wild card: "$…" */

/* Percent-encodes `/ + # %` and controls into a level; an empty part becomes "-". */
int hub_level_encode(struct buf *out, struct span part);

/* ── messages ── */

enum hub_form { HUB_FORM_SSE, HUB_FORM_WS, HUB_FORM_WS_DEFLATE, HUB_FORM_POLL, HUB_FORM_COUNT };

#define HUB_MESSAGE_CHANNELS_MAX 64

/* One of the channels that a message is on. */
struct hub_target {
	struct span name;
	uint64_t id;        /* 0: not known here, or of a view, which has none */
};

/* What becomes of messages for a subscriber that reads more slowly than they come. */
enum hub_slow {
	HUB_SLOW_UNSAID,      /* by a subscriber: as the channel says; by a channel: DISCONNECT */
	HUB_SLOW_DISCONNECT,  /* he ends, and is told where to resume */
	HUB_SLOW_DROP_OLDEST, /* of those that wait the newest stay, after a gap */
	HUB_SLOW_DROP_NEWEST, /* those that wait stay; a gap follows */
	HUB_SLOW_COUNT
};

/* The words for them; NULL for UNSAID. hub_slow_find: UNSAID when it is none of them. */
const char *hub_slow_word(enum hub_slow slow);
enum hub_slow hub_slow_find(struct span word);

struct hub_message {
	refcount refs;
	uint32_t channel_count;
	uint64_t seq;       /* its id is "m" + decimal */
	int64_t time_ms;
	struct span tenant;
	struct span type;   /* media type of what was published; empty: JSON */
	struct span data;   /* JSON */
	const struct hub_target *channels;
	enum hub_slow slow; /* as its channels say, where they agree */
	void *forms[HUB_FORM_COUNT]; /* encoded once; see hub_message_form */
};

/* Which of a message's channels: bit n for the n-th. */
#define HUB_ALL_CHANNELS UINT64_MAX

/* One allocation; copies all of `like` but its forms. One reference. 0 or -ENOMEM. */
int hub_message_copy(const struct hub_message *like, struct hub_message **ret_message);

/* The same for a message on one channel, of a view. */
int hub_message_create(uint64_t seq, int64_t time_ms, struct span tenant, struct span channel,
    struct span data, struct hub_message **ret_message);
struct hub_message *hub_message_ref(struct hub_message *message);
void hub_message_unref(struct hub_message *message);

/* Appends {"id":"m7","time":…,"channels":["a"],"data":…}, with those of its channels that are in
 * `channels`, and "type" where it has one. 0 or -ENOMEM. */
int hub_message_json(const struct hub_message *message, uint64_t channels, struct buf *out);

/* The bytes of this form for this set of channels, made by `encode` at the first call and kept (any
 * thread; when two make it at once one copy is dropped). 0 or -ENOMEM; *ret_bytes lives as long as
 * the message. */
int hub_message_form(struct hub_message *message, enum hub_form form, uint64_t channels,
    int (*encode)(const struct hub_message *message, uint64_t channels, struct buf *out),
    struct span *ret_bytes);

/* Messages that come at once on the same channel, and no other; in the order of their seqs. */
#define HUB_RUN_MAX 64
struct hub_joined;
struct hub_run {
	struct hub_message *const *messages;
	size_t count;                             /* up to HUB_RUN_MAX */
	struct hub_joined *joined[HUB_FORM_COUNT]; /* NULL: not made yet */
};

/* This form of all of them, one behind the other, made at the first call and kept. 0 with
 * *ret_bytes that live until hub_joined_unref(*ret_joined), on the same thread; or -ENOMEM. */
int hub_run_form(struct hub_run *run, enum hub_form form,
    int (*encode)(const struct hub_message *message, uint64_t channels, struct buf *out),
    struct span *ret_bytes, void **ret_joined);
void hub_joined_unref(void *joined);
void hub_run_finish(struct hub_run *run);

/* ── a loop's half ── */

struct hub_local;
struct hub_subscription;
struct loop;

/* What a client asks for of the past. */
enum hub_since { HUB_SINCE_OLDEST, HUB_SINCE_TIME, HUB_SINCE_CURSOR,
	HUB_SINCE_NOW /* nothing; but ids must be there */ };

#define HUB_QUESTION_PATTERNS_MAX 4096

struct hub_question {
	struct span tenant;
	const struct span *patterns; /* names and patterns */
	size_t pattern_count;
	/* NULL, or for each pattern the id of the channel that must be there; 0: none need. */
	const uint64_t *ids;
	enum hub_since since;
	int64_t from_ms;          /* HUB_SINCE_TIME: messages of this time and later */
	uint64_t cursor;          /* HUB_SINCE_CURSOR: messages behind this seq */
	int64_t until_ms;         /* and of this time and earlier; INT64_MAX: all */
	uint32_t limit;
	/* 0, or how many bytes of messages are enough for one answer; the first one is given
	 * however long it is. */
	size_t bytes_max;
};

/* What a message takes beside its data where it is written out, more or less; it counts for
 * bytes_max. */
#define HUB_MESSAGE_BYTES_WRITTEN 128u

struct hub_answer {
	bool gap;                 /* something that was asked for is not there any more */
	bool more;                /* a limit was reached: go on from seq_last */
	uint64_t seq_last;        /* of the last message given; 0: none */
	uint64_t seq_beyond;      /* of the first after until_ms that channels have; 0: none */
};

/* How a question was answered. Its messages were delivered before. */
struct hub_caught {
	uint64_t token;           /* what hub_catch gave */
	int error;                /* 0; -ENOENT: a channel is not there any more; -ENOMEM */
	size_t gone;              /* -ENOENT: which of the patterns has none */
	struct hub_answer answer;
	uint64_t seq;             /* the answer is of this moment */
};

/* The cursor behind an answer: nothing that is kept is lost or repeated by going on from it. */
uint64_t hub_caught_next(const struct hub_question *question, const struct hub_caught *caught);

/* Somebody at a channel that shows who is there. */
struct hub_member {
	struct span name;         /* empty: not to be shown */
	struct span info;         /* JSON of its own; empty: none */
};

/* All that channels know of a receiver. Called on the loop's thread; none may subscribe,
 * unsubscribe, ask or destroy anything now (record the fact, act in LOOP_WRITE or LOOP_REAP). */
struct sink;
struct sink_ops {
	/* One message: live ones in seq order, each once, those of a channel that very many hear
	 * some turns after they came; or one that was asked for, then caught()
	 * follows. `channels`: which of its channels the sink's subscriptions matched. */
	void (*deliver)(struct sink *sink, struct hub_message *message, uint64_t channels);
	/* Several live ones, on channels that are all matched: instead of deliver() for each. May
	 * be NULL. */
	void (*deliver_run)(struct sink *sink, struct hub_run *run);
	/* One subscription is in force: every message with a later seq will be delivered. Called
	 * once for each hub_subscribe that succeeded and was not undone. */
	void (*subscribed)(struct sink *sink, uint64_t seq);
	/* Before the messages of an answer: some of what was asked for is gone. May be NULL where
	 * none is asked, as caught() may. */
	void (*gap)(struct sink *sink);
	/* A question was answered. */
	void (*caught)(struct sink *sink, const struct hub_caught *caught);
	/* A channel that it subscribed to by name is no more, nor is that subscription: a channel
	 * that is made by this name later is another one. May be NULL. */
	void (*closed)(struct sink *sink, const struct hub_target *channel);
	/* Who it is, where a channel shows who is there; without a name it is not shown. The same
	 * while it has subscriptions. May be NULL. */
	void (*who)(const struct sink *sink, struct hub_member *ret_member);
};

struct sink {
	const struct sink_ops *ops;
	struct hub_subscription *subscriptions; /* chained, newest first */
	uint64_t seq_last;         /* the last live one delivered */
	uint32_t match;            /* hub_local's, while it delivers */
	uint16_t waiting;          /* subscriptions that are not in force yet */
	uint16_t asking;           /* questions whose answer is still to come */
};

void hub_sink_init(struct sink *sink, const struct sink_ops *ops);

struct hub_hooks {
	/* Tells the sequencer's hub, by mail, that this loop now wants (or no longer wants) a
	 * pattern. A want is answered by hub_local_confirmed(…, token, …) through the loop's
	 * queue; `token` is 0 for the end of a want, which needs no answer. 0 or a negative errno
	 * (a want only: the end of one that could not be told leaves mail that finds nobody). */
	int (*want)(void *ctx, unsigned loop, struct span tenant, struct span pattern, bool wanted,
	    uint64_t token);
	/* Asks the sequencer, behind all wants told so far; answered by hub_local_caught(…, token,
	 * …) through the loop's queue. Copies the question. 0 or -ENOMEM. */
	int (*ask)(void *ctx, unsigned loop, const struct hub_question *question, uint64_t token);
	/* A sink came to (or left) the channel of this id, by its name; each that leaves came
	 * before. Copies. NULL where no channel shows who is there. */
	void (*present)(void *ctx, unsigned loop, uint64_t channel,
	    const struct hub_member *member, bool here);
};

int hub_local_create(struct loop *loop, const struct hub_hooks *hooks, void *ctx,
    struct hub_local **ret_local);
void hub_local_destroy(struct hub_local *local); /* every sink must have unsubscribed */

/* Subscribes. 0, -ENOMEM, -EINVAL (no pattern), -EEXIST (the sink has it). subscribed() follows,
 * never within the call: when the sequencer has confirmed the pattern or, if this loop has it
 * already, in this turn's LOOP_FLUSH, with the position that the loop's queue has come to. */
int hub_subscribe(struct hub_local *local, struct sink *sink, struct span tenant,
    struct span pattern);
int hub_unsubscribe(struct hub_local *local, struct sink *sink, struct span tenant,
    struct span pattern); /* 0 or -ENOENT */
void hub_unsubscribe_newest(struct hub_local *local, struct sink *sink); /* it must have one */
void hub_unsubscribe_all(struct hub_local *local, struct sink *sink); /* guarantees silence */

/* What is on its way to this sink while very many are told of it is delivered now. */
void hub_hurry(struct hub_local *local, struct sink *sink);

/* Asks for what was; answered by deliver() for each message and then caught(). With `stay` the sink
 * also subscribes to the question's patterns (each new to it, else -EEXIST): what comes after the
 * moment of the answer follows live, without a seam. An answer with `more` leaves them silent until
 * hub_catch_go_on, which asks for what follows its seq_last, has been answered without. 0 with the
 * question's token, -ENOMEM, -EINVAL, -EEXIST. */
int hub_catch(struct hub_local *local, struct sink *sink, const struct hub_question *question,
    bool stay, uint64_t *ret_token);

/* `token` becomes that of the new question. 0 or -ENOMEM. */
int hub_catch_go_on(struct hub_local *local, struct sink *sink, const struct hub_question *rest,
    uint64_t *token);

/* The question of this token, if it is under way, is not answered any more. Its subscriptions stay
 * silent: they end, or hub_catch_go_on asks again. */
void hub_forget(struct hub_local *local, const struct sink *sink, uint64_t token);

/* From the loop's queue, in seq order. hub_local_advance: every entry up to this seq has been taken
 * from the queue, whether or not it was a message for this loop. */
void hub_local_advance(struct hub_local *local, uint64_t seq);
void hub_local_confirmed(struct hub_local *local, uint64_t token, uint64_t seq);

/* The answer to a question: `messages` are on the channels that were asked for. */
void hub_local_caught(struct hub_local *local, const struct hub_caught *caught,
    struct hub_message *const *messages, size_t count);
void hub_local_closed(struct hub_local *local, struct span tenant,
    const struct hub_target *channel);

/* The channel of this id shows who is there: tells of all that are subscribed to its name, and from
 * now on of each that comes or leaves, until it is closed. */
void hub_local_present(struct hub_local *local, struct span tenant,
    const struct hub_target *channel);

/* Returns how many sinks got it, or will get it in the next turns: a message for very many is
 * told a bounded number of them a turn, in LOOP_WORK. */
size_t hub_local_deliver(struct hub_local *local, struct hub_message *message);

/* The same for 1 to HUB_RUN_MAX messages that follow one another on the same channel; adds to
 * `delivered`, of each. */
void hub_local_deliver_run(struct hub_local *local, struct hub_message *const *messages,
    size_t count, size_t *delivered);

/* How many sinks are subscribed to this name. */
size_t hub_local_count(const struct hub_local *local, struct span tenant, struct span name);

/* Patterns the sink is subscribed to; pos starts at NULL. false at the end. */
bool hub_sink_next(const struct sink *sink, struct hub_subscription **pos,
    struct span *ret_pattern);

struct hub_stats { uint64_t subscriptions, sinks, delivered; };
void hub_local_stats(const struct hub_local *local, struct hub_stats *ret_stats);

/* ── the sequencer's half ── */

struct hub;

/* 0, -ENOMEM, -EINVAL (no loop, or over 64). */
int hub_create(unsigned loops, struct hub **ret_hub);
void hub_destroy(struct hub *hub);

/* A loop wants, or no longer wants, a pattern. 0, -ENOMEM, -EINVAL (longer than any pattern). */
int hub_want(struct hub *hub, unsigned loop, struct span tenant, struct span pattern, bool wanted);

/* Which loops want this name, as a bit set; 0: nobody, make no message. Cheap when nothing at all
 * is wanted below `readings/` and the like. */
uint64_t hub_wanted(const struct hub *hub, struct span tenant, struct span name);
bool hub_wants_any(const struct hub *hub, struct span tenant, struct span first_level);

#endif
