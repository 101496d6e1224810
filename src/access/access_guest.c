/*
 * access_guest.c: principals of guests. Their lists go through the same checks as those of tokens.
 */
#include "access_guest.h"

#include <errno.h>
#include <json.h>
#include <stdlib.h>
#include <string.h>

#include "access_priv.h"
#include "check.h"

/* What such a principal may listen to and publish to. */
struct lists {
	struct json_object *patterns, *publish;
};

static void
lists_put(struct lists *lists)
{
	json_object_put(lists->patterns);
	json_object_put(lists->publish);
}

static int
lists_get(struct lists *ret_lists)
{
	*ret_lists = (struct lists){json_object_new_array(), json_object_new_array()};
	return ret_lists->patterns && ret_lists->publish ? 0 : -ENOMEM;
}

static int
add_item(struct json_object *list, struct span item)
{
	struct json_object *text = json_object_new_string_len(item.ptr, (int)item.len);
	if (text && json_object_array_add(list, text) == 0)
		return 0;
	json_object_put(text);
	return -ENOMEM;
}

static int
add_items(struct json_object *list, const struct span *items, size_t count)
{
	int error = count > ACCESS_GUEST_PATTERNS_MAX ? -EINVAL : 0;
	for (size_t i = 0; i < count && !error; i++)
		error = add_item(list, items[i]);
	return error;
}

/* Of a principal: each behind its length. */
static int
add_kept(struct json_object *list, const char *at, size_t count)
{
	int error = 0;
	for (size_t i = 0; i < count && !error; i++) {
		size_t len = (unsigned char)*at;
		error = add_item(list, span_of(at + 1, len));
		at += 1 + len;
	}
	return error;
}

static int
add_principal(struct lists *lists, const struct access_principal *principal)
{
	int error = add_kept(lists->patterns, principal->patterns, principal->pattern_count);
	return error ? error : add_kept(lists->publish,
	    principal->patterns + principal->publish_at, principal->publish_count);
}

static int
principal_create(struct span tenant, struct span user, int64_t expires_ms,
    const struct lists *lists, struct access_principal **ret_principal)
{
	struct access_principal *principal;
	if (!access_patterns_valid(lists->patterns) || !access_patterns_valid(lists->publish))
		return -EINVAL;
	principal = access_principal_create(tenant, SPAN("sub-"), user, lists->patterns,
	    lists->publish, SPAN(""));
	if (!principal)
		return -ENOMEM;
	principal->kind = ACCESS_SUBSCRIBER;
	principal->expires_ms = expires_ms;
	principal->rights = (principal->pattern_count ? ACCESS_SUBSCRIBE : 0) |
	    (principal->publish_count ? ACCESS_PUBLISH : 0);
	*ret_principal = principal;
	return 0;
}

int
access_guest_create(const struct access_guest *guest, struct access_principal **ret_principal)
{
	struct lists lists;
	if (!access_name_plain(guest->user))
		return -EINVAL;
	int error = lists_get(&lists);
	if (!error)
		error = add_items(lists.patterns, guest->patterns, guest->pattern_count);
	if (!error)
		error = add_items(lists.publish, guest->publish, guest->publish_count);
	if (!error)
		error = principal_create(guest->tenant, guest->user, guest->expires_ms, &lists,
		    ret_principal);
	lists_put(&lists);
	return error;
}

int
access_guest_join(const struct access_principal *earlier, const struct access_principal *later,
    struct access_principal **ret_principal)
{
	struct lists lists;
	bool ends = earlier->expires_ms &&
	    (!later->expires_ms || earlier->expires_ms < later->expires_ms);
	check(earlier->kind == ACCESS_SUBSCRIBER && later->kind == ACCESS_SUBSCRIBER);
	int error = lists_get(&lists);
	if (!error)
		error = add_principal(&lists, earlier);
	if (!error)
		error = add_principal(&lists, later);
	if (!error)
		error = principal_create(later->tenant, span_skip(later->name, strlen("sub-")),
		    ends ? earlier->expires_ms : later->expires_ms, &lists, ret_principal);
	lists_put(&lists);
	return error;
}
