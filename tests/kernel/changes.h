/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What tests of drivers share: a machine with a task whose memory a second thread changes in
 * every way there is, and a record of the pages that the device was given.
 *
 * The driver's lock that its callback takes is around each look at such a record, as it is
 * around a device's access; so a page that was replaced without the driver's knowing shows as a
 * violation, which the machine counts.
 */
#ifndef MMUN_TESTS_KERNEL_CHANGES_H
#define MMUN_TESTS_KERNEL_CHANGES_H

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

/* libc's before the kernel's. */
#include "../tap.h"

#include <linux/highmem.h>
#include <linux/mm.h>
#include <mmunotify/compat.h>

static struct mmun_soft *soft;
static struct mmun_soft_task *task;
static struct mm_struct *mm;

__attribute__((unused)) static void map(unsigned long at, unsigned long pages, int prot, int flags,
					struct file *file)
{
	flags |= MAP_FIXED | (file ? MAP_SHARED : MAP_ANONYMOUS | MAP_PRIVATE);
	if (mmun_soft_is_error(mmun_soft_mmap(mm, at, pages * PAGE_SIZE, prot, flags, file, 0)))
		bail_out("no mapping");
}

__attribute__((unused)) static void put(unsigned long address, unsigned long value)
{
	mmun_soft_write(mm, address, &value, sizeof(value), NULL);
}

__attribute__((unused)) static unsigned long get(unsigned long address)
{
	unsigned long value = ~0ul;

	mmun_soft_read(mm, address, &value, sizeof(value), NULL);
	return value;
}

static void counted(const struct mmun_soft_violation *what, void *arg)
{
}

__attribute__((unused)) static unsigned long violations(void)
{
	struct mmun_soft_stats stats;

	mmun_soft_stats(soft, &stats);
	return stats.violations;
}

__attribute__((unused)) static void start_machine(void)
{
	const struct mmun_soft_params params = { .memory = 16ul << 20,
						 .swap = 16ul << 20,
						 .violation = counted };

	if (mmun_soft_create(&params, &soft) || mmun_soft_task_create(soft, &task))
		bail_out("no machine");
	mm = mmun_soft_task_mm(task);
	mmun_compat_start(soft);
	mmun_compat_set_current(task);
}

/* The last user of the memory goes. */
__attribute__((unused)) static void end_task(void)
{
	mmun_compat_set_current(NULL);
	mmun_soft_exit(task);
	task = NULL;
	mm = NULL;
}

__attribute__((unused)) static void stop_machine(unsigned long warnings)
{
	if (task)
		end_task();
	mmun_compat_stop();
	is(mmun_compat_allocated(), 0, "the driver frees what it allocates");
	is(mmun_compat_warnings(), warnings, "and warns of nothing else");
	is(mmun_soft_destroy(soft), 0, "the machine has nothing left");
}

/* In a thread of its own, which is waited for: for what happens in the middle of a look-up. */
static void *aside_main(void *f)
{
	(*(void (**)(void))f)();
	return NULL;
}

__attribute__((unused)) static void aside(void (*f)(void))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, aside_main, &f))
		bail_out("no thread");
	pthread_join(thread, NULL);
}

/* Changes. */

enum change {
	DONTNEED = 1 << 0,
	UNMAP = 1 << 1,
	MIGRATE = 1 << 2,
	FORK = 1 << 3,
	PROTECT = 1 << 4,
	PAGEOUT = 1 << 5,
	RECLAIM = 1 << 6,
	WRITE = 1 << 7,
	MOVE = 1 << 8,
	ALL_CHANGES = (1 << 9) - 1,
};

/* What moves away comes here, and back. */
#define ELSEWHERE 0x70000000ul

static void fork_and_write(unsigned long address)
{
	struct mmun_soft_task *child;

	if (mmun_soft_fork(task, &child))
		return;
	put(address, 1);
	mmun_soft_exit(child);
}

__attribute__((unused)) static void change(enum change what, unsigned long address,
					   unsigned long pages)
{
	unsigned long length = pages * PAGE_SIZE;

	switch (what) {
	case DONTNEED:
		mmun_soft_madvise(mm, address, length, MADV_DONTNEED);
		break;
	case UNMAP:
		mmun_soft_munmap(mm, address, length);
		map(address, pages, PROT_READ | PROT_WRITE, 0, NULL);
		break;
	case MIGRATE:
		for (unsigned long i = 0; i < pages; i++)
			mmun_soft_migrate(mm, address + i * PAGE_SIZE);
		break;
	case FORK:
		fork_and_write(address);
		break;
	case PROTECT:
		mmun_soft_mprotect(mm, address, length, PROT_READ);
		mmun_soft_mprotect(mm, address, length, PROT_READ | PROT_WRITE);
		break;
	case PAGEOUT:
		mmun_soft_madvise(mm, address, length, MADV_PAGEOUT);
		break;
	case RECLAIM:
		mmun_soft_reclaim(soft, pages);
		break;
	case WRITE:
		put(address, 2);
		break;
	case MOVE:
		mmun_soft_mremap(mm, address, length, length, MREMAP_MAYMOVE | MREMAP_FIXED,
				 ELSEWHERE);
		mmun_soft_mremap(mm, ELSEWHERE, length, length, MREMAP_MAYMOVE | MREMAP_FIXED,
				 address);
		break;
	case ALL_CHANGES:
		break;
	}
}

static unsigned int draw(unsigned int *state, unsigned int below)
{
	*state = *state * 1103515245u + 12345u;
	return (*state >> 16) % below;
}

/* Changes of @which to random pages of @at...@at + @pages until stop_changes(). */
struct changes {
	unsigned long at, pages;
	unsigned int which;
	unsigned long rounds;
	bool stop;
	pthread_t thread;
};

static void *changes_main(void *c)
{
	struct changes *changes = (struct changes *)c;
	unsigned int state = 7;

	mmun_compat_set_current(task);
	while (!__atomic_load_n(&changes->stop, __ATOMIC_ACQUIRE)) {
		unsigned int what = 1u << draw(&state, 9);
		unsigned long first = draw(&state, (unsigned int)changes->pages);
		unsigned long pages = 1 + draw(&state, (unsigned int)(changes->pages - first));

		if (!(what & changes->which))
			continue;
		change((enum change)what, changes->at + first * PAGE_SIZE, pages);
		__atomic_fetch_add(&changes->rounds, 1, __ATOMIC_RELAXED);
	}
	mmun_compat_set_current(NULL);
	return NULL;
}

__attribute__((unused)) static void start_changes(struct changes *changes)
{
	if (pthread_create(&changes->thread, NULL, changes_main, changes))
		bail_out("no thread");
}

__attribute__((unused)) static unsigned long changed(struct changes *changes)
{
	return __atomic_load_n(&changes->rounds, __ATOMIC_RELAXED);
}

__attribute__((unused)) static void stop_changes(struct changes *changes)
{
	__atomic_store_n(&changes->stop, true, __ATOMIC_RELEASE);
	pthread_join(changes->thread, NULL);
}

/* Pages that a device was given. */

struct given {
	struct mmun_soft_translation t;
	bool there;
};

/* The driver says that @page is at @address: is it?  Under its lock. */
__attribute__((unused)) static bool give(struct given *given, unsigned long address,
					 struct page *page)
{
	given->there = !mmun_soft_translate_present(mm, address, &given->t) &&
		       given->t.page == page;
	return given->there;
}

/* The device accesses it: false and a violation if it is not what it was.  Under that lock. */
__attribute__((unused)) static bool device_reads(struct given *given, unsigned long address)
{
	unsigned long value;

	return !mmun_soft_device_read(mm, address, &given->t, &value, sizeof(value));
}

__attribute__((unused)) static bool device_writes(struct given *given, unsigned long address,
						  unsigned long value)
{
	return !mmun_soft_device_write(mm, address, &given->t, &value, sizeof(value));
}

/* A mapping whose faults call this first, with the mmap lock held for read. */
static void (*in_fault)(void);

static vm_fault_t hooked_fault(struct vm_fault *vmf)
{
	void (*hook)(void) = in_fault;

	in_fault = NULL;
	if (hook)
		hook();
	vmf->page = mmun_soft_alloc_page(soft);
	return vmf->page ? 0 : VM_FAULT_OOM;
}

static const struct vm_operations_struct hooked_vm_ops = { .fault = hooked_fault };

static int hooked_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &hooked_vm_ops;
	return 0;
}

static const struct file_operations hooked_fops = { .mmap = hooked_mmap };

__attribute__((unused)) static void map_hooked(unsigned long at, unsigned long pages)
{
	struct file *file;

	if (mmun_soft_device_create(soft, "hooked", &hooked_fops, NULL, &file))
		bail_out("no file");
	map(at, pages, PROT_READ | PROT_WRITE, 0, file);
	mmun_soft_file_put(file);
}

#endif
