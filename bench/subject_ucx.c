/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The measured process under UCX: its memory hooks (which its constructor
 * installs in its default mode) with a handler that does nothing, and its
 * registration cache over the same hooks.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ucm/api/ucm.h>
#include <ucs/memory/rcache.h>

#include "worker.h"

static ucs_rcache_t *rcache;

static void ignore(ucm_event_type_t type, ucm_event_t *event, void *arg)
{
	(void)type, (void)event, (void)arg;
}

static int start_handler(void)
{
	return ucm_set_event_handler(UCM_EVENT_VM_UNMAPPED, 0, ignore, NULL) == UCS_OK ? 0
										       : -ENOTSUP;
}

static ucs_status_t reg(void *context, ucs_rcache_t *cache, void *arg, ucs_rcache_region_t *region,
			uint16_t flags)
{
	(void)context, (void)cache, (void)arg, (void)region, (void)flags;
	return UCS_OK;
}

static void dereg(void *context, ucs_rcache_t *cache, ucs_rcache_region_t *region)
{
	(void)context, (void)cache, (void)region;
}

static int start_rcache(void)
{
	static const ucs_rcache_ops_t ops = { .mem_reg = reg, .mem_dereg = dereg };
	const ucs_rcache_params_t params = {
		.region_struct_size = sizeof(ucs_rcache_region_t),
		.alignment = UCS_RCACHE_MIN_ALIGNMENT,
		.max_alignment = (size_t)sysconf(_SC_PAGESIZE),
		.ucm_events = UCM_EVENT_VM_UNMAPPED,
		.ucm_event_priority = 1000,
		.ops = &ops,
		.max_regions = (unsigned long)-1,
		.max_size = (size_t)-1,
		.max_unreleased = (size_t)-1,
	};

	return ucs_rcache_create(&params, "bench", NULL, &rcache) == UCS_OK ? 0 : -ENOTSUP;
}

static void use_rcache(void *start, size_t size)
{
	ucs_rcache_region_t *region;

	if (ucs_rcache_get(rcache, start, size, PROT_READ | PROT_WRITE, NULL, &region) == UCS_OK)
		ucs_rcache_region_put(rcache, region);
}

const struct bench_mode bench_modes[] = {
	{ .name = "handler", .start = start_handler },
	{ .name = "rcache", .start = start_rcache },
	{ .name = "rcache-used", .start = start_rcache, .each = use_rcache },
	{ .name = NULL },
};

const struct bench_workload bench_workloads[] = {
	{ .name = NULL },
};
