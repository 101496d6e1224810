/*
 * name_list.h: the names of a directory, collected first and then handed out in bytewise order, so
 * that whoever gets them may change the directory meanwhile. For implementations of struct env.
 */
#ifndef WEIR_NAME_LIST_H
#define WEIR_NAME_LIST_H

#include <stddef.h>

#include "span.h"

struct name_list {
	char **names;
	size_t count, cap;
};

void name_list_init(struct name_list *list);
void name_list_finish(struct name_list *list);

/* Copies `name`, which holds no NUL. 0 or -ENOMEM. */
int name_list_add(struct name_list *list, struct span name);

/* Calls each() as env_list_dir does. */
int name_list_each(struct name_list *list, int (*each)(void *ctx, const char *name), void *ctx);

#endif
