/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A cache of memory regions of one protection domain.
 *
 * Tests: tests/unit/verbs/verbs.c, tests/vm/verbs.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "domain.h"
#include "mmunotify/self.h"

static const struct mmun_rcache_ops ops = {
	.register_memory = mmun_verbs_register,
	.deregister_memory = mmun_verbs_deregister,
	.limits = mmun_verbs_limits,
};

static int map_mine(struct mmun_verbs *verbs)
{
	long size = sysconf(_SC_PAGESIZE);
	char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return -errno;
	if (madvise(page, size, MADV_WIPEONFORK)) {
		int error = -errno;

		munmap(page, size);
		return error;
	}
	*page = 1;
	verbs->mine = page;
	return 0;
}

static void unmap_mine(struct mmun_verbs *verbs)
{
	munmap((void *)verbs->mine, sysconf(_SC_PAGESIZE));
}

/* One region for all local access.  Without it each range has its own. */
static int register_everywhere(struct mmun_verbs *verbs, size_t size)
{
	struct mmun_verbs_registration *region = calloc(1, size);

	if (!region)
		return -ENOMEM;
	region->registration.end = -1ul;
	region->registration.access = MMUN_RCACHE_READ | MMUN_RCACHE_WRITE;
	if (!verbs->unordered)
		region->registration.access |= MMUN_VERBS_ORDERED;
	/* The length is what libibverbs and the kernel know the whole address space by. */
	region->mr = ibv_reg_mr(verbs->pd, NULL, SIZE_MAX,
				verbs->always | verbs->unordered | IBV_ACCESS_LOCAL_WRITE);
	if (!region->mr) {
		free(region);
		return 0;
	}
	region->lkey = region->mr->lkey;
	region->rkey = region->mr->rkey;
	verbs->everywhere = region;
	return 0;
}

static void deregister_everywhere(struct mmun_verbs *verbs)
{
	if (verbs->everywhere)
		mmun_verbs_deregister(verbs, &verbs->everywhere->registration);
	free(verbs->everywhere);
}

int mmun_verbs_create(struct ibv_pd *pd, const struct mmun_verbs_options *options,
		      struct mmun_verbs **out)
{
	struct mmun_rcache_options cache = { 0 };
	struct mmun_verbs_options o = { 0 };
	struct mmun_verbs *verbs;
	struct mm_struct *mm;
	int ret;

	if (options)
		o = *options;
	if (o.cache)
		cache = *o.cache;
	if (!cache.registration_size)
		cache.registration_size = sizeof(struct mmun_verbs_registration);
	if (!cache.name)
		cache.name = "verbs";
	if (o.flags & ~MMUN_VERBS_RELAXED_ORDERING ||
	    cache.registration_size < sizeof(struct mmun_verbs_registration))
		return -EINVAL;
	mm = mmun_self();
	if (!mm)
		return -errno;

	verbs = calloc(1, sizeof(*verbs));
	if (!verbs)
		return -ENOMEM;
	verbs->pd = pd;
	ret = mmun_verbs_query(verbs);
	if (ret)
		goto free_verbs;
	ret = map_mine(verbs);
	if (ret)
		goto free_verbs;
	if (o.flags & MMUN_VERBS_RELAXED_ORDERING)
		verbs->unordered = IBV_ACCESS_RELAXED_ORDERING;
	if (mmun_verbs_on_demand(verbs, o.on_demand))
		verbs->always = IBV_ACCESS_ON_DEMAND;
	if (verbs->always && mmun_verbs_implicit(verbs)) {
		ret = register_everywhere(verbs, cache.registration_size);
		if (ret)
			goto unmap;
	}
	ret = mmun_rcache_create(mm, &ops, verbs, &cache, &verbs->cache);
	if (ret)
		goto deregister;
	*out = verbs;
	return 0;

deregister:
	deregister_everywhere(verbs);
unmap:
	unmap_mine(verbs);
free_verbs:
	free(verbs);
	return ret;
}

int mmun_verbs_destroy(struct mmun_verbs *verbs)
{
	int ret = mmun_rcache_destroy(verbs->cache);

	if (ret)
		return ret;
	deregister_everywhere(verbs);
	unmap_mine(verbs);
	free(verbs);
	return 0;
}

static bool is_everywhere(const struct mmun_verbs *verbs, const void *address, size_t length,
			  unsigned int access)
{
	return verbs->everywhere &&
	       !(access & ~(verbs->everywhere->registration.access | MMUN_RCACHE_CACHED |
			    MMUN_RCACHE_UNCACHED)) &&
	       length && length - 1 <= -1ul - (unsigned long)address && *verbs->mine;
}

struct mmun_verbs_registration *mmun_verbs_get(struct mmun_verbs *verbs, const void *address,
					       size_t length, unsigned int access)
{
	struct mmun_registration *reg;

	if (is_everywhere(verbs, address, length, access))
		return verbs->everywhere;
	reg = mmun_rcache_get(verbs->cache, (unsigned long)address, length, access);
	if (reg == mmun_err_ptr(-ENOMEM))
		mmun_verbs_say_memory(verbs, length);
	return (struct mmun_verbs_registration *)reg; /* its first member, or an error */
}

void mmun_verbs_put(struct mmun_verbs *verbs, struct mmun_verbs_registration *reg)
{
	if (reg && !mmun_is_err(reg) && reg != verbs->everywhere)
		mmun_rcache_put(verbs->cache, &reg->registration);
}

struct mmun_rcache *mmun_verbs_rcache(struct mmun_verbs *verbs)
{
	return verbs->cache;
}

void mmun_verbs_info(struct mmun_verbs *verbs, struct mmun_verbs_info *out)
{
	*out = (struct mmun_verbs_info){
		.on_demand = verbs->always,
		.implicit = verbs->everywhere,
		.stuck = __atomic_load_n(&verbs->stuck, __ATOMIC_RELAXED),
	};
}
