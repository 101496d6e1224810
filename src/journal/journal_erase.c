/*
 * journal_erase.c: what no segment stands for any more is overwritten: files that were used before,
 * and those that a rewritten segment left behind when something failed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "journal_priv.h"

struct wipe {
	struct journal *journal;
	struct journal_damage *damage;
	int error;       /* the first one */
	bool damaged;
};

void
journal_set_wipes(struct journal *journal, bool wipes)
{
	pthread_mutex_lock(&journal->lock);
	journal->wipes = wipes;
	pthread_mutex_unlock(&journal->lock);
}

/* What a file with a segment's name is. */
enum wipe_kind { WIPE_STAYS, WIPE_OTHER, WIPE_UNKNOWN };

static enum wipe_kind
wipe_look_up(struct journal *journal, uint64_t number, uint32_t edition)
{
	enum wipe_kind kind = WIPE_UNKNOWN;
	pthread_mutex_lock(&journal->lock);
	size_t i = journal_segment_after(journal, number - 1);
	if (i == journal->segment_count) /* the committer is making it */
		kind = WIPE_STAYS;
	else if (journal->segments[i].number == number)
		kind = journal->segments[i].edition == edition ? WIPE_STAYS : WIPE_OTHER;
	pthread_mutex_unlock(&journal->lock);
	return kind;
}

static int
wipe_each_name(void *ctx, const char *name)
{
	struct wipe *wipe = ctx;
	struct journal *journal = wipe->journal;
	char path[JOURNAL_PATH_BYTES_MAX];
	size_t len = strlen(name), gone = strlen(JOURNAL_GONE);
	uint64_t number;
	uint32_t edition;
	int r = 0;
	if (snprintf(path, sizeof path, "%s/%s", journal->dir, name) >= (int)sizeof path)
		return 0;
	if (len > gone && strcmp(name + len - gone, JOURNAL_GONE) == 0) {
		r = journal_segment_wipe(journal, path);
	} else if (journal_segment_parse_name(name, &number, &edition)) {
		enum wipe_kind kind = wipe_look_up(journal, number, edition);
		if (kind == WIPE_OTHER)
			r = journal_segment_discard(journal, path, true);
		if (kind == WIPE_UNKNOWN && !wipe->damaged) {
			wipe->damaged = true;
			*wipe->damage = (struct journal_damage){.reason = "unreadable"};
			snprintf(wipe->damage->segment, sizeof wipe->damage->segment, "%s", name);
		}
	}
	wipe->error = wipe->error ? wipe->error : r;
	return 0;
}

int
journal_wipe(struct journal *journal, struct journal_damage *ret_damage)
{
	struct wipe wipe = {.journal = journal, .damage = ret_damage};
	pthread_mutex_lock(&journal->chores);
	int r = env_list_dir(journal->env, journal->dir, wipe_each_name, &wipe);
	if (r == 0)
		r = wipe.error;
	if (r == 0)
		r = journal_segment_wipe_spares(journal);
	pthread_mutex_unlock(&journal->chores);
	return r == 0 && wipe.damaged ? -EBADMSG : r;
}
