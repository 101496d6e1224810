/*
 * sim_data.c: what a file of the simulated disk holds.
 *
 * Contents are kept once, as the reader sees them, in chunks of 32 sectors. A sector that was
 * written since the last sync has a record with what the disk holds instead (and with its first
 * new version, when it was written more than once). So a sync only drops records, and a power cut
 * puts some of the older versions back.
 *
 * After a failed sync a record may be `lost`: the reader sees the new version, the disk has the
 * old one, and no sync will change that until the sector is written again: so the kernel does when
 * it marks a page clean that it could not write.
 *
 * Invariants: bytes after `len` are zero. chunk->pending[i] is 0 or the number of the record of
 * that sector, counted from 1. len_low <= len, synced_len <= len_high.
 */
#include "sim_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "num.h"

enum {
	CHUNK_SECTORS = 32,
	CHUNK_BYTES = CHUNK_SECTORS * SIM_SECTOR_BYTES,
};

#define FILE_BYTES_MAX (UINT64_C(64) << 30)

struct sim_chunk {
	uint8_t bytes[CHUNK_BYTES];
	uint32_t pending[CHUNK_SECTORS];
};

struct sim_pending {
	uint64_t sector;
	bool twice; /* `first` is a version of its own */
	bool lost;
	uint8_t disk[SIM_SECTOR_BYTES];
	uint8_t first[SIM_SECTOR_BYTES];
};

void
sim_data_finish(struct sim_data *d)
{
	for (size_t i = 0; i < d->chunk_count; i++)
		free(d->chunks[i]);
	free(d->chunks);
	free(d->pending);
	*d = (struct sim_data){0};
}

static struct sim_chunk *
chunk_at(const struct sim_data *d, uint64_t offset)
{
	uint64_t i = offset / CHUNK_BYTES;
	return i < d->chunk_count ? d->chunks[i] : NULL;
}

static uint8_t *
sector_bytes(struct sim_data *d, uint64_t sector)
{
	uint64_t offset = sector * SIM_SECTOR_BYTES;
	return chunk_at(d, offset)->bytes + offset % CHUNK_BYTES;
}

static uint32_t *
sector_slot(struct sim_data *d, uint64_t sector)
{
	return &chunk_at(d, sector * SIM_SECTOR_BYTES)->pending[sector % CHUNK_SECTORS];
}

static int
make_chunk(struct sim_data *d, uint64_t offset)
{
	size_t i = (size_t)(offset / CHUNK_BYTES);
	if (i >= d->chunk_count) {
		size_t count = MAX(i + 1, d->chunk_count + d->chunk_count / 2);
		struct sim_chunk **chunks = realloc(d->chunks, count * sizeof(*chunks));
		if (!chunks)
			return -ENOMEM;
		memset(chunks + d->chunk_count, 0, (count - d->chunk_count) * sizeof(*chunks));
		d->chunks = chunks;
		d->chunk_count = count;
	}
	if (!d->chunks[i])
		d->chunks[i] = calloc(1, sizeof(*d->chunks[i]));
	return d->chunks[i] ? 0 : -ENOMEM;
}

static int
add_pending(struct sim_data *d, uint64_t sector)
{
	if (d->pending_count == d->pending_cap) {
		size_t cap = d->pending_cap ? d->pending_cap * 2 : 8;
		struct sim_pending *pending = realloc(d->pending, cap * sizeof(*pending));
		if (!pending)
			return -ENOMEM;
		d->pending = pending;
		d->pending_cap = cap;
	}
	struct sim_pending *p = &d->pending[d->pending_count++];
	p->sector = sector;
	p->twice = p->lost = false;
	memcpy(p->disk, sector_bytes(d, sector), SIM_SECTOR_BYTES);
	*sector_slot(d, sector) = (uint32_t)d->pending_count;
	return 0;
}

/* Before a sector changes: its older versions are put aside. */
static int
touch(struct sim_data *d, uint64_t sector)
{
	int error = make_chunk(d, sector * SIM_SECTOR_BYTES);
	if (error)
		return error;
	uint32_t slot = *sector_slot(d, sector);
	if (slot == 0)
		return add_pending(d, sector);
	struct sim_pending *p = &d->pending[slot - 1];
	if (p->lost) {
		p->lost = p->twice = false;
	} else if (!p->twice) {
		memcpy(p->first, sector_bytes(d, sector), SIM_SECTOR_BYTES);
		p->twice = true;
	}
	return 0;
}

size_t
sim_data_read(const struct sim_data *d, void *ret_bytes, size_t len, uint64_t offset)
{
	if (offset >= d->len)
		return 0;
	len = (size_t)MIN((uint64_t)len, d->len - offset);
	for (size_t done = 0, part; done < len; done += part) {
		size_t at = (size_t)((offset + done) % CHUNK_BYTES);
		const struct sim_chunk *chunk = chunk_at(d, offset + done);
		part = MIN(len - done, CHUNK_BYTES - at);
		if (chunk)
			memcpy((uint8_t *)ret_bytes + done, chunk->bytes + at, part);
		else
			memset((uint8_t *)ret_bytes + done, 0, part);
	}
	return len;
}

static void
set_len(struct sim_data *d, uint64_t len)
{
	d->len = len;
	d->len_low = MIN(d->len_low, len);
	d->len_high = MAX(d->len_high, len);
}

int
sim_data_write(struct sim_data *d, const void *bytes, size_t len, uint64_t offset)
{
	uint64_t end;
	if (num_add_overflows(offset, (uint64_t)len, &end) || end > FILE_BYTES_MAX)
		return -EFBIG;
	for (size_t done = 0, part; done < len; done += part) {
		uint64_t sector = (offset + done) / SIM_SECTOR_BYTES;
		size_t at = (size_t)((offset + done) % SIM_SECTOR_BYTES);
		int error = touch(d, sector);
		if (error)
			return error;
		part = MIN(len - done, SIM_SECTOR_BYTES - at);
		memcpy(sector_bytes(d, sector) + at, (const uint8_t *)bytes + done, part);
	}
	if (len > 0 && end > d->len)
		set_len(d, end);
	return 0;
}

int
sim_data_truncate(struct sim_data *d, uint64_t len)
{
	if (len > FILE_BYTES_MAX)
		return -EFBIG;
	/* Sectors that are cut off become zero, which is as pending as the length. */
	for (uint64_t offset = len; offset < d->len;) {
		uint64_t next = offset - offset % SIM_SECTOR_BYTES + SIM_SECTOR_BYTES;
		if (!chunk_at(d, offset)) {
			offset += CHUNK_BYTES - offset % CHUNK_BYTES;
			continue;
		}
		int error = touch(d, offset / SIM_SECTOR_BYTES);
		if (error)
			return error;
		memset(
		    chunk_at(d, offset)->bytes + offset % CHUNK_BYTES, 0, (size_t)(next - offset));
		offset = next;
	}
	set_len(d, len);
	return 0;
}

/* Forgets every record but the lost ones. */
static void
drop_pending(struct sim_data *d)
{
	size_t kept = 0;
	for (size_t i = 0; i < d->pending_count; i++) {
		struct sim_pending *p = &d->pending[i];
		if (p->lost) {
			if (kept != i)
				d->pending[kept] = *p;
			kept++;
		}
		*sector_slot(d, p->sector) = p->lost ? (uint32_t)kept : 0;
	}
	d->pending_count = kept;
}

static void
drop_chunks_after_end(struct sim_data *d)
{
	size_t first = (size_t)((d->len + CHUNK_BYTES - 1) / CHUNK_BYTES);
	for (size_t i = first; i < d->chunk_count; i++) {
		free(d->chunks[i]);
		d->chunks[i] = NULL;
	}
}

void
sim_data_sync(struct sim_data *d)
{
	drop_pending(d);
	if (d->pending_count == 0)
		drop_chunks_after_end(d);
	d->synced_len = d->len_low = d->len_high = d->len;
}

void
sim_data_sync_failed(struct sim_data *d, struct prng *random)
{
	for (size_t i = 0; i < d->pending_count; i++)
		d->pending[i].lost |= prng_below(random, 2) == 0;
	drop_pending(d);
	if (prng_below(random, 2) == 0)
		d->synced_len = d->len_low = d->len_high = d->len;
}

/* Puts back the version of a sector that the disk turns out to have. `kept_of_4` is the chance of
 * a new one. */
static void
cut_sector(struct sim_data *d, const struct sim_pending *p, struct prng *random, uint64_t kept_of_4)
{
	uint8_t *bytes = sector_bytes(d, p->sector);
	*sector_slot(d, p->sector) = 0;
	if (p->lost || prng_below(random, 4) >= kept_of_4)
		memcpy(bytes, p->disk, SIM_SECTOR_BYTES);
	else if (p->twice && prng_below(random, 2) == 0)
		memcpy(bytes, p->first, SIM_SECTOR_BYTES);
}

static uint64_t
cut_len(const struct sim_data *d, struct prng *random)
{
	switch (prng_below(random, 4)) {
	case 0:
		return d->synced_len;
	case 1:
		return d->len;
	default:
		return d->len_low + prng_below(random, d->len_high - d->len_low + 1);
	}
}

void
sim_data_cut(struct sim_data *d, struct prng *random)
{
	uint64_t kept_of_4 = prng_below(random, 5);
	for (size_t i = 0; i < d->pending_count; i++)
		cut_sector(d, &d->pending[i], random, kept_of_4);
	d->pending_count = 0;
	d->len = d->synced_len = d->len_low = d->len_high = cut_len(d, random);

	drop_chunks_after_end(d);
	struct sim_chunk *last = chunk_at(d, d->len);
	size_t at = (size_t)(d->len % CHUNK_BYTES);
	if (last)
		memset(last->bytes + at, 0, CHUNK_BYTES - at);
}

int
sim_data_flip(struct sim_data *d, uint64_t bit)
{
	uint64_t offset = bit / 8;
	uint8_t mask = (uint8_t)(1u << bit % 8);
	if (offset >= d->len)
		return -EINVAL;
	int error = make_chunk(d, offset);
	if (error)
		return error;
	chunk_at(d, offset)->bytes[offset % CHUNK_BYTES] ^= mask;
	uint32_t slot = *sector_slot(d, offset / SIM_SECTOR_BYTES);
	if (slot) {
		d->pending[slot - 1].disk[offset % SIM_SECTOR_BYTES] ^= mask;
		d->pending[slot - 1].first[offset % SIM_SECTOR_BYTES] ^= mask;
	}
	return 0;
}
