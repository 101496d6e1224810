/*
 * shelf.h: where queries leave what they read of parts, for those that ask for the same again.
 *
 * A cursor holds the index block and the chunks that it read last; parts never change. So a query
 * takes a part's cursor from the shelf and puts it back: one for each part, no more than a number
 * of bytes in all, the longest unused ones go first. No files are open on it. Any thread.
 */
#ifndef WEIR_SHELF_H
#define WEIR_SHELF_H

#include "part.h"
#include "series.h"

/* The part's cursor, or a new one; NULL shelf: a new one. The caller holds the part. 0, -ENOMEM. */
int shelf_take(struct series_shelf *shelf, struct part *part, struct part_cursor **ret_cursor);

/* Instead of part_cursor_destroy. */
void shelf_put(struct series_shelf *shelf, struct part_cursor *cursor); /* NULL ok, both */

/* The part ends. */
void shelf_forget(struct part *part);

#endif
