/*
 * access_login.h: passwords of persons, and what stands between them and those who guess.
 */
#ifndef WEIR_ACCESS_LOGIN_H
#define WEIR_ACCESS_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"
#include "span.h"

#define ACCESS_PASSWORD_BYTES_MIN 8
#define ACCESS_PASSWORD_BYTES_MAX 256
#define ACCESS_PASSWORD_HASH_BYTES 128 /* with a NUL */

/* What is wrong with a password for this person, in words; NULL: nothing. It need not be good, but
 * not be of those that are tried first. */
const char *access_password_flaw(struct span name, struct span text);

/* Argon2id with 64 MiB, two passes (libsodium's "interactive"): about 0.1 s and 64 MiB each. For a
 * worker; the caller bounds how many run at once. 0, -ENOMEM, -EINVAL: too short or too long. */
int access_password_hash(struct span password, char ret_hash[ACCESS_PASSWORD_HASH_BYTES]);

/* Whether the password is the one. An empty hash (no such person) takes as long and is false. For a
 * worker. */
bool access_password_check(struct span hash, struct span password);

/* ── throttle ──
 * Wrong passwords cost: each account, address, and pair of both may fail a few times at once and
 * then as fast as its bucket empties. Bounded: 4,096 buckets; where there is no room the one with
 * the fewest failures goes, so to be forgotten one must be the least of those in its row. Belongs
 * to one thread. */
struct access_throttle;

int access_throttle_create(struct env *env, struct access_throttle **ret_throttle); /* -ENOMEM */
void access_throttle_destroy(struct access_throttle *throttle); /* NULL ok */

/* Before the password is looked at: 0, or after how many ms to come back (429). A free try is
 * counted as a failure at once, so tries at the same time cannot pass together. `address` is text
 * without a port; an IPv6 address counts as its /64. */
uint64_t access_throttle_try(struct access_throttle *throttle, struct span account,
    struct span address, uint64_t now_ms);

/* The try was right: it does not count, and the account's debt to this address is forgotten. */
void access_throttle_right(struct access_throttle *throttle, struct span account,
    struct span address, uint64_t now_ms);

#endif
