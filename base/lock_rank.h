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
	X(GRACE, "grace period") \
	X(GATE, "gate") \
	X(SOURCE, "event source") \
	X(MMAP, "mmap lock")

enum mmun_lock_rank {
#define MMUN_LOCK_RANK_ENUM(name, text) MMUN_RANK_##name,
	MMUN_LOCK_RANKS(MMUN_LOCK_RANK_ENUM)
#undef MMUN_LOCK_RANK_ENUM
	MMUN_NR_RANKS
};

#endif
