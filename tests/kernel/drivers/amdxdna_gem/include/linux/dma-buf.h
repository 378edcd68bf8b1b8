/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Buffers of others: there are none here, so nothing is imported. */
#ifndef MMUN_KERNEL_LINUX_DMA_BUF_H
#define MMUN_KERNEL_LINUX_DMA_BUF_H

#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/iosys-map.h>
#include <linux/mm.h>

struct dma_buf;

struct dma_buf_attachment {
	struct dma_buf *dmabuf;
};

struct dma_buf_ops {
	int (*attach)(struct dma_buf *buf, struct dma_buf_attachment *attach);
	void (*detach)(struct dma_buf *buf, struct dma_buf_attachment *attach);
	struct sg_table *(*map_dma_buf)(struct dma_buf_attachment *attach,
					enum dma_data_direction direction);
	void (*unmap_dma_buf)(struct dma_buf_attachment *attach, struct sg_table *table,
			      enum dma_data_direction direction);
	void (*release)(struct dma_buf *buf);
	int (*mmap)(struct dma_buf *buf, struct vm_area_struct *vma);
	int (*vmap)(struct dma_buf *buf, struct iosys_map *map);
	void (*vunmap)(struct dma_buf *buf, struct iosys_map *map);
};

struct dma_buf {
	void *priv;
	struct dma_resv *resv;
};

struct dma_buf_export_info {
	const struct dma_buf_ops *ops;
	size_t size;
	int flags;
	void *priv;
	struct dma_resv *resv;
};
#define DEFINE_DMA_BUF_EXPORT_INFO(name) struct dma_buf_export_info name = { 0 }

#define dma_buf_get(fd)                ((void)(fd), (struct dma_buf *)ERR_PTR(-EBADF))
#define get_dma_buf(buf)               BUG_ON(buf)
#define dma_buf_put(buf)               BUG_ON(buf)
#define dma_buf_detach(buf, attach)    BUG_ON(buf)
#define dma_buf_vunmap(buf, map)       BUG_ON(buf)
#define dma_buf_attach(buf, dev)       ((void)(dev), (struct dma_buf_attachment *)ERR_PTR(-ENODEV))
#define dma_buf_mmap(buf, vma, offset) ((void)(buf), -ENODEV)
#define dma_buf_vmap(buf, map)         ((void)(buf), -ENODEV)
#define dma_buf_map_attachment_unlocked(attach, direction) \
	((void)(attach), (struct sg_table *)ERR_PTR(-ENODEV))
#define dma_buf_unmap_attachment_unlocked(attach, table, direction) BUG_ON(attach)

#endif
