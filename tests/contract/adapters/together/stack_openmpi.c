/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Open MPI's memory patcher, without an MPI job.
 *
 * Its common code for UCX is what the component pml/ucx calls at first: it starts the
 * patcher, declares UCX's event external and feeds UCX with what the patcher sees.
 */
#include "stack.h"

#include <dlfcn.h>

static const void *wanted;
static unsigned long nr_heard;

static void on_release(void *at, size_t size, void *arg, bool from_allocator)
{
	const char *start = at, *want = __atomic_load_n(&wanted, __ATOMIC_RELAXED);

	if (want >= start && want < start + size)
		__atomic_add_fetch(&nr_heard, 1, __ATOMIC_RELAXED);
}

unsigned long openmpi_heard(const void *at)
{
	__atomic_store_n(&wanted, at, __ATOMIC_RELAXED);
	return __atomic_exchange_n(&nr_heard, 0, __ATOMIC_RELAXED);
}

const char *openmpi_start(void)
{
	void *pal = dlopen("libopen-pal.so.40", RTLD_NOW | RTLD_GLOBAL);
	void *common = pal ? dlopen("libmca_common_ucx.so.40", RTLD_NOW | RTLD_GLOBAL) : NULL;
	int (*init)(int *, char ***);
	void (*mca_register)(void);
	int (*support)(void);
	int (*on_releases)(void (*cb)(void *, size_t, void *, bool), void *arg);

	if (!common)
		return "Open MPI 4.1 is not installed";
	init = (__typeof__(init))dlsym(pal, "opal_init");
	support = (__typeof__(support))dlsym(pal, "opal_mem_hooks_support_level");
	on_releases = (__typeof__(on_releases))dlsym(pal, "opal_mem_hooks_register_release");
	mca_register = (__typeof__(mca_register))dlsym(common, "opal_common_ucx_mca_register");
	if (!init || !support || !on_releases || !mca_register)
		return "Open MPI has other functions";
	if (init(NULL, NULL))
		return "Open MPI does not start";
	mca_register();
	if (!support() || on_releases(on_release, NULL))
		return "Open MPI does not patch memory functions here";
	return NULL;
}
