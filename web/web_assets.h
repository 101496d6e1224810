/*
 * web_assets.h: the page, embedded in the binary.
 *
 * The table is generated at build time from web/ (tools/embed.mjs) and constant: any thread may
 * read it, and what it points to lives as long as the process.
 */
#ifndef WEIR_WEB_ASSETS_H
#define WEIR_WEB_ASSETS_H

#include <stdbool.h>
#include <stddef.h>

struct web_asset {
	const char *path; /* "/", "/app.js" */
	const char *type; /* value of Content-Type */
	const char *etag; /* value of ETag, with its quotes; a hash of the bytes */
	const unsigned char *bytes;
	size_t len;
	const unsigned char *gzip; /* the same for Accept-Encoding: gzip */
	size_t gzip_len;
	bool shared;               /* pages of other origins may load it */
};

extern const struct web_asset web_assets[];
extern const size_t web_assets_count;

/* The asset of exactly this path (no query), or NULL. */
const struct web_asset *web_assets_find(const char *path, size_t path_len);

#endif
