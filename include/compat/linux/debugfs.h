/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files for debugging, opened with mmun_compat_open() by their path below the root of debugfs.
 * Values, blobs and reg sets are not there: files with operations of the driver's own are. */
#ifndef MMUN_COMPAT_LINUX_DEBUGFS_H
#define MMUN_COMPAT_LINUX_DEBUGFS_H

#include <linux/err.h>
#include <linux/fs.h>
#include <linux/module.h>

struct dentry;

/* Or an error pointer, which is as good as @parent: what is below it is not made. */
struct dentry *debugfs_create_dir(const char *name, struct dentry *parent);
/* Its ->open finds @data in inode->i_private. */
struct dentry *debugfs_create_file(const char *name, umode_t mode, struct dentry *parent,
				   void *data, const struct file_operations *fops);
#define debugfs_create_file_unsafe(name, mode, parent, data, fops) \
	debugfs_create_file(name, mode, parent, data, fops)
/* With all that is below it.  What is left goes at mmun_compat_stop(). */
void debugfs_remove(struct dentry *dentry);
#define debugfs_remove_recursive(dentry) debugfs_remove(dentry)

#endif
