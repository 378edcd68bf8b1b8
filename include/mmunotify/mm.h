/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An address space and its lifetime.
 *
 * mm_users counts users of the memory, mm_count users of the struct; all of
 * mm_users together hold one mm_count.  When mm_users reaches zero every
 * notifier's ->release runs and the memory goes; when mm_count reaches zero
 * the struct goes.  Names and meaning are those of Linux's linux/sched/mm.h
 * and linux/mmap_lock.h.
 */
#ifndef MMUNOTIFY_MM_H
#define MMUNOTIFY_MM_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct mm_struct;

/**
 * mmget() - take one more user of the memory.
 *
 * Context: any; the caller must already be entitled to the memory (it is the
 * process itself, or holds a user).  Lifetime: pair with mmput().
 */
void mmget(struct mm_struct *mm);

/**
 * mmget_not_zero() - take a user unless the address space is already dying.
 *
 * Context: any; the caller must hold the struct (mmgrab()).
 * Return: false when mm_users has reached zero: a dying mm is never revived.
 */
bool mmget_not_zero(struct mm_struct *mm);

/**
 * mmput() - drop a user; the last one runs every ->release and frees the memory.
 *
 * Context: may sleep and run callbacks when it drops the last user.
 * Locks: must not hold the mmap lock of @mm nor any lock a ->release takes.
 */
void mmput(struct mm_struct *mm);

/** mmgrab() - take one more user of the struct.  Context: any; pair with mmdrop(). */
void mmgrab(struct mm_struct *mm);

/** mmdrop() - drop a user of the struct; the last one frees it.  Context: may free memory. */
void mmdrop(struct mm_struct *mm);

/**
 * mmap_write_lock() and family - the mmap lock of an address space.
 *
 * It serialises changes of the layout in a software address space, and
 * registration in every address space (__mmu_notifier_register() requires it
 * held for write).  For the running process the kernel owns the layout: the
 * lock then orders registrations only, and no hook ever takes it.
 *
 * Context: sleeps; not async-signal-safe.  Not recursive: debug builds abort, and with a
 * software address space every build does, also for a release by who does not hold it.
 * Callbacks must never take it: their caller may hold it.
 */
void mmap_write_lock(struct mm_struct *mm);
bool mmap_write_trylock(struct mm_struct *mm);
void mmap_write_unlock(struct mm_struct *mm);
void mmap_read_lock(struct mm_struct *mm);
bool mmap_read_trylock(struct mm_struct *mm);
void mmap_read_unlock(struct mm_struct *mm);

/**
 * mmun_mmap_lock_held() - does the calling thread hold the mmap lock of @mm, for @write or at all?
 *
 * For assertions.  Context: any.
 * Return: also true if that is not known: for the running process it is known of @write only.
 */
bool mmun_mmap_lock_held(const struct mm_struct *mm, bool write);

/** What mm_lock() took; lives on the caller's stack until mm_unlock() returned. */
struct mm_lock_data {
	void *i_mmap_locks;
	size_t nr_i_mmap_locks;
	void *anon_vma_locks;
	size_t nr_anon_vma_locks;
};

/**
 * mm_lock() - quiesce every operation that can change translations of @mm.
 *
 * On return none is in progress and none starts before mm_unlock().  How is
 * the primary MMU's own business: a software address space takes one per-CPU
 * reader-writer semaphore, or each distinct reverse-map lock once, in address order
 * (enum mmun_soft_mm_lock).  The running process has no such lock: registration needs
 * none there, and it would keep other threads from their own memory.
 *
 * Context: sleeps.  Locks: caller holds the mmap lock (read or write) and keeps
 * it until mm_unlock() returned.  A task holds at most one mm_lock at a time.
 * Return: 0; -EOPNOTSUPP (@mm cannot be locked) or -ENOMEM with nothing locked.
 */
int mm_lock(struct mm_struct *mm, struct mm_lock_data *data);

/** mm_unlock() - undo mm_lock().  Allocates nothing, cannot fail, O(locks taken). */
void mm_unlock(struct mm_struct *mm, struct mm_lock_data *data);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
