/*
 * logins.c: what all loops share about logins.
 *
 * The table of those who were told of is direct mapped by a SipHash with a key of this process: two
 * accounts in one slot are told of more often than they should be, never less.
 */
#include "logins.h"

#include <errno.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "access_login.h"
#include "check.h"

enum { TOLD_SLOTS = 256, TELL_AGAIN_MS = 10 * 60 * 1000 };

struct logins {
	struct env *env;
	struct access_throttle *throttle;
	unsigned char key[crypto_shorthash_KEYBYTES];
	struct {
		uint64_t name, until_ms;
	} told[TOLD_SLOTS];
	atomic_uint_fast64_t counts[LOGINS_RESULT_COUNT];
};

int
logins_create(struct env *env, struct logins **ret_logins)
{
	struct logins *logins = calloc(1, sizeof *logins);
	int error = logins ? access_throttle_create(env, &logins->throttle) : -ENOMEM;

	if (error) {
		free(logins);
		return error;
	}
	logins->env = env;
	env_random(env, logins->key, sizeof logins->key);
	*ret_logins = logins;
	return 0;
}

void
logins_destroy(struct logins *logins)
{
	if (!logins)
		return;
	access_throttle_destroy(logins->throttle);
	free(logins);
}

static uint64_t
now_ms(const struct logins *logins)
{
	return env_mono_ns(logins->env) / 1000000;
}

uint64_t
logins_try(struct logins *logins, struct span account, struct span address)
{
	return access_throttle_try(logins->throttle, account, address, now_ms(logins));
}

void
logins_right(struct logins *logins, struct span account, struct span address)
{
	access_throttle_right(logins->throttle, account, address, now_ms(logins));
}

bool
logins_tell(struct logins *logins, struct span account)
{
	uint64_t name, now = now_ms(logins);

	crypto_shorthash((unsigned char *)&name, (const unsigned char *)account.ptr, account.len,
	    logins->key);
	if (logins->told[name % TOLD_SLOTS].name == name &&
	    now < logins->told[name % TOLD_SLOTS].until_ms)
		return false;
	logins->told[name % TOLD_SLOTS].name = name;
	logins->told[name % TOLD_SLOTS].until_ms = now + TELL_AGAIN_MS;
	return true;
}

void
logins_count(struct logins *logins, enum logins_result result)
{
	atomic_fetch_add_explicit(&logins->counts[result], 1, memory_order_relaxed);
}

void
logins_counts(const struct logins *logins, uint64_t ret_counts[LOGINS_RESULT_COUNT])
{
	for (unsigned i = 0; i < LOGINS_RESULT_COUNT; i++)
		ret_counts[i] = atomic_load_explicit(&logins->counts[i], memory_order_relaxed);
}

const char *
logins_result_word(unsigned result)
{
	static const char *const words[LOGINS_RESULT_COUNT] = {
		[LOGINS_RIGHT] = "right", [LOGINS_WRONG] = "wrong",
		[LOGINS_THROTTLED] = "throttled", [LOGINS_BUSY] = "busy",
	};

	check(result < LOGINS_RESULT_COUNT);
	return words[result];
}
