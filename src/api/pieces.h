/*
 * pieces.h: an answer about many series in pieces, made by two workers, sent in order.
 *
 * One sends: it makes pieces right into the answer, or sends those that lie ready. The other, and
 * the one while it would have to wait for the other, make pieces ahead. What lies ready is bounded;
 * the one who helps never waits: where it is not needed any more, it ends.
 */
#ifndef WEIR_PIECES_H
#define WEIR_PIECES_H

#include "buf.h"
#include "series.h"

struct pieces;

struct piece {
	struct span from, to; /* its series' keys; `to` empty: all that follow */
	struct buf text;      /* made ahead; -EMSGSIZE: it is too long for that */
	enum { PIECE_FREE, PIECE_TAKEN, PIECE_READY } state;
};

/* NULL: not worth it, or no memory. The snapshots must stay. */
struct pieces *pieces_create(struct series_snapshot *const *snapshots, size_t count);
void pieces_destroy(struct pieces *pieces); /* NULL ok */

/* ── who sends ── */

enum pieces_step {
	PIECES_MAKE,  /* this piece, right into the answer; then pieces_sent */
	PIECES_SEND,  /* its text; then pieces_sent */
	PIECES_AHEAD, /* make its text; then pieces_put */
	PIECES_END,   /* none is left */
};
enum pieces_step pieces_next(struct pieces *pieces, struct piece **ret_piece);
void pieces_sent(struct pieces *pieces);

/* Whether all was sent or not: no more help. */
void pieces_end(struct pieces *pieces);

/* ── who helps ── */

/* A piece whose text is to be made; then pieces_put. NULL: it is over. */
struct piece *pieces_help(struct pieces *pieces);

/* Not good: it is as if it had never been taken, and nothing more is made ahead. */
void pieces_put(struct pieces *pieces, struct piece *piece, bool good);

#endif
