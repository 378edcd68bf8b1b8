/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* UCX's cache over its own hooks, set up as its transports do. */
#include <errno.h>
#include <unistd.h>

#include <ucm/api/ucm.h>

#include "rcache_subject.h"

struct subject_counts subject_counts;
ucs_rcache_t *subject_cache;

static size_t size_of(const ucs_rcache_region_t *region)
{
	return region->super.end - region->super.start;
}

static ucs_status_t add(void *context, ucs_rcache_t *cache, void *arg, ucs_rcache_region_t *region,
			uint16_t flags)
{
	subject_registered(size_of(region));
	return UCS_OK;
}

static void drop(void *context, ucs_rcache_t *cache, ucs_rcache_region_t *region)
{
	subject_deregistered(size_of(region));
}

static void describe(void *context, ucs_rcache_t *cache, ucs_rcache_region_t *region, char *buffer,
		     size_t size)
{
	if (size)
		*buffer = '\0';
}

int subject_prepare(void)
{
	return 0;
}

/* What its transports set.  In 1.13 a limit holds only without UCS_RCACHE_FLAG_NO_PFN_CHECK; what that
 * leaves out is off by default. */
int subject_start(unsigned long limit)
{
	static const ucs_rcache_ops_t ops = {
		.mem_reg = add,
		.mem_dereg = drop,
		.dump_region = describe,
	};
	const ucs_rcache_params_t params = {
		.region_struct_size = sizeof(ucs_rcache_region_t),
		.alignment = UCS_RCACHE_MIN_ALIGNMENT,
		.max_alignment = (size_t)sysconf(_SC_PAGESIZE),
		.ucm_events = UCM_EVENT_VM_UNMAPPED,
		.ucm_event_priority = 1000,
		.ops = &ops,
		.flags = limit ? 0 : UCS_RCACHE_FLAG_NO_PFN_CHECK,
		.max_regions = limit ? limit : (unsigned long)-1,
		.max_size = (size_t)-1,
		.max_unreleased = (size_t)-1,
	};

	return ucs_rcache_create(&params, "bench", NULL, &subject_cache) == UCS_OK ? 0 : -ENOTSUP;
}

void subject_settle(void)
{
}
