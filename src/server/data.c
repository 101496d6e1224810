/*
 * data.c: opening a data directory.
 *
 * Invariant: nothing in it is looked at, much less written, before the lock is held.
 */
#include "data.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "num.h"

#define META_SECRET "secret"
#define SECRET_BYTES 32
#define META_PARTITIONS "partitions"

void
data_explain(char *ret_reason, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(ret_reason, DATA_REASON_BYTES, format, args);
	va_end(args);
}

int
data_path(const char *dir, const char *name, char *ret_path)
{
	int len = snprintf(ret_path, DATA_PATH_BYTES, "%s/%s", dir, name);
	return len < 0 || len >= DATA_PATH_BYTES ? -ENAMETOOLONG : 0;
}

static void
run_done(struct store_unit *unit, int error)
{
	unit->error = error;
}

int
data_run(struct store *store, struct store_unit *unit)
{
	unit->done = run_done;
	unit->next = NULL;
	store_run(store, unit);
	return unit->error;
}

struct meta_unit {
	struct store_unit unit;
	const char *name;
	const void *value;
	size_t len;
};

static int
meta_apply(struct store_unit *unit, struct store_tx *tx)
{
	const struct meta_unit *meta = CONTAINER_OF(unit, struct meta_unit, unit);
	return store_meta_put(tx, meta->name, meta->value, meta->len);
}

static int
meta_put(struct store *store, const char *name, const void *value, size_t len)
{
	struct meta_unit meta = {
	    .unit = {.apply = meta_apply, .urgent = true},
	    .name = name,
	    .value = value,
	    .len = len,
	};
	return data_run(store, &meta.unit);
}

static int
lock_take(struct data *data, char *ret_reason)
{
	char path[DATA_PATH_BYTES];
	int error = data_path(data->dir, "lock", path);
	if (!error)
		error = env_mkdir(data->env, data->dir);
	if (error) {
		data_explain(ret_reason, "the data directory %s cannot be made: %s", data->dir,
		    strerror(-error));
		return error;
	}
	error = env_open(data->env, path, ENV_WRITE | ENV_CREATE, &data->lock);
	if (error) {
		data_explain(ret_reason, "the data directory %s cannot be written: %s", data->dir,
		    strerror(-error));
		return error;
	}
	error = env_lock(data->lock);
	if (error == -EWOULDBLOCK)
		data_explain(ret_reason,
		    "the data directory %s is in use by another weir (it holds %s)", data->dir,
		    path);
	else if (error)
		data_explain(ret_reason, "%s cannot be locked: %s", path, strerror(-error));
	return error;
}

static int
secret_load(struct data *data, char *ret_reason)
{
	size_t len;
	data->secret = sodium_init() < 0 ? NULL : sodium_malloc(SECRET_BYTES);
	if (!data->secret) {
		data_explain(ret_reason, "there is no protected memory for the node's secret");
		return -ENOMEM;
	}
	int error = store_meta_get(
	    data->store, META_SECRET, (char *)data->secret, SECRET_BYTES, &len);
	if (!error && len != SECRET_BYTES)
		error = -EUCLEAN;
	if (error == -ENOENT) {
		env_random(data->env, data->secret, SECRET_BYTES);
		error = meta_put(data->store, META_SECRET, data->secret, SECRET_BYTES);
	}
	sodium_mprotect_readonly(data->secret);
	if (error)
		data_explain(ret_reason, "weir.db in %s: the node's secret: %s", data->dir,
		    store_error(data->store));
	return error;
}

int
data_open(struct env *env, const char *dir, struct data *ret_data, char *ret_reason)
{
	struct data data = {.env = env, .dir = dir};
	int error = lock_take(&data, ret_reason);
	if (!error)
		error = store_open_explained(env, dir, ret_reason, DATA_REASON_BYTES, &data.store);
	if (!error)
		error = secret_load(&data, ret_reason);
	if (error) {
		data_close(&data);
		return error;
	}
	*ret_data = data;
	return 0;
}

void
data_close(struct data *data)
{
	store_close(data->store);
	env_close(data->lock);
	sodium_free(data->secret);
	data->secret = NULL;
	data->store = NULL;
	data->lock = NULL;
}

int
data_partitions(struct data *data, uint32_t wanted, uint32_t *ret_partitions, char *ret_reason)
{
	char text[NUM_TEXT_BYTES_MAX];
	size_t len;
	uint64_t made;
	int error = store_meta_get(data->store, META_PARTITIONS, text, sizeof text, &len);
	if (error == -ENOENT) {
		error = meta_put(data->store, META_PARTITIONS, text, num_format_u64(text, wanted));
		made = wanted;
	} else if (!error) {
		error = num_parse_u64(span_of(text, len), &made) ? -EUCLEAN : 0;
	}
	if (error) {
		data_explain(ret_reason, "weir.db in %s: the number of partitions: %s", data->dir,
		    store_error(data->store));
		return error;
	}
	if (made != wanted) {
		data_explain(ret_reason,
		    "%s was made with %llu partitions, which is fixed, but series.partitions is %u",
		    data->dir, (unsigned long long)made, wanted);
		return -EINVAL;
	}
	*ret_partitions = wanted;
	return 0;
}
