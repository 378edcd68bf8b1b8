/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory of devices: private, which only the device reaches, and coherent, which processors reach as
 * well.  Private memory lies in a region from request_free_mem_region(), coherent memory at a range
 * of mmun_soft_device_space() that the driver is given.  struct dev_pagemap
 * and its operations are those of mmunotify/soft_device.h. */
#ifndef MMUN_COMPAT_LINUX_MEMREMAP_H
#define MMUN_COMPAT_LINUX_MEMREMAP_H

#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/range.h>
#include <mmunotify/soft_device.h>

struct device;

/* The first byte of coherent memory; for private memory, which has none, an address that nobody may
 * use; or an ERR_PTR(). */
void *memremap_pages(struct dev_pagemap *pgmap, int nid);
/* Waits until no page of it is in use. */
void memunmap_pages(struct dev_pagemap *pgmap);
#define zone_device_page_init(page) mmun_soft_zone_device_page_init(page)

static inline struct dev_pagemap *page_pgmap(const struct page *page)
{
	return page->pgmap;
}

static inline void *folio_zone_device_data(const struct folio *folio)
{
	return ((const struct page *)folio)->zone_device_data;
}

#endif
