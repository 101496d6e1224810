/*
 * fuzz_guests.c: what an application answers when it is asked for a guest. Holds: what is taken is
 * JSON for json-c, too, and allows no more than `allow` in it says; a guest that is made of it may
 * listen to its patterns, and to nothing where there are none.
 */
#include <json-c/json.h>
#include <string.h>

#include "access_guest.h"
#include "check.h"
#include "guests_answer.h"
#include "utf8.h"

enum { DEPTH_MAX = 70 }; /* more than is read here */

static struct json_object *
parse(struct span text)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *object;
	check(tokener);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, text.ptr, (int)text.len);
	/* A number at the end would not be over; an object is. */
	check(json_tokener_get_error(tokener) == json_tokener_success);
	json_tokener_free(tokener);
	return object;
}

static void
check_list(const struct span *items, size_t count, struct json_object *list)
{
	check(json_object_is_type(list, json_type_array));
	check(json_object_array_length(list) == count && count <= GUESTS_ANSWER_PATTERNS_MAX);
	for (size_t i = 0; i < count; i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		check(utf8_valid(items[i]));
		check(span_eq(items[i], span_of(json_object_get_string(item),
		    (size_t)json_object_get_string_len(item))));
	}
}

static void
check_permission(const struct guests_answer *answer, struct span text)
{
	struct json_object *object = parse(text), *allow = NULL;
	check(json_object_is_type(object, json_type_object));
	check(json_object_object_get_ex(object, "allow", &allow));
	if (json_object_is_type(allow, json_type_boolean))
		check(answer->allows_all == json_object_get_boolean(allow));
	else
		check_list(answer->patterns, answer->pattern_count, allow);
	check(answer->allows == (answer->allows_all || answer->pattern_count > 0));
	json_object_put(object);
}

static void
check_guest(const struct guests_answer *answer)
{
	struct access_principal *principal;
	struct access_guest guest = {
		.tenant = SPAN("main"), .user = answer->user, .patterns = answer->patterns,
		.pattern_count = answer->pattern_count, .publish = answer->publish,
		.publish_count = answer->publish_count,
	};
	if (access_guest_create(&guest, &principal))
		return;
	check(principal->pattern_count == answer->pattern_count);
	for (size_t i = 0; i < answer->pattern_count; i++)
		check(access_may_channel(principal, answer->patterns[i]));
	check(answer->pattern_count || !access_may_channel(principal, SPAN("a")));
	access_principal_unref(principal);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of((const char *)data, size);
	struct guests_answer answer;
	const char *why = NULL;
	for (int refusal = 0; refusal < 2; refusal++) {
		if (guests_answer_read(text, refusal, &answer, &why)) {
			check(why);
			continue;
		}
		if (!refusal)
			check_permission(&answer, text);
		check_guest(&answer);
		guests_answer_finish(&answer);
	}
	return 0;
}
