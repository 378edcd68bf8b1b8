/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The cache of one protection domain, inside. */
#ifndef MMUN_VERBS_DOMAIN_H
#define MMUN_VERBS_DOMAIN_H

#include <infiniband/verbs.h>
#include <stdbool.h>

#include "mmunotify/verbs.h"

struct mmun_verbs {
	struct mmun_rcache *cache;
	struct ibv_pd *pd;
	const char *device;
	/* On a page that the kernel wipes in a forked child: nonzero in our process alone. */
	const char *mine;
	/* Of the whole address space for local access; or NULL. */
	struct mmun_verbs_registration *everywhere;
	/* IBV_ACCESS_* of every region, and of those that need not be ordered. */
	unsigned int always, unordered;
	struct ibv_device_attr_ex attributes;
	unsigned long stuck;
	/* Said already. */
	bool said_stuck, said_memory;
};

/* device.c: what can be registered with the device of @verbs->pd. */

/* Sets ->device and ->attributes.  Return: 0 or -errno. */
int mmun_verbs_query(struct mmun_verbs *verbs);
/* Does the device page on demand for all of @operations (IBV_ODP_SUPPORT_*) of reliable
 * connections? */
bool mmun_verbs_on_demand(const struct mmun_verbs *verbs, uint32_t operations);
/* And can one region be the whole address space? */
bool mmun_verbs_implicit(const struct mmun_verbs *verbs);
void mmun_verbs_limits(void *arg, struct mmun_rcache_limits *limits);

/* region.c: one region. */
int mmun_verbs_register(void *arg, struct mmun_registration *reg);
void mmun_verbs_deregister(void *arg, struct mmun_registration *reg);
/* Says once why a region could not be registered for lack of memory. */
void mmun_verbs_say_memory(struct mmun_verbs *verbs, size_t length);

#endif
