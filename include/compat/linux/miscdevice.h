/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Devices by name, opened with mmun_compat_open(). */
#ifndef MMUN_COMPAT_LINUX_MISCDEVICE_H
#define MMUN_COMPAT_LINUX_MISCDEVICE_H

#include <linux/device.h>
#include <linux/fs.h>

#define MISC_DYNAMIC_MINOR 255

struct miscdevice {
	int minor;
	const char *name;
	const struct file_operations *fops;
	struct list_head list;
	struct device *parent, *this_device;
	const char *nodename;
	umode_t mode;
};

int misc_register(struct miscdevice *misc);
void misc_deregister(struct miscdevice *misc);

#define MMUN_COMPAT_MISC(misc, fn, id) \
	static int MMUN_COMPAT_PASTE(mmun_misc_init_, id)(void) \
	{ \
		return misc_register(&(misc)); \
	} \
	static void MMUN_COMPAT_PASTE(mmun_misc_exit_, id)(void) \
	{ \
		misc_deregister(&(misc)); \
	} \
	module_init(MMUN_COMPAT_PASTE(mmun_misc_init_, id)); \
	module_exit(MMUN_COMPAT_PASTE(mmun_misc_exit_, id))
#define module_misc_device(misc) MMUN_COMPAT_MISC(misc, , misc)

#include <linux/module.h>

#endif
