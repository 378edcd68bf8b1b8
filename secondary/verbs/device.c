/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the device says of itself.
 *
 * Tests: tests/unit/verbs/device.c, tests/vm/verbs.py.
 */
#include "domain.h"

int mmun_verbs_query(struct mmun_verbs *verbs)
{
	struct ibv_context *context = verbs->pd->context;

	verbs->device = ibv_get_device_name(context->device);
	/* Falls back to what older kernels and providers have, which know no paging on demand. */
	return -ibv_query_device_ex(context, NULL, &verbs->attributes);
}

bool mmun_verbs_on_demand(const struct mmun_verbs *verbs, uint32_t operations)
{
	const struct ibv_odp_caps *caps = &verbs->attributes.odp_caps;

	return operations && caps->general_caps & IBV_ODP_SUPPORT &&
	       !(operations & ~caps->per_transport_caps.rc_odp_caps);
}

bool mmun_verbs_implicit(const struct mmun_verbs *verbs)
{
	return verbs->attributes.odp_caps.general_caps & IBV_ODP_SUPPORT_IMPLICIT;
}

static void lower(unsigned long *limit, unsigned long most)
{
	if (most && (!*limit || *limit > most))
		*limit = most;
}

/* max_mr is the whole device's, which others use too.  When they have used it up a region is
 * ENOMEM, and the cache drops some of its own. */
void mmun_verbs_limits(void *arg, struct mmun_rcache_limits *limits)
{
	const struct mmun_verbs *verbs = arg;
	const struct ibv_device_attr *device = &verbs->attributes.orig_attr;

	lower(&limits->regions, device->max_mr > 0 ? (unsigned long)device->max_mr : 0);
	lower(&limits->length, device->max_mr_size);
}
