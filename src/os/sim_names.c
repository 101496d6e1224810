/*
 * sim_names.c: the names of the simulated disk.
 *
 * An entry of a directory says which node programs find under a name (`now`) and which the disk
 * has there (`disk`). Every change of names is in one list in order until sync_dir commits it. A
 * rename is one change, even between two directories, so it is kept whole or lost whole.
 *
 * Invariants: a change is never on disk while an earlier one of the same directory is not. Entries
 * stay when nothing is left under them: changes may point at them, and names recur. Directories
 * are never removed but by a power cut that forgets them.
 */
#include "sim_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "hash.h"
#include "name_list.h"

struct sim_entry {
	struct sim_node *dir; /* that it is in; not referenced */
	struct sim_node *now, *disk;
	size_t len;
	char name[];
};

struct sim_change {
	struct {
		struct sim_entry *entry;
		struct sim_node *node; /* what stands there after it; NULL: nothing */
	} sets[2];
	int count;
	bool kept;
};

static struct sim_node *
node_create(bool directory)
{
	struct sim_node *node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	node->refs = 1;
	node->directory = directory;
	map_init(&node->entries);
	return node;
}

struct sim_node *
sim_names_ref(struct sim_node *node)
{
	if (node)
		node->refs++;
	return node;
}

void
sim_names_unref(struct sim_node *node)
{
	if (!node || --node->refs > 0)
		return;
	size_t pos = 0;
	for (struct sim_entry *e; (e = map_next(&node->entries, &pos));) {
		sim_names_unref(e->now);
		sim_names_unref(e->disk);
		free(e);
	}
	map_finish(&node->entries);
	sim_data_finish(&node->data);
	free(node);
}

static void
point(struct sim_node **at, struct sim_node *node)
{
	sim_names_ref(node);
	sim_names_unref(*at);
	*at = node;
}

int
sim_names_init(struct sim_names *n)
{
	*n = (struct sim_names){.root = node_create(true)};
	return n->root ? 0 : -ENOMEM;
}

static void
forget_changes(struct sim_names *n)
{
	for (size_t i = 0; i < n->count; i++) {
		for (int j = 0; j < n->changes[i].count; j++)
			sim_names_unref(n->changes[i].sets[j].node);
	}
	n->count = 0;
}

void
sim_names_finish(struct sim_names *n)
{
	forget_changes(n);
	free(n->changes);
	sim_names_unref(n->root);
}

static bool
match(const void *value, const void *key)
{
	const struct sim_entry *e = value;
	return span_eq(span_of(e->name, e->len), *(const struct span *)key);
}

static struct sim_entry *
lookup(const struct sim_node *dir, struct span name)
{
	return map_get(&dir->entries, hash64(name, 0), match, &name);
}

/* The entry of that name, made when missing. NULL: no memory. */
static struct sim_entry *
make_entry(struct sim_node *dir, struct span name)
{
	struct sim_entry *e = lookup(dir, name);
	if (e)
		return e;
	e = calloc(1, sizeof(*e) + name.len + 1);
	if (!e)
		return NULL;
	e->dir = dir;
	e->len = name.len;
	memcpy(e->name, name.ptr, name.len);
	if (map_add(&dir->entries, hash64(name, 0), e)) {
		free(e);
		return NULL;
	}
	return e;
}

/* The next component at *path, which moves behind it; empty at the end. */
static struct span
next_component(const char **path)
{
	*path += strspn(*path, "/");
	struct span name = span_of(*path, strcspn(*path, "/"));
	*path += name.len;
	return name;
}

/* The directory of the last component of `path`, and that component (empty: the root itself). */
static int
walk(struct sim_names *n, const char *path, struct sim_node **ret_dir, struct span *ret_last)
{
	struct sim_node *dir = n->root;
	struct span last = SPAN(""), name;
	while ((name = next_component(&path)).len > 0) {
		if (span_eq(name, SPAN(".")))
			continue;
		if (span_eq(name, SPAN("..")))
			return -EINVAL;
		if (last.len > 0) {
			const struct sim_entry *e = lookup(dir, last);
			if (!e || !e->now)
				return -ENOENT;
			if (!e->now->directory)
				return -ENOTDIR;
			dir = e->now;
		}
		last = name;
	}
	*ret_dir = dir;
	*ret_last = last;
	return 0;
}

int
sim_names_find(struct sim_names *n, const char *path, struct sim_node **ret_node)
{
	struct sim_node *dir;
	struct span last;
	int error = walk(n, path, &dir, &last);
	if (error)
		return error;
	if (last.len > 0) {
		const struct sim_entry *e = lookup(dir, last);
		if (!e || !e->now)
			return -ENOENT;
		dir = e->now;
	}
	*ret_node = dir;
	return 0;
}

/* Room for one more change, so that recording it cannot fail. */
static int
reserve_change(struct sim_names *n)
{
	if (n->count < n->cap)
		return 0;
	size_t cap = n->cap ? n->cap * 2 : 16;
	struct sim_change *changes = realloc(n->changes, cap * sizeof(*changes));
	if (!changes)
		return -ENOMEM;
	n->changes = changes;
	n->cap = cap;
	return 0;
}

/* Lets programs see a change and records it. */
static void
make_change(struct sim_names *n, struct sim_change change)
{
	for (int j = 0; j < change.count; j++) {
		sim_names_ref(change.sets[j].node);
		point(&change.sets[j].entry->now, change.sets[j].node);
	}
	n->changes[n->count++] = change;
}

int
sim_names_create(struct sim_names *n, const char *path, bool directory, struct sim_node **ret_node)
{
	struct sim_node *dir;
	struct span last;
	int error = walk(n, path, &dir, &last);
	if (!error)
		error = reserve_change(n);
	if (error)
		return error;
	if (last.len == 0)
		return -EEXIST;
	struct sim_entry *e = make_entry(dir, last);
	if (!e)
		return -ENOMEM;
	if (e->now)
		return -EEXIST;
	struct sim_node *node = node_create(directory);
	if (!node)
		return -ENOMEM;
	make_change(n, (struct sim_change){.sets = {{e, node}}, .count = 1});
	*ret_node = node;
	sim_names_unref(node);
	return 0;
}

int
sim_names_unlink(struct sim_names *n, const char *path)
{
	struct sim_node *dir;
	struct span last;
	int error = walk(n, path, &dir, &last);
	if (!error)
		error = reserve_change(n);
	if (error)
		return error;
	struct sim_entry *e = last.len > 0 ? lookup(dir, last) : NULL;
	if (last.len == 0 || (e && e->now && e->now->directory))
		return -EISDIR;
	if (!e || !e->now)
		return -ENOENT;
	make_change(n, (struct sim_change){.sets = {{e, NULL}}, .count = 1});
	return 0;
}

int
sim_names_rename(struct sim_names *n, const char *from, const char *to)
{
	struct sim_node *from_dir, *to_dir;
	struct span from_last, to_last;
	int error = walk(n, from, &from_dir, &from_last);
	if (!error)
		error = walk(n, to, &to_dir, &to_last);
	if (!error)
		error = reserve_change(n);
	if (error)
		return error;
	if (from_last.len == 0 || to_last.len == 0)
		return -EBUSY;
	struct sim_entry *source = lookup(from_dir, from_last);
	if (!source || !source->now)
		return -ENOENT;
	/* A directory could come to lie below itself. */
	if (source->now->directory && from_dir != to_dir)
		return -EINVAL;
	struct sim_entry *target = make_entry(to_dir, to_last);
	if (!target)
		return -ENOMEM;
	if (target == source)
		return 0;
	if (target->now && target->now->directory)
		return -EISDIR;
	if (target->now && source->now->directory)
		return -ENOTDIR;
	make_change(
	    n, (struct sim_change){.sets = {{target, source->now}, {source, NULL}}, .count = 2});
	return 0;
}

/* The j-th directory of a change; NULL when the one before it is the same. */
static struct sim_node *
change_dir(const struct sim_change *change, int j)
{
	struct sim_node *dir = change->sets[j].entry->dir;
	return j > 0 && dir == change->sets[j - 1].entry->dir ? NULL : dir;
}

static void
mark_dirs(const struct sim_change *change, bool marked)
{
	for (int j = 0; j < change->count; j++)
		change->sets[j].entry->dir->marked = marked;
}

static void
commit(struct sim_change *change)
{
	for (int j = 0; j < change->count; j++) {
		point(&change->sets[j].entry->disk, change->sets[j].node);
		sim_names_unref(change->sets[j].node);
	}
}

/* Commits the kept changes; the others stay in order. */
static void
commit_kept(struct sim_names *n)
{
	size_t left = 0;
	for (size_t i = 0; i < n->count; i++) {
		if (n->changes[i].kept)
			commit(&n->changes[i]);
		else
			n->changes[left++] = n->changes[i];
	}
	n->count = left;
}

int
sim_names_sync_dir(struct sim_names *n, const char *path)
{
	struct sim_node *dir;
	int error = sim_names_find(n, path, &dir);
	if (error)
		return error;
	if (!dir->directory)
		return -ENOTDIR;
	/* Backwards: a rename brings in all that came before it in its other directory. */
	dir->marked = true;
	for (size_t i = n->count; i-- > 0;) {
		struct sim_change *change = &n->changes[i];
		change->kept = false;
		for (int j = 0; j < change->count; j++)
			change->kept |= change->sets[j].entry->dir->marked;
		if (change->kept)
			mark_dirs(change, true);
	}
	dir->marked = false;
	for (size_t i = 0; i < n->count; i++)
		mark_dirs(&n->changes[i], false);
	commit_kept(n);
	return 0;
}

int
sim_names_list(
    struct sim_names *n, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	struct sim_node *dir;
	int returned = sim_names_find(n, path, &dir);
	if (returned)
		return returned;
	if (!dir->directory)
		return -ENOTDIR;
	struct name_list list;
	name_list_init(&list);
	size_t pos = 0;
	for (struct sim_entry *e; !returned && (e = map_next(&dir->entries, &pos));) {
		if (e->now)
			returned = name_list_add(&list, span_of(e->name, e->len));
	}
	if (!returned)
		returned = name_list_each(&list, each, ctx);
	name_list_finish(&list);
	return returned;
}

static uint64_t
node_used(const struct sim_node *node)
{
	uint64_t used = node->data.len;
	size_t pos = 0;
	for (struct sim_entry *e; (e = map_next(&node->entries, &pos));)
		used += e->now ? node_used(e->now) : 0;
	return used;
}

uint64_t
sim_names_used(const struct sim_names *n)
{
	return node_used(n->root);
}

/* Draws for each directory how many of its changes are kept: node->changes. */
static void
draw_kept(struct sim_names *n, struct prng *random)
{
	struct sim_node *dir;
	for (size_t i = 0; i < n->count; i++) {
		for (int j = 0; j < n->changes[i].count; j++)
			n->changes[i].sets[j].entry->dir->changes = 0;
	}
	for (size_t i = 0; i < n->count; i++) {
		for (int j = 0; j < n->changes[i].count; j++) {
			if ((dir = change_dir(&n->changes[i], j)))
				dir->changes++;
		}
	}
	for (size_t i = 0; i < n->count; i++) {
		for (int j = 0; j < n->changes[i].count; j++) {
			dir = n->changes[i].sets[j].entry->dir;
			if (!dir->marked)
				dir->changes = prng_below(random, dir->changes + 1);
			dir->marked = true;
		}
	}
	for (size_t i = 0; i < n->count; i++)
		mark_dirs(&n->changes[i], false);
}

/* Marks the changes that fit into what was drawn; one that does not ends its directories. */
static void
mark_kept(struct sim_names *n)
{
	for (size_t i = 0; i < n->count; i++) {
		struct sim_change *change = &n->changes[i];
		struct sim_node *dir;
		change->kept = true;
		for (int j = 0; j < change->count; j++)
			change->kept &= change->sets[j].entry->dir->changes > 0;
		for (int j = 0; j < change->count; j++) {
			if (!(dir = change_dir(change, j)))
				continue;
			dir->changes = change->kept ? dir->changes - 1 : 0;
		}
	}
}

/* Below `dir` programs now find what the disk has. */
static void
settle(struct sim_node *dir, struct prng *random)
{
	size_t pos = 0;
	for (struct sim_entry *e; (e = map_next(&dir->entries, &pos));) {
		point(&e->now, e->disk);
		if (!e->now)
			continue;
		e->now->lock = NULL;
		if (e->now->directory)
			settle(e->now, random);
		else
			sim_data_cut(&e->now->data, random);
	}
}

void
sim_names_cut(struct sim_names *n, struct prng *random)
{
	draw_kept(n, random);
	mark_kept(n);
	commit_kept(n);
	forget_changes(n);
	settle(n->root, random);
}
