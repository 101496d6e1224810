/*
 * verdict.h: why an item of a report was not accepted: the codes of records (numbers on disk, never
 * reused), their words in answers, and a sentence each.
 */
#ifndef WEIR_VERDICT_H
#define WEIR_VERDICT_H

#include <stdint.h>

#define VERDICTS(X)                                                                        \
	X(UNKNOWN_DEVICE, 1, "unknown_device", "no such device is registered")             \
	X(BAD_AUTH, 2, "bad_auth", "auth, a string or an integer, is not the right one")    \
	X(INACTIVE_DEVICE, 3, "inactive_device", "the device is registered but not active") \
	X(BAD_VALUE, 4, "bad_value",                                                       \
	    "a metric must be a number within what a double holds exactly, or a boolean")  \
	X(TOO_OLD, 5, "too_old", "the reading is older than what is kept")                 \
	X(BAD_TIME, 6, "bad_time",                                                         \
	    "time must be an integer of milliseconds (Qold: seconds) or RFC 3339")         \
	X(BAD_DEVICE, 7, "bad_device", "device must be {\"id\":…} with an integer or a string") \
	X(BAD_ITEM, 8, "bad_item",                                                         \
	    "an item must be {\"device\":{…},\"readings\":[{…}]} or {…,\"reading\":{…}}")  \
	X(BAD_NAME, 9, "bad_name", "names have 1 to 255 bytes and no control characters")  \
	X(NO_VALUES, 10, "no_values", "the reading has no metric")                         \
	X(BAD_JSON, 11, "bad_json", "the line is not one JSON object")                     \
	X(BAD_LINE, 12, "bad_line", "the line is no line protocol")                        \
	X(TOO_LONG, 13, "too_long", "a line may have 1 MiB")                               \
	X(WRONG_GATEWAY, 14, "wrong_gateway", "the device is bound to another gateway")    \
	X(BAD_TOPIC, 15, "bad_topic",                                                      \
	    "topic must be a string of 1 to 64 bytes without controls")                    \
	X(TOO_MANY_SERIES, 16, "too_many_series",                                          \
	    "it would make a new series, and there are as many as may be")                 \
	X(OUT_OF_TIME, 17, "out_of_time", "the time lies further from now than is allowed")   \
	X(ERASED, 18, "erased", "its device was erased")

enum verdict {
#define X(id, number, word, text) VERDICT_##id = number,
	VERDICTS(X)
#undef X
};

/* "bad_value"; "unknown" for a number of a newer version. */
const char *verdict_word(uint32_t code);

/* A sentence without a full stop. */
const char *verdict_text(uint32_t code);

#endif
