/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Grants of other domains' pages; the hypervisor behind these functions is in the test. */
#ifndef MMUN_TESTS_KERNEL_XEN_GRANT_TABLE_H
#define MMUN_TESTS_KERNEL_XEN_GRANT_TABLE_H

#include <linux/mm.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <xen/xen.h>

typedef u32 grant_ref_t, grant_handle_t;
typedef u16 domid_t;
typedef unsigned long xen_pfn_t;

#define DOMID_SELF           ((domid_t)0x7ff0)
#define DOMID_INVALID        ((domid_t)0x7ff4)
#define INVALID_GRANT_REF    ((grant_ref_t)-1)
#define INVALID_GRANT_HANDLE ((grant_handle_t)-1)

#define GNTST_okay          0
#define GNTST_bad_gntref    (-3)
#define GNTST_bad_handle    (-4)
#define GNTCOPY_source_gref 1
#define GNTCOPY_dest_gref   2

#define GNTMAP_device_map      1
#define GNTMAP_host_map        2
#define GNTMAP_readonly        4
#define GNTMAP_application_map 8
#define GNTMAP_contains_pte    16
#define _GNTMAP_guest_avail0   16

struct gnttab_map_grant_ref {
	u64 host_addr, dev_bus_addr;
	u32 flags;
	grant_ref_t ref;
	domid_t dom;
	s16 status;
	grant_handle_t handle;
};

struct gnttab_unmap_grant_ref {
	u64 host_addr, dev_bus_addr;
	grant_handle_t handle;
	s16 status;
};

struct gnttab_copy {
	struct {
		union {
			grant_ref_t ref;
			xen_pfn_t gmfn;
		} u;
		domid_t domid;
		u16 offset;
	} source, dest;
	u16 len, flags;
	s16 status;
};

struct gntab_unmap_queue_data {
	struct delayed_work gnttab_work;
	void *data;
	void (*done)(int result, struct gntab_unmap_queue_data *data);
	struct gnttab_unmap_grant_ref *unmap_ops, *kunmap_ops;
	struct page **pages;
	unsigned int count;
};

static inline void gnttab_set_map_op(struct gnttab_map_grant_ref *map, u64 address, u32 flags,
				     grant_ref_t ref, domid_t domid)
{
	map->host_addr = address;
	map->flags = flags;
	map->ref = ref;
	map->dom = domid;
	map->status = 1;
}

static inline void gnttab_set_unmap_op(struct gnttab_unmap_grant_ref *unmap, u64 address, u32 flags,
				       grant_handle_t handle)
{
	unmap->host_addr = address;
	unmap->handle = handle;
	unmap->dev_bus_addr = 0;
}

int gnttab_alloc_pages(int count, struct page **pages);
void gnttab_free_pages(int count, struct page **pages);
int gnttab_map_refs(struct gnttab_map_grant_ref *map_ops, struct gnttab_map_grant_ref *kmap_ops,
		    struct page **pages, unsigned int count);
void gnttab_unmap_refs_async(struct gntab_unmap_queue_data *item);
void gnttab_batch_copy(struct gnttab_copy *ops, unsigned int count);

#endif
