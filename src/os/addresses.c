/*
 * addresses.c: addresses are compared as the 16 bytes of IPv6; IPv4 lies in ::ffff:0:0/96.
 */
#include "addresses.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "num.h"

enum { BITS = 128, BITS_BEFORE_V4 = 96 };

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

static bool
address_read(struct span text, uint8_t ret_bytes[16], bool *ret_v4)
{
	char copy[ADDRESSES_TEXT_BYTES];
	if (text.len == 0 || text.len >= sizeof copy)
		return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	*ret_v4 = inet_pton(AF_INET, copy, ret_bytes + 12) == 1;
	if (*ret_v4)
		memcpy(ret_bytes, v4_prefix, sizeof v4_prefix);
	return *ret_v4 || inet_pton(AF_INET6, copy, ret_bytes) == 1;
}

struct network {
	uint8_t bytes[16];
	unsigned bits;
};

static bool
network_read(struct span text, struct network *network)
{
	const char *slash = memchr(text.ptr, '/', text.len);
	uint64_t bits;
	bool v4;
	size_t len = slash ? (size_t)(slash - text.ptr) : text.len;
	if (!address_read(span_of(text.ptr, len), network->bytes, &v4))
		return false;
	network->bits = BITS;
	if (!slash)
		return true;
	if (num_parse_u64(span_skip(text, len + 1), &bits) || bits > (v4 ? 32 : BITS))
		return false;
	network->bits = (unsigned)bits + (v4 ? BITS_BEFORE_V4 : 0);
	return true;
}

static bool
network_has(const struct network *network, const uint8_t bytes[16])
{
	unsigned whole = network->bits / 8, rest = network->bits % 8;
	if (memcmp(network->bytes, bytes, whole) != 0)
		return false;
	return rest == 0 || (network->bytes[whole] ^ bytes[whole]) >> (8 - rest) == 0;
}

/* Takes the next word off the list. */
static bool
word_next(struct span *list, struct span *ret_word)
{
	while (list->len && (*list->ptr == ' ' || *list->ptr == '\t'))
		*list = span_skip(*list, 1);
	size_t len = 0;
	while (len < list->len && list->ptr[len] != ' ' && list->ptr[len] != '\t')
		len++;
	*ret_word = span_of(list->ptr, len);
	if (len)
		*list = span_skip(*list, len);
	return len > 0;
}

bool
addresses_list_valid(struct span list)
{
	struct network network;
	struct span word;
	while (word_next(&list, &word)) {
		if (!network_read(word, &network))
			return false;
	}
	return true;
}

bool
addresses_listed(struct span list, struct span address)
{
	struct network network;
	uint8_t bytes[16];
	struct span word;
	bool v4;
	if (!address_read(address, bytes, &v4))
		return false;
	while (word_next(&list, &word)) {
		if (network_read(word, &network) && network_has(&network, bytes))
			return true;
	}
	return false;
}

bool
addresses_normal(struct span address, char ret_text[ADDRESSES_TEXT_BYTES])
{
	uint8_t bytes[16];
	bool v4;
	if (!address_read(address, bytes, &v4))
		return false;
	if (memcmp(bytes, v4_prefix, sizeof v4_prefix) == 0)
		return inet_ntop(AF_INET, bytes + 12, ret_text, ADDRESSES_TEXT_BYTES) != NULL;
	return inet_ntop(AF_INET6, bytes, ret_text, ADDRESSES_TEXT_BYTES) != NULL;
}
