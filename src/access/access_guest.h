/*
 * access_guest.h: principals of guests: an application vouches for them when it is asked, so they
 * are what a subscriber's token would make of them (ACCESS_SUBSCRIBER, id 0).
 */
#ifndef WEIR_ACCESS_GUEST_H
#define WEIR_ACCESS_GUEST_H

#include "access.h"

#define ACCESS_GUEST_PATTERNS_MAX 1000 /* of each list */

/* What the application said. Spans are copied. */
struct access_guest {
	struct span tenant;
	struct span user;           /* he is "sub-USER"; may be empty */
	const struct span *patterns, *publish;
	size_t pattern_count, publish_count;
	int64_t expires_ms;         /* 0: never */
};

/* 0, -ENOMEM, or -EINVAL: a pattern is none, a list is too long, the name has control characters
 * or more than 255 bytes. *ret_principal is a reference. */
int access_guest_create(const struct access_guest *guest,
    struct access_principal **ret_principal);

/* Somebody who may do what both may, called as `later` is, until the first of them ends. As
 * above. */
int access_guest_join(const struct access_principal *earlier,
    const struct access_principal *later, struct access_principal **ret_principal);

#endif
