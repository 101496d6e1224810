/*
 * erasures.c: devices that go with their data: the job that is begun, and how far it has come.
 *
 * First the device leaves the registry, in a transaction that every loop hears of; then what it had
 * reported is hidden (flow_erase); then comes the answer. A device that is not in the registry may
 * still have data: that is erased likewise. A job is known by the number that its tombstone took.
 */
#include "erasures.h"

#include <errno.h>

#include "admin_call.h"
#include "admin_devices.h"
#include "check.h"
#include "json.h"
#include "num.h"

struct erase_call {
	struct device_call dc;
	struct flow_loop *flow;
	struct flow_erase erase;
};

static int
erase_apply(struct admin_call *call, struct store_tx *tx)
{
	struct device_call *dc = (struct device_call *)call;
	int error = admin_devices_look(dc, tx);

	if (error == 0)
		error = admin_devices_remove(dc, tx);
	else if (error == -ENOENT)
		error = 0;
	call->version = 0;
	if (error == 0)
		error = admin_call_audit(call, tx, "device.erase", dc->device.id, SPAN(""),
		    SPAN(""));
	return error;
}

static void
erase_done(struct flow_erase *erase, int error)
{
	struct erase_call *ec = CONTAINER_OF(erase, struct erase_call, erase);
	struct admin_call *call = &ec->dc.call;

	call->status = 202;
	if (!error)
		buf_printf(&call->out, "{\"job\":\"%llu\"}",
		    (unsigned long long)erase->tombstone.part_id);
	admin_call_finish(call, error);
}

/* It is in no loop's registry any more. */
static bool
erase_after(struct admin_call *call)
{
	struct erase_call *ec = (struct erase_call *)call;

	if (!call->api->store) {
		call->error = admin_call_refuse(call, 503, NULL, "the server stops");
		return false;
	}
	ec->erase.tombstone.tenant = call->tenant;
	ec->erase.tombstone.device = ec->dc.device.id;
	ec->erase.done = erase_done;
	flow_erase(ec->flow, &ec->erase);
	return true;
}

void
erasures_begin(struct session_request *request)
{
	static const struct admin_call_ops ops = {.apply = erase_apply, .after = erase_after,
	    .what = ACCESS_A_DEVICE, .verb = ACCESS_CHANGE};
	struct erase_call *ec = admin_devices_create(request, sizeof *ec, &ops);
	const struct api_loop *al = session_app(request);

	if (!ec)
		return;
	ec->flow = al->flow;
	/* What the path names is also what is hidden when the registry does not know it. */
	ec->erase.tombstone.device = ec->dc.device.id;
	admin_call_run(&ec->dc.call, 0);
}

/* ── how far it has come ── */

struct job_call {
	struct admin_call call;
	uint64_t job;
	bool found;
};

static void
time_write(struct buf *out, const char *member, int64_t ms)
{
	buf_append_str(out, member);
	if (ms)
		buf_append_i64(out, ms);
	else
		buf_append_str(out, "null");
}

/* What is still missing has failed at its last try, or is under way. */
static void
state_write(struct buf *out, const struct store_tombstone *tombstone)
{
	struct span why = tombstone->series_done_ms ? SPAN("") : tombstone->series_failure;
	bool done = tombstone->series_done_ms && tombstone->journal_done_ms;

	if (!tombstone->journal_done_ms && !why.len)
		why = tombstone->journal_failure;
	buf_printf(out, ",\"done\":%s,\"state\":\"%s\",\"error\":", done ? "true" : "false",
	    done ? "done" : why.len ? "failed" : "running");
	if (why.len)
		json_write_string(out, why);
	else
		buf_append_str(out, "null");
	buf_append_byte(out, '}');
}

static int
job_each(void *ctx, const struct store_tombstone *tombstone)
{
	struct job_call *jc = ctx;
	struct buf *out = &jc->call.out;

	if (tombstone->part_id != jc->job || !span_eq(tombstone->tenant, jc->call.tenant))
		return 0;
	jc->found = true;
	buf_printf(out, "{\"job\":\"%llu\",\"device\":", (unsigned long long)jc->job);
	admin_devices_id_write(out, tombstone->device);
	time_write(out, ",\"begun\":", tombstone->created_ms);
	time_write(out, ",\"series_done\":", tombstone->series_done_ms);
	time_write(out, ",\"raw_done\":", tombstone->journal_done_ms);
	state_write(out, tombstone);
	return 0;
}

static int
job_apply(struct admin_call *call, struct store_tx *tx)
{
	struct job_call *jc = (struct job_call *)call;
	int error = store_tombstones_load(store_tx_store(tx), job_each, jc);

	call->status = 200;
	if (error == 0 && !jc->found)
		return admin_call_refuse(call, 404, NULL, "there is no erasure %llu",
		    (unsigned long long)jc->job);
	return error;
}

static void
job_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = job_apply,
	    .what = ACCESS_A_TENANT, .verb = ACCESS_SEE};
	struct job_call *jc = admin_call_create(request, sizeof *jc, &ops);
	struct span id = session_path_param(request, "job");

	(void)whole;
	if (!jc)
		return;
	/* What is no number is no job's: no part has the number 0. */
	if (num_parse_u64(id, &jc->job))
		jc->job = 0;
	admin_call_run(&jc->call, 0);
}

static const struct session_route_ops job_ops = {.end = job_end, .gone = admin_call_gone};

static const struct session_doc job_doc = {
	.help = "What the device had reported is shown nowhere from the answer of the DELETE on. "
	    "series_done: its points and roll-ups are in no file any more. raw_done: nor is it in "
	    "the journal, which is rewritten within privacy.erase_hours_max. failed: something on "
	    "the disk is damaged or cannot be written, error says what; it is tried again every "
	    "ten minutes and at each start.",
	.path = {{"job", "string", "As the DELETE answered."}},
	.answers = {
		{200, "{job: string, device: DeviceId, begun: integer, series_done: integer|null, "
		    "raw_done: integer|null, done: boolean, state: string, error: string|null}",
		    "When it was begun and done, ms. state: running, failed or done."},
		{404, "", "There is no such job, or the device was erased once more since."},
		{500, "", "The store failed."},
	},
};

const struct session_route api_erasures_routes[] = {
	{
		.path = "/api/v1/admin/erasures/{job}",
		.methods = SESSION_GET,
		.rights = ACCESS_ADMIN,
		.ops = &job_ops,
		.summary = "How far the erasure of a device has come",
		.doc = &job_doc,
	},
	{.path = NULL},
};
