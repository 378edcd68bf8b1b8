/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Physical addresses for memory of devices (linux/memremap.h); registers and ports are outside. */
#ifndef MMUN_COMPAT_LINUX_IOPORT_H
#define MMUN_COMPAT_LINUX_IOPORT_H

#include <linux/err.h>
#include <linux/types.h>

struct device;

struct resource {
	resource_size_t start, end;
	const char *name;
	unsigned long flags;
	/* private: */
	struct list_head mmun_link;
};

/* What a machine has; only request_free_mem_region() looks for room in it. */
extern struct resource iomem_resource;

static inline resource_size_t resource_size(const struct resource *resource)
{
	return resource->end - resource->start + 1;
}

/* @size bytes that nobody else has, or an ERR_PTR(): -ERANGE, -ENOMEM. */
struct resource *request_free_mem_region(struct resource *base, unsigned long size,
					 const char *name);
void mmun_compat_release_region(resource_size_t start, resource_size_t size);
/* The same until @dev goes. */
struct resource *devm_request_free_mem_region(struct device *dev, struct resource *base,
					      unsigned long size);
void devm_release_mem_region(struct device *dev, resource_size_t start, resource_size_t size);
#define release_mem_region(start, size) mmun_compat_release_region(start, size)

#endif
