/*
 * pieces.c: whose turn it is with which piece.
 *
 * Invariants: pieces before `front` are sent, the one at `front` is sent next; `bytes` is the
 * length of all texts that lie ready; who has taken a piece puts it back without waiting for
 * anybody.
 */
#include "pieces.h"

#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "query.h"

#define PIECE_SERIES 32u                /* so many make a piece, … */
#define PIECES_MAX 64u                  /* … if there are not more pieces then */
#define PIECE_BYTES_MAX (256u << 10)    /* made ahead */
#define READY_BYTES_MAX (1u << 20)      /* then nothing is made ahead */

struct pieces {
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t put;
	size_t count, front, bytes;
	bool alone;           /* nothing is made ahead */
	struct piece of[];
};

struct pieces *
pieces_create(struct series_snapshot *const *snapshots, size_t count)
{
	struct span keys[PIECES_MAX - 1];
	size_t series = series_snapshots_count(snapshots, count);
	if (series < 2 * PIECE_SERIES)
		return NULL;
	size_t wanted = MIN(series / PIECE_SERIES, (size_t)PIECES_MAX);
	size_t cuts = series_snapshots_cut(snapshots, count, keys, wanted - 1);
	struct pieces *pieces = calloc(1, sizeof(*pieces) + (cuts + 1) * sizeof(pieces->of[0]));
	if (!pieces)
		return NULL;
	check(pthread_mutex_init(&pieces->lock, NULL) == 0);
	check(pthread_cond_init(&pieces->put, NULL) == 0);
	pieces->count = cuts + 1;
	for (size_t i = 0; i <= cuts; i++) {
		pieces->of[i].from = i ? keys[i - 1] : SPAN("");
		pieces->of[i].to = i < cuts ? keys[i] : SPAN("");
		buf_init(&pieces->of[i].text, PIECE_BYTES_MAX);
	}
	return pieces;
}

void
pieces_destroy(struct pieces *pieces)
{
	if (!pieces)
		return;
	for (size_t i = 0; i < pieces->count; i++)
		buf_finish(&pieces->of[i].text);
	pthread_cond_destroy(&pieces->put);
	pthread_mutex_destroy(&pieces->lock);
	free(pieces);
}

/* The first free piece behind the front, taken; NULL: there is none to be made ahead. Locked. */
static struct piece *
pieces_take_ahead(struct pieces *pieces)
{
	if (pieces->alone || pieces->bytes >= READY_BYTES_MAX)
		return NULL;
	for (size_t i = pieces->front + 1; i < pieces->count; i++) {
		if (pieces->of[i].state != PIECE_FREE)
			continue;
		pieces->of[i].state = PIECE_TAKEN;
		return &pieces->of[i];
	}
	return NULL;
}

enum pieces_step
pieces_next(struct pieces *pieces, struct piece **ret_piece)
{
	enum pieces_step step = PIECES_END;
	check(pthread_mutex_lock(&pieces->lock) == 0);
	while (pieces->front < pieces->count) {
		struct piece *piece = &pieces->of[pieces->front];
		step = piece->state == PIECE_READY ? PIECES_SEND : PIECES_MAKE;
		if (piece->state == PIECE_TAKEN) {
			piece = pieces_take_ahead(pieces);
			step = PIECES_AHEAD;
		}
		if (piece) {
			piece->state = PIECE_TAKEN;
			*ret_piece = piece;
			break;
		}
		check(pthread_cond_wait(&pieces->put, &pieces->lock) == 0);
		step = PIECES_END;
	}
	check(pthread_mutex_unlock(&pieces->lock) == 0);
	return step;
}

void
pieces_sent(struct pieces *pieces)
{
	check(pthread_mutex_lock(&pieces->lock) == 0);
	struct buf *text = &pieces->of[pieces->front++].text;
	pieces->bytes -= text->len;
	buf_finish(text);
	check(pthread_mutex_unlock(&pieces->lock) == 0);
}

void
pieces_end(struct pieces *pieces)
{
	check(pthread_mutex_lock(&pieces->lock) == 0);
	pieces->alone = true;
	check(pthread_mutex_unlock(&pieces->lock) == 0);
}

struct piece *
pieces_help(struct pieces *pieces)
{
	check(pthread_mutex_lock(&pieces->lock) == 0);
	struct piece *piece = pieces_take_ahead(pieces);
	check(pthread_mutex_unlock(&pieces->lock) == 0);
	return piece;
}

void
pieces_put(struct pieces *pieces, struct piece *piece, bool good)
{
	if (!good)
		buf_finish(&piece->text);
	check(pthread_mutex_lock(&pieces->lock) == 0);
	piece->state = good ? PIECE_READY : PIECE_FREE;
	pieces->bytes += piece->text.len;
	pieces->alone |= !good;
	check(pthread_cond_signal(&pieces->put) == 0);
	check(pthread_mutex_unlock(&pieces->lock) == 0);
}
