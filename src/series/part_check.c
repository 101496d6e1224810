/*
 * part_check.c: a part file looked at from outside: what it says it is, and whether all of it is as
 * it was written.
 */
#include "part_check.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "check.h"
#include "hash.h"
#include "part_priv.h"

#define CHUNK_CRC_BYTES 4u /* a chunk begins with the CRC of the rest */

static int
read_ends(struct env_file *file, struct part_head *ret_head, struct part_foot *ret_foot,
    uint64_t *ret_bytes)
{
	int error = env_size(file, ret_bytes);
	if (error)
		return error;
	if (*ret_bytes < sizeof(*ret_head) + sizeof(*ret_foot))
		return -EBADMSG;
	ssize_t got = env_pread(file, ret_head, sizeof(*ret_head), 0);
	if (got == sizeof(*ret_head))
		got = env_pread(file, ret_foot, sizeof(*ret_foot), *ret_bytes - sizeof(*ret_foot));
	if (got < 0)
		return (int)got;
	return got == sizeof(*ret_foot) ? 0 : -EBADMSG;
}

int
part_peek(struct env *env, const char *dir, uint64_t id, struct store_part *ret_info,
    const char **ret_reason)
{
	char path[PART_PATH_BYTES_MAX];
	struct env_file *file;
	struct part_head head;
	struct part_foot foot;
	uint64_t bytes;
	*ret_reason = "cannot be read";
	int error = part_path(path, sizeof(path), dir, id);
	if (error == 0)
		error = env_open(env, path, ENV_READ, &file);
	if (error)
		return error;
	*ret_reason = "too short";
	error = read_ends(file, &head, &foot, &bytes);
	env_close(file);
	if (error)
		return error;
	*ret_reason = "damaged header";
	if (memcmp(head.magic, PART_HEAD_MAGIC, 8) != 0 || head.id != id ||
	    head.crc != crc32c(0, &head, offsetof(struct part_head, crc)))
		return -EBADMSG;
	*ret_reason = "damaged footer";
	if (memcmp(foot.magic, PART_FOOT_MAGIC, 8) != 0 ||
	    foot.crc != crc32c(0, &foot, offsetof(struct part_foot, crc)))
		return -EBADMSG;
	*ret_reason = "made by a newer version";
	if (head.version != PART_VERSION || head.features & ~PART_FEATURES)
		return -EPROTO;
	*ret_info = (struct store_part){
		.id = id,
		.partition = head.partition,
		.day = head.day,
		.level = head.level,
		.rollup = head.rollup,
		.seq_first = head.seq_first,
		.seq_last = head.seq_last,
		.time_first = foot.time_first,
		.time_last = foot.time_last,
		.points = foot.points,
		.series = foot.series,
		.bytes = bytes,
	};
	return 0;
}

/* The chunk the cursor stands on. */
static int
check_chunk(struct part *part, struct part_cursor *cursor, series_damage_fn *report, void *ctx)
{
	const struct part_entry *entry = part_cursor_entry(cursor);
	struct series_damage damage;
	struct span chunk = {NULL, 0};
	uint32_t crc;
	int error = part_cursor_chunk(cursor, entry, &chunk);
	if (error && error != -EBADMSG)
		return error;
	if (error == 0 && chunk.len > CHUNK_CRC_BYTES) {
		memcpy(&crc, chunk.ptr, sizeof(crc));
		if (crc == crc32c(0, chunk.ptr + CHUNK_CRC_BYTES, chunk.len - CHUNK_CRC_BYTES))
			return 0;
	}
	part_damage(&damage, part, entry->offset, "damaged chunk");
	report(ctx, &damage);
	return 0;
}

int
part_check(struct part *part, int (*each)(void *ctx, uint64_t key_hash),
    series_damage_fn *report, void *ctx)
{
	struct part_cursor *cursor;
	struct series_damage damage;
	uint64_t last = 0;
	int error = part_cursor_create(part, &cursor);
	if (error)
		return error;
	int got = part_cursor_seek(cursor, span_of("", 0));
	for (bool first = true; got == 1 || got == -EBADMSG; got = part_cursor_next(cursor)) {
		if (got == -EBADMSG) {
			part_damage(&damage, part, part_cursor_damage(cursor), "damaged index");
			report(ctx, &damage);
			continue;
		}
		uint64_t hash = hash64(part_cursor_key(cursor), 0);
		if (first || hash != last)
			error = each(ctx, hash);
		first = false;
		last = hash;
		if (error == 0)
			error = check_chunk(part, cursor, report, ctx);
		if (error)
			break;
	}
	part_cursor_destroy(cursor);
	return error ? error : MIN(got, 0);
}
