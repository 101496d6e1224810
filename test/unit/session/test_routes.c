/*
 * The table of routes: which route a path means, and which tables are refused.
 */
#include "world.h"

#include "routes.h"

static const struct session_route routes[] = {
	{.path = "/", .methods = SESSION_GET},
	{.path = "/a", .methods = SESSION_GET},
	{.path = "/a", .methods = SESSION_POST | SESSION_PUT},
	{.path = "/a/b/c", .methods = SESSION_GET},
	{.path = "/a/{x}", .methods = SESSION_GET},
	{.path = "/a/{x}/d/{y}", .methods = SESSION_GET},
	{.path = "/files/{path...}", .methods = SESSION_GET},
	{.path = "/files/list", .methods = SESSION_GET},
};

static struct session_routes *
make(void)
{
	const struct session_route *const tables[] = {routes};
	const size_t counts[] = {ARRAY_COUNT(routes)};
	struct session_routes *made;
	assert_int_equal(session_routes_create(tables, counts, 1, &made), 0);
	return made;
}

static void
paths_find_their_routes(void **state)
{
	(void)state;
	static const struct {
		const char *path, *route, *params;
		int result;
	} cases[] = {
		{"/", "/", "", 0},
		{"/a", "/a", "", 0},
		{"/%61", "/a", "", 0},
		{"/a/b", "/a/{x}", "b,", 0},
		{"/a/b/c", "/a/b/c", "", 0},
		{"/a/b/d/e", "/a/{x}/d/{y}", "b,e,", 0},
		{"/a/b%2Fc", "/a/{x}", "b/c,", 0},
		{"/a/%c3%bc", "/a/{x}", "ü,", 0},
		{"/files/x/y//z", "/files/{path...}", "x/y//z,", 0},
		{"/files/list", "/files/list", "", 0},
		{"/files/list/x", "/files/{path...}", "list/x,", 0},
		{"/files/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28"
		    "/29/30/31/32/33/34", "/files/{path...}", NULL, 0},
		{"/files/", NULL, NULL, -ENOENT},
		{"/files", NULL, NULL, -ENOENT},
		{"/a/", NULL, NULL, -ENOENT},
		{"/b", NULL, NULL, -ENOENT},
		{"//a", NULL, NULL, -ENOENT},
		{"/a/b/c/d", NULL, NULL, -ENOENT},
		{"*", NULL, NULL, -ENOENT},
		{"", NULL, NULL, -ENOENT},
		{"/a/%zz", NULL, NULL, -EINVAL},
		{"/a/%4", NULL, NULL, -EINVAL},
		{"/a/%00", NULL, NULL, -EINVAL},
	};
	struct session_routes *made = make();
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char decoded[256];
		struct routes_match match = {0};
		int result = routes_match(made, span_str(cases[i].path), decoded, &match);
		assert_int_equal(result, cases[i].result);
		if (result)
			continue;
		assert_string_equal(match.routes[0]->path, cases[i].route);
		struct buf params;
		buf_init(&params, 0);
		for (size_t k = 0; k < match.param_count; k++) {
			buf_append_span(&params, match.params[k]);
			buf_append_byte(&params, ',');
		}
		if (cases[i].params)
			assert_true(span_eq(buf_span(&params), span_str(cases[i].params)));
		buf_finish(&params);
	}
	session_routes_destroy(made);
}

static void
methods_of_a_path_are_gathered(void **state)
{
	(void)state;
	struct session_routes *made = make();
	char decoded[16];
	struct routes_match match;
	assert_int_equal(routes_match(made, SPAN("/a"), decoded, &match), 0);
	assert_int_equal(match.route_count, 2);
	assert_int_equal(match.methods, SESSION_GET | SESSION_HEAD | SESSION_POST | SESSION_PUT);
	session_routes_destroy(made);
	session_routes_destroy(NULL);
}

static void
routes_that_collide_are_refused(void **state)
{
	(void)state;
	static const struct session_route one[] = {{.path = "/x/{a}", .methods = SESSION_GET}};
	static const struct session_route two[] = {{.path = "/x/{b}", .methods = SESSION_HEAD}};
	const struct session_route *const tables[] = {one, two};
	const size_t counts[] = {1, 1};
	struct session_routes *made;
	assert_int_equal(session_routes_create(tables, counts, 2, &made), -EEXIST);
}

static void
parameters_have_their_places(void **state)
{
	(void)state;
	assert_int_equal(routes_param_index(&routes[5], "x"), 0);
	assert_int_equal(routes_param_index(&routes[5], "y"), 1);
	assert_int_equal(routes_param_index(&routes[5], "z"), -1);
	assert_int_equal(routes_param_index(&routes[6], "path"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_find_their_routes),
		cmocka_unit_test(methods_of_a_path_are_gathered),
		cmocka_unit_test(routes_that_collide_are_refused),
		cmocka_unit_test(parameters_have_their_places),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
