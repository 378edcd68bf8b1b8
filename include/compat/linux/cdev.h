/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Character devices: a range of numbers with one set of operations. */
#ifndef MMUN_COMPAT_LINUX_CDEV_H
#define MMUN_COMPAT_LINUX_CDEV_H

#include <linux/device.h>
#include <linux/fs.h>

struct module;

struct cdev {
	const struct file_operations *ops;
	struct module *owner;
	struct list_head list;
	dev_t dev;
	unsigned int count;
};

void cdev_init(struct cdev *cdev, const struct file_operations *fops);
int cdev_add(struct cdev *cdev, dev_t dev, unsigned int count);
void cdev_del(struct cdev *cdev);
int cdev_device_add(struct cdev *cdev, struct device *dev);
void cdev_device_del(struct cdev *cdev, struct device *dev);

#endif
