/*
 * journal_seal.c: rewrites a full segment into a sealed file, which then takes its place.
 *
 * In this order: the sealed file is written under a temporary name and synced; read back whole and
 * compared with what the segment is known to hold; given its name, and that is synced; readers are
 * turned to it; the plain file goes. So at any moment one of the two is whole and has its name on
 * the disk; where both have, either may be used, and a start keeps the sealed one.
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
	struct journal_segment segment;
	struct env_file *file;          /* the plain one */
	struct sealed_writer *writer;
	struct journal_scan scan;
	struct journal_keys keys;
	struct sealed_footer footer;
	char head[JOURNAL_BLOCK_BYTES]; /* the segment's */
	char path[JOURNAL_PATH_BYTES_MAX], tmp[JOURNAL_PATH_BYTES_MAX + 8];
	uint64_t file_bytes;
	uint64_t records;
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

static int
seal_open(struct seal *seal)
{
	struct journal *journal = seal->journal;
	struct journal_head head;
	check(journal_segment_path(journal, seal->segment.number, true, seal->path));
	snprintf(seal->tmp, sizeof seal->tmp, "%s.tmp", seal->path);
	check(journal_segment_path(journal, seal->segment.number, false, seal->path));
	int r = env_open(journal->env, seal->path, ENV_READ, &seal->file);
	check(journal_segment_path(journal, seal->segment.number, true, seal->path));
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
			return 0;
		}
	}
	return -EBADMSG;
}

static int
seal_add(struct seal *seal, const struct journal_record *record)
{
	const struct journal_seal_options *options = seal->options;
	struct sealed_footer *footer = &seal->footer;
	if (seal->records++ % STOP_RECORDS == 0 && options->stop && atomic_load(options->stop))
		return -ECANCELED;
	seal->keys.count = 0;
	seal->keys.unknown = false;
	int r = options->keys(options->ctx, record, &seal->keys);
	if (r < 0)
		return r;
	journal_segment_count_record(&footer->segment, record);
	footer->next_seq = MAX(footer->next_seq, record->seq + record->count);
	if (record->stream == JOURNAL_RESERVE && record->body.len == 8)
		footer->next_seq = MAX(footer->next_seq, journal_format_get_u64(record->body.ptr));
	return sealed_writer_add(seal->writer, record, &seal->keys);
}

/* Copies all records. -EBADMSG: one is damaged that a crash did not tear. */
static int
seal_copy(struct seal *seal)
{
	const struct journal_segment *segment = &seal->segment;
	journal_scan_start(&seal->scan, seal->file, segment->generation, JOURNAL_BLOCK_FIRST,
	    segment->end_block);
	for (;;) {
		struct journal_record record;
		struct journal_damage damage;
		int r = journal_scan_next(&seal->scan, &record, &damage);
		if (r == 0)
			break;
		if (r == 1)
			r = seal_add(seal, &record);
		else if (r == -EBADMSG && segment->torn_block != 0 &&
		    damage.offset >= segment->torn_block * JOURNAL_BLOCK_BYTES)
			r = 0;
		if (r < 0)
			return r;
	}
	if (seal->footer.segment.records != segment->records)
		return -EBADMSG;
	seal->footer.commit_last = seal->scan.commit;
	return 0;
}

static int
seal_write(struct seal *seal)
{
	struct sealed_footer *footer = &seal->footer;
	struct journal *journal = seal->journal;
	footer->plain_bytes = seal->segment.end_block * JOURNAL_BLOCK_BYTES;
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

/* From here on readers open the sealed file. */
static void
seal_switch(struct seal *seal)
{
	struct journal *journal = seal->journal;
	pthread_mutex_lock(&journal->lock);
	struct journal_segment *entry = seal_entry(seal);
	entry->sealed = true;
	entry->file_bytes = seal->file_bytes;
	journal->counts.seals++;
	journal->counts.seal_plain_bytes += seal->footer.plain_bytes;
	journal->counts.seal_bytes += seal->file_bytes;
	pthread_mutex_unlock(&journal->lock);
}

/* Everything up to the moment when the sealed file counts. */
static int
seal_make(struct seal *seal)
{
	struct env *env = seal->journal->env;
	int r = seal_open(seal);
	if (r == 0)
		r = seal_write(seal);
	sealed_writer_destroy(seal->writer);
	seal->writer = NULL;
	env_close(seal->file);
	seal->file = NULL;
	if (r == 0)
		r = seal_verify(seal);
	if (r == 0)
		r = env_rename(env, seal->tmp, seal->path);
	if (r == 0) {
		r = env_sync_dir(env, seal->journal->dir);
		if (r < 0) /* the plain one stays the one that counts */
			env_unlink(env, seal->path);
	} else {
		env_unlink(env, seal->tmp);
	}
	return r;
}

/* As journal_seal; -EBADMSG: the chosen one was given up. */
static int
seal_run(struct seal *seal)
{
	if (!seal_choose(seal))
		return 0;
	int r = seal_make(seal);
	if (r == -EBADMSG)
		seal_give_up(seal);
	if (r < 0)
		return r == -EDQUOT ? -ENOSPC : r;
	seal_switch(seal);
	/* Should it fail, the next start does it: nobody reads the plain one any more. */
	journal_segment_drop_plain(seal->journal, &seal->segment);
	return 1;
}

int
journal_seal(struct journal *journal, const struct journal_seal_options *options)
{
	int r = -EBADMSG;
	struct journal_keys keys = {.count = 0};
	struct seal *seal = malloc(sizeof *seal);
	if (!seal)
		return -ENOMEM;
	pthread_mutex_lock(&journal->chores);
	while (r == -EBADMSG) {
		*seal = (struct seal){.journal = journal, .options = options, .keys = keys};
		journal_scan_init(&seal->scan, CHUNK_BLOCKS);
		r = seal_run(seal);
		journal_scan_finish(&seal->scan);
		keys = seal->keys;
	}
	pthread_mutex_unlock(&journal->chores);
	free(keys.keys);
	free(seal);
	return r;
}
