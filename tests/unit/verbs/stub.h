/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What libmmunotify-verbs calls of libibverbs, without a device: regions are counted, and
 * fail as is wanted.  What a real device does is shown in tests/vm/regions.c.
 */
#ifndef MMUN_TESTS_VERBS_STUB_H
#define MMUN_TESTS_VERBS_STUB_H

#include <infiniband/verbs.h>

#define STUB_REGIONS 256

struct stub {
	struct ibv_pd pd;
	/* What the device is. */
	struct ibv_device_attr_ex attributes;
	enum ibv_fork_status fork;
	/* What the next calls return; as many of the registrations as said.  0: errno stays. */
	int query_error, register_error, register_failures, deregister_error;
	/* Live regions, and what was asked for last. */
	int live, registered, deregistered;
	unsigned int flags;
	void *address;
	size_t length;
	/* Calls with a region that is not registered. */
	int wrong;
};

extern struct stub stub;

/* A device that has none of what is optional. */
void stub_reset(void);

#endif
