/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The measured process under libfabric's memory monitors.
 *
 * Its public interface starts a monitor only when a provider with a
 * registration cache opens a domain, which takes RDMA hardware.  The monitors
 * themselves need none, so this executable links libfabric's static archive
 * and calls them as its cache does: by the variables that the archive exports.
 * The layout below is that of libfabric 1.17; the build checks the version.
 */
#include <errno.h>
#include <stddef.h>

#include <rdma/fabric.h>

#include "patching.h"
#include "worker.h"

struct ofi_mem_monitor {
	void *cache_list[2];
	int iface;
	int state;
	void (*init)(struct ofi_mem_monitor *monitor);
	void (*cleanup)(struct ofi_mem_monitor *monitor);
	int (*start)(struct ofi_mem_monitor *monitor);
	void (*stop)(struct ofi_mem_monitor *monitor);
	int (*subscribe)(struct ofi_mem_monitor *monitor, const void *start, size_t size,
			 void *hmem);
	void (*unsubscribe)(struct ofi_mem_monitor *monitor, const void *start, size_t size,
			    void *hmem);
	_Bool (*valid)(struct ofi_mem_monitor *monitor, const void *start, size_t size, void *hmem);
};

extern struct ofi_mem_monitor *memhooks_monitor;
extern struct ofi_mem_monitor *uffd_monitor;

/* Any library call initialises the monitors. */
static void init_library(void)
{
	struct fi_info *info = NULL;

	if (!fi_getinfo(FI_VERSION(1, 17), NULL, NULL, 0, NULL, &info))
		fi_freeinfo(info);
}

static int start_memhooks(void)
{
	init_library();
	return memhooks_monitor->start(memhooks_monitor) ? -ENOTSUP : 0;
}

static int start_uffd(void)
{
	init_library();
	return uffd_monitor->start(uffd_monitor) ? -ENOTSUP : 0;
}

static void subscribe_uffd(void *start, size_t size)
{
	uffd_monitor->subscribe(uffd_monitor, start, size, NULL);
}

const struct bench_mode bench_modes[] = {
	{ .name = "memhooks", .start = start_memhooks },
	{ .name = "uffd", .start = start_uffd },
	{ .name = "uffd-subscribed", .start = start_uffd, .each = subscribe_uffd },
	{ .name = NULL },
};

static int first_setup(char **args)
{
	(void)args;
	init_library();
	return 0;
}

/* Figure 0: microseconds until the hooks are in. */
static void first_batch(double *figures)
{
	uint64_t start = bench_now();

	memhooks_monitor->start(memhooks_monitor);
	figures[0] = (double)(bench_now() - start) / 1e3;
}

/* Its hooks notify registration caches only, so missed calls cannot be counted. */
static int patch_in(void)
{
	return memhooks_monitor->start(memhooks_monitor);
}

static int patch_out(void)
{
	memhooks_monitor->stop(memhooks_monitor);
	return 0;
}

static int patch_setup(char **args)
{
	init_library();
	return bench_patching_setup(args, patch_in, patch_out);
}

const struct bench_workload bench_workloads[] = {
	{ .name = "first", .setup = first_setup, .batch = first_batch },
	{ .name = "patching", .setup = patch_setup, .batch = bench_patching_batch },
	{ .name = NULL },
};
