/*
 * main.c: the program `weir`. Process-wide beginnings stand here and nowhere else.
 */
#include <curl/curl.h>
#include <sodium.h>
#include <stdio.h>

#include "commands.h"

int
main(int argc, char **argv)
{
	if (sodium_init() < 0) {
		fprintf(stderr, "weir: libsodium cannot be initialised\n");
		return 1;
	}
	if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
		fprintf(stderr, "weir: libcurl cannot be initialised\n");
		return 1;
	}
	return commands_main(argc, argv);
}
