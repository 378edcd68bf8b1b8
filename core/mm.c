/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The address space as an object: its two counts, its end.
 *
 * I1  All users of the memory (mm_users) together hold one mm_count.
 * I2  mm_users never leaves zero again: a dying mm is not revived.
 * I3  The release step of exit runs once, for whichever of mmun_mm_exit() and
 *     the last mmput() comes first; the primary frees memory after it.
 * I4  The copy that fork leaves in a child is never locked: the holder of any
 *     of its locks may be a thread that does not exist there.
 *
 * Not here: what the memory consists of; that is the primary's.  The mmap lock: mmap_lock.c.
 * Tests: tests/unit/core/mm.c.
 */
#include "internal.h"

#include <errno.h>

#include "alloc.h"
#include "bug.h"
#include "chain.h"
#include "interval_table.h"
#include "raw_syscall.h"

int mmun_mm_create(const struct mmun_mm_params *params, struct mm_struct **out)
{
	unsigned int nr = mmun_srcu_nr_slots();
	struct mm_struct *mm;

	if (!params->ops || !params->ops->lock != !params->ops->unlock)
		return -EINVAL;
	mm = mmun_alloc(sizeof(*mm) + nr * sizeof(mm->slots[0]));
	if (!mm)
		return -ENOMEM;
	mm->mm_users = 1;
	mm->mm_count = 1;
	mm->ops = params->ops;
	mm->priv = params->priv;
	mm->fork_word = params->fork_word;
	mmun_srcu_init(&mm->srcu, mm->slots, nr);
	/* The running process has many threads and sections, and one mm. */
	if (params->fork_word)
		(void)mmun_srcu_use_cells(&mm->srcu);
	mmun_rwlock_init(&mm->mmap_lock, MMUN_RANK_MMAP);
	*out = mm;
	return 0;
}

static void mm_destroy(struct mm_struct *mm)
{
	const struct mmun_primary_ops *ops = mm->ops;
	void *priv = mm->priv;

	mmun_chain_destroy(mm);
	if (!mmun_mm_is_stale(mm)) {
		mmun_rwlock_destroy(&mm->mmap_lock);
		mmun_srcu_destroy(&mm->srcu);
	}
	mmun_free(mm);
	if (ops->destroy)
		ops->destroy(priv);
}

void *mmun_mm_priv(const struct mm_struct *mm)
{
	return mm->priv;
}

const struct mmun_primary_ops *mmun_mm_ops(const struct mm_struct *mm)
{
	return mm->ops;
}

bool mmun_mm_is_stale(const struct mm_struct *mm)
{
	return mmun_mm_copied(mm);
}

bool mmun_mm_is_inside(struct mm_struct *mm)
{
	return !mmun_mm_copied(mm) && mmun_task_inside(mm);
}

void mmget(struct mm_struct *mm)
{
	long users = mmun_add_full(&mm->mm_users, 1);

	if (mmun_unlikely(users <= 1))
		mmun_misuse("mmget() of an address space that has no users");
}

bool mmget_not_zero(struct mm_struct *mm)
{
	long users = mmun_load_full(&mm->mm_users);

	if (mmun_load_full(&mm->dead) || mmun_mm_is_stale(mm))
		return false;
	while (users > 0) {
		if (mmun_cas_full(&mm->mm_users, &users, users + 1))
			return true;
	}
	return false;
}

void mmgrab(struct mm_struct *mm)
{
	(void)mmun_add_full(&mm->mm_count, 1);
}

void mmdrop(struct mm_struct *mm)
{
	long count = mmun_sub_full(&mm->mm_count, 1);

	if (mmun_unlikely(count < 0))
		mmun_misuse("mmdrop() without a reference");
	if (count == 0)
		mm_destroy(mm);
}

void mmun_mm_shrink_copy(struct mm_struct *mm)
{
	/* A thread that the child has made cannot know what the one that forked is inside. */
	if (mmun_mm_is_stale(mm) &&
	    mmun_syscall3(SYS_gettid, 0, 0, 0) == mmun_syscall3(SYS_getpid, 0, 0, 0))
		(void)mmun_srcu_drop_cells(&mm->srcu);
}

void mmun_mm_read_lock(struct mm_struct *mm, struct mmun_reader *reader)
{
	*reader = srcu_read_lock(&mm->srcu);
}

void mmun_mm_read_unlock(struct mm_struct *mm, const struct mmun_reader *reader)
{
	srcu_read_unlock(&mm->srcu, reader);
}

void mmun_thread_shares_tls(void)
{
	mmun_srcu_share();
	mmun_section_share();
}

void mmun_mm_stats(const struct mm_struct *mm, struct mmun_stats *out)
{
#define COPY_STAT(name, text) out->name = mmun_load_relaxed(&mm->stats.name);
	MMUN_STATS(COPY_STAT)
#undef COPY_STAT
	out->dropped = mmun_load_relaxed(&mm->srcu.dropped);
	out->fallbacks = mmun_load_relaxed(&mm->srcu.fallbacks);
	if (mm->ops->stats)
		mm->ops->stats(mm, out);
}

void mmun_mm_count_unsettled(struct mm_struct *mm, unsigned long threads)
{
	(void)mmun_add_relaxed(&mm->stats.unsettled, threads);
}
