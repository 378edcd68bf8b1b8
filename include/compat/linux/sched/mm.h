/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Users of an address space. */
#ifndef MMUN_COMPAT_LINUX_SCHED_MM_H
#define MMUN_COMPAT_LINUX_SCHED_MM_H

#include <linux/gfp.h>
#include <linux/mm_types.h>
#include <linux/sched.h>

/* A user more, or NULL for a kernel thread. */
struct mm_struct *get_task_mm(struct task_struct *task);
/* The put happens in a worker: the caller may hold what ->release takes. */
void mmput_async(struct mm_struct *mm);

/* There is no reclaim to recurse into. */
#define memalloc_nofs_save()              0u
#define memalloc_nofs_restore(flags)      ((void)(flags))
#define memalloc_noreclaim_save()         0u
#define memalloc_noreclaim_restore(flags) ((void)(flags))
#define memalloc_noio_save()              0u
#define memalloc_noio_restore(flags)      ((void)(flags))
#define fs_reclaim_acquire(gfp)           ((void)(gfp))
#define fs_reclaim_release(gfp)           ((void)(gfp))
#define might_alloc(gfp)                  might_sleep_if(gfpflags_allow_blocking(gfp))

#endif
