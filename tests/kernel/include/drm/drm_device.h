/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef MMUN_KERNEL_DRM_DRM_DEVICE_H
#define MMUN_KERNEL_DRM_DRM_DEVICE_H

#include <linux/device.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/sched/mm.h>

struct drm_driver;

struct drm_device {
	struct device *dev;
	const struct drm_driver *driver;
};

#endif
