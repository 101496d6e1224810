/*
 * hub_message.c: a message, made once, and its forms, each encoded once.
 *
 * One allocation holds the struct and its texts. A form is an allocation of its own, pushed on the
 * list of its kind by a compare-and-swap: whoever finds that another one was quicker looks again.
 * Nearly always a list has one form: that of a message on one channel.
 */
#include <errno.h>
#include <stdlib.h>

#include "hub.h"

enum { FRAME_BYTES = 192 }; /* what mostly stands around a message's data */

struct form {
	struct form *next;  /* made earlier, for another set of channels */
	uint64_t channels;
	size_t len;
	char bytes[];
};

static const char *const slow_words[HUB_SLOW_COUNT] = {
	[HUB_SLOW_DISCONNECT] = "disconnect",
	[HUB_SLOW_DROP_OLDEST] = "drop_oldest",
	[HUB_SLOW_DROP_NEWEST] = "drop_newest",
};

const char *
hub_slow_word(enum hub_slow slow)
{
	return slow_words[slow];
}

enum hub_slow
hub_slow_find(struct span word)
{
	for (unsigned i = 1; i < HUB_SLOW_COUNT; i++) {
		if (span_eq(word, span_str(slow_words[i])))
			return (enum hub_slow)i;
	}
	return HUB_SLOW_UNSAID;
}

int
hub_message_copy(const struct hub_message *like, struct hub_message **ret_message)
{
	size_t targets_size = like->channel_count * sizeof(struct hub_target);
	size_t size = targets_size + like->tenant.len + like->type.len + like->data.len;
	for (uint32_t i = 0; i < like->channel_count; i++)
		size += like->channels[i].name.len;
	struct hub_message *message = malloc(sizeof(*message) + size);
	if (!message)
		return -ENOMEM;
	struct hub_target *channels = (struct hub_target *)(message + 1);
	char *at = (char *)(channels + like->channel_count);
	*message = (struct hub_message){.seq = like->seq, .time_ms = like->time_ms,
	    .channel_count = like->channel_count, .channels = channels, .slow = like->slow};
	refcount_init(&message->refs);
	message->tenant = span_keep(&at, like->tenant);
	message->type = span_keep(&at, like->type);
	for (uint32_t i = 0; i < like->channel_count; i++) {
		channels[i].name = span_keep(&at, like->channels[i].name);
		channels[i].id = like->channels[i].id;
	}
	message->data = span_keep(&at, like->data);
	*ret_message = message;
	return 0;
}

int
hub_message_create(uint64_t seq, int64_t time_ms, struct span tenant, struct span channel,
    struct span data, struct hub_message **ret_message)
{
	struct hub_target target = {.name = channel};
	struct hub_message like = {
		.seq = seq, .time_ms = time_ms, .tenant = tenant, .data = data,
		.channels = &target, .channel_count = 1,
	};
	return hub_message_copy(&like, ret_message);
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
	for (size_t i = 0; i < HUB_FORM_COUNT; i++) {
		struct form *form = message->forms[i], *next;
		for (; form; form = next) {
			next = form->next;
			free(form);
		}
	}
	free(message);
}

/* A checked name as a JSON string: only quotes, backslashes and controls need care. */
static void
append_name(struct buf *out, struct span name)
{
	size_t plain = 0; /* up to here it is written */
	buf_append_byte(out, '"');
	for (size_t i = 0; i < name.len; i++) {
		unsigned char byte = (unsigned char)name.ptr[i];
		if (byte >= 0x20 && byte != '"' && byte != '\\')
			continue;
		buf_append(out, name.ptr + plain, i - plain);
		if (byte < 0x20)
			buf_printf(out, "\\u%04x", byte);
		else
			buf_printf(out, "\\%c", byte);
		plain = i + 1;
	}
	buf_append(out, name.ptr + plain, name.len - plain);
	buf_append_byte(out, '"');
}

static void
append_channels(struct buf *out, const struct hub_message *message, uint64_t channels)
{
	bool any = false;
	for (uint32_t i = 0; i < message->channel_count; i++) {
		if (!(channels >> i & 1))
			continue;
		if (any)
			buf_append_byte(out, ',');
		append_name(out, message->channels[i].name);
		any = true;
	}
}

int
hub_message_json(const struct hub_message *message, uint64_t channels, struct buf *out)
{
	size_t len = out->len;
	int earlier = out->error;
	out->error = 0;
	buf_reserve(out, message->data.len + 160);
	buf_append_span(out, SPAN("{\"id\":\"m"));
	buf_append_u64(out, message->seq);
	buf_append_span(out, SPAN("\",\"time\":"));
	buf_append_i64(out, message->time_ms);
	buf_append_span(out, SPAN(",\"channels\":["));
	append_channels(out, message, channels);
	buf_append_byte(out, ']');
	if (message->type.len) {
		buf_append_str(out, ",\"type\":");
		append_name(out, message->type);
	}
	buf_append_span(out, SPAN(",\"data\":"));
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
find_form(struct form *form, uint64_t channels)
{
	while (form && form->channels != channels)
		form = form->next;
	return form;
}

static struct form *
make_form(const struct hub_message *message, uint64_t channels,
    int (*encode)(const struct hub_message *message, uint64_t channels, struct buf *out))
{
	struct buf out;
	buf_init(&out, 0);
	/* Encoded behind where the form begins, in one allocation that mostly need not grow. */
	if (buf_reserve(&out, sizeof(struct form) + message->data.len + FRAME_BYTES))
		return NULL;
	out.len = sizeof(struct form);
	if (encode(message, channels, &out)) {
		buf_finish(&out);
		return NULL;
	}
	struct form *form = (struct form *)(void *)out.ptr;
	form->channels = channels;
	form->len = out.len - sizeof(*form);
	return form;
}

int
hub_message_form(struct hub_message *message, enum hub_form which, uint64_t channels,
    int (*encode)(const struct hub_message *message, uint64_t channels, struct buf *out),
    struct span *ret_bytes)
{
	void *first = __atomic_load_n(&message->forms[which], __ATOMIC_ACQUIRE);
	uint64_t all = UINT64_MAX >> (64 - message->channel_count);
	struct form *form = find_form(first, channels & all), *made = NULL;
	while (!form) {
		if (!made)
			made = make_form(message, channels & all, encode);
		if (!made)
			return -ENOMEM;
		made->next = first;
		if (__atomic_compare_exchange_n(&message->forms[which], &first, (void *)made,
		    false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			form = made;
			made = NULL;
		} else {
			form = find_form(first, channels & all);
		}
	}
	free(made);
	*ret_bytes = span_of(form->bytes, form->len);
	return 0;
}
