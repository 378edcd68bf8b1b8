/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Registration on a software address space, by size, layout and way of
 * quiescing it; and what it costs a thread that faults pages in meanwhile.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <mmunotify/soft.h>

#include "worker.h"

#define PAGE          MMUN_SOFT_PAGE_SIZE
#define BASE          0x10000000ul
#define TOUCHED       0x7f0000000000ul
#define TOUCHED_PAGES 512
#define SAMPLES       50
#define STALL_NS      1000000000u

static struct mmun_soft *machine;
static struct mm_struct *mm;
static unsigned long nr_locks;

static int ignore_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	(void)mn, (void)range;
	return 0;
}

static const struct mmu_notifier_ops ops = { .invalidate_range_start = ignore_start };
static struct mmu_notifier measured = { .ops = &ops };

static int map(unsigned long address, size_t pages, int flags, struct file *file)
{
	unsigned long at = mmun_soft_mmap(mm, address, pages * PAGE, PROT_READ | PROT_WRITE,
					  flags | MAP_FIXED, file, 0);

	return mmun_soft_is_error(at) ? (int)at : 0;
}

/* The page goes again; the mapping keeps its anon_vma. */
static int touch(unsigned long address)
{
	int error = mmun_soft_write(mm, address, "x", 1, NULL);

	return error ? error : mmun_soft_madvise(mm, address, PAGE, MADV_DONTNEED);
}

/* Apart from each other, so that each gets an anon_vma of its own. */
static int own_anon(unsigned long n)
{
	unsigned long address = BASE + 2 * n * PAGE;
	int error = map(address, 1, MAP_PRIVATE | MAP_ANONYMOUS, NULL);

	return error ? error : touch(address);
}

static int own_file(unsigned long n)
{
	struct file *file;
	int error = mmun_soft_file_create(machine, "file", MMUN_SOFT_FILE_SHMEM, PAGE, &file);

	if (error)
		return error;
	error = map(BASE + n * PAGE, 1, MAP_SHARED, file);
	mmun_soft_file_put(file);
	return error;
}

static int grow(unsigned long vmas, int (*one)(unsigned long n))
{
	int error = 0;

	for (unsigned long n = 0; n < vmas && !error; n++)
		error = one(n);
	return error;
}

/* One area, touched once, then cut into pages by their rights. */
static int grow_shared(unsigned long vmas)
{
	int error = map(BASE, vmas, MAP_PRIVATE | MAP_ANONYMOUS, NULL);

	if (!error)
		error = touch(BASE);
	for (unsigned long n = 1; n < vmas && !error; n += 2)
		error = mmun_soft_mprotect(mm, BASE + n * PAGE, PAGE, PROT_READ);
	return error;
}

static int lay_out(const char *layout, unsigned long vmas)
{
	if (!strcmp(layout, "own"))
		return grow(vmas, own_anon);
	if (!strcmp(layout, "shared"))
		return grow_shared(vmas);
	if (!strcmp(layout, "files"))
		return grow(vmas, own_file);
	return -EINVAL;
}

static int count_lock(const struct mmun_soft_lock *lock, void *arg)
{
	(void)lock, (void)arg;
	nr_locks++;
	return 0;
}

static int find_way(const char *name)
{
	static const char *const ways[] = { "percpu_rwsem", "sort", "mark" };

	for (int i = 0; i < 3; i++)
		if (!strcmp(name, ways[i]))
			return i;
	return -EINVAL;
}

/* Arguments: percpu_rwsem|sort|mark own|shared|files VMAS */
static int setup(char **args)
{
	struct mmun_soft_params params = { .memory = 64ul << 20 };
	int error, way = args[0] ? find_way(args[0]) : -EINVAL;

	if (way < 0 || !args[1])
		return -EINVAL;
	params.mm_lock = (enum mmun_soft_mm_lock)way;
	bench_pin(1);
	error = mmun_soft_create(&params, &machine);
	if (!error)
		error = mmun_soft_mm_create(machine, &mm);
	if (!error)
		error = lay_out(args[1], bench_number(args, 2, 1000));
	if (!error)
		error = map(TOUCHED, TOUCHED_PAGES, MAP_PRIVATE | MAP_ANONYMOUS, NULL);
	if (!error)
		error = touch(TOUCHED);
	return error ? error : mmun_soft_locks(mm, count_lock, NULL);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, SAMPLES, sizeof(*values), compare);
	return values[SAMPLES / 2];
}

/* Figures: microseconds to register and to unregister, nanoseconds to register by
 * distinct lock, number of those. */
static void batch(double *figures)
{
	static double ins[SAMPLES], outs[SAMPLES];

	for (unsigned int i = 0; i < SAMPLES; i++) {
		uint64_t t0 = bench_now(), t1;

		if (mmu_notifier_register(&measured, mm))
			return;
		t1 = bench_now();
		mmu_notifier_unregister(&measured, mm);
		ins[i] = (double)(t1 - t0) / 1e3;
		outs[i] = (double)(bench_now() - t1) / 1e3;
	}
	figures[0] = median(ins);
	figures[1] = median(outs);
	figures[2] = figures[0] * 1e3 / (double)nr_locks;
	figures[3] = (double)nr_locks;
}

static struct {
	bool stop;
	unsigned long faults;
	uint64_t longest;
} faulting;

/* Did another program run in the place of one of our threads since the last question? */
static bool was_preempted(long *seen)
{
	struct rusage usage;
	bool preempted;

	getrusage(RUSAGE_SELF, &usage);
	preempted = usage.ru_nivcsw != *seen;
	*seen = usage.ru_nivcsw;
	return preempted;
}

static void fault_all(long *preemptions)
{
	was_preempted(preemptions);
	for (unsigned long n = 0; n < TOUCHED_PAGES; n++) {
		uint64_t spent, start = bench_now();

		mmun_soft_write(mm, TOUCHED + n * PAGE, "x", 1, NULL);
		spent = bench_now() - start;
		if (spent > faulting.longest && !was_preempted(preemptions))
			faulting.longest = spent;
	}
	faulting.faults += TOUCHED_PAGES;
}

static void *fault(void *arg)
{
	long preemptions = 0;

	bench_pin(0);
	while (!__atomic_load_n(&faulting.stop, __ATOMIC_ACQUIRE)) {
		fault_all(&preemptions);
		mmun_soft_madvise(mm, TOUCHED, TOUCHED_PAGES * PAGE, MADV_DONTNEED);
	}
	return arg;
}

static unsigned long register_until(uint64_t end)
{
	unsigned long registrations = 0;

	while (bench_now() < end && !mmu_notifier_register(&measured, mm)) {
		mmu_notifier_unregister(&measured, mm);
		registrations++;
	}
	return registrations;
}

static unsigned long idle_until(uint64_t end)
{
	while (bench_now() < end)
		;
	return 0;
}

/* Figures: microseconds of the longest fault in a second of @meanwhile, their mean,
 * faults, registrations. */
static void fault_while(unsigned long (*meanwhile)(uint64_t end), double *figures)
{
	uint64_t end = bench_now() + STALL_NS;
	unsigned long registrations;
	pthread_t thread;

	memset(&faulting, 0, sizeof(faulting));
	if (pthread_create(&thread, NULL, fault, NULL))
		return;
	registrations = meanwhile(end);
	__atomic_store_n(&faulting.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	figures[0] = (double)faulting.longest / 1e3;
	figures[1] = (double)STALL_NS / 1e3 / (double)faulting.faults;
	figures[2] = (double)faulting.faults;
	figures[3] = (double)registrations;
}

static void stall_batch(double *figures)
{
	fault_while(register_until, figures);
}

static void idle_batch(double *figures)
{
	fault_while(idle_until, figures);
}

const struct bench_mode bench_modes[] = { { .name = NULL } };

const struct bench_workload bench_workloads[] = {
	{ .name = "mm_lock", .setup = setup, .batch = batch },
	{ .name = "mm_lock_stall", .setup = setup, .batch = stall_batch },
	{ .name = "mm_lock_idle", .setup = setup, .batch = idle_batch },
	{ .name = NULL },
};
