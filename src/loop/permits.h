/*
 * permits.h: no more loops work in pieces (LOOP_WORK) at once than there are processors for.
 *
 * Work in pieces does not end while very many are to be told something. A server may have more
 * loops than processors, for each has a table of descriptors of its own; were all of them to work,
 * whoever has something urgent to do would wait for the turns of all. So a loop works with a
 * permit, for some pieces, then hands it to who has waited longest. Who has none sleeps until it is
 * given one, unless something else happens, and a sleeper that wakes goes before those that always
 * run.
 */
#ifndef WEIR_PERMITS_H
#define WEIR_PERMITS_H

struct permits;

/* For so many loops at once, at least 1. 0 or -ENOMEM. */
int permits_create(unsigned count, struct permits **ret_permits);
void permits_destroy(struct permits *permits); /* NULL allowed; no loop is left that knows them */

#endif
