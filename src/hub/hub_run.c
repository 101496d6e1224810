/*
 * hub_run.c: messages on one channel that come at once: what they are in a transport's form, one
 * behind the other, made once for all who get them.
 */
#include <errno.h>
#include <stdlib.h>

#include "hub.h"

struct hub_joined {
	size_t refs; /* all on one loop */
	size_t len;
	char bytes[];
};

void
hub_joined_unref(void *ctx)
{
	struct hub_joined *joined = ctx;
	if (joined && --joined->refs == 0)
		free(joined);
}

void
hub_run_finish(struct hub_run *run)
{
	for (size_t i = 0; i < HUB_FORM_COUNT; i++)
		hub_joined_unref(run->joined[i]);
}

static struct hub_joined *
join(const struct hub_run *run, const struct span *forms, size_t len)
{
	struct hub_joined *joined = malloc(sizeof(*joined) + len);
	if (!joined)
		return NULL;
	joined->refs = 1;
	joined->len = 0;
	for (size_t i = 0; i < run->count; i++) {
		memcpy(joined->bytes + joined->len, forms[i].ptr, forms[i].len);
		joined->len += forms[i].len;
	}
	return joined;
}

int
hub_run_form(struct hub_run *run, enum hub_form form,
    int (*encode)(const struct hub_message *message, uint64_t channels, struct buf *out),
    struct span *ret_bytes, void **ret_joined)
{
	struct span forms[HUB_RUN_MAX];
	size_t len = 0;
	for (size_t i = 0; !run->joined[form] && i < run->count; i++) {
		int error = hub_message_form(
		    run->messages[i], form, HUB_ALL_CHANNELS, encode, &forms[i]);
		if (error)
			return error;
		len += forms[i].len;
	}
	if (!run->joined[form])
		run->joined[form] = join(run, forms, len);
	struct hub_joined *joined = run->joined[form];
	if (!joined)
		return -ENOMEM;
	joined->refs++;
	*ret_bytes = span_of(joined->bytes, joined->len);
	*ret_joined = joined;
	return 0;
}
