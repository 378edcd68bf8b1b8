/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fixed buffers of io_uring out of any memory: a registration cache (mmunotify/rcache.h)
 * whose registrations are slots of a ring's buffer table.  In libmmunotify-uring.
 *
 *     buffer = mmun_uring_get(cache, address, length, 0);
 *     mmun_uring_prep_read(sqe, fd, address, length, offset, buffer);
 *     submit, and wait for the completion
 *     mmun_uring_put(cache, buffer);
 *
 * The first get of some memory has the kernel pin its pages and enter them into a free slot.
 * Later ones find the slot in nanoseconds, until the memory is unmapped, remapped, discarded or
 * truncated, or the slot is wanted for other memory.  Where no fixed buffer is to be had, the
 * get returns an error pointer, and mmun_uring_prep_read() prepares a plain read: nothing else
 * need be done about errors.
 *
 * A slot belongs to its ring: a program with one ring for each thread makes one cache for each
 * ring, and its threads have nothing in common that could slow them.  For rings that
 * take turns at the same buffers there is a set (mmun_uring_create_set()): a registration
 * stands in the same slot of each of its rings, and is pinned, and counted, once for each.
 *
 * Rings with IORING_SETUP_SINGLE_ISSUER let one thread alone register.  Their caches are
 * MMUN_RCACHE_OWNED: the thread that creates the cache owns it, other threads may put, and what
 * memory changes have ended is deregistered by the owner's gets and puts, and when it
 * calls mmun_rcache_progress(), as it should before it waits long.  Other rings' is
 * deregistered by a thread of the cache.
 *
 * What the kernel permits in a fixed buffer: memory that may be written, at most 1 GiB of it in
 * one piece, anonymous or of a memory file (memfd, tmpfs, hugetlbfs).  Shared mappings of
 * other files are refused (-EFAULT or -EOPNOTSUPP, by the kernel's version).
 * Pinned pages count against RLIMIT_MEMLOCK, by user, unless the program has CAP_IPC_LOCK;
 * when that is used up, idle buffers make room, then gets return -ENOMEM.  An
 * ordinary user's 8 MiB are soon used up: then large buffers come and go.
 */
#ifndef MMUNOTIFY_URING_H
#define MMUNOTIFY_URING_H

#include <stddef.h>
#include <stdint.h>

#include <mmunotify/rcache.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* liburing.h's. */
struct io_uring;
struct io_uring_sqe;

struct mmun_uring;

/**
 * struct mmun_uring_buffer - memory that is a fixed buffer now.
 *
 * Lifetime: from mmun_uring_get() until its mmun_uring_put(), which is due when the completion
 * of the last request that names @slot has come; for a send without copies, that with
 * IORING_CQE_F_NOTIF.
 */
struct mmun_uring_buffer {
	/** registration.start and .end: what the slot covers, at least what was asked for. */
	struct mmun_registration registration;
	/** For sqe->buf_index. */
	unsigned int slot;
};

/** The rings have a table already, of which the cache is to have the slots from first on.
 *  What is in them is dropped.  The rest stays the program's. */
#define MMUN_URING_ADOPT (1u << 0)

#define MMUN_URING_SLOTS 1024u
/** Of a ring, says the kernel. */
#define MMUN_URING_MAX_SLOTS 16384u
/** Bytes of one buffer, says the kernel. */
#define MMUN_URING_MAX_LENGTH (1ul << 30)
/** Of one set. */
#define MMUN_URING_MAX_RINGS 64u

/** Options of mmun_uring_create(); zero is the default everywhere. */
struct mmun_uring_options {
	/** How many slots, default MMUN_URING_SLOTS; and the first of them. */
	unsigned int slots, first;
	/** MMUN_URING_ADOPT. */
	unsigned int flags;
	/** What else can be chosen of a registration cache: name, merging, limits; or NULL. A
	 *  registration_size is at least sizeof(struct mmun_uring_buffer). */
	const struct mmun_rcache_options *cache;
	unsigned long reserved[4];
};

/**
 * mmun_uring_create() - a cache of fixed buffers of @ring.
 * @options: may be NULL
 *
 * Makes a table of empty slots, unless there is one (MMUN_URING_ADOPT).  The cache
 * has a file descriptor of its own of the ring: a ring whose io_uring_queue_exit() comes
 * before mmun_uring_destroy() stays, with its buffers, until the latter.
 * A forked child cannot use the cache: gets are -ESRCH there.
 *
 * Context: sleeps, allocates.  For a ring with IORING_SETUP_SINGLE_ISSUER: its one thread.
 * Return: 0; -EINVAL (options); -ENOTSUP: the kernel has no tables with empty slots (before
 * 5.13); -EBUSY: the ring has a table, and it is not to be adopted; -ENXIO: it has
 * none to adopt; -EEXIST: the ring is another thread's; -EBADF: it has no file descriptor;
 * -ENOMEM, -EMFILE; what mmun_rcache_create() returned.
 */
int mmun_uring_create(struct io_uring *ring, const struct mmun_uring_options *options,
		      struct mmun_uring **cache);

/**
 * mmun_uring_create_set() - one cache for several rings.
 * @rings: @nr of them, at most MMUN_URING_MAX_RINGS
 *
 * A buffer has the same slot in each of them.
 * Context and return: as mmun_uring_create().
 */
int mmun_uring_create_set(struct io_uring *const *rings, unsigned int nr,
			  const struct mmun_uring_options *options, struct mmun_uring **cache);

/**
 * mmun_uring_destroy() - empty the slots and free the cache, before io_uring_queue_exit().
 *
 * A table that was made for it stays in the ring, empty: to take it away would wait for all
 * requests in flight.
 * Context: as mmun_rcache_destroy().  Return: 0; -EBUSY while buffers are in use;
 * -EPERM (not the owner).
 */
int mmun_uring_destroy(struct mmun_uring *cache);

/**
 * mmun_uring_get() - a fixed buffer that covers @length bytes from @address.
 * @flags: 0, MMUN_RCACHE_CACHED or MMUN_RCACHE_UNCACHED
 *
 * Context: as mmun_rcache_get().
 * Return: the buffer, or an error pointer: those of mmun_rcache_get(); -EFAULT, -EOPNOTSUPP: no
 * memory for fixed buffers; -ENOMEM: RLIMIT_MEMLOCK; -EAGAIN: all slots are in use.
 */
struct mmun_uring_buffer *mmun_uring_get(struct mmun_uring *cache, const void *address,
					 size_t length, unsigned int flags);

/** mmun_uring_put() - the completion has come.  Of NULL and error pointers nothing is done.
 *  Context: as mmun_rcache_put(). */
void mmun_uring_put(struct mmun_uring *cache, struct mmun_uring_buffer *buffer);

/**
 * mmun_uring_prep_read() and family - io_uring_prep_read_fixed() into @buffer, and so on.
 * @buffer: what a get of at least these bytes returned; of NULL or an error pointer the plain
 * operation is prepared instead
 *
 * Context: any.
 */
void mmun_uring_prep_read(struct io_uring_sqe *sqe, int fd, void *address, unsigned int length,
			  uint64_t offset, const struct mmun_uring_buffer *buffer);
void mmun_uring_prep_write(struct io_uring_sqe *sqe, int fd, const void *address,
			   unsigned int length, uint64_t offset,
			   const struct mmun_uring_buffer *buffer);

/** mmun_uring_rcache() - the registration cache behind it: for statistics, flushing, progress
 *  and ownership.  Context: any.  Return: the cache; NULL in a forked child. */
struct mmun_rcache *mmun_uring_rcache(struct mmun_uring *cache);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
