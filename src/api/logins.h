/*
 * logins.h: what all loops share about logins: the throttle, what of failures goes to the audit,
 * and how many there were.
 */
#ifndef WEIR_LOGINS_H
#define WEIR_LOGINS_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"
#include "span.h"

enum logins_result { LOGINS_RIGHT, LOGINS_WRONG, LOGINS_THROTTLED, LOGINS_BUSY,
	LOGINS_RESULT_COUNT };

struct logins;

int logins_create(struct env *env, struct logins **ret_logins); /* -ENOMEM */
void logins_destroy(struct logins *logins); /* NULL ok */

/* ── on the store's thread: access_throttle with the time of env ── */
uint64_t logins_try(struct logins *logins, struct span account, struct span address);
void logins_right(struct logins *logins, struct span account, struct span address);

/* Whether this account's failure is to be told in the audit: the first of some minutes, so that who
 * guesses cannot fill the disk. The store's thread. */
bool logins_tell(struct logins *logins, struct span account);

/* ── any thread ── */
void logins_count(struct logins *logins, enum logins_result result);
void logins_counts(const struct logins *logins, uint64_t ret_counts[LOGINS_RESULT_COUNT]);
const char *logins_result_word(unsigned result);

#endif
