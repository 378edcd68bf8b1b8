/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of this folder share. */
#ifndef MMUN_COMPAT_RUNTIME_H
#define MMUN_COMPAT_RUNTIME_H

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <mmunotify/compat.h>

/* The machine of mmun_compat_start(). */
struct mmun_soft *mmun_compat_machine(void);
/* A bug of the driver that has no place in its source. */
void mmun_compat_broken(const char *what) __noreturn;
/* What may fault in a page of @mm, which takes its mmap lock: it is not held, or @what is
 * the bug.  @mm may be NULL. */
void mmun_compat_may_fault(const struct mm_struct *mm, const char *what);
/* Ends the threads of the system's work queue. */
void mmun_compat_stop_work(void);
/* Frees what opened devices have left. */
void mmun_compat_free_inodes(void);
/* Called by each thread that has just taken a mutex, for which it may have slept; NULL: none. */
extern void (*mmun_compat_mutex_taken)(void);
/* The operations and the data of a file of debugfs, or NULL. */
const struct file_operations *mmun_compat_find_debugfs(const char *path, void **data);
void mmun_compat_free_debugfs(void);
/* A malloc that mmun_compat_fail_allocations() may make fail; zero-filled. */
void *mmun_compat_alloc(size_t size, gfp_t gfp);
/* get_pid_task() finds @task no more. */
void mmun_compat_pid_ends(struct task_struct *task);
void mmun_compat_ktime(struct timespec *out, u64 ns);

#endif
