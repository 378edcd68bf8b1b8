/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: memory exported to other address spaces by secondary/xpmem.
 */
#include "xpmem.h"
#include "machine.h"

#define PAGES 8

static struct mmun_xpmem *x;
static struct mm_struct *exporter, *importer;
/* The segment, its file, and where the importer has mapped it. */
static unsigned long at, id, here;
static struct file *file;

static void (*meanwhile)(void);
static void (*zapping)(void);

static void looked_up(void *arg)
{
	once(&meanwhile);
}

static void hook_zapping(void *arg)
{
	once(&zapping);
}

static unsigned long attach(struct mm_struct *mm)
{
	return map_at(mm, 0, PAGES, MAP_SHARED, file);
}

static void begin(void)
{
	const struct mmun_xpmem_params params = { looked_up, hook_zapping, NULL };

	machine_begin();
	if (mmun_xpmem_create(machine, &params, &x))
		bail_out("no device");
	exporter = new_mm();
	importer = new_mm();
	at = map(exporter, PAGES);
	for (int i = 0; i < PAGES; i++)
		put(exporter, at + i * PAGE, 100 + i);
	if (mmun_xpmem_make(x, exporter, at, PAGES * PAGE, &id) || mmun_xpmem_open(x, id, &file))
		bail_out("no segment");
	here = attach(importer);
}

/* What is not NULL is still there. */
static void done(const char *what)
{
	if (importer)
		mmput(importer);
	mmun_soft_file_put(file);
	if (exporter)
		mmput(exporter);
	is(mmun_xpmem_destroy(x), 0, "%s: no segment is left", what);
	machine_done(what);
}

static struct mmun_xpmem_stats stats(void)
{
	struct mmun_xpmem_stats out;

	mmun_xpmem_stats(x, &out);
	return out;
}

/* The signal that a load ends with, or 0. */
static int signal_at(struct mm_struct *mm, unsigned long address)
{
	struct mmun_soft_fault fault = { 0 };
	long value;

	mmun_soft_read(mm, address, &value, sizeof(value), &fault);
	return fault.signal;
}

static void test_shares(void)
{
	struct mm_struct *second;
	unsigned long there;

	begin();
	second = new_mm();
	there = attach(second);
	is(get(importer, here), 100, "an importer reads the exporter's memory");
	put(importer, here + PAGE, 1);
	is(get(exporter, at + PAGE), 1, "and writes it");
	put(exporter, at + PAGE, 2);
	is(get(importer, here + PAGE), 2, "and sees what the exporter writes");
	is(get(second, there + PAGE), 2, "so do all");
	is(mmun_xpmem_destroy(x), -EBUSY, "the device stays while there are segments");
	mmput(second);
	is(stats().detached, 1, "exit detaches");
	mmun_soft_munmap(importer, here, PAGES * PAGE);
	is(stats().detached, 2, "unmapping too");
	is(stats().unpinned, stats().fault_pinned, "every page is given back");
	done("shares");
}

static void test_refused(void)
{
	unsigned long other_id;
	mmun_soft_address ret;
	struct mm_struct *third;
	struct file *shm;

	begin();
	ok(mm_has_notifiers(exporter) && !mm_has_notifiers(importer),
	   "S10: only the exporter has a notifier");
	is(mmun_xpmem_make(x, exporter, at + 1, PAGE, &other_id), -EINVAL, "whole pages only");
	is(mmun_xpmem_make(x, exporter, at, 0, &other_id), -EINVAL, "and at least one");
	is(mmun_xpmem_make(x, importer, here, PAGE, &other_id), -ELOOP,
	   "an importer does not export");
	ret = mmun_soft_mmap(exporter, 0, PAGE, PROT_READ, MAP_SHARED, file, 0);
	is((long)ret, -ELOOP, "nor an exporter import");
	ret = mmun_soft_mmap(importer, 0, 2 * PAGE, PROT_READ, MAP_SHARED, file,
			     (PAGES - 1) * PAGE);
	is((long)ret, -EINVAL, "nothing beyond the segment");
	ret = mmun_soft_mmap(importer, 0, PAGE, PROT_READ, MAP_PRIVATE, file, 0);
	is((long)ret, -EINVAL, "nothing private");
	is(mmun_soft_munmap(importer, here, PAGE), -EINVAL, "a mapping is unmapped as a whole");
	is(mmun_xpmem_remove(x, 99), -ENOENT, "no such segment");

	third = fork_mm(importer);
	is(signal_at(third, here), SIGSEGV, "B15: a child of the importer has not inherited it");
	mmput(third);
	shm = new_file(MMUN_SOFT_FILE_SHMEM, 1);
	map_at(exporter, at, 1, MAP_SHARED | MAP_FIXED, shm);
	is(signal_at(importer, here), SIGBUS, "what is not private memory is not exported");
	is(stats().fault_failed, 1, "by the look-up");
	mmun_soft_file_put(shm);
	done("refused");
}

static void test_no_memory(void)
{
	unsigned long other_id = 0;
	int failures = 0, ret;

	begin();
	do {
		fail_allocation(++failures);
		ret = mmun_xpmem_make(x, exporter, at, PAGE, &other_id);
		fail_allocation(0);
	} while (ret == -ENOMEM && failures < 100);
	ok(!ret && failures >= 2, "R7: the allocations of a segment may fail");
	is(mmun_xpmem_remove(x, other_id), 0, "nothing is left of those that did");
	done("no memory");
}

static void test_taken_back(void)
{
	begin();
	for (int i = 0; i < PAGES; i++)
		get(importer, here + i * PAGE);
	mmun_soft_munmap(exporter, at, PAGE);
	is(stats().unpinned, 1, "S2: when munmap returns the importer has lost the page");
	is(signal_at(importer, here), SIGBUS, "and its accesses end with SIGBUS");
	is(get(importer, here + PAGE), 101, "the others stay");
	map_at(exporter, at, 1, MAP_PRIVATE | MAP_FIXED, NULL);
	put(exporter, at, 7);
	is(get(importer, here), 7, "memory that comes back is seen");
	mmun_soft_madvise(exporter, at + PAGE, PAGE, MADV_DONTNEED);
	is(get(importer, here + PAGE), 0, "DONTNEED: the importer sees the new page");
	mmun_soft_mremap(exporter, at + 2 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			 0x40000000);
	is(signal_at(importer, here + 2 * PAGE), SIGBUS,
	   "B16: a page that was moved away is not there");
	is(mmun_xpmem_remove(x, id), 0, "the segment is removed");
	is(signal_at(importer, here + 3 * PAGE), SIGBUS, "and with it everything");
	is(mmun_xpmem_remove(x, id), -ENOENT, "only once");
	is(stats().unpinned, stats().fault_pinned, "every page was given back");
	done("taken back");
}

static void test_pinned(void)
{
	struct mm_struct *child;

	begin();
	put(importer, here, 1);
	child = fork_mm(exporter);
	put(importer, here, 2);
	is(get(child, at), 1, "B23: a child of the exporter does not see what the importer writes");
	is(get(exporter, at), 2, "B23: the exporter does");
	put(exporter, at, 3);
	is(get(importer, here), 3, "pinned pages stay over fork");
	mmun_soft_reclaim(machine, 1000);
	mmun_soft_reclaim(machine, 1000);
	put(exporter, at, 4);
	is(get(importer, here), 4, "and are not reclaimed");
	is(mmun_soft_migrate(exporter, at), -EBUSY, "nor migrated");
	ok(stats().starts_pinned_safe > 0, "such sections are let by");
	is(stats().unpinned, 0, "nothing was taken from the importer");
	mmput(child);
	done("pinned");
}

static void test_nonblocking(void)
{
	begin();
	is(get(importer, here + PAGE), 101, "one page is imported");
	map_at(exporter, 0x20000000, 1, MAP_PRIVATE | MAP_FIXED, NULL);
	put(exporter, 0x20000000, 5);
	is(mmun_soft_oom_reap(exporter), -EAGAIN, "S7: where it may not sleep it refuses");
	is(stats().refused, 1, "B20: by -EAGAIN, and the lock is free again");
	is(get(exporter, 0x20000000), 0, "B19: a section that it has nothing in is not refused");
	is(get(exporter, at), 100, "what it refused has not happened");
	put(importer, here + 2 * PAGE, 8);
	is(get(exporter, at + 2 * PAGE), 8, "B7: and holds no fault up later");
	mmun_soft_munmap(importer, here, PAGES * PAGE);
	is(mmun_soft_oom_reap(exporter), 0,
	   "B19: with nothing to take back there is nothing to refuse");
	is(get(exporter, at), 0, "and it happens");
	here = attach(importer);
	done("non-blocking");
}

static long in_zap, zap_may_go, finished;

static void wait_in_zap(void)
{
	mmun_store_full(&in_zap, 1);
	wait_until_set(&zap_may_go);
}

static void *unmap_first(void *arg)
{
	mmun_soft_munmap(exporter, at, PAGE);
	mmun_store_full(&finished, 1);
	return NULL;
}

static void test_sleeps(void)
{
	pthread_t thread;

	begin();
	get(importer, here);
	get(importer, here + 3 * PAGE);
	mmun_store_full(&in_zap, 0);
	mmun_store_full(&zap_may_go, 0);
	mmun_store_full(&finished, 0);
	zapping = wait_in_zap;
	thread = spawn(unmap_first, NULL);
	wait_until_set(&in_zap);
	let_others_run();
	ok(!mmun_load_full(&finished), "S1: the exporter's munmap waits for the importer's page");
	is(get(importer, here + 3 * PAGE), 103, "B11: other pages stay in use meanwhile");
	mmun_store_full(&zap_may_go, 1);
	pthread_join(thread, NULL);
	is(signal_at(importer, here), SIGBUS, "and then it is gone");
	done("sleeps");
}

/* A fault holds the importer's mmap lock: what the exporter does meanwhile is done by
 * another thread. */
static void beside(void *(*fn)(void *))
{
	pthread_join(spawn(fn, NULL), NULL);
}

static void *drop_thread(void *arg)
{
	mmun_soft_madvise(exporter, at, PAGE, MADV_DONTNEED);
	put(exporter, at, 9);
	return NULL;
}

static void drop_first(void)
{
	beside(drop_thread);
}

static void *storm_thread(void *arg)
{
	for (int i = 0; i < 100; i++)
		mmun_soft_madvise(exporter, at + 4 * PAGE, PAGE, MADV_DONTNEED);
	return NULL;
}

static void storm(void)
{
	beside(storm_thread);
}

static void test_collision(void)
{
	begin();
	meanwhile = drop_first;
	is(get(importer, here), 9, "S5: a page that goes during the look-up is not given");
	is(stats().fault_retry_collided, 1, "S5: it was looked up again");
	meanwhile = storm;
	is(get(importer, here + PAGE), 101, "B11: a hundred sections elsewhere");
	is(stats().fault_retry_collided, 1, "B11: are no reason to");
	done("collision");
}

static void *reader(void *arg)
{
	get(importer, here);
	mmun_store_full(&finished, 1);
	return NULL;
}

static void test_waits(void)
{
	struct mmu_notifier_range range;
	pthread_t thread;

	begin();
	mmun_store_full(&finished, 0);
	section_open(&range, exporter, at, at + PAGE);
	is(get(importer, here + PAGE), 101, "B11: a section elsewhere holds nobody up");
	thread = spawn(reader, NULL);
	let_others_run();
	ok(!mmun_load_full(&finished), "S5: no page while a section covers it");
	is(mmun_soft_munmap(importer, 0x30000000, PAGE), 0,
	   "nor is the importer's lock held meanwhile");
	mmu_notifier_invalidate_range_end(&range);
	pthread_join(thread, NULL);
	is(get(importer, here), 100, "S5: and then it is there");
	done("waits");
}

static void *remove_thread(void *arg)
{
	if (mmun_xpmem_remove(x, id))
		bail_out("the segment cannot be removed");
	mmun_store_full(&finished, 1);
	return NULL;
}

static pthread_t remover;

/* Removal of the last segment waits for the fault, so not in this thread. */
static void remove_beside(void)
{
	mmun_store_full(&finished, 0);
	remover = spawn(remove_thread, NULL);
	let_others_run();
	ok(!mmun_load_full(&finished), "B18: the exporter stays as long as a fault is under way");
}

static void test_last_put(void)
{
	begin();
	meanwhile = remove_beside;
	is(signal_at(importer, here), SIGBUS, "B18: the segment ends during a fault, which fails");
	pthread_join(remover, NULL);
	is(stats().fault_pinned, 0, "B18: and has pinned nothing");
	mmu_notifier_synchronize();
	mmun_soft_munmap(exporter, at, PAGE);
	is(stats().starts, 0, "U2: the exporter is forgotten");
	done("last put");
}

/* The segment is being removed, by a thread that has got to the importer's pages. */
static pthread_t begin_removal(void)
{
	pthread_t thread;

	get(importer, here);
	mmun_xpmem_synchronize(x);
	mmun_store_full(&in_zap, 0);
	mmun_store_full(&zap_may_go, 0);
	mmun_store_full(&finished, 0);
	zapping = wait_in_zap;
	thread = spawn(remove_thread, NULL);
	wait_until_set(&in_zap);
	mmun_store_full(&finished, 0);
	return thread;
}

static void test_removed_meanwhile(void)
{
	pthread_t threads[2];

	begin();
	threads[0] = begin_removal();
	threads[1] = spawn(unmap_first, NULL);
	let_others_run();
	ok(!mmun_load_full(&finished),
	   "S1: munmap waits for the pages of a segment that is being removed");
	mmun_store_full(&zap_may_go, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	is(stats().unpinned, stats().fault_pinned, "the importer has lost them then");
	done("removed meanwhile");
}

static void *exit_thread(void *arg)
{
	mmput(exporter);
	mmun_store_full(&finished, 1);
	return NULL;
}

static void test_removed_at_exit(void)
{
	pthread_t threads[2];

	begin();
	threads[0] = begin_removal();
	threads[1] = spawn(exit_thread, NULL);
	let_others_run();
	ok(!mmun_load_full(&finished), "U1: exit waits for them too");
	mmun_store_full(&zap_may_go, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	exporter = NULL;
	is(stats().segments_removed, 1, "U5: the segment has ended once");
	is(stats().unpinned, stats().fault_pinned, "and the pages are given back");
	done("removed at exit");
}

static void exporter_exits(void)
{
	mmput(exporter);
	exporter = NULL;
}

static void test_last_user(void)
{
	begin();
	get(importer, here + PAGE);
	meanwhile = exporter_exits;
	get(importer, here);
	mmun_xpmem_synchronize(x);
	is(stats().releases, 1,
	   "U10: the last user of the exporter was in an importer's fault; ->release ran elsewhere");
	is(signal_at(importer, here), SIGBUS, "and the pages are gone");
	is(stats().unpinned, stats().fault_pinned, "all of them");
	done("last user");
}

static void test_exit(void)
{
	unsigned long second;

	begin();
	if (mmun_xpmem_make(x, exporter, at, PAGE, &second))
		bail_out("no second segment");
	get(importer, here);
	mmun_xpmem_synchronize(x);
	exporter_exits();
	is(stats().segments_ended, 2, "U1: exit ends every segment before the pages go");
	is(stats().releases, 1, "U8: by one release, which puts the notifier for each");
	is(signal_at(importer, here), SIGBUS, "the importer has lost the pages");
	is(mmun_xpmem_remove(x, id), -ENOENT, "U7: there is nothing left to remove");
	done("exit");
	begin();
	get(importer, here);
	mmput(importer);
	importer = NULL;
	is(stats().unpinned, 1, "an importer's exit gives its pages back");
	done("importer's exit");
}

static long stop;

static void *change(void *arg)
{
	for (long i = 0; !mmun_load_full(&stop); i++) {
		mmun_soft_madvise(exporter, at + (i % 4) * PAGE, PAGE, MADV_DONTNEED);
		if (i % 4 == 0)
			map_at(exporter, at + 4 * PAGE, 1, MAP_PRIVATE | MAP_FIXED, NULL);
		if (i % 8 == 0)
			mmun_soft_reclaim(machine, 4);
		if (i % 16 == 0)
			mmput(fork_mm(exporter));
		if (i % 16 == 1)
			mmun_soft_oom_reap(importer);
		another_round();
	}
	return NULL;
}

static void *come_and_go(void *arg)
{
	while (!mmun_load_full(&stop)) {
		unsigned long mine = attach(importer);

		get(importer, mine);
		get(importer, mine + 6 * PAGE);
		mmun_soft_munmap(importer, mine, PAGES * PAGE);
	}
	return NULL;
}

static void *make_and_remove(void *arg)
{
	while (!mmun_load_full(&stop)) {
		struct mm_struct *third = new_mm();
		struct file *its;
		unsigned long other, mine;

		if (mmun_xpmem_make(x, exporter, at + 2 * PAGE, PAGE, &other) ||
		    mmun_xpmem_open(x, other, &its))
			bail_out("no segment");
		mine = map_at(third, 0, 1, MAP_SHARED, its);
		get(third, mine);
		mmun_xpmem_remove(x, other);
		mmput(third);
		mmun_soft_file_put(its);
	}
	return NULL;
}

static void test_torture(void)
{
	pthread_t threads[3];
	long lost = 0;

	begin();
	mmun_store_full(&stop, 0);
	others_begin();
	threads[0] = spawn(change, NULL);
	threads[1] = spawn(come_and_go, NULL);
	threads[2] = spawn(make_and_remove, NULL);
	for (long i = 1; i <= 2000 || !others_done(600); i++) {
		unsigned long kept = (5 + i % 3) * PAGE;

		put(importer, here + kept, i);
		lost += get(exporter, at + kept) != i;
		get(importer, here + (i % 5) * PAGE);
	}
	mmun_store_full(&stop, 1);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	is(lost, 0, "writes through it under change, none is lost");
	done("torture");
}

int main(void)
{
	test_shares();
	test_refused();
	test_no_memory();
	test_taken_back();
	test_pinned();
	test_nonblocking();
	test_sleeps();
	test_collision();
	test_waits();
	test_last_put();
	test_removed_meanwhile();
	test_removed_at_exit();
	test_last_user();
	test_exit();
	test_torture();
	return tap_done();
}
