/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files for debugging, by path.
 *
 * I1  What is made first comes first in the list: a folder before what is in it.
 *
 * Tests: tests/contract/compat/memory.c.
 */
#include "runtime.h"

#include <string.h>

#include <linux/debugfs.h>

struct dentry {
	struct dentry *next;
	struct dentry *parent;
	const struct file_operations *fops; /* NULL: a folder */
	void *data;
	bool removed;
	char path[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct dentry *dentries;

static struct dentry *find(const char *path)
{
	struct dentry *d = dentries;

	while (d && strcmp(d->path, path))
		d = d->next;
	return d;
}

/* I1.  Takes the place of nothing. */
static bool insert(struct dentry *dentry)
{
	struct dentry **link = &dentries;

	if (find(dentry->path))
		return false;
	while (*link)
		link = &(*link)->next;
	*link = dentry;
	return true;
}

static struct dentry *create(const char *name, struct dentry *parent,
			     const struct file_operations *fops, void *data)
{
	const char *above = parent ? parent->path : "";
	size_t size = strlen(above) + strlen(name) + 2;
	struct dentry *d = (struct dentry *)calloc(1, sizeof(*d) + size);
	bool inserted;

	if (!d)
		return (struct dentry *)ERR_PTR(-ENOMEM);
	d->parent = parent;
	d->fops = fops;
	d->data = data;
	scnprintf(d->path, size, "%s%s%s", above, parent ? "/" : "", name);
	pthread_mutex_lock(&lock);
	inserted = insert(d);
	pthread_mutex_unlock(&lock);
	if (inserted)
		return d;
	free(d);
	return (struct dentry *)ERR_PTR(-EEXIST);
}

struct dentry *debugfs_create_dir(const char *name, struct dentry *parent)
{
	return IS_ERR(parent) ? parent : create(name, parent, NULL, NULL);
}

struct dentry *debugfs_create_file(const char *name, umode_t mode, struct dentry *parent,
				   void *data, const struct file_operations *fops)
{
	return IS_ERR(parent) ? parent : create(name, parent, fops, data);
}

/* Frees those that are marked, and what is in them. */
static void remove_marked(void)
{
	struct dentry **link = &dentries, *d;

	for (d = dentries; d; d = d->next)
		d->removed |= d->parent && d->parent->removed;
	while ((d = *link)) {
		if (!d->removed) {
			link = &d->next;
			continue;
		}
		*link = d->next;
		free(d);
	}
}

void debugfs_remove(struct dentry *dentry)
{
	if (IS_ERR_OR_NULL(dentry))
		return;
	pthread_mutex_lock(&lock);
	dentry->removed = true;
	remove_marked();
	pthread_mutex_unlock(&lock);
}

void mmun_compat_free_debugfs(void)
{
	pthread_mutex_lock(&lock);
	for (struct dentry *d = dentries; d; d = d->next)
		d->removed = true;
	remove_marked();
	pthread_mutex_unlock(&lock);
}

const struct file_operations *mmun_compat_find_debugfs(const char *path, void **data)
{
	const struct file_operations *fops = NULL;
	const struct dentry *d;

	pthread_mutex_lock(&lock);
	d = find(path);
	if (d) {
		fops = d->fops;
		*data = d->data;
	}
	pthread_mutex_unlock(&lock);
	return fops;
}
