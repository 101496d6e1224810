/*
 * access_may.h: may this principal do that to this object: one function over one table.
 */
#ifndef WEIR_ACCESS_MAY_H
#define WEIR_ACCESS_MAY_H

#include "access.h"

enum access_verb {
	ACCESS_SEE,        /* read it, its readings, its configuration */
	ACCESS_CHANGE,     /* make, configure, remove */
	ACCESS_ADJUST,     /* a device's thresholds, one's own contacts */
	ACCESS_REPORT,     /* write readings of it (a device) or messages (a gateway) */
	ACCESS_ENROL,      /* register a device that was heard for the first time */
	ACCESS_PUBLISH_TO, /* a channel */
	ACCESS_LISTEN,     /* subscribe to a channel or pattern */
	ACCESS_VERB_COUNT
};

enum access_what {
	ACCESS_A_NODE,     /* what is of all tenants: tenants, settings, logs */
	ACCESS_A_TENANT,   /* what is of all in one: all its series, its list of devices, audit */
	ACCESS_AN_ACCOUNT, /* a user: number */
	ACCESS_A_KEY,      /* a key or signing secret */
	ACCESS_A_DEVICE,   /* id */
	ACCESS_A_GATEWAY,  /* number */
	ACCESS_A_VENUE,    /* users */
	ACCESS_A_CHANNEL,  /* id: its name or a pattern */
	ACCESS_WHAT_COUNT
};

struct access_object {
	enum access_what what;
	struct span tenant;
	struct span id;
	uint64_t number;
	const uint64_t *users; /* of a venue: who may see it */
	size_t user_count;
};

enum access_answer {
	ACCESS_YES,
	ACCESS_NO,         /* 403 */
	ACCESS_UNSEEN,     /* 404: it may not know whether there is such a thing */
};

/* Channels that show what the server makes: nobody publishes to them. */
bool access_is_view(struct span channel);

/* Why it may not publish there: a sentence; NULL: it may. */
const char *access_publish_fault(const struct access *access,
    const struct access_principal *principal, struct span channel);

/* Whether it may subscribe to the pattern, and poll it. */
bool access_may_listen(const struct access *access, const struct access_principal *principal,
    struct span pattern);

/* Whether it may neither listen to the channel nor publish there: for it there is none. */
bool access_channel_hidden(const struct access *access, const struct access_principal *principal,
    struct span channel);

/* What of its tenant's readings it may see. */
enum access_sight { ACCESS_SIGHT_NONE, ACCESS_SIGHT_OWN, ACCESS_SIGHT_ALL };
enum access_sight access_sight(const struct access_principal *principal);

/* The ids of the devices that are its own, in no order: *pos starts at 0; false at the end. No
 * change meanwhile. */
bool access_own_device_next(const struct access *access, const struct access_principal *principal,
    size_t *pos, struct span *ret_id);

/* Which of the objects exist is not asked, but for devices: who may only see his own, or write for
 * those bound to him, is told by the index. Things of another tenant are unseen by all but those
 * who govern the node. */
enum access_answer access_may(const struct access *access,
    const struct access_principal *principal, enum access_verb verb,
    const struct access_object *object);

#endif
