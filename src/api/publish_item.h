/*
 * publish_item.h: one message on its way from a request to its channels: what it says is read, its
 * channels are called by their names, rights are asked, and it is handed to flow.
 *
 * An item outlives its request and owns copies of all it needs.
 */
#ifndef WEIR_PUBLISH_ITEM_H
#define WEIR_PUBLISH_ITEM_H

#include "api_priv.h"
#include "body_fault.h"

#define PUBLISH_DATA_BYTES_MAX (1u << 20)

struct publish_item {
	struct flow_publish publish;
	char *names;                     /* of ids; channels point into it */
	struct api_loop *al;
	struct access_principal *principal;
	struct span *channels;           /* of publish */
	size_t data_bytes;               /* as they were sent */
	/* Called once on the loop, never within publish_item_send; then the item is the caller's
	 * to destroy. A fault that is there before, of what was said, is told unless its channels
	 * may not be published to. */
	void (*told)(struct publish_item *item);
	void (*done)(void *ctx, int error, struct span id_or_detail); /* where told() needs it */
	void *ctx;
	bool may;                        /* his channels that are said by name were looked at */
	struct mail mail;
	struct body_fault fault;         /* without a status: it was published */
};

/* What a message says; spans that live during the call. */
struct publish_said {
	const struct span *channels;
	size_t channel_count;
	struct span key, type, data;
	size_t data_bytes;               /* what was sent of data, which is JSON */
};

/* With copies of everything. NULL: memory is out. */
struct publish_item *publish_item_create(struct api_loop *al,
    const struct access_principal *principal, const struct publish_said *said);
void publish_item_destroy(struct publish_item *item); /* NULL ok; not while it is under way */

/* Sends it; told() follows. */
void publish_item_send(struct publish_item *item);

#endif
