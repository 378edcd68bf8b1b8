/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the device offers, as the cache takes it. */
#include <errno.h>
#include <string.h>

#include "../tap.h"
#include "domain.h"
#include "stub.h"

static struct mmun_verbs verbs;

static void query(void)
{
	memset(&verbs, 0, sizeof(verbs));
	verbs.pd = &stub.pd;
	is(mmun_verbs_query(&verbs), 0, "the device is asked");
	ok(!strcmp(verbs.device, "stub0"), "and its name kept");
}

static void test_limits(void)
{
	struct mmun_rcache_limits limits = { .regions = 1000, .bytes = 5 };

	stub_reset();
	query();
	mmun_verbs_limits(&verbs, &limits);
	is(limits.regions, 1000, "limits: a device that says nothing");
	is(limits.length, 0, "limits: of lengths either");
	stub.attributes.orig_attr.max_mr = 500;
	stub.attributes.orig_attr.max_mr_size = 1ul << 30;
	query();
	mmun_verbs_limits(&verbs, &limits);
	is(limits.regions, 500, "limits: what the device can is less");
	is(limits.length, 1l << 30, "limits: its longest region, where none was said");
	is(limits.bytes, 5, "limits: bytes are left alone");
	limits = (struct mmun_rcache_limits){ .regions = 10, .length = 4096 };
	mmun_verbs_limits(&verbs, &limits);
	is(limits.regions, 10, "limits: a lower one stays");
	is(limits.length, 4096, "limits: of lengths too");
	stub.attributes.orig_attr.max_mr = -1;
	query();
	mmun_verbs_limits(&verbs, &limits);
	is(limits.regions, 10, "limits: a number that is none");
	limits.regions = 0;
	mmun_verbs_limits(&verbs, &limits);
	is(limits.regions, 0, "limits: is no limit");
}

static void test_on_demand(void)
{
	const uint32_t all = IBV_ODP_SUPPORT_SEND | IBV_ODP_SUPPORT_WRITE;
	struct ibv_odp_caps *caps = &stub.attributes.odp_caps;

	stub_reset();
	query();
	ok(!mmun_verbs_on_demand(&verbs, all), "on demand: not offered");
	caps->per_transport_caps.rc_odp_caps = IBV_ODP_SUPPORT_SEND;
	query();
	ok(!mmun_verbs_on_demand(&verbs, IBV_ODP_SUPPORT_SEND), "on demand: not in general");
	caps->general_caps = IBV_ODP_SUPPORT;
	query();
	ok(mmun_verbs_on_demand(&verbs, IBV_ODP_SUPPORT_SEND), "on demand: for what is done");
	ok(!mmun_verbs_on_demand(&verbs, all), "on demand: not if something else is done too");
	ok(!mmun_verbs_on_demand(&verbs, 0), "on demand: not if nobody asks");
	ok(!mmun_verbs_implicit(&verbs), "on demand: of ranges");
	caps->general_caps |= IBV_ODP_SUPPORT_IMPLICIT;
	query();
	ok(mmun_verbs_implicit(&verbs), "on demand: of the whole address space");
}

int main(void)
{
	stub_reset();
	stub.query_error = EIO;
	verbs.pd = &stub.pd;
	is(mmun_verbs_query(&verbs), -EIO, "a device that does not answer");
	test_limits();
	test_on_demand();
	return tap_done();
}
