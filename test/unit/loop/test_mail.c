/* Mail between threads: nothing is lost, order holds, a sleeper is woken. Also run with TSan. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <stdlib.h>

#include "check.h"
#include "env.h"
#include "loop.h"
#include "mail.h"
#include "thread.h"

enum { SENDERS = 4, MAILS = 100000 };

struct world {
	struct env *env;
	struct loop *loop;
	struct mailbox *box;
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->env = env_create();
	assert_int_equal(loop_create(w->env, 0, &w->loop), 0);
	assert_int_equal(mailbox_create(w->loop, &w->box), 0);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	mailbox_destroy(w->box);
	loop_destroy(w->loop);
	env_destroy(w->env);
	free(w);
	return 0;
}

/* ── many senders ── */

struct letter {
	struct mail mail;
	struct sender *sender;
	uint32_t number;
};

struct receiver {
	struct mailbox *box;
	struct loop *loop; /* NULL: the box is a blocking one */
	size_t got;
};

struct sender {
	struct receiver *receiver;
	struct letter *letters;
	uint32_t next; /* the number that the receiver expects */
	pthread_t thread;
};

static void
letter_deliver(struct mail *mail)
{
	struct letter *letter = CONTAINER_OF(mail, struct letter, mail);
	struct sender *sender = letter->sender;
	check(letter->number == sender->next);
	sender->next++;
	sender->receiver->got++;
	if (sender->receiver->loop && sender->receiver->got == (size_t)SENDERS * MAILS)
		loop_stop(sender->receiver->loop);
}

static void
send_all(void *ctx)
{
	struct sender *sender = ctx;
	for (uint32_t i = 0; i < MAILS; i++)
		mailbox_send(sender->receiver->box, &sender->letters[i].mail);
}

static void
senders_start(struct sender *senders, struct receiver *receiver)
{
	for (int s = 0; s < SENDERS; s++) {
		struct sender *sender = &senders[s];
		*sender = (struct sender){.receiver = receiver};
		sender->letters = calloc(MAILS, sizeof(*sender->letters));
		assert_non_null(sender->letters);
		for (uint32_t i = 0; i < MAILS; i++) {
			sender->letters[i].mail.deliver = letter_deliver;
			sender->letters[i].sender = sender;
			sender->letters[i].number = i;
		}
	}
	for (int s = 0; s < SENDERS; s++)
		assert_int_equal(
		    thread_start(&senders[s].thread, "sender", send_all, &senders[s]), 0);
}

static void
senders_finish(struct sender *senders)
{
	for (int s = 0; s < SENDERS; s++) {
		thread_join(senders[s].thread);
		assert_int_equal(senders[s].next, MAILS);
		free(senders[s].letters);
	}
}

static void
four_senders_to_a_loop_lose_and_reorder_nothing(void **state)
{
	struct world *w = *state;
	struct receiver receiver = {.box = w->box, .loop = w->loop};
	struct sender senders[SENDERS];
	senders_start(senders, &receiver);
	loop_run(w->loop);
	senders_finish(senders);
	assert_int_equal(receiver.got, (size_t)SENDERS * MAILS);
	assert_int_equal(mailbox_count(w->box), 0);
}

static void
four_senders_to_a_blocking_box_lose_and_reorder_nothing(void **state)
{
	(void)state;
	struct receiver receiver = {0};
	struct sender senders[SENDERS];
	assert_int_equal(mailbox_create_blocking(&receiver.box), 0);
	senders_start(senders, &receiver);
	while (receiver.got < (size_t)SENDERS * MAILS) {
		mailbox_wait(receiver.box, -1);
		mailbox_deliver(receiver.box, 100);
	}
	senders_finish(senders);
	mailbox_destroy(receiver.box);
}

/* ── cause before effect ── */

/* Thread A mails the receiver, then lets B go on, who mails too: B's must arrive after A's. B
 * waits for no lock of the mailbox, only for a flag of A's. */
enum { RELAYS = 20000 };

struct relay {
	struct mailbox *box;
	atomic_uint turn;
	struct relay_mail *mails; /* even ones A's, odd ones B's */
	uint32_t next;
};

struct relay_mail {
	struct mail mail;
	struct relay *relay;
	uint32_t number;
};

static void
relay_deliver(struct mail *mail)
{
	struct relay_mail *m = CONTAINER_OF(mail, struct relay_mail, mail);
	check(m->number == m->relay->next);
	m->relay->next++;
}

static void
relay_send(struct relay *relay, uint32_t parity)
{
	for (uint32_t i = parity; i < RELAYS; i += 2) {
		while (atomic_load_explicit(&relay->turn, memory_order_acquire) != i)
			;
		mailbox_send(relay->box, &relay->mails[i].mail);
		atomic_store_explicit(&relay->turn, i + 1, memory_order_release);
	}
}

static void
relay_even(void *ctx)
{
	relay_send(ctx, 0);
}

static void
relay_odd(void *ctx)
{
	relay_send(ctx, 1);
}

static void
mail_sent_after_another_arrives_after_it(void **state)
{
	(void)state;
	struct relay relay = {0};
	pthread_t even, odd;
	assert_int_equal(mailbox_create_blocking(&relay.box), 0);
	relay.mails = calloc(RELAYS, sizeof(*relay.mails));
	assert_non_null(relay.mails);
	for (uint32_t i = 0; i < RELAYS; i++) {
		relay.mails[i].mail.deliver = relay_deliver;
		relay.mails[i].relay = &relay;
		relay.mails[i].number = i;
	}
	assert_int_equal(thread_start(&even, "even", relay_even, &relay), 0);
	assert_int_equal(thread_start(&odd, "odd", relay_odd, &relay), 0);
	while (relay.next < RELAYS) {
		mailbox_wait(relay.box, -1);
		mailbox_deliver(relay.box, SIZE_MAX);
	}
	thread_join(even);
	thread_join(odd);
	mailbox_destroy(relay.box);
	free(relay.mails);
}

/* ── wake-ups ── */

/* Two loops play ping-pong with one mail and sleep in between: a lost wake-up hangs the test. */
enum { ROUNDS = 20000 };

struct player {
	struct loop *loop;
	struct mailbox *box;
	struct player *other;
};

struct ball {
	struct mail mail;
	struct player *at;
	int rounds;
};

static void
ball_deliver(struct mail *mail)
{
	struct ball *ball = CONTAINER_OF(mail, struct ball, mail);
	struct player *here = ball->at;
	if (++ball->rounds >= ROUNDS)
		loop_stop(here->loop);
	if (ball->rounds > ROUNDS)
		return;
	ball->at = here->other;
	mailbox_send(here->other->box, mail);
}

static void
player_run(void *ctx)
{
	struct player *player = ctx;
	loop_run(player->loop);
}

static void
no_wakeup_is_lost_between_two_sleeping_loops(void **state)
{
	struct world *w = *state;
	struct player a = {.loop = w->loop, .box = w->box}, b = {.other = &a};
	struct ball ball = {.mail.deliver = ball_deliver, .at = &a};
	pthread_t thread;
	a.other = &b;
	assert_int_equal(loop_create(w->env, 1, &b.loop), 0);
	assert_int_equal(mailbox_create(b.loop, &b.box), 0);
	assert_int_equal(thread_start(&thread, "player", player_run, &b), 0);
	mailbox_send(a.box, &ball.mail);
	loop_run(a.loop);
	thread_join(thread);
	assert_int_equal(ball.rounds, ROUNDS + 1);
	mailbox_destroy(b.box);
	loop_destroy(b.loop);
}

/* ── in its stead ── */

/* Two threads do numbered things to what is the loop's: themselves where it sleeps, else by mail.
 * In the end one leaves a task there and one a timer, for which the loop must wake up. */
enum { DOERS = 2, DEEDS = 20000 };

struct place {
	struct loop *loop;
	struct mailbox *box;
	uint32_t next[DOERS]; /* as the loop's, not atomic */
	size_t lent;
	struct loop_task task;
	struct loop_timer timer;
	bool told, fired;
};

struct deed {
	struct mail mail;
	struct place *place;
	int doer;
	uint32_t number;
};

struct doer {
	struct place *place;
	struct deed *deeds;
	pthread_t thread;
};

static void
deed_do(const struct deed *deed)
{
	check(deed->number == deed->place->next[deed->doer]);
	deed->place->next[deed->doer]++;
}

static void
deed_deliver(struct mail *mail)
{
	deed_do(CONTAINER_OF(mail, struct deed, mail));
}

static void
place_task(struct loop_task *task)
{
	struct place *place = CONTAINER_OF(task, struct place, task);
	place->told = true;
	if (place->fired)
		loop_stop(place->loop);
}

static void
place_fire(struct loop_timer *timer)
{
	struct place *place = CONTAINER_OF(timer, struct place, timer);
	place->fired = true;
	if (place->told)
		loop_stop(place->loop);
}

static void
borrow(struct place *place)
{
	while (!loop_borrow(place->loop))
		sched_yield();
	place->lent++;
}

static void
do_all(void *ctx)
{
	struct doer *doer = ctx;
	struct place *place = doer->place;
	for (uint32_t i = 0; i < DEEDS; i++) {
		struct deed *deed = &doer->deeds[i];
		if (i % 50 == 0) {
			borrow(place);
		} else if (i % 3 == 0 || !loop_borrow(place->loop)) {
			mailbox_send(place->box, &deed->mail);
			continue;
		}
		deed_do(deed);
		loop_give_back(place->loop);
	}
	borrow(place);
	if (doer->deeds[0].doer == 0)
		loop_task_queue(place->loop, LOOP_WORK, &place->task);
	else
		check(loop_timer_set(place->loop, &place->timer,
			  loop_mono_ms(place->loop) + 1) == 0);
	loop_give_back(place->loop);
}

static void
what_is_done_in_its_stead_and_by_mail_keeps_its_order(void **state)
{
	struct world *w = *state;
	struct place place = {.loop = w->loop, .box = w->box, .timer.fire = place_fire};
	struct doer doers[DOERS];
	loop_task_init(&place.task, place_task);
	assert_false(loop_borrow(w->loop)); /* it does not sleep: nobody runs it */
	for (int d = 0; d < DOERS; d++) {
		doers[d] = (struct doer){.place = &place};
		doers[d].deeds = calloc(DEEDS, sizeof(*doers[d].deeds));
		assert_non_null(doers[d].deeds);
		for (uint32_t i = 0; i < DEEDS; i++)
			doers[d].deeds[i] = (struct deed){
				.mail.deliver = deed_deliver, .place = &place, .doer = d,
				.number = i,
			};
		assert_int_equal(
		    thread_start(&doers[d].thread, "doer", do_all, &doers[d]), 0);
	}
	loop_run(w->loop);
	for (int d = 0; d < DOERS; d++) {
		thread_join(doers[d].thread);
		assert_int_equal(place.next[d], DEEDS);
		free(doers[d].deeds);
	}
	assert_true(place.lent >= DOERS * (DEEDS / 50));
	assert_false(loop_borrow(w->loop));
}

static void
wait_ends_when_time_is_over(void **state)
{
	(void)state;
	struct mailbox *box;
	assert_int_equal(mailbox_create_blocking(&box), 0);
	mailbox_wait(box, 1);
	assert_int_equal(mailbox_deliver(box, 10), 0);
	mailbox_destroy(box);
}

/* ── the receiver's side ── */

struct counted {
	struct mail mail;
	int *count;
	struct mailbox *forward; /* sends itself on, once */
};

static void
counted_deliver(struct mail *mail)
{
	struct counted *m = CONTAINER_OF(mail, struct counted, mail);
	++*m->count;
	if (m->forward) {
		struct mailbox *box = m->forward;
		m->forward = NULL;
		mailbox_send(box, mail);
	}
}

static void
deliver_stops_at_max_and_counts_what_waits(void **state)
{
	(void)state;
	struct mailbox *box;
	struct counted mails[5];
	int count = 0;
	assert_int_equal(mailbox_create_blocking(&box), 0);
	assert_int_equal(mailbox_deliver(box, 10), 0);
	for (int i = 0; i < 5; i++) {
		mails[i] = (struct counted){.mail.deliver = counted_deliver, .count = &count};
		mailbox_send(box, &mails[i].mail);
	}
	assert_int_equal(mailbox_count(box), 5);
	assert_int_equal(mailbox_deliver(box, 3), 3);
	assert_int_equal(count, 3);
	assert_int_equal(mailbox_count(box), 2);
	mailbox_wait(box, -1); /* there is mail: does not wait */
	assert_int_equal(mailbox_deliver(box, 3), 2);
	assert_int_equal(mailbox_deliver(box, 3), 0);
	mailbox_destroy(box);
}

static void
mail_may_be_sent_again_while_it_is_delivered(void **state)
{
	struct world *w = *state;
	int count = 0;
	struct counted mail = {
		.mail.deliver = counted_deliver, .count = &count, .forward = w->box};
	mailbox_send(w->box, &mail.mail);
	while (count < 2)
		loop_turn(w->loop, -1);
	assert_int_equal(mailbox_count(w->box), 0);
}

static void
a_loop_with_more_mail_than_a_turn_takes_does_not_sleep(void **state)
{
	struct world *w = *state;
	enum { COUNT = 5000 };
	struct counted *mails = calloc(COUNT, sizeof(*mails));
	assert_non_null(mails);
	int count = 0, turns = 0;
	for (int i = 0; i < COUNT; i++) {
		mails[i] = (struct counted){.mail.deliver = counted_deliver, .count = &count};
		mailbox_send(w->box, &mails[i].mail);
	}
	for (; count < COUNT; turns++)
		loop_turn(w->loop, -1);
	assert_true(turns > 1); /* the turn is bounded */
	free(mails);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(four_senders_to_a_loop_lose_and_reorder_nothing),
		TEST(four_senders_to_a_blocking_box_lose_and_reorder_nothing),
		TEST(mail_sent_after_another_arrives_after_it),
		TEST(no_wakeup_is_lost_between_two_sleeping_loops),
		TEST(what_is_done_in_its_stead_and_by_mail_keeps_its_order),
		TEST(wait_ends_when_time_is_over),
		TEST(deliver_stops_at_max_and_counts_what_waits),
		TEST(mail_may_be_sent_again_while_it_is_delivered),
		TEST(a_loop_with_more_mail_than_a_turn_takes_does_not_sleep),
#undef TEST
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
