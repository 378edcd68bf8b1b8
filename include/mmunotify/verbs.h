/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A registration cache for RDMA: memory regions of one protection domain of libibverbs.
 *
 *     mmun_verbs_create(pd, NULL, &verbs);
 *     reg = mmun_verbs_get(verbs, buffer, length, MMUN_RCACHE_WRITE);
 *     if (mmun_is_err(reg)) ...
 *     sge.lkey = reg->lkey; post it, and wait for its completion;
 *     mmun_verbs_put(verbs, reg);
 *
 * The promise is that of mmunotify/rcache.h.  A put comes after the completion of what used the
 * keys; for a key that was given to somebody else, after he has said that he is done.  Memory
 * that changes between a get and its put leaves the region with the old pages.
 *
 * The library is libmmunotify-verbs: pkg-config --cflags --libs mmunotify-verbs.
 */
#ifndef MMUNOTIFY_VERBS_H
#define MMUNOTIFY_VERBS_H

#include <mmunotify/rcache.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct ibv_mr;
struct ibv_pd;
struct mmun_verbs;

/** struct mmun_verbs_registration - a memory region.  Its user reads it between get and put. */
struct mmun_verbs_registration {
	struct mmun_registration registration;
	struct ibv_mr *mr;
	uint32_t lkey, rkey;
};

/*
 * Beside MMUN_RCACHE_READ (which every region permits), _WRITE (IBV_ACCESS_LOCAL_WRITE)
 * and _ATOMIC (IBV_ACCESS_REMOTE_ATOMIC).  Whoever has the rkey may then read or write;
 * REMOTE_WRITE and ATOMIC imply WRITE.
 */
#define MMUN_VERBS_REMOTE_READ  MMUN_RCACHE_BACKEND(0)
#define MMUN_VERBS_REMOTE_WRITE MMUN_RCACHE_BACKEND(1)
/** Never with relaxed ordering: for memory whose last byte is polled for. */
#define MMUN_VERBS_ORDERED MMUN_RCACHE_BACKEND(2)

/** Regions have IBV_ACCESS_RELAXED_ORDERING where the kernel and the device know it: what
 *  one message writes may become visible in any order until its completion has been polled. */
#define MMUN_VERBS_RELAXED_ORDERING (1u << 0)

/** Options of mmun_verbs_create(); zero is the default everywhere. */
struct mmun_verbs_options {
	/** What else can be chosen of a registration cache: name, merging, limits; or NULL.  A
	 *  registration_size is at least sizeof(struct mmun_verbs_registration). */
	const struct mmun_rcache_options *cache;
	/** MMUN_VERBS_RELAXED_ORDERING. */
	unsigned int flags;
	/**
	 * IBV_ODP_SUPPORT_SEND and so on: what reliable connections do with this cache's
	 * regions.  If the device pages on demand for all of it, nothing is pinned; if it does
	 * not, regions are pinned as by default.  Not for other kinds of queue pairs, which is
	 * why it must be asked for.
	 */
	uint32_t on_demand;
	unsigned long reserved[4];
};

/**
 * mmun_verbs_create() - a cache of memory regions of @pd, for this process's memory.
 * @options: may be NULL
 *
 * With on-demand paging the kernel itself follows every change of memory.  Gets for local access
 * then all have one region, of the whole address space, where the device has such (implicit
 * on-demand paging).  Gets for remote access never do, for its rkey would be one to
 * everything: they have regions of their own, out of the cache, which end when the
 * memory under them changes, so that no key outlives what it was given out for.
 *
 * The protection domain must live until mmun_verbs_destroy().  A forked child cannot use it:
 * there gets are -EPERM, and destroy leaves the device alone.  ibv_fork_init(), if
 * it is used, comes first, as always.
 *
 * Context: sleeps, allocates.
 * Return: 0; -EINVAL (unknown flags, @registration_size too small); -ENOMEM; what
 * ibv_query_device_ex() failed with; or what mmun_rcache_create() returned.
 */
int mmun_verbs_create(struct ibv_pd *pd, const struct mmun_verbs_options *options,
		      struct mmun_verbs **verbs);

/**
 * mmun_verbs_destroy() - deregister everything and free the cache; before ibv_dealloc_pd(),
 * which is refused (EBUSY) while there are regions.
 *
 * Context and return: as mmun_rcache_destroy().
 */
int mmun_verbs_destroy(struct mmun_verbs *verbs);

/**
 * mmun_verbs_get() - a memory region that covers @length bytes at @address.
 * @access: as of mmun_rcache_get(), and MMUN_VERBS_REMOTE_READ and so on
 *
 * Context: as mmun_rcache_get().
 * Return: the region, or an error pointer: as mmun_rcache_get(); -EPERM in a forked child too;
 * -ENOMEM when RLIMIT_MEMLOCK is reached too, after everything idle was deregistered, which is
 * said on stderr once; -EFAULT: not mapped, or not writable and to be written.
 */
struct mmun_verbs_registration *mmun_verbs_get(struct mmun_verbs *verbs, const void *address,
					       size_t length, unsigned int access);

/** mmun_verbs_put() - the use of a region ends.  Of NULL and error pointers nothing is done.
 *  Context: as mmun_rcache_put(). */
void mmun_verbs_put(struct mmun_verbs *verbs, struct mmun_verbs_registration *reg);

/** mmun_verbs_rcache() - the registration cache behind it: for statistics, flushing, progress
 *  and ownership.  Context: any. */
struct mmun_rcache *mmun_verbs_rcache(struct mmun_verbs *verbs);

/** What mmun_verbs_create() found, and what has happened since. */
struct mmun_verbs_info {
	/** Are regions paged on demand; is there one for all local access? */
	bool on_demand, implicit;
	/** Regions that the device refused to deregister: it is gone, or memory windows are
	 *  bound to them.  Their memory stays pinned; the first one is said on stderr. */
	unsigned long stuck;
};

#ifdef __cplusplus
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif
/** mmun_verbs_info() - a snapshot.  Context: any. */
void mmun_verbs_info(struct mmun_verbs *verbs, struct mmun_verbs_info *out);
#ifdef __cplusplus
#pragma GCC diagnostic pop
#endif

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
