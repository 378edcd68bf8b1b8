/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Small integers for objects, on linux/xarray.h.  idr_alloc_cyclic() is outside. */
#ifndef MMUN_COMPAT_LINUX_IDR_H
#define MMUN_COMPAT_LINUX_IDR_H

#include <linux/xarray.h>

struct idr {
	struct xarray xa;
};

struct ida {
	struct xarray xa;
};

#define IDR_INIT(name) \
	{ \
		XARRAY_INIT(name, XA_FLAGS_ALLOC) \
	}
#define DEFINE_IDR(name)    struct idr name = IDR_INIT(name)
#define DEFINE_IDA(name)    struct ida name = { XARRAY_INIT(name, XA_FLAGS_ALLOC) }
#define idr_init(idr)       xa_init_flags(&(idr)->xa, XA_FLAGS_ALLOC)
#define ida_init(ida)       xa_init_flags(&(ida)->xa, XA_FLAGS_ALLOC)
#define idr_destroy(idr)    xa_destroy(&(idr)->xa)
#define ida_destroy(ida)    xa_destroy(&(ida)->xa)
#define idr_is_empty(idr)   xa_empty(&(idr)->xa)
#define idr_preload(gfp)    ((void)(gfp))
#define idr_preload_end()   ((void)0)
#define idr_find(idr, id)   xa_load(&(idr)->xa, id)
#define idr_remove(idr, id) xa_erase(&(idr)->xa, id)
#define idr_for_each_entry(idr, entry, id) \
	for (unsigned long mmun_index = 0, mmun_once = 1; mmun_once; mmun_once = 0) \
		for ((entry) = xa_find(&(idr)->xa, &mmun_index, INT_MAX, XA_PRESENT); \
		     (entry) && ((id) = (int)mmun_index, true); \
		     (entry) = xa_find_after(&(idr)->xa, &mmun_index, INT_MAX, XA_PRESENT))

static inline int mmun_compat_idr(struct xarray *xa, void *ptr, int start, int end, gfp_t gfp)
{
	u32 id;
	int ret =
		xa_alloc(xa, &id, ptr, XA_LIMIT((u32)start, end > 0 ? (u32)end - 1 : INT_MAX), gfp);

	return ret == -EBUSY ? -ENOSPC : ret ? ret : (int)id;
}

#define idr_alloc(idr, ptr, start, end, gfp) mmun_compat_idr(&(idr)->xa, ptr, start, end, gfp)
#define ida_alloc(ida, gfp)                  mmun_compat_idr(&(ida)->xa, xa_mk_value(1), 0, 0, gfp)
#define ida_alloc_max(ida, max, gfp) \
	mmun_compat_idr(&(ida)->xa, xa_mk_value(1), 0, (int)(max) + 1, gfp)
#define ida_free(ida, id) ((void)xa_erase(&(ida)->xa, id))

#endif
