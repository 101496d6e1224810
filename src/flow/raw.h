/*
 * raw.h: messages as they came, out of journal records: what was accepted, credentials starred.
 */
#ifndef WEIR_RAW_H
#define WEIR_RAW_H

#include "buf.h"
#include "record.h"

struct flow_scope;
struct tombs;

/* Appends a line of JSON for each accepted item of the record that is of `device` (ptr NULL: of
 * any) and of a device in the scope (NULL: of all, or of none): {"time":arrival,"message":{…}}, or
 * for line protocol one line with all such lines, {"time":arrival,"text":"…"}. Returns how many it
 * appended, -ENOMEM, or -EBADMSG (damage that the record's CRC did not see). Any thread; `scratch`
 * is the caller's, reused. */
int raw_write(const struct journal_record *record, struct span device,
    const struct flow_scope *scope, struct buf *scratch, struct buf *out);

/* The same without what these hide (NULL: nothing). */
int raw_write_shown(const struct journal_record *record, struct span device,
    const struct flow_scope *scope, const struct tombs *tombs, struct buf *scratch,
    struct buf *out);

/* Calls each() for each accepted message of this topic, of a gateway's record (of other records:
 * never); `data` is JSON on one line. A nonzero return ends it and is returned. 0, -ENOMEM, or
 * -EBADMSG, as above. */
int raw_messages_each(const struct journal_record *record, struct span topic, struct buf *scratch,
    int (*each)(void *ctx, int64_t time_ms, struct span data), void *ctx);

#endif
