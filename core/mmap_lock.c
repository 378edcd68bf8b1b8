/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The mmap lock, and what a thread may not do with it.
 *
 * I1  Of an address space whose source wants it (checks_mmap_lock), each thread remembers what it
 *     holds.  What would make it wait for itself, now or once a writer comes in
 *     between, ends the program before it waits; so does the release of what it does not hold.
 * I2  Attempts that do not wait (trylock) are never a mistake.
 * I3  A thread that holds more such locks than it can remember is believed from then on.
 *
 * The lock of the running process is not checked: the library is a guest there.
 * Tests: tests/unit/core/mm.c, tests/contract/compat/{misuse,order}.c.
 */
#include "internal.h"

#include <stdlib.h>

#include "bug.h"

/* NULL: not held, or not known (I3). */
static struct mmun_mmap_held *find(const struct mm_struct *mm)
{
	for (unsigned int i = 0; i < MMUN_TASK_MMAP_LOCKS; i++) {
		if (mmun_task.mmap_held[i].mm == mm)
			return &mmun_task.mmap_held[i];
	}
	return NULL;
}

__attribute__((noreturn)) static void misuse(const char *sentence)
{
	mmun_report(sentence);
	abort();
}

/* I1 */
static void may_take(const struct mm_struct *mm, bool write)
{
	const struct mmun_mmap_held *held = find(mm);

	if (!held)
		return;
	if (held->write)
		misuse(write ? "the mmap lock is taken twice for writing by one thread, which would "
			       "wait for itself"
			     : "the mmap lock is taken for reading by a thread that holds it for "
			       "writing and would wait for itself");
	misuse(write ? "the mmap lock is taken for writing by a thread that holds it for reading and "
		       "would wait for itself"
		     : "the mmap lock is taken twice for reading by one thread, which would wait for "
		       "itself behind a writer");
}

static void taken(struct mm_struct *mm, bool write)
{
	struct mmun_mmap_held *held = find(mm);

	if (!held)
		held = find(NULL);
	if (!held) {
		mmun_task.mmap_unlisted++;
		return;
	}
	held->mm = mm;
	held->write = write;
	held->count++;
}

static void dropped(const struct mm_struct *mm, bool write)
{
	struct mmun_mmap_held *held = find(mm);

	if (!held) {
		if (!mmun_task.mmap_unlisted)
			misuse(write ? "an mmap lock is released for writing that the thread does not hold"
				     : "an mmap lock is released for reading that the thread does not "
				       "hold");
		mmun_task.mmap_unlisted--;
		return;
	}
	if (held->write != write)
		misuse(write ? "an mmap lock is released for writing that the thread holds for reading"
			     : "an mmap lock is released for reading that the thread holds for "
			       "writing");
	if (!--held->count)
		held->mm = NULL;
}

bool mmun_mmap_lock_held(const struct mm_struct *mm, bool write)
{
	const struct mmun_mmap_held *held;

	if (!mm->ops->checks_mmap_lock)
		return !write || mmun_rwlock_mine(&mm->mmap_lock);
	held = find(mm);
	if (!held)
		return mmun_task.mmap_unlisted;
	return held->write || !write;
}

void mmap_write_lock(struct mm_struct *mm)
{
	if (mm->ops->checks_mmap_lock)
		may_take(mm, true);
	mmun_rwlock_write_lock(&mm->mmap_lock);
	if (mm->ops->checks_mmap_lock)
		taken(mm, true);
}

bool mmap_write_trylock(struct mm_struct *mm)
{
	if (!mmun_rwlock_write_trylock(&mm->mmap_lock))
		return false;
	if (mm->ops->checks_mmap_lock)
		taken(mm, true);
	return true;
}

void mmap_write_unlock(struct mm_struct *mm)
{
	if (mm->ops->checks_mmap_lock)
		dropped(mm, true);
	mmun_rwlock_write_unlock(&mm->mmap_lock);
}

void mmap_read_lock(struct mm_struct *mm)
{
	if (mm->ops->checks_mmap_lock)
		may_take(mm, false);
	mmun_rwlock_read_lock(&mm->mmap_lock);
	if (mm->ops->checks_mmap_lock)
		taken(mm, false);
}

bool mmap_read_trylock(struct mm_struct *mm)
{
	if (!mmun_rwlock_read_trylock(&mm->mmap_lock))
		return false;
	if (mm->ops->checks_mmap_lock)
		taken(mm, false);
	return true;
}

void mmap_read_unlock(struct mm_struct *mm)
{
	if (mm->ops->checks_mmap_lock)
		dropped(mm, false);
	mmun_rwlock_read_unlock(&mm->mmap_lock);
}
