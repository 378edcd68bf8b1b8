/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses of an IOMMU, without one. */
#ifndef MMUN_KERNEL_LINUX_IOVA_H
#define MMUN_KERNEL_LINUX_IOVA_H

struct iova_domain {
	int unused;
};

#endif
