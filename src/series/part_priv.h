/*
 * part_priv.h: the bytes of a part file, for its reader and its writer.
 */
#ifndef WEIR_PART_PRIV_H
#define WEIR_PART_PRIV_H

#include <stdint.h>

#define PART_VERSION 1u
#define PART_FEATURES 1u /* all bits that this reader knows */
#define PART_FEATURE_ROLLUPS 1u /* its chunks are roll-ups' */
#define PART_HEAD_MAGIC "WEIRPART"
#define PART_FOOT_MAGIC "WEIRPEND"

#define PART_BLOCK_BYTES 65536u   /* a block ends behind the series that fills it, … */
#define PART_BLOCK_ENTRIES 1024u  /* … or that has this many chunks before it */
#define PART_INDEX_RAW_MAX (64u << 20)

struct part_head {
	char magic[8];
	uint32_t version, features;
	uint64_t id;
	uint32_t partition;
	int32_t day;
	uint32_t level, rollup;
	uint64_t seq_first, seq_last;
	uint32_t zero2, crc; /* of all before */
};

struct part_foot {
	uint64_t dir_offset, data_end;
	uint32_t dir_len, dir_raw_len, dir_crc, blocks;
	uint64_t points, series;
	int64_t time_first, time_last;
	uint32_t version, features;
	char magic[8];
	uint32_t zero, crc; /* of all before */
};

_Static_assert(sizeof(struct part_head) == 64, "part_head is on disk");
_Static_assert(sizeof(struct part_foot) == 88, "part_foot is on disk");

/* The byte before an entry's numbers: exponent + 1 of decimals, 0: doubles as they are. */
#define PART_ENTRY_SUMMED 0x40u
#define PART_ENTRY_EXPONENT 0x3fu

#endif
