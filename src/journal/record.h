/*
 * record.h: one journal record in memory, from the moment it was judged to the last reader's end.
 *
 * Built by the loop that took it in, then immutable but for what the header names: the sequencer
 * writes seq, the committer writes error, each before handing it on by mail. Counted references.
 * Replay reads nothing else: not registry, clock or settings.
 */
#ifndef WEIR_RECORD_H
#define WEIR_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"
#include "thread.h"

/* Numbers on disk: never reuse one. */
enum journal_stream {
	JOURNAL_RESERVE = 1,  /* body: u64 little-endian, seqs below may have been handed out */
	JOURNAL_REPORTS = 2,  /* readings as they came */
	JOURNAL_MESSAGES = 3, /* durable channels */
	JOURNAL_SIGNALS = 4,  /* what processors tell each other */
};

enum journal_format {
	JOURNAL_FORMAT_NONE = 0,
	JOURNAL_FORMAT_JSON = 1,   /* one object or one array of items of POST /api/v1/readings */
	JOURNAL_FORMAT_NDJSON = 2, /* complete lines of such items */
	JOURNAL_FORMAT_LINE = 3,   /* complete lines of line protocol; precision in `hints` */
	JOURNAL_FORMAT_MESSAGES = 4, /* complete lines of JSON: messages of the gateway who is the
				record's principal */
};

/* Why an item was not accepted; numbers on disk. Texts: flow/verdict.h. */
struct journal_reject {
	uint32_t item;    /* index of the item or line in the body, from 0 */
	int32_t reading;  /* index within the item, -1: the whole item */
	uint32_t code;
};

struct journal_record {
	refcount refs;
	uint64_t seq;          /* written by the sequencer; 0 before */
	uint32_t count;        /* seqs taken: 1 + the messages this record makes */
	uint16_t stream;       /* enum journal_stream */
	uint16_t format;       /* enum journal_format */
	uint32_t hints;        /* format's own: precision of line protocol */
	int64_t arrival_ms;
	struct span tenant;    /* "main" */
	struct span principal; /* "app-NAME", "gateway-7" */
	struct span body;      /* as it came, every auth value overwritten by '*' */
	const struct journal_reject *rejects; /* ascending by (item, reading) */
	uint32_t reject_count;
	int error;             /* written by the committer: 0 durable, else negative errno */

	/* Live only, not on disk: what the intake already parsed, so that it is parsed once. */
	void *parsed;
	void (*parsed_destroy)(void *parsed);
	unsigned origin_loop;
	void *origin_cookie;   /* for the origin loop's own use */
	struct journal_record *next; /* a queue's link: whoever holds the record in a queue */
};

/* Copies tenant, principal, rejects, and either copies `body` or, when `body_malloced`, takes that
 * malloc'd memory over (also on failure it stays the caller's). One reference. 0 or -ENOMEM. */
int journal_record_create(const struct journal_record *like, bool body_malloced,
    struct journal_record **ret_record);

struct journal_record *journal_record_ref(struct journal_record *record); /* any thread */
void journal_record_unref(struct journal_record *record);                /* any thread; NULL ok */

#endif
