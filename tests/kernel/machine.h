/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For the test of a driver: a machine with one task, whose memory another thread changes
 * in every way that moves pages, and the question whether a page that the driver holds is
 * what an address maps.
 *
 * The word at the start of each page of the task's memory is 0 or the page's own address: what
 * a device reads through the driver's pages shows whose they are.
 */
#ifndef MMUN_TESTS_KERNEL_MACHINE_H
#define MMUN_TESTS_KERNEL_MACHINE_H

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "../tap.h"

#include <linux/mm.h>
#include <mmunotify/compat.h>

#define MEMORY 0x10000000ul
/* Takes the frame that a change frees, so that it does not come back to the same address. */
#define DECOY 0x20000000ul

static struct mmun_soft *soft;
static struct mmun_soft_task *task;
static struct mm_struct *mm;
/* Accesses through a stale translation; the machine reports each. */
static unsigned long violations;
/* Before the machine. */
static unsigned long warnings_before;

static void note_violation(const struct mmun_soft_violation *what, void *arg)
{
	__atomic_add_fetch(&violations, 1, __ATOMIC_SEQ_CST);
}

__attribute__((unused)) static void start_machine(void)
{
	const struct mmun_soft_params params = { .memory = 16ul << 20,
						 .swap = 16ul << 20,
						 .violation = note_violation };

	if (mmun_soft_create(&params, &soft) || mmun_soft_task_create(soft, &task))
		bail_out("no machine");
	mm = mmun_soft_task_mm(task);
	warnings_before = mmun_compat_warnings();
	mmun_compat_start(soft);
	mmun_compat_set_current(task);
}

/* The task exits, if it has not done so. */
__attribute__((unused)) static void leave_task(void)
{
	mmun_compat_set_current(NULL);
	if (task)
		mmun_soft_exit(task);
	task = NULL;
}

/* @warnings: as many as were expected. */
__attribute__((unused)) static void stop_machine(unsigned long warnings)
{
	leave_task();
	mmun_compat_stop();
	is(mmun_compat_allocated(), 0, "the driver frees what it allocates");
	is(mmun_compat_warnings() - warnings_before, warnings, "and warns of nothing%s",
	   warnings ? " else" : "");
	is(mmun_soft_destroy(soft), 0, "the machine has nothing left");
}

__attribute__((unused)) static void map(unsigned long at, unsigned long pages)
{
	if (mmun_soft_is_error(mmun_soft_mmap(mm, at, pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
					      MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED, NULL, 0)))
		bail_out("no mapping");
}

/* By the task.  False where it may not, for the moment. */
__attribute__((unused)) static bool stamp(unsigned long address)
{
	return !mmun_soft_write(mm, address, &address, sizeof(address), NULL);
}

__attribute__((unused)) static unsigned long task_reads(unsigned long address)
{
	unsigned long value = -1ul;

	mmun_soft_read(mm, address, &value, sizeof(value), NULL);
	return value;
}

/* A driver holds @pfn for @address, under the lock that its callback takes: is that what the
 * address maps, with the right to write where @write?  @owner: of private memory, or NULL. */
__attribute__((unused)) static bool maps(unsigned long address, unsigned long pfn, bool write,
					 const void *owner, struct mmun_soft_translation *out)
{
	return !mmun_soft_translate_device(mm, address, owner, out) &&
	       page_to_pfn(out->page) == pfn && (out->writable || !write);
}

/* What devices found: pages that were not their task's any more when they were about to be
 * used, and words of somebody else. */
static unsigned long stale, foreign;

/* A device uses the page that its driver has for @address: reads whose it is, and writes that
 * where it may. */
__attribute__((unused)) static void use_page(unsigned long address, unsigned long pfn, bool write,
					     const void *owner)
{
	struct mmun_soft_translation t;
	unsigned long words[2];

	if (!maps(address, pfn, write, owner, &t)) {
		__atomic_add_fetch(&stale, 1, __ATOMIC_RELAXED);
		return;
	}
	if (mmun_soft_device_read(mm, address, &t, words, sizeof(words)) ||
	    (words[0] && words[0] != address) || (words[1] && words[1] != address))
		__atomic_add_fetch(&foreign, 1, __ATOMIC_RELAXED);
	sched_yield();
	if (write)
		mmun_soft_device_write(mm, address + 8, &t, &address, sizeof(address));
}

/* After use_page() against changes. */
__attribute__((unused)) static void nothing_stale(const char *what)
{
	is(stale, 0, "%s: none had a page that the task had no more", what);
	is(foreign, 0, "%s: none read another's", what);
	is(violations, 0, "%s: none used one too late", what);
	stale = foreign = violations = 0;
}

/* One change of the page at @address, by its @number. */
static void change_page(unsigned long address, unsigned int number)
{
	struct mmun_soft_task *child;

	mmun_soft_madvise(mm, DECOY, PAGE_SIZE, MADV_DONTNEED);
	switch (number % 8) {
	case 0:
		mmun_soft_madvise(mm, address, PAGE_SIZE, MADV_DONTNEED);
		break;
	case 1:
		mmun_soft_munmap(mm, address, PAGE_SIZE);
		map(address, 1);
		break;
	case 2:
		mmun_soft_migrate(mm, address);
		break;
	case 3:
		mmun_soft_mprotect(mm, address, PAGE_SIZE, PROT_READ);
		mmun_soft_mprotect(mm, address, PAGE_SIZE, PROT_READ | PROT_WRITE);
		break;
	case 4:
		if (!mmun_soft_fork(task, &child))
			mmun_soft_exit(child);
		break;
	case 5:
		mmun_soft_reclaim(soft, 8);
		break;
	case 6:
		mmun_soft_madvise(mm, address, PAGE_SIZE, MADV_PAGEOUT);
		break;
	default:
		break;
	}
	stamp(DECOY);
	stamp(address);
}

/* A thread that changes @pages pages from @start on, until it is stopped. */
struct changer {
	unsigned long start, pages;
	bool stop;
	/** Changes until now. */
	unsigned long changes;
	/** Around each change, where the test has something to say about its moment. */
	void (*before)(void);
	void (*after)(void);
	pthread_t thread;
};

static void *run_changer(void *arg)
{
	struct changer *changer = arg;

	while (!__atomic_load_n(&changer->stop, __ATOMIC_ACQUIRE)) {
		unsigned long n = __atomic_add_fetch(&changer->changes, 1, __ATOMIC_ACQ_REL);

		if (changer->before)
			changer->before();
		change_page(changer->start + (n * 7 / 8 % changer->pages) * PAGE_SIZE, n);
		if (changer->after)
			changer->after();
	}
	return NULL;
}

__attribute__((unused)) static void start_changer(struct changer *changer, unsigned long pages)
{
	map(DECOY, 1);
	changer->start = MEMORY;
	changer->pages = pages;
	changer->changes = 0;
	changer->stop = false;
	if (pthread_create(&changer->thread, NULL, run_changer, changer))
		bail_out("no thread");
}

__attribute__((unused)) static unsigned long changes(const struct changer *changer)
{
	return __atomic_load_n(&changer->changes, __ATOMIC_ACQUIRE);
}

__attribute__((unused)) static void stop_changer(struct changer *changer)
{
	__atomic_store_n(&changer->stop, true, __ATOMIC_RELEASE);
	pthread_join(changer->thread, NULL);
}

/*
 * A page of a device in the task's memory: while it is faulted in for the first time another
 * thread invalidates it, so a lookup of it sees a section come and go in its middle.
 */
static struct file *intruder;
static unsigned long intruder_address, intrusions;

__attribute__((unused)) static void *intrude(void *arg)
{
	mmun_soft_madvise(mm, intruder_address, PAGE_SIZE, MADV_DONTNEED);
	return NULL;
}

static vm_fault_t intruder_fault(struct vm_fault *vmf)
{
	pthread_t thread;

	if (!__atomic_fetch_add(&intrusions, 1, __ATOMIC_SEQ_CST)) {
		pthread_create(&thread, NULL, intrude, NULL);
		pthread_join(thread, NULL);
	}
	vmf->page = mmun_soft_alloc_page(soft);
	return vmf->page ? 0 : VM_FAULT_OOM;
}

static int intruder_mmap(struct file *file, struct vm_area_struct *vma)
{
	static const struct vm_operations_struct ops = { .fault = intruder_fault };

	vma->vm_ops = &ops;
	return 0;
}

__attribute__((unused)) static void map_intruder(unsigned long at)
{
	static const struct file_operations fops = { .mmap = intruder_mmap };

	intruder_address = at;
	intrusions = 0;
	if (mmun_soft_device_create(soft, "intruder", &fops, NULL, &intruder) ||
	    mmun_soft_is_error(mmun_soft_mmap(mm, at, PAGE_SIZE, PROT_READ | PROT_WRITE,
					      MAP_SHARED | MAP_FIXED, intruder, 0)))
		bail_out("no device to map");
}

/* Memory as before in its place. */
__attribute__((unused)) static void unmap_intruder(void)
{
	map(intruder_address, 1);
	mmun_soft_file_put(intruder);
	is(intrusions, 1, "there was a section in the middle of a lookup");
}

#endif
