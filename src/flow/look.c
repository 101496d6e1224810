/*
 * look.c: the periodic look at what is kept: from loop to loop, since partitions are theirs.
 */
#include "check.h"
#include "flow_priv.h"

static void
look_back(struct mail *mail)
{
	struct flow_look *look = CONTAINER_OF(mail, struct flow_look, mail);
	look->done(look);
}

/* A partition's share of what may stay. */
static uint64_t
look_share(uint64_t bytes, uint64_t max, uint64_t now)
{
	if (max >= now)
		return UINT64_MAX;
	return (uint64_t)((double)bytes * ((double)max / (double)now));
}

/* What of the partition is to go; its slot does it when it comes to it. */
static void
look_retire(struct flow_loop *fl, const struct flow_look *look,
    const struct series_partition *partition, const struct series_partition_stats *stats,
    unsigned index)
{
	uint64_t points_max = look_share(stats->part_bytes, look->points_bytes_max,
	    look->points_bytes_now);
	uint64_t rollups_max = look_share(stats->roll_bytes, look->rollups_bytes_max,
	    look->rollups_bytes_now);
	points_retire(fl, index,
	    MAX(look->points_before_ms, series_partition_bytes_before(partition, points_max)),
	    MAX(look->rollups_before_ms,
		series_partition_rollup_bytes_before(partition, rollups_max)));
}

static void
look_run(struct mail *mail)
{
	struct flow_look *look = CONTAINER_OF(mail, struct flow_look, mail);
	struct flow *flow = look->origin->flow;
	struct flow_loop *fl = flow->loops[look->at];
	unsigned index = 0;
	for (uint32_t p = fl->index; p < flow->options.partitions; p += flow->options.loops) {
		struct series_partition_stats stats;
		uint64_t cursor = series_partition_cursor(flow->partitions[p]);
		series_partition_stats(flow->partitions[p], &stats);
		look->cursor_seq = MIN(look->cursor_seq, cursor);
		look->points_bytes += stats.part_bytes;
		look->rollups_bytes += stats.roll_bytes;
		look->part_bytes += stats.part_bytes + stats.roll_bytes;
		if (cursor < look->flush_seq)
			points_flush(fl, index);
		look_retire(fl, look, flow->partitions[p], &stats, index++);
	}
	points_settle(fl); /* what a start left in heads has its time, too */
	bool last = ++look->at == flow->options.loops;
	if (last)
		look->mail.deliver = look_back;
	mailbox_send(last ? look->origin->box : flow->loops[look->at]->box, &look->mail);
}

void
flow_look(struct flow_loop *fl, struct flow_look *look)
{
	look->origin = fl;
	look->at = 0;
	look->cursor_seq = UINT64_MAX;
	look->part_bytes = look->points_bytes = look->rollups_bytes = 0;
	look->mail.deliver = look_run;
	mailbox_send(fl->flow->loops[0]->box, &look->mail);
}
