/*
 * bench_access_index.c: `weir bench access`, the part within one process: what it costs a loop to
 * know who somebody is, in CPU time of this thread. Devices are asked in an order that is not that
 * of their making.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "access_limits.h"
#include "access_registry.h"
#include "bench.h"
#include "check.h"
#include "num.h"
#include "registry.h"

enum { JWTS = 2000, STRIDE = 7919, ID_BYTES = 24 };

#define HOUR_MS INT64_C(3600000)

static const unsigned char node_secret[32] = "the secret of a node of a bench";

static struct span
number_text(char text[ID_BYTES], uint64_t number)
{
	return span_of(text, num_format_u64(text, number));
}

static double
cpu_seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Device I has the token I. Seconds for records and index, the hashes of tokens being there. */
static int
devices_put(struct access *access, uint64_t count, double *ret_s)
{
	unsigned char(*hashes)[ACCESS_HASH_BYTES] = calloc(count, sizeof(*hashes));
	char text[ID_BYTES];
	int error = hashes ? 0 : -ENOMEM;
	for (uint64_t i = 0; i < count && !error; i++) {
		struct span id = number_text(text, BENCH_LOAD_FIRST_DEVICE + i);
		access_token_hash(
		    node_secret, ACCESS_TOKEN_DEVICE, SPAN("main"), id, id, hashes[i]);
	}
	double began = cpu_seconds();
	for (uint64_t i = 0; i < count && !error; i++) {
		struct store_device row = {
		    .tenant = SPAN("main"),
		    .id = number_text(text, BENCH_LOAD_FIRST_DEVICE + i),
		    .hash = span_of((const char *)hashes[i], ACCESS_HASH_BYTES),
		    .state = true,
		    .version = i + 1,
		};
		struct access_device *device;
		error = access_device_create(&row, &device);
		if (error)
			break;
		error = access_device_put(access, device);
		access_device_unref(device);
	}
	*ret_s = cpu_seconds() - began;
	free(hashes);
	return error;
}

/* Each device once: found, and its token right. */
static void
devices_ask(struct access *access, uint64_t count, double *ret_us)
{
	char text[ID_BYTES];
	double began = cpu_seconds();
	for (uint64_t i = 0; i < count; i++) {
		struct span id =
		    number_text(text, BENCH_LOAD_FIRST_DEVICE + i * STRIDE % count);
		const struct access_device *device = access_device_find(access, SPAN("main"), id);
		check(device && access_device_token(access, device, id));
	}
	*ret_us = (cpu_seconds() - began) * 1e6 / (double)count;
}

static int
devices_measure(struct bench *b, struct access *access, struct bench_result *ret_result)
{
	uint64_t count = b->options.series;
	double put_s, first_us, known_us;
	int error = devices_put(access, count, &put_s);
	if (error)
		return bench_fail(b, error, "devices: %s", strerror(-error));
	devices_ask(access, count, &first_us);
	devices_ask(access, count, &known_us);
	bench_figure_add(ret_result, "index_devices_ms", put_s * 1e3);
	bench_figure_add(ret_result, "device_first_us", first_us);
	bench_figure_add(ret_result, "device_known_us", known_us);
	return 0;
}

static int
signers_put(struct bench *b, struct access *access)
{
	unsigned char sealed[ACCESS_SEALED_BYTES_MAX];
	struct store_user user = {.id = 1, .tenant = SPAN("main"), .name = SPAN("bench"),
	    .permission = STORE_ADMIN, .generation = 1, .version = 1};
	struct store_secret row = {.id = 1, .kind = STORE_SECRET_USER, .tenant = SPAN("main"),
	    .name = SPAN("bench"), .version = 1};
	struct access_secret *secret;
	row.sealed = span_of((const char *)sealed, access_seal(b->env, node_secret, &row,
	    SPAN("a secret of a bench, of 43 characters or so"), sealed));
	int error = access_secret_create(node_secret, &row, &secret);
	if (error)
		return error;
	error = access_secret_put(access, secret);
	access_secret_unref(secret);
	return error ? error : access_user_put(access, &user);
}

/* Seconds for each token once. The index keeps those whose principals are held. */
static double
jwts_ask(struct access *access, const struct span *tokens, int64_t now_ms,
    struct access_principal **principals)
{
	double began = cpu_seconds();
	for (unsigned i = 0; i < JWTS; i++) {
		struct access_principal *who = access_authenticate_jwt(access, tokens[i], now_ms);
		check(who && (!principals[i] || who == principals[i]));
		access_principal_unref(principals[i]);
		principals[i] = who;
	}
	return cpu_seconds() - began;
}

/* Tokens that differ in when they were issued: each is new to the index once. */
static int
jwts_measure(struct bench *b, struct access *access, struct bench_result *ret_result)
{
	struct access_principal *principals[JWTS] = {0};
	struct span tokens[JWTS];
	char token[ACCESS_JWT_BYTES_MAX];
	int64_t now_ms = env_now_ms(b->env);
	struct buf texts;
	buf_init(&texts, 0);
	int error = buf_reserve(&texts, JWTS * sizeof(token));
	for (unsigned i = 0; i < JWTS && !error; i++) {
		ssize_t len = access_jwt_issue(
		    access, 1, now_ms - (int64_t)i * 1000, HOUR_MS, token, sizeof(token));
		error = len < 0 ? (int)len : buf_append(&texts, token, (size_t)len);
		if (!error)
			tokens[i] = span_of(texts.ptr + texts.len - len, (size_t)len);
	}
	if (!error) {
		double new_s = jwts_ask(access, tokens, now_ms, principals);
		double known_s = jwts_ask(access, tokens, now_ms, principals);
		bench_figure_add(ret_result, "jwt_new_us", new_s * 1e6 / JWTS);
		bench_figure_add(ret_result, "jwt_known_us", known_s * 1e6 / JWTS);
	}
	for (unsigned i = 0; i < JWTS; i++)
		access_principal_unref(principals[i]);
	buf_finish(&texts);
	return error ? bench_fail(b, error, "JWT: %s", strerror(-error)) : 0;
}

/* Seconds for one request of each of as many principals as there are devices. */
static double
limits_ask(struct bench *b, struct access_limits *limits)
{
	char text[ID_BYTES];
	uint64_t now_ns = env_mono_ns(b->env);
	double began = cpu_seconds();
	for (uint64_t i = 0; i < b->options.series; i++) {
		struct access_principal who = {.kind = ACCESS_DEVICE, .tenant = SPAN("main"),
		    .name = number_text(text, i * STRIDE % b->options.series)};
		check(access_limits_take(
			  limits, &who, ACCESS_RATE_REQUESTS, 1, now_ns, true) == 0);
	}
	return cpu_seconds() - began;
}

static int
limits_measure(struct bench *b, struct bench_result *ret_result)
{
	const struct access_limits_settings settings = {
	    .rate = {.per_s = {[ACCESS_RATE_REQUESTS] = 1000000000}, .burst_s = 1}};
	struct access_limits *limits;
	int error = access_limits_create(b->env, &limits);
	if (error)
		return bench_fail(b, error, "limits: %s", strerror(-error));
	access_limits_set(limits, &settings);
	limits_ask(b, limits);
	bench_figure_add(
	    ret_result, "rate_us", limits_ask(b, limits) * 1e6 / (double)b->options.series);
	access_limits_destroy(limits);
	return 0;
}

int
bench_access_index(struct bench *b, struct bench_result *ret_result)
{
	struct access *access;
	int error = access_create(node_secret, &access);
	if (error)
		return bench_fail(b, error, "access: %s", strerror(-error));
	error = devices_measure(b, access, ret_result);
	if (!error)
		error = signers_put(b, access);
	if (!error)
		error = jwts_measure(b, access, ret_result);
	if (!error)
		error = limits_measure(b, ret_result);
	access_destroy(access);
	return error;
}
