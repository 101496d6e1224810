/*
 * bench.h: what the kinds of `weir bench` share: options, servers of their own, load, figures.
 *
 * Every kind starts server processes (this very binary) with data directories of their own, drives
 * them over loopback and reports figures by name. bench_main.c repeats a kind and prints a JSON
 * line a run, then one with the medians. Figures whose names begin with "limit_" are what the
 * machine gives a bare loop of the same system calls, measured in the same run.
 */
#ifndef WEIR_BENCH_H
#define WEIR_BENCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "env.h"
#include "progress.h"

#define BENCH_RUNS_MAX 32
#define BENCH_FIGURES_MAX 40
#define BENCH_PATH_BYTES 512

struct bench_options {
	uint64_t runs, readings, series, batch, connections, rate, subscribers;
	int64_t duration_ms;
	const char *dir; /* where data directories are made */
	const char *set; /* "section.key=value,…": settings of the servers; NULL: none */
	/* Another server that takes line protocol, already running; NULL: our own. */
	const char *peer, *peer_url;
	uint64_t peer_pid;
};

struct bench_figure {
	const char *name;
	double value;
};

struct bench_result {
	struct bench_figure figures[BENCH_FIGURES_MAX];
	size_t count;
};

struct bench {
	struct bench_options options;
	struct env *env;
	int stop_fd;
	struct progress progress;
	char home[BENCH_PATH_BYTES]; /* of this process, removed at the end */
	char reason[400];	     /* why it failed */
	/* Of `start`, which measures all its runs in the first. */
	double starts[2][BENCH_RUNS_MAX]; /* ms: killed, told to stop */
	double read_ms, data_mb;
};

void bench_figure_add(struct bench_result *result, const char *name, double value);

/* Sets b->reason and returns `error`. */
int bench_fail(struct bench *b, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The kinds: 0 or a negative errno with b->reason set. `run` counts from 0. */
int bench_ingest(struct bench *b, unsigned run, struct bench_result *ret_result);
int bench_json(struct bench *b, unsigned run, struct bench_result *ret_result);
int bench_live(struct bench *b, unsigned run, struct bench_result *ret_result);
int bench_messages(struct bench *b, unsigned run, struct bench_result *ret_result);
int bench_start(struct bench *b, unsigned run, struct bench_result *ret_result);
int bench_idle(struct bench *b, unsigned run, struct bench_result *ret_result);
int bench_query(struct bench *b, unsigned run, struct bench_result *ret_result);
int bench_access(struct bench *b, unsigned run, struct bench_result *ret_result);
int bench_push(struct bench *b, unsigned run, struct bench_result *ret_result);

int bench_codec(struct bench *b, unsigned run, struct bench_result *ret_result);
int bench_channels(struct bench *b, unsigned run, struct bench_result *ret_result);
int bench_crowd(struct bench *b, unsigned run, struct bench_result *ret_result);
int bench_longpoll(struct bench *b, unsigned run, struct bench_result *ret_result);

/* The part of `access` that needs no server (bench_access_index.c). */
int bench_access_index(struct bench *b, struct bench_result *ret_result);

/* ── statistics ── */

/* Sorts. */
void bench_sort(double *values, size_t count);

/* Of sorted values, by nearest rank; `share` 0..1. count > 0. */
double bench_quantile(const double *sorted, size_t count, double share);

double bench_seconds(struct bench *b);

/* ── servers (bench_server.c) ── */

#define BENCH_SECRET_ID 1 /* the first of a new data directory */

struct bench_server {
	pid_t pid;	  /* 0: not running */
	char address[64]; /* http://127.0.0.1:PORT */
	char data[BENCH_PATH_BYTES];
	char key[200], secret[64]; /* the secret signs JWTs; its kid is BENCH_SECRET_ID */
	int log_fd;
	pthread_t drain;
	struct buf log; /* its lines */
};

/* A new data directory with a key that may do everything, and a secret. Does not start it. */
int bench_server_init(struct bench *b, struct bench_server *server);

/* Starts it and waits until it listens (and, unless `only_listening`, answers /readyz with 200). */
int bench_server_start(struct bench *b, struct bench_server *server, bool only_listening);
int bench_server_wait_ready(struct bench *b, struct bench_server *server);

/* Sends the signal and waits for the end. -EPROTO when SIGTERM did not end it with code 0. */
int bench_server_end(struct bench *b, struct bench_server *server, int signal);

/* Ends it if it runs, removes its data. */
void bench_server_finish(struct bench *b, struct bench_server *server);

/* utime + stime of all its threads so far, seconds. */
double bench_cpu_seconds(pid_t pid);

/* Kilobytes by a name of /proc/PID/smaps_rollup ("Pss", "Rss"); 0: unknown. */
double bench_memory_kb(pid_t pid, const char *name);

/* "Bearer KEY" into `out`. */
void bench_authorization(const struct bench_server *server, char *out, size_t len);

/* Removes a directory and all in it. */
void bench_remove(struct env *env, const char *path);

/* Starts `weir bench WHAT`, whose stdout is *ret_out. */
int bench_spawn_self(struct bench *b, const char *what, pid_t *ret_pid, int *ret_out);

/* Starts `weir bench nothing`: a process that only waits. */
int bench_nothing_start(struct bench *b, pid_t *ret_pid);
void bench_nothing_end(pid_t pid);

/* ── load (bench_load.c) ── */

struct bench_load {
	const char *address, *authorization;
	bool json; /* POST /api/v1/readings, else line protocol */
	uint64_t readings, series, batch, connections;
	uint64_t rate;	 /* readings a second; 0: as many as it takes */
	int64_t base_ms; /* time of the first readings; set by bench_load_run when 0 */
};

#define BENCH_LOAD_FIRST_DEVICE 100000 /* its devices are numbered from here on */
#define BENCH_LOAD_STEP_MS 10000 /* between two readings of a series */

struct bench_load_result {
	uint64_t readings, requests, bytes;
	int64_t base_ms, end_ms; /* times of the readings: from base, before end */
	double seconds, p50_ms, p99_ms;
};

/* Posts from as many threads as connections, bodies prepared before the clock starts. */
int bench_load_run(
    struct bench *b, const struct bench_load *load, struct bench_load_result *ret_result);

/* Asks the server how many points it holds of what a load sent. */
int bench_load_stored(struct bench *b, const struct bench_load *load,
    const struct bench_load_result *result, uint64_t *ret_points);

/* ── limits (bench_limits.c) ── */

/* fdatasyncs a second of one 4 KiB block after another, overwriting what was written before. */
int bench_limit_sync(struct bench *b, double *ret_per_s);

/* The same load against a thread a connection that receives, writes and syncs the body and answers
 * 204: no parsing, no storing. */
int bench_limit_bare(
    struct bench *b, const struct bench_load *load, struct bench_load_result *ret_result);

/* The server of that, for so many connections; to be ended when its clients are gone. */
struct bench_bare;
int bench_limit_bare_start(struct bench *b, unsigned connections, struct bench_bare **ret_bare);
const char *bench_limit_bare_address(const struct bench_bare *bare);
void bench_limit_bare_end(struct bench_bare *bare); /* NULL allowed */

/* From send() on one end of a loopback connection to recv() returning on the other, `count` times,
 * one every `gap_us`. */
int bench_limit_wake(
    struct bench *b, unsigned count, unsigned gap_us, double *ret_p50_ms, double *ret_p99_ms);

/* Seconds to read every file below `path` once, and their bytes. */
int bench_limit_read(struct bench *b, const char *path, double *ret_s, uint64_t *ret_bytes);

/* Seconds to add up as many doubles in memory. */
int bench_limit_scan(struct bench *b, uint64_t count, double *ret_s);

#endif
