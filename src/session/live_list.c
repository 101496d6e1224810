/*
 * live_list.c: all lives of a loop: who must end because his time is over, or because he lost what
 * he listens with.
 *
 * Lives whose principal never expires lie in one list. The others lie on a wheel of a slot a
 * second, each in the slot of the second in which it ends (or ends some turns of the wheel later),
 * so one timer serves all and a tick touches few; a life takes no more room for it. Slots are of
 * the wall clock: the timer looks at it at least once a minute, for it may be set.
 *
 * A sweep over all lives happens only after somebody who is held elsewhere lost something
 * (access_losses), and once a turn, however many changes came in it.
 */
#include "access_may.h"
#include "check.h"
#include "live.h"

enum { LOOK_MS_MAX = 60 * 1000 };

/* The first second at or after his end that is not over yet. */
static int64_t
second_of(const struct live *live)
{
	int64_t expires_ms = live->principal->expires_ms;
	int64_t second = expires_ms / 1000 + (expires_ms % 1000 > 0);
	return MAX(second, live->sessions->expired_s + 1);
}

static bool
expires(const struct live *live)
{
	return live->principal && live->principal->expires_ms;
}

static struct list *
place_of(const struct live *live)
{
	struct session_loop *sessions = live->sessions;
	if (!expires(live))
		return &sessions->lives;
	return &sessions->expiring[(uint64_t)second_of(live) % SESSION_EXPIRY_SLOTS];
}

/* Makes the timer fire at this second, or a minute from now if that is sooner. */
static void
look_at(struct session_loop *sessions, int64_t second)
{
	int64_t now_ms = loop_now_ms(sessions->loop);
	int64_t wait_ms = MAX(second * 1000 - now_ms, (int64_t)0);
	sessions->look_s = second;
	check(loop_timer_set(sessions->loop, &sessions->expiry_timer,
	    loop_mono_ms(sessions->loop) + (uint64_t)MIN(wait_ms, (int64_t)LOOK_MS_MAX)) == 0);
}

static int
look_never(struct session_loop *sessions)
{
	sessions->look_s = INT64_MAX;
	return loop_timer_set(sessions->loop, &sessions->expiry_timer, UINT64_MAX);
}

static void
look_next(struct session_loop *sessions)
{
	for (int64_t second = sessions->expired_s + 1;
	     second <= sessions->expired_s + SESSION_EXPIRY_SLOTS; second++) {
		if (list_empty(&sessions->expiring[(uint64_t)second % SESSION_EXPIRY_SLOTS]))
			continue;
		look_at(sessions, second);
		return;
	}
}

static void
tick(struct loop_timer *timer)
{
	struct session_loop *sessions = CONTAINER_OF(timer, struct session_loop, expiry_timer);
	int64_t now_ms = loop_now_ms(sessions->loop), now_s = now_ms / 1000;
	int64_t second = MAX(sessions->expired_s, now_s - SESSION_EXPIRY_SLOTS);
	/* Its place among the timers is taken again before somebody else takes it. */
	check(look_never(sessions) == 0);
	while (++second <= now_s) {
		LIST_FOREACH(link, &sessions->expiring[(uint64_t)second % SESSION_EXPIRY_SLOTS]) {
			struct live *live = CONTAINER_OF(link, struct live, link);
			if (live->principal->expires_ms <= now_ms)
				live_end(live, NET_CLOSE_REVOKED);
		}
	}
	sessions->expired_s = now_s;
	look_next(sessions);
}

/* Whether he may still hear all that he subscribed to. */
static bool
may_listen_on(const struct live *live)
{
	struct hub_subscription *pos = NULL;
	struct span pattern;
	while (hub_sink_next(&live->sink, &pos, &pattern)) {
		if (!live_may_listen(live, pattern))
			return false;
	}
	return true;
}

static void
look_over(struct live *live, void *ctx)
{
	const bool *devices = ctx;
	const struct access_principal *principal = live->principal;
	if (!principal)
		return;
	if (principal->revoked || (*devices && principal->limited && !may_listen_on(live))) {
		live_end(live, NET_CLOSE_REVOKED);
		return;
	}
	if (!expires(live))
		return;
	/* His end may be sooner than it was. */
	list_remove(&live->link);
	list_push_back(place_of(live), &live->link);
	if (second_of(live) < live->sessions->look_s)
		look_at(live->sessions, second_of(live));
}

static void
sweep(struct loop_task *task)
{
	struct session_loop *sessions = CONTAINER_OF(task, struct session_loop, sweep_task);
	live_list_each(sessions, look_over, &sessions->sweep_devices);
	sessions->sweep_devices = false;
}

void
session_revoked(struct session_loop *sessions)
{
	struct access_losses losses = access_losses(sessions->access);
	bool devices = losses.devices != sessions->losses.devices && sessions->limited_count;
	bool any = devices || losses.principals != sessions->losses.principals;
	sessions->losses = losses;
	sessions->sweep_devices |= devices;
	if (any)
		loop_task_queue(sessions->loop, LOOP_APPEND, &sessions->sweep_task);
}

int
live_list_init(struct session_loop *sessions)
{
	list_init(&sessions->lives);
	for (size_t i = 0; i < SESSION_EXPIRY_SLOTS; i++)
		list_init(&sessions->expiring[i]);
	loop_task_init(&sessions->sweep_task, sweep);
	sessions->losses = access_losses(sessions->access);
	sessions->expired_s = loop_now_ms(sessions->loop) / 1000;
	sessions->expiry_timer.fire = tick;
	return look_never(sessions);
}

void
live_list_finish(struct session_loop *sessions)
{
	check(list_empty(&sessions->lives) && sessions->limited_count == 0);
	for (size_t i = 0; i < SESSION_EXPIRY_SLOTS; i++)
		check(list_empty(&sessions->expiring[i]));
	loop_task_cancel(&sessions->sweep_task);
	loop_timer_cancel(sessions->loop, &sessions->expiry_timer);
}

void
live_list_add(struct live *live)
{
	struct session_loop *sessions = live->sessions;
	list_push_back(place_of(live), &live->link);
	if (live->principal && live->principal->limited)
		sessions->limited_count++;
	if (expires(live) && second_of(live) < sessions->look_s)
		look_at(sessions, second_of(live));
}

void
live_list_remove(struct live *live)
{
	if (list_empty(&live->link))
		return;
	if (live->principal && live->principal->limited)
		live->sessions->limited_count--;
	list_remove(&live->link);
}

/* All of a list, each once though `each` may put it into a list that comes later. */
static void
each_of(struct list *lives, void (*each)(struct live *live, void *ctx), void *ctx)
{
	struct list taken;
	list_push_back(lives, &taken); /* then it is the head of them all */
	list_remove(lives);
	while (!list_empty(&taken)) {
		struct list *link = taken.next;
		list_remove(link);
		list_push_back(lives, link);
		each(CONTAINER_OF(link, struct live, link), ctx);
	}
}

void
live_list_each(struct session_loop *sessions, void (*each)(struct live *live, void *ctx),
    void *ctx)
{
	each_of(&sessions->lives, each, ctx);
	for (size_t i = 0; i < SESSION_EXPIRY_SLOTS; i++)
		each_of(&sessions->expiring[i], each, ctx);
}
