/*
 * gate.c: who may report what. Rights are access_may's to say; here stands what each kind of
 * principal must show besides, and with which verdict an item is refused.
 *
 * A verdict tells a gateway of a device's state only when it has the device's token; a device
 * hears of no other one than itself whether there is such a thing.
 */
#include "gate.h"

#include <sodium.h>
#include <string.h>

#include "access_may.h"
#include "access_registry.h"
#include "num.h"
#include "registrar.h"
#include "registry.h"

static uint32_t
device_register(struct gate *gate, struct span id, uint64_t readings)
{
	if (!store_device_id_valid(id))
		return VERDICT_BAD_DEVICE;
	const char *from = gate->request ? session_peer(gate->request) : "";
	/* Without memory it is tried again with the device's next reading. */
	if (readings && registrar_note(gate->al->registrar, gate->principal, from, id) == 0)
		gate->noted = true;
	return 0;
}

static uint32_t
gate_device(void *ctx, const struct judge_named *named, uint64_t readings)
{
	struct gate *gate = ctx;
	const struct access *access = gate->al->access;
	const struct access_principal *principal = gate->principal;
	const struct access_device *device = access_device_find(access, principal->tenant,
	    named->id);
	struct access_object object = {
		.what = ACCESS_A_DEVICE, .tenant = principal->tenant, .id = named->id,
	};
	bool by_gateway = principal->kind == ACCESS_GATEWAY;
	if (by_gateway && !device)
		return VERDICT_UNKNOWN_DEVICE;
	if (by_gateway &&
	    (!named->auth.ptr || !access_device_token(access, device, named->auth)))
		return VERDICT_BAD_AUTH;
	if (access_may(access, principal, ACCESS_REPORT, &object) != ACCESS_YES)
		return by_gateway ? VERDICT_WRONG_GATEWAY : VERDICT_BAD_AUTH;
	if (device)
		return access_device_active(device) ? 0 : VERDICT_INACTIVE_DEVICE;
	return principal->kind == ACCESS_DEVICE ? VERDICT_UNKNOWN_DEVICE :
						  device_register(gate, named->id, readings);
}

static bool
names_gateway(const struct judge_named *named, const struct access_principal *gateway)
{
	uint64_t id;
	return named->id.ptr && num_parse_u64(named->id, &id) == 0 && id == gateway->id &&
	    (!named->tenant.ptr || span_eq(named->tenant, gateway->tenant));
}

static void
token_keep(struct gate *gate, struct span token)
{
	if (token.len > sizeof gate->token)
		return;
	memcpy(gate->token, token.ptr, token.len);
	gate->token_len = token.len;
}

/* The credentials of the head count; of others than a gateway the member says nothing. */
static uint32_t
gate_gateway(void *ctx, const struct judge_named *named)
{
	struct gate *gate = ctx;
	const struct access_principal *principal = gate->principal;
	struct access_principal *shown;
	if (principal->kind != ACCESS_GATEWAY)
		return 0;
	if (!names_gateway(named, principal))
		return VERDICT_BAD_AUTH;
	if (!named->auth.ptr || (gate->token_len &&
	    access_secret_equal(named->auth, span_of(gate->token, gate->token_len))))
		return 0;
	shown = access_authenticate_gateway(gate->al->access, principal->tenant, principal->id,
	    named->auth);
	if (!shown)
		return VERDICT_BAD_AUTH;
	token_keep(gate, named->auth);
	access_principal_unref(shown);
	return 0;
}

void
gate_init(struct gate *gate, const struct api_loop *al,
    const struct access_principal *principal)
{
	*gate = (struct gate){
		.judge = {.gateway = gate_gateway, .device = gate_device, .ctx = gate},
		.al = al,
		.principal = principal,
	};
}

void
gate_finish(struct gate *gate)
{
	sodium_memzero(gate, sizeof *gate);
}

struct access_principal *
gate_authenticate(struct access *access, const struct judge_named *gateway)
{
	struct span tenant = gateway->tenant.ptr ? gateway->tenant : SPAN("main");
	uint64_t id;
	if (!gateway->id.ptr || !gateway->auth.ptr || num_parse_u64(gateway->id, &id))
		return NULL;
	return access_authenticate_gateway(access, tenant, id, gateway->auth);
}
