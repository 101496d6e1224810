/*
 * record.c: one journal record in memory, reference counted.
 *
 * Struct, rejects, tenant and principal share one allocation; the body is in a second one, so
 * that the buffer it was received in can be taken over. Invariant: body.ptr is NULL or malloc'd.
 */
#include "record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

int
journal_record_create(const struct journal_record *like, bool body_malloced,
    struct journal_record **ret_record)
{
	size_t rejects_bytes = (size_t)like->reject_count * sizeof(like->rejects[0]);
	size_t texts_at = sizeof(struct journal_record) + rejects_bytes;
	struct journal_record *record = malloc(texts_at + like->tenant.len + like->principal.len);
	if (!record)
		return -ENOMEM;
	char *body = NULL;
	if (body_malloced) {
		body = (char *)like->body.ptr;
	} else if (like->body.len > 0) {
		body = malloc(like->body.len);
		if (!body) {
			free(record);
			return -ENOMEM;
		}
		memcpy(body, like->body.ptr, like->body.len);
	}
	*record = *like;
	refcount_init(&record->refs);
	record->body.ptr = body;
	char *rejects = (char *)record + sizeof *record;
	if (rejects_bytes > 0)
		memcpy(rejects, like->rejects, rejects_bytes);
	record->rejects = like->reject_count == 0 ? NULL :
	    (const struct journal_reject *)(void *)rejects;
	char *texts = (char *)record + texts_at;
	if (like->tenant.len > 0)
		memcpy(texts, like->tenant.ptr, like->tenant.len);
	record->tenant.ptr = texts;
	if (like->principal.len > 0)
		memcpy(texts + like->tenant.len, like->principal.ptr, like->principal.len);
	record->principal.ptr = texts + like->tenant.len;
	record->next = NULL;
	*ret_record = record;
	return 0;
}

struct journal_record *
journal_record_ref(struct journal_record *record)
{
	refcount_up(&record->refs);
	return record;
}

void
journal_record_unref(struct journal_record *record)
{
	if (!record || !refcount_down(&record->refs))
		return;
	if (record->parsed && record->parsed_destroy)
		record->parsed_destroy(record->parsed);
	free((char *)record->body.ptr);
	free(record);
}
