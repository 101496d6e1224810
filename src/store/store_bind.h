/*
 * store_bind.h: values into statements and out of them. Bound memory is the caller's and not
 * copied: it must last until the statement is reset.
 */
#ifndef WEIR_STORE_BIND_H
#define WEIR_STORE_BIND_H

#include <limits.h>
#include <stdint.h>
#include <sqlite3.h>

#include "check.h"
#include "span.h"

/* Binding can fail only by a wrong index or a value above SQLite's gigabyte: both bugs. */
static inline void
bind_u64(sqlite3_stmt *statement, int index, uint64_t value)
{
	check(sqlite3_bind_int64(statement, index, (sqlite3_int64)value) == SQLITE_OK);
}

static inline void
bind_i64(sqlite3_stmt *statement, int index, int64_t value)
{
	check(sqlite3_bind_int64(statement, index, value) == SQLITE_OK);
}

/* An empty span may be NULL, which SQLite would take for no value at all. */
static inline void
bind_text(sqlite3_stmt *statement, int index, struct span text)
{
	check(text.len <= INT_MAX);
	check(sqlite3_bind_text(statement, index, text.len ? text.ptr : "", (int)text.len,
	    SQLITE_STATIC) == SQLITE_OK);
}

static inline void
bind_blob(sqlite3_stmt *statement, int index, struct span bytes)
{
	check(bytes.len <= INT_MAX);
	check(sqlite3_bind_blob(statement, index, bytes.len ? bytes.ptr : "", (int)bytes.len,
	    SQLITE_STATIC) == SQLITE_OK);
}

/* Valid until the next step. The bytes are NULL also when memory is out, then len is 0. */
static inline struct span
column_span(sqlite3_stmt *statement, int column)
{
	const char *ptr = sqlite3_column_blob(statement, column);

	return span_of(ptr, ptr ? (size_t)sqlite3_column_bytes(statement, column) : 0);
}

static inline uint64_t
column_u64(sqlite3_stmt *statement, int column)
{
	return (uint64_t)sqlite3_column_int64(statement, column);
}

#endif
