/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* References to the device, which the test counts. */
#ifndef MMUN_KERNEL_DRM_DRM_DRV_H
#define MMUN_KERNEL_DRM_DRM_DRV_H

#include <drm/drm_device.h>
#include <linux/fs.h>
#include <linux/llist.h>
#include <linux/workqueue.h>

struct drm_driver {
	const struct file_operations *fops;
};

void drm_dev_get(struct drm_device *dev);
void drm_dev_put(struct drm_device *dev);

#endif
