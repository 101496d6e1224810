/*
 * lineproto_quick.h: numbers and times of the line protocol in the form that nearly all have.
 *
 * For callers that know a line's names already. What is taken here means the same to
 * lp_parse_line; what is not may still be good there. Pure; nothing at or behind `end` is read.
 */
#ifndef WEIR_LINEPROTO_QUICK_H
#define WEIR_LINEPROTO_QUICK_H

#include <stdbool.h>
#include <stdint.h>

/* A float or an integer marked 'i' at *at, of at most 16 digits in all, without exponent: *at is
 * then behind it. false: not such a number, or an integer that no double holds. What follows it
 * is the caller's to look at. */
bool lp_quick_number(const char **at, const char *end, double *ret_number);

/* A time of at most 19 digits at *at; *at is then behind it. */
bool lp_quick_time(const char **at, const char *end, int64_t *ret_time);

#endif
