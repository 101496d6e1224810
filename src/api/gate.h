/*
 * gate.h: who may report what: the judge's gate, made of the rights of the principal who sends a
 * body and of what the registry knows of the devices in it.
 *
 * - An application, a person of the staff: any device that is active; one that is not known yet is
 *   registered. Tokens beside ids are not looked at.
 * - A gateway: devices that are known, with their token, active, and bound to it or to none. A
 *   member "gateway" of an item must name it, and its token when there is one.
 * - A device that speaks for itself: itself.
 */
#ifndef WEIR_GATE_H
#define WEIR_GATE_H

#include "api.h"
#include "judge.h"

#define GATE_TOKEN_BYTES_MAX 128

struct gate {
	struct judge_gate judge;    /* for judge_body.gate */
	const struct api_loop *al;
	const struct access_principal *principal;
	const struct session_request *request; /* whose address is for the audit; the caller's to
						  set, NULL: it is gone */
	bool noted;                 /* a device for the registry, since the caller cleared it */
	size_t token_len;           /* of the gateway's token that was right; 0: none yet */
	char token[GATE_TOKEN_BYTES_MAX];
};

/* The principal must outlive the gate. */
void gate_init(struct gate *gate, const struct api_loop *al,
    const struct access_principal *principal);
void gate_finish(struct gate *gate); /* wipes what it knows; also of one that is all zero */

/* The gateway that an item names, if it is one of the registry and the token is its own; else NULL.
 * A reference. */
struct access_principal *gate_authenticate(struct access *access,
    const struct judge_named *gateway);

#endif
