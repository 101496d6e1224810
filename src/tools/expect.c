/*
 * expect.c: a table of series, FLEET_METRICS_MAX a device, summed up as readings pass.
 */
#include "expect.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "num.h"

struct series {
	const char *name;
	uint64_t count;
	int64_t first_ms, last_ms;
	int64_t first, last, min, max, sum; /* in tenths */
};

struct expect {
	enum sender_format format;
	unsigned devices;
	uint64_t readings;
	enum fleet_kind *kinds;
	struct series *series;
};

int
expect_create(unsigned devices, enum sender_format format, struct expect **ret_expect)
{
	struct expect *e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->format = format;
	e->devices = devices;
	e->kinds = calloc(devices, sizeof(*e->kinds));
	e->series = calloc((size_t)devices * FLEET_METRICS_MAX, sizeof(*e->series));
	if (!e->kinds || !e->series) {
		expect_destroy(e);
		return -ENOMEM;
	}
	*ret_expect = e;
	return 0;
}

void
expect_destroy(struct expect *e)
{
	if (!e)
		return;
	free(e->kinds);
	free(e->series);
	free(e);
}

void
expect_add(struct expect *e, const struct fleet_reading *r)
{
	unsigned index = r->device - FLEET_DEVICE_FIRST;
	check(index < e->devices);
	e->readings++;
	e->kinds[index] = r->kind;
	for (size_t i = 0; i < r->count; i++) {
		struct series *s = &e->series[(size_t)index * FLEET_METRICS_MAX + i];
		double tenths = r->metrics[i].value * 10.0;
		int64_t value = (int64_t)(tenths + (tenths < 0 ? -0.5 : 0.5));
		if (s->count++ == 0) {
			s->name = r->metrics[i].name;
			s->first_ms = r->time_ms;
			s->first = s->min = s->max = value;
		}
		s->last_ms = r->time_ms;
		s->last = value;
		s->min = MIN(s->min, value);
		s->max = MAX(s->max, value);
		s->sum += value;
	}
}

static void
write_tenths(struct buf *out, const char *name, int64_t tenths)
{
	char text[NUM_TEXT_BYTES_MAX];
	buf_printf(out, ",\"%s\":", name);
	buf_append(out, text, num_format_double(text, (double)tenths / 10.0));
}

static void
write_series(const struct expect *e, unsigned index, const struct series *s, struct buf *out)
{
	bool line = e->format == SENDER_LINE;
	buf_printf(out, "{\"metric\":\"%s%s%s\",\"tags\":{\"device\":\"%u\"},\"count\":%llu",
	    line ? fleet_kind_name(e->kinds[index]) : "", line ? "." : "", s->name,
	    FLEET_DEVICE_FIRST + index, (unsigned long long)s->count);
	write_tenths(out, "first", s->first);
	write_tenths(out, "last", s->last);
	write_tenths(out, "min", s->min);
	write_tenths(out, "max", s->max);
	write_tenths(out, "sum", s->sum);
	buf_printf(out, ",\"first_time\":%lld,\"last_time\":%lld}\n", (long long)s->first_ms,
	    (long long)s->last_ms);
}

int
expect_write(const struct expect *e, struct buf *out)
{
	uint64_t points = 0, series = 0;
	int64_t first_ms = INT64_MAX, last_ms = 0;
	for (size_t i = 0; i < (size_t)e->devices * FLEET_METRICS_MAX; i++) {
		const struct series *s = &e->series[i];
		if (s->count == 0)
			continue;
		write_series(e, (unsigned)(i / FLEET_METRICS_MAX), s, out);
		series++;
		points += s->count;
		first_ms = MIN(first_ms, s->first_ms);
		last_ms = MAX(last_ms, s->last_ms);
	}
	buf_printf(out,
	    "{\"total\":{\"readings\":%llu,\"points\":%llu,\"series\":%llu,"
	    "\"first_time\":%lld,\"last_time\":%lld}}\n",
	    (unsigned long long)e->readings, (unsigned long long)points, (unsigned long long)series,
	    (long long)(series ? first_ms : 0), (long long)last_ms);
	return out->error;
}
