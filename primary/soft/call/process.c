/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fork, exec and exit: copies of address spaces, their ends, and the tasks that
 * use them.
 *
 * I1  A copy is made with both mmap locks held for write.  Nobody else knows the
 *     child then, so its lock is free and the pair needs no order.
 * I2  The child starts without notifiers (S11: none is inherited); a copy that fails half way is an
 *     address space with fewer mappings, and ends like any other (S4: sections end on failure).
 * I3  At exit ->release of every notifier has returned before `dead` is set, and
 *     `dead` is set before the first page goes (U1: ->release comes before).
 *
 * Not here: copying of entries (copy.c) and of VMAs (vma/vma.c).
 * Tests: tests/unit/soft/process.c.
 */
#include <errno.h>

#include "alloc.h"
#include "bug.h"
#include "call/call.h"
#include "mm.h"
#include "section.h"
#include "table/table.h"
#include "vma/vma.h"

static int fork_vma(struct soft_mm *child, struct soft_vma *vma)
{
	struct soft_vma *copy;
	int ret;

	if (vma->v.vm_flags & VM_DONTCOPY)
		return 0;
	ret = mmun_soft_vma_dup(child, vma, &copy);
	if (ret || (vma->v.vm_flags & VM_WIPEONFORK))
		return ret;
	return mmun_soft_copy(vma, copy);
}

static int dup_mmap(struct soft_mm *child, struct soft_mm *parent)
{
	struct soft_vma *vma;
	int ret;

	child->start_brk = parent->start_brk;
	child->brk = parent->brk;
	soft_for_each_vma(vma, parent) {
		ret = fork_vma(child, vma);
		if (ret)
			return ret;
	}
	return 0;
}

static int copy_locked(struct mm_struct *child, struct mm_struct *parent)
{
	bool locked;
	int ret;

	mmap_write_lock(parent);
	locked = mmap_write_trylock(child);
	MMUN_BUG_ON(!locked);
	ret = dup_mmap(soft_mm(child), soft_mm(parent));
	mmun_soft_flush_all(soft_mm(parent));
	mmap_write_unlock(child);
	mmap_write_unlock(parent);
	return ret;
}

int mmun_soft_mm_fork(struct mm_struct *mm, struct mm_struct **out)
{
	struct mmun_soft *soft = soft_mm(mm)->soft;
	struct mm_struct *child;
	int ret = mmun_soft_mm_alloc(soft, &child);

	if (ret)
		goto failed;
	ret = copy_locked(child, mm);
	if (ret) {
		mmput(child);
		goto failed;
	}
	mmun_soft_mm_publish(child);
	soft_stat_inc(soft, forks);
	*out = child;
	return 0;

failed:
	soft_stat_inc(soft, forks_failed);
	return ret;
}

static void set_dead(struct soft_mm *sm)
{
	mmun_mutex_lock(&sm->page_table_lock);
	sm->dead = true;
	mmun_mutex_unlock(&sm->page_table_lock);
}

void mmun_soft_mm_exit(struct mm_struct *mm)
{
	struct soft_mm *sm = soft_mm(mm);

	mmun_soft_mm_unpublish(mm);
	/* The last user may go inside a driver that holds another mm's lock (U10: mmput comes anywhere).  No
	 * user of this one is left that could hold its lock and wait for that driver,
	 * so the order of ranks does not matter here: hence the try. */
	if (!mmap_write_trylock(mm))
		mmap_write_lock(mm);
	set_dead(sm);
	mmun_soft_unmap_all(sm);
	mmun_soft_tables_destroy(sm);
	mmun_soft_write_unlock(sm);
}

/* A user of one address space. */
struct mmun_soft_task {
	struct mmun_soft *soft;
	struct mm_struct *mm;
};

/* Takes @mm over; drops it on failure. */
static int new_task(struct mmun_soft *soft, struct mm_struct *mm, struct mmun_soft_task **out)
{
	struct mmun_soft_task *task = mmun_alloc(sizeof(*task));

	if (!task) {
		mmput(mm);
		return -ENOMEM;
	}
	task->soft = soft;
	task->mm = mm;
	*out = task;
	return 0;
}

int mmun_soft_task_create(struct mmun_soft *soft, struct mmun_soft_task **out)
{
	struct mm_struct *mm;
	int ret = mmun_soft_mm_create(soft, &mm);

	return ret ? ret : new_task(soft, mm, out);
}

struct mm_struct *mmun_soft_task_mm(const struct mmun_soft_task *task)
{
	return task->mm;
}

int mmun_soft_clone(struct mmun_soft_task *task, struct mmun_soft_task **out)
{
	mmget(task->mm);
	return new_task(task->soft, task->mm, out);
}

int mmun_soft_fork(struct mmun_soft_task *task, struct mmun_soft_task **out)
{
	struct mm_struct *child;
	int ret = mmun_soft_mm_fork(task->mm, &child);

	return ret ? ret : new_task(task->soft, child, out);
}

int mmun_soft_exec(struct mmun_soft_task *task)
{
	struct mm_struct *fresh, *old = task->mm;
	int ret = mmun_soft_mm_create(task->soft, &fresh);

	if (ret)
		return ret;
	task->mm = fresh;
	mmput(old);
	return 0;
}

void mmun_soft_exit(struct mmun_soft_task *task)
{
	struct mm_struct *mm = task->mm;

	task->mm = NULL;
	mmput(mm);
	mmun_free(task);
}
