/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One memory region: registered, and deregistered.
 *
 * With ibv_fork_init() on kernels whose forks do not copy pinned pages, libibverbs keeps the
 * pages of regions from children (MADV_DONTFORK) and counts regions by address.  A region whose
 * memory was replaced is deregistered late: until then the new region of the same
 * address is the second, and its pages are not advised.  So they are advised here.  The
 * advice ends with the last region of the address, as libibverbs counts.
 *
 * Tests: tests/unit/verbs/region.c, tests/vm/verbs.py.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "../say.h"
#include "domain.h"

static struct mmun_verbs_registration *region_of(struct mmun_registration *reg)
{
	return (struct mmun_verbs_registration *)reg; /* its first member */
}

static unsigned int flags_of(const struct mmun_verbs *verbs, unsigned int access)
{
	unsigned int flags = verbs->always;

	if (access & MMUN_RCACHE_WRITE)
		flags |= IBV_ACCESS_LOCAL_WRITE;
	if (access & MMUN_RCACHE_ATOMIC)
		flags |= IBV_ACCESS_REMOTE_ATOMIC;
	if (access & MMUN_VERBS_REMOTE_READ)
		flags |= IBV_ACCESS_REMOTE_READ;
	if (access & MMUN_VERBS_REMOTE_WRITE)
		flags |= IBV_ACCESS_REMOTE_WRITE;
	if (!(access & MMUN_VERBS_ORDERED))
		flags |= verbs->unordered;
	return flags;
}

int mmun_verbs_register(void *arg, struct mmun_registration *reg)
{
	struct mmun_verbs_registration *region = region_of(reg);
	struct mmun_verbs *verbs = arg;
	void *start = (void *)reg->start; // NOLINT(performance-no-int-to-ptr)
	size_t length = reg->end - reg->start;
	unsigned int flags;

	/* A child's memory would go into the parent's protection domain. */
	if (!*verbs->mine)
		return -EPERM;
	/* Verbs permit others to write only where we may ourselves. */
	if (reg->access & (MMUN_RCACHE_ATOMIC | MMUN_VERBS_REMOTE_WRITE))
		reg->access |= MMUN_RCACHE_WRITE;
	/* What every region permits, so that it serves whoever asks for it too. */
	reg->access |= MMUN_RCACHE_READ;
	if (!verbs->unordered)
		reg->access |= MMUN_VERBS_ORDERED;
	flags = flags_of(verbs, reg->access);

	errno = 0;
	region->mr = ibv_reg_mr(verbs->pd, start, length, flags);
	if (!region->mr)
		return errno ? -errno : -ENOMEM;
	region->lkey = region->mr->lkey;
	region->rkey = region->mr->rkey;
	if (!(flags & IBV_ACCESS_ON_DEMAND) && ibv_is_fork_initialized() == IBV_FORK_ENABLED)
		madvise(start, length, MADV_DONTFORK);
	return 0;
}

void mmun_verbs_deregister(void *arg, struct mmun_registration *reg)
{
	struct mmun_verbs *verbs = arg;
	int error;

	/* The parent's, seen by its child. */
	if (!*verbs->mine)
		return;
	error = ibv_dereg_mr(region_of(reg)->mr);
	if (!error)
		return;
	/* Nothing can be done: what is gone with its device is gone, what something is bound
	 * to is in use by whoever bound it. */
	__atomic_add_fetch(&verbs->stuck, 1, __ATOMIC_RELAXED);
	if (!__atomic_exchange_n(&verbs->said_stuck, true, __ATOMIC_RELAXED))
		mmun_backend_say("verbs: %s: the region of %#lx to %#lx cannot be deregistered: %s",
				 verbs->device, reg->start, reg->end, strerror(error));
}

void mmun_verbs_say_memory(struct mmun_verbs *verbs, size_t length)
{
	struct rlimit limit;

	if (__atomic_exchange_n(&verbs->said_memory, true, __ATOMIC_RELAXED))
		return;
	if (!getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur != RLIM_INFINITY)
		mmun_backend_say(
			"verbs: %s: %zu bytes cannot be registered: there is no memory, or "
			"more would be pinned than RLIMIT_MEMLOCK permits (%lu KiB; ulimit -l)",
			verbs->device, length, (unsigned long)limit.rlim_cur / 1024);
	else
		mmun_backend_say(
			"verbs: %s: %zu bytes cannot be registered: there is no memory, or "
			"the device has no room",
			verbs->device, length);
}
