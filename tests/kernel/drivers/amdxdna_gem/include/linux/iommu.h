/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef MMUN_KERNEL_LINUX_IOMMU_H
#define MMUN_KERNEL_LINUX_IOMMU_H

#include <linux/srcu.h>

#define IOMMU_PASID_INVALID (-1)

struct iommu_sva;
struct iommu_group;
struct iommu_domain;

#endif
