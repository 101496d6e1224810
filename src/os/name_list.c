/*
 * name_list.c: the names of a directory, copied and sorted.
 */
#include "name_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void
name_list_init(struct name_list *list)
{
	*list = (struct name_list){0};
}

void
name_list_finish(struct name_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->names[i]);
	free(list->names);
	name_list_init(list);
}

int
name_list_add(struct name_list *list, struct span name)
{
	if (list->count == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 16;
		char **names = realloc(list->names, cap * sizeof(char *));
		if (!names)
			return -ENOMEM;
		list->names = names;
		list->cap = cap;
	}
	char *copy = malloc(name.len + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, name.ptr, name.len);
	copy[name.len] = '\0';
	list->names[list->count++] = copy;
	return 0;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int
name_list_each(struct name_list *list, int (*each)(void *ctx, const char *name), void *ctx)
{
	int returned = 0;
	if (list->count > 1)
		qsort(list->names, list->count, sizeof(char *), compare);
	for (size_t i = 0; i < list->count && returned == 0; i++)
		returned = each(ctx, list->names[i]);
	return returned;
}
