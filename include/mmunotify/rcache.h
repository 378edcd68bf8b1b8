/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A registration cache: registrations of memory (pinned ranges, memory regions, fixed buffers)
 * that are kept for the next use, and are gone when the memory under them changes.
 *
 *     reg = mmun_rcache_get(cache, buffer, length, MMUN_RCACHE_WRITE);
 *     if (mmun_is_err(reg)) ...
 *     use it: the caller's own struct around it has what register_memory() put there;
 *     mmun_rcache_put(cache, reg);
 *
 * What a get promises: the registration was made after everything that had changed the memory
 * before the get began.  It stays usable until its put, whatever happens to the memory
 * meanwhile; then it refers to the old pages, as every registration does.
 *
 * A get that finds one (a hit) takes no lock, makes no system call, and writes to no cache line
 * that two threads share.  docs/RCACHE.md has the protocol.
 */
#ifndef MMUNOTIFY_RCACHE_H
#define MMUNOTIFY_RCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mmunotify/mmu_notifier.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct mmun_rcache;

/**
 * struct mmun_registration - a registered range; first in the backend's own struct.
 *
 * Lifetime: from register_memory() until deregister_memory().  Its user may read it between
 * get and put.
 */
struct mmun_registration {
	/** First byte and one past the last byte: covers what was asked for. */
	unsigned long start, end;
	/** All that was asked for and maybe more; a subset of MMUN_RCACHE_ACCESS. */
	unsigned int access;
	/* private: */
	unsigned int reserved[5];
};

/*
 * @access of mmun_rcache_get(): what the registration is to permit.  The backend gives the
 * bits their meaning; the first three are what most have.  A registration with more
 * serves a request for less.
 */
#define MMUN_RCACHE_READ       (1u << 0) /* the device reads memory */
#define MMUN_RCACHE_WRITE      (1u << 1) /* the device writes memory */
#define MMUN_RCACHE_ATOMIC     (1u << 2)
#define MMUN_RCACHE_BACKEND(n) (1u << (3 + (n))) /* n: 0 to 4 */
#define MMUN_RCACHE_ACCESS     0xffu
/** Only what is there already; -ENOENT otherwise.  For signal handlers and fast paths. */
#define MMUN_RCACHE_CACHED (1u << 8)
/** A registration for this use alone: not looked for, not kept. */
#define MMUN_RCACHE_UNCACHED (1u << 9)

/** What a backend can have registered at once; 0: as much as you like. */
struct mmun_rcache_limits {
	/** Registrations, and bytes of them all together. */
	unsigned long regions, bytes;
	/** Bytes of one registration. */
	unsigned long length;
};

/**
 * struct mmun_rcache_ops - what registers memory with a device.
 *
 * Context of register_memory() and deregister_memory(): sleep, allocate, change memory.  No lock
 * of this cache is held, several threads may be inside for different registrations, the thread
 * cannot be cancelled.  They must not call the cache.
 */
struct mmun_rcache_ops {
	/**
	 * Register [@reg->start, @reg->end) with at least @reg->access, which may be raised.  The
	 * rest of the backend's struct is zero.
	 * Return: 0 or -errno.  After an error that idle registrations may be the cause of
	 * (-ENOMEM, -EAGAIN, -ENOSPC, -EDQUOT, -ENFILE) some of them are dropped and it is
	 * asked again; others are what the get returns.  -EADDRINUSE: the device allows no
	 * overlap, and something is registered there; what the cache has there and nobody uses is
	 * deregistered, and it is asked again.
	 */
	int (*register_memory)(void *arg, struct mmun_registration *reg);
	/** Nobody uses @reg any more.  Called once, also for memory that is gone. */
	void (*deregister_memory)(void *arg, struct mmun_registration *reg);
	/** Optional, once, at creation: lowers @limits to what the device can. */
	void (*limits)(void *arg, struct mmun_rcache_limits *limits);
};

/** Deregistration waits for gets, puts and mmun_rcache_progress(): no thread of its own. */
#define MMUN_RCACHE_NO_REAPER (1u << 0)
/** Only one thread may call the backend: the one that created the cache, or that has called
 *  mmun_rcache_own().  Others only hit; what they miss is -EPERM.  No reaper. */
#define MMUN_RCACHE_OWNED (1u << 1)
/** The backend does not pin: changes that leave pinned pages alone matter too (reclaim,
 *  collapse, copy-on-write, rights). */
#define MMUN_RCACHE_NOT_PINNED (1u << 2)
/** Each get and put is checked: a put too many, of something else, after destroy.  Slower.
 *  MMUNOTIFY_RCACHE=debug turns it on for all caches; debug builds have it on. */
#define MMUN_RCACHE_DEBUG (1u << 3)
/** With MMUN_RCACHE_DEBUG: what is deregistered is overwritten and not used again soon, so
 *  that whoever uses it after its put meets 0xdb bytes.  MMUNOTIFY_RCACHE=poison. */
#define MMUN_RCACHE_POISON (1u << 4)

/** Options of mmun_rcache_create(); zero is the default everywhere. */
struct mmun_rcache_options {
	/** In statistics; default "rcache". */
	const char *name;
	/** sizeof the backend's struct; default: that of struct mmun_registration. */
	size_t registration_size;
	/** MMUN_RCACHE_NO_REAPER and so on. */
	unsigned int flags;
	/** Registrations begin and end on a multiple of it, a power of two; default and least:
	 *  a page.  What lies in the same unit must be mapped too. */
	unsigned long alignment;
	/** A miss takes the place of registrations that it overlaps or touches, if all of it is
	 *  no longer than this many bytes; default: never. */
	unsigned long merge;
	/** Limits of this cache, beside the backend's.  Default: MMUN_RCACHE_REGIONS, and no
	 *  limit of bytes. */
	struct mmun_rcache_limits limits;
	/** Bytes whose memory has changed and that may wait for deregistration; more of them
	 *  are deregistered at once by the reaper, or by the next get or put that may.
	 *  Default MMUN_RCACHE_LATE_BYTES. */
	unsigned long late_bytes;
	unsigned long reserved[4];
};

#define MMUN_RCACHE_REGIONS     131072ul
#define MMUN_RCACHE_MAX_REGIONS (1ul << 24)
#define MMUN_RCACHE_LATE_BYTES  (64ul << 20)
/** The reaper deregisters what has become useless, in an idle process too, within this time. */
#define MMUN_RCACHE_LATE_MS 300
/** Registrations that one get makes because memory changed under them, before it makes one
 *  for itself alone. */
#define MMUN_RCACHE_ROUNDS 8
/** References to one registration at a time. */
#define MMUN_RCACHE_MAX_USES ((1ul << 23) - 1)
/** Caches of a process at a time. */
#define MMUN_RCACHE_MAX_CACHES 256

/**
 * mmun_rcache_create() - a cache of registrations of memory of @mm.
 * @mm: mmun_self(), or a software address space
 * @options: may be NULL
 *
 * Registers a notifier; what that needs is said at mmu_notifier_register().
 * A forked child of the process starts with an empty cache at its first get, with the same
 * backend; the parent's registrations are not touched, and puts of them there do nothing.
 *
 * Context: sleeps, allocates.
 * Return: 0; -EINVAL (no ops, alignment no power of two, flags unknown,
 * registration_size less than its default or absurd, more than MMUN_RCACHE_MAX_REGIONS); -ENOMEM; -ENOSPC (MMUN_RCACHE_MAX_CACHES); or what
 * mmu_notifier_register() returned.
 */
int mmun_rcache_create(struct mm_struct *mm, const struct mmun_rcache_ops *ops, void *arg,
		       const struct mmun_rcache_options *options, struct mmun_rcache **cache);

/**
 * mmun_rcache_destroy() - deregister everything and free the cache.
 *
 * Context: sleeps; nobody else uses the cache meanwhile or afterwards, by the owner if it has one.
 * Return: 0; -EBUSY: some registrations are in use: the rest is deregistered, gets fail from now
 * on (-ESRCH), and it is to be called again after their puts; -EPERM (not the owner).
 */
int mmun_rcache_destroy(struct mmun_rcache *cache);

/**
 * mmun_rcache_get() - a registration that covers [@address, @address + @length).
 * @access: MMUN_RCACHE_READ and so on, and at most one of _CACHED and _UNCACHED
 *
 * Context: sleeps and calls the backend when it misses; with MMUN_RCACHE_CACHED any, signal
 * handlers and callbacks too.  Locks: none of the backend's.
 * Return: the registration, or an error pointer: -EINVAL (@length is 0, or wraps; bits
 * unknown); -EMSGSIZE (longer than the limits say); -ENOENT (_CACHED, and not there); -EAGAIN
 * (the limits are reached, and all is in use); -ENOMEM; -EDEADLK (from a callback
 * or the backend, or a signal handler that interrupted a change of memory or the cache); -EPERM (not the owner); -ESRCH
 * (the address space has ended, or the cache); or what register_memory() returned.
 */
struct mmun_registration *mmun_rcache_get(struct mmun_rcache *cache, unsigned long address,
					  size_t length, unsigned int access);

/**
 * mmun_rcache_put() - the use of a registration ends, in any thread.
 *
 * Context: any, signal handlers too, unless the cache has no reaper: then it may call the backend.
 */
void mmun_rcache_put(struct mmun_rcache *cache, struct mmun_registration *reg);

/** mmun_rcache_is_current() - has the memory of @reg, which the caller holds, not been
 *  invalidated since it was registered?  Uncached ones are not.  Context: any. */
bool mmun_rcache_is_current(struct mmun_rcache *cache, const struct mmun_registration *reg);

/**
 * mmun_rcache_invalidate() - what is registered in [@start, @end) is not handed out any more.
 *
 * What the notifier does by itself; for changes that no event source sees.
 * Context: any.  Nothing is deregistered yet.
 */
void mmun_rcache_invalidate(struct mmun_rcache *cache, unsigned long start, unsigned long end);

/**
 * mmun_rcache_flush() - drop everything, and deregister what is not in use.
 *
 * Context: sleeps, calls the backend.  Return: how many are still in use; -EDEADLK; -EPERM.
 */
long mmun_rcache_flush(struct mmun_rcache *cache);

/**
 * mmun_rcache_progress() - deregister what has been invalidated and is not in use.
 *
 * Context: sleeps, calls the backend; costs a few loads when there is nothing to do.
 * Return: how many were deregistered; -EDEADLK; -EPERM.
 */
long mmun_rcache_progress(struct mmun_rcache *cache);

/** mmun_rcache_own() - the calling thread is the owner from now on.  The last one must not be
 *  inside the cache.  Context: any. */
void mmun_rcache_own(struct mmun_rcache *cache);

/**
 * mmun_rcache_limit_process() - limits of all caches of the process together; 0: none.
 *
 * MMUNOTIFY_RCACHE_REGIONS and MMUNOTIFY_RCACHE_BYTES set them at the first creation.
 * What is above them is dropped by later misses.  Context: any.
 */
void mmun_rcache_limit_process(unsigned long regions, unsigned long bytes);

/** All since the creation. */
#define MMUN_RCACHE_STATS(X) \
	X(hits, "gets that found a registration") \
	X(misses, "gets that made one") \
	X(merged, "registrations that took the place of others") \
	X(uncached, "registrations for one use") \
	X(retries, "registrations thrown away because memory changed meanwhile") \
	X(duplicates, "registrations thrown away because another thread was faster") \
	X(sections, "changes of memory that were looked at") \
	X(invalidations, "registrations that changes of memory ended") \
	X(evictions, "registrations dropped for others") \
	X(registered, "calls of register_memory() that succeeded") \
	X(deregistered, "calls of deregister_memory()") \
	X(failed, "calls of register_memory() that failed") \
	X(refused, "gets that failed") \
	X(batches, "barriers made for deregistration") \
	X(rebuilds, "times that the table was built anew")

struct mmun_rcache_stats {
#define MMUN_RCACHE_STATS_FIELD(name, text) unsigned long name;
	MMUN_RCACHE_STATS(MMUN_RCACHE_STATS_FIELD)
#undef MMUN_RCACHE_STATS_FIELD
	/** Now, not since the creation: registrations, and bytes, that gets can find; that
	 *  are invalid and not deregistered yet; and of these the ones in use, as last counted. */
	unsigned long regions, bytes, late_regions, late_bytes, late_in_use;
	/** Bytes of memory that the cache itself has mapped. */
	unsigned long memory;
	/** Is there a thread that deregisters? */
	bool reaper;
};

#ifdef __cplusplus
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif
/** mmun_rcache_stats() - a snapshot.  Any context. */
void mmun_rcache_stats(struct mmun_rcache *cache, struct mmun_rcache_stats *out);
#ifdef __cplusplus
#pragma GCC diagnostic pop
#endif

/**
 * mmun_rcache_for_each() - each registration that a get can find.
 * @visit: is handed each one with a reference, so that it stays; must not call the cache;
 * stops when it returns nonzero
 *
 * Context: as mmun_rcache_get() that misses.  Those that come or go meanwhile may be seen or not.
 * Return: 0, what @visit returned, -EDEADLK.
 */
int mmun_rcache_for_each(struct mmun_rcache *cache,
			 int (*visit)(struct mmun_registration *reg, void *arg), void *arg);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
