/*
 * committer.c: the one thread that writes the journal. A batch comes by mail, is committed, goes
 * back by mail. Batches gather at the sequencer while one is in flight and a little longer: a lone
 * record is committed at once, a flood in large commits.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "flow_priv.h"
#include "thread.h"

struct committer {
	struct flow *flow;
	struct mailbox *box, *reply_to;
	void (*done)(struct flow *flow, struct commit_batch *batch);
	pthread_t thread;
	bool started, stopping;
	struct mail stop;
	struct job prepare;
	atomic_bool preparing;
};

static void
prepare_run(struct job *job)
{
	struct committer *committer = CONTAINER_OF(job, struct committer, prepare);
	struct flow *flow = committer->flow;
	int error = journal_prepare(flow->options.journal);
	if (error && error != -ENOSPC)
		flow->options.warn(flow->options.ctx, "preparing a journal segment", error);
}

static void
prepare_done(struct mail *mail)
{
	struct job *job = CONTAINER_OF(mail, struct job, mail);
	struct committer *committer = CONTAINER_OF(job, struct committer, prepare);
	atomic_store(&committer->preparing, false);
}

/* A spare segment is zeroed by a worker, so that no commit has to wait for it. */
static void
prepare_start(struct committer *committer)
{
	if (!journal_wants_prepare(committer->flow->options.journal) ||
	    atomic_exchange(&committer->preparing, true))
		return;
	committer->prepare.run = prepare_run;
	committer->prepare.mail.deliver = prepare_done;
	committer->prepare.reply_to = committer->box;
	workers_submit_always(committer->flow->options.workers, &committer->prepare);
}

static void
batch_done(struct mail *mail)
{
	struct commit_batch *batch = CONTAINER_OF(mail, struct commit_batch, mail);
	batch->committer->done(batch->committer->flow, batch);
}

static void
batch_commit(struct mail *mail)
{
	struct commit_batch *batch = CONTAINER_OF(mail, struct commit_batch, mail);
	struct committer *committer = batch->committer;
	struct flow *flow = committer->flow;
	batch->error = journal_commit(flow->options.journal, batch->records, batch->count);
	if (batch->error && batch->error != -ENOSPC)
		flow->options.fatal(flow->options.ctx, "the journal cannot be written",
		    batch->error);
	if (batch->error == -ENOSPC)
		flow_full(flow);
	flow_count(&flow->counters.commits, 1);
	/* Before the batch goes: when nothing is in flight any more the workers may end. */
	prepare_start(committer);
	batch->mail.deliver = batch_done;
	mailbox_send(committer->reply_to, &batch->mail);
}

static void
roll_done(struct mail *mail)
{
	struct flow_roll *roll = CONTAINER_OF(mail, struct flow_roll, mail);
	roll->done(roll, roll->error);
}

static void
roll_run(struct mail *mail)
{
	struct flow_roll *roll = CONTAINER_OF(mail, struct flow_roll, mail);
	roll->error = journal_roll(roll->origin->flow->options.journal, &roll->number);
	roll->mail.deliver = roll_done;
	mailbox_send(roll->origin->box, &roll->mail);
}

static void
committer_run(void *ctx)
{
	struct committer *committer = ctx;
	thread_be_prompt();
	while (!committer->stopping || atomic_load(&committer->preparing)) {
		mailbox_wait(committer->box, -1);
		mailbox_deliver(committer->box, SIZE_MAX);
	}
}

static void
committer_stop(struct mail *mail)
{
	CONTAINER_OF(mail, struct committer, stop)->stopping = true;
}

int
committer_create(struct flow *flow, struct mailbox *reply_to,
    void (*done)(struct flow *flow, struct commit_batch *batch), struct committer **ret_committer)
{
	struct committer *committer = calloc(1, sizeof *committer);
	if (!committer)
		return -ENOMEM;
	committer->flow = flow;
	committer->reply_to = reply_to;
	committer->done = done;
	int error = mailbox_create_blocking(&committer->box);
	if (error)
		goto fail;
	error = thread_start(&committer->thread, "committer", committer_run, committer);
	if (error)
		goto fail;
	committer->started = true;
	*ret_committer = committer;
	return 0;
fail:
	committer_destroy(committer);
	return error;
}

void
committer_begin(struct committer *committer)
{
	prepare_start(committer);
}

void
committer_destroy(struct committer *committer)
{
	if (!committer)
		return;
	if (committer->started) {
		committer->stop.deliver = committer_stop;
		mailbox_send(committer->box, &committer->stop);
		thread_join(committer->thread);
	}
	if (committer->box)
		mailbox_destroy(committer->box);
	free(committer);
}

void
committer_send(struct committer *committer, struct commit_batch *batch)
{
	batch->committer = committer;
	batch->mail.deliver = batch_commit;
	mailbox_send(committer->box, &batch->mail);
}

void
committer_roll(struct committer *committer, struct flow_roll *roll)
{
	roll->mail.deliver = roll_run;
	mailbox_send(committer->box, &roll->mail);
}
