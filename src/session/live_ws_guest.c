/*
 * live_ws_guest.c: what a WebSocket keeps of a guest, so that the application can be asked for him
 * again when he subscribes to more.
 *
 * Invariant: it is kept of those only whom nobody here knows; the first token that is good ends it.
 */
#include "live_ws.h"

bool
live_ws_keep_guest(struct live_ws *ws, const struct session_request *request)
{
	struct live_ws_talk *talk = ws->talk;
	if (!request->guest && !session_is_guest(request))
		return true;
	talk->unknown = request->unknown && !request->guest;
	talk->guest = ws->live.sessions->hooks.guest_keep(request);
	return talk->guest != NULL;
}

void
live_ws_forget_guest(struct live_ws *ws)
{
	if (!ws->talk || !ws->talk->guest)
		return;
	ws->live.sessions->hooks.guest_forget(ws->talk->guest);
	ws->talk->guest = NULL;
}
