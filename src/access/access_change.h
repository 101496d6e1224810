/*
 * access_change.h: what a unit of the store changed in the registry, on its way to every loop.
 *
 * The unit notes each change while it applies (on the store's thread); when it is committed, its
 * done() gives the same change to every loop by mail, and each loop applies it to its index. done()
 * of units is called in the order of their versions and by one thread, so every loop hears of them
 * in that order. Immutable from then on; counted.
 */
#ifndef WEIR_ACCESS_CHANGE_H
#define WEIR_ACCESS_CHANGE_H

#include "access_registry.h"
#include "store.h"

struct access_change;

/* Empty. `secret`: the node's, for opening signing secrets; must outlive the noting. NULL: memory
 * is out. */
struct access_change *access_change_create(const unsigned char secret[32]);
struct access_change *access_change_ref(struct access_change *change);
void access_change_unref(struct access_change *change); /* NULL ok; any thread */

/* Note what was put, with the version the store gave it (the rows are copied), or removed. They are
 * applied in the order of noting. -ENOMEM (also for a change that is NULL), or what the index's own
 * put says of the row. */
int access_change_device(struct access_change *change, const struct store_device *device);
int access_change_gateway(struct access_change *change, const struct store_gateway *gateway);
int access_change_user(struct access_change *change, const struct store_user *user);
int access_change_key(struct access_change *change, const struct store_key *key);
int access_change_secret(struct access_change *change, const struct store_secret *secret);
int access_change_device_gone(struct access_change *change, struct span tenant, struct span id);
int access_change_gateway_gone(struct access_change *change, struct span tenant, uint64_t id);
int access_change_user_gone(struct access_change *change, uint64_t id);
int access_change_key_gone(struct access_change *change, uint64_t id);
int access_change_secret_gone(struct access_change *change, uint64_t id);

size_t access_change_count(const struct access_change *change);

/* Makes the changes in one loop's index. All that can be made are: the first -ENOMEM is returned
 * after the rest, and nobody has rights that the change took. */
int access_change_apply(const struct access_change *change, struct access *access);

#endif
