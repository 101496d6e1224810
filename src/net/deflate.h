/*
 * deflate.h: whole messages as WebSockets compress them (permessage-deflate, RFC 7692, without
 * context takeover): raw deflate, flushed, less the four bytes that every flush ends with.
 */
#ifndef WEIR_DEFLATE_H
#define WEIR_DEFLATE_H

#include "buf.h"
#include "span.h"

/* Appends `in`, compressed. 0 or -ENOMEM, and then `out` is as it was. */
int deflate_pack(struct span in, struct buf *out);

/* Appends what `in` says. 0; -EBADMSG: it is damaged; -EFBIG: it says more than `bytes_max`;
 * -ENOMEM. After an error `out` is as it was. */
int deflate_unpack(struct span in, size_t bytes_max, struct buf *out);

#endif
