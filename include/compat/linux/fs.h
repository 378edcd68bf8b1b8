/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files of devices: the driver's operations, run by mmun_compat_open() and its relatives
 * (mmunotify/compat.h).  File systems are outside. */
#ifndef MMUN_COMPAT_LINUX_FS_H
#define MMUN_COMPAT_LINUX_FS_H

#include <fcntl.h>

#include <linux/ioctl.h>
#include <linux/kdev_t.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/wait.h>
#include <linux/xarray.h>

struct cdev;

struct inode {
	dev_t i_rdev;
	struct cdev *i_cdev;
	void *i_private;
};

#define FMODE_READ       1u
#define FMODE_WRITE      2u
#define file_inode(file) ((file)->f_inode)
#define iminor(inode)    MINOR((inode)->i_rdev)
#define imajor(inode)    MAJOR((inode)->i_rdev)
#define get_file(file)   mmun_soft_file_get(file)
#define fput(file)       mmun_soft_file_put(file)

long compat_ptr_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
loff_t noop_llseek(struct file *file, loff_t offset, int whence);
#define no_llseek      noop_llseek
#define default_llseek noop_llseek
int nonseekable_open(struct inode *inode, struct file *file);
#define stream_open(inode, file) nonseekable_open(inode, file)

/* "/dev/NAME", or an error pointer; nothing else can be opened. */
struct file *filp_open(const char *name, int flags, umode_t mode);
int filp_close(struct file *file, void *id);

int alloc_chrdev_region(dev_t *dev, unsigned int first, unsigned int count, const char *name);
int register_chrdev_region(dev_t from, unsigned int count, const char *name);
void unregister_chrdev_region(dev_t from, unsigned int count);

#endif
