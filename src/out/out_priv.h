/*
 * out_priv.h: what the files of this room share: a call as curl's easy handle.
 */
#ifndef WEIR_OUT_PRIV_H
#define WEIR_OUT_PRIV_H

#include "out.h"

enum { OUT_HEAD_BYTES_MAX = 64 * 1024 }; /* of an answer, all its heads together */

/* Makes call->easy. 0 or -ENOMEM, and then there is none. */
int out_easy_create(struct out_call *call);
void out_easy_destroy(struct out_call *call); /* harmless when there is none */

/* What curl's CURLcode means, as call->error; takes the answer's status over. */
int out_easy_result(struct out_call *call, int code);

#endif
