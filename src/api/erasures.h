/*
 * erasures.h: DELETE /api/v1/admin/devices/{id}?erase=1: the device goes, and its data with it.
 */
#ifndef WEIR_ERASURES_H
#define WEIR_ERASURES_H

#include "session.h"

void erasures_begin(struct session_request *request);

#endif
