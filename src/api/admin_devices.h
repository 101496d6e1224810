/*
 * admin_devices.h: one call about a device: what its routes share.
 */
#ifndef WEIR_ADMIN_DEVICES_H
#define WEIR_ADMIN_DEVICES_H

#include "admin_things.h"
#include "registry.h"

struct device_call {
	struct admin_call call;
	struct store *store;
	struct store_device device;     /* all of it in the call's memory */
	struct admin_object body;
	struct span token;
	uint64_t users[STORE_USERS_MAX];
};

/* A call (of `size` bytes that begin with a struct device_call) about the device that the path
 * names, if it names one. NULL: answered. */
void *admin_devices_create(struct session_request *request, size_t size,
    const struct admin_call_ops *ops);

/* The body, which has no members but those of `known`. */
int admin_devices_body(struct device_call *dc, struct span whole, bool optional,
    const char *const *known);

/* ── on the store's thread ── */

/* Copies what was found to the call's memory, its users to `users`. 0 or -ENOMEM. */
int admin_devices_keep(struct admin_call *call, const struct store_device *found,
    uint64_t users[STORE_USERS_MAX], struct store_device *ret_device);

/* Finds the device of this id. -ENOENT. */
int admin_devices_look(struct device_call *dc, struct store_tx *tx);

/* Finds the device that the path names, or refuses with 404. */
int admin_devices_find(struct device_call *dc, struct store_tx *tx);

/* Adds the user to those of the device. -EMSGSIZE: they are too many. */
int admin_devices_user_found(void *device_call, const struct store_user *user);

/* Stores a new device that is filled but for its id and token. */
int admin_devices_insert(struct device_call *dc, struct store_tx *tx);

/* Takes the device that was found out of the registry. */
int admin_devices_remove(struct device_call *dc, struct store_tx *tx);

/* Writes the device back after change() and answers with it. */
int admin_devices_change(struct device_call *dc, struct store_tx *tx, const char *what,
    int (*change)(struct device_call *dc));

/* ── documents ── */

/* A number where a number carries all its digits everywhere, else a string. */
void admin_devices_id_write(struct buf *out, struct span id);

/* {"id":…,"state":…[,"config":…] without the closing brace. */
void admin_devices_head_write(struct buf *out, const struct store_device *device);

/* `member` (as it stands before a value) and the text. */
void admin_devices_text_write(struct buf *out, const char *member, struct span text);

/* The whole device as the caller may see it, in the call's memory. */
int admin_devices_document(struct device_call *dc, struct span *ret_document);

#endif
