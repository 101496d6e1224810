/*
 * registry.h: who and what there is: tenants, users, devices, gateways, signing secrets, venues,
 * and the audit of every change. Application keys are in store.h.
 *
 * All functions belong to the store's thread. What changes something takes a transaction; a reader
 * takes the store, also within a unit (store_tx_store), and then sees what the unit did so far: so
 * a unit reads, merges and writes back in one piece. Everything is per tenant, and what belongs to
 * another tenant is -ENOENT.
 *
 * Each change takes the next version of the registry and gives it to the rows it wrote. Spans given
 * to `each` are valid until it returns; a nonzero return ends the list and is returned. `each` must
 * not ask for a list of the same kind.
 *
 * Errors of all: -ENOMEM, -EIO, -ENOSPC, -EUCLEAN as in store.h. Writers also: -EINVAL (a name or
 * id that is none), -EMSGSIZE (longer than the limits below), -EEXIST, -ENOENT.
 */
#ifndef WEIR_REGISTRY_H
#define WEIR_REGISTRY_H

#include "store.h"

#define STORE_NAME_BYTES_MAX 64         /* names of tenants, users, keys, secrets */
#define STORE_DEVICE_ID_BYTES_MAX 64
#define STORE_TEXT_BYTES_MAX 255        /* what people write: a device's name, group, place … */
#define STORE_DOCUMENT_BYTES_MAX 65536  /* configurations, contacts; audited documents are cut */
#define STORE_ITEMS_BYTES_MAX 1048576   /* what stands in a venue */
#define STORE_PLAN_BYTES_MAX 8388608    /* a floor plan */
#define STORE_USERS_MAX 256             /* of one device, of one venue */
#define STORE_LIST_MAX 1000             /* items of one list call */

/* Below this a device's id that is a number is taken for one of ours, and ids that are given out
 * go on above it. */
#define STORE_DEVICE_ID_OURS UINT64_C(1000000000)

/* [a-z0-9._-], 1 to STORE_NAME_BYTES_MAX. */
bool store_name_valid(struct span name);

/* UTF-8 without control characters, 1 to STORE_DEVICE_ID_BYTES_MAX bytes. Ids are texts: "7" and 7
 * are the same device, "07" is another. */
bool store_device_id_valid(struct span id);

/* The version of the last change; 0 before any. */
int store_registry_version(struct store *store, uint64_t *ret_version);

/* Where a list begins and ends: behind the item whose `name` and `id` these are; at most `limit`
 * (1 … STORE_LIST_MAX) items. */
struct store_page {
	struct span after_name; /* lists in order of names */
	struct span after_id;   /* devices */
	uint64_t after_number;  /* what has numbers */
	unsigned limit;
};

/* ── tenants ── */

struct store_tenant {
	struct span name;
	int64_t created_ms;
	uint64_t version;
};

/* `main` is there from the start. */
int store_tenant_add(struct store_tx *tx, struct span name, int64_t now_ms,
    uint64_t *ret_version);

/* -ENOTEMPTY while it has users, devices, gateways, keys, secrets or venues; -EPERM: main. */
int store_tenant_remove(struct store_tx *tx, struct span name, uint64_t *ret_version);

/* -ENOENT. */
int store_tenant_find(struct store *store, struct span name,
    int (*each)(void *ctx, const struct store_tenant *tenant), void *ctx);

/* By name. */
int store_tenants_list(struct store *store, const struct store_page *page,
    int (*each)(void *ctx, const struct store_tenant *tenant), void *ctx);

/* ── users ── */

enum store_permission { STORE_ADMIN = 1, STORE_DEVELOPER = 2, STORE_USER = 3 };

struct store_user {
	uint64_t id;            /* never used twice, in no tenant */
	struct span tenant, name;
	enum store_permission permission;
	bool node;              /* an administrator who governs all tenants */
	struct span hash;       /* Argon2id, as libsodium writes it; empty: no password works */
	uint64_t generation;    /* tokens of an earlier one are void */
	struct span contacts;   /* JSON object; empty: none */
	struct span language, tz;
	int64_t created_ms;
	uint64_t version;
};

/* Assigns id and version; generation is 1. -ENOENT: no such tenant. */
int store_user_add(struct store_tx *tx, const struct store_user *user, uint64_t *ret_id,
    uint64_t *ret_version);

/* Replaces what the user of this tenant and name has (id and created_ms stay). -ENOENT. */
int store_user_put(struct store_tx *tx, const struct store_user *user, uint64_t *ret_version);

/* Its devices and venues lose it. */
int store_user_remove(struct store_tx *tx, struct span tenant, struct span name,
    uint64_t *ret_id, uint64_t *ret_version);

int store_user_find(struct store *store, struct span tenant, struct span name,
    int (*each)(void *ctx, const struct store_user *user), void *ctx);
int store_user_find_id(struct store *store, uint64_t id,
    int (*each)(void *ctx, const struct store_user *user), void *ctx);

/* Of one tenant, by name. `prefix` may be empty. */
int store_users_list(struct store *store, struct span tenant, struct span prefix,
    const struct store_page *page, int (*each)(void *ctx, const struct store_user *user),
    void *ctx);

/* Of all tenants, for the start. */
int store_users_load(struct store *store, int (*each)(void *ctx, const struct store_user *user),
    void *ctx);

/* ── devices ── */

struct store_device {
	struct span tenant, id;
	struct span name, group, place;
	struct span config;     /* JSON object; empty: none */
	struct span hash;       /* of its token: access.h; empty: no token is right */
	bool state;             /* false: its readings are rejected */
	uint64_t gateway;       /* only this one may write for it; 0: any of the tenant's */
	const uint64_t *users;  /* ids of those who may see it */
	size_t user_count;
	int64_t created_ms;
	uint64_t version;
};

/* The next id of the tenant's own: 1, 2, … above all those below STORE_DEVICE_ID_OURS that were
 * ever there. Written to `ret_id` with a NUL; its length is *ret_len. To be used by the same unit's
 * store_device_add. -ENOENT: no such tenant. */
int store_device_next_id(struct store_tx *tx, struct span tenant, char ret_id[24],
    size_t *ret_len);

/* -ENOENT: no such tenant, or a user that is not of it. */
int store_device_add(struct store_tx *tx, const struct store_device *device,
    uint64_t *ret_version);

/* Replaces all but created_ms. -ENOENT: no such device, or as above. */
int store_device_put(struct store_tx *tx, const struct store_device *device,
    uint64_t *ret_version);
int store_device_remove(struct store_tx *tx, struct span tenant, struct span id,
    uint64_t *ret_version);

int store_device_find(struct store *store, struct span tenant, struct span id,
    int (*each)(void *ctx, const struct store_device *device), void *ctx);

/* In order of ids: shorter ones first, so numbers ascend. page: after_id. */
int store_devices_list(struct store *store, struct span tenant, const struct store_page *page,
    int (*each)(void *ctx, const struct store_device *device), void *ctx);

/* Those whose name begins with `prefix` (ASCII letters of either case), by name and id. page:
 * after_name and after_id. */
int store_devices_search(struct store *store, struct span tenant, struct span prefix,
    const struct store_page *page, int (*each)(void *ctx, const struct store_device *device),
    void *ctx);

/* Those that the user may see, in order of ids. page: after_id. */
int store_devices_of_user(struct store *store, struct span tenant, uint64_t user,
    const struct store_page *page, int (*each)(void *ctx, const struct store_device *device),
    void *ctx);

/* Of all tenants, for the start: tenant, id, hash, state, gateway, users, version; the rest is
 * empty. */
int store_devices_load(struct store *store,
    int (*each)(void *ctx, const struct store_device *device), void *ctx);

/* ── gateways ── */

struct store_gateway {
	struct span tenant;
	uint64_t id;            /* of the tenant: 1, 2, …; never used twice */
	struct span name;
	struct span state;      /* "Active", another word, or empty: not set */
	struct span config;     /* JSON object; empty: none */
	struct span hash;       /* as a device's */
	bool may_enrol;
	int64_t created_ms;
	uint64_t version;
};

/* The id of the tenant's next gateway, as store_device_next_id: then store_gateway_add. */
int store_gateway_next_id(struct store_tx *tx, struct span tenant, uint64_t *ret_id);
int store_gateway_add(struct store_tx *tx, const struct store_gateway *gateway,
    uint64_t *ret_version);
int store_gateway_put(struct store_tx *tx, const struct store_gateway *gateway,
    uint64_t *ret_version);

/* Devices that were bound to it stay bound: nobody else may write for them until an administrator
 * says so. */
int store_gateway_remove(struct store_tx *tx, struct span tenant, uint64_t id,
    uint64_t *ret_version);
int store_gateway_find(struct store *store, struct span tenant, uint64_t id,
    int (*each)(void *ctx, const struct store_gateway *gateway), void *ctx);
int store_gateways_list(struct store *store, struct span tenant, const struct store_page *page,
    int (*each)(void *ctx, const struct store_gateway *gateway), void *ctx); /* by id */
int store_gateways_load(struct store *store,
    int (*each)(void *ctx, const struct store_gateway *gateway), void *ctx);

/* ── secrets that sign JWTs ── */

enum store_secret_kind {
	STORE_SECRET_USER = 1,        /* the node's own: users' tokens */
	STORE_SECRET_APPLICATION = 2, /* an application's: its subscribers' tokens */
};

struct store_secret {
	uint64_t id;            /* the `kid`; never used twice */
	struct span tenant, name;
	enum store_secret_kind kind;
	struct span sealed;     /* access_seal */
	int64_t created_ms;
	int64_t expires_ms;     /* from then on nothing it signed is valid; 0: never */
	uint64_t version;
};

/* Next id, for access_seal binds it: then store_secret_add. */
int store_secret_next_id(struct store_tx *tx, uint64_t *ret_id);

/* -EEXIST: the tenant has one of this kind and name. */
int store_secret_add(struct store_tx *tx, const struct store_secret *secret,
    uint64_t *ret_version);

/* Sets when it ends. */
int store_secret_expire(struct store_tx *tx, uint64_t id, int64_t expires_ms,
    uint64_t *ret_version);
int store_secret_remove(struct store_tx *tx, struct span tenant, enum store_secret_kind kind,
    struct span name, uint64_t *ret_id, uint64_t *ret_version);
int store_secrets_list(struct store *store, struct span tenant, enum store_secret_kind kind,
    const struct store_page *page, int (*each)(void *ctx, const struct store_secret *secret),
    void *ctx); /* by id */
int store_secrets_load(struct store *store,
    int (*each)(void *ctx, const struct store_secret *secret), void *ctx); /* by id */

/* ── venues ── */

struct store_venue {
	struct span tenant;
	uint64_t id;            /* of the tenant: 1, 2, …; never used twice */
	struct span name;
	struct span items;      /* JSON array of what stands where; empty: none */
	const uint64_t *users;  /* ids of those who may see it */
	size_t user_count;
	bool has_plan;          /* set by the store */
	int64_t created_ms;
	uint64_t version;
};

int store_venue_add(struct store_tx *tx, const struct store_venue *venue, uint64_t *ret_id,
    uint64_t *ret_version);
int store_venue_put(struct store_tx *tx, const struct store_venue *venue,
    uint64_t *ret_version);
int store_venue_remove(struct store_tx *tx, struct span tenant, uint64_t id,
    uint64_t *ret_version);
int store_venue_find(struct store *store, struct span tenant, uint64_t id,
    int (*each)(void *ctx, const struct store_venue *venue), void *ctx);

/* By id; `user` not 0: those that this user may see. */
int store_venues_list(struct store *store, struct span tenant, uint64_t user,
    const struct store_page *page, int (*each)(void *ctx, const struct store_venue *venue),
    void *ctx);

/* A picture and its media type. Empty `bytes` takes the plan away. */
int store_venue_plan_put(struct store_tx *tx, struct span tenant, uint64_t id, struct span type,
    struct span bytes, uint64_t *ret_version);
int store_venue_plan_get(struct store *store, struct span tenant, uint64_t id,
    int (*each)(void *ctx, struct span type, struct span bytes), void *ctx);

/* ── audit ── */

struct store_audit {
	uint64_t id;            /* rising */
	struct span tenant;
	int64_t time_ms;
	struct span who, what, object; /* "user-ana", "device.put", "1234" */
	struct span from;       /* the address */
	struct span before, after; /* JSON, without secrets; empty: there was or is none */
};

/* In the same unit as what it tells of. Documents above STORE_DOCUMENT_BYTES_MAX are left out:
 * `"…"` stands for them. */
int store_audit_add(struct store_tx *tx, const struct store_audit *audit);

/* Latest first, of times from … below to. page: after_number, 0 begins with the latest. */
int store_audits_list(struct store *store, struct span tenant, int64_t from_ms, int64_t to_ms,
    const struct store_page *page, int (*each)(void *ctx, const struct store_audit *audit),
    void *ctx);

/* Forgets what is older, at most `count_max` entries; how many there were. */
int store_audit_trim(struct store_tx *tx, int64_t before_ms, unsigned count_max,
    unsigned *ret_count);

#endif
