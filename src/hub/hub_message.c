/*
 * hub_message.c: a message, made once, and its forms, each encoded once.
 *
 * One allocation holds the struct and its three texts. A form is an allocation of its own,
 * published by a compare-and-swap: whoever comes second drops his and takes the first one's.
 */
#include <errno.h>
#include <stdlib.h>

#include "hub.h"

struct form {
	size_t len;
	char bytes[];
};

static struct span
place(char **at, struct span bytes)
{
	char *to = *at;
	if (bytes.len)
		memcpy(to, bytes.ptr, bytes.len);
	*at += bytes.len;
	return span_of(to, bytes.len);
}

int
hub_message_create(uint64_t seq, int64_t time_ms, struct span tenant, struct span channel,
    struct span data, struct hub_message **ret_message)
{
	struct hub_message *message =
	    malloc(sizeof(*message) + tenant.len + channel.len + data.len);
	if (!message)
		return -ENOMEM;
	char *at = (char *)(message + 1);
	*message = (struct hub_message){.seq = seq, .time_ms = time_ms};
	refcount_init(&message->refs);
	message->tenant = place(&at, tenant);
	message->channel = place(&at, channel);
	message->data = place(&at, data);
	*ret_message = message;
	return 0;
}

struct hub_message *
hub_message_ref(struct hub_message *message)
{
	refcount_up(&message->refs);
	return message;
}

void
hub_message_unref(struct hub_message *message)
{
	if (!message || !refcount_down(&message->refs))
		return;
	for (size_t i = 0; i < HUB_FORM_COUNT; i++)
		free(message->forms[i]);
	free(message);
}

/* A checked name as a JSON string: only quotes, backslashes and controls need care. */
static void
append_name(struct buf *out, struct span name)
{
	buf_append_byte(out, '"');
	for (size_t i = 0; i < name.len; i++) {
		unsigned char byte = (unsigned char)name.ptr[i];
		if (byte < 0x20)
			buf_printf(out, "\\u%04x", byte);
		else if (byte == '"' || byte == '\\')
			buf_printf(out, "\\%c", byte);
		else
			buf_append_byte(out, (char)byte);
	}
	buf_append_byte(out, '"');
}

int
hub_message_json(const struct hub_message *message, struct buf *out)
{
	size_t len = out->len;
	int earlier = out->error;
	out->error = 0;
	buf_reserve(out, message->channel.len + message->data.len + 80);
	buf_append_str(out, "{\"id\":\"m");
	buf_append_u64(out, message->seq);
	buf_append_str(out, "\",\"time\":");
	buf_append_i64(out, message->time_ms);
	buf_append_str(out, ",\"channels\":[");
	append_name(out, message->channel);
	buf_append_str(out, "],\"data\":");
	buf_append_span(out, message->data);
	buf_append_byte(out, '}');
	int error = out->error;
	if (error)
		out->len = len;
	if (earlier)
		out->error = earlier;
	return error;
}

static struct form *
make_form(const struct hub_message *message,
    int (*encode)(const struct hub_message *message, struct buf *out))
{
	struct buf out;
	buf_init(&out, 0);
	struct form *form = NULL;
	if (encode(message, &out) == 0)
		form = malloc(sizeof(*form) + out.len);
	if (form) {
		form->len = out.len;
		if (out.len)
			memcpy(form->bytes, out.ptr, out.len);
	}
	buf_finish(&out);
	return form;
}

int
hub_message_form(struct hub_message *message, enum hub_form which,
    int (*encode)(const struct hub_message *message, struct buf *out), struct span *ret_bytes)
{
	struct form *form = __atomic_load_n(&message->forms[which], __ATOMIC_ACQUIRE);
	if (!form) {
		struct form *made = make_form(message, encode);
		if (!made)
			return -ENOMEM;
		void *expected = NULL;
		if (__atomic_compare_exchange_n(&message->forms[which], &expected, made, false,
		    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			form = made;
		} else {
			free(made);
			form = expected;
		}
	}
	*ret_bytes = span_of(form->bytes, form->len);
	return 0;
}
