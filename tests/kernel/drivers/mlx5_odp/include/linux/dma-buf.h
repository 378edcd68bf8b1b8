/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory of other devices: none has any. */
#ifndef MMUN_KERNEL_MLX5_DMA_BUF_H
#define MMUN_KERNEL_MLX5_DMA_BUF_H

struct dma_buf {
	struct dma_resv *resv;
};

struct dma_buf_attachment {
	struct dma_buf *dmabuf;
};

#endif
