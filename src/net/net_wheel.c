/*
 * net_wheel.c: deadlines of connections, in a wheel of slots that is driven by one timer.
 *
 * Why it exists: a server sets deadlines with every request and nearly all of them are moved before
 * they come. Setting one later is a store; the connection stays in its slot, and when that comes it
 * is put where it belongs by then. A heap would cost memory for each and a cold walk for every set.
 *
 * Invariants:
 * - slot_tick is never later than what the connection waits for, and it lies in slots[slot_tick %
 *   NET_WHEEL_SLOTS], or in `calm` when slot_tick is NET_TICK_NONE;
 * - the timer is due no later than the first slot in use; with no slot in use it is off.
 */
#include "check.h"
#include "net_priv.h"

void
net_wheel_init(struct net *net)
{
	list_init(&net->calm);
	for (size_t i = 0; i < NET_WHEEL_SLOTS; i++)
		list_init(&net->slots[i]);
	net->origin_ms = loop_mono_ms(net->loop);
	net->armed_tick = NET_TICK_NONE;
}

uint32_t
net_wheel_tick_at(const struct net *net, uint64_t at_ms)
{
	if (at_ms <= net->origin_ms)
		return 0;
	uint64_t past_ms = at_ms - net->origin_ms;
	uint64_t tick = past_ms / NET_TICK_MS + (past_ms % NET_TICK_MS != 0);
	return (uint32_t)MIN(tick, (uint64_t)NET_TICK_NONE - 1);
}

/* The last tick that has begun. */
static uint32_t
tick_now(const struct net *net)
{
	return (uint32_t)((loop_mono_ms(net->loop) - net->origin_ms) / NET_TICK_MS);
}

static void
arm(struct net *net, uint32_t tick)
{
	net->armed_tick = tick;
	loop_timer_set(net->loop, &net->wheel_timer,
	    tick == NET_TICK_NONE ? UINT64_MAX : net->origin_ms + (uint64_t)tick * NET_TICK_MS);
}

void
net_wheel_need(struct net_conn *conn, uint32_t tick)
{
	struct net *net = conn->net;

	if (tick >= conn->slot_tick || conn->reap_queued)
		return;
	if (net->armed_tick == NET_TICK_NONE)
		net->wheel_tick = tick_now(net); /* nothing was in it: it may jump */
	tick = MAX(tick, net->wheel_tick + 1);
	tick = MIN(tick, net->wheel_tick + NET_WHEEL_SLOTS - 1);
	if (tick >= conn->slot_tick)
		return;
	conn->slot_tick = tick;
	list_remove(&conn->link);
	list_push_back(&net->slots[tick % NET_WHEEL_SLOTS], &conn->link);
	if (tick < net->armed_tick)
		arm(net, tick);
}

void
net_wheel_place(struct net_conn *conn)
{
	if (conn->state == NET_OPEN)
		net_wheel_need(conn, conn->deadline_tick);
	net_wheel_need(conn, conn->stuck_tick);
}

void
net_set_deadline(struct net_conn *conn, uint64_t at_mono_ms)
{
	conn->deadline_tick = NET_TICK_NONE;
	if (at_mono_ms == 0 || conn->state != NET_OPEN)
		return;
	conn->deadline_tick = net_wheel_tick_at(conn->net, at_mono_ms);
	net_wheel_need(conn, conn->deadline_tick);
}

static void
look_at(struct net_conn *conn, uint32_t now)
{
	struct net *net = conn->net;

	list_remove(&conn->link);
	list_push_back(&net->calm, &conn->link);
	conn->slot_tick = NET_TICK_NONE;
	if (conn->stuck_tick <= now) {
		net_conn_die(conn, NET_CLOSE_SLOW_READER);
		return;
	}
	bool passed = conn->state == NET_OPEN && conn->deadline_tick <= now;
	if (passed)
		conn->deadline_tick = NET_TICK_NONE;
	net_wheel_place(conn);
	if (passed && conn->ops->deadline)
		conn->ops->deadline(conn->ctx);
}

static uint32_t
first_tick_in_use(const struct net *net)
{
	for (uint32_t i = 1; i < NET_WHEEL_SLOTS; i++) {
		uint32_t tick = net->wheel_tick + i;
		if (!list_empty(&net->slots[tick % NET_WHEEL_SLOTS]))
			return tick;
	}
	return NET_TICK_NONE;
}

void
net_wheel_fire(struct loop_timer *timer)
{
	struct net *net = CONTAINER_OF(timer, struct net, wheel_timer);
	uint32_t before = net->wheel_tick, now = tick_now(net);
	uint32_t count = MIN(now - before, (uint32_t)NET_WHEEL_SLOTS);

	/* Owners may set deadlines meanwhile: these come to lie behind now. */
	net->wheel_tick = now;
	arm(net, NET_TICK_NONE - 1);
	for (uint32_t i = 1; i <= count; i++) {
		struct list *slot = &net->slots[(before + i) % NET_WHEEL_SLOTS];
		struct list due;
		list_init(&due);
		if (list_empty(slot))
			continue;
		list_push_back(slot, &due);
		list_remove(slot);
		while (!list_empty(&due))
			look_at(CONTAINER_OF(due.next, struct net_conn, link), now);
	}
	arm(net, first_tick_in_use(net));
}
