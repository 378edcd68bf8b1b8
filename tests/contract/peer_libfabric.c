/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libfabric's memory hooks.
 *
 * Its public interface installs them only for a provider with a registration
 * cache, which takes RDMA hardware; the hooks need none, so its static archive
 * is linked and they are started by the variable that the archive exports.
 * They notify registration caches only, so what they saw cannot be asked.
 */
#include <stddef.h>

#include <rdma/fabric.h>

#include "peer.h"

struct ofi_mem_monitor {
	void *cache_list[2];
	int iface;
	int state;
	void (*init)(struct ofi_mem_monitor *monitor);
	void (*cleanup)(struct ofi_mem_monitor *monitor);
	int (*start)(struct ofi_mem_monitor *monitor);
	void (*stop)(struct ofi_mem_monitor *monitor);
};

extern struct ofi_mem_monitor *memhooks_monitor;

static const char *start(void)
{
	struct fi_info *info = NULL;

	/* Any call of the library initialises the monitors. */
	if (!fi_getinfo(FI_VERSION(1, 17), NULL, NULL, 0, NULL, &info))
		fi_freeinfo(info);
	return memhooks_monitor->start(memhooks_monitor) ? "libfabric refuses to start its hooks"
							 : NULL;
}

static void stop(void)
{
	memhooks_monitor->stop(memhooks_monitor);
}

const struct peer peer_libfabric = { "libfabric", start, stop, NULL, NULL };
