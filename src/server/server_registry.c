/*
 * server_registry.c: the registry on its way to every loop: all of it at start, each change after
 * its commit.
 *
 * Invariants: changes reach every loop in the order of their versions, because only the store's
 * thread sends them; whoever made a change hears of it after every loop has applied it. A loop that
 * went on with rights that were taken would be worse than none: memory out here ends the process.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "access_registry.h"
#include "check.h"
#include "num.h"
#include "registry.h"
#include "server_priv.h"

/* ── at start ── */

/* What cannot be read gives nobody a right, and the rest is served. */
static int
forgive(struct server *server, int error, const char *what, uint64_t id)
{
	if (error != -EINVAL && error != -EBADMSG)
		return error;
	log_event(server->log, LOG_ERROR, "registry_unreadable",
	    LOG_FIELDS(LOG_TEXT("what", what), LOG_NUMBER("id", id)));
	return 0;
}

static int
secret_load(void *ctx, const struct store_secret *secret)
{
	struct server *server = ctx;
	return forgive(server, access_change_secret(server->registry, secret), "secret",
	    secret->id);
}

static int
user_load(void *ctx, const struct store_user *user)
{
	struct server *server = ctx;
	return forgive(server, access_change_user(server->registry, user), "user", user->id);
}

static int
key_load(void *ctx, const struct store_key *key)
{
	struct server *server = ctx;
	return forgive(server, access_change_key(server->registry, key), "key", key->id);
}

static int
gateway_load(void *ctx, const struct store_gateway *gateway)
{
	struct server *server = ctx;
	return forgive(server, access_change_gateway(server->registry, gateway), "gateway",
	    gateway->id);
}

static int
device_load(void *ctx, const struct store_device *device)
{
	struct server *server = ctx;
	uint64_t id = 0;
	(void)num_parse_u64(device->id, &id);
	return forgive(server, access_change_device(server->registry, device), "device", id);
}

int
server_registry_load(struct server *server)
{
	struct store *store = server->data.store;
	server->registry = access_change_create(server->data.secret);
	if (!server->registry)
		return -ENOMEM;
	/* Devices come after the users that they are given to. */
	int error = store_secrets_load(store, secret_load, server);
	if (!error)
		error = store_users_load(store, user_load, server);
	if (!error)
		error = store_keys_load(store, key_load, server);
	if (!error)
		error = store_gateways_load(store, gateway_load, server);
	if (!error)
		error = store_devices_load(store, device_load, server);
	return error;
}

int
server_registry_put(struct server *server, struct access *access)
{
	access_set_developer_accounts(access, server->settings.access.developer_manages_users);
	int error = access_change_apply(server->registry, access);
	return forgive(server, error, "key", 0);
}

void
server_registry_forget(struct server *server)
{
	access_change_unref(server->registry);
	server->registry = NULL;
}

/* ── while it runs ── */

struct leg {
	struct mail mail;
	struct server_loop *sl;
	struct round *round;
};

/* One change on its way through all loops. */
struct round {
	atomic_uint left;
	struct access_change *change;
	struct mailbox *box;
	struct mail *applied;
	struct leg legs[];
};

static void
leg_deliver(struct mail *mail)
{
	struct leg *leg = CONTAINER_OF(mail, struct leg, mail);
	struct server_loop *sl = leg->sl;
	struct round *round = leg->round;
	int error = access_change_apply(round->change, sl->access);
	if (error)
		log_event(sl->server->log, LOG_ERROR, "registry_not_applied",
		    LOG_FIELDS(LOG_TEXT("error", strerror(-error))));
	session_revoked(sl->sessions);
	if (atomic_fetch_sub(&round->left, 1) != 1)
		return;
	mailbox_send(round->box, round->applied);
	access_change_unref(round->change);
	free(round);
}

void
server_registry_changed(void *ctx, struct access_change *change, struct mailbox *box,
    struct mail *applied)
{
	struct server *server = ctx;
	struct round *round = malloc(sizeof *round + server->loop_count * sizeof round->legs[0]);
	if (!round)
		server_fatal(server, "no memory to tell of a change in the registry", -ENOMEM);
	atomic_init(&round->left, server->loop_count);
	round->change = access_change_ref(change);
	round->box = box;
	round->applied = applied;
	for (unsigned i = 0; i < server->loop_count; i++) {
		struct leg *leg = &round->legs[i];
		leg->sl = &server->loops[i];
		leg->round = round;
		leg->mail.deliver = leg_deliver;
	}
	/* The last leg frees the round, so who sends it does not look at it again. */
	for (unsigned i = 0, count = server->loop_count; i < count; i++)
		mailbox_send(server->loops[i].box, &round->legs[i].mail);
}
