/*
 * access.c: principals, and each loop's index from hashed keys to them.
 *
 * An index belongs to its loop; a principal may be kept by anybody and is freed with its last
 * reference. It never changes: a key that is put again gets a new principal, and the old one is
 * marked revoked, so that what lives long (a stream) can see that its rights are no longer true.
 *
 * The index is looked up by the first bytes of the keyed hash. How long that takes tells nothing
 * about a key: without the node's secret nobody can choose or foresee a hash. The whole hash is
 * then compared in constant time.
 */
#include "access.h"

#include <errno.h>
#include <json.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "access_priv.h"
#include "check.h"
#include "hash.h"
#include "map.h"
#include "num.h"
#include "store.h"

#define PATTERNS_MAX 1000
#define KEY_RIGHTS ACCESS_RIGHTS_COMMON

struct entry {
	uint64_t id, version;
	unsigned char hash[ACCESS_HASH_BYTES];
	struct access_principal *principal;
};

/* ── principals ── */

struct access_principal *
access_principal_ref(struct access_principal *principal)
{
	refcount_up(&principal->refs);
	return principal;
}

void
access_principal_unref(struct access_principal *principal)
{
	if (principal && refcount_down(&principal->refs))
		free(principal);
}

static struct span
list_item(struct json_object *list, size_t at)
{
	struct json_object *text = json_object_array_get_idx(list, at);

	return span_of(json_object_get_string(text),
	    (size_t)json_object_get_string_len(text));
}

/* The strings of `list`, each behind its length, copied to *place; how many. */
static uint16_t
list_keep(char **place, struct json_object *list)
{
	size_t count = list ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < count; i++) {
		struct span item = list_item(list, i);

		*(*place)++ = (char)(unsigned char)item.len;
		span_keep(place, item);
	}
	return (uint16_t)count;
}

static size_t
list_bytes(struct json_object *list)
{
	size_t count = list ? json_object_array_length(list) : 0, bytes = count;

	for (size_t i = 0; i < count; i++)
		bytes += list_item(list, i).len;
	return bytes;
}

/* One block: the struct, its patterns, its texts. */
struct access_principal *
access_principal_create(struct span tenant, struct span prefix, struct span name,
    struct json_object *patterns, struct json_object *publish, struct span info)
{
	struct access_principal *principal = calloc(1, sizeof(*principal) + tenant.len +
	    prefix.len + name.len + info.len + list_bytes(patterns) + list_bytes(publish));
	char *place;

	if (principal == NULL)
		return NULL;
	place = (char *)(principal + 1);
	refcount_init(&principal->refs);
	principal->patterns = place;
	principal->pattern_count = list_keep(&place, patterns);
	principal->publish_at = (uint32_t)(place - principal->patterns);
	principal->publish_count = list_keep(&place, publish);
	principal->tenant = span_keep(&place, tenant);
	principal->name = span_of(place, prefix.len + name.len);
	span_keep(&place, prefix);
	span_keep(&place, name);
	principal->info_len = (uint16_t)info.len;
	span_keep(&place, info);
	return principal;
}

static bool
list_allows(const char *patterns, unsigned count, struct span name_or_pattern)
{
	if (!access_pattern_valid(name_or_pattern))
		return false;
	for (unsigned i = 0; i < count; i++) {
		struct span pattern = span_of(patterns + 1, (unsigned char)*patterns);

		if (access_pattern_contains(pattern, name_or_pattern))
			return true;
		patterns += 1 + pattern.len;
	}
	return false;
}

bool
access_may_publish(const struct access_principal *principal, struct span name)
{
	if (principal->kind != ACCESS_SUBSCRIBER)
		return access_may_channel(principal, name);
	return list_allows(principal->patterns + principal->publish_at, principal->publish_count,
	    name);
}

bool
access_may_channel(const struct access_principal *principal, struct span name_or_pattern)
{
	if (principal->pattern_count == 0 && principal->kind != ACCESS_SUBSCRIBER)
		return true;
	return list_allows(principal->patterns, principal->pattern_count, name_or_pattern);
}

/* ── the index ── */

static uint64_t
hash_slot(const unsigned char hash[ACCESS_HASH_BYTES])
{
	uint64_t slot;

	memcpy(&slot, hash, sizeof(slot));
	return slot;
}

static uint64_t
id_slot(uint64_t id)
{
	return hash64(span_of((const char *)&id, sizeof(id)), 0);
}

static bool
entry_has_hash(const void *value, const void *key)
{
	const struct entry *entry = value;

	return access_secret_equal(span_of((const char *)entry->hash, ACCESS_HASH_BYTES),
	    span_of(key, ACCESS_HASH_BYTES));
}

static bool
entry_has_id(const void *value, const void *key)
{
	return ((const struct entry *)value)->id == *(const uint64_t *)key;
}

static void
entry_destroy(struct entry *entry)
{
	if (entry == NULL)
		return;
	access_principal_unref(entry->principal);
	free(entry);
}

int
access_create(const unsigned char secret[32], struct access **ret_access)
{
	struct access *access = calloc(1, sizeof(*access));

	if (access == NULL || sodium_init() < 0)
		goto fail;
	access->secret = sodium_malloc(ACCESS_SECRET_BYTES);
	if (access->secret == NULL)
		goto fail;
	memcpy(access->secret, secret, ACCESS_SECRET_BYTES);
	sodium_mprotect_readonly(access->secret);
	access_registry_init(access);
	access->local = access_principal_create(SPAN("main"), SPAN(""), SPAN("local"), NULL, NULL,
	    SPAN(""));
	if (access->local == NULL)
		goto fail;
	access->local->kind = ACCESS_LOCAL;
	access->local->rights = KEY_RIGHTS | ACCESS_ADMIN | ACCESS_ACCOUNTS | ACCESS_NODE;
	*ret_access = access;
	return 0;

fail:
	access_destroy(access);
	return -ENOMEM;
}

void
access_destroy(struct access *access)
{
	struct entry *entry;
	size_t pos = 0;

	if (access == NULL)
		return;
	while ((entry = map_next(&access->by_id, &pos)))
		entry_destroy(entry);
	map_finish(&access->by_hash);
	map_finish(&access->by_id);
	access_registry_finish(access);
	access_principal_unref(access->local);
	sodium_free(access->secret);
	free(access);
}

void
access_principal_revoke(struct access *access, struct access_principal *principal)
{
	principal->revoked = true;
	if (atomic_load_explicit(&principal->refs, memory_order_relaxed) > 1)
		access->losses.principals++;
}

struct access_losses
access_losses(const struct access *access)
{
	return access->losses;
}

/* ── keys ── */

bool
access_patterns_valid(struct json_object *patterns)
{
	if (!json_object_is_type(patterns, json_type_array) ||
	    json_object_array_length(patterns) > PATTERNS_MAX)
		return false;
	for (size_t i = 0; i < json_object_array_length(patterns); i++) {
		struct json_object *pattern = json_object_array_get_idx(patterns, i);

		if (!json_object_is_type(pattern, json_type_string) ||
		    !access_pattern_valid(span_of(json_object_get_string(pattern),
			(size_t)json_object_get_string_len(pattern))))
			return false;
	}
	return true;
}

/* The key's list of patterns. 0 with NULL when it has none; -EINVAL when any of it is no pattern:
 * a list that cannot be read must not end up as a right to everything. */
static int
patterns_parse(struct span text, struct json_object **ret_patterns)
{
	struct json_tokener *tokener;
	struct json_object *patterns = NULL;
	bool good;

	if (text.len == 0) {
		*ret_patterns = NULL;
		return 0;
	}
	if (text.len > PATTERNS_MAX * (ACCESS_PATTERN_BYTES_MAX + 3))
		return -EINVAL;
	tokener = json_tokener_new_ex(2);
	if (tokener == NULL)
		return -ENOMEM;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	patterns = json_tokener_parse_ex(tokener, text.ptr, (int)text.len);
	good = json_tokener_get_error(tokener) == json_tokener_success &&
	    json_tokener_get_parse_end(tokener) == text.len &&
	    json_object_is_type(patterns, json_type_array);
	json_tokener_free(tokener);
	if (!good || !access_patterns_valid(patterns)) {
		json_object_put(patterns);
		return -EINVAL;
	}
	*ret_patterns = patterns;
	return 0;
}

static int
entry_create(const struct store_key *key, struct entry **ret_entry)
{
	struct json_object *patterns = NULL;
	struct entry *entry = NULL;
	int error;

	if (key->id == 0 || key->hash.len != ACCESS_HASH_BYTES || (key->rights & ~KEY_RIGHTS))
		return -EINVAL;
	error = patterns_parse(key->channels, &patterns);
	if (error)
		return error;
	entry = calloc(1, sizeof(*entry));
	if (entry)
		entry->principal = access_principal_create(key->tenant, SPAN("app-"), key->name,
		    patterns, NULL, SPAN(""));
	json_object_put(patterns);
	if (entry == NULL || entry->principal == NULL) {
		entry_destroy(entry);
		return -ENOMEM;
	}
	entry->id = entry->principal->id = key->id;
	entry->principal->rights = key->rights;
	entry->version = key->version;
	memcpy(entry->hash, key->hash.ptr, ACCESS_HASH_BYTES);
	*ret_entry = entry;
	return 0;
}

int
access_key_put(struct access *access, const struct store_key *key)
{
	const struct entry *old = map_get(&access->by_id, id_slot(key->id), entry_has_id, &key->id);
	struct entry *entry;
	int error;

	if (old && old->version > key->version)
		return 0; /* a later change is known already */
	error = entry_create(key, &entry);
	if (error)
		return error;
	/* Room first: a change that failed half way would leave a key that cannot be revoked. */
	if (map_reserve(&access->by_id, access->by_id.count + 1) ||
	    map_reserve(&access->by_hash, access->by_hash.count + 1)) {
		entry_destroy(entry);
		return -ENOMEM;
	}
	access_key_remove(access, key->id);
	check(map_add(&access->by_id, id_slot(entry->id), entry) == 0);
	check(map_add(&access->by_hash, hash_slot(entry->hash), entry) == 0);
	return 0;
}

void
access_key_remove(struct access *access, uint64_t id)
{
	struct entry *entry = map_get(&access->by_id, id_slot(id), entry_has_id, &id);

	if (entry == NULL)
		return;
	check(map_remove(&access->by_id, id_slot(id), entry));
	check(map_remove(&access->by_hash, hash_slot(entry->hash), entry));
	access_principal_revoke(access, entry->principal);
	entry_destroy(entry);
}

struct access_principal *
access_authenticate(struct access *access, struct span key)
{
	unsigned char hash[ACCESS_HASH_BYTES];
	struct entry *entry;

	if (key.len == 0)
		return NULL;
	access_key_hash(access->secret, key, hash);
	entry = map_get(&access->by_hash, hash_slot(hash), entry_has_hash, hash);
	return entry ? access_principal_ref(entry->principal) : NULL;
}

static bool
principal_is(const struct access_principal *principal, struct span tenant, struct span name)
{
	return span_eq(principal->tenant, tenant) &&
	    span_eq(span_skip(principal->name, SPAN("app-").len), name);
}

struct access_principal *
access_key_find(struct access *access, struct span which)
{
	const char *slash = which.len ? memchr(which.ptr, '/', which.len) : NULL;
	struct span tenant = span_of(which.ptr, slash ? (size_t)(slash - which.ptr) : 0);
	struct entry *entry;
	size_t pos = 0;
	uint64_t id;

	if (num_parse_u64(which, &id) == 0) {
		entry = map_get(&access->by_id, id_slot(id), entry_has_id, &id);
		if (entry)
			return access_principal_ref(entry->principal);
	}
	while ((entry = map_next(&access->by_id, &pos))) {
		if (principal_is(entry->principal, SPAN("main"), which) || (slash &&
		    principal_is(entry->principal, tenant, span_skip(which, tenant.len + 1))))
			return access_principal_ref(entry->principal);
	}
	return NULL;
}

struct access_principal *
access_local(struct access *access)
{
	return access_principal_ref(access->local);
}
