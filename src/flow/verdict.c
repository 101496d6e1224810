/*
 * verdict.c: the table of verdicts as words and sentences.
 */
#include "verdict.h"

const char *
verdict_word(uint32_t code)
{
	switch (code) {
#define X(id, number, word, text) \
	case number:              \
		return word;
		VERDICTS(X)
#undef X
	default:
		return "unknown";
	}
}

const char *
verdict_text(uint32_t code)
{
	switch (code) {
#define X(id, number, word, text) \
	case number:              \
		return text;
		VERDICTS(X)
#undef X
	default:
		return "a newer version of the server gave this verdict";
	}
}
