/*
 * access_may.c: the table of rights. A row is what one kind of principal may do; a rule says what
 * it takes. Whoever adds a verb or an object fills its column: a rule that is not there is NEVER.
 */
#include "access_may.h"

#include <string.h>

#include "access_priv.h"
#include "access_registry.h"
#include "check.h"

enum rule {
	NEVER,     /* 403 */
	HIDDEN,    /* 404 */
	ALWAYS,    /* anything of its tenant */
	OWN,       /* its own; others are 404 */
	BOUND,     /* a device that is bound to this gateway or to none; others are 403 */
	ACCOUNTS,  /* with the right to accounts; oneself always */
	GOVERNOR,  /* with the right to the node */
	READING, WRITING, /* with that right of a key */
	LISTENING, PUBLISHING, /* with that right, within its patterns */
};

#define PRESENCE "$presence/" /* and a channel: where it is told who is subscribed to it */

/* A row per principal; limited persons are a kind of their own. */
enum role { APPLICATION, LOCAL, STAFF, USER, GATEWAY, DEVICE, SUBSCRIBER, ROLE_COUNT };

#define ALL_CHANGE(rule) {[ACCESS_SEE] = rule, [ACCESS_CHANGE] = rule, [ACCESS_ADJUST] = rule}

static const unsigned char rules[ROLE_COUNT][ACCESS_WHAT_COUNT][ACCESS_VERB_COUNT] = {
	[LOCAL] = {
		[ACCESS_A_NODE] = ALL_CHANGE(ALWAYS),
		[ACCESS_A_TENANT] = {ALWAYS, ALWAYS, ALWAYS, ALWAYS},
		[ACCESS_AN_ACCOUNT] = ALL_CHANGE(ALWAYS),
		[ACCESS_A_KEY] = ALL_CHANGE(ALWAYS),
		[ACCESS_A_DEVICE] = {ALWAYS, ALWAYS, ALWAYS, ALWAYS},
		[ACCESS_A_GATEWAY] = ALL_CHANGE(ALWAYS),
		[ACCESS_A_VENUE] = ALL_CHANGE(ALWAYS),
		[ACCESS_A_CHANNEL] = {[ACCESS_SEE] = ALWAYS, [ACCESS_CHANGE] = ALWAYS,
		    [ACCESS_PUBLISH_TO] = ALWAYS, [ACCESS_LISTEN] = ALWAYS},
	},
	[STAFF] = {
		[ACCESS_A_NODE] = ALL_CHANGE(GOVERNOR),
		[ACCESS_A_TENANT] = {ALWAYS, ALWAYS, ALWAYS, ALWAYS},
		[ACCESS_AN_ACCOUNT] = ALL_CHANGE(ACCOUNTS),
		[ACCESS_A_KEY] = ALL_CHANGE(ACCOUNTS),
		[ACCESS_A_DEVICE] = {ALWAYS, ALWAYS, ALWAYS, ALWAYS},
		[ACCESS_A_GATEWAY] = ALL_CHANGE(ALWAYS),
		[ACCESS_A_VENUE] = ALL_CHANGE(ALWAYS),
		[ACCESS_A_CHANNEL] = {[ACCESS_SEE] = ALWAYS, [ACCESS_CHANGE] = ALWAYS,
		    [ACCESS_PUBLISH_TO] = ALWAYS, [ACCESS_LISTEN] = ALWAYS},
	},
	[USER] = {
		[ACCESS_AN_ACCOUNT] = {[ACCESS_SEE] = OWN, [ACCESS_CHANGE] = HIDDEN,
		    [ACCESS_ADJUST] = OWN},
		[ACCESS_A_KEY] = ALL_CHANGE(HIDDEN),
		[ACCESS_A_DEVICE] = {[ACCESS_SEE] = OWN, [ACCESS_CHANGE] = HIDDEN,
		    [ACCESS_ADJUST] = OWN, [ACCESS_REPORT] = HIDDEN},
		[ACCESS_A_GATEWAY] = ALL_CHANGE(HIDDEN),
		[ACCESS_A_VENUE] = {[ACCESS_SEE] = OWN, [ACCESS_CHANGE] = HIDDEN},
		[ACCESS_A_CHANNEL] = {[ACCESS_LISTEN] = OWN},
	},
	[GATEWAY] = {
		[ACCESS_A_TENANT] = {[ACCESS_ENROL] = OWN},
		[ACCESS_A_DEVICE] = {[ACCESS_REPORT] = BOUND},
		[ACCESS_A_GATEWAY] = {[ACCESS_SEE] = OWN, [ACCESS_CHANGE] = HIDDEN,
		    [ACCESS_REPORT] = OWN},
		[ACCESS_A_CHANNEL] = {[ACCESS_LISTEN] = OWN},
	},
	[DEVICE] = {
		[ACCESS_A_DEVICE] = {[ACCESS_SEE] = OWN, [ACCESS_CHANGE] = HIDDEN,
		    [ACCESS_REPORT] = OWN},
	},
	[APPLICATION] = {
		[ACCESS_A_TENANT] = {[ACCESS_SEE] = READING, [ACCESS_REPORT] = WRITING},
		[ACCESS_A_DEVICE] = {[ACCESS_SEE] = READING, [ACCESS_REPORT] = WRITING},
		[ACCESS_A_CHANNEL] = {[ACCESS_SEE] = LISTENING, [ACCESS_CHANGE] = PUBLISHING,
		    [ACCESS_PUBLISH_TO] = PUBLISHING, [ACCESS_LISTEN] = LISTENING},
	},
	[SUBSCRIBER] = {
		[ACCESS_A_CHANNEL] = {[ACCESS_PUBLISH_TO] = PUBLISHING,
		    [ACCESS_LISTEN] = LISTENING},
	},
};

static enum role
role_of(const struct access_principal *principal)
{
	static const unsigned char roles[] = {
		[ACCESS_APPLICATION] = APPLICATION,
		[ACCESS_LOCAL] = LOCAL,
		[ACCESS_PERSON] = STAFF,
		[ACCESS_GATEWAY] = GATEWAY,
		[ACCESS_DEVICE] = DEVICE,
		[ACCESS_SUBSCRIBER] = SUBSCRIBER,
	};

	check(principal->kind < ARRAY_COUNT(roles));
	return principal->limited ? USER : (enum role)roles[principal->kind];
}

/* What stands on the second level of "readings/DEVICE/…", decoded from percent signs. false: it is
 * a wild card, not of that tree, or longer than an id. */
static bool
second_level(struct span name, struct span tree, char *text, size_t size, size_t *ret_len)
{
	size_t len = 0;

	if (!span_starts(name, tree))
		return false;
	name = span_skip(name, tree.len);
	for (; name.len && name.ptr[0] != '/'; name = span_skip(name, 1)) {
		unsigned value = (unsigned char)name.ptr[0];

		if (value == '+' || value == '#' || len == size)
			return false;
		if (value == '%') {
			static const char digits[] = "0123456789ABCDEF0123456789abcdef";
			const char *high, *low;

			if (name.len < 3 || name.ptr[1] == 0 || name.ptr[2] == 0)
				return false;
			high = strchr(digits, name.ptr[1]);
			low = strchr(digits, name.ptr[2]);
			if (high == NULL || low == NULL)
				return false;
			value = (unsigned)((high - digits) % 16 * 16 + (low - digits) % 16);
			name = span_skip(name, 2);
		}
		text[len++] = (char)value;
	}
	*ret_len = len;
	return len > 0;
}

/* Channels of one's own: a person's devices, a gateway's topics. */
static bool
owns_channel(const struct access *access, const struct access_principal *principal,
    struct span name)
{
	char text[ACCESS_PATTERN_BYTES_MAX];
	size_t len;

	if (!access_pattern_valid(name))
		return false;
	if (principal->kind == ACCESS_GATEWAY)
		return second_level(name, SPAN("gateways/"), text, sizeof(text), &len) &&
		    span_eq(span_of(text, len), span_skip(principal->name, strlen("gateway-")));
	/* "-" is where series without a device are heard, also when a device is called so. */
	return (second_level(name, SPAN("readings/"), text, sizeof(text), &len) ||
	    second_level(name, SPAN("alerts/"), text, sizeof(text), &len)) &&
	    !span_eq(span_of(text, len), SPAN("-")) &&
	    access_user_has_device(access, principal->id, principal->tenant, span_of(text, len));
}

static bool
owns(const struct access *access, const struct access_principal *principal,
    const struct access_object *object)
{
	switch (object->what) {
	case ACCESS_A_TENANT:
		return principal->may_enrol; /* the only thing that asks */
	case ACCESS_AN_ACCOUNT:
		return principal->kind == ACCESS_PERSON && object->number == principal->id;
	case ACCESS_A_GATEWAY:
		return principal->kind == ACCESS_GATEWAY && object->number == principal->id;
	case ACCESS_A_DEVICE:
		if (principal->kind == ACCESS_DEVICE)
			return span_eq(object->id, span_skip(principal->name, strlen("device-")));
		return access_user_has_device(access, principal->id, object->tenant, object->id);
	case ACCESS_A_VENUE:
		for (size_t i = 0; i < object->user_count; i++) {
			if (object->users[i] == principal->id)
				return true;
		}
		return false;
	case ACCESS_A_CHANNEL:
		return owns_channel(access, principal, object->id);
	default:
		return false;
	}
}

static bool
is_bound(const struct access *access, const struct access_principal *principal,
    const struct access_object *object)
{
	const struct access_device *device = access_device_find(access, object->tenant,
	    object->id);
	uint64_t gateway = device ? access_device_gateway(device) : 0;

	return device && (gateway == 0 || gateway == principal->id);
}

static enum access_answer
yes_or(bool yes, enum access_answer otherwise)
{
	return yes ? ACCESS_YES : otherwise;
}

static enum access_answer
own_answer(const struct access *access, const struct access_principal *principal,
    const struct access_object *object)
{
	bool hide = object->what != ACCESS_A_TENANT && object->what != ACCESS_A_CHANNEL;

	return yes_or(owns(access, principal, object), hide ? ACCESS_UNSEEN : ACCESS_NO);
}

bool
access_is_view(struct span channel)
{
	return span_starts(channel, SPAN("readings/")) ||
	    span_starts(channel, SPAN("alerts/")) || span_starts(channel, SPAN("gateways/")) ||
	    span_starts(channel, SPAN(PRESENCE));
}

/* Who may hear a channel may hear who is there. */
static struct span
heard_of(struct span channel)
{
	return span_starts(channel, SPAN(PRESENCE)) ? span_skip(channel, strlen(PRESENCE)) :
	    channel;
}

enum access_sight
access_sight(const struct access_principal *principal)
{
	enum rule rule = rules[role_of(principal)][ACCESS_A_DEVICE][ACCESS_SEE];

	if (rule == ALWAYS || (rule == READING && (principal->rights & ACCESS_READ)))
		return ACCESS_SIGHT_ALL;
	return rule == OWN ? ACCESS_SIGHT_OWN : ACCESS_SIGHT_NONE;
}

bool
access_own_device_next(const struct access *access, const struct access_principal *principal,
    size_t *pos, struct span *ret_id)
{
	const struct access_device *device;

	if (principal->kind == ACCESS_DEVICE) {
		*ret_id = span_skip(principal->name, strlen("device-"));
		return (*pos)++ == 0;
	}
	if (principal->kind != ACCESS_PERSON)
		return false;
	device = access_user_device_next(access, principal->id, pos);
	if (device)
		*ret_id = access_device_id(device);
	return device != NULL;
}

enum access_answer
access_may(const struct access *access, const struct access_principal *principal,
    enum access_verb verb, const struct access_object *object)
{
	uint32_t rights = principal->rights;
	struct access_object heard = *object;

	check(verb < ACCESS_VERB_COUNT && object->what < ACCESS_WHAT_COUNT);
	if (object->what != ACCESS_A_NODE && !(rights & ACCESS_NODE) &&
	    !span_eq(object->tenant, principal->tenant))
		return ACCESS_UNSEEN;
	if (object->what == ACCESS_A_CHANNEL) {
		if ((verb == ACCESS_PUBLISH_TO || verb == ACCESS_CHANGE) &&
		    access_is_view(object->id))
			return ACCESS_NO;
		heard.id = heard_of(object->id);
		object = &heard;
	}
	switch ((enum rule)rules[role_of(principal)][object->what][verb]) {
	case NEVER:
		return ACCESS_NO;
	case HIDDEN:
		return ACCESS_UNSEEN;
	case ALWAYS:
		return ACCESS_YES;
	case OWN:
		return own_answer(access, principal, object);
	case BOUND:
		return yes_or(is_bound(access, principal, object), ACCESS_NO);
	case ACCOUNTS:
		return yes_or((rights & ACCESS_ACCOUNTS) || (verb != ACCESS_CHANGE &&
		    owns(access, principal, object)), ACCESS_NO);
	case GOVERNOR:
		return yes_or(rights & ACCESS_NODE, ACCESS_NO);
	case READING:
		return yes_or(rights & ACCESS_READ, ACCESS_NO);
	case WRITING:
		return yes_or(rights & ACCESS_WRITE, ACCESS_NO);
	case LISTENING:
		return yes_or((rights & ACCESS_SUBSCRIBE) && access_may_channel(principal,
		    object->id), ACCESS_NO);
	case PUBLISHING:
		return yes_or((rights & ACCESS_PUBLISH) && access_may_publish(principal,
		    object->id), ACCESS_NO);
	}
	return ACCESS_NO;
}

const char *
access_publish_fault(const struct access *access, const struct access_principal *principal,
    struct span channel)
{
	const struct access_object object = {
		.what = ACCESS_A_CHANNEL, .tenant = principal->tenant, .id = channel};

	if (access_is_view(channel))
		return "the channel is a view: it shows what the server makes";
	if (access_may(access, principal, ACCESS_PUBLISH_TO, &object) != ACCESS_YES)
		return "these credentials may not publish there";
	return NULL;
}

bool
access_may_listen(const struct access *access, const struct access_principal *principal,
    struct span pattern)
{
	const struct access_object object = {
		.what = ACCESS_A_CHANNEL, .tenant = principal->tenant, .id = pattern};

	return access_may(access, principal, ACCESS_LISTEN, &object) == ACCESS_YES;
}

bool
access_channel_hidden(const struct access *access, const struct access_principal *principal,
    struct span channel)
{
	const struct access_object object = {
		.what = ACCESS_A_CHANNEL, .tenant = principal->tenant, .id = channel};

	return !access_may_listen(access, principal, channel) &&
	    access_may(access, principal, ACCESS_PUBLISH_TO, &object) != ACCESS_YES;
}
