/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pages for devices.  There is no IOMMU: a DMA address is the physical one, and a page stays
 * where it is as long as the notifier contract or a pin keeps it.  What is checked is the
 * driver's bookkeeping: a mapping is a block that mmun_compat_allocated() counts until it is
 * unmapped and that mmun_compat_fail_allocations() makes fail, an unmap or a sync that
 * matches no mapping in device, address, size and direction warns.  Coherent memory and
 * pools are outside.
 */
#ifndef MMUN_COMPAT_LINUX_DMA_MAPPING_H
#define MMUN_COMPAT_LINUX_DMA_MAPPING_H

#include <linux/device.h>
#include <linux/dma-direction.h>
#include <linux/err.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>

#define DMA_MAPPING_ERROR (~(dma_addr_t)0)
#define DMA_BIT_MASK(n)   ((n) == 64 ? ~0ull : (1ull << (n)) - 1)

#define DMA_ATTR_WEAK_ORDERING     (1ul << 1)
#define DMA_ATTR_WRITE_COMBINE     (1ul << 2)
#define DMA_ATTR_NO_KERNEL_MAPPING (1ul << 4)
#define DMA_ATTR_SKIP_CPU_SYNC     (1ul << 5)
#define DMA_ATTR_FORCE_CONTIGUOUS  (1ul << 6)
#define DMA_ATTR_NO_WARN           (1ul << 8)
#define DMA_ATTR_PRIVILEGED        (1ul << 9)

/* Never in use: there is no IOMMU. */
struct dma_iova_state {
	dma_addr_t addr;
	u64 size;
};
#define dma_use_iova(state) ((void)(state), false)

/* False: every page is to be mapped by itself. */
static inline bool dma_iova_try_alloc(struct device *dev, struct dma_iova_state *state,
				      phys_addr_t phys, size_t size)
{
	*state = (struct dma_iova_state){ 0 };
	return false;
}

/* Never come to: they are for what dma_iova_try_alloc() has allocated. */
static inline int dma_iova_link(struct device *dev, struct dma_iova_state *state, phys_addr_t phys,
				size_t offset, size_t size, enum dma_data_direction direction,
				unsigned long attrs)
{
	BUG();
	return -EINVAL;
}

static inline int dma_iova_sync(struct device *dev, struct dma_iova_state *state, size_t offset,
				size_t size)
{
	BUG();
	return -EINVAL;
}

static inline void dma_iova_unlink(struct device *dev, struct dma_iova_state *state, size_t offset,
				   size_t size, enum dma_data_direction direction,
				   unsigned long attrs)
{
	BUG();
}

static inline void dma_iova_destroy(struct device *dev, struct dma_iova_state *state, size_t mapped,
				    enum dma_data_direction direction, unsigned long attrs)
{
	BUG();
}

static inline void dma_iova_free(struct device *dev, struct dma_iova_state *state)
{
	BUG();
}

/* An address, or one for which dma_mapping_error() is true: nothing is mapped then.  @size
 * may reach over following frames.  Any context. */
dma_addr_t dma_map_page_attrs(struct device *dev, struct page *page, size_t offset, size_t size,
			      enum dma_data_direction direction, unsigned long attrs);
dma_addr_t dma_map_single_attrs(struct device *dev, void *address, size_t size,
				enum dma_data_direction direction, unsigned long attrs);
void dma_unmap_page_attrs(struct device *dev, dma_addr_t address, size_t size,
			  enum dma_data_direction direction, unsigned long attrs);

static inline int __must_check dma_mapping_error(struct device *dev, dma_addr_t address)
{
	return unlikely(address == DMA_MAPPING_ERROR) ? -ENOMEM : 0;
}

#define dma_map_page(dev, page, offset, size, dir) \
	dma_map_page_attrs(dev, page, offset, size, dir, 0)
#define dma_unmap_page(dev, address, size, dir) dma_unmap_page_attrs(dev, address, size, dir, 0)
#define dma_map_single(dev, ptr, size, dir)     dma_map_single_attrs(dev, ptr, size, dir, 0)
#define dma_unmap_single_attrs(dev, address, size, dir, attrs) \
	dma_unmap_page_attrs(dev, address, size, dir, attrs)
#define dma_unmap_single(dev, address, size, dir) dma_unmap_page_attrs(dev, address, size, dir, 0)

/* The number of mapped entries, 0 for an error; to be given back with the original one. */
unsigned int dma_map_sg_attrs(struct device *dev, struct scatterlist *sg, int nents,
			      enum dma_data_direction direction, unsigned long attrs);
void dma_unmap_sg_attrs(struct device *dev, struct scatterlist *sg, int nents,
			enum dma_data_direction direction, unsigned long attrs);
/* 0 or -ENOMEM; ->nents is what was mapped. */
int dma_map_sgtable(struct device *dev, struct sg_table *table, enum dma_data_direction direction,
		    unsigned long attrs);
void dma_unmap_sgtable(struct device *dev, struct sg_table *table,
		       enum dma_data_direction direction, unsigned long attrs);

#define dma_map_sg(dev, sg, nents, dir)   dma_map_sg_attrs(dev, sg, nents, dir, 0)
#define dma_unmap_sg(dev, sg, nents, dir) dma_unmap_sg_attrs(dev, sg, nents, dir, 0)

/* Within one mapping. */
void dma_sync_single_for_cpu(struct device *dev, dma_addr_t address, size_t size,
			     enum dma_data_direction direction);
void dma_sync_single_for_device(struct device *dev, dma_addr_t address, size_t size,
				enum dma_data_direction direction);

#define dma_set_mask(dev, mask)              ((void)(dev), (void)(mask), 0)
#define dma_set_coherent_mask(dev, mask)     dma_set_mask(dev, mask)
#define dma_set_mask_and_coherent(dev, mask) dma_set_mask(dev, mask)
#define dma_get_mask(dev)                    ((void)(dev), DMA_BIT_MASK(64))
#define dma_get_max_seg_size(dev)            ((void)(dev), (unsigned int)SZ_64K)
#define dma_set_max_seg_size(dev, size)      ((void)(dev), (void)(size))
#define dma_max_mapping_size(dev)            ((void)(dev), SIZE_MAX)
#define dma_get_cache_alignment()            1
#define dma_need_sync(dev, address)          ((void)(dev), (void)(address), false)

#endif
