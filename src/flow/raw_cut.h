/*
 * raw_cut.h: records without the items of devices that are erased, for journal_erase.
 *
 * What is left judges as before: an item that is cut is a rejected or a blank one, so that all
 * others keep their places, and their verdicts.
 */
#ifndef WEIR_RAW_CUT_H
#define WEIR_RAW_CUT_H

#include "journal.h"
#include "tombs.h"

struct raw_cut;

/* `tombs`: what is to be cut; a reference is taken. 0 or -ENOMEM. */
int raw_cut_create(struct tombs *tombs, struct raw_cut **ret_cut);
void raw_cut_destroy(struct raw_cut *cut); /* NULL ok */

/* For struct journal_erase_options: what may be concerned. */
const uint64_t *raw_cut_wanted(const struct raw_cut *cut, size_t *ret_count);
uint64_t raw_cut_seq(const struct raw_cut *cut);

/* Its `edit`, of which ctx is a raw_cut. One thread. */
int raw_cut_record(void *ctx, const struct journal_record *record,
    const struct journal_keys *keys, struct journal_record *ret_record);

#endif
