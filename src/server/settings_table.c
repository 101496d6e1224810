/*
 * settings_table.c: the table itself. A new setting is a member of struct settings and a row here,
 * nothing else; docs and errors follow.
 */
#include "settings.h"

#include "check.h"

#define KIB ((uint64_t)1024)
#define MIB ((uint64_t)1024 * 1024)
#define GIB ((uint64_t)1024 * 1024 * 1024)
#define EIB ((uint64_t)1 << 60)
#define MINUTES ((uint64_t)60 * 1000)
#define HOURS ((uint64_t)3600 * 1000)

#define AT(member) offsetof(struct settings, member)
#define ROW(...)                                                                                   \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define NUMBER(name, type, member, min, max, initial, live, help)                                  \
	ROW(name, type, AT(member), min, max, NULL, initial, live, help)
#define BOOL(member, initial, live, help)                                                          \
	NUMBER(#member, SETTINGS_BOOL, member, 0, 1, initial, live, help)
#define INT(member, min, max, initial, live, help)                                                 \
	NUMBER(#member, SETTINGS_INT, member, min, max, initial, live, help)
#define BYTES(member, min, max, initial, live, help)                                               \
	NUMBER(#member, SETTINGS_BYTES, member, min, max, initial, live, help)
#define MS(member, min, max, initial, live, help)                                                  \
	NUMBER(#member, SETTINGS_MS, member, min, max, initial, live, help)
/* Seconds: the name ends in _s, the member in _ms. */
#define S(name, member, min, max, initial, live, help)                                             \
	NUMBER(name, SETTINGS_S, member, min, max, initial, live, help)
#define WORD(member, words, initial, live, help)                                                   \
	ROW(#member, SETTINGS_WORD, AT(member), 0, 0, words, initial, live, help)
#define TEXT(member, initial, live, help)                                                          \
	ROW(#member, SETTINGS_TEXT, AT(member), 0, 0, NULL, initial, live, help)

/* What a change needs. */
#define LIVE true
#define RESTART false

const struct settings_entry settings_table[] = {
    INT(net.loops, 0, 64, "0", RESTART,
	"Event loops, each a thread that owns connections; 0: one per processor."),
    INT(net.conns_max, 1, 10000000, "100000", RESTART,
	"Connections of all loops together; beyond it new ones wait to be accepted. The limit on"
	" open files bounds it too."),
    WORD(net.descriptor_tables, "per_loop|shared", "per_loop", RESTART,
	"per_loop: with several loops each has a table of descriptors of its own, so the limit on"
	" open files holds for each of them; shared: one table, as where the system forbids that."),
    BYTES(net.in_bytes_max, 16 * KIB, 16 * MIB, "256KiB", RESTART,
	"Input that a connection may hold unread by its handler; reading stops above it."),
    BYTES(net.out_bytes_max, 64 * KIB, GIB, "1MiB", RESTART,
	"Output that a connection may be owed; a live subscriber above it ends and resumes by"
	" cursor, or loses messages if it asked for that (slow=)."),
    BYTES(net.out_all_bytes_max, 16 * MIB, EIB, "1GiB", RESTART,
	"Output that all connections together may be owed; above it each may be owed 64 KiB."),
    MS(net.slow_write_ms, 100, HOURS, "30s", RESTART,
	"A peer that takes nothing of what it is owed for so long is dropped."),
    MS(net.idle_ms, 100, 24 * HOURS, "75s", LIVE,
	"How long a kept connection may wait for the next request."),
    MS(net.drain_ms, 0, HOURS, "10s", LIVE,
	"How long requests under way are waited for when the server is told to stop."),
    TEXT(net.trusted_proxies, "", RESTART,
	"Addresses and networks of reverse proxies, like 127.0.0.1 10.0.0.0/8: what they say in"
	" X-Forwarded-For is the client's address for limits, audit and log."),
    MS(http.head_ms, 100, HOURS, "15s", LIVE, "How long the head of a request may take to arrive."),
    MS(http.body_ms, 100, HOURS, "30s", LIVE, "How long a body may stand still while it arrives."),
    BYTES(http.body_bytes_max, KIB, 16 * MIB, "16MiB", LIVE,
	"The largest body, decompressed, of those that are read whole; lines stream without"
	" a bound."),
    BOOL(http.gzip, "yes", LIVE, "Compress answers for clients that take it."),
    TEXT(http.cors_origins, "", RESTART,
	"Origins of pages that may read answers and event streams besides the server's own,"
	" separated by blanks; *: all, without their credentials."),
    MS(sse.retry_ms, 0, HOURS, "2s", LIVE,
	"After how long a browser whose event stream ended comes back; 0: as it likes."),
    S("sse.comment_s", sse.comment_ms, 1000, HOURS, "15s", LIVE,
	"An event stream that was silent for so long gets a comment."),
    S("ws.ping_s", ws.ping_ms, 1000, HOURS, "25s", LIVE,
	"A WebSocket that was silent for so long gets a ping."),
    BYTES(ws.message_bytes_max, KIB, 16 * MIB, "1152KiB", LIVE,
	"The largest message that a WebSocket client may send: 1 MiB of data, and the rest."),
    BOOL(ws.deflate, "yes", LIVE,
	"Compress messages for WebSocket clients that offer it, each once for all of them."),
    BYTES(ws.deflate_bytes_min, 64, 16 * MIB, "256", LIVE,
	"Messages with less data go as they are."),
    TEXT(ws.origins, "", RESTART,
	"Origins of pages that may open WebSockets besides the server's own; *: all."),
    BYTES(journal.segment_bytes, MIB, GIB, "64MiB", RESTART,
	"Size of a journal segment, a multiple of 4096; holds for segments made from now on."),
    WORD(journal.durability, "fsync|os|none", "fsync", RESTART,
	"What an answer stands for: fsync: it is on disk; os: it was given to the kernel (lost by"
	" a power cut); none: it is in memory."),
    BOOL(journal.direct, "yes", RESTART,
	"Write the journal past the page cache (O_DIRECT) where the file system can."),
    BOOL(journal.seal, "yes", LIVE,
	"Pack segments that are full, with an index by device, time and seq."),
    S("journal.seal_age_s", journal.seal_age_ms, 0, 365 * 24 * HOURS, "60s", LIVE,
	"Only what arrived so long ago is packed; looked at every retention.look_s."),
    BYTES(series.head_bytes_max, MIB, 64 * GIB, "32MiB", RESTART,
	"Memory of the newest points, all partitions together; above it they become part files."
	" With more series than it has room for it may take 128 bytes a series, at most four"
	" times as much."),
    S("series.head_age_s_max", series.head_age_ms_max, 1000, 24 * HOURS, "600s", RESTART,
	"Points older than this become part files; a restart replays no more than that."),
    BYTES(series.replay_bytes_max, 0, EIB, "256MiB", RESTART,
	"After so many bytes of bodies a partition's points become part files, too, however few"
	" they are: a restart replays about that much; 0: any."),
    INT(series.partitions, 1, 256, "8", RESTART,
	"Partitions of the series. Fixed when the data directory is made."),
    INT(series.query_series_max, 1, 10000000, "100000", RESTART,
	"Series that one question may touch."),
    WORD(series.rollups, "1h+1d|1m+1h+1d|1h|1d|none", "1h+1d", RESTART,
	"Which roll-ups (count, sum, min, max, first, last) are kept, where points are dense enough"
	" to gain by them; of minutes only where a reading comes every second or so."),
    INT(series.max, 0, 1000000000, "0", RESTART,
	"Series of all tenants; points of new ones beyond it are rejected as too_many_series, old"
	" ones go on; 0: no limit. Costs up to 22 bytes of memory a series."),
    INT(series.tenant_max, 0, 1000000000, "0", RESTART,
	"The same for each tenant."),
    INT(series.principal_max, 0, 1000000000, "0", RESTART,
	"Series that each principal (key, gateway, person, device) may make; new ones beyond it are"
	" rejected as too_many_series. What was made before there was a limit counts for nobody;"
	" 0: no limit. Costs 20 bytes of weir.db a series."),
    INT(series.tag_values_max, 0, 1000000000, "0", RESTART,
	"Different values that each tag of a tenant may have, but the tag device; a new series with"
	" one more is rejected as too_many_series; 0: no limit. With any of the four limits each"
	" value of a tag costs up to 22 bytes of memory."),
    S("time.future_s", time.future_ms, 0, 100 * 365 * 24 * HOURS, "0", LIVE,
	"Points may lie so far in the future, others are rejected as out_of_time; 0: any."),
    S("time.past_s", time.past_ms, 0, 100 * 365 * 24 * HOURS, "0", LIVE,
	"The same for the past; 0: any."),
    S("retention.look_s", retention.look_ms, 100, HOURS, "60s", LIVE,
	"How often the server looks what has become too old or too much."),
    S("retention.raw_s", retention.raw_ms, 0, 100 * 365 * 24 * HOURS, "30d", LIVE,
	"Raw messages are kept so long after they arrived, then go by whole journal segments;"
	" 0: for ever. What the series have not stored yet is never dropped."),
    BYTES(retention.raw_bytes, 0, EIB, "0", LIVE,
	"Raw messages, as the journal keeps them, may take so much disk, then the oldest go; 0: no"
	" limit."),
    S("retention.points_s", retention.points_ms, 0, 100 * 365 * 24 * HOURS, "0", LIVE,
	"Points are kept so long after their time, then go by whole UTC days, once roll-ups hold"
	" them; older ones are rejected as too_old; 0: for ever."),
    BYTES(retention.points_bytes, 0, EIB, "0", LIVE,
	"Part files of points may take so much disk, then the oldest days go; what comes below them"
	" is rejected as too_old; 0: no limit."),
    S("retention.rollups_s", retention.rollups_ms, 0, 100 * 365 * 24 * HOURS, "0", LIVE,
	"Roll-ups are kept so long after their time, then go by whole files (those of hours: 32"
	" days; of days: 1,024); 0: for ever."),
    BYTES(retention.rollups_bytes, 0, EIB, "0", LIVE,
	"Files of roll-ups may take so much disk, then the oldest go; 0: no limit."),
    BYTES(retention.disk_bytes_max, 0, EIB, "0", LIVE,
	"What the data directory may take. From 80 % on the log warns; from 95 % on the oldest raw"
	" messages go, then the oldest days of points; where nothing may go any more, readings"
	" are answered 503; 0: no limit."),
    BYTES(retention.reserve_bytes, 0, 64 * GIB, "64MiB", LIVE,
	"Size of DATA/reserve, which holds space on the disk. When the disk is full it is given up:"
	" readings are answered 503 then, but what was taken can be stored, and what is to go can"
	" go; made again when twice as much is free; 0: none."),
    INT(privacy.erase_hours_max, 0, 24 * 365, "24", LIVE,
	"What a device had reported is in no file any more so many hours after it was deleted with"
	" its data: the journal is rewritten at most every quarter of them; 0: at once."),
    INT(query.threads, 1, 256, "4", RESTART, "Threads that answer questions."),
    INT(workers.threads, 1, 64, "2", RESTART, "Threads that write and merge part files."),
    BYTES(intake.bytes_max, MIB, 16 * GIB, "32MiB", RESTART,
	"Bodies on their way to the disk; above it clients wait or are answered 429."),
    BYTES(intake.chunk_bytes, 4 * KIB, 8 * MIB, "256KiB", RESTART,
	"How much of a streamed body makes one record of the journal."),
    TEXT(udp.listen, "", RESTART,
	"Address for line protocol by UDP, like 127.0.0.1:8089 or [::1]:8089; empty: none. A"
	" datagram is whole lines, at most 64 KiB; nobody is answered, and nothing proves who sent"
	" it: listen where only those who may write can send. What could not be taken is in"
	" weir_udp_dropped_total."),
    TEXT(udp.key, "", RESTART,
	"Name (or TENANT/NAME, or id) of the application key as which these lines are written; its"
	" rights and limits hold."),
    WORD(udp.precision, "ns|us|ms|s|m|h", "ns", RESTART, "Unit of times in these lines."),
    BYTES(udp.buffer_bytes, 64 * KIB, GIB, "4MiB", RESTART,
	"What the kernel may keep of datagrams until they are read, on each loop; no more than"
	" net.core.rmem_max says."),
    MS(store.gather_ms, 0, MINUTES, "100ms", RESTART,
	"How long changes of weir.db gather before they are committed together."),
    INT(rate.requests_per_s, 0, 1000000000, "0", LIVE,
	"Requests a second of each principal (key, person, gateway, device), and messages that it"
	" publishes on WebSockets; above it 429; 0: no limit."),
    INT(rate.readings_per_s, 0, 1000000000000, "0", LIVE,
	"Points a second that each principal may write; above it 429, and a body of lines that is"
	" accepted in part waits; 0: no limit."),
    BYTES(rate.bytes_per_s, 0, 1024 * GIB, "0", LIVE,
	"Bytes of bodies a second of each principal, decompressed; as for points."),
    S("rate.burst_s", rate.burst_ms, 1000, HOURS, "10s", LIVE,
	"What is allowed in so many seconds may come at once."),
    INT(rate.failures_per_s, 0, 1000000, "20", LIVE,
	"Wrong credentials a second that may come from one address, ten seconds' worth at once;"
	" above it 429 for right ones too, but on connections that are known; 0: no limit."),
    BYTES(hub.ring_bytes_max, 0, 64 * GIB, "64MiB", RESTART,
	"How much of what is published is kept for patterns that ask for the past."),
    BOOL(channels.presence, "no", RESTART,
	"Whether channels show who is subscribed that were made without saying so."),
    S("channels.presence_linger_s", channels.presence_linger_ms, 0, HOURS, "10s", RESTART,
	"Who is away from such a channel no longer than that, as between two polls or while a"
	" connection is made anew, has not left it."),
    INT(channels.presence_members_max, 0, 100000000, "100000", RESTART,
	"How many are listed by all such channels together; beyond it they are only counted."),
    WORD(log.format, "text|json", "text", LIVE, "How log lines look: key=value, or JSON."),
    WORD(log.level, "debug|info|warn|error", "info", LIVE,
	"The least that is logged; debug has a line for each request."),
    BYTES(log.ring_bytes, 4 * KIB, GIB, "1MiB", RESTART,
	"Memory for the last log lines, which GET /api/v1/admin/logs shows."),
    WORD(metrics.open, "loopback|yes|no", "loopback", RESTART,
	"Whether /metrics needs no key: yes, no, or only if the server listens on nothing but"
	" loopback."),
    BOOL(access.developer_manages_users, "yes", RESTART,
	"Whether persons with the permission developer make and change accounts and keys."),
    TEXT(auth.subscribe_url, "", RESTART,
	"Address of the web application that is asked whether somebody may subscribe who comes"
	" without credentials of this server, like http://127.0.0.1:3000/weir/auth; empty: nobody"
	" is asked, and they are refused. docs/proxies.md says what it is sent and may answer."),
    TEXT(auth.subscribe_headers, "Cookie Authorization", RESTART,
	"Names of the headers of such a request that the application gets, separated by blanks."),
    TEXT(auth.subscribe_tenant, "main", RESTART,
	"The tenant whose channels the application decides about."),
    MS(auth.subscribe_timeout_ms, 10, MINUTES, "3s", RESTART,
	"How long it may take to answer, then the request is answered 503; nobody is let in"
	" because it does not answer."),
    S("auth.subscribe_cache_s", auth.subscribe_cache_ms, 0, HOURS, "10s", RESTART,
	"How long its permission counts for the same question (headers, channels, address,"
	" transport) where it does not say; 0: it is asked each time."),
    S("auth.subscribe_cache_s_max", auth.subscribe_cache_ms_max, 0, 24 * HOURS, "300s", RESTART,
	"The longest that an answer counts, whatever it says (cache_s)."),
    INT(auth.subscribe_asks_max, 1, 1000, "64", RESTART,
	"Questions to it at once, each on a connection of its own."),
    INT(auth.subscribe_waiting_max, 0, 100000, "1000", RESTART,
	"Questions that wait for one of these; beyond it the answer is 503."),
    BOOL(process.dumpable, "no", RESTART,
	"Let debuggers attach and core files be written: then the memory of the process, secrets"
	" and all, can be read by its user."),
    S("access.token_s", access.token_ms, 60 * 1000, 24 * HOURS, "3600s", RESTART,
	"How long the token of a person is valid after his login."),
    INT(access.hashes_max, 1, 10000, "64", RESTART,
	"Passwords that wait to be hashed, two at once; above it the answer is 503."),
};

const size_t settings_count = ARRAY_COUNT(settings_table);
