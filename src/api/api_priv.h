/*
 * api_priv.h: what the resources share.
 */
#ifndef WEIR_API_PRIV_H
#define WEIR_API_PRIV_H

#include "api.h"
#include "buf.h"

/* Each ends with an entry whose path is NULL. */
extern const struct session_route api_ops_routes[];
extern const struct session_route api_readings_routes[];
extern const struct session_route api_write_routes[];
extern const struct session_route api_enrol_routes[];
extern const struct session_route api_messages_routes[];
extern const struct session_route api_series_routes[];
extern const struct session_route api_latest_routes[];
extern const struct session_route api_query_routes[];
extern const struct session_route api_raw_routes[];
extern const struct session_route api_events_routes[];
extern const struct session_route api_influx_routes[];
extern const struct session_route api_channels_routes[];
extern const struct session_route api_subscribe_routes[];
extern const struct session_route api_publish_routes[];
extern const struct session_route api_keys_routes[];
extern const struct session_route api_admin_devices_routes[];
extern const struct session_route api_erasures_routes[];
extern const struct session_route api_admin_devices_list_routes[];
extern const struct session_route api_admin_devices_legacy_routes[];
extern const struct session_route api_admin_gateways_routes[];
extern const struct session_route api_admin_users_routes[];
extern const struct session_route api_admin_token_routes[];
extern const struct session_route api_admin_secrets_routes[];
extern const struct session_route api_admin_audit_routes[];
extern const struct session_route api_admin_venues_routes[];
extern const struct session_route api_admin_import_routes[];
extern const struct session_route api_logs_routes[];
extern const struct session_route api_admin_plan_routes[];
extern const struct session_route api_admin_tenants_routes[];
extern const struct session_route api_me_routes[];
extern const struct session_route api_thresholds_routes[];
extern const struct session_route api_openapi_routes[];
extern const struct session_route api_page_routes[];

/* Answers with `out` and frees it; 503 when it ran out of memory. */
void api_answer_buf(struct session_request *request, unsigned status, const char *content_type,
    struct buf *out);

/* Answers with what never changes while the server runs: ETag (`etag` with its quotes), and 304 to
 * who has it. */
void api_answer_constant(struct session_request *request, const char *content_type,
    struct span etag, struct span body);

/* Adds the ETag (with its quotes) to the answer. Whether the client's If-None-Match names it: what
 * he has is as good, and 304 says so. */
bool api_etag_known(struct session_request *request, struct span etag);

/* 503: memory was out. */
void api_no_memory(struct session_request *request);

/* A time from the URL, or the default when it is absent. false: answered 400. */
bool api_query_time(struct session_request *request, const char *name, int64_t absent_ms,
    int64_t *ret_ms);

/* An unsigned number from the URL within [min, max]; absent keeps *value. false: answered 400. */
bool api_query_number(struct session_request *request, const char *name, uint64_t min,
    uint64_t max, uint64_t *value);

/* A selector from the URL: metric, and every parameter that `known` does not list as a tag
 * ("tag.NAME" always), within what the caller may see. `known` ends with NULL. Owns its bytes and
 * its scope. */
struct api_selector {
	struct flow_selector selector;
	struct flow_scope *scope;
	struct buf bytes;
};

/* After sight_check. false: answered; nothing to finish then. */
bool api_selector_parse(struct session_request *request, const char *const *known,
    bool metric_needed, struct api_selector *ret_selector);
void api_selector_finish(struct api_selector *selector);

/* Writes {"device":"123",…} of tags. */
void api_tags_write(struct buf *out, const struct series_tag *tags, size_t count);

#endif
