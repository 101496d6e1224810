/*
 * admin_import.h: rows of devices that come in bulk, from CSV or NDJSON.
 */
#ifndef WEIR_ADMIN_IMPORT_H
#define WEIR_ADMIN_IMPORT_H

#include "admin_things.h"
#include "registry.h"

#define IMPORT_COLUMNS_MAX 64

enum import_member {
	IMPORT_ID, IMPORT_AUTH, IMPORT_NAME, IMPORT_GROUP, IMPORT_PLACE, IMPORT_STATE,
	IMPORT_GATEWAY, IMPORT_USERS, IMPORT_CONFIG, IMPORT_MEMBERS
};

/* A column of CSV, or a member of an object. */
struct import_column {
	enum import_member member;
	struct span name;       /* of config.NAME: NAME */
};

/* How the lines are to be read. */
struct import_format {
	bool csv;
	char separator;
	size_t column_count;
	struct import_column columns[IMPORT_COLUMNS_MAX];
};

struct import_row {
	uint64_t line;          /* from 1 */
	bool given[IMPORT_MEMBERS];
	struct span text[IMPORT_MEMBERS]; /* users: names with a blank after each; config: JSON */
	bool state;
	uint64_t gateway;       /* 0: any */
	unsigned char hash[ACCESS_HASH_BYTES];
	const char *code;       /* rejected; NULL: not */
	char detail[120];
};

/* Reads the header of CSV. Refused with 422 for a column that there is not. The spans lie in the
 * call's memory. */
int admin_import_header(struct admin_call *call, struct span line,
    struct import_format *ret_format);

/* Reads a line; row->line is set. What it finds wrong it says in the row. The row's spans lie in
 * the line or in the call's memory. */
void admin_import_row_read(struct admin_call *call, const struct import_format *format,
    struct span line, struct import_row *row);

void admin_import_row_reject(struct import_row *row, const char *code,
    const char *detail_format, ...)
    __attribute__((format(printf, 3, 4)));

/* The member's word: "id", "auth" … */
const char *admin_import_member_word(enum import_member member);

#endif
