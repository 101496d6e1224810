/*
 * server_accounts.c: what a data directory must hold before anybody can log in: the secret that
 * signs the tokens of persons; and the administrator of the demonstration, where there is one.
 *
 * Everybody knows the demonstration's password. So an ordinary server that finds this administrator
 * with that password in its data directory removes him.
 */
#include <errno.h>
#include <string.h>

#include "access_login.h"
#include "access_signing.h"
#include "check.h"
#include "demo.h"
#include "server_priv.h"

#define DEMO_TENANT SPAN("main")

struct account_unit {
	struct store_unit unit;
	struct server *server;
	struct store_user user;
	bool found, known_to_all;
};

static int
ensure_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct account_unit *ensure = CONTAINER_OF(unit, struct account_unit, unit);
	struct access_signing signing = {ensure->server->env, ensure->server->data.secret, NULL};

	return access_signing_ensure(&signing, tx, env_now_ms(ensure->server->env));
}

static int
demo_each(void *ctx, const struct store_user *user)
{
	struct account_unit *demo = ctx;

	demo->found = true;
	demo->known_to_all = access_password_check(user->hash, SPAN(DEMO_PASSWORD));
	return 0;
}

static int
remove_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct account_unit *demo = CONTAINER_OF(unit, struct account_unit, unit);

	return store_user_remove(tx, DEMO_TENANT, SPAN(DEMO_USER), &demo->user.id,
	    &demo->user.version);
}

static int
add_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct account_unit *demo = CONTAINER_OF(unit, struct account_unit, unit);

	return store_user_add(tx, &demo->user, &demo->user.id, &demo->user.version);
}

static int
demo_add(struct account_unit *demo)
{
	struct server *server = demo->server;
	char hash[ACCESS_PASSWORD_HASH_BYTES];
	int error = access_password_hash(SPAN(DEMO_PASSWORD), hash);

	if (error)
		return error;
	demo->user = (struct store_user){
	    .tenant = DEMO_TENANT,
	    .name = SPAN(DEMO_USER),
	    .permission = STORE_ADMIN,
	    .node = true,
	    .hash = span_str(hash),
	    .created_ms = env_now_ms(server->env),
	};
	demo->unit.apply = add_apply;
	return data_run(server->data.store, &demo->unit);
}

static int
demo_remove(struct account_unit *demo)
{
	log_event(demo->server->log, LOG_WARN, "demo_user_removed",
	    LOG_FIELDS(LOG_TEXT("name", DEMO_USER),
		LOG_TEXT("note", "everybody knows the password of the demonstration")));
	demo->unit.apply = remove_apply;
	return data_run(demo->server->data.store, &demo->unit);
}

int
server_accounts_prepare(struct server *server, char *ret_reason)
{
	struct store *store = server->data.store;
	struct account_unit ensure = {.unit = {.apply = ensure_apply, .urgent = true},
	    .server = server};
	struct account_unit demo = {.unit = {.urgent = true}, .server = server};
	int error = data_run(store, &ensure.unit);

	if (!error)
		error = store_user_find(store, DEMO_TENANT, SPAN(DEMO_USER), demo_each, &demo);
	if (error == -ENOENT)
		error = 0;
	if (!error && server->options.demo_key && !demo.found)
		error = demo_add(&demo);
	else if (!error && !server->options.demo_key && demo.known_to_all)
		error = demo_remove(&demo);
	if (error)
		data_explain(ret_reason, "weir.db in %s: accounts: %s", server->options.data,
		    store_error(store));
	return error;
}
