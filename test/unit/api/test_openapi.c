/*
 * The OpenAPI document says of every route what a client must know, and nothing of what is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "openapi.h"
#include "openapi_priv.h"
#include "openapi_type.h"

#define ROUTES_MAX 256

struct document {
	struct openapi *openapi;
	struct json_object *root;
};

static int
setup(void **state)
{
	static struct document document;
	assert_int_equal(openapi_create(api_groups, &document.openapi), 0);
	struct span json = openapi_json(document.openapi);
	struct json_tokener *tokener = json_tokener_new();
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	document.root = json_tokener_parse_ex(tokener, json.ptr, (int)json.len);
	assert_int_equal(json_tokener_get_error(tokener), json_tokener_success);
	assert_int_equal(json_tokener_get_parse_end(tokener), json.len);
	json_tokener_free(tokener);
	*state = &document;
	return 0;
}

static int
teardown(void **state)
{
	struct document *document = *state;
	json_object_put(document->root);
	openapi_destroy(document->openapi);
	return 0;
}

/* ── looking things up ── */

static size_t
routes_all(const struct session_route *routes[ROUTES_MAX])
{
	const struct session_route *tables[API_TABLES_MAX];
	size_t counts[API_TABLES_MAX], count = 0;
	size_t table_count = api_routes(tables, counts);
	for (size_t i = 0; i < table_count; i++)
		for (size_t k = 0; k < counts[i]; k++) {
			assert_true(count < ROUTES_MAX);
			routes[count++] = &tables[i][k];
		}
	return count;
}

static struct json_object *
get(struct json_object *object, const char *name)
{
	struct json_object *value;
	if (!object || !json_object_object_get_ex(object, name, &value))
		return NULL;
	return value;
}

static struct json_object *
path_item(const struct document *document, const char *path)
{
	struct buf text;
	buf_init(&text, 0);
	openapi_path(&text, path);
	buf_append_byte(&text, '\0');
	text.ptr[text.len - 2] = '\0';
	struct json_object *item = get(get(document->root, "paths"), text.ptr + 1);
	if (!item)
		print_error("%s: not in the document\n", path);
	assert_non_null(item);
	buf_finish(&text);
	return item;
}

static const struct {
	unsigned bit;
	const char *word;
} methods[] = {{SESSION_GET, "get"}, {SESSION_POST, "post"}, {SESSION_PUT, "put"},
    {SESSION_DELETE, "delete"}};

/* Where the parameter stands in an operation, or NULL. */
static struct json_object *
find_param(struct json_object *operation, const char *in, struct span name)
{
	struct json_object *params = get(operation, "parameters");
	for (size_t i = 0; i < json_object_array_length(params); i++) {
		struct json_object *param = json_object_array_get_idx(params, i);
		if (strcmp(json_object_get_string(get(param, "in")), in) == 0 &&
		    span_eq(span_str(json_object_get_string(get(param, "name"))), name))
			return param;
	}
	return NULL;
}

static bool
type_is_good(const char *type)
{
	struct buf out;
	buf_init(&out, 0);
	bool good = openapi_type_write(type, &out);
	buf_finish(&out);
	return good;
}

/* ── every route ── */

static void
every_route_has_a_summary_and_a_doc(void **state)
{
	const struct session_route *routes[ROUTES_MAX];
	size_t count = routes_all(routes);
	(void)state;
	assert_true(count > 10);
	for (size_t i = 0; i < count; i++) {
		if (!routes[i]->doc || !routes[i]->summary)
			print_error("%s: no doc or summary\n", routes[i]->path);
		assert_non_null(routes[i]->doc);
		assert_non_null(routes[i]->summary);
		assert_int_not_equal(routes[i]->doc->answers[0].status, 0);
	}
}

static void
every_route_and_method_is_in_the_document_and_nothing_else(void **state)
{
	const struct session_route *routes[ROUTES_MAX];
	size_t count = routes_all(routes), expected = 0, found = 0;
	for (size_t i = 0; i < count; i++) {
		struct json_object *item = path_item(*state, routes[i]->path);
		unsigned known = 0;
		for (size_t k = 0; k < ARRAY_COUNT(methods); k++) {
			if (!(routes[i]->methods & methods[k].bit))
				continue;
			struct json_object *operation = get(item, methods[k].word);
			assert_non_null(operation);
			assert_string_equal(json_object_get_string(get(operation, "summary")),
			    routes[i]->summary);
			known |= methods[k].bit;
			expected++;
		}
		assert_int_equal(known, routes[i]->methods);
	}
	struct json_object *paths = get(((struct document *)*state)->root, "paths");
	struct json_object_iter path;
	json_object_object_foreachC(paths, path)
		found += (size_t)json_object_object_length(path.val);
	assert_int_equal(found, expected);
}

static void
every_path_parameter_is_described_and_no_other(void **state)
{
	const struct session_route *routes[ROUTES_MAX];
	size_t count = routes_all(routes);
	for (size_t i = 0; i < count; i++) {
		const struct session_doc *doc = routes[i]->doc;
		const char *open = strchr(routes[i]->path, '{');
		struct json_object *item = path_item(*state, routes[i]->path);
		for (; open; open = strchr(open + 1, '{')) {
			struct span name = span_of(open + 1, strcspn(open + 1, ".}"));
			struct json_object_iter at;
			json_object_object_foreachC(item, at) {
				struct json_object *param = find_param(at.val, "path", name);
				assert_non_null(param);
				assert_true(json_object_get_boolean(get(param, "required")));
				if (!get(param, "description"))
					print_error("%s: %.*s\n", routes[i]->path, SPAN_ARG(name));
				assert_non_null(get(param, "description"));
			}
		}
		for (size_t k = 0; k < ARRAY_COUNT(doc->path) && doc->path[k].name; k++) {
			char text[80];
			snprintf(text, sizeof text, "{%s", doc->path[k].name);
			assert_non_null(strstr(routes[i]->path, text));
		}
	}
}

static void
check_params(const struct session_route *route, const struct session_doc_param *params,
    size_t count)
{
	for (size_t i = 0; i < count && params[i].name; i++) {
		if (!params[i].type || !type_is_good(params[i].type) || !params[i].help)
			print_error("%s: parameter %s\n", route->path, params[i].name);
		assert_true(params[i].type && type_is_good(params[i].type) && params[i].help);
	}
}

static void
every_parameter_has_a_type_and_a_sentence(void **state)
{
	const struct session_route *routes[ROUTES_MAX];
	size_t count = routes_all(routes);
	(void)state;
	for (size_t i = 0; i < count; i++) {
		const struct session_doc *doc = routes[i]->doc;
		check_params(routes[i], doc->path, ARRAY_COUNT(doc->path));
		check_params(routes[i], doc->query, ARRAY_COUNT(doc->query));
		check_params(routes[i], doc->headers, ARRAY_COUNT(doc->headers));
	}
}

static void
rows_of_one_status_stand_together(void **state)
{
	const struct session_route *routes[ROUTES_MAX];
	size_t count = routes_all(routes);
	(void)state;
	for (size_t i = 0; i < count; i++) {
		const struct session_doc_answer *answers = routes[i]->doc->answers;
		size_t last = ARRAY_COUNT(routes[i]->doc->answers);
		for (size_t k = 1; k < last && answers[k].status; k++)
			if (answers[k].status != answers[k - 1].status)
				for (size_t before = 0; before < k; before++)
					assert_int_not_equal(answers[before].status,
					    answers[k].status);
	}
}

/* ── the whole ── */

/* Every "$ref" below the value leads to something in the document. */
static void
check_references(struct json_object *root, struct json_object *value)
{
	if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++)
			check_references(root, json_object_array_get_idx(value, i));
		return;
	}
	if (!json_object_is_type(value, json_type_object))
		return;
	struct json_object_iter at;
	json_object_object_foreachC(value, at) {
		if (strcmp(at.key, "$ref") == 0) {
			struct json_object *target;
			assert_int_equal(json_pointer_get(root,
				json_object_get_string(at.val) + 1, &target), 0);
		}
		check_references(root, at.val);
	}
}

static void
every_reference_leads_somewhere(void **state)
{
	const struct document *document = *state;
	check_references(document->root, document->root);
}

static void
every_schema_is_used_and_in_order(void **state)
{
	const struct document *document = *state;
	const char *text = json_object_to_json_string_ext(document->root,
	    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	for (size_t i = 0; openapi_schemas[i].name; i++) {
		char reference[100];
		snprintf(reference, sizeof reference, "\"#/components/schemas/%s\"",
		    openapi_schemas[i].name);
		if (!strstr(text, reference))
			print_error("%s is not used\n", openapi_schemas[i].name);
		assert_non_null(strstr(text, reference));
		assert_true(type_is_good(openapi_schemas[i].type));
		if (i > 0)
			assert_true(strcmp(openapi_schemas[i - 1].name,
				openapi_schemas[i].name) < 0);
	}
}

static void
every_operation_has_its_own_id_and_a_known_tag(void **state)
{
	const struct document *document = *state;
	struct json_object *seen = json_object_new_object();
	struct json_object *tags = json_object_new_object();
	struct json_object *list = get(document->root, "tags");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const char *name =
		    json_object_get_string(get(json_object_array_get_idx(list, i), "name"));
		assert_null(get(tags, name));
		json_object_object_add(tags, name, json_object_new_boolean(true));
	}
	struct json_object_iter path, method;
	json_object_object_foreachC(get(document->root, "paths"), path) {
		json_object_object_foreachC(path.val, method) {
			struct json_object *operation = method.val;
			const char *id = json_object_get_string(get(operation, "operationId"));
			assert_null(get(seen, id));
			json_object_object_add(seen, id, json_object_new_boolean(true));
			assert_non_null(get(tags, json_object_get_string(
			    json_object_array_get_idx(get(operation, "tags"), 0))));
		}
	}
	json_object_put(seen);
	json_object_put(tags);
}

static void
rights_show_as_credentials_401_and_403(void **state)
{
	const struct session_route *routes[ROUTES_MAX];
	size_t count = routes_all(routes);
	for (size_t i = 0; i < count; i++) {
		struct json_object *item = path_item(*state, routes[i]->path);
		for (size_t k = 0; k < ARRAY_COUNT(methods); k++) {
			if (!(routes[i]->methods & methods[k].bit))
				continue;
			struct json_object *operation = get(item, methods[k].word);
			struct json_object *answers = get(operation, "responses");
			size_t rights = json_object_array_length(get(operation, "x-rights"));
			assert_int_equal(rights, __builtin_popcount(routes[i]->rights));
			if (rights == 0)
				continue;
			/* One more, {}: they may come in the body. */
			assert_int_equal(json_object_array_length(get(operation, "security")),
			    routes[i]->body_credentials ? 4 : 3);
			assert_non_null(get(answers, "401"));
			assert_non_null(get(answers, "403"));
		}
	}
}

static void
made_twice_it_has_the_same_etag(void **state)
{
	const struct document *document = *state;
	struct openapi *again;
	assert_int_equal(openapi_create(api_groups, &again), 0);
	assert_true(span_eq(openapi_json(again), openapi_json(document->openapi)));
	assert_true(span_eq(openapi_etag(again), openapi_etag(document->openapi)));
	assert_int_equal(openapi_etag(again).len, 18);
	openapi_destroy(again);
	openapi_destroy(NULL);
}

/* ── routes of our own ── */

static const struct session_doc full_doc = {
	.help = "Says \"more\".",
	.path = {{"id", "integer", "The id."}},
	.query = {{"q?", "'a'|'b'", "Either."}, {"must", "[string]", "Several."}},
	.body = {"{a: string}", "text/csv string"},
	.answers = {
		{200, "any", "JSON or CSV."},
		{200, "text/csv string", ""},
		{400, "text/plain string", "Not as elsewhere."},
		{404, "", "None."},
	},
};

static const struct session_route own_get[] = {
	{.path = "/x/{id}/{rest...}", .methods = SESSION_GET, .rights = ACCESS_READ,
	    .summary = "One", .doc = &full_doc},
	{.path = NULL},
};

static const struct session_route own_put[] = {
	{.path = "/x/{id}/{rest...}", .methods = SESSION_PUT, .summary = "Two"},
	{.path = NULL},
};

static const struct api_group own_groups[] = {
	{"First", "It.", own_get}, {"Second", "That.", own_put}, {.name = NULL},
};

static void
rows_of_one_path_become_one_and_keep_their_group(void **state)
{
	struct openapi *openapi;
	(void)state;
	assert_int_equal(openapi_create(own_groups, &openapi), 0);
	struct span json = openapi_json(openapi);
	char *text = span_dup(json);
	struct json_object *root = json_tokener_parse(text);
	struct json_object *paths = get(root, "paths");
	assert_int_equal(json_object_object_length(paths), 1);
	struct json_object *item = get(paths, "/x/{id}/{rest}");
	assert_non_null(get(item, "get"));
	assert_string_equal(json_object_get_string(get(get(item, "get"), "tags")), "[ \"First\" ]");
	assert_string_equal(json_object_get_string(get(get(item, "put"), "tags")),
	    "[ \"Second\" ]");
	json_object_put(root);
	free(text);
	openapi_destroy(openapi);
}

static void
a_doc_is_written_member_by_member(void **state)
{
	static const char *const parts[] = {
		"\"operationId\":\"get_root_x_id_rest\",\"summary\":\"One\"",
		"\"description\":\"Says \\\"more\\\".\"",
		"{\"name\":\"id\",\"in\":\"path\",\"required\":true,\"description\":\"The id.\","
		"\"schema\":{\"type\":\"integer\"}}",
		"{\"name\":\"rest\",\"in\":\"path\",\"required\":true,"
		"\"schema\":{\"type\":\"string\"}}",
		"{\"name\":\"q\",\"in\":\"query\",\"description\":\"Either.\","
		"\"schema\":{\"anyOf\":[{\"const\":\"a\"},{\"const\":\"b\"}]}}",
		"{\"name\":\"must\",\"in\":\"query\",\"required\":true,",
		"\"requestBody\":{\"required\":true,\"content\":{\"application/json\":{\"schema\":"
		"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},"
		"\"required\":[\"a\"]}},\"text/csv\":{\"schema\":{\"type\":\"string\"}}}}",
		"\"200\":{\"description\":\"JSON or CSV.\",\"content\":{\"application/json\":"
		"{\"schema\":{}},\"text/csv\":{\"schema\":{\"type\":\"string\"}}}}",
		"\"400\":{\"description\":\"Not as elsewhere.\",\"content\":{\"text/plain\":",
		"\"404\":{\"description\":\"None.\",\"content\":{\"application/problem+json\":",
		"\"401\":{\"$ref\":\"#/components/responses/Unauthorized\"}",
		"\"413\":{\"$ref\":\"#/components/responses/TooLarge\"}",
		"\"x-rights\":[\"read\"]",
	};
	struct buf out;
	(void)state;
	buf_init(&out, 0);
	openapi_operation(&out, &own_groups[0], &own_get[0], SESSION_GET);
	buf_append_byte(&out, '\0');
	for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
		if (!strstr(out.ptr, parts[i]))
			print_error("%s\nis not in\n%s\n", parts[i], out.ptr);
		assert_non_null(strstr(out.ptr, parts[i]));
	}
	buf_finish(&out);
}

/* ── the notation ── */

static void
types_become_schemas(void **state)
{
	static const char *const cases[][2] = {
		{"string", "{\"type\":\"string\"}"},
		{"any", "{}"},
		{" [ integer ] ", "{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}"},
		{"Problem", "{\"$ref\":\"#/components/schemas/Problem\"}"},
		{"'a b'", "{\"const\":\"a b\"}"},
		{"[string|null]|number", "{\"anyOf\":[{\"type\":\"array\",\"items\":{\"anyOf\":["
		    "{\"type\":\"string\"},{\"type\":\"null\"}]}},{\"type\":\"number\"}]}"},
		{"{a: any, b?: {c: [null]}}", "{\"type\":\"object\",\"properties\":{\"a\":{},"
		    "\"b\":{\"type\":\"object\",\"properties\":{\"c\":{\"type\":\"array\","
		    "\"items\":{\"type\":\"null\"}}},\"required\":[\"c\"]}},"
		    "\"required\":[\"a\"]}"},
		{"{*: boolean|'x'}", "{\"type\":\"object\",\"properties\":{},"
		    "\"additionalProperties\":{\"anyOf\":[{\"type\":\"boolean\"},"
		    "{\"const\":\"x\"}]}}"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct buf out;
		buf_init(&out, 0);
		assert_true(openapi_type_write(cases[i][0], &out));
		buf_append_byte(&out, '\0');
		assert_string_equal(out.ptr, cases[i][1]);
		buf_finish(&out);
	}
}

static void
what_is_no_type_is_refused(void **state)
{
	static const char *const cases[] = {"", " ", "text", "Nobody", "string string", "[string",
	    "string]", "[]", "{}", "{a}", "{a:}", "{a: string,}", "{a: string", "{?: string}",
	    "{*: any, *: any}", "'a", "string|", "|string", "string||null", "{a:: string}"};
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		if (type_is_good(cases[i]))
			print_error("'%s' was taken\n", cases[i]);
		assert_false(type_is_good(cases[i]));
	}
}

static void
memory_that_is_out_shows_in_the_buffer(void **state)
{
	(void)state;
	for (size_t limit = 1; limit < 2000; limit += 7) {
		struct buf out;
		buf_init(&out, limit);
		openapi_operation(&out, &own_groups[0], &own_get[0], SESSION_GET);
		if (buf_ok(&out))
			assert_true(limit > 1000);
		assert_true(out.len <= limit);
		buf_finish(&out);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_route_has_a_summary_and_a_doc),
		cmocka_unit_test(every_route_and_method_is_in_the_document_and_nothing_else),
		cmocka_unit_test(every_path_parameter_is_described_and_no_other),
		cmocka_unit_test(every_parameter_has_a_type_and_a_sentence),
		cmocka_unit_test(rows_of_one_status_stand_together),
		cmocka_unit_test(every_reference_leads_somewhere),
		cmocka_unit_test(every_schema_is_used_and_in_order),
		cmocka_unit_test(every_operation_has_its_own_id_and_a_known_tag),
		cmocka_unit_test(rights_show_as_credentials_401_and_403),
		cmocka_unit_test(made_twice_it_has_the_same_etag),
		cmocka_unit_test(rows_of_one_path_become_one_and_keep_their_group),
		cmocka_unit_test(a_doc_is_written_member_by_member),
		cmocka_unit_test(types_become_schemas),
		cmocka_unit_test(what_is_no_type_is_refused),
		cmocka_unit_test(memory_that_is_out_shows_in_the_buffer),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
