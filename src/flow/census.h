/*
 * census.h: how many series there are, of a tenant and in all, and whether one is known: so that a
 * flood of new ones is refused while the old ones go on.
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

/* 0: no limit. 0 or -ENOMEM. */
int census_create(uint64_t series_max, uint64_t tenant_max, struct census **ret_census);
void census_destroy(struct census *census); /* NULL ok */

/* A series that is there already, whatever the limits say. 0 or -ENOMEM. */
int census_add(struct census *census, struct span key, uint64_t hash);

/* Whether points of it may be taken: it is known, or there is room for one more. */
bool census_allows(struct census *census, struct span tenant, uint64_t hash);

#endif
