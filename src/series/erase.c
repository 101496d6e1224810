/*
 * erase.c: tombstones: what they hide goes out of the head at once, out of the parts one by one.
 *
 * Parts that may hold something hidden end before it in seq (points) or order (roll-ups); see
 * tombs_hide. A part whose range goes on behind a tombstone holds nothing hidden: it was written
 * from a head that the tombstone had emptied, or by a merge that left it out.
 * Which series there are is asked of the roster, which knows every key of every part, the hidden
 * ones' too; so a part is asked for a few keys and not read through.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "merge_priv.h"

struct series_erase {
	struct tombs *tombs;       /* what this work is about */
	struct env *env;
	struct part **parts;       /* all of the partition, referred to */
	size_t count;
	struct buf keys;           /* of the hidden series: u32 length, bytes */
	struct series_merge *merge; /* without input until there is a part to rewrite */
	uint64_t stuck_part;       /* a damaged one, when nothing else is left */
};

/* ── hiding ── */

bool
partition_hides_frozen(const struct series_partition *partition, uint32_t number)
{
	if (!partition->tombs || !partition->frozen)
		return false;
	return partition->frozen->seq_last <=
	    tombs_of_key(partition->tombs, roster_key(&partition->roster, number)).seq;
}

/* The series is as if it had never been: its points in the head go, those in parts are hidden. */
static void
hide_series(struct series_partition *partition, uint32_t number)
{
	struct roster_series *series = &partition->roster.series[number];
	struct head_series *head = head_find(partition->head, &partition->roster, number);
	if (head)
		head_forget(partition->head, head);
	series->first_ms = INT64_MAX;
	series->last_ms = INT64_MIN;
}

int
series_partition_hide(struct series_partition *partition, const struct store_tombstone *tombstone)
{
	struct tombs *tombs, *one;
	int error = tombs_copy(NULL, tombstone, NULL, &one);
	if (error)
		return error;
	error = tombs_copy(partition->tombs, tombstone, NULL, &tombs);
	if (error) {
		tombs_unref(one);
		return error;
	}
	for (uint32_t i = 0; i < partition->roster.count; i++)
		if (tombs_of_key(one, roster_key(&partition->roster, i)).seq)
			hide_series(partition, i);
	tombs_unref(one);
	tombs_unref(partition->tombs);
	partition->tombs = tombs;
	partition->tomb_seq = MAX(partition->tomb_seq, tombstone->seq);
	return 0;
}

/* ── beginning ── */

static void
erase_destroy(struct series_erase *erase)
{
	if (!erase)
		return;
	for (size_t i = 0; i < erase->count; i++)
		part_unref(erase->parts[i]);
	tombs_unref(erase->tombs);
	free(erase->parts);
	buf_finish(&erase->keys);
	free(erase);
}

static int
erase_take_keys(struct series_erase *erase, const struct roster *roster)
{
	for (uint32_t i = 0; i < roster->count; i++) {
		struct span key = roster_key(roster, i);
		uint32_t len = (uint32_t)key.len;
		if (!tombs_of_key(erase->tombs, key).seq)
			continue;
		if (buf_append(&erase->keys, &len, sizeof(len)) != 0 ||
		    buf_append_span(&erase->keys, key) != 0)
			return -ENOMEM;
	}
	return 0;
}

static struct series_erase *
erase_create(struct series_partition *partition)
{
	size_t room = partition->part_count + partition->roll_count;
	struct series_erase *erase = calloc(1, sizeof(*erase));
	if (!erase)
		return NULL;
	erase->tombs = tombs_ref(partition->tombs);
	erase->env = partition->env;
	erase->parts = calloc(MAX(room, 1), sizeof(struct part *));
	if (!erase->parts || erase_take_keys(erase, &partition->roster) != 0) {
		erase_destroy(erase);
		return NULL;
	}
	for (size_t i = 0; i < partition->part_count; i++)
		erase->parts[erase->count++] = part_ref(partition->parts[i]);
	for (size_t i = 0; i < partition->roll_count; i++)
		erase->parts[erase->count++] = part_ref(partition->rolls[i]);
	return erase;
}

/* ── finding the next part ── */

/* 1: the part has a chunk of a hidden series, 0: it has none, -errno. */
static int
erase_find_in(const struct series_erase *erase, struct part *part)
{
	struct part_cursor *cursor = NULL;
	int got = 0;
	for (size_t at = 0; at < erase->keys.len && got == 0;) {
		uint32_t len;
		memcpy(&len, erase->keys.ptr + at, sizeof(len));
		struct span key = span_of(erase->keys.ptr + at + sizeof(len), len);
		struct tombs_limit limit = tombs_of_key(erase->tombs, key);
		at += sizeof(len) + len;
		if (!tombs_hide(&limit, &part->info))
			continue;
		if (!cursor && part_cursor_create(part, &cursor) != 0)
			return -ENOMEM;
		got = part_cursor_seek(cursor, key);
		if (got == 1 && !span_eq(part_cursor_key(cursor), key))
			got = 0;
	}
	part_cursor_destroy(cursor);
	/* What is behind a damaged index cannot be read by anybody, nor copied: it may be here. */
	return got == -EBADMSG ? 1 : got;
}

struct series_erase *
series_partition_erase_begin(struct series_partition *partition, _Atomic uint64_t *next_part_id,
    bool *ret_flush)
{
	*ret_flush = false;
	if (!partition->tombs || partition->erasing)
		return NULL;
	/* What is hidden in the frozen head or still in the journal would come back. */
	if (partition->frozen || partition->cursor < partition->tomb_seq) {
		*ret_flush = true;
		return NULL;
	}
	struct series_erase *erase = erase_create(partition);
	if (!erase)
		return NULL;
	erase->merge = merge_create(partition, next_part_id, NULL, 0);
	if (!erase->merge) {
		erase_destroy(erase);
		return NULL;
	}
	partition->erasing = true;
	return erase;
}

/* ── worker ── */

int
series_erase_run(struct series_erase *erase)
{
	int found = 0;
	uint64_t stuck = 0;
	for (size_t i = 0; i < erase->count && found == 0; i++) {
		found = erase_find_in(erase, erase->parts[i]);
		/* As with merges: what can still be read of it would go, too. */
		if (found == 1 && erase->parts[i]->damaged)
			stuck = erase->parts[i]->info.id;
		found = found == 1 && erase->parts[i]->damaged ? 0 : found;
		if (found == 1)
			merge_add_input(erase->merge, erase->parts[i]);
	}
	if (found == 0) {
		erase->stuck_part = stuck;
		return stuck ? -EBADMSG : 0;
	}
	return found == 1 ? series_merge_run(erase->merge) : found;
}

struct tombs *
series_erase_tombs(const struct series_erase *erase)
{
	return erase->tombs;
}

uint64_t
series_erase_stuck(const struct series_erase *erase)
{
	return erase->stuck_part;
}

/* ── store's thread ── */

int
series_erase_commit(struct series_erase *erase, struct store_tx *tx)
{
	if (erase->merge->count)
		return series_merge_commit(erase->merge, tx);
	int error = 0;
	for (size_t i = 0; i < erase->tombs->count && error == 0; i++) {
		const struct tomb *tomb = &erase->tombs->of[i];
		error = store_tombstone_series_done(tx, tomb->tenant, tomb->device, tomb->seq,
		    env_now_ms(erase->env));
	}
	return error;
}

/* ── owner ── */

bool
series_partition_erased(struct series_partition *partition, struct series_erase *erase, int error)
{
	bool done = error == 0 && erase->merge->count == 0;
	partition->erasing = false;
	merge_finish(partition, erase->merge, error);
	if (done) {
		struct tombs *left;
		done = tombs_copy(partition->tombs, NULL, erase->tombs, &left) == 0;
		if (done) {
			tombs_unref(partition->tombs);
			partition->tombs = left;
		}
	}
	erase_destroy(erase);
	return done;
}
