/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which side writes memory that is mapped for DMA. */
#ifndef MMUN_COMPAT_LINUX_DMA_DIRECTION_H
#define MMUN_COMPAT_LINUX_DMA_DIRECTION_H

enum dma_data_direction {
	DMA_BIDIRECTIONAL,
	DMA_TO_DEVICE,
	DMA_FROM_DEVICE,
	DMA_NONE,
};

static inline int valid_dma_direction(enum dma_data_direction direction)
{
	return direction == DMA_BIDIRECTIONAL || direction == DMA_TO_DEVICE ||
	       direction == DMA_FROM_DEVICE;
}

#endif
