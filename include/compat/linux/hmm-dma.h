/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* DMA mappings beside the array of hmm_range_fault(), since 6.16.  There is no IOMMU, so each
 * entry is mapped alone. */
#ifndef MMUN_COMPAT_LINUX_HMM_DMA_H
#define MMUN_COMPAT_LINUX_HMM_DMA_H

#include <linux/dma-mapping.h>

struct pci_p2pdma_map_state;

struct hmm_dma_map {
	struct dma_iova_state state;
	unsigned long *pfn_list;
	dma_addr_t *dma_list;
	size_t dma_entry_size;
};

/* 0 or -ENOMEM; @nr_entries of each list, zeroed. */
int hmm_dma_map_alloc(struct device *dev, struct hmm_dma_map *map, size_t nr_entries,
		      size_t dma_entry_size);
/* What is mapped has been unmapped. */
void hmm_dma_map_free(struct device *dev, struct hmm_dma_map *map);
/* Of the valid entry @idx: its address, the old one if it is mapped, or DMA_MAPPING_ERROR.
 * HMM_PFN_DMA_MAPPED is set then and stays through hmm_range_fault(). */
dma_addr_t hmm_dma_map_pfn(struct device *dev, struct hmm_dma_map *map, size_t idx,
			   struct pci_p2pdma_map_state *p2pdma_state);
/* False: it was not mapped. */
bool hmm_dma_unmap_pfn(struct device *dev, struct hmm_dma_map *map, size_t idx);

#endif
