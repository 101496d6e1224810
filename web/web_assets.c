/*
 * web_assets.c: finds an embedded file by its path. The table has a handful of rows.
 */
#include "web_assets.h"

#include <string.h>

const struct web_asset *
web_assets_find(const char *path, size_t path_len)
{
	for (size_t i = 0; i < web_assets_count; i++) {
		const struct web_asset *asset = &web_assets[i];
		if (strlen(asset->path) == path_len && memcmp(asset->path, path, path_len) == 0)
			return asset;
	}
	return NULL;
}
