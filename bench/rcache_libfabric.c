/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libfabric's cache over its memhooks monitor.  Its limits are variables of the environment. */
#include <errno.h>
#include <stdio.h>

#include <rdma/fabric.h>

#include "rcache_subject.h"

struct subject_counts subject_counts;
struct fi_cache *subject_cache;

static int add(struct fi_cached *cached)
{
	subject_registered(cached->length);
	return 0;
}

static void drop(struct fi_cached *cached)
{
	subject_deregistered(cached->length);
}

int subject_prepare(void)
{
	struct fi_info *info = NULL;

	if (!fi_getinfo(FI_VERSION(1, 17), NULL, NULL, 0, NULL, &info))
		fi_freeinfo(info);
	return 0;
}

int subject_start(unsigned long limit)
{
	static const struct fi_cache_ops ops = { .add = add, .remove = drop };
	const char *why = NULL;

	subject_cache = fi_cache_create(&ops, &why);
	if (!subject_cache)
		fprintf(stderr, "%s\n", why);
	return subject_cache ? 0 : -ENOTSUP;
}

void subject_settle(void)
{
}
