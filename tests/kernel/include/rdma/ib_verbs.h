/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Devices and regions of RDMA, as far as the code that handles memory looks at them. */
#ifndef MMUN_TESTS_KERNEL_RDMA_IB_VERBS_H
#define MMUN_TESTS_KERNEL_RDMA_IB_VERBS_H

#include <linux/capability.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/kernel.h>
#include <linux/kref.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/types.h>

struct ib_device {
	struct device *dma_device;
	struct device dev;
	bool cc_dma_bounce;
};

enum ib_access_flags {
	IB_ACCESS_LOCAL_WRITE = 1 << 0,
	IB_ACCESS_REMOTE_WRITE = 1 << 1,
	IB_ACCESS_REMOTE_READ = 1 << 2,
	IB_ACCESS_REMOTE_ATOMIC = 1 << 3,
	IB_ACCESS_MW_BIND = 1 << 4,
	IB_ACCESS_ON_DEMAND = 1 << 6,
	IB_ACCESS_HUGETLB = 1 << 7,
	IB_ACCESS_RELAXED_ORDERING = 1 << 20,
};

#define IB_MR_REREG_TRANS  1
#define IB_MR_REREG_PD     2
#define IB_MR_REREG_ACCESS 4

static inline bool ib_access_writable(int access)
{
	return access & (IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_ATOMIC |
			 IB_ACCESS_MW_BIND);
}

/* All of them give addresses to a real device. */
#define ib_uses_virt_dma(dev) ((void)(dev), false)
#define ib_dma_map_page(dev, page, offset, size, dir) \
	dma_map_page((dev)->dma_device, page, offset, size, dir)
#define ib_dma_unmap_page(dev, address, size, dir) \
	dma_unmap_page((dev)->dma_device, address, size, dir)
#define ib_dma_mapping_error(dev, address) dma_mapping_error((dev)->dma_device, address)
#define ib_dma_map_sgtable_attrs(dev, table, dir, attrs) \
	dma_map_sgtable((dev)->dma_device, table, dir, attrs)
#define ib_dma_unmap_sgtable_attrs(dev, table, dir, attrs) \
	dma_unmap_sgtable((dev)->dma_device, table, dir, attrs)
#define ib_dma_max_seg_size(dev) ((void)(dev), (unsigned int)UINT_MAX)

#define ibdev_dbg(dev, fmt, ...) ((void)(dev), no_printk(fmt, ##__VA_ARGS__))

#endif
