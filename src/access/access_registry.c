/*
 * access_registry.c: a loop's index of devices, gateways and persons.
 *
 * A device's record is shared by all loops and never changes, but for two words that remember the
 * SipHash of the token that was found right. Whoever finds that writes the same two words, for a
 * record has one right token; so loops may write them at the same time, and a reader who sees one
 * of the two only hashes once more.
 *
 * A map's slots are hashes keyed with the node's secret, so nobody can make them collide.
 */
#include "access_registry.h"

#include <errno.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access_registry_priv.h"
#include "check.h"
#include "hash.h"
#include "num.h"
#include "registry.h"

struct access_device {
	refcount refs;
	uint8_t id_len, tenant_len;
	bool active, has_token;
	uint64_t version, gateway;
	_Atomic uint64_t fast[2]; /* 0, 0: no token was right yet */
	unsigned char hash[ACCESS_HASH_BYTES];
	uint32_t user_count;
	uint64_t users[];         /* and behind them: tenant, id */
};

_Static_assert(sizeof(struct access_device) <= 88, "the memory that the header promises");

struct gateway {
	uint64_t id, version;
	unsigned char hash[ACCESS_HASH_BYTES];
	bool active, has_token;
	struct access_principal *principal;
};

/* ── the index as a whole ── */

static void
derive(const struct access *access, const char *what, void *ret_bytes, size_t len)
{
	unsigned char hash[ACCESS_HASH_BYTES];

	access_key_hash(access->secret, span_str(what), hash);
	memcpy(ret_bytes, hash, len);
	sodium_memzero(hash, sizeof(hash));
}

void
access_registry_init(struct access *access)
{
	derive(access, "weir: slots of maps", &access->seed, sizeof(access->seed));
	derive(access, "weir: tokens that were right", access->fast_key,
	    sizeof(access->fast_key));
	derive(access, "weir: prints of requests", access->print_key, sizeof(access->print_key));
	access->developer_manages_users = true;
	access_tokens_init(access);
}

uint64_t
access_print(const struct access *access, struct span bytes, uint64_t before)
{
	unsigned char key[sizeof(access->print_key)];
	uint64_t half, print;

	_Static_assert(sizeof(print) == crypto_shorthash_BYTES, "SipHash of 64 bits");
	_Static_assert(sizeof(key) == crypto_shorthash_KEYBYTES, "its key");
	memcpy(key, access->print_key, sizeof(key));
	memcpy(&half, key, sizeof(half));
	half ^= before;
	memcpy(key, &half, sizeof(half));
	crypto_shorthash((unsigned char *)&print, (const unsigned char *)bytes.ptr, bytes.len, key);
	return print;
}

static void
gateway_destroy(struct gateway *gateway)
{
	if (gateway == NULL)
		return;
	access_principal_unref(gateway->principal);
	free(gateway);
}

static void
user_destroy(struct access_user *user)
{
	if (user == NULL)
		return;
	map_finish(&user->devices);
	free(user);
}

void
access_registry_finish(struct access *access)
{
	void *value;
	size_t pos = 0;

	while ((value = map_next(&access->devices, &pos)))
		access_device_unref(value);
	for (pos = 0; (value = map_next(&access->gateways, &pos));)
		gateway_destroy(value);
	for (pos = 0; (value = map_next(&access->users, &pos));)
		user_destroy(value);
	access_tokens_finish(access);
	map_finish(&access->devices);
	map_finish(&access->gateways);
	map_finish(&access->users);
	sodium_memzero(access->fast_key, sizeof(access->fast_key));
	sodium_memzero(access->print_key, sizeof(access->print_key));
}

uint64_t
access_slot(const struct access *access, struct span tenant, struct span id)
{
	return hash64(id, hash64(tenant, access->seed));
}

static uint64_t
number_slot(const struct access *access, struct span tenant, uint64_t id)
{
	return access_slot(access, tenant, span_of((const char *)&id, sizeof(id)));
}

/* ── tokens ── */

void
access_token_generate(struct env *env, char ret_token[ACCESS_TOKEN_BYTES])
{
	unsigned char raw[ACCESS_TOKEN_BYTES / 2];
	char text[ACCESS_TOKEN_BYTES + 1];

	env_random(env, raw, sizeof(raw));
	sodium_bin2hex(text, sizeof(text), raw, sizeof(raw));
	memcpy(ret_token, text, ACCESS_TOKEN_BYTES);
	sodium_memzero(raw, sizeof(raw));
	sodium_memzero(text, sizeof(text));
}

void
access_token_hash(const unsigned char secret[32], const char *kind, struct span tenant,
    struct span id, struct span token, unsigned char ret_hash[ACCESS_HASH_BYTES])
{
	const struct span parts[] = {span_str(kind), tenant, id, token};
	crypto_generichash_state state;

	crypto_generichash_init(&state, secret, ACCESS_SECRET_BYTES, ACCESS_HASH_BYTES);
	for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
		uint32_t len = (uint32_t)parts[i].len; /* so that parts cannot flow together */

		crypto_generichash_update(&state, (const unsigned char *)&len, sizeof(len));
		crypto_generichash_update(&state, (const unsigned char *)parts[i].ptr,
		    parts[i].len);
	}
	crypto_generichash_final(&state, ret_hash, ACCESS_HASH_BYTES);
}

static bool
token_hash_is(const struct access *access, const char *kind, struct span tenant, struct span id,
    struct span token, const unsigned char want[ACCESS_HASH_BYTES])
{
	unsigned char hash[ACCESS_HASH_BYTES];

	access_token_hash(access->secret, kind, tenant, id, token, hash);
	return access_secret_equal(span_of((const char *)hash, sizeof(hash)),
	    span_of((const char *)want, sizeof(hash)));
}

/* ── devices ── */

static struct span
device_tenant(const struct access_device *device)
{
	return span_of((const char *)(device->users + device->user_count), device->tenant_len);
}

struct span
access_device_id(const struct access_device *device)
{
	return span_of(device_tenant(device).ptr + device->tenant_len, device->id_len);
}

bool
access_device_active(const struct access_device *device)
{
	return device->active;
}

uint64_t
access_device_gateway(const struct access_device *device)
{
	return device->gateway;
}

int
access_device_create(const struct store_device *device, struct access_device **ret_device)
{
	struct access_device *made;
	char *text;

	if ((device->hash.len != 0 && device->hash.len != ACCESS_HASH_BYTES) ||
	    device->id.len > UINT8_MAX || device->tenant.len > UINT8_MAX ||
	    device->user_count > STORE_USERS_MAX)
		return -EINVAL;
	made = calloc(1, sizeof(*made) + device->user_count * sizeof(uint64_t) +
	    device->tenant.len + device->id.len);
	if (made == NULL)
		return -ENOMEM;
	refcount_init(&made->refs);
	made->id_len = (uint8_t)device->id.len;
	made->tenant_len = (uint8_t)device->tenant.len;
	made->active = device->state;
	made->has_token = device->hash.len != 0;
	made->version = device->version;
	made->gateway = device->gateway;
	if (made->has_token)
		memcpy(made->hash, device->hash.ptr, ACCESS_HASH_BYTES);
	made->user_count = (uint32_t)device->user_count;
	if (device->user_count)
		memcpy(made->users, device->users, device->user_count * sizeof(uint64_t));
	text = (char *)(made->users + made->user_count);
	memcpy(text, device->tenant.ptr, device->tenant.len);
	memcpy(text + device->tenant.len, device->id.ptr, device->id.len);
	*ret_device = made;
	return 0;
}

void
access_device_unref(struct access_device *device)
{
	if (device && refcount_down(&device->refs))
		free(device);
}

struct device_name {
	struct span tenant, id;
};

static bool
device_is(const void *value, const void *key)
{
	const struct device_name *name = key;

	return span_eq(access_device_id(value), name->id) &&
	    span_eq(device_tenant(value), name->tenant);
}

static bool
is_same(const void *value, const void *key)
{
	return value == key;
}

const struct access_device *
access_device_find(const struct access *access, struct span tenant, struct span id)
{
	struct device_name name = {tenant, id};

	return map_get(&access->devices, access_slot(access, tenant, id), device_is, &name);
}

size_t
access_device_count(const struct access *access)
{
	return access->devices.count;
}

bool
access_device_token(const struct access *access, const struct access_device *device,
    struct span token)
{
	/* The record is shared, its two words of memory are no part of what it says. */
	struct access_device *known = (struct access_device *)(uintptr_t)device;
	uint64_t fast[2], was[2];

	_Static_assert(crypto_shorthash_siphashx24_BYTES == sizeof(fast), "SipHash of 128 bits");
	if (!device->has_token)
		return false;
	crypto_shorthash_siphashx24((unsigned char *)fast, (const unsigned char *)token.ptr,
	    token.len, access->fast_key);
	was[0] = atomic_load_explicit(&known->fast[0], memory_order_relaxed);
	was[1] = atomic_load_explicit(&known->fast[1], memory_order_relaxed);
	if ((was[0] | was[1]) && access_secret_equal(span_of((const char *)was, sizeof(was)),
	    span_of((const char *)fast, sizeof(fast))))
		return true;
	if (!token_hash_is(access, ACCESS_TOKEN_DEVICE, device_tenant(device),
	    access_device_id(device), token, device->hash))
		return false;
	atomic_store_explicit(&known->fast[0], fast[0], memory_order_relaxed);
	atomic_store_explicit(&known->fast[1], fast[1], memory_order_relaxed);
	return true;
}


/* Takes the device out of the index, its users and its principal's hands. */
static void
device_unlink(struct access *access, struct access_device *device)
{
	struct span tenant = device_tenant(device), id = access_device_id(device);
	uint64_t slot = access_slot(access, tenant, id);

	for (uint32_t i = 0; i < device->user_count; i++) {
		struct access_user *user = access_user_find(access, device->users[i]);

		if (user)
			map_remove(&user->devices, slot, device);
	}
	access_tokens_revoke_device(access, tenant, id);
	check(map_remove(&access->devices, slot, device));
	access_device_unref(device);
}

static bool
device_is_of(const struct access_device *device, uint64_t user)
{
	for (uint32_t i = 0; i < device->user_count; i++) {
		if (device->users[i] == user)
			return true;
	}
	return false;
}

/* Counts the persons who had the device and have it no more; `now` NULL: nobody has it. */
static void
device_losses(struct access *access, const struct access_device *before,
    const struct access_device *now)
{
	for (uint32_t i = 0; i < before->user_count; i++) {
		if (now == NULL || !device_is_of(now, before->users[i]))
			access->losses.devices++;
	}
}

int
access_device_put(struct access *access, struct access_device *device)
{
	struct span tenant = device_tenant(device), id = access_device_id(device);
	uint64_t slot = access_slot(access, tenant, id);
	struct access_device *old = (struct access_device *)(uintptr_t)access_device_find(access,
	    tenant, id);
	int error = 0;

	if (old && old->version > device->version)
		return 0;
	if (old) {
		device_losses(access, old, device);
		device_unlink(access, old);
	}
	error = map_add(&access->devices, slot, device);
	if (error) {
		device_losses(access, device, NULL);
		return error;
	}
	refcount_up(&device->refs);
	for (uint32_t i = 0; i < device->user_count; i++) {
		struct access_user *user = access_user_find(access, device->users[i]);

		if (user && !map_get(&user->devices, slot, is_same, device) &&
		    map_add(&user->devices, slot, device))
			error = -ENOMEM; /* he sees it not, which harms least */
	}
	return error;
}

void
access_device_remove(struct access *access, struct span tenant, struct span id)
{
	const struct access_device *device = access_device_find(access, tenant, id);

	if (device) {
		device_losses(access, device, NULL);
		device_unlink(access, (struct access_device *)(uintptr_t)device);
	}
}

struct access_principal *
access_authenticate_device(struct access *access, struct span tenant, struct span id,
    struct span token)
{
	const struct access_device *device = access_device_find(access, tenant, id);

	if (device == NULL || !access_device_token(access, device, token) || !device->active)
		return NULL;
	return access_tokens_device(access, tenant, id);
}

/* ── gateways ── */

struct gateway_name {
	struct span tenant;
	uint64_t id;
};

static bool
gateway_is(const void *value, const void *key)
{
	const struct gateway *gateway = value;
	const struct gateway_name *name = key;

	return gateway->id == name->id && span_eq(gateway->principal->tenant, name->tenant);
}

static struct gateway *
gateway_find(const struct access *access, struct span tenant, uint64_t id)
{
	struct gateway_name name = {tenant, id};

	return map_get(&access->gateways, number_slot(access, tenant, id), gateway_is, &name);
}

static int
gateway_create(const struct store_gateway *row, struct gateway **ret_gateway)
{
	struct gateway *gateway;
	char id[24];

	if (row->hash.len != 0 && row->hash.len != ACCESS_HASH_BYTES)
		return -EINVAL;
	gateway = calloc(1, sizeof(*gateway));
	if (gateway == NULL)
		return -ENOMEM;
	gateway->principal = access_principal_create(row->tenant, SPAN("gateway-"),
	    span_of(id, num_format_u64(id, row->id)), NULL, NULL, SPAN(""));
	if (gateway->principal == NULL) {
		gateway_destroy(gateway);
		return -ENOMEM;
	}
	gateway->principal->kind = ACCESS_GATEWAY;
	gateway->principal->rights = ACCESS_WRITE | ACCESS_SUBSCRIBE;
	gateway->principal->may_enrol = row->may_enrol;
	gateway->principal->id = gateway->id = row->id;
	gateway->version = row->version;
	gateway->active = row->state.len == 0 || span_eq_nocase(row->state, SPAN("Active"));
	gateway->has_token = row->hash.len != 0;
	if (gateway->has_token)
		memcpy(gateway->hash, row->hash.ptr, ACCESS_HASH_BYTES);
	*ret_gateway = gateway;
	return 0;
}

int
access_gateway_put(struct access *access, const struct store_gateway *row)
{
	const struct gateway *old = gateway_find(access, row->tenant, row->id);
	struct gateway *gateway = NULL;
	int error;

	if (old && old->version > row->version)
		return 0;
	access_gateway_remove(access, row->tenant, row->id);
	error = gateway_create(row, &gateway);
	if (error)
		return error;
	error = map_add(&access->gateways, number_slot(access, row->tenant, row->id), gateway);
	if (error)
		gateway_destroy(gateway);
	return error;
}

void
access_gateway_remove(struct access *access, struct span tenant, uint64_t id)
{
	struct gateway *gateway = gateway_find(access, tenant, id);

	if (gateway == NULL)
		return;
	check(map_remove(&access->gateways, number_slot(access, tenant, id), gateway));
	access_principal_revoke(access, gateway->principal);
	gateway_destroy(gateway);
}

struct access_principal *
access_authenticate_gateway(struct access *access, struct span tenant, uint64_t id,
    struct span token)
{
	const struct gateway *gateway = gateway_find(access, tenant, id);
	char text[24];

	if (gateway == NULL || !gateway->has_token ||
	    !token_hash_is(access, ACCESS_TOKEN_GATEWAY, tenant,
	    span_of(text, num_format_u64(text, id)), token, gateway->hash) || !gateway->active)
		return NULL;
	return access_principal_ref(gateway->principal);
}

struct access_principal *
access_authenticate_pair(struct access *access, struct span user, struct span password)
{
	struct span tenant = SPAN("main");
	uint64_t id;

	/* The last '@': a device's id may have one. */
	for (size_t i = user.len; i > 0; i--) {
		struct span rest = span_skip(user, i);

		if (user.ptr[i - 1] != '@')
			continue;
		if (store_name_valid(rest)) {
			tenant = rest;
			user.len = i - 1;
		}
		break;
	}
	if (span_starts(user, SPAN("gateway-"))) {
		struct span number = span_skip(user, strlen("gateway-"));

		if (number.len == 0 || number.ptr[0] == '0' || num_parse_u64(number, &id))
			return NULL;
		return access_authenticate_gateway(access, tenant, id, password);
	}
	if (span_starts(user, SPAN("device-")))
		return access_authenticate_device(access, tenant,
		    span_skip(user, strlen("device-")), password);
	return NULL;
}

/* ── persons ── */

void
access_set_developer_accounts(struct access *access, bool allowed)
{
	access->developer_manages_users = allowed;
}

static bool
user_is(const void *value, const void *key)
{
	return ((const struct access_user *)value)->id == *(const uint64_t *)key;
}

struct access_user *
access_user_find(const struct access *access, uint64_t id)
{
	return map_get(&access->users, number_slot(access, SPAN(""), id), user_is, &id);
}

int
access_user_put(struct access *access, const struct store_user *row)
{
	struct access_user *user = access_user_find(access, row->id);
	int error;

	if (row->name.len > sizeof(user->name) || row->tenant.len > sizeof(user->tenant))
		return -EINVAL;
	if (user && user->version > row->version)
		return 0;
	if (user == NULL) {
		user = calloc(1, sizeof(*user));
		if (user == NULL)
			return -ENOMEM;
		user->id = row->id;
		error = map_add(&access->users, number_slot(access, SPAN(""), row->id), user);
		if (error) {
			user_destroy(user);
			return error;
		}
	} else if (user->generation != row->generation || user->node != row->node ||
	    user->permission != row->permission) {
		access_tokens_revoke(access, ACCESS_PERSON, row->id);
	}
	user->version = row->version;
	user->generation = row->generation;
	user->permission = row->permission;
	user->node = row->node;
	user->name_len = (uint8_t)row->name.len;
	memcpy(user->name, row->name.ptr, row->name.len);
	user->tenant_len = (uint8_t)row->tenant.len;
	memcpy(user->tenant, row->tenant.ptr, row->tenant.len);
	return 0;
}

void
access_user_remove(struct access *access, uint64_t id)
{
	struct access_user *user = access_user_find(access, id);

	if (user == NULL)
		return;
	access_tokens_revoke(access, ACCESS_PERSON, id);
	check(map_remove(&access->users, number_slot(access, SPAN(""), id), user));
	user_destroy(user);
}

unsigned
access_user_permission(const struct access *access, uint64_t id)
{
	const struct access_user *user = access_user_find(access, id);

	return user ? user->permission : 0;
}

bool
access_user_has_device(const struct access *access, uint64_t user, struct span tenant,
    struct span id)
{
	const struct access_device *device = access_device_find(access, tenant, id);

	return device && device_is_of(device, user);
}

const struct access_device *
access_user_device_next(const struct access *access, uint64_t user, size_t *pos)
{
	const struct access_user *known = access_user_find(access, user);

	return known ? map_next(&known->devices, pos) : NULL;
}
