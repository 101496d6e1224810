/*
 * codec_entropy.c: runs of small integers near their entropy: Huffman codes over words.
 *
 * A word is k (1..7) neighbouring integers: so that a code of whole bits costs little even where
 * one value is nearly certain, and one table access gives k integers. Words that are too rare for
 * the dictionary, or hold an integer outside the core alphabet, are escaped.
 *
 *   v  zigzag varint: smallest integer (min)
 *   1  W: bits of the largest − min, at most 32
 *   v  varint: core = smallest integer in the dictionary − min
 *   1  w: bits of an integer in the dictionary, relative to min + core (0..8)
 *   1  k
 *   1  length of the escape's code, 0: none
 *   1  longest code L (0..11), then L bytes: how many words have codes of 1..L bits (the escape,
 *      which is the first of its length, not counted)
 *   …  the words in canonical order, k × w bits each, first integer lowest; whole bytes
 *   …  count % k integers that fill no word, W bits each; whole bytes
 *   v  3 varints: bytes of the streams 0, 1, 2
 *   …  streams 0 to 3; word i is in stream i % 4: its code, bit-reversed so that the table is
 *      indexed by the next 11 bits, lowest first; after an escape k × W bits. Whole bytes; the last
 *      one ends where its words do, other things may follow
 *
 * Four streams, because one would wait for each table access; all are read in one round.
 * Invariants: the decoder's table is complete before the first bit is read (a prefix that no code
 * has is refused when it turns up); no load leaves the chunk.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "codec_priv.h"

#define WORD_MAX 7u
#define CODE_BITS 11u
#define TABLE_SIZE (1u << CODE_BITS)
#define CELLS_MAX 4096u  /* core alphabet ^ k */
#define WORDS_MAX 512u
#define STREAMS 4u

struct word {
	uint32_t cell;   /* the word as a number in base `core_size` */
	uint32_t count;
	uint8_t len;     /* of its code */
};

struct entropy_model {
	int64_t min;
	unsigned raw_width;      /* W */
	uint64_t core;           /* first integer of the core − min */
	unsigned core_size, width, k;
	unsigned word_count;     /* without the escape */
	unsigned escape_len;
	struct word words[WORDS_MAX + 1]; /* canonical order; the escape apart */
	uint16_t code_of[CELLS_MAX];      /* reversed code << 4 | length; 0: escaped */
	uint16_t escape_code;
};

/* ── choosing alphabet and word ── */

static int
entropy_order_ints(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static int64_t
entropy_median(const int64_t *values, size_t count)
{
	int64_t few[65];
	for (size_t i = 0; i < ARRAY_COUNT(few); i++)
		few[i] = values[i * (count - 1) / (ARRAY_COUNT(few) - 1)];
	qsort(few, ARRAY_COUNT(few), sizeof(few[0]), entropy_order_ints);
	return few[ARRAY_COUNT(few) / 2];
}

/* Cuts rare ends off the alphabet; the bits that a value then costs on average. */
static double
entropy_cut(const uint32_t *histogram, size_t count, unsigned *first, unsigned *last)
{
	uint32_t rare = (uint32_t)(count / 2000);
	while (*first < *last && histogram[*first] <= rare)
		(*first)++;
	while (*last > *first && histogram[*last] <= rare)
		(*last)--;
	double bits = 0;
	size_t inside = 0;
	for (unsigned i = *first; i <= *last; i++) {
		inside += histogram[i];
		if (histogram[i])
			bits -= histogram[i] * log2((double)histogram[i] / (double)count);
	}
	return inside * 16 < count * 15 ? INFINITY : bits / (double)count;
}

size_t
codec_entropy_choose(const int64_t *values, size_t count, int64_t min, unsigned raw_width,
    struct codec_entropy *ret)
{
	if (count < CODEC_ENTROPY_COUNT_MIN || raw_width > 32)
		return SIZE_MAX;
	int64_t base = raw_width <= 8 ? min : MAX(min, entropy_median(values, count) - 128);
	uint32_t histogram[256] = {0};
	for (size_t i = 0; i < count; i++) {
		uint64_t at = (uint64_t)values[i] - (uint64_t)base;
		if (at < 256)
			histogram[at]++;
	}
	unsigned first = 0, last = 255;
	double bits = entropy_cut(histogram, count, &first, &last);
	if (!(bits < 7))
		return SIZE_MAX;
	unsigned size = last - first + 1, k = (unsigned)(4.5 / MAX(bits, 0.5) + 0.5);
	k = MIN(MAX(k, 1), WORD_MAX);
	for (double cells = pow(size, k); k > 1 && cells > CELLS_MAX; cells /= size)
		k--;
	*ret = (struct codec_entropy){
		.min = min,
		.raw_width = raw_width,
		.core = (uint64_t)base - (uint64_t)min + first,
		.core_size = size,
		.k = k,
	};
	/* Twice as many words as equally likely ones would be; each costs its place in the
	 * dictionary. */
	double words = MIN(pow(2, bits * k) * 2, pow(size, k));
	bits = MAX(bits * 1.02, 1.0 / k) + 0.01; /* a code has at least one bit */
	return (size_t)((double)count * bits / 8 + words * 1.2) + 24;
}

/* ── code lengths ── */

static int
entropy_order_words(const void *a, const void *b)
{
	const struct word *x = a, *y = b;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return x->cell < y->cell ? -1 : x->cell > y->cell;
}

/* Huffman's lengths of n >= 2 words that are ordered from frequent to rare. */
static void
entropy_lengths(struct word *words, size_t n)
{
	uint32_t weight[2 * (WORDS_MAX + 1)];
	uint16_t parent[2 * (WORDS_MAX + 1)];
	uint8_t depth[2 * (WORDS_MAX + 1)];
	size_t leaf = 0, node = n, nodes = n; /* leaves stand from rare to frequent */
	for (size_t i = 0; i < n; i++)
		weight[i] = words[n - 1 - i].count;
	while (nodes < 2 * n - 1) {
		uint32_t sum = 0;
		for (unsigned pick = 0; pick < 2; pick++) {
			bool inner = node < nodes && (leaf == n || weight[node] < weight[leaf]);
			size_t taken = inner ? node++ : leaf++;
			sum += weight[taken];
			parent[taken] = (uint16_t)nodes;
		}
		weight[nodes++] = sum;
	}
	depth[nodes - 1] = 0;
	for (size_t i = nodes - 1; i-- > 0;)
		depth[i] = (uint8_t)MIN(depth[parent[i]] + 1, 255);
	for (size_t i = 0; i < n; i++)
		words[n - 1 - i].len = MIN(depth[i], (uint8_t)CODE_BITS);
}

/* After lengths were cut off at CODE_BITS: makes them a code again. */
static void
entropy_repair(struct word *words, size_t n)
{
	uint32_t used = 0;
	for (size_t i = 0; i < n; i++)
		used += TABLE_SIZE >> words[i].len;
	/* The rarest of those that can become longer give way. */
	for (size_t i = n; used > TABLE_SIZE;) {
		i = i ? i - 1 : n - 1;
		if (words[i].len >= CODE_BITS)
			continue;
		words[i].len++;
		used -= TABLE_SIZE >> words[i].len;
	}
	for (size_t i = 0; i < n; i++)
		while (words[i].len > 1 && used + (TABLE_SIZE >> words[i].len) <= TABLE_SIZE) {
			used += TABLE_SIZE >> words[i].len;
			words[i].len--;
		}
}

static uint16_t
entropy_reverse(uint32_t code, unsigned len)
{
	uint16_t reversed = 0;
	for (unsigned i = 0; i < len; i++)
		reversed |= (uint16_t)((code >> i & 1) << (len - 1 - i));
	return reversed;
}

/* Canonical codes: shorter ones first, in a length the escape first, then in order of `words`. */
static void
entropy_assign(struct entropy_model *model)
{
	uint32_t code = 0;
	for (unsigned len = 1; len <= CODE_BITS; len++, code <<= 1) {
		if (model->escape_len == len)
			model->escape_code = (uint16_t)(entropy_reverse(code++, len) << 4 | len);
		for (unsigned i = 0; i < model->word_count; i++)
			if (model->words[i].len == len)
				model->code_of[model->words[i].cell] =
				    (uint16_t)(entropy_reverse(code++, len) << 4 | len);
	}
}

/* ── model of the data ── */

/* The word at `values` as a cell, or CELLS_MAX when it leaves the core. */
static uint32_t
entropy_cell(const struct entropy_model *model, const int64_t *values)
{
	uint32_t cell = 0;
	uint64_t low = (uint64_t)model->min + model->core;
	for (unsigned i = model->k; i-- > 0;) {
		uint64_t at = (uint64_t)values[i] - low;
		if (at >= model->core_size)
			return CELLS_MAX;
		cell = cell * model->core_size + (uint32_t)at;
	}
	return cell;
}

static void
entropy_model_build(struct entropy_model *model, const int64_t *values, size_t count)
{
	uint32_t *counts = calloc(CELLS_MAX + 1, sizeof(*counts));
	size_t words = count / model->k;
	uint32_t escaped = 0;
	unsigned n = 0;
	model->word_count = 0;
	if (!counts)
		return;
	for (size_t i = 0; i < words; i++)
		counts[entropy_cell(model, values + i * model->k)]++;
	/* A word of the dictionary costs k × w bits there, an escaped one k × W bits each time. */
	uint32_t least = 2;
	for (;; least++) {
		n = 0;
		for (uint32_t cell = 0; cell < CELLS_MAX; cell++)
			n += counts[cell] >= least;
		if (n <= WORDS_MAX - 1)
			break;
	}
	n = 0;
	for (uint32_t cell = 0; cell <= CELLS_MAX; cell++) {
		if (cell < CELLS_MAX && counts[cell] >= least)
			model->words[n++] = (struct word){cell, counts[cell], 0};
		else
			escaped += counts[cell];
	}
	free(counts);
	if (escaped)
		model->words[n++] = (struct word){CELLS_MAX, escaped, 0};
	if (n < 2)
		return;
	qsort(model->words, n, sizeof(model->words[0]), entropy_order_words);
	entropy_lengths(model->words, n);
	entropy_repair(model->words, n);
	model->escape_len = 0;
	for (unsigned i = 0; i < n; i++) { /* takes the escape out */
		if (model->words[i].cell == CELLS_MAX)
			model->escape_len = model->words[i].len;
		else
			model->words[model->word_count++] = model->words[i];
	}
	entropy_assign(model);
}

/* ── writing bits ── */

struct bit_writer {
	uint64_t bits;
	unsigned count;
	uint8_t *at; /* has room */
};

static void
bit_put(struct bit_writer *writer, uint64_t value, unsigned width)
{
	writer->bits |= value << writer->count;
	writer->count += width;
	while (writer->count >= 8) {
		*writer->at++ = (uint8_t)writer->bits;
		writer->bits >>= 8;
		writer->count -= 8;
	}
}

static void
bit_end(struct bit_writer *writer)
{
	if (writer->count)
		*writer->at++ = (uint8_t)writer->bits;
	writer->bits = writer->count = 0;
}

static int
entropy_put_head(const struct entropy_model *model, struct buf *out)
{
	uint8_t counts[CODE_BITS + 1] = {0}, longest = 0;
	for (unsigned i = 0; i < model->word_count; i++) {
		/* 255 is the most a byte tells; rarer words than that do not pay. */
		if (counts[model->words[i].len] == 255)
			return -E2BIG;
		counts[model->words[i].len]++;
		longest = MAX(longest, model->words[i].len);
	}
	const uint8_t fixed[] = {(uint8_t)model->width, (uint8_t)model->k,
	    (uint8_t)model->escape_len, longest};
	if (buf_reserve(out, 64 + WORDS_MAX * WORD_MAX) != 0)
		return -ENOMEM;
	codec_put_varint(out, bits_zigzag(model->min));
	buf_append_byte(out, (char)model->raw_width);
	codec_put_varint(out, model->core);
	buf_append(out, fixed, sizeof(fixed));
	buf_append(out, counts + 1, longest);
	struct bit_writer writer = {.at = (uint8_t *)out->ptr + out->len};
	for (unsigned len = 1; len <= longest; len++)
		for (unsigned i = 0; i < model->word_count; i++) {
			uint32_t cell = model->words[i].cell;
			for (unsigned j = 0; model->words[i].len == len && j < model->k; j++) {
				bit_put(&writer, cell % model->core_size, model->width);
				cell /= model->core_size;
			}
		}
	bit_end(&writer);
	out->len = (size_t)(writer.at - (uint8_t *)out->ptr);
	return 0;
}

static void
entropy_put_stream(const struct entropy_model *model, const int64_t *values, size_t words,
    size_t stream, struct bit_writer *writer)
{
	for (size_t i = stream; i < words; i += STREAMS) {
		const int64_t *word = values + i * model->k;
		uint32_t cell = entropy_cell(model, word);
		uint16_t code = cell < CELLS_MAX ? model->code_of[cell] : 0;
		if (code) {
			bit_put(writer, code >> 4, code & 15);
			continue;
		}
		bit_put(writer, model->escape_code >> 4, model->escape_code & 15);
		for (unsigned j = 0; j < model->k; j++)
			bit_put(writer, (uint64_t)word[j] - (uint64_t)model->min,
			    model->raw_width);
	}
	bit_end(writer);
}

static int
entropy_put_body(const struct entropy_model *model, const int64_t *values, size_t count,
    struct buf *out)
{
	size_t words = count / model->k, worst = 16;
	worst += (words + STREAMS) * ((CODE_BITS + model->k * model->raw_width + 7) / 8 + 1);
	if (buf_reserve(out, 64 + WORD_MAX * 4 + worst) != 0)
		return -ENOMEM;
	struct bit_writer writer = {.at = (uint8_t *)out->ptr + out->len};
	for (size_t i = words * model->k; i < count; i++)
		bit_put(&writer, (uint64_t)values[i] - (uint64_t)model->min, model->raw_width);
	bit_end(&writer);
	/* The streams go behind room for the longest lengths and then move up to them. */
	uint8_t *head = writer.at, *start = head + (STREAMS - 1) * BITS_VARINT_BYTES_MAX;
	writer.at = start;
	for (size_t s = 0; s < STREAMS; s++) {
		uint8_t *before = writer.at;
		entropy_put_stream(model, values, words, s, &writer);
		if (s + 1 < STREAMS)
			head += bits_put_varint(head, (uint64_t)(writer.at - before));
	}
	size_t len = (size_t)(writer.at - start);
	memmove(head, start, len);
	out->len = (size_t)(head - (uint8_t *)out->ptr) + len;
	return 0;
}

int
codec_entropy_encode(const struct codec_entropy *choice, const int64_t *values, size_t count,
    struct buf *out)
{
	struct entropy_model *model = calloc(1, sizeof(*model));
	if (!model)
		return -ENOMEM;
	model->min = choice->min;
	model->raw_width = choice->raw_width;
	model->core = choice->core;
	model->core_size = choice->core_size;
	model->k = choice->k;
	model->width = choice->core_size > 1 ?
	    32 - (unsigned)__builtin_clz(choice->core_size - 1) : 0;
	entropy_model_build(model, values, count);
	int error = model->word_count < 1 ? -E2BIG : entropy_put_head(model, out);
	if (error == 0)
		error = entropy_put_body(model, values, count, out);
	free(model);
	return error;
}

/* ── decoding ── */

/* A table entry: bits 0..5 length of the code, bit 7: escape (with length 0: no code), then k
 * bytes: the integers of the word − base. */
#define ENTRY_ESCAPE 0x80u
#define ENTRY_LEN 0x3fu

struct entropy_reader {
	const uint8_t *start[STREAMS]; /* of each stream */
	uint64_t bit[STREAMS];         /* next bit of it */
	uint64_t size[STREAMS];        /* its bits */
	const uint8_t *end;            /* of the chunk */
	int64_t min, base;             /* base: min + core, what a byte is relative to */
	unsigned raw_width, k;
	uint64_t table[TABLE_SIZE];
};

/* Up to 57 bits from `bit` on; zeros behind the end of the chunk. */
static uint64_t
entropy_peek(const uint8_t *start, uint64_t bit, const uint8_t *end)
{
	const uint8_t *at = start + (bit >> 3);
	if (end - at >= 8)
		return bits_load64(at) >> (bit & 7);
	uint64_t word = 0;
	if (at < end)
		memcpy(&word, at, (size_t)(end - at));
	return word >> (bit & 7);
}

static void
entropy_fill(struct entropy_reader *reader, uint32_t code, unsigned len, uint64_t entry)
{
	for (uint32_t at = entropy_reverse(code, len); at < TABLE_SIZE; at += 1u << len)
		reader->table[at] = entry | len;
}

/* The dictionary, from `in` into the table. */
static int
entropy_get_table(struct bits_in *in, struct entropy_reader *reader, unsigned width,
    unsigned escape_len, unsigned longest)
{
	uint8_t counts[CODE_BITS + 1] = {0};
	if (!bits_get(in, counts + 1, longest))
		return -EBADMSG;
	size_t words = 0;
	for (unsigned len = 1; len <= longest; len++)
		words += counts[len];
	size_t bytes = (words * reader->k * width + 7) / 8;
	if (bytes > bits_left(in))
		return -EBADMSG;
	const uint8_t *dictionary = in->at;
	in->at += bytes;
	uint64_t bit = 0;
	uint32_t code = 0;
	for (unsigned len = 1; len <= CODE_BITS; len++, code <<= 1) {
		unsigned n = counts[len] + (escape_len == len);
		if (code + n > 1u << len)
			return -EBADMSG;
		if (escape_len == len)
			entropy_fill(reader, code++, len, ENTRY_ESCAPE);
		for (unsigned i = 0; i < counts[len]; i++) {
			uint64_t entry = 0;
			for (unsigned j = 0; j < reader->k; j++, bit += width) {
				uint64_t value = entropy_peek(dictionary, bit, in->end);
				value &= (1u << width) - 1;
				entry |= value << (8 * (j + 1));
			}
			entropy_fill(reader, code++, len, entry);
		}
	}
	return 0;
}

static int
entropy_get_streams(struct bits_in *in, struct entropy_reader *reader)
{
	uint64_t sizes[STREAMS];
	for (size_t s = 0; s + 1 < STREAMS; s++)
		if (!bits_get_varint(in, &sizes[s]) || sizes[s] > bits_left(in))
			return -EBADMSG;
	reader->end = in->end;
	for (size_t s = 0; s < STREAMS; s++) {
		if (s + 1 == STREAMS)
			sizes[s] = bits_left(in);
		if (sizes[s] > bits_left(in))
			return -EBADMSG;
		reader->start[s] = in->at;
		reader->size[s] = sizes[s] * 8;
		in->at += sizes[s];
	}
	return 0;
}

static int64_t
entropy_raw(const struct entropy_reader *reader, uint64_t bits)
{
	uint64_t mask = (UINT64_C(1) << reader->raw_width) - 1;
	return (int64_t)((uint64_t)reader->min + (bits & mask));
}

/* One word with all care, into `values`. */
static int
entropy_get_word(struct entropy_reader *reader, size_t s, int64_t *values)
{
	uint64_t bits = entropy_peek(reader->start[s], reader->bit[s], reader->end);
	uint64_t entry = reader->table[bits & (TABLE_SIZE - 1)];
	if ((entry & ENTRY_LEN) == 0)
		return -EBADMSG;
	reader->bit[s] += entry & ENTRY_LEN;
	for (unsigned j = 0; j < reader->k; j++) {
		if (entry & ENTRY_ESCAPE) {
			bits = entropy_peek(reader->start[s], reader->bit[s], reader->end);
			values[j] = entropy_raw(reader, bits);
			reader->bit[s] += reader->raw_width;
		} else {
			values[j] = bits_add(reader->base, (int64_t)(entry >> (8 * (j + 1)) & 255));
		}
	}
	return reader->bit[s] <= reader->size[s] ? 0 : -EBADMSG;
}

/* As many words as fit into one load: 5 × 11 bits of 57. */
#define ROUND_WORDS 5u
#define ROUND_BYTES (ROUND_WORDS * STREAMS * WORD_MAX + 8)

/* A stream during a round: kept apart and named so that all of it stays in registers. */
struct entropy_lane {
	uint64_t bits, used;
};

static inline struct entropy_lane
entropy_lane_begin(const struct entropy_reader *reader, size_t s)
{
	const uint8_t *at = reader->start[s] + (reader->bit[s] >> 3);
	return (struct entropy_lane){bits_load64(at) >> (reader->bit[s] & 7), 0};
}

/* One word to `bytes`; the entry. */
static inline uint64_t
entropy_lane_step(struct entropy_lane *lane, const uint64_t *table, uint8_t *bytes)
{
	uint64_t entry = table[lane->bits & (TABLE_SIZE - 1)];
	bits_store64(bytes, entry >> 8);
	lane->bits >>= entry & ENTRY_LEN;
	lane->used += entry & ENTRY_LEN;
	return entry;
}

/* Words of all streams, ROUND_WORDS of each, as bytes; false when there was an escape or no code:
 * then nothing was consumed. */
static inline bool
entropy_round(struct entropy_reader *reader, uint8_t *bytes, unsigned k)
{
	struct entropy_lane a = entropy_lane_begin(reader, 0);
	struct entropy_lane b = entropy_lane_begin(reader, 1);
	struct entropy_lane c = entropy_lane_begin(reader, 2);
	struct entropy_lane d = entropy_lane_begin(reader, 3);
	uint64_t any = 0;
	for (unsigned i = 0; i < ROUND_WORDS; i++, bytes += STREAMS * k) {
		any |= entropy_lane_step(&a, reader->table, bytes);
		any |= entropy_lane_step(&b, reader->table, bytes + k);
		any |= entropy_lane_step(&c, reader->table, bytes + 2 * k);
		any |= entropy_lane_step(&d, reader->table, bytes + 3 * k);
	}
	if (any & ENTRY_ESCAPE)
		return false;
	reader->bit[0] += a.used;
	reader->bit[1] += b.used;
	reader->bit[2] += c.used;
	reader->bit[3] += d.used;
	return true;
}

static bool
entropy_may_load(const struct entropy_reader *reader)
{
	bool may = true;
	for (size_t s = 0; s < STREAMS; s++)
		may &= reader->bit[s] + 64 <= (uint64_t)(reader->end - reader->start[s]) * 8;
	return may;
}

/* Running sums of base + each byte; the last. Alone, so that its loop has all registers. */
static __attribute__((noinline)) int64_t
entropy_sum(int64_t *values, const uint8_t *bytes, size_t count, int64_t base, int64_t last)
{
	uint64_t step = (uint64_t)base, sum = (uint64_t)last;
	for (size_t i = 0; i < count; i += 4) { /* a round is a multiple of four */
		uint64_t one = step + bytes[i], two = one + step + bytes[i + 1];
		uint64_t three = step + bytes[i + 2];
		values[i] = (int64_t)(sum + one);
		values[i + 1] = (int64_t)(sum + two);
		values[i + 2] = (int64_t)(sum + two + three);
		sum += two + (three + step + bytes[i + 3]);
		values[i + 3] = (int64_t)sum;
	}
	return (int64_t)sum;
}

/* Rounds as long as whole ones are left; *ret_sum goes on from integer to integer. The words
 * done, or -EBADMSG. Made anew for each k, so that its loops have known lengths. */
static inline __attribute__((always_inline)) ssize_t
entropy_get_rounds(struct entropy_reader *reader, int64_t *values, size_t words, int64_t *sum,
    unsigned k)
{
	uint8_t bytes[ROUND_BYTES];
	size_t round = ROUND_WORDS * STREAMS, done = 0;
	int64_t base = reader->base, last = *sum;
	for (; words - done >= round && entropy_may_load(reader); done += round) {
		if (entropy_round(reader, bytes, k)) {
			last = entropy_sum(values, bytes, round * k, base, last);
		} else {
			for (size_t i = 0; i < round; i++)
				if (entropy_get_word(reader, i % STREAMS, values + i * k) != 0)
					return -EBADMSG;
			for (size_t i = 0; i < round * k; i++)
				values[i] = last = bits_add(last, values[i]);
		}
		values += round * k;
	}
	*sum = last;
	return (ssize_t)done;
}

static ssize_t
entropy_get_rounds_of(struct entropy_reader *reader, int64_t *values, size_t words, int64_t *sum)
{
	switch (reader->k) {
	case 1: return entropy_get_rounds(reader, values, words, sum, 1);
	case 2: return entropy_get_rounds(reader, values, words, sum, 2);
	case 3: return entropy_get_rounds(reader, values, words, sum, 3);
	case 4: return entropy_get_rounds(reader, values, words, sum, 4);
	default: return entropy_get_rounds(reader, values, words, sum, reader->k);
	}
}

static int
entropy_get_words(struct entropy_reader *reader, int64_t *values, size_t words, int64_t *sum)
{
	ssize_t rounds = entropy_get_rounds_of(reader, values, words, sum);
	if (rounds < 0)
		return -EBADMSG;
	size_t done = (size_t)rounds;
	values += done * reader->k;
	for (size_t s = 0; done < words; done++, s = (s + 1) % STREAMS) {
		if (entropy_get_word(reader, s, values) != 0)
			return -EBADMSG;
		for (unsigned j = 0; j < reader->k; j++, values++)
			*values = *sum = bits_add(*sum, *values);
	}
	for (size_t s = 0; s + 1 < STREAMS; s++)
		if ((reader->bit[s] + 7) / 8 * 8 != reader->size[s])
			return -EBADMSG;
	return reader->bit[STREAMS - 1] <= reader->size[STREAMS - 1] ? 0 : -EBADMSG;
}

int
codec_entropy_decode(struct bits_in *in, int64_t first, int64_t *ret_sums, size_t count,
    int64_t *ret_least)
{
	struct entropy_reader reader;
	uint8_t raw_width, fixed[4];
	uint64_t core;
	if (!bits_get_zigzag(in, &reader.min) || !bits_get(in, &raw_width, 1) ||
	    !bits_get_varint(in, &core) || !bits_get(in, fixed, sizeof(fixed)))
		return -EBADMSG;
	unsigned width = fixed[0], k = fixed[1];
	if (raw_width > 32 || width > 8 || k < 1 || k > WORD_MAX || fixed[2] > CODE_BITS ||
	    fixed[3] > CODE_BITS || core > UINT32_MAX)
		return -EBADMSG;
	reader.raw_width = raw_width;
	reader.k = k;
	reader.base = bits_add(reader.min, (int64_t)core);
	memset(reader.bit, 0, sizeof(reader.bit));
	for (size_t i = 0; i < TABLE_SIZE; i++)
		reader.table[i] = ENTRY_ESCAPE;
	int error = entropy_get_table(in, &reader, width, fixed[2], fixed[3]);
	if (error)
		return error;
	size_t words = count / k, rest = count % k, bytes = (rest * raw_width + 7) / 8;
	if (bytes > bits_left(in))
		return -EBADMSG;
	const uint8_t *rest_at = in->at;
	in->at += bytes;
	error = entropy_get_streams(in, &reader);
	if (error == 0)
		error = entropy_get_words(&reader, ret_sums, words, &first);
	if (error == 0)
		in->at = reader.start[STREAMS - 1] + (reader.bit[STREAMS - 1] + 7) / 8;
	for (size_t i = 0; i < rest && error == 0; i++) {
		uint64_t bits = entropy_peek(rest_at, i * raw_width, in->end);
		ret_sums[words * k + i] = first = bits_add(first, entropy_raw(&reader, bits));
	}
	*ret_least = reader.min;
	return error;
}
