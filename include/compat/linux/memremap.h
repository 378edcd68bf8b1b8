/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory of devices: private, which only the device reaches, and coherent, which processors reach as
 * well.  Private memory lies in a region from request_free_mem_region(), coherent memory at a range
 * of mmun_soft_device_space() that the driver is given.  struct dev_pagemap
 * and its operations are those of mmunotify/soft_device.h. */
#ifndef MMUN_COMPAT_LINUX_MEMREMAP_H
#define MMUN_COMPAT_LINUX_MEMREMAP_H

#include <linux/ioport.h>
#include <linux/bug.h>
#include <linux/mm.h>
#include <linux/range.h>
#include <mmunotify/soft_device.h>

struct device;

/* The first byte of coherent memory; for private memory, which has none, an address that nobody may
 * use; or an ERR_PTR(). */
void *memremap_pages(struct dev_pagemap *pgmap, int nid);
/* Waits until no page of it is in use. */
void memunmap_pages(struct dev_pagemap *pgmap);
/* The same until @dev goes, or devm_memunmap_pages(). */
void *devm_memremap_pages(struct device *dev, struct dev_pagemap *pgmap);
void devm_memunmap_pages(struct device *dev, struct dev_pagemap *pgmap);

/* Since 6.19 with the pgmap, which is the page's, and the order, which is 0. */
#define zone_device_page_init(page, ...) mmun_soft_zone_device_page_init(page)
#define zone_device_folio_init(folio, pgmap, order...) \
	({ \
		WARN_ON_ONCE(order); \
		zone_device_page_init(folio_page(folio, 0)); \
	})

/* Whose frame it is; NULL: no device's.  Until 6.17 with one that is known, whose reference is
 * given up if it is another's. */
struct dev_pagemap *mmun_compat_get_dev_pagemap(unsigned long pfn, struct dev_pagemap *known);
#define get_dev_pagemap(args...)                 MMUN_COMPAT_GET_PAGEMAP(args, NULL, NULL)
#define MMUN_COMPAT_GET_PAGEMAP(pfn, known, ...) mmun_compat_get_dev_pagemap(pfn, known)

static inline void put_dev_pagemap(struct dev_pagemap *pgmap)
{
	if (pgmap)
		mmun_soft_put_dev_pagemap(pgmap);
}

static inline void *folio_zone_device_data(const struct folio *folio)
{
	return ((const struct page *)folio)->zone_device_data;
}

static inline void folio_set_zone_device_data(struct folio *folio, void *data)
{
	folio_page(folio, 0)->zone_device_data = data;
}

static inline struct dev_pagemap *page_pgmap(const struct page *page)
{
	return page->pgmap;
}

#endif
