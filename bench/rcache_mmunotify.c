/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Our cache, as it is by default: with its thread, its statistics, and the live process. */
#include <errno.h>

#include <mmunotify/self.h>

#include "rcache_subject.h"

struct subject_counts subject_counts;
struct mmun_rcache *subject_cache;

static int add(void *arg, struct mmun_registration *reg)
{
	subject_registered(reg->end - reg->start);
	return 0;
}

static void drop(void *arg, struct mmun_registration *reg)
{
	subject_deregistered(reg->end - reg->start);
}

int subject_prepare(void)
{
	return mmun_self_start();
}

int subject_start(unsigned long limit)
{
	static const struct mmun_rcache_ops ops = {
		.register_memory = add,
		.deregister_memory = drop,
	};
	const struct mmun_rcache_options options = { .limits.regions = limit };

	return mmun_rcache_create(mmun_self(), &ops, NULL, &options, &subject_cache);
}

void subject_settle(void)
{
	mmun_rcache_progress(subject_cache);
}
