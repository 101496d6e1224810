/*
 * influx.c: /query, as far as agents that write line protocol ask it before they write: which
 * databases there are, and to make one. There is one, whatever it is called.
 */
#include "api_priv.h"
#include "check.h"
#include "http1.h"

/* Whether the statement begins with these words, in any case, with blanks between. */
static bool
begins(struct span statement, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct span word = span_str(words[i]);
		while (statement.len && memchr(" \t\r\n", statement.ptr[0], 4))
			statement = span_skip(statement, 1);
		if (statement.len < word.len ||
		    !span_eq_nocase(span_of(statement.ptr, word.len), word))
			return false;
		statement = span_skip(statement, word.len);
		if (statement.len && !memchr(" \t\r\n;", statement.ptr[0], 5))
			return false;
	}
	return true;
}

static void
statement_answer(struct session_request *request, struct span statement)
{
	static const char *const show[] = {"SHOW", "DATABASES"};
	static const char *const create[] = {"CREATE", "DATABASE"};
	if (begins(statement, show, ARRAY_COUNT(show)))
		session_answer(request, 200, "application/json",
		    SPAN("{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"databases\","
			 "\"columns\":[\"name\"],\"values\":[[\"weir\"]]}]}]}\n"));
	else if (begins(statement, create, ARRAY_COUNT(create)))
		session_answer(request, 200, "application/json",
		    SPAN("{\"results\":[{\"statement_id\":0}]}\n"));
	else
		session_answer(request, 400, "application/json",
		    SPAN("{\"error\":\"only SHOW DATABASES and CREATE DATABASE are answered; "
			 "read with GET /api/v1/query\"}\n"));
}

/* q stands in the URL, or in a form. */
static void
query_end(struct session_request *request, struct span whole)
{
	struct span statement = session_query(request, "q"), name, value;
	char text[256] = "";
	while (!statement.ptr && http1_query_next(&whole, &name, &value)) {
		if (!span_eq(name, SPAN("q")) || value.len > sizeof text)
			continue;
		ssize_t len = http1_url_decode(value, true, text);
		statement = span_of(text, len > 0 ? (size_t)len : 0);
	}
	statement_answer(request, statement);
}

static const struct session_route_ops query_ops = {.end = query_end};

static const struct session_doc query_doc = {
	.help = "For agents that were made for InfluxDB.",
	.query = {
		{"q?", "string", "SHOW DATABASES or CREATE DATABASE; may be in a form, too."},
		{"db?", "string", "Ignored."},
		{"u?", "string", "A user; with p, credentials as of /write."},
		{"p?", "string", "The password: a key."},
	},
	.body = {"*/* string"},
	.answers = {
		{200, "{results: [any]}", "As InfluxDB 1 answers."},
		{400, "{error: string}", "Another statement."},
		{400, "application/problem+json Problem", ""},
	},
};

const struct session_route api_influx_routes[] = {
	{
		.path = "/query",
		.methods = SESSION_GET | SESSION_POST,
		.rights = ACCESS_WRITE,
		.ops = &query_ops,
		.summary = "SHOW DATABASES and CREATE DATABASE, for old agents",
		.doc = &query_doc,
	},
	{.path = NULL},
};
