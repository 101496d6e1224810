/*
 * live_slow.c: what becomes of messages for a client that does not read as fast as they come.
 *
 * It ends: it is told where to resume and gets what it was owed. Or, where it asked for that or the
 * message's channel says so, it stays and loses messages instead, the newest or the oldest of those
 * that wait, and is told of the gap before the next one that it gets.
 *
 * Invariants: messages leave in the order in which they came; who lost some has no room, or is
 * told before anything else is sent; what waits here is bounded in number and bytes.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "live.h"

enum { LATE_MAX = 256, LATE_BYTES_MAX = 256 * 1024 };

struct late {
	struct hub_message *message;
	uint64_t channels;
};

struct live_slow {
	enum hub_slow policy;  /* what it asked for */
	bool lost;             /* and not told of it yet */
	bool busy;             /* sending what waits, which may make room for it */
	unsigned first, count; /* of late, a ring */
	size_t bytes;
	struct late *late;     /* LATE_MAX, while some wait */
};

int
live_slow_set(struct live *live, enum hub_slow policy)
{
	if (policy == HUB_SLOW_UNSAID)
		return 0;
	live->slow = calloc(1, sizeof(*live->slow));
	if (!live->slow)
		return -ENOMEM;
	live->slow->policy = policy;
	return 0;
}

static void
drop_first(struct live_slow *slow)
{
	struct late *first = &slow->late[slow->first];
	slow->bytes -= first->message->data.len;
	hub_message_unref(first->message);
	slow->first = (slow->first + 1) % LATE_MAX;
	slow->count--;
}

static void
forget_late(struct live_slow *slow)
{
	while (slow->count)
		drop_first(slow);
	free(slow->late);
	slow->late = NULL;
}

void
live_slow_forget(struct live *live)
{
	if (live->slow)
		forget_late(live->slow);
	free(live->slow);
	live->slow = NULL;
}

static void
keep(struct live_slow *slow, struct hub_message *message, uint64_t channels)
{
	size_t bytes = message->data.len;
	if (!slow->late)
		slow->late = malloc(LATE_MAX * sizeof(*slow->late));
	if (!slow->late) {
		slow->lost = true;
		return;
	}
	while (slow->count == LATE_MAX || (slow->count && slow->bytes + bytes > LATE_BYTES_MAX)) {
		drop_first(slow);
		slow->lost = true;
	}
	slow->late[(slow->first + slow->count) % LATE_MAX] =
	    (struct late){hub_message_ref(message), channels};
	slow->bytes += bytes;
	slow->count++;
}

static bool
send_late(struct live *live)
{
	struct live_slow *slow = live->slow;
	if (slow->lost && net_out_bytes(live->conn) > net_out_room(live->conn))
		return false;
	if (slow->lost)
		live->ops->gap(live);
	slow->lost = false;
	while (slow->count) {
		const struct late *first = &slow->late[slow->first];
		if (live->ops->send(live, first->message, first->channels) == -EMSGSIZE)
			return false;
		drop_first(slow);
	}
	forget_late(slow);
	return true;
}

/* Sends what waits. Whether nothing does any more. Sending may write, and net then says within it
 * that there is room again. */
static bool
catch_up(struct live *live)
{
	struct live_slow *slow = live->slow;
	if (slow->busy)
		return false;
	slow->busy = true;
	bool over = send_late(live);
	slow->busy = false;
	return over;
}

static enum hub_slow
policy_for(const struct live *live, const struct hub_message *message)
{
	bool asked = live->slow && live->slow->policy != HUB_SLOW_UNSAID;
	return asked ? live->slow->policy : message->slow;
}

/* What a channel's policy needs is made when it is first needed. */
static bool
can_lose(struct live *live)
{
	if (!live->slow)
		live->slow = calloc(1, sizeof(*live->slow));
	return live->slow;
}

void
live_deliver(struct live *live, struct hub_message *message, uint64_t channels)
{
	if ((!live->slow || catch_up(live)) &&
	    live->ops->send(live, message, channels) != -EMSGSIZE)
		return;
	enum hub_slow policy = policy_for(live, message);
	if (policy <= HUB_SLOW_DISCONNECT || !can_lose(live))
		live->ops->slow(live, message->seq - 1);
	else if (policy == HUB_SLOW_DROP_OLDEST)
		keep(live->slow, message, channels);
	else
		live->slow->lost = true;
}

void
live_slow_drained(struct live *live)
{
	struct live_slow *slow = live->slow;
	bool over = slow && (!slow->lost && !slow->count ? !slow->busy : catch_up(live));
	if (over && slow->policy == HUB_SLOW_UNSAID)
		live_slow_forget(live);
}
