/*
 * access_signing.h: secrets that sign JWTs, made and replaced in the store: the node's own for
 * persons, and those of applications. The store's thread, within a unit.
 */
#ifndef WEIR_ACCESS_SIGNING_H
#define WEIR_ACCESS_SIGNING_H

#include "access_change.h"
#include "env.h"
#include "registry.h"

struct access_signing {
	struct env *env;
	const unsigned char *node_secret;
	struct access_change *change; /* notes what was changed; NULL: nobody has to know */
};

/* A new secret for `row` (tenant, name, kind and created_ms are given, and the id unless it
 * is 0; id and version are set): the
 * text, 43 characters that nobody else knows, is kept sealed. -EEXIST: the name is taken; -ENOMEM,
 * or as the store says. */
int access_signing_add(const struct access_signing *signing, struct store_tx *tx,
    struct store_secret *row, char ret_text[ACCESS_KEY_BYTES]);

/* A new secret for persons; those before it stay valid for `overlap_ms`, so that the tokens they
 * signed live out their time, and are removed by the rotation after that. */
int access_signing_rotate(const struct access_signing *signing, struct store_tx *tx,
    int64_t now_ms, int64_t overlap_ms, uint64_t *ret_id);

/* Makes the first one for persons where there is none that stays valid. */
int access_signing_ensure(const struct access_signing *signing, struct store_tx *tx,
    int64_t now_ms);

#endif
