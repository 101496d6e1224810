/*
 * admin_import.c: POST /api/v1/admin/devices/import: many devices at once.
 *
 * The body streams: what has come is cut into parts of whole lines, each read by a worker and
 * stored by a unit of its own, so the store's thread serves others in between and every loop hears
 * of a part in one mail. One part is under way at a time; meanwhile at most IMPORT_AHEAD_BYTES of
 * the body wait. A line stands for itself: what is wrong with it does not keep the others out. What
 * is stored stays, also when the client leaves.
 *
 * The answer comes at the end: the tokens that were made are in it and nowhere else. It is bounded:
 * above IMPORT_ANSWER_BYTES_MAX no more tokens are made.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "access_change.h"
#include "access_registry.h"
#include "admin_devices.h"
#include "admin_import.h"
#include "check.h"
#include "num.h"

#define IMPORT_PART_BYTES (256u << 10)
#define IMPORT_PART_ROWS 1024
#define IMPORT_AHEAD_BYTES (2u << 20)
#define IMPORT_LINE_BYTES_MAX (1u << 20)
#define IMPORT_ANSWER_BYTES_MAX (64u << 20)
#define IMPORT_LISTED_MAX 100 /* rejected lines */

struct import {
	struct admin_call call;
	struct import_format format;
	bool known; /* the format is */
	bool update, as_csv;
	bool ended, busy, broken;
	bool skipping;	 /* within a line that is too long */
	struct buf text; /* of the body, not yet in a part */
	size_t scanned;	 /* of it: no line ends in there */
	bool quoted;	 /* at `scanned` within quotes of CSV */
	bool closed;	 /* just behind them */
	uint64_t line;	 /* of the next */
	struct buf made, rejected;
	uint64_t added, updated, rejected_count;
};

struct import_part {
	struct admin_call call;
	struct import *import; /* the loop's, but for what never changes */
	const struct import_format *format;
	bool update, tokens_full, as_csv;
	size_t count;
	struct span lines[IMPORT_PART_ROWS];
	struct import_row rows[IMPORT_PART_ROWS];
	uint64_t added, updated;
	struct buf ids_added; /* for the audit */
	uint64_t users[STORE_USERS_MAX];
	struct store_device device; /* while a row is applied */
};

static void import_go_on(struct import *import);

/* ── on a worker ── */

static int
part_work(struct admin_call *call)
{
	struct import_part *part = (struct import_part *)call;

	for (size_t i = 0; i < part->count; i++)
		if (!part->rows[i].code)
			admin_import_row_read(call, part->format, part->lines[i], &part->rows[i]);
	return call->no_memory ? -ENOMEM : 0;
}

/* ── on the store's thread ── */

static int
user_each(void *ctx, const struct store_user *user)
{
	struct import_part *part = ctx;

	for (size_t i = 0; i < part->device.user_count; i++)
		if (part->users[i] == user->id)
			return 0;
	if (part->device.user_count == STORE_USERS_MAX)
		return -EMSGSIZE;
	part->users[part->device.user_count++] = user->id;
	return 0;
}

/* The names, each with a blank after it. */
static int
users_take(struct import_part *part, struct store *store, struct import_row *row)
{
	struct span rest = row->text[IMPORT_USERS];
	int error = 0;

	part->device.users = part->users;
	part->device.user_count = 0;
	while (error == 0 && rest.len && !row->code) {
		size_t len = (size_t)((const char *)memchr(rest.ptr, ' ', rest.len) - rest.ptr);
		struct span name = span_of(rest.ptr, len);

		error = store_user_find(store, part->call.tenant, name, user_each, part);
		if (error == -ENOENT)
			admin_import_row_reject(
			    row, "unknown_user", "there is no user '%.*s'", SPAN_ARG(name));
		if (error == -EMSGSIZE)
			admin_import_row_reject(
			    row, "bad_value", "a device has at most %d users", STORE_USERS_MAX);
		rest = span_skip(rest, len + 1);
	}
	return row->code ? 0 : error;
}

static int
gateway_each(void *ctx, const struct store_gateway *gateway)
{
	(void)ctx;
	(void)gateway;
	return 0;
}

/* Members of the row into the device. */
static int
row_take(struct import_part *part, struct store *store, struct import_row *row)
{
	struct store_device *device = &part->device;
	int error = 0;

	if (row->given[IMPORT_NAME])
		device->name = row->text[IMPORT_NAME];
	if (row->given[IMPORT_GROUP])
		device->group = row->text[IMPORT_GROUP];
	if (row->given[IMPORT_PLACE])
		device->place = row->text[IMPORT_PLACE];
	if (row->given[IMPORT_STATE])
		device->state = row->state;
	if (row->given[IMPORT_CONFIG])
		device->config = row->text[IMPORT_CONFIG];
	if (row->given[IMPORT_GATEWAY])
		device->gateway = row->gateway;
	if (row->given[IMPORT_GATEWAY] && row->gateway)
		error =
		    store_gateway_find(store, part->call.tenant, row->gateway, gateway_each, NULL);
	if (error == -ENOENT) {
		admin_import_row_reject(row, "unknown_gateway", "there is no gateway %llu",
		    (unsigned long long)row->gateway);
		return 0;
	}
	if (error == 0 && row->given[IMPORT_USERS])
		error = users_take(part, store, row);
	return error;
}

/* What is told of a token that was made. */
static void
token_tell(struct import_part *part, struct span token)
{
	struct buf *out = &part->call.out;
	struct span id = part->device.id;

	if (!part->as_csv) {
		buf_append_str(out, out->len ? ",{\"id\":" : "{\"id\":");
		admin_devices_id_write(out, id);
		admin_devices_text_write(out, ",\"auth\":", token);
		buf_append_byte(out, '}');
		return;
	}
	buf_append_byte(out, '"');
	for (size_t i = 0; i < id.len; i++) {
		if (id.ptr[i] == '"')
			buf_append_byte(out, '"');
		buf_append_byte(out, id.ptr[i]);
	}
	buf_append_str(out, "\",");
	buf_append_span(out, token);
	buf_append_str(out, "\r\n");
}

static void
id_note(struct buf *ids, struct span id)
{
	buf_append_byte(ids, ids->len ? ',' : '[');
	admin_devices_id_write(ids, id);
}

static int
row_insert(struct import_part *part, struct store_tx *tx, struct import_row *row)
{
	struct admin_call *call = &part->call;
	struct store_device *device = &part->device;
	struct span token = {NULL, 0}, hash;
	char next[24];
	size_t len;
	int error;

	*device = (struct store_device){.tenant = call->tenant, .id = row->text[IMPORT_ID]};
	if (!row->given[IMPORT_AUTH] && part->tokens_full)
		admin_import_row_reject(
		    row, "too_many", "one answer holds no more tokens; import the rest by itself");
	error = row->code ? 0 : row_take(part, store_tx_store(tx), row);
	if (error || row->code)
		return error;
	if (!row->given[IMPORT_ID]) {
		error = store_device_next_id(tx, call->tenant, next, &len);
		if (error)
			return error;
		device->id = admin_call_keep(call, span_of(next, len));
	}
	device->hash = span_of((const char *)row->hash, sizeof row->hash);
	if (!row->given[IMPORT_AUTH])
		token = admin_things_token(call);
	if (!row->given[IMPORT_AUTH] || !row->given[IMPORT_ID]) {
		hash = admin_things_hash(call, ACCESS_TOKEN_DEVICE, device->id,
		    token.len ? token : row->text[IMPORT_AUTH]);
		device->hash = hash;
	}
	if (call->no_memory)
		return -ENOMEM;
	device->created_ms = call->now_ms;
	error = store_device_add(tx, device, &device->version);
	if (error)
		return error;
	if (token.len)
		token_tell(part, token);
	id_note(&part->ids_added, device->id);
	part->added++;
	return 0;
}

static int
device_each(void *ctx, const struct store_device *found)
{
	struct import_part *part = ctx;

	return admin_devices_keep(&part->call, found, part->users, &part->device);
}

static struct span
device_document(struct import_part *part)
{
	struct span document;
	struct buf out;

	buf_init(&out, 0);
	admin_devices_head_write(&out, &part->device);
	admin_devices_text_write(&out, ",\"name\":", part->device.name);
	admin_devices_text_write(&out, ",\"group\":", part->device.group);
	admin_devices_text_write(&out, ",\"place\":", part->device.place);
	buf_append_byte(&out, '}');
	part->call.no_memory |= !buf_ok(&out);
	document = admin_call_keep(&part->call, buf_span(&out));
	buf_finish(&out);
	return document;
}

static int
row_update(struct import_part *part, struct store_tx *tx, struct import_row *row)
{
	struct admin_call *call = &part->call;
	struct store *store = store_tx_store(tx);
	struct span before;
	int error = store_device_find(store, call->tenant, row->text[IMPORT_ID], device_each, part);

	if (error)
		return error;
	before = device_document(part);
	error = row_take(part, store, row);
	if (error || row->code)
		return error;
	if (row->given[IMPORT_AUTH])
		part->device.hash = span_of((const char *)row->hash, sizeof row->hash);
	error = store_device_put(tx, &part->device, &part->device.version);
	if (error == 0)
		error = admin_call_audit(
		    call, tx, "device.put", part->device.id, before, device_document(part));
	part->updated += error == 0;
	return error;
}

static int
row_apply(struct import_part *part, struct store_tx *tx, struct import_row *row)
{
	int error = -ENOENT;

	if (part->update && row->given[IMPORT_ID])
		error = row_update(part, tx, row);
	if (error == -ENOENT)
		error = row_insert(part, tx, row);
	if (error == -EEXIST)
		admin_import_row_reject(row, "exists", "there is a device of this id already");
	if (row->code)
		return 0;
	return error ? error : access_change_device(admin_call_change(&part->call), &part->device);
}

static int
part_apply(struct admin_call *call, struct store_tx *tx)
{
	struct import_part *part = (struct import_part *)call;
	char count[24];
	int error = 0;

	for (size_t i = 0; error == 0 && i < part->count; i++)
		if (!part->rows[i].code)
			error = row_apply(part, tx, &part->rows[i]);
	if (error || part->added == 0)
		return error;
	buf_append_byte(&part->ids_added, ']');
	call->no_memory |= !buf_ok(&part->ids_added);
	return admin_call_audit(call, tx, "devices.import",
	    span_of(count, num_format_u64(count, part->added)), SPAN(""),
	    buf_span(&part->ids_added));
}

/* ── a part is over ── */

static void
rejected_note(struct import *import, const struct import_row *row)
{
	struct buf *out = &import->rejected;

	if (import->rejected_count++ >= IMPORT_LISTED_MAX)
		return;
	buf_printf(out, "%s{\"line\":%llu,\"code\":\"%s\",\"detail\":", out->len ? "," : "",
	    (unsigned long long)row->line, row->code);
	json_write_string(out, span_str(row->detail));
	buf_append_byte(out, '}');
}

static void
part_done(struct admin_call *call)
{
	struct import_part *part = (struct import_part *)call;
	struct import *import = part->import;
	bool first = import->added + import->updated == 0;

	import->busy = false;
	if (call->error && first) {
		/* Nothing was stored: the answer is what is wrong. */
		import->broken = true;
		import->call.refused = call->refused;
		memcpy(import->call.pointer, call->pointer, sizeof call->pointer);
		memcpy(import->call.detail, call->detail, sizeof call->detail);
		import->call.error = call->error;
	}
	for (size_t i = 0; i < part->count; i++) {
		if (call->error && !part->rows[i].code)
			admin_import_row_reject(&part->rows[i], "not_stored",
			    call->error == -ENOSPC ? "the disk is full" : "the store failed");
		if (part->rows[i].code)
			rejected_note(import, &part->rows[i]);
	}
	if (!call->error) {
		import->added += part->added;
		import->updated += part->updated;
		if (!import->as_csv && import->made.len && call->out.len)
			buf_append_byte(&import->made, ',');
		buf_append_span(&import->made, buf_span(&call->out));
	}
	buf_finish(&part->ids_added);
	import_go_on(import);
}

/* ── the answer ── */

static void
summary_write(struct import *import, struct buf *out)
{
	buf_printf(out, "\"added\":%llu,\"updated\":%llu,\"rejected\":[",
	    (unsigned long long)import->added, (unsigned long long)import->updated);
	buf_append_span(out, buf_span(&import->rejected));
	buf_printf(out, "],\"rejected_count\":%llu}", (unsigned long long)import->rejected_count);
}

static void
import_finish(struct import *import, int error)
{
	struct admin_call *call = &import->call;
	struct buf *out = &call->out;

	call->content_type = import->as_csv ? "text/csv" : NULL;
	buf_append_str(out, import->as_csv ? "id,auth\r\n" : "{\"devices\":[");
	buf_append_span(out, buf_span(&import->made));
	buf_append_str(out, import->as_csv ? "# {" : "],");
	summary_write(import, out);
	if (import->as_csv)
		buf_append_str(out, "\r\n");
	call->no_memory |=
	    !buf_ok(&import->made) || !buf_ok(&import->rejected) || !buf_ok(&import->text);
	buf_finish(&import->text);
	buf_finish(&import->made);
	buf_finish(&import->rejected);
	admin_call_finish(call, error);
}

/* ── the body into parts ── */

/* Quotes count where a field begins, and twice within quotes; elsewhere they are a mistake, which
 * must not take the lines below along. */
static void
quote_pass(struct import *import, char c, char before)
{
	bool opens = import->closed || strchr(",;\n", before);

	import->closed = c == '"' && import->quoted;
	if (c == '"' && (import->quoted || opens))
		import->quoted = !import->quoted;
}

/* The next whole line of the text from *pos on, without its end; false: it is not all there. */
static bool
line_next(struct import *import, size_t *pos, struct span *ret_line)
{
	const struct buf *text = &import->text;
	bool csv = !import->known || import->format.csv;
	size_t i = MAX(import->scanned, *pos), len;

	for (; i < text->len && (text->ptr[i] != '\n' || import->quoted); i++)
		if (csv)
			quote_pass(import, text->ptr[i], i == *pos ? '\n' : text->ptr[i - 1]);
	import->scanned = i;
	if (i == text->len && !(import->ended && i > *pos))
		return false;
	len = i - *pos;
	if (len && text->ptr[*pos + len - 1] == '\r')
		len--;
	*ret_line = span_of(text->ptr + *pos, len);
	*pos = MIN(i + 1, text->len);
	import->scanned = *pos;
	import->quoted = false;
	import->closed = false;
	return true;
}

static bool
line_is_there(struct import *import)
{
	struct span line;
	size_t pos = 0;

	if (!line_next(import, &pos, &line))
		return false;
	import->scanned = 0;
	return true;
}

static void
text_consume(struct import *import, size_t bytes)
{
	buf_consume(&import->text, bytes);
	import->scanned -= MIN(bytes, import->scanned);
}

/* The first line, which says what the others are. 0, or refused. */
static int
format_read(struct import *import)
{
	struct span text = buf_span(&import->text), line;
	size_t pos = 0;
	int error;

	if (span_starts(text, SPAN("\xef\xbb\xbf")))
		text_consume(import, 3);
	text = buf_span(&import->text);
	while (text.len && (text.ptr[0] == '\n' || text.ptr[0] == '\r' || text.ptr[0] == ' ')) {
		import->line += text.ptr[0] == '\n';
		text = span_skip(text, 1);
	}
	text_consume(import, import->text.len - text.len);
	text = buf_span(&import->text);
	if (text.len == 0)
		return 0;
	if (text.ptr[0] == '[')
		return admin_call_refuse(&import->call, 400, NULL,
		    "the body is CSV with a header, or NDJSON: an object on each line");
	import->scanned = 0;
	import->quoted = false;
	if (text.ptr[0] == '{') {
		import->known = true;
		return 0;
	}
	if (!line_next(import, &pos, &line))
		return text.len <= IMPORT_LINE_BYTES_MAX
			   ? 0
			   : admin_call_refuse(&import->call, 422, NULL, "line 1 is too long");
	error = admin_import_header(&import->call, line, &import->format);
	import->line++;
	import->known = true;
	text_consume(import, pos);
	return error;
}

static struct import_part *
part_create(struct import *import)
{
	static const struct admin_call_ops ops = {.work = part_work,
	    .apply = part_apply,
	    .done = part_done,
	    .what = ACCESS_A_DEVICE,
	    .verb = ACCESS_CHANGE};
	struct import_part *part = admin_call_part(&import->call, sizeof *part, &ops);

	if (!part)
		return NULL;
	part->import = import;
	part->format = &import->format;
	part->update = import->update;
	part->as_csv = import->as_csv;
	part->tokens_full = import->made.len > IMPORT_ANSWER_BYTES_MAX;
	buf_init(&part->ids_added, 0);
	return part;
}

static void
part_add(struct import_part *part, struct span line)
{
	struct import_row *row = &part->rows[part->count];

	row->line = part->import->line++;
	if (line.len == 0)
		return; /* a blank line is none */
	if (line.len > IMPORT_LINE_BYTES_MAX)
		admin_import_row_reject(
		    row, "too_long", "a line has at most %u bytes", IMPORT_LINE_BYTES_MAX);
	part->lines[part->count++] = line;
}

/* The lines that have come, as far as they make a part, on their way. The last that is done with
 * the import: it may end at once. */
static void
part_run(struct import *import)
{
	struct import_part *part = part_create(import);
	struct span line, text;
	size_t pos = 0;

	if (!part) {
		import->call.no_memory = true;
		import_finish(import, -ENOMEM);
		return;
	}
	while (part->count < IMPORT_PART_ROWS && pos < IMPORT_PART_BYTES &&
	       line_next(import, &pos, &line))
		part_add(part, line);
	text = admin_call_keep(&part->call, span_of(import->text.ptr, pos));
	for (size_t i = 0; text.ptr && i < part->count; i++)
		part->lines[i].ptr = text.ptr + (part->lines[i].ptr - import->text.ptr);
	text_consume(import, pos);
	import->busy = true;
	if (import->call.request)
		session_pause_body(import->call.request, import->text.len > IMPORT_AHEAD_BYTES);
	admin_call_run(&part->call, 0);
}

/* What has come of a line that is too long is dropped, and the rest of it to come. */
static void
line_skip(struct import *import)
{
	struct import_row row = {.line = import->line++};

	admin_import_row_reject(
	    &row, "too_long", "a line has at most %u bytes", IMPORT_LINE_BYTES_MAX);
	rejected_note(import, &row);
	text_consume(import, import->text.len);
	import->scanned = 0;
	import->quoted = false;
	import->skipping = !import->ended;
}

/* With what has come: another part, the answer, or more of the body. */
static void
import_go_on(struct import *import)
{
	int error = 0;

	if (import->busy)
		return;
	if (import->broken) {
		import_finish(import, import->call.error);
		return;
	}
	if (!import->known)
		error = format_read(import);
	if (error == 0 && import->ended && !import->known)
		error = admin_call_refuse(&import->call, 400, NULL, "the body is empty");
	if (error || !buf_ok(&import->text)) {
		import_finish(import, error ? error : -ENOMEM);
		return;
	}
	if (import->known && line_is_there(import)) {
		if (session_principal_holds(import->call.request))
			part_run(import);
		else
			import_finish(import, admin_call_refuse(&import->call, 401, NULL,
			    "these credentials are not valid any more; what came before that "
			    "is kept"));
		return;
	}
	if (import->known && import->text.len > IMPORT_LINE_BYTES_MAX)
		line_skip(import);
	if (import->ended)
		import_finish(import, 0);
	else
		session_pause_body(import->call.request, false);
}

/* ── from the request ── */

static void
import_begin(struct session_request *request)
{
	static const struct admin_call_ops ops = {.what = ACCESS_A_DEVICE, .verb = ACCESS_CHANGE};
	struct import *import = admin_call_create(request, sizeof *import, &ops);
	uint64_t update = 0;
	int error;

	if (!import)
		return;
	error = admin_call_number(&import->call, "update", 0, 1, &update);
	if (error) {
		admin_call_run(&import->call, error);
		return;
	}
	import->update = update == 1;
	import->as_csv = session_accepts(request, "text/csv");
	import->line = 1;
	buf_init(&import->text, 0);
	buf_init(&import->made, 0);
	buf_init(&import->rejected, 0);
	session_set_state(request, import);
}

static void
import_body(struct session_request *request, struct span bytes)
{
	struct import *import = session_state(request);
	const char *end;

	if (!import)
		return;
	if (import->skipping) {
		end = bytes.len ? memchr(bytes.ptr, '\n', bytes.len) : NULL;
		if (!end)
			return;
		import->skipping = false;
		bytes = span_skip(bytes, (size_t)(end + 1 - bytes.ptr));
	}
	buf_append_span(&import->text, bytes);
	if (import->busy && import->text.len > IMPORT_AHEAD_BYTES)
		session_pause_body(request, true);
	import_go_on(import);
}

static void
import_end(struct session_request *request, struct span whole)
{
	struct import *import = session_state(request);

	(void)whole;
	if (!import)
		return;
	import->ended = true;
	import_go_on(import);
}

/* What is stored stays; what has come besides is let go. */
static void
import_gone(struct session_request *request, bool broken)
{
	struct import *import = session_state(request);

	(void)broken;
	if (!import)
		return;
	import->call.request = NULL;
	import->broken = true;
	import_go_on(import);
}

static const struct session_route_ops import_ops = {
    .begin = import_begin,
    .body = import_body,
    .end = import_end,
    .gone = import_gone,
};

static const struct session_doc import_doc = {
    .help = "CSV with a header of columns id, auth, name, group, place, state, gateway, users "
	    "(with blanks between them), config.NAME; or NDJSON with members of these names. A "
	    "token that is not given is made and shown in the answer, the only time; as CSV where "
	    "Accept says so. A line stands for itself: wrong ones are listed, the first 100. The "
	    "body may have any length.",
    .query = {{"update?", "integer",
	"1: a device that is there gets what the line gives; a config replaces its own. 0: "
	"such lines are rejected."}},
    .body = {"text/csv string", "application/x-ndjson DeviceImport"},
    .answers = {{200, "DevicesImported", "What became of it."}, {200, "text/csv string", ""},
	{422, "", "There is no such column, or it is there twice."},
	{500, "", "The store failed."}},
};

const struct session_route api_admin_import_routes[] = {
    {
	.path = "/api/v1/admin/devices/import",
	.methods = SESSION_POST,
	.rights = ACCESS_ADMIN,
	.streaming = true,
	.ops = &import_ops,
	.summary = "Many new devices at once",
	.doc = &import_doc,
    },
    {.path = NULL},
};
