/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages of DRM drivers, and their warnings. */
#ifndef MMUN_KERNEL_DRM_DRM_PRINT_H
#define MMUN_KERNEL_DRM_DRM_PRINT_H

#include <linux/bug.h>
#include <linux/printk.h>

#define DRM_ERROR(format, ...)     pr_err(format, ##__VA_ARGS__)
#define DRM_WARN_ONCE(format, ...) pr_warn(format, ##__VA_ARGS__)
#define drm_err(drm, format, ...)  ((void)(drm), pr_err(format, ##__VA_ARGS__))
#define drm_warn(drm, format, ...) ((void)(drm), pr_warn(format, ##__VA_ARGS__))
#define drm_dbg(drm, format, ...)  ((void)(drm), pr_debug(format, ##__VA_ARGS__))
#define drm_WARN(drm, condition, format, ...) \
	({ \
		(void)(drm); \
		WARN(condition, format, ##__VA_ARGS__); \
	})
#define drm_WARN_ON(drm, condition) ((void)(drm), WARN_ON(condition))
#define drm_WARN_ONCE(drm, condition, format, ...) \
	((void)(drm), WARN_ONCE(condition, format, ##__VA_ARGS__))

#endif
