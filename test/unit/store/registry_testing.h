/*
 * registry_testing.h: changes of the registry as jobs of the tests, and what lists gave.
 */
#ifndef WEIR_REGISTRY_TESTING_H
#define WEIR_REGISTRY_TESTING_H

#include "registry.h"
#include "store_testing.h"

#include <errno.h>

/* One change, and what it returned. */
struct change {
	int (*run)(struct store_tx *tx, struct change *change);
	union {
		struct store_user user;
		struct store_device device;
		struct store_gateway gateway;
		struct store_secret secret;
		struct store_venue venue;
		struct store_audit audit;
	};
	struct span name, text;
	int64_t time_ms;
	uint64_t id, version;
	char text_id[24];
	size_t text_len;
	unsigned count;
};

static inline int
change_work(struct store_tx *tx, void *ctx)
{
	struct change *change = ctx;

	return change->run(tx, change);
}

/* The change in a unit of its own. */
static inline int
change_run(struct store *store, struct change *change)
{
	return run_one(store, change_work, change);
}

#define CHANGE(name, call) \
	static inline int change_##name(struct store_tx *tx, struct change *c) { return call; }

CHANGE(tenant_add, store_tenant_add(tx, c->name, c->time_ms, &c->version))
CHANGE(tenant_remove, store_tenant_remove(tx, c->name, &c->version))
CHANGE(user_add, store_user_add(tx, &c->user, &c->id, &c->version))
CHANGE(user_put, store_user_put(tx, &c->user, &c->version))
CHANGE(user_remove, store_user_remove(tx, c->user.tenant, c->user.name, &c->id, &c->version))
CHANGE(device_add, store_device_add(tx, &c->device, &c->version))
CHANGE(device_put, store_device_put(tx, &c->device, &c->version))
CHANGE(device_remove, store_device_remove(tx, c->device.tenant, c->device.id, &c->version))
CHANGE(device_next, store_device_next_id(tx, c->device.tenant, c->text_id, &c->text_len))
CHANGE(gateway_next, store_gateway_next_id(tx, c->gateway.tenant, &c->id))
CHANGE(gateway_add, store_gateway_add(tx, &c->gateway, &c->version))
CHANGE(gateway_put, store_gateway_put(tx, &c->gateway, &c->version))
CHANGE(gateway_remove, store_gateway_remove(tx, c->gateway.tenant, c->gateway.id, &c->version))
CHANGE(secret_next, store_secret_next_id(tx, &c->id))
CHANGE(secret_add, store_secret_add(tx, &c->secret, &c->version))
CHANGE(secret_expire, store_secret_expire(tx, c->id, c->time_ms, &c->version))
CHANGE(secret_remove, store_secret_remove(tx, c->secret.tenant, c->secret.kind, c->secret.name,
    &c->id, &c->version))
CHANGE(venue_add, store_venue_add(tx, &c->venue, &c->id, &c->version))
CHANGE(venue_put, store_venue_put(tx, &c->venue, &c->version))
CHANGE(venue_remove, store_venue_remove(tx, c->venue.tenant, c->venue.id, &c->version))
CHANGE(plan_put, store_venue_plan_put(tx, c->venue.tenant, c->venue.id, c->name, c->text,
    &c->version))
CHANGE(audit_add, store_audit_add(tx, &c->audit))
CHANGE(audit_trim, store_audit_trim(tx, c->time_ms, 2, &c->count))

#undef CHANGE

/* The names or ids that a list gave, one blank between. */
struct seen {
	char text[4000];
	size_t count;
	size_t stop_at; /* ends the list after so many; 0: never */
};

static inline int
seen_add(struct seen *seen, struct span text)
{
	size_t len = strlen(seen->text);

	check(len + text.len + 2 < sizeof(seen->text));
	snprintf(seen->text + len, sizeof(seen->text) - len, "%s%.*s", len ? " " : "",
	    SPAN_ARG(text));
	seen->count++;
	return seen->count == seen->stop_at ? -ECANCELED : 0;
}

static inline int
seen_number(struct seen *seen, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	return seen_add(seen, span_str(text));
}

static inline int
see_tenant(void *ctx, const struct store_tenant *tenant)
{
	return seen_add(ctx, tenant->name);
}

static inline int
see_user(void *ctx, const struct store_user *user)
{
	return seen_add(ctx, user->name);
}

static inline int
see_device(void *ctx, const struct store_device *device)
{
	return seen_add(ctx, device->id);
}

static inline int
see_gateway(void *ctx, const struct store_gateway *gateway)
{
	return seen_number(ctx, gateway->id);
}

static inline int
see_secret(void *ctx, const struct store_secret *secret)
{
	return seen_number(ctx, secret->id);
}

static inline int
see_venue(void *ctx, const struct store_venue *venue)
{
	return seen_number(ctx, venue->id);
}

static inline uint64_t
registry_version(struct store *store)
{
	uint64_t version = 0;

	assert_int_equal(store_registry_version(store, &version), 0);
	return version;
}

/* ── the usual inhabitants ── */

static inline uint64_t
add_user(struct store *store, struct span tenant, struct span name)
{
	struct change change = {.run = change_user_add,
	    .user = {.tenant = tenant, .name = name, .permission = STORE_USER}};

	assert_int_equal(change_run(store, &change), 0);
	return change.id;
}

static inline void
add_tenant(struct store *store, struct span name)
{
	struct change change = {.run = change_tenant_add, .name = name};

	assert_int_equal(change_run(store, &change), 0);
}

static inline int
add_device(struct store *store, struct span tenant, struct span id, struct span name)
{
	struct change change = {.run = change_device_add,
	    .device = {.tenant = tenant, .id = id, .name = name}};

	return change_run(store, &change);
}

#endif
