/*
 * fuzz_channels.c: a script of channels that are made, published to, closed and asked for with any
 * cursor, time and pattern, beside a plain list of all that was published. Holds: an answer has
 * rising seqs, of its tenant, of its patterns, within its bounds, as they were published; and what
 * should be in it and is not was said to be a gap.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "hub_channels.h"
#include "num.h"

enum { NAMES = 6, MESSAGES_MAX = 512, OPS_MAX = 600, PATTERNS_MAX = 4, RING_BYTES = 4096 };

struct said {
	uint64_t seq;
	int64_t time_ms;
	unsigned tenant;
	unsigned blanks;       /* behind its number */
	unsigned names;        /* a bit for each of `names` */
	uint64_t ids[NAMES];   /* of the channels that it went to */
};

struct model {
	struct span in;
	struct hub_channels *channels;
	struct said said[MESSAGES_MAX];
	size_t count;
	uint64_t seq;
	int64_t now_ms;
	/* The question under way. */
	struct hub_question question;
	bool by_id;
	size_t at;             /* messages of the list before this were given or may not be */
	bool given[MESSAGES_MAX];
	uint32_t given_count;
};

static const char *const names[NAMES] = {"a", "b", "a/b", "a/b/c", "b/b", "\xc3\xa4"};
static const char *const tenants[] = {"main", "other"};

static unsigned
take(struct model *m)
{
	if (!m->in.len)
		return 0;
	unsigned byte = (unsigned char)m->in.ptr[0];
	m->in = span_skip(m->in, 1);
	return byte;
}

static struct hub_channel *
find(const struct model *m, unsigned tenant, unsigned name)
{
	return hub_channels_find(m->channels, span_str(tenants[tenant]), span_str(names[name]));
}

static void
make(struct model *m, unsigned how)
{
	const struct hub_channel_spec spec = {
		.tenant = span_str(tenants[how & 1]),
		.name = how & 128 ? SPAN("") : span_str(names[how / 2 % NAMES]),
		.ttl_ms = how & 64 ? 50 : 0,
		.limits = {.history_ms = 1 + take(m) * 4, .bytes = 1 + take(m) * 16,
		    .messages = 1 + take(m) / 8},
	};
	struct hub_channel *channel;
	int error = hub_channels_add(m->channels, ++m->seq, &spec, m->now_ms, &channel);
	check(error == 0 || error == -EEXIST);
	check(channel->id <= m->seq);
}

static void
publish(struct model *m, unsigned how)
{
	struct hub_channel *to[NAMES];
	char data[64];
	size_t count = 0;
	if (m->count == MESSAGES_MAX)
		return;
	struct said *said = &m->said[m->count];
	*said = (struct said){.seq = ++m->seq, .time_ms = m->now_ms, .tenant = how & 1};
	unsigned wanted = take(m);
	for (unsigned i = 0; i < NAMES; i++) {
		struct hub_channel *channel = find(m, said->tenant, i);
		if (!(wanted >> i & 1) || !channel)
			continue;
		said->names |= 1u << i;
		said->ids[i] = channel->id;
		to[count++] = channel;
	}
	said->blanks = wanted / 8;
	int len = snprintf(data, sizeof(data), "%llu%*s", (unsigned long long)said->seq,
	    (int)(wanted / 8), "");
	const struct hub_kept kept = {.seq = said->seq, .time_ms = m->now_ms,
		.data = span_of(data, (size_t)len)};
	if (!count)
		return;
	check(hub_channels_append(m->channels, to, count, &kept) == 0);
	m->count++;
}

/* ── asking ── */

static bool
is_asked_for(const struct model *m, struct span name)
{
	for (size_t i = 0; i < m->question.pattern_count; i++) {
		if (hub_pattern_matches(m->question.patterns[i], name))
			return true;
	}
	return false;
}

/* Whether it is within the bounds that the question sets. */
static bool
is_within(const struct model *m, const struct said *said)
{
	const struct hub_question *question = &m->question;
	if (strcmp(tenants[said->tenant], question->tenant.ptr) != 0 ||
	    said->time_ms > question->until_ms)
		return false;
	return question->since == HUB_SINCE_CURSOR ? said->seq > question->cursor :
	    question->since == HUB_SINCE_TIME ? said->time_ms >= question->from_ms :
	    question->since == HUB_SINCE_OLDEST;
}

static int
given(void *ctx, const struct hub_kept *kept, const struct span *over, size_t count)
{
	struct model *m = ctx;
	while (m->at < m->count && m->said[m->at].seq < kept->seq)
		m->at++;
	check(m->at < m->count);
	const struct said *said = &m->said[m->at];
	check(said->seq == kept->seq && said->time_ms == kept->time_ms);
	check(is_within(m, said));
	uint64_t number;
	size_t digits = 0;
	while (digits < kept->data.len && kept->data.ptr[digits] != ' ')
		digits++;
	check(num_parse_u64(span_of(kept->data.ptr, digits), &number) == 0);
	check(number == kept->seq && kept->data.len == digits + said->blanks);
	check(count > 0 && count <= NAMES);
	for (size_t i = 0; i < count; i++) {
		unsigned name = 0;
		while (name < NAMES && !span_eq(over[i], span_str(names[name])))
			name++;
		check(name < NAMES && said->names >> name & 1);
		check(m->by_id || is_asked_for(m, over[i]));
	}
	m->given[m->at++] = true;
	check(++m->given_count <= m->question.limit);
	return 0;
}

/* By cursor all is told; by time what channels lost that are gone is not. */
static void
check_complete(const struct model *m, const struct hub_answer *answer)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct said *said = &m->said[i];
		if (m->given[i] || !is_within(m, said) ||
		    (answer->more && said->seq > answer->seq_last))
			continue;
		for (unsigned name = 0; name < NAMES; name++) {
			const struct hub_channel *channel = find(m, said->tenant, name);
			bool lives = channel && channel->id == said->ids[name];
			if (said->names >> name & 1 && is_asked_for(m, span_str(names[name])))
				check(answer->gap || m->question.since == HUB_SINCE_OLDEST ||
				    (m->question.since == HUB_SINCE_TIME && !lives));
		}
	}
}

static void
ask(struct model *m, unsigned how)
{
	struct span patterns[PATTERNS_MAX];
	char texts[PATTERNS_MAX][8];
	const char *reason;
	size_t count = 0;
	m->by_id = false;
	for (unsigned i = take(m) % PATTERNS_MAX + 1; i > 0; i--) {
		unsigned kind = take(m);
		size_t len = MIN((size_t)(kind % 7), m->in.len);
		struct span text = span_str(names[kind / 2 % NAMES]);
		if (kind & 1) {
			memcpy(texts[count], m->in.ptr ? m->in.ptr : "", len);
			text = span_of(texts[count], len);
			m->in = span_skip(m->in, len);
		}
		if (hub_pattern_check(text, &reason))
			continue;
		m->by_id |= hub_pattern_is_id(text);
		patterns[count++] = text;
	}
	m->question = (struct hub_question){
		.tenant = span_str(tenants[how & 1]),
		.patterns = patterns,
		.pattern_count = count,
		.since = (enum hub_since)(how / 2 % 4),
		.from_ms = m->now_ms - (int64_t)take(m) * 8,
		.cursor = how & 16 ? UINT64_MAX - take(m) : take(m),
		.until_ms = how & 32 ? m->now_ms - take(m) : INT64_MAX,
		.limit = 1 + take(m),
	};
	memset(m->given, 0, sizeof(m->given));
	m->at = 0;
	m->given_count = 0;
	struct hub_answer answer;
	check(hub_channels_collect(m->channels, &m->question, m->now_ms, given, m, &answer) == 0);
	check(!answer.more || m->given_count == m->question.limit);
	if (!m->by_id)
		check_complete(m, &answer);
}

static void
end(struct model *m, unsigned how)
{
	struct hub_channel *channel = find(m, how & 1, how / 2 % NAMES);
	int64_t next_ms;
	if (channel)
		hub_channels_remove(m->channels, channel);
	while ((channel = hub_channels_expired(m->channels, m->now_ms, &next_ms)))
		hub_channels_remove(m->channels, channel);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model *m = calloc(1, sizeof(*m));
	check(m);
	m->in = span_of((const char *)data, size);
	m->now_ms = 1700000000000;
	m->seq = take(m);
	check(hub_channels_create(RING_BYTES, m->seq, m->now_ms, &m->channels) == 0);
	for (unsigned ops = 0; m->in.len && ops < OPS_MAX; ops++) {
		unsigned op = take(m), how = take(m);
		m->now_ms += op / 8;
		switch (op % 8) {
		case 0: case 1:
			make(m, how);
			break;
		case 2: case 3: case 4:
			publish(m, how);
			break;
		case 5:
			end(m, how);
			break;
		default:
			ask(m, how);
			break;
		}
	}
	hub_channels_destroy(m->channels);
	free(m);
	return 0;
}
