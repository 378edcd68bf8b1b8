/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DMA mappings: the physical address, and a record that it was asked for.
 *
 * I1  Each mapping has a record, a block like any other, until it is unmapped as it was mapped.
 *
 * Tests: tests/contract/compat/pages.c.
 */
#include "runtime.h"

#include <linux/dma-mapping.h>
#include <linux/hash.h>
#include <linux/slab.h>

#define BITS 8

struct mapping {
	struct mapping *next;
	const struct device *dev;
	dma_addr_t address;
	size_t size;
	enum dma_data_direction direction;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mapping *table[1 << BITS];

static struct mapping **chain(dma_addr_t address)
{
	return &table[hash_64(address, BITS)];
}

/* I1 */
static dma_addr_t map(struct device *dev, phys_addr_t address, size_t size,
		      enum dma_data_direction direction)
{
	struct mapping *new, **link = chain(address);

	BUG_ON(!valid_dma_direction(direction));
	if (WARN_ON(!size || !pfn_valid(PHYS_PFN(address + size - 1))))
		return DMA_MAPPING_ERROR;
	new = (struct mapping *)kmalloc(sizeof(*new), GFP_ATOMIC);
	if (!new)
		return DMA_MAPPING_ERROR;
	*new = (struct mapping){ NULL, dev, address, size, direction };
	pthread_mutex_lock(&lock);
	new->next = *link;
	*link = new;
	pthread_mutex_unlock(&lock);
	return address;
}

dma_addr_t dma_map_page_attrs(struct device *dev, struct page *page, size_t offset, size_t size,
			      enum dma_data_direction direction, unsigned long attrs)
{
	return map(dev, page_to_phys(page) + offset, size, direction);
}

dma_addr_t dma_map_single_attrs(struct device *dev, void *address, size_t size,
				enum dma_data_direction direction, unsigned long attrs)
{
	return map(dev, __pa(address), size, direction);
}

void dma_unmap_page_attrs(struct device *dev, dma_addr_t address, size_t size,
			  enum dma_data_direction direction, unsigned long attrs)
{
	struct mapping *found, **link = chain(address);

	pthread_mutex_lock(&lock);
	while ((found = *link) != NULL && !(found->dev == dev && found->address == address &&
					    found->size == size && found->direction == direction))
		link = &found->next;
	if (found)
		*link = found->next;
	pthread_mutex_unlock(&lock);
	WARN(!found, "DMA address %#llx, %zu bytes, direction %d: unmapped, but not mapped so\n",
	     (unsigned long long)address, size, direction);
	kfree(found);
}

/* A mapping that is synced in part is found by looking at all. */
static bool covered(const struct device *dev, dma_addr_t address, size_t size)
{
	const struct mapping *m = NULL;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; !m && i < ARRAY_SIZE(table); i++) {
		m = table[i];
		while (m && !(m->dev == dev && address >= m->address &&
			      address + size <= m->address + m->size))
			m = m->next;
	}
	pthread_mutex_unlock(&lock);
	return m;
}

void dma_sync_single_for_cpu(struct device *dev, dma_addr_t address, size_t size,
			     enum dma_data_direction direction)
{
	WARN(!covered(dev, address, size), "DMA address %#llx, %zu bytes: synced, but not mapped\n",
	     (unsigned long long)address, size);
}

void dma_sync_single_for_device(struct device *dev, dma_addr_t address, size_t size,
				enum dma_data_direction direction)
{
	dma_sync_single_for_cpu(dev, address, size, direction);
}

unsigned int dma_map_sg_attrs(struct device *dev, struct scatterlist *sgl, int nents,
			      enum dma_data_direction direction, unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, nents, i) {
		sg->dma_address = dma_map_page_attrs(dev, sg_page(sg), sg->offset, sg->length,
						     direction, attrs);
		if (dma_mapping_error(dev, sg->dma_address)) {
			dma_unmap_sg_attrs(dev, sgl, i, direction, attrs);
			return 0;
		}
		sg->dma_length = sg->length;
	}
	return (unsigned int)nents;
}

void dma_unmap_sg_attrs(struct device *dev, struct scatterlist *sgl, int nents,
			enum dma_data_direction direction, unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, nents, i)
		dma_unmap_page_attrs(dev, sg->dma_address, sg->dma_length, direction, attrs);
}

int dma_map_sgtable(struct device *dev, struct sg_table *sgt, enum dma_data_direction direction,
		    unsigned long attrs)
{
	unsigned int nents =
		dma_map_sg_attrs(dev, sgt->sgl, (int)sgt->orig_nents, direction, attrs);

	if (!nents)
		return -ENOMEM;
	sgt->nents = nents;
	return 0;
}

void dma_unmap_sgtable(struct device *dev, struct sg_table *sgt, enum dma_data_direction direction,
		       unsigned long attrs)
{
	dma_unmap_sg_attrs(dev, sgt->sgl, (int)sgt->orig_nents, direction, attrs);
}
