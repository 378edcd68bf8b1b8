/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages with the device's name. */
#ifndef MMUN_COMPAT_LINUX_DEV_PRINTK_H
#define MMUN_COMPAT_LINUX_DEV_PRINTK_H

#include <linux/printk.h>

struct device;
const char *dev_name(const struct device *dev);

#define dev_printk(level, dev, fmt, ...) \
	printk(level "%s: " pr_fmt(fmt), dev_name(dev), ##__VA_ARGS__)
#define dev_err(dev, fmt, ...)    dev_printk(KERN_ERR, dev, fmt, ##__VA_ARGS__)
#define dev_crit(dev, fmt, ...)   dev_printk(KERN_CRIT, dev, fmt, ##__VA_ARGS__)
#define dev_warn(dev, fmt, ...)   dev_printk(KERN_WARNING, dev, fmt, ##__VA_ARGS__)
#define dev_notice(dev, fmt, ...) dev_printk(KERN_NOTICE, dev, fmt, ##__VA_ARGS__)
#define dev_info(dev, fmt, ...)   dev_printk(KERN_INFO, dev, fmt, ##__VA_ARGS__)
#ifdef DEBUG
#define dev_dbg(dev, fmt, ...) dev_printk(KERN_DEBUG, dev, fmt, ##__VA_ARGS__)
#else
#define dev_dbg(dev, fmt, ...) \
	({ \
		if (0) \
			dev_printk(KERN_DEBUG, dev, fmt, ##__VA_ARGS__); \
	})
#endif
#define dev_warn_once(dev, fmt, ...)        MMUN_COMPAT_ONCE(dev_warn(dev, fmt, ##__VA_ARGS__))
#define dev_err_ratelimited(dev, fmt, ...)  dev_err(dev, fmt, ##__VA_ARGS__)
#define dev_warn_ratelimited(dev, fmt, ...) dev_warn(dev, fmt, ##__VA_ARGS__)

#endif
