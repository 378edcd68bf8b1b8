/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Attributes of devices (linux/device.h): a test reads and writes them by
 * mmun_compat_show_attribute() and mmun_compat_store_attribute(). */
#ifndef MMUN_COMPAT_LINUX_SYSFS_H
#define MMUN_COMPAT_LINUX_SYSFS_H

#include <linux/stat.h>
#include <linux/types.h>

struct attribute {
	const char *name;
	unsigned int mode;
};

#define __ATTR(attr_name, attr_mode, attr_show, attr_store) \
	{ \
		.attr = { .name = #attr_name, .mode = (attr_mode) }, .show = (attr_show), \
		.store = (attr_store) \
	}
#define __ATTR_RO(attr_name) __ATTR(attr_name, 0444, attr_name##_show, NULL)
#define __ATTR_WO(attr_name) __ATTR(attr_name, 0200, NULL, attr_name##_store)
#define __ATTR_RW(attr_name) __ATTR(attr_name, 0644, attr_name##_show, attr_name##_store)

int sysfs_emit(char *buf, const char *format, ...) __printf(2, 3);

#endif
