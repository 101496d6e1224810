/* WebSocket frames: heads in every cut, masks at every offset, the answer to a key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "guard.h"
#include "ws.h"

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

static void
heads_come_back_in_every_cut(void **state)
{
	static const uint64_t lens[] = {0, 1, 5, 125, 126, 127, 65535, 65536, 1 << 20,
	    UINT32_MAX, (uint64_t)INT64_MAX};
	static const enum ws_opcode opcodes[] = {WS_CONTINUATION, WS_TEXT, WS_BINARY, WS_CLOSE,
	    WS_PING, WS_PONG};
	(void)state;
	struct guard guard;
	guard_init(&guard, 64);
	for (size_t n = 0; n < ARRAY_COUNT(lens) * ARRAY_COUNT(opcodes) * 8; n++) {
		enum ws_opcode opcode = opcodes[n % ARRAY_COUNT(opcodes)];
		uint64_t len = lens[n / ARRAY_COUNT(opcodes) / 8];
		bool masked = n & 1, fin = n / 2 & 1, rsv1 = n / 4 & 1;
		bool control = opcode >= WS_CLOSE;
		if ((control && (len > 125 || !fin)) || (rsv1 && (control || opcode == 0)))
			continue;
		char head[WS_HEAD_BYTES_MAX];
		size_t bytes = ws_write_head(head, opcode, fin, rsv1, len, masked ? mask : NULL);
		struct ws_frame frame;
		for (size_t cut = 0; cut < bytes; cut++)
			assert_int_equal(ws_parse_head(guard_end(&guard, span_of(head, cut)), true,
			    &frame), 0);
		struct span whole = guard_end(&guard, span_of(head, bytes));
		assert_int_equal(ws_parse_head(whole, true, &frame), bytes);
		assert_null(ws_head_reason(whole, true));
		assert_int_equal(frame.opcode, opcode);
		assert_int_equal(frame.fin, fin);
		assert_int_equal(frame.rsv1, rsv1);
		assert_int_equal(frame.masked, masked);
		assert_true(frame.len == len);
		if (masked)
			assert_memory_equal(frame.mask, mask, 4);
	}
	guard_finish(&guard);
}

static void
bad_heads_are_refused_as_soon_as_their_fault_is_there(void **state)
{
	static const struct {
		struct span head;
		size_t needed; /* bytes */
		bool rsv1_allowed;
		const char *words;
	} cases[] = {
	    {{"\x83\x80", 2}, 1, true, "opcode"}, {{"\x87\x80", 2}, 1, true, "opcode"},
	    {{"\x8b\x80", 2}, 1, true, "opcode"}, {{"\x8f\x80", 2}, 1, true, "opcode"},
	    {{"\xa1\x80", 2}, 1, true, "reserved"}, {{"\x91\x80", 2}, 1, true, "reserved"},
	    {{"\xc1\x80", 2}, 1, false, "compression"}, {{"\xc0\x80", 2}, 1, true, "compression"},
	    {{"\xc9\x80", 2}, 1, true, "compression"}, {{"\x09\x80", 2}, 1, true, "fragments"},
	    {{"\x08\x80", 2}, 1, true, "fragments"}, {{"\x89\xfe\x00\x7e", 4}, 2, true, "125"},
	    {{"\x88\xff", 2}, 2, true, "125"}, {{"\x81\xfe\x00\x7d", 4}, 4, true, "shortest"},
	    {{"\x81\x7e\x00\x00", 4}, 4, true, "shortest"},
	    {{"\x82\x7f\0\0\0\0\0\0\xff\xff", 10}, 10, true, "shortest"},
	    {{"\x82\xff\0\0\0\0\0\0\0\x05", 10}, 10, true, "shortest"},
	    {{"\x82\x7f\x80\0\0\0\0\0\0\0", 10}, 10, true, "highest bit"},
	    {{"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10}, 10, true, "highest bit"},
	};
	(void)state;
	struct guard guard;
	guard_init(&guard, 64);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		for (size_t cut = 0; cut <= cases[i].head.len; cut++) {
			struct ws_frame frame;
			struct span in = guard_end(&guard, span_of(cases[i].head.ptr, cut));
			ssize_t want = cut < cases[i].needed ? 0 : -EBADMSG;
			assert_int_equal(ws_parse_head(in, cases[i].rsv1_allowed, &frame), want);
			const char *reason = ws_head_reason(in, cases[i].rsv1_allowed);
			assert_int_equal(reason != NULL, want < 0);
			if (reason && !strstr(reason, cases[i].words))
				fail_msg("case %zu: %s", i, reason);
		}
	}
	guard_finish(&guard);
}

static void
a_payload_is_unmasked_alike_in_every_cut(void **state)
{
	(void)state;
	struct guard guard;
	guard_init(&guard, 128);
	char plain[41], masked[41];
	for (size_t i = 0; i < sizeof(plain); i++) {
		plain[i] = (char)(i * 29 + 3);
		masked[i] = (char)(plain[i] ^ mask[i % 4]);
	}
	for (size_t cut = 0; cut <= sizeof(plain); cut++) {
		for (size_t next = cut; next <= sizeof(plain); next++) {
			struct span in = guard_end(&guard, span_of(masked, sizeof(masked)));
			char *bytes = guard.map + (in.ptr - guard.map);
			ws_unmask(mask, 0, bytes, cut);
			ws_unmask(mask, cut, bytes + cut, next - cut);
			ws_unmask(mask, next, bytes + next, sizeof(plain) - next);
			assert_memory_equal(bytes, plain, sizeof(plain));
		}
	}
	char far = 0x55;
	ws_unmask(mask, UINT64_C(0xffffffff03), &far, 1);
	assert_int_equal(far, 0x55 ^ mask[3]);
	guard_finish(&guard);
}

static void
keys_are_answered(void **state)
{
	static const char *const cases[][2] = {
	    {"dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}, /* of the RFC */
	    {"", "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w="},
	    {"x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="},
	    {"kkkkkkkkkkkkkkkkkkk",
		"tWclcP21hrR+xgjYVswtQRW71GQ="},
	    {"kkkkkkkkkkkkkkkkkkkk",
		"tSsjsIAvEVIQ+IC5K8+T/OkG8nU="},
	    {"kkkkkkkkkkkkkkkkkkkkkkkkkkk",
		"qUNe7W8rvas6tQS5F4QBTf/JpvE="},
	    {"kkkkkkkkkkkkkkkkkkkkkkkkkkkk",
		"x9bmfLYIxLMaaT5h0sFuRlAhhb8="},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char accept[WS_ACCEPT_BYTES];
		ws_accept(span_str(cases[i][0]), accept);
		if (memcmp(accept, cases[i][1], sizeof(accept)) != 0)
			fail_msg("%.*s for %s", WS_ACCEPT_BYTES, accept, cases[i][0]);
	}
	/* Each number of blocks and the bounds between them. */
	char key[83], last[WS_ACCEPT_BYTES] = {0};
	memset(key, 'k', sizeof(key));
	for (size_t len = 0; len <= sizeof(key); len++) {
		char accept[WS_ACCEPT_BYTES];
		ws_accept(span_of(key, len), accept);
		assert_memory_not_equal(accept, last, sizeof(accept));
		memcpy(last, accept, sizeof(last));
	}
	assert_memory_equal(last, "c8WQ7edrEIKQKdUK6YpbGv6/vjc=", sizeof(last));
}

static void
keys_are_sixteen_bytes_in_base64(void **state)
{
	(void)state;
	assert_true(ws_key_valid(SPAN("dGhlIHNhbXBsZSBub25jZQ==")));
	assert_false(ws_key_valid(SPAN("")));
	assert_false(ws_key_valid(SPAN("dGhlIHNhbXBsZSBub25jZQ")));
	assert_false(ws_key_valid(SPAN("dGhlIHNhbXBsZSBub25jZWU=")));
	assert_false(ws_key_valid(SPAN("dGhlIHNhbXBsZSBub25jZWVl")));
	assert_false(ws_key_valid(SPAN("dGhlIHNhbXBsZSBub25jZR==")));
	assert_false(ws_key_valid(SPAN("dGhlIHNhbXBsZSBub25 ZQ==")));
	assert_false(ws_key_valid(SPAN("dGhlIHNhbXBsZSBub25jZQ==dGhl")));
}

static void
close_codes_that_may_come_from_a_peer(void **state)
{
	(void)state;
	for (unsigned code = 0; code < 6000; code++) {
		bool want = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1011) ||
		    (code >= 3000 && code <= 4999);
		assert_int_equal(ws_close_code_valid(code), want);
	}
}

static void
offers_of_compression(void **state)
{
	(void)state;
	static const struct {
		const char *offers;
		bool good;
	} cases[] = {
		{"permessage-deflate", true},
		{"permessage-deflate; client_max_window_bits", true},
		{"permessage-deflate;client_max_window_bits=15;server_no_context_takeover", true},
		{"permessage-deflate; client_no_context_takeover; server_max_window_bits=15", true},
		{"permessage-deflate; client_max_window_bits=\"10\"", true},
		{"x-other; a=b, \tpermessage-deflate ", true},
		{"permessage-deflate; server_max_window_bits=9, permessage-deflate", true},
		{"permessage-deflate; unknown, permessage-deflate; client_max_window_bits=8", true},
		{"", false},
		{"permessage-bzip2", false},
		{"permessage-deflat", false},
		{"permessage-deflate; server_max_window_bits=8", false},
		{"permessage-deflate; server_max_window_bits", false},
		{"permessage-deflate; client_max_window_bits=7", false},
		{"permessage-deflate; client_max_window_bits=16", false},
		{"permessage-deflate; client_max_window_bits=08", false},
		{"permessage-deflate; client_max_window_bits=", false},
		{"permessage-deflate; client_max_window_bits=\"10", false},
		{"permessage-deflate; server_no_context_takeover=1", false},
		{"permessage-deflate; client_no_context_takeover; client_no_context_takeover",
		    false},
		{"permessage-deflate; a\"b", false},
		{"; permessage-deflate", false},
		{", permessage-deflate", false},
	};
	struct guard guard;
	guard_init(&guard, 256);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct span offers = guard_end(&guard, span_str(cases[i].offers));
		if (ws_deflate_offered(offers) != cases[i].good)
			fail_msg("'%s'", cases[i].offers);
	}
	guard_finish(&guard);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(heads_come_back_in_every_cut),
	    cmocka_unit_test(bad_heads_are_refused_as_soon_as_their_fault_is_there),
	    cmocka_unit_test(a_payload_is_unmasked_alike_in_every_cut),
	    cmocka_unit_test(keys_are_answered),
	    cmocka_unit_test(keys_are_sixteen_bytes_in_base64),
	    cmocka_unit_test(close_codes_that_may_come_from_a_peer),
	    cmocka_unit_test(offers_of_compression),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
