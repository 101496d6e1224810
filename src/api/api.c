/*
 * api.c: the tables of routes together, and what resources share: parameters of the URL.
 */
#include "api.h"

#include <errno.h>

#include "api_priv.h"
#include "check.h"
#include "datetime.h"
#include "json.h"
#include "num.h"
#include "sight.h"

const struct api_group api_groups[] = {
	{"Readings", "Readings of devices on their way in.", api_readings_routes},
	{"Readings", NULL, api_write_routes},
	{"Readings", NULL, api_influx_routes},
	{"Readings", NULL, api_enrol_routes},
	{"Readings", NULL, api_messages_routes},
	{"Series", "What was stored, and the messages as they came.", api_series_routes},
	{"Series", NULL, api_latest_routes},
	{"Series", NULL, api_query_routes},
	{"Series", NULL, api_raw_routes},
	{"Series", NULL, api_events_routes},
	{"Channels", "Messages to any number of subscribers, live.", api_subscribe_routes},
	{"Channels", NULL, api_channels_routes},
	{"Channels", NULL, api_publish_routes},
	{"Keys", "Application keys: who may read, write, publish, subscribe.", api_keys_routes},
	{"Administration", "What there is, and who may do what with it.",
	    api_admin_devices_list_routes},
	{"Administration", NULL, api_admin_devices_routes},
	{"Administration", NULL, api_erasures_routes},
	{"Administration", NULL, api_admin_devices_legacy_routes},
	{"Administration", NULL, api_admin_import_routes},
	{"Administration", NULL, api_admin_gateways_routes},
	{"Administration", NULL, api_admin_users_routes},
	{"Administration", NULL, api_admin_token_routes},
	{"Administration", NULL, api_admin_secrets_routes},
	{"Administration", NULL, api_admin_audit_routes},
	{"Administration", NULL, api_admin_venues_routes},
	{"Administration", NULL, api_admin_plan_routes},
	{"Administration", NULL, api_admin_tenants_routes},
	{"People", "What persons may see and change of their own.", api_me_routes},
	{"People", NULL, api_thresholds_routes},
	{"Administration", NULL, api_logs_routes},
	{"Operation", "For those who run the server.", api_ops_routes},
	{"Pages", "For people, and this document.", api_openapi_routes},
	{"Pages", NULL, api_page_routes},
	{.name = NULL},
};

size_t
api_routes(const struct session_route **tables, size_t *counts)
{
	size_t tables_count = ARRAY_COUNT(api_groups) - 1;
	_Static_assert(ARRAY_COUNT(api_groups) - 1 <= API_TABLES_MAX, "callers have the room");
	for (size_t i = 0; i < tables_count; i++) {
		tables[i] = api_groups[i].routes;
		counts[i] = 0;
		while (tables[i][counts[i]].path)
			counts[i]++;
	}
	return tables_count;
}

void
api_no_memory(struct session_request *request)
{
	session_problem(request, 503, NULL, "the server has no memory left; try again");
}

void
api_answer_buf(struct session_request *request, unsigned status, const char *content_type,
    struct buf *out)
{
	if (buf_ok(out))
		session_answer(request, status, content_type, buf_span(out));
	else
		api_no_memory(request);
	buf_finish(out);
}

bool
api_query_time(struct session_request *request, const char *name, int64_t absent_ms,
    int64_t *ret_ms)
{
	const struct api_loop *al = session_app(request);
	struct span text = session_query(request, name);
	if (!text.ptr) {
		*ret_ms = absent_ms;
		return true;
	}
	if (datetime_parse(text, loop_now_ms(al->loop), ret_ms) == 0)
		return true;
	session_problem(request, 400, NULL,
	    "%s is '%.*s'; it must be milliseconds since 1970, RFC 3339, or relative like -1h",
	    name, SPAN_ARG(text));
	return false;
}

bool
api_query_number(struct session_request *request, const char *name, uint64_t min,
    uint64_t max, uint64_t *value)
{
	struct span text = session_query(request, name);
	uint64_t number;
	if (!text.ptr)
		return true;
	if (num_parse_u64(text, &number) == 0 && number >= min && number <= max) {
		*value = number;
		return true;
	}
	session_problem(request, 400, NULL,
	    "%s is '%.*s'; it must be a whole number from %llu to %llu", name, SPAN_ARG(text),
	    (unsigned long long)min, (unsigned long long)max);
	return false;
}

static bool
is_known(const char *const *known, struct span name)
{
	for (size_t i = 0; known[i]; i++)
		if (span_eq(name, span_str(known[i])))
			return true;
	return false;
}

/* A pair of the URL as a tag of the selector; false when there are too many. */
static bool
selector_add(struct api_selector *s, struct span name, struct span value)
{
	struct flow_selector *selector = &s->selector;
	if (selector->tag_count == SERIES_TAGS_MAX)
		return false;
	if (buf_append_span(&s->bytes, name) || buf_append_span(&s->bytes, value))
		return false;
	/* Lengths now, addresses when the buffer has stopped growing. */
	selector->tags[selector->tag_count++] = (struct series_tag){
		span_of(NULL, name.len), span_of(NULL, value.len)};
	return true;
}

static void
selector_settle(struct api_selector *s, size_t tenant_len, size_t metric_len)
{
	struct flow_selector *selector = &s->selector;
	const char *at = s->bytes.ptr;
	selector->tenant = span_of(at, tenant_len);
	selector->metric = span_of(at + tenant_len, metric_len);
	at += tenant_len + metric_len;
	for (size_t i = 0; i < selector->tag_count; i++) {
		struct series_tag *tag = &selector->tags[i];
		tag->name.ptr = at;
		tag->value.ptr = at + tag->name.len;
		at += tag->name.len + tag->value.len;
	}
}

/* The tags of the URL. false: answered. */
static bool
selector_tags(struct session_request *request, const char *const *known,
    struct api_selector *selector)
{
	struct span name, value;
	size_t pos = 0;
	while (session_query_next(request, &pos, &name, &value)) {
		if (span_starts(name, SPAN("tag.")))
			name = span_skip(name, 4);
		else if (is_known(known, name))
			continue;
		if (selector_add(selector, name, value))
			continue;
		session_problem(request, 400, NULL, "more than %d tags are asked for",
		    SERIES_TAGS_MAX);
		return false;
	}
	return true;
}

static bool
selector_has_device(const struct api_selector *selector)
{
	for (size_t i = 0; i < selector->selector.tag_count; i++)
		if (span_eq(selector->selector.tags[i].name, SPAN("device")))
			return true;
	return false;
}

bool
api_selector_parse(struct session_request *request, const char *const *known,
    bool metric_needed, struct api_selector *ret_selector)
{
	struct span tenant = session_principal(request)->tenant;
	struct span metric = session_query(request, "metric");
	if (metric_needed && metric.len == 0) {
		session_problem(request, 400, NULL,
		    "metric is missing: say which, like metric=temp");
		return false;
	}
	ret_selector->selector.tag_count = 0;
	ret_selector->scope = NULL;
	buf_init(&ret_selector->bytes, 0);
	buf_append_span(&ret_selector->bytes, tenant);
	buf_append_span(&ret_selector->bytes, metric);
	if (!selector_tags(request, known, ret_selector)) {
		api_selector_finish(ret_selector);
		return false;
	}
	bool good = buf_ok(&ret_selector->bytes);
	if (good)
		selector_settle(ret_selector, tenant.len, metric.len);
	if (!good || sight_scope(request, selector_has_device(ret_selector),
	    &ret_selector->scope)) {
		api_no_memory(request);
		api_selector_finish(ret_selector);
		return false;
	}
	ret_selector->selector.scope = ret_selector->scope;
	return true;
}

void
api_selector_finish(struct api_selector *selector)
{
	flow_scope_destroy(selector->scope);
	buf_finish(&selector->bytes);
}

void
api_tags_write(struct buf *out, const struct series_tag *tags, size_t count)
{
	buf_append_byte(out, '{');
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_append_byte(out, ',');
		json_write_string(out, tags[i].name);
		buf_append_byte(out, ':');
		json_write_string(out, tags[i].value);
	}
	buf_append_byte(out, '}');
}
