/*
 * journal_segment.c: segment files: made, used again, trimmed.
 *
 * Names in DATA/journal: 16 decimal digits and ".seg"; "spare-N.seg" is a file of full length that
 * was really written and waits for use; "*.tmp" is unfinished, "*.gone" given up and not yet
 * overwritten: both go at start.
 *
 * Invariants. A file bears a segment's name only after its head is on disk. The head says where
 * the segment before ends: once its making was tried, nothing more is written to the one before.
 * Numbers are never used twice. A spare's old name is gone from the disk before the file is
 * written to again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "journal_priv.h"

#define NUMBER_DIGITS 16
#define NUMBER_MAX 9999999999999999u
#define EDITION_MAX 999999999u
#define ZERO_BYTES (1u << 20)        /* zeroes written at a time */
#define ZERO_SYNC_BYTES (4u << 20)   /* so that commits do not wait behind a whole segment */

/* What follows the number. */
static void
segment_suffix(uint32_t edition, char ret_suffix[32])
{
	if (edition < 2)
		snprintf(ret_suffix, 32, edition == 0 ? ".seg" : ".sealed");
	else
		snprintf(ret_suffix, 32, ".sealed-%lu", (unsigned long)edition);
}

bool
journal_segment_path(const struct journal *journal, uint64_t number, uint32_t edition,
    char *ret_path)
{
	char suffix[32];
	segment_suffix(edition, suffix);
	int len = snprintf(ret_path, JOURNAL_PATH_BYTES_MAX, "%s/%016llu%s", journal->dir,
	    (unsigned long long)number, suffix);
	return len > 0 && len < (int)JOURNAL_PATH_BYTES_MAX;
}

void
journal_segment_name(uint64_t number, uint32_t edition, char ret_name[64])
{
	char suffix[32];
	segment_suffix(edition, suffix);
	snprintf(ret_name, 64, "%016llu%s", (unsigned long long)number, suffix);
}

bool
journal_segment_parse_name(const char *name, uint64_t *ret_number, uint32_t *ret_edition)
{
	uint64_t number = 0, edition = 0;
	const char *at = name + NUMBER_DIGITS;
	char again[64];
	for (int i = 0; i < NUMBER_DIGITS; i++) {
		if (name[i] < '0' || name[i] > '9')
			return false;
		number = number * 10 + (uint64_t)(name[i] - '0');
	}
	if (strcmp(at, ".sealed") == 0)
		edition = 1;
	else if (strncmp(at, ".sealed-", 8) == 0 && strlen(at) < 8 + 10)
		for (at += 8; *at >= '0' && *at <= '9' && edition <= EDITION_MAX; at++)
			edition = edition * 10 + (uint64_t)(*at - '0');
	if (number == 0 || edition > EDITION_MAX)
		return false;
	journal_segment_name(number, (uint32_t)edition, again);
	if (strcmp(name, again) != 0)
		return false;
	*ret_number = number;
	*ret_edition = (uint32_t)edition;
	return true;
}

bool
journal_segment_spare_path(const struct journal *journal, unsigned slot, char *ret_path)
{
	int len = snprintf(ret_path, JOURNAL_PATH_BYTES_MAX, "%s/spare-%u.seg", journal->dir, slot);
	return len > 0 && len < (int)JOURNAL_PATH_BYTES_MAX;
}

int
journal_segment_open_file(const struct journal *journal, const char *path, int flags, bool direct,
    struct env_file **ret_file)
{
	if (direct) {
		int r = env_open(journal->env, path, flags | ENV_DIRECT, ret_file);
		if (r != -EINVAL)
			return r;
	}
	return env_open(journal->env, path, flags, ret_file);
}

int
journal_segment_reserve(struct journal *journal)
{
	int r = 0;
	pthread_mutex_lock(&journal->lock);
	if (journal->segment_count + 1 >= journal->segment_cap) {
		size_t cap = journal->segment_cap ? journal->segment_cap * 2 : 16;
		struct journal_segment *segments = realloc(journal->segments,
		    cap * sizeof segments[0]);
		if (segments) {
			journal->segments = segments;
			journal->segment_cap = cap;
		}
		r = segments ? 0 : -ENOMEM;
	}
	pthread_mutex_unlock(&journal->lock);
	return r;
}

struct journal_segment
journal_segment_last(struct journal *journal)
{
	struct journal_segment last = {.number = 0};
	pthread_mutex_lock(&journal->lock);
	if (journal->segment_count > 0)
		last = journal->segments[journal->segment_count - 1];
	pthread_mutex_unlock(&journal->lock);
	return last;
}

size_t
journal_segment_after(const struct journal *journal, uint64_t number)
{
	size_t low = 0, high = journal->segment_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (journal->segments[middle].number <= number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void
journal_segment_count_record(struct journal_segment *segment, const struct journal_record *record)
{
	if (segment->records == 0) {
		segment->first_seq = record->seq;
		segment->arrival_min_ms = segment->arrival_max_ms = record->arrival_ms;
	}
	segment->records++;
	segment->last_seq = MAX(segment->last_seq, record->seq + record->count - 1);
	segment->arrival_min_ms = MIN(segment->arrival_min_ms, record->arrival_ms);
	segment->arrival_max_ms = MAX(segment->arrival_max_ms, record->arrival_ms);
}

/* Takes the first spare in state `from` to state `to`: its slot, or -1. */
static int
spare_move(struct journal *journal, enum journal_spare from, enum journal_spare to)
{
	int slot = -1;
	pthread_mutex_lock(&journal->lock);
	for (unsigned i = 0; i < JOURNAL_SPARES_MAX && slot < 0; i++) {
		if (journal->spares[i] == from) {
			journal->spares[i] = to;
			slot = (int)i;
		}
	}
	pthread_mutex_unlock(&journal->lock);
	return slot;
}

static void
spare_set(struct journal *journal, int slot, enum journal_spare state)
{
	pthread_mutex_lock(&journal->lock);
	journal->spares[slot] = state;
	pthread_mutex_unlock(&journal->lock);
}

static void
spare_set_clean(struct journal *journal, int slot, bool clean)
{
	pthread_mutex_lock(&journal->lock);
	journal->spare_clean[slot] = clean;
	pthread_mutex_unlock(&journal->lock);
}

static bool
spare_is_clean(struct journal *journal, int slot)
{
	pthread_mutex_lock(&journal->lock);
	bool clean = journal->spare_clean[slot];
	pthread_mutex_unlock(&journal->lock);
	return clean;
}

/* The head of the segment after the last one. */
static struct journal_head
segment_next_head(struct journal *journal, uint64_t number, uint64_t first_seq)
{
	struct journal_head head = {
		.number = number,
		.created_ms = env_now_ms(journal->env),
		.first_commit = journal->commit_next,
		.first_seq = first_seq,
		.next_seq = journal->next_seq,
	};
	while (head.generation == 0)
		env_random(journal->env, &head.generation, sizeof head.generation);
	head.before = journal_segment_last(journal);
	return head;
}

/* Writes the head into `file`, which lies at `from`, and gives it its name `to`. */
static int
segment_name_file(struct journal *journal, struct env_file *file, const struct journal_head *head,
    const char *from, const char *to)
{
	char *blocks = journal->frame.bytes;
	for (unsigned i = 0; i < JOURNAL_BLOCK_FIRST; i++)
		journal_format_put_head(blocks + (size_t)i * JOURNAL_BLOCK_BYTES, head);
	int r = env_pwrite(file, blocks, (size_t)JOURNAL_BLOCK_FIRST * JOURNAL_BLOCK_BYTES, 0);
	if (r == 0)
		r = env_sync(file);
	if (r == 0)
		r = env_rename(journal->env, from, to);
	if (r == 0)
		r = env_sync_dir(journal->env, journal->dir);
	return r;
}

int
journal_segment_create(struct journal *journal, uint64_t blocks, uint64_t first_seq)
{
	char from[JOURNAL_PATH_BYTES_MAX + 8], to[JOURNAL_PATH_BYTES_MAX];
	struct env_file *file = NULL;
	int slot = -1, r = journal_segment_reserve(journal);
	if (r < 0)
		return r;
	if (journal->number_last >= NUMBER_MAX)
		return -EIO;
	if (blocks <= journal->segment_blocks - JOURNAL_BLOCK_FIRST)
		slot = spare_move(journal, JOURNAL_SPARE_READY, JOURNAL_SPARE_MAKING);
	if (slot < 0 && !journal_segment_may_grow(journal, blocks))
		return -ENOSPC;
	uint64_t number = ++journal->number_last;
	check(journal_segment_path(journal, number, 0, to)); /* the longest was tried at open */
	if (slot >= 0)
		check(journal_segment_spare_path(journal, (unsigned)slot, from));
	else
		snprintf(from, sizeof from, "%s.tmp", to);
	r = journal_segment_open_file(journal, from, slot >= 0 ? ENV_WRITE :
	    ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE, journal->direct, &file);
	if (r < 0)
		goto fail;
	struct journal_head head = segment_next_head(journal, number, first_seq);
	r = segment_name_file(journal, file, &head, from, to);
	if (r < 0)
		goto fail;
	/* Not before it has its new name: else a new spare could take the old one from under it. */
	bool clean = slot < 0 || spare_is_clean(journal, slot);
	if (slot >= 0)
		spare_set(journal, slot, JOURNAL_SPARE_NONE);
	struct journal_segment segment = {
		.number = number,
		.generation = head.generation,
		.end_block = JOURNAL_BLOCK_FIRST,
		.file_bytes = JOURNAL_BLOCK_BYTES *
		    (slot >= 0 ? journal->segment_blocks : JOURNAL_BLOCK_FIRST),
		.clean = clean,
	};
	pthread_mutex_lock(&journal->lock);
	journal->segments[journal->segment_count++] = segment;
	pthread_mutex_unlock(&journal->lock);
	journal->file = file;
	journal->growing = slot < 0;
	journal->capacity_blocks = MAX(journal->segment_blocks, blocks + JOURNAL_BLOCK_FIRST);
	return 0;
fail:
	/* Should the names come back after a crash: a head without records, and a lost spare. */
	env_close(file);
	env_unlink(journal->env, from);
	env_unlink(journal->env, to);
	if (slot >= 0)
		spare_set(journal, slot, JOURNAL_SPARE_NONE);
	return r;
}

/* Overwrites [block, block + blocks) with zeroes. */
static int
segment_zero(struct journal *journal, struct env_file *file, uint64_t block, uint64_t blocks)
{
	memset(journal->frame.bytes, 0, (size_t)JOURNAL_FRAME_BLOCKS * JOURNAL_BLOCK_BYTES);
	while (blocks > 0) {
		uint64_t count = MIN(blocks, (uint64_t)JOURNAL_FRAME_BLOCKS);
		int r = env_pwrite(file, journal->frame.bytes, count * JOURNAL_BLOCK_BYTES,
		    block * JOURNAL_BLOCK_BYTES);
		if (r < 0)
			return r;
		block += count;
		blocks -= count;
	}
	return 0;
}

int
journal_segment_void(struct journal *journal, uint64_t blocks)
{
	struct journal_segment segment = journal_segment_last(journal);
	struct env_file *opened = NULL, *file = journal->file;
	int r = 0;
	if (!file) {
		char path[JOURNAL_PATH_BYTES_MAX];
		check(journal_segment_path(journal, segment.number, 0, path));
		r = journal_segment_open_file(journal, path, ENV_WRITE, journal->direct, &opened);
		if (r < 0)
			return r;
		file = opened;
	}
	r = journal->growing ? env_truncate(file, segment.end_block * JOURNAL_BLOCK_BYTES) :
	    segment_zero(journal, file, segment.end_block, blocks);
	if (r == 0)
		r = env_sync(file);
	env_close(opened);
	return r;
}

bool
journal_wants_prepare(const struct journal *journal)
{
	struct journal *j = (struct journal *)journal; /* the lock is not part of the value */
	bool wants = true;
	pthread_mutex_lock(&j->lock);
	for (unsigned i = 0; i < JOURNAL_SPARES_MAX; i++)
		wants = wants && j->spares[i] == JOURNAL_SPARE_NONE;
	pthread_mutex_unlock(&j->lock);
	return wants;
}

bool
journal_segment_may_grow(struct journal *journal, uint64_t blocks)
{
	struct journal_stats stats;
	journal_stats(journal, &stats);
	pthread_mutex_lock(&journal->lock);
	uint64_t limit = journal->limit_bytes;
	pthread_mutex_unlock(&journal->lock);
	uint64_t bytes = MAX(journal->segment_blocks, blocks + JOURNAL_BLOCK_FIRST) *
	    JOURNAL_BLOCK_BYTES;
	return stats.disk_bytes <= limit && bytes <= limit - stats.disk_bytes;
}

bool
journal_segment_may_extend(struct journal *journal, uint64_t blocks)
{
	struct journal_stats stats;
	pthread_mutex_lock(&journal->lock);
	uint64_t limit = journal->limit_bytes;
	pthread_mutex_unlock(&journal->lock);
	if (limit == UINT64_MAX)
		return true;
	journal_stats(journal, &stats);
	return stats.disk_bytes <= limit &&
	    blocks * JOURNAL_BLOCK_BYTES <= limit - stats.disk_bytes;
}

bool
journal_segment_has_spare(struct journal *journal)
{
	bool has = false;
	pthread_mutex_lock(&journal->lock);
	for (unsigned i = 0; i < JOURNAL_SPARES_MAX; i++)
		has = has || journal->spares[i] == JOURNAL_SPARE_READY;
	pthread_mutex_unlock(&journal->lock);
	return has;
}

/* Really writes so many zeroes, from the file's beginning on. */
static int
zeros_write(struct env_file *file, uint64_t bytes)
{
	char *zeros = aligned_alloc(JOURNAL_BLOCK_BYTES, ZERO_BYTES);
	if (!zeros)
		return -ENOMEM;
	memset(zeros, 0, ZERO_BYTES);
	int r = 0;
	for (uint64_t at = 0; at < bytes && r == 0; ) {
		size_t n = (size_t)MIN(bytes - at, (uint64_t)ZERO_BYTES);
		r = env_pwrite(file, zeros, n, at);
		at += n;
		if (r == 0 && (at % ZERO_SYNC_BYTES == 0 || at == bytes))
			r = env_sync(file);
	}
	free(zeros);
	return r;
}

int
journal_prepare(struct journal *journal)
{
	char from[JOURNAL_PATH_BYTES_MAX + 8], to[JOURNAL_PATH_BYTES_MAX];
	struct env_file *file = NULL;
	if (!journal_wants_prepare(journal))
		return 0;
	if (!journal_segment_may_grow(journal, 0))
		return -ENOSPC;
	int slot = spare_move(journal, JOURNAL_SPARE_NONE, JOURNAL_SPARE_MAKING);
	if (slot < 0)
		return 0;
	check(journal_segment_spare_path(journal, (unsigned)slot, to));
	snprintf(from, sizeof from, "%s.tmp", to);
	env_unlink(journal->env, from);
	int r = journal_segment_open_file(journal, from, ENV_WRITE | ENV_CREATE, journal->direct,
	    &file);
	if (r == 0)
		r = zeros_write(file, journal->segment_blocks * JOURNAL_BLOCK_BYTES);
	env_close(file);
	if (r == 0)
		r = env_rename(journal->env, from, to);
	if (r == 0)
		r = env_sync_dir(journal->env, journal->dir);
	if (r < 0)
		env_unlink(journal->env, from);
	spare_set_clean(journal, slot, true);
	spare_set(journal, slot, r < 0 ? JOURNAL_SPARE_NONE : JOURNAL_SPARE_READY);
	return r;
}

/* Overwrites a file's bytes with zeroes and syncs. 0, -ENOENT, or another -errno. */
static int
file_wipe(const struct journal *journal, const char *path)
{
	struct env_file *file;
	uint64_t bytes;
	int r = env_open(journal->env, path, ENV_WRITE, &file);
	if (r < 0)
		return r;
	r = env_size(file, &bytes);
	if (r == 0)
		r = zeros_write(file, bytes);
	env_close(file);
	return r;
}

int
journal_segment_discard(const struct journal *journal, const char *path, bool wipe)
{
	char gone[JOURNAL_PATH_BYTES_MAX + 8];
	int r;
	if (!wipe)
		return env_unlink(journal->env, path);
	snprintf(gone, sizeof gone, "%s" JOURNAL_GONE, path);
	r = env_rename(journal->env, path, gone);
	/* While its name can come back its bytes are needed. */
	if (r == 0)
		r = env_sync_dir(journal->env, journal->dir);
	return r == 0 ? journal_segment_wipe(journal, gone) : r;
}

int
journal_segment_wipe(const struct journal *journal, const char *path)
{
	int r = file_wipe(journal, path);
	return r == 0 ? env_unlink(journal->env, path) : r;
}

/* Takes a spare that is not clean out of use: its slot, or -1. */
static int
spare_take_dirty(struct journal *journal)
{
	int slot = -1;
	pthread_mutex_lock(&journal->lock);
	for (unsigned i = 0; i < JOURNAL_SPARES_MAX && slot < 0; i++) {
		if (journal->spares[i] == JOURNAL_SPARE_READY && !journal->spare_clean[i]) {
			journal->spares[i] = JOURNAL_SPARE_MAKING;
			slot = (int)i;
		}
	}
	pthread_mutex_unlock(&journal->lock);
	return slot;
}

/* A file with a spare's name that is none, since the directory could not be synced. */
static int
spare_drop_lost(struct journal *journal, unsigned slot)
{
	char path[JOURNAL_PATH_BYTES_MAX];
	uint64_t bytes;
	bool lost = false;
	pthread_mutex_lock(&journal->lock);
	if (journal->spares[slot] == JOURNAL_SPARE_NONE) {
		journal->spares[slot] = JOURNAL_SPARE_MAKING;
		lost = true;
	}
	pthread_mutex_unlock(&journal->lock);
	if (!lost)
		return 0;
	check(journal_segment_spare_path(journal, slot, path));
	int r = env_stat(journal->env, path, &bytes);
	if (r == 0)
		r = env_sync_dir(journal->env, journal->dir);
	if (r == 0)
		r = journal_segment_wipe(journal, path);
	spare_set(journal, (int)slot, JOURNAL_SPARE_NONE);
	return r == -ENOENT ? 0 : r;
}

int
journal_segment_wipe_spares(struct journal *journal)
{
	char path[JOURNAL_PATH_BYTES_MAX];
	int slot, r = 0;
	for (unsigned i = 0; i < JOURNAL_SPARES_MAX && r == 0; i++)
		r = spare_drop_lost(journal, i);
	while (r == 0 && (slot = spare_take_dirty(journal)) >= 0) {
		check(journal_segment_spare_path(journal, (unsigned)slot, path));
		r = file_wipe(journal, path);
		spare_set_clean(journal, slot, r == 0);
		spare_set(journal, slot, r == -ENOENT ? JOURNAL_SPARE_NONE :
		    JOURNAL_SPARE_READY);
		r = r == -ENOENT ? 0 : r;
	}
	return r;
}

/* Takes the oldest segment out of the list when nothing from `seq` on lies in it. The last one
 * stays: new records go there, and its head holds what the journal knows. */
static bool
trim_take(struct journal *journal, uint64_t seq, struct journal_segment *ret_segment)
{
	bool taken = false;
	pthread_mutex_lock(&journal->lock);
	if (journal->segment_count > 1 && (journal->segments[0].records == 0 ||
	    journal->segments[0].last_seq < seq)) {
		*ret_segment = journal->segments[0];
		journal->segment_count--;
		memmove(journal->segments, journal->segments + 1,
		    journal->segment_count * sizeof journal->segments[0]);
		taken = true;
	}
	pthread_mutex_unlock(&journal->lock);
	return taken;
}

/* Its file could not be taken away: it stays the oldest. */
static void
trim_give_back(struct journal *journal, const struct journal_segment *segment)
{
	pthread_mutex_lock(&journal->lock);
	memmove(journal->segments + 1, journal->segments,
	    journal->segment_count * sizeof journal->segments[0]);
	journal->segments[0] = *segment;
	journal->segment_count++;
	pthread_mutex_unlock(&journal->lock);
}

/* Makes the plain file a spare (its slot in *ret_slot, MAKING) or deletes it. */
static int
plain_drop(struct journal *journal, const struct journal_segment *segment, bool wipe,
    int *ret_slot)
{
	char from[JOURNAL_PATH_BYTES_MAX], to[JOURNAL_PATH_BYTES_MAX];
	check(journal_segment_path(journal, segment->number, 0, from));
	int slot = -1;
	if (segment->file_bytes == journal->segment_blocks * JOURNAL_BLOCK_BYTES)
		slot = spare_move(journal, JOURNAL_SPARE_NONE, JOURNAL_SPARE_MAKING);
	if (slot < 0)
		return journal_segment_discard(journal, from, wipe);
	check(journal_segment_spare_path(journal, (unsigned)slot, to));
	spare_set_clean(journal, slot, false);
	int r = env_rename(journal->env, from, to);
	if (r < 0)
		spare_set(journal, slot, JOURNAL_SPARE_NONE);
	else
		*ret_slot = slot;
	return r;
}

static int
trim_file(struct journal *journal, const struct journal_segment *segment, bool wipe,
    int *ret_slot)
{
	char path[JOURNAL_PATH_BYTES_MAX];
	if (!segment->sealed)
		return plain_drop(journal, segment, wipe, ret_slot);
	/* Should one have stayed when it was rewritten: it must not come back alone. */
	for (uint32_t edition = 0; edition <= segment->edition; edition++) {
		check(journal_segment_path(journal, segment->number, edition, path));
		int r = journal_segment_discard(journal, path, wipe);
		if (r < 0 && (r != -ENOENT || edition == segment->edition))
			return r;
	}
	return 0;
}

/* Makes names durable; only then may new spares be written to. */
static int
spares_settle(struct journal *journal, const int *slots, int slot_count)
{
	int r = env_sync_dir(journal->env, journal->dir);
	for (int i = 0; i < slot_count; i++)
		spare_set(journal, slots[i], r < 0 ? JOURNAL_SPARE_NONE : JOURNAL_SPARE_READY);
	return r;
}

int
journal_segment_drop_plain(struct journal *journal, const struct journal_segment *segment,
    bool wipe)
{
	int slot = -1, r = plain_drop(journal, segment, wipe, &slot);
	if (r == 0)
		r = spares_settle(journal, &slot, slot >= 0);
	if (r == 0 && wipe)
		r = journal_segment_wipe_spares(journal);
	return r;
}

/* Journal_trim, with the chores held. */
static int
trim_run(struct journal *journal, uint64_t seq)
{
	int slots[JOURNAL_SPARES_MAX], slot_count = 0, r = 0;
	uint64_t trimmed = 0;
	pthread_mutex_lock(&journal->lock);
	bool wipe = journal->wipes;
	pthread_mutex_unlock(&journal->lock);
	struct journal_segment segment;
	while (r == 0 && trim_take(journal, seq, &segment)) {
		int slot = -1;
		r = trim_file(journal, &segment, wipe, &slot);
		if (r == -ENOENT) /* somebody deleted it: just as well */
			r = 0;
		if (r < 0)
			trim_give_back(journal, &segment);
		else
			trimmed++;
		if (slot >= 0)
			slots[slot_count++] = slot;
	}
	int synced = trimmed > 0 ? spares_settle(journal, slots, slot_count) : 0;
	pthread_mutex_lock(&journal->lock);
	journal->counts.trimmed += trimmed;
	pthread_mutex_unlock(&journal->lock);
	return r < 0 ? r : synced;
}

int
journal_trim(struct journal *journal, uint64_t seq)
{
	pthread_mutex_lock(&journal->chores);
	int r = trim_run(journal, seq);
	pthread_mutex_unlock(&journal->chores);
	return r;
}
