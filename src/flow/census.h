/*
 * census.h: how many series there are (in all, of a tenant, made by a principal, by values of a
 * tag) and whether one is known: so that a flood of new ones is refused while the old ones go on.
 *
 * A set of the hashes of all keys, shared by the loops. A judge asks for a series once a body; what
 * it was allowed counts from then on, also when its record then fails. Any thread.
 */
#ifndef WEIR_CENSUS_H
#define WEIR_CENSUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

struct census;
struct makers;

/* What there may be too many series of. */
enum census_limit {
	CENSUS_NODE,
	CENSUS_TENANT,
	CENSUS_PRINCIPAL, /* made by it: a key, gateway, person or device */
	CENSUS_TAG,       /* values of a tag of a tenant, but of `device` */
	CENSUS_LIMIT_COUNT
};

struct census_options {
	uint64_t max[CENSUS_LIMIT_COUNT]; /* 0: no limit */
	struct makers *makers;  /* told who made which series; NULL: nobody asks. The caller's */
	/* Something was refused, by whom and why: at most once a minute. NULL: nobody asks. */
	void (*warn)(void *ctx, const char *what);
	void *ctx;
};

/* 0 or -ENOMEM. */
int census_create(const struct census_options *options, struct census **ret_census);
void census_destroy(struct census *census); /* NULL ok */

struct census_series {
	struct span tenant, principal; /* principal empty: made by nobody that counts */
	struct span key;
	uint64_t hash;                 /* of the key */
	int64_t now_ms;
};

/* Whether points of it may be taken: it is known, or there is room for one more. 0, -ENOMEM, or
 * -EDQUOT with a sentence that names the limit and, of the series' tags, the one with most
 * values. */
#define CENSUS_WHY_BYTES 160
int census_allow(struct census *census, const struct census_series *series,
    char ret_why[CENSUS_WHY_BYTES]);

/* ── at start, whatever the limits say ── */

/* A series that is there already. 0 or -ENOMEM. */
int census_add(struct census *census, struct span key, uint64_t hash, bool *ret_new);

bool census_has(struct census *census, uint64_t hash);

/* A principal in the words of weir.db; never 0. */
uint64_t census_maker(struct span tenant, struct span principal);

/* One of the series that are there was made by it. 0 or -ENOMEM. */
int census_credit(struct census *census, uint64_t maker);

/* How often a new series was refused, by limit. */
void census_refused(struct census *census, uint64_t ret_counts[CENSUS_LIMIT_COUNT]);

#endif
