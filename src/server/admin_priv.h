/*
 * admin_priv.h: what the commands of `weir admin` share.
 */
#ifndef WEIR_ADMIN_PRIV_H
#define WEIR_ADMIN_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "access.h"
#include "access_login.h"
#include "buf.h"
#include "data.h"
#include "http_client.h"
#include "json.h"
#include "registry.h"

#define ADMIN_NAME_BYTES_MAX STORE_NAME_BYTES_MAX

/* One call of a command. */
struct admin {
	const char *data, *name, *rights, *channels, *file;
	uint32_t right_bits;
	struct buf channels_json; /* empty: all */
	char password[ACCESS_PASSWORD_BYTES_MAX + 1];
	struct env *env;
	struct data opened;       /* when no server runs */
};

/* Options beside --data. */
enum { ADMIN_NAMES = 1, ADMIN_GRANTS = 2, ADMIN_PASSWORDS = 4 };

struct admin_verb {
	const char *name;
	/* Looks at what was asked for; false: it said what is wrong. NULL: there is nothing to. */
	bool (*prepare)(struct admin *admin);
	/* Return an exit code, having said what is wrong. */
	int (*online)(struct admin *admin, struct http_client **ret_client);
	int (*offline)(struct admin *admin);
	unsigned takes;
	const char *usage, *help;
};

/* Each ends with an entry whose name is NULL. */
extern const struct admin_verb admin_account_verbs[];
extern const struct admin_verb admin_key_verbs[];
extern const struct admin_verb admin_secret_verbs[];

/* One sentence on stderr. Always 1, the exit code. */
int admin_say(const char *sentence);
int admin_say_error(const char *what, int error);

/* Asks the server; 0 with *ret_reply, or an exit code after saying why. */
int admin_ask(struct admin *admin, struct http_client **ret_client, const char *method,
    const char *target, struct span body, struct http_client_reply *ret_reply);

/* Member `name` of an object, a string without escapes; ptr NULL: there is none. */
struct span admin_member_text(struct span document, struct span name);

#endif
