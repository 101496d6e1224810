/*
 * journal_seal.c: rewrites a full segment into a sealed file, which then takes its place; and a
 * sealed one into a sealed one of the next edition, when something in it is to be erased.
 *
 * In this order: the new file is written under a temporary name and synced; read back whole and
 * compared with what the segment is known to hold; given its name, and that is synced; readers are
 * turned to it; the old file goes. So at any moment one of the two is whole and has its name on
 * the disk; where both have, a start keeps the higher edition (a plain one has the lowest).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "journal_priv.h"
#include "journal_scan.h"
#include "sealed.h"

#define CHUNK_BLOCKS 64u
#define STOP_RECORDS 256u /* how often it is asked whether to stop */

struct seal {
	struct journal *journal;
	const struct journal_seal_options *options;
	const struct journal_erase_options *erase; /* NULL: all records stay as they are */
	struct journal_segment segment;
	struct env_file *file;          /* the plain one, or */
	struct sealed_reader *source;   /* the sealed one */
	struct sealed_writer *writer;
	struct journal_damage damage;   /* that was met */
	struct journal_scan scan;
	struct journal_keys keys;
	struct sealed_footer footer;
	char head[JOURNAL_BLOCK_BYTES]; /* the segment's */
	uint32_t edition;               /* of the new file */
	char path[JOURNAL_PATH_BYTES_MAX], tmp[JOURNAL_PATH_BYTES_MAX + 8];
	uint64_t file_bytes;
	uint64_t records, edited;
};

int
journal_keys_add(struct journal_keys *keys, uint64_t key)
{
	if (keys->count == keys->cap) {
		size_t cap = keys->cap ? keys->cap * 2 : 16;
		uint64_t *grown = realloc(keys->keys, cap * sizeof grown[0]);
		if (!grown)
			return -ENOMEM;
		keys->keys = grown;
		keys->cap = cap;
	}
	keys->keys[keys->count++] = key;
	return 0;
}

/* The oldest plain segment that is full, old enough and sound, as far as is known. */
static bool
seal_choose(struct seal *seal)
{
	struct journal *journal = seal->journal;
	bool found = false;
	pthread_mutex_lock(&journal->lock);
	for (size_t i = 0; i + 1 < journal->segment_count && !found; i++) {
		const struct journal_segment *segment = &journal->segments[i];
		found = !segment->sealed && !segment->stays &&
		    (segment->records == 0 ||
		    segment->arrival_max_ms < seal->options->before_ms);
		if (found)
			seal->segment = *segment;
	}
	pthread_mutex_unlock(&journal->lock);
	return found;
}

/* The segment's entry, under the lock; trimming waits for the chores, so it is there. */
static struct journal_segment *
seal_entry(struct seal *seal)
{
	struct journal *journal = seal->journal;
	size_t i = journal_segment_after(journal, seal->segment.number - 1);
	check(i < journal->segment_count &&
	    journal->segments[i].number == seal->segment.number);
	return &journal->segments[i];
}

/* Damage is kept where it is, as it is: for whoever can mend it. */
static void
seal_give_up(struct seal *seal)
{
	pthread_mutex_lock(&seal->journal->lock);
	seal_entry(seal)->stays = true;
	pthread_mutex_unlock(&seal->journal->lock);
}

/* Names of the new file. */
static void
seal_name(struct seal *seal)
{
	seal->edition = seal->segment.edition + 1;
	check(journal_segment_path(seal->journal, seal->segment.number, seal->edition,
	    seal->path));
	snprintf(seal->tmp, sizeof seal->tmp, "%s.tmp", seal->path);
}

/* The plain file, and its head. */
static int
seal_open(struct seal *seal)
{
	struct journal *journal = seal->journal;
	char path[JOURNAL_PATH_BYTES_MAX];
	struct journal_head head;
	check(journal_segment_path(journal, seal->segment.number, 0, path));
	int r = env_open(journal->env, path, ENV_READ, &seal->file);
	if (r < 0)
		return r == -ENOENT ? -EBADMSG : r;
	for (uint64_t i = 0; i < JOURNAL_BLOCK_FIRST; i++) {
		ssize_t len = env_pread(seal->file, seal->head, sizeof seal->head,
		    i * JOURNAL_BLOCK_BYTES);
		if (len < 0)
			return len == -ENOMEM ? -ENOMEM : -EIO;
		if (len == sizeof seal->head && !journal_format_get_head(seal->head, &head) &&
		    head.number == seal->segment.number) {
			seal->footer.next_seq = head.next_seq;
			seal->footer.plain_bytes = seal->segment.end_block * JOURNAL_BLOCK_BYTES;
			return 0;
		}
	}
	return -EBADMSG;
}

/* What the record is about goes to seal->keys. */
static int
seal_find_keys(struct seal *seal, const struct journal_record *record)
{
	seal->keys.count = 0;
	seal->keys.unknown = false;
	return seal->options->keys(seal->options->ctx, record, &seal->keys);
}

static int
seal_add(struct seal *seal, const struct journal_record *record)
{
	const struct journal_seal_options *options = seal->options;
	struct sealed_footer *footer = &seal->footer;
	struct journal_record edited;
	if (seal->records++ % STOP_RECORDS == 0 && options->stop && atomic_load(options->stop))
		return -ECANCELED;
	int r = seal_find_keys(seal, record);
	if (r < 0)
		return r;
	journal_segment_count_record(&footer->segment, record);
	footer->next_seq = MAX(footer->next_seq, record->seq + record->count);
	if (record->stream == JOURNAL_RESERVE && record->body.len == 8)
		footer->next_seq = MAX(footer->next_seq, journal_format_get_u64(record->body.ptr));
	if (!seal->erase || record->seq > seal->erase->seq)
		return sealed_writer_add(seal->writer, record, &seal->keys);
	r = seal->erase->edit(options->ctx, record, &seal->keys, &edited);
	if (r == 1) {
		seal->edited++;
		record = &edited;
		r = seal_find_keys(seal, record);
	}
	return r < 0 ? r : sealed_writer_add(seal->writer, record, &seal->keys);
}

/* The next record of the old file. 1, 0, -EBADMSG (one is damaged that a crash did not tear),
 * -ENOMEM, -EIO. */
static int
seal_next(struct seal *seal, struct journal_record *ret_record)
{
	const struct journal_segment *segment = &seal->segment;
	if (seal->source)
		return sealed_reader_next(seal->source, ret_record, &seal->damage);
	for (;;) {
		int r = journal_scan_next(&seal->scan, ret_record, &seal->damage);
		if (r != -EBADMSG || segment->torn_block == 0 ||
		    seal->damage.offset < segment->torn_block * JOURNAL_BLOCK_BYTES)
			return r;
	}
}

/* Copies all records. -EBADMSG: one is damaged. */
static int
seal_copy(struct seal *seal)
{
	struct journal_record record;
	int r;
	while ((r = seal_next(seal, &record)) == 1) {
		r = seal_add(seal, &record);
		if (r < 0)
			return r;
	}
	if (r == 0 && seal->footer.segment.records != seal->segment.records)
		r = -EBADMSG;
	if (r == 0 && !seal->source)
		seal->footer.commit_last = seal->scan.commit;
	return r;
}

static int
seal_write(struct seal *seal)
{
	struct sealed_footer *footer = &seal->footer;
	struct journal *journal = seal->journal;
	footer->segment.number = seal->segment.number;
	footer->segment.generation = seal->segment.generation;
	env_unlink(journal->env, seal->tmp);
	int r = sealed_writer_create(journal->env, seal->tmp, &seal->writer);
	if (r == 0)
		r = seal_copy(seal);
	if (r == 0)
		r = sealed_writer_finish(seal->writer, seal->head, footer, &seal->file_bytes);
	return r;
}

/* Reads the file whole. -EIO: it is not what was written. */
static int
seal_verify(struct seal *seal)
{
	struct journal_segment read = {.number = 0};
	const struct journal_segment *written = &seal->footer.segment;
	struct sealed_reader *reader = NULL;
	const char *reason;
	int r = sealed_reader_open(seal->journal->env, seal->tmp, seal->segment.number, &reader,
	    &reason);
	while (r >= 0) {
		struct journal_record record;
		struct journal_damage damage;
		r = sealed_reader_next(reader, &record, &damage);
		if (r <= 0)
			break;
		journal_segment_count_record(&read, &record);
	}
	sealed_reader_close(reader);
	if (r == 0 && (read.records != written->records || read.first_seq != written->first_seq ||
	    read.last_seq != written->last_seq))
		r = -EIO;
	return r == -EBADMSG || r == -EPROTO || r == -ENOENT ? -EIO : r;
}

/* From here on readers open the new file. */
static void
seal_switch(struct seal *seal)
{
	struct journal *journal = seal->journal;
	pthread_mutex_lock(&journal->lock);
	struct journal_segment *entry = seal_entry(seal);
	entry->sealed = true;
	entry->edition = seal->edition;
	entry->file_bytes = seal->file_bytes;
	if (seal->source) {
		journal->counts.rewrites++;
	} else {
		journal->counts.seals++;
		journal->counts.seal_plain_bytes += seal->footer.plain_bytes;
		journal->counts.seal_bytes += seal->file_bytes;
	}
	pthread_mutex_unlock(&journal->lock);
}

/* From the opened old file to the moment when the new one counts. 1; 0: it would be the same;
 * or -errno. Then there is no new file. */
static int
seal_make(struct seal *seal)
{
	struct env *env = seal->journal->env;
	int r = seal_write(seal);
	sealed_writer_destroy(seal->writer);
	seal->writer = NULL;
	bool same = r == 0 && seal->source && seal->edited == 0;
	if (r == 0 && !same)
		r = seal_verify(seal);
	if (r == 0 && !same)
		r = env_rename(env, seal->tmp, seal->path);
	if (r < 0 || same) {
		env_unlink(env, seal->tmp);
		return r;
	}
	r = env_sync_dir(env, seal->journal->dir);
	if (r < 0) /* the old one stays the one that counts */
		env_unlink(env, seal->path);
	return r < 0 ? r : 1;
}

/* 1, 0: there is none to seal, or -errno; -EBADMSG: the chosen one was given up. */
static int
seal_plain(struct seal *seal)
{
	seal_name(seal);
	int r = seal_open(seal);
	if (r == 0) {
		journal_scan_start(&seal->scan, seal->file, seal->segment.generation,
		    JOURNAL_BLOCK_FIRST, seal->segment.end_block);
		r = seal_make(seal);
	}
	env_close(seal->file);
	seal->file = NULL;
	if (r == -EBADMSG)
		seal_give_up(seal);
	if (r == 1)
		seal_switch(seal);
	return r;
}

static void
seal_init(struct seal *seal, struct journal *journal, const struct journal_seal_options *options)
{
	struct journal_keys keys = seal->keys;
	*seal = (struct seal){.journal = journal, .options = options, .keys = keys};
	journal_scan_init(&seal->scan, CHUNK_BLOCKS);
}

int
journal_seal(struct journal *journal, const struct journal_seal_options *options)
{
	int r = -EBADMSG;
	struct seal *seal = calloc(1, sizeof *seal);
	if (!seal)
		return -ENOMEM;
	pthread_mutex_lock(&journal->chores);
	while (r == -EBADMSG) {
		seal_init(seal, journal, options);
		r = seal_choose(seal) ? seal_plain(seal) : 0;
		journal_scan_finish(&seal->scan);
	}
	/* Should it fail, the next start does it: nobody reads the plain one any more. */
	if (r == 1)
		journal_segment_drop_plain(journal, &seal->segment, false);
	pthread_mutex_unlock(&journal->chores);
	free(seal->keys.keys);
	free(seal);
	return r == -EDQUOT ? -ENOSPC : r;
}

/* ── erasing ── */

/* The first segment behind `number` that may hold what is to be erased. */
static bool
erase_choose(struct seal *seal, uint64_t number)
{
	struct journal *journal = seal->journal;
	bool found = false;
	pthread_mutex_lock(&journal->lock);
	for (size_t i = journal_segment_after(journal, number);
	    i + 1 < journal->segment_count && !found; i++) {
		const struct journal_segment *segment = &journal->segments[i];
		if (segment->number > seal->erase->number_last)
			break;
		/* Of a plain one the file may hold an earlier segment, too. */
		found = !segment->sealed ||
		    (segment->records > 0 && segment->first_seq <= seal->erase->seq);
		if (found)
			seal->segment = *segment;
	}
	pthread_mutex_unlock(&journal->lock);
	return found;
}

/* The sealed file and its head. 1, 0: nothing of the keys is in it, or -errno. */
static int
erase_open(struct seal *seal, const char *path)
{
	const char *reason = "missing";
	struct journal_damage index; /* it is made again */
	int r = sealed_reader_open(seal->journal->env, path, seal->segment.number, &seal->source,
	    &reason);
	if (r == 0)
		r = sealed_reader_head(seal->source, seal->head);
	if (r < 0) {
		snprintf(seal->damage.reason, sizeof seal->damage.reason, "%s", reason);
		return r == -ENOENT || r == -EPROTO ? -EBADMSG : r;
	}
	r = sealed_reader_has(seal->source, seal->erase->wanted, seal->erase->wanted_count,
	    &index);
	const struct sealed_footer *footer = sealed_reader_footer(seal->source);
	seal->footer.plain_bytes = footer->plain_bytes;
	seal->footer.commit_last = footer->commit_last;
	seal->footer.next_seq = footer->next_seq;
	seal->segment.generation = footer->segment.generation;
	return r == -EBADMSG ? 1 : r;
}

static int
erase_sealed(struct seal *seal)
{
	char path[JOURNAL_PATH_BYTES_MAX];
	seal_name(seal);
	check(journal_segment_path(seal->journal, seal->segment.number, seal->segment.edition,
	    path));
	int r = erase_open(seal, path);
	if (r == 1)
		r = seal_make(seal);
	if (r == 1)
		seal_switch(seal);
	sealed_reader_close(seal->source);
	seal->source = NULL;
	if (r == 1)
		r = journal_segment_discard(seal->journal, path, true);
	return MIN(r, 0);
}

static int
erase_plain(struct seal *seal)
{
	if (seal->segment.stays) {
		snprintf(seal->damage.reason, sizeof seal->damage.reason, "records");
		return -EBADMSG;
	}
	int r = seal_plain(seal);
	if (r == 1)
		r = journal_segment_drop_plain(seal->journal, &seal->segment, true);
	return r;
}

int
journal_erase(struct journal *journal, const struct journal_erase_options *options,
    uint64_t *number, struct journal_damage *ret_damage)
{
	struct seal *seal = calloc(1, sizeof *seal);
	if (!seal)
		return -ENOMEM;
	pthread_mutex_lock(&journal->chores);
	seal_init(seal, journal, &options->seal);
	seal->erase = options;
	int r = 0;
	bool found = erase_choose(seal, *number);
	if (found)
		r = seal->segment.sealed ? erase_sealed(seal) : erase_plain(seal);
	journal_scan_finish(&seal->scan);
	pthread_mutex_unlock(&journal->chores);
	if (r == -EBADMSG) {
		*ret_damage = seal->damage;
		journal_segment_name(seal->segment.number, seal->segment.edition,
		    ret_damage->segment);
	}
	if (found && (r == 0 || r == -EBADMSG))
		*number = seal->segment.number;
	free(seal->keys.keys);
	free(seal);
	return r < 0 ? (r == -EDQUOT ? -ENOSPC : r) : found;
}
