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

static void
look_run(struct mail *mail)
{
	struct flow_look *look = CONTAINER_OF(mail, struct flow_look, mail);
	struct flow *flow = look->origin->flow;
	struct flow_loop *fl = flow->loops[look->at];
	for (uint32_t p = fl->index; p < flow->options.partitions; p += flow->options.loops) {
		struct series_partition_stats stats;
		uint64_t cursor = series_partition_cursor(flow->partitions[p]);
		series_partition_stats(flow->partitions[p], &stats);
		look->cursor_seq = MIN(look->cursor_seq, cursor);
		look->part_bytes += stats.part_bytes + stats.roll_bytes;
	}
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
	look->part_bytes = 0;
	look->mail.deliver = look_run;
	mailbox_send(fl->flow->loops[0]->box, &look->mail);
}
