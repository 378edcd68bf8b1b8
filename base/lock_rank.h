/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The order of all locks, innermost first: while a thread holds a lock it may
 * take only locks that stand above it in this list.  docs/LOCKING.md has the
 * same table with the reasons; debug builds abort on a violation.
 *
 * The innermost rank is 0 so that a zero-filled mutex is a valid one that may
 * be taken under every other lock.
 */
#ifndef MMUN_BASE_LOCK_RANK_H
#define MMUN_BASE_LOCK_RANK_H

#define MMUN_LOCK_RANKS(X) \
	X(WORKER, "callback queue") \
	X(CHAIN, "notifier chain") \
	X(RCACHE, "registration cache") \
	X(SOFT_LIST, "list of address spaces or files") \
	X(SOFT_SWAP, "swap store") \
	X(SOFT_KSM, "merged pages") \
	X(SOFT_ZONE, "free frames and LRU") \
	X(SOFT_PAGES, "page cache of a file") \
	X(SOFT_PTL, "page tables") \
	X(GRACE, "grace period") \
	X(SOFT_CHANGES, "writers of the page tables' semaphore") \
	X(SOFT_ANON, "anon_vma") \
	X(SOFT_I_MMAP, "i_mmap") \
	X(SOFT_ALL_LOCKS, "mm_lock by marks") \
	X(SOFT_INVALIDATE, "truncate against faults") \
	X(SOFT_IO, "file size") \
	X(SOURCE, "event source") \
	X(MMAP, "mmap lock") \
	X(SOFT_SCAN, "scan of all address spaces") \
	X(RCACHE_RECLAIM, "deregistration") \
	X(RCACHE_LIST, "list of registration caches")

enum mmun_lock_rank {
#define MMUN_LOCK_RANK_ENUM(name, text) MMUN_RANK_##name,
	MMUN_LOCK_RANKS(MMUN_LOCK_RANK_ENUM)
#undef MMUN_LOCK_RANK_ENUM
		MMUN_NR_RANKS
};

#endif
