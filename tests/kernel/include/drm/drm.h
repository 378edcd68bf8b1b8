/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef MMUN_KERNEL_DRM_DRM_H
#define MMUN_KERNEL_DRM_DRM_H

#include <drm/drm_print.h>

#endif
