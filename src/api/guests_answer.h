/*
 * guests_answer.h: what an application answers when it is asked for a guest: JSON, read strictly.
 * What is not understood is no permission.
 */
#ifndef WEIR_GUESTS_ANSWER_H
#define WEIR_GUESTS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

#define GUESTS_ANSWER_PATTERNS_MAX 1000 /* of each list */

struct guests_answer {
	bool allows, allows_all;     /* all: what was asked for; else the patterns */
	struct span *patterns, *publish;
	size_t pattern_count, publish_count;
	struct span user, detail;    /* decoded; may be empty */
	uint64_t expires_in_s;       /* 0: it does not end */
	uint64_t cache_s;
	bool cache_said;
	char *text;                  /* where decoded strings lie */
	size_t text_len;
};

/* {"allow": true | false | [patterns], "publish": […], "user": "…", "expires_in_s": N,
 * "cache_s": N, "detail": "…"}; other members are passed over. `allow` may be missing in refusals
 * only. 0, -ENOMEM, or -EBADMSG with a piece of a sentence. Patterns are not checked. */
int guests_answer_read(struct span body, bool refusal, struct guests_answer *ret_answer,
    const char **ret_why);
void guests_answer_finish(struct guests_answer *answer);

#endif
