/*
 * metrics.c: figures of the loops are gathered by a mail that goes from loop to loop, so no loop's
 * counters are read by another's thread; then printed by one table.
 */
#include "metrics.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "process.h"
#include "server_priv.h"

/* Upper bounds of the latency buckets, in microseconds. */
static const uint64_t bounds_us[METRICS_BUCKETS] = {
    100,
    250,
    500,
    1000,
    2500,
    5000,
    10000,
    25000,
    100000,
    500000,
    2500000,
    10000000,
};

/* All that is printed; integers only. */
struct figures {
	uint64_t ready, loops, uptime_ms, mail_waiting;
	struct net_stats net;
	struct metrics_requests requests;
	uint64_t limited[ACCESS_LIMITS_REFUSED_COUNT];
	struct hub_stats hub;
	struct series_partition_stats series;
	struct flow_stats flow;
	uint64_t intake_bytes;
	struct datagrams_stats udp;
	uint64_t logins[LOGINS_RESULT_COUNT];
	struct guests_stats guests;
	struct journal_stats journal;
	struct retention_stats retention;
	struct process_figures process;
	uint64_t disk_free_bytes;
};

enum type { COUNTER, GAUGE, HISTOGRAM };
enum unit { PLAIN, MILLI, MICRO }; /* what one is of a second */

static const char *
class_word(unsigned index)
{
	static const char *const words[METRICS_STATUS_CLASSES] = {
	    "1xx", "2xx", "3xx", "4xx", "5xx"};
	return words[index];
}

static const char *
reason_word(unsigned index)
{
	return net_close_word((enum net_close_reason)index);
}

static const char *
limit_word(unsigned index)
{
	static const char *const words[ACCESS_LIMITS_REFUSED_COUNT] = {
	    [ACCESS_RATE_REQUESTS] = "requests",
	    [ACCESS_RATE_READINGS] = "readings",
	    [ACCESS_RATE_BYTES] = "bytes",
	    [ACCESS_RATE_COUNT] = "credentials",
	};
	return words[index];
}

static const char *
census_word(unsigned index)
{
	static const char *const words[CENSUS_LIMIT_COUNT] = {
	    [CENSUS_NODE] = "node",
	    [CENSUS_TENANT] = "tenant",
	    [CENSUS_PRINCIPAL] = "principal",
	    [CENSUS_TAG] = "tag",
	};
	return words[index];
}

static const char *
line_word(unsigned index)
{
	return index == 0 ? "accepted" : "rejected";
}

static const char *
drop_word(unsigned index)
{
	static const char *const words[DATAGRAMS_DROP_COUNT] = {
	    [DATAGRAMS_FULL] = "full",
	    [DATAGRAMS_KEY] = "key",
	    [DATAGRAMS_LIMIT] = "limit",
	    [DATAGRAMS_FAILED] = "failed",
	};
	return words[index];
}

struct metric {
	const char *name;
	enum type type;
	enum unit unit;
	size_t offset;
	unsigned count; /* of values side by side; 0: one */
	const char *label;
	const char *(*word)(unsigned index);
	const char *help;
};

#define AT(member) offsetof(struct figures, member)
#define ONE(name, type, unit, member, help)                                                        \
	{                                                                                          \
		name, type, unit, AT(member), 0, NULL, NULL, help                                  \
	}

static const struct metric metrics[] = {
    ONE("weir_ready", GAUGE, PLAIN, ready,
	"1 when the journal is replayed and requests are served."),
    ONE("weir_uptime_seconds", GAUGE, MILLI, uptime_ms, "Time since the server was started."),
    ONE("weir_loops", GAUGE, PLAIN, loops, "Event loops."),
    ONE("weir_mail_waiting", GAUGE, PLAIN, mail_waiting, "Messages between threads that wait."),

    ONE("weir_connections_accepted_total", COUNTER, PLAIN, net.accepted, "Connections accepted."),
    ONE("weir_connections_open", GAUGE, PLAIN, net.open, "Connections open."),
    {"weir_connections_closed_total", COUNTER, PLAIN, AT(net.closed), NET_CLOSE_REASON_COUNT,
	"reason", reason_word, "Connections closed, by reason."},
    ONE("weir_received_bytes_total", COUNTER, PLAIN, net.bytes_in, "Bytes received."),
    ONE("weir_sent_bytes_total", COUNTER, PLAIN, net.bytes_out, "Bytes sent."),
    ONE("weir_send_queue_bytes", GAUGE, PLAIN, net.out_queued, "Bytes queued for clients."),

    {"weir_requests_total", COUNTER, PLAIN, AT(requests.classes), METRICS_STATUS_CLASSES, "class",
	class_word, "Requests answered, by class of status."},
    {"weir_request_seconds", HISTOGRAM, MICRO, AT(requests), 0, NULL, NULL,
	"Time from a request's head to the end of its answer."},
    {"weir_rate_limited_total", COUNTER, PLAIN, AT(limited), ACCESS_LIMITS_REFUSED_COUNT, "of",
	limit_word, "Answers of 429, by what there was too much of."},

    {"weir_logins_total", COUNTER, PLAIN, AT(logins), LOGINS_RESULT_COUNT, "result",
	logins_result_word, "Logins of persons, by what became of them."},

    {"weir_guests_total", COUNTER, PLAIN, AT(guests.results), GUESTS_RESULT_COUNT, "result",
	guests_result_word, "Subscriptions that the application was to decide about"
	" (auth.subscribe_url), by what became of them; busy: too many waited."},
    ONE("weir_guests_asked_total", COUNTER, PLAIN, guests.asked, "Questions that it was sent."),
    ONE("weir_guests_cached_total", COUNTER, PLAIN, guests.cached,
	"Subscriptions answered by what it had said before."),
    ONE("weir_guests_joined_total", COUNTER, PLAIN, guests.joined,
	"Subscriptions answered by a question that was under way."),

    ONE("weir_udp_datagrams_total", COUNTER, PLAIN, udp.received,
	"Datagrams read (udp.listen)."),
    ONE("weir_udp_bytes_total", COUNTER, PLAIN, udp.bytes, "Bytes of these."),
    {"weir_udp_lines_total", COUNTER, PLAIN, AT(udp.accepted), 2, "result", line_word,
	"Lines in these, once they are durable or rejected."},
    {"weir_udp_dropped_total", COUNTER, PLAIN, AT(udp.dropped), DATAGRAMS_DROP_COUNT, "reason",
	drop_word, "Datagrams that were not taken: they came too fast, their key may not write or"
	" is over its limits, or they could not be stored."},

    ONE("weir_records_total", COUNTER, PLAIN, flow.records, "Records accepted since the start."),
    ONE("weir_records_failed_total", COUNTER, PLAIN, flow.records_failed,
	"Records that could not be made durable and were refused."),
    ONE("weir_records_replayed_total", COUNTER, PLAIN, flow.replayed,
	"Records read from the journal at the start."),
    ONE("weir_points_total", COUNTER, PLAIN, flow.readings, "Points accepted since the start."),
    ONE("weir_released_seq", GAUGE, PLAIN, flow.released_seq,
	"Sequence number up to which all is released."),
    ONE("weir_intake_bytes", GAUGE, PLAIN, intake_bytes, "Bodies on their way to the disk."),
    ONE("weir_flushes_total", COUNTER, PLAIN, flow.flushes, "Heads that became part files."),
    ONE("weir_flushes_failed_total", COUNTER, PLAIN, flow.flushes_failed,
	"Heads and merges that could not be stored; they are tried again."),
    ONE("weir_merges_total", COUNTER, PLAIN, flow.merges, "Merges of part files."),
    ONE("weir_rollups_total", COUNTER, PLAIN, flow.rolls, "Days that were rolled up."),

    ONE("weir_journal_commits_total", COUNTER, PLAIN, journal.commits, "Commits of the journal."),
    ONE("weir_journal_records_total", COUNTER, PLAIN, journal.records, "Records written."),
    ONE("weir_journal_written_bytes_total", COUNTER, PLAIN, journal.bytes, "Bytes written."),
    ONE("weir_journal_syncs_failed_total", COUNTER, PLAIN, journal.syncs_failed,
	"Syncs of the journal that failed."),
    ONE("weir_journal_segments", GAUGE, PLAIN, journal.segments, "Segment files."),
    ONE("weir_journal_disk_bytes", GAUGE, PLAIN, journal.disk_bytes,
	"Size of the segment files and spares."),
    ONE("weir_journal_sealed_segments", GAUGE, PLAIN, journal.sealed_segments,
	"Segment files that are sealed."),
    ONE("weir_journal_sealed_bytes", GAUGE, PLAIN, journal.sealed_bytes, "Size of these."),
    ONE("weir_journal_seals_total", COUNTER, PLAIN, journal.seals, "Segments that were sealed."),
    ONE("weir_journal_seal_plain_bytes_total", COUNTER, PLAIN, journal.seal_plain_bytes,
	"Size of these before."),
    ONE("weir_journal_seal_bytes_total", COUNTER, PLAIN, journal.seal_bytes,
	"Size of these after."),
    ONE("weir_journal_rewrites_total", COUNTER, PLAIN, journal.rewrites,
	"Sealed segments rewritten because a device was erased."),
    ONE("weir_journal_trimmed_total", COUNTER, PLAIN, journal.trimmed,
	"Segments that went: too old or too many."),
    ONE("weir_journal_first_seq", GAUGE, PLAIN, journal.first_seq, "Oldest record kept; 0: none."),
    ONE("weir_journal_durable_seq", GAUGE, PLAIN, journal.durable_seq, "Newest durable seq."),

    ONE("weir_series", GAUGE, PLAIN, series.series, "Series known."),
    {"weir_series_refused_total", COUNTER, PLAIN, AT(flow.series_refused), CENSUS_LIMIT_COUNT,
	"limit", census_word, "Items refused: they would make a series too many; by limit."},
    ONE("weir_head_points", GAUGE, PLAIN, series.head_points,
	"Points in memory, not yet in parts."),
    ONE("weir_head_bytes", GAUGE, PLAIN, series.head_bytes, "Memory of these."),
    ONE("weir_parts", GAUGE, PLAIN, series.parts, "Part files."),
    ONE("weir_part_points", GAUGE, PLAIN, series.part_points, "Points in part files."),
    ONE("weir_part_bytes", GAUGE, PLAIN, series.part_bytes, "Size of the part files."),
    ONE("weir_rollup_parts", GAUGE, PLAIN, series.roll_parts, "Files of roll-ups."),
    ONE("weir_rollup_bytes", GAUGE, PLAIN, series.roll_bytes, "Size of these."),

    ONE("weir_subscriptions", GAUGE, PLAIN, hub.subscriptions, "Live subscriptions."),
    ONE("weir_subscribers", GAUGE, PLAIN, hub.sinks, "Clients that have any."),
    ONE("weir_delivered_total", COUNTER, PLAIN, hub.delivered, "Messages handed to subscribers."),
    ONE("weir_present", GAUGE, PLAIN, flow.present,
	"Members that channels list which show who is there."),
    ONE("weir_presence_told_total", COUNTER, PLAIN, flow.presence_told,
	"Messages about who came and who left."),
    ONE("weir_view_pasts_total", COUNTER, PLAIN, flow.view_pasts,
	"Questions for what views have shown, for which the journal was read."),

    ONE("weir_disk_used_bytes", GAUGE, PLAIN, retention.disk_bytes,
	"Journal, part files and weir.db, as of the last look of retention."),
    ONE("weir_disk_reserve_bytes", GAUGE, PLAIN, retention.reserve_bytes,
	"Space that the file reserve holds; 0: given up because the disk was full."),
    ONE("weir_disk_free_bytes", GAUGE, PLAIN, disk_free_bytes, "Room left for the data directory."),
    ONE("weir_process_resident_bytes", GAUGE, PLAIN, process.rss_bytes, "Memory of the process."),
    ONE("weir_process_cpu_seconds_total", COUNTER, MICRO, process.cpu_us, "Processor time used."),
    ONE("weir_process_open_files", GAUGE, PLAIN, process.files_open, "Open descriptors."),
    ONE("weir_process_open_files_max", GAUGE, PLAIN, process.files_max, "Limit of these."),
};

static const char *
type_word(enum type type)
{
	static const char *const words[] = {"counter", "gauge", "histogram"};
	return words[type];
}

void
metrics_count(struct metrics_requests *requests, unsigned status, uint64_t micros)
{
	unsigned class = status / 100;
	if (class >= 1 && class <= METRICS_STATUS_CLASSES)
		requests->classes[class - 1]++;
	for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
		if (micros <= bounds_us[i]) {
			requests->buckets[i]++;
			break;
		}
	}
	requests->count++;
	requests->micros += micros;
}

/* ── printing ── */

/* Trailing zeros are left out: 250 µs is 0.00025. */
static void
value_print(struct buf *out, enum unit unit, uint64_t value)
{
	static const struct {
		uint64_t divisor;
		int digits;
	} parts[] = {[PLAIN] = {1, 0}, [MILLI] = {1000, 3}, [MICRO] = {1000000, 6}};
	buf_append_u64(out, value / parts[unit].divisor);
	uint64_t fraction = value % parts[unit].divisor;
	if (fraction == 0)
		return;
	int digits = parts[unit].digits;
	for (; fraction % 10 == 0; digits--)
		fraction /= 10;
	buf_printf(out, ".%0*llu", digits, (unsigned long long)fraction);
}

static void
histogram_print(
    struct buf *out, const struct metric *metric, const struct metrics_requests *requests)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
		sum += requests->buckets[i];
		buf_printf(out, "%s_bucket{le=\"", metric->name);
		value_print(out, metric->unit, bounds_us[i]);
		buf_printf(out, "\"} %llu\n", (unsigned long long)sum);
	}
	buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n", metric->name,
	    (unsigned long long)requests->count);
	buf_printf(out, "%s_sum ", metric->name);
	value_print(out, metric->unit, requests->micros);
	buf_printf(out, "\n%s_count %llu\n", metric->name, (unsigned long long)requests->count);
}

static void
metric_print(struct buf *out, const struct metric *metric, const struct figures *figures)
{
	const void *at = (const char *)figures + metric->offset;
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
	    type_word(metric->type));
	if (metric->type == HISTOGRAM) {
		histogram_print(out, metric, at);
		return;
	}
	for (unsigned i = 0; i < MAX(metric->count, 1u); i++) {
		buf_append_str(out, metric->name);
		if (metric->count)
			buf_printf(out, "{%s=\"%s\"}", metric->label, metric->word(i));
		buf_append_byte(out, ' ');
		value_print(out, metric->unit, ((const uint64_t *)at)[i]);
		buf_append_byte(out, '\n');
	}
}

void
metrics_print_help(struct buf *out)
{
	buf_append_str(out, "# What /metrics says\n\nPrinted by `weir help metrics`.\n\n"
			    "| metric | type | what |\n| --- | --- | --- |\n");
	for (size_t i = 0; i < ARRAY_COUNT(metrics); i++) {
		const struct metric *metric = &metrics[i];
		buf_printf(out, "| %s%s%s%s | %s | %s |\n", metric->name, metric->count ? "{" : "",
		    metric->count ? metric->label : "", metric->count ? "}" : "",
		    type_word(metric->type), metric->help);
	}
}

/* ── gathering ── */

struct gather {
	struct mail mail;
	struct server *server;
	unsigned at, origin;
	void (*done)(void *arg, struct buf *out);
	void *arg;
	struct figures figures;
};

/* Structs of counters, all uint64_t. */
static void
add_counters(void *sum, const void *one, size_t bytes)
{
	uint64_t *to = sum;
	const uint64_t *from = one;
	for (size_t i = 0; i < bytes / sizeof *to; i++)
		to[i] += from[i];
}

static void
add_loop(struct figures *sum, const struct server_loop *sl)
{
	struct net_stats net;
	struct hub_stats hub;
	struct series_partition_stats series;
	net_stats(sl->net, &net);
	hub_local_stats(sl->hub, &hub);
	add_counters(&sum->net, &net, sizeof net);
	add_counters(&sum->hub, &hub, sizeof hub);
	if (sl->datagrams) {
		struct datagrams_stats udp;
		datagrams_stats(sl->datagrams, &udp);
		add_counters(&sum->udp, &udp, sizeof udp);
	}
	if (sl->api.guests) {
		struct guests_stats guests;
		guests_stats(sl->api.guests, &guests);
		add_counters(&sum->guests, &guests, sizeof guests);
	}
	add_counters(&sum->requests, &sl->requests, sizeof sl->requests);
	sum->mail_waiting += mailbox_count(sl->box);
	/* Until a server is ready its partitions are the replay's. */
	if (atomic_load(&sl->server->loops_ready) < sl->server->loop_count)
		return;
	flow_loop_series_stats(sl->flow, &series);
	sum->series.series += series.series;
	sum->series.head_points += series.head_points;
	sum->series.head_bytes += series.head_bytes;
	sum->series.parts += series.parts;
	sum->series.part_points += series.part_points;
	sum->series.part_bytes += series.part_bytes;
	sum->series.roll_parts += series.roll_parts;
	sum->series.roll_bytes += series.roll_bytes;
}

static void
add_server(struct figures *figures, struct server *server)
{
	figures->ready = server_is_ready(server);
	figures->loops = server->loop_count;
	figures->uptime_ms = (env_mono_ns(server->env) - server->begun_ns) / 1000000;
	access_limits_refused(server->limits, figures->limited);
	flow_stats(server->flow, &figures->flow);
	figures->intake_bytes = flow_intake_bytes(server->flow);
	logins_counts(server->logins, figures->logins);
	journal_stats(server->journal, &figures->journal);
	retention_stats(server->retention, &figures->retention);
	process_figures(&figures->process);
	server_files_count(server, figures->net.open, &figures->process);
	if (env_disk_free(server->env, server->options.data, &figures->disk_free_bytes))
		figures->disk_free_bytes = 0;
}

static void
gather_finish(struct gather *gather)
{
	struct buf out;
	buf_init(&out, 0);
	add_server(&gather->figures, gather->server);
	for (size_t i = 0; i < ARRAY_COUNT(metrics); i++)
		metric_print(&out, &metrics[i], &gather->figures);
	gather->done(gather->arg, &out);
	free(gather);
}

static void
gather_arrive(struct mail *mail)
{
	struct gather *gather = CONTAINER_OF(mail, struct gather, mail);
	struct server *server = gather->server;
	if (gather->at == server->loop_count) {
		gather_finish(gather);
		return;
	}
	add_loop(&gather->figures, &server->loops[gather->at]);
	unsigned next = ++gather->at < server->loop_count ? gather->at : gather->origin;
	mailbox_send(server->loops[next].box, &gather->mail);
}

void
metrics_hook(void *ctx, unsigned loop, void (*done)(void *arg, struct buf *out), void *arg)
{
	struct server *server = ctx;
	struct gather *gather = calloc(1, sizeof *gather);
	if (!gather) {
		done(arg, NULL);
		return;
	}
	gather->server = server;
	gather->origin = loop;
	gather->done = done;
	gather->arg = arg;
	gather->mail.deliver = gather_arrive;
	mailbox_send(server->loops[0].box, &gather->mail);
}
