/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/{machine,call/process,machine}.c: machines, address spaces, tasks, fork,
 * exec, exit.
 */
#include "machine.h"
#include "mm.h"
#include "soft.h"

#define SMALL (&(struct mmun_soft_params){ .memory = 256 * PAGE })

static void test_machine(void)
{
	struct mmun_soft_params params = { .memory = 15 * PAGE };
	struct mmun_soft_stats stats;
	struct mmun_soft *soft = NULL;
	long live = mmun_alloc_live();
	struct mm_struct *mm;
	struct file *file;

	is(mmun_soft_create(&params, &soft), -EINVAL, "15 pages are too few");
	params = (struct mmun_soft_params){ .mm_lock = 3 };
	is(mmun_soft_create(&params, &soft), -EINVAL, "an unknown mm_lock is refused");
	ok(!soft, "and nothing is returned");
	is(mmun_soft_create(NULL, &soft), 0, "a machine without parameters");
	mmun_soft_stats(soft, &stats);
	is(stats.frames, 64 << 8, "has 64 MiB");
	is(stats.swap_slots, 0, "and no swap");
	is(stats.faults + stats.forks, 0, "nothing has happened yet");

	is(mmun_soft_mm_create(soft, &mm), 0, "an address space");
	ok(mmun_soft_of(mm) == soft, "is of this machine");
	is(mmun_soft_destroy(soft), -EBUSY, "which stays as long as it");
	mmgrab(mm);
	mmput(mm);
	is(mmun_soft_destroy(soft), -EBUSY, "also when only its struct is left");
	mmdrop(mm);
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 1);
	is(mmun_soft_destroy(soft), -EBUSY, "and as long as a file");
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), 0, "then it goes");
	is(mmun_alloc_live(), live, "with all its memory");
}

static void test_other_primary(void)
{
	struct fake fake;
	struct mm_struct *mm = fake_mm(&fake);

	ok(!mmun_soft_of(mm), "another primary's address space is of no machine");
	mmput(mm);
}

static void test_source(void)
{
	struct mmun_probe out;

	mmun_primary_soft.probe(&out);
	ok(out.available && !*out.reason && !*out.remedy, "the source is available everywhere");
	is(mmun_primary_soft.coverage[MMUN_OP_COW], MMUN_COVERS_BEFORE,
	   "it notifies of copy-on-write");
	is(mmun_primary_soft.coverage[MMUN_OP_SHMAT], MMUN_COVERS_NEVER, "and has no shmat");
	is(mmun_primary_soft.coverage[MMUN_OP_MADV_GUARD_INSTALL], MMUN_COVERS_NEVER,
	   "nor guard regions");
}

/* Each allocation of @make fails once; @make returns 0 or an error and leaves nothing. */
static void sweep(const char *what, int (*make)(void *arg), void *arg)
{
	long live = mmun_alloc_live(), leaks = 0, others = 0;
	int nth, ret = -1;

	for (nth = 1; nth < 1000 && ret; nth++) {
		fail_allocation(nth);
		ret = make(arg);
		fail_allocation(0);
		others += ret && ret != -ENOMEM;
		leaks += mmun_alloc_live() != live;
	}
	ok(ret == 0 && nth > 2, "%s succeeds at last, after %d failures", what, nth - 2);
	is(others, 0, "each failure of it is -ENOMEM");
	is(leaks, 0, "and leaves no memory behind");
}

static int make_machine(void *arg)
{
	struct mmun_soft *soft;
	int ret = mmun_soft_create(
		&(struct mmun_soft_params){ .memory = 64 * PAGE, .swap = 64 * PAGE }, &soft);

	return ret ? ret : mmun_soft_destroy(soft);
}

static int make_mm(void *arg)
{
	struct mm_struct *mm;
	int ret = mmun_soft_mm_create(arg, &mm);

	if (!ret)
		mmput(mm);
	return ret;
}

static int make_task(void *arg)
{
	struct mmun_soft_task *task;
	int ret = mmun_soft_task_create(arg, &task);

	if (!ret)
		mmun_soft_exit(task);
	return ret;
}

static int make_clone(void *arg)
{
	struct mmun_soft_task *task;
	int ret = mmun_soft_clone(arg, &task);

	if (!ret)
		mmun_soft_exit(task);
	return ret;
}

static void test_no_memory(void)
{
	struct mmun_soft *soft = soft_machine(SMALL);
	struct mmun_soft_task *task;

	sweep("a machine", make_machine, NULL);
	sweep("an address space", make_mm, soft);
	sweep("a task", make_task, soft);
	if (mmun_soft_task_create(soft, &task))
		bail_out("no task");
	sweep("a clone", make_clone, task);
	mmun_soft_exit(task);
	is(mmun_soft_destroy(soft), 0, "nothing holds the machine after failures");
}

/* What a section was about, for as many as there may be here. */
static struct seen {
	enum mmu_notifier_event event;
	enum mmun_op op;
	unsigned long start, end;
} seen[64];
static long nr_seen, nr_ends;

static int see_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (nr_seen < 64)
		seen[nr_seen] =
			(struct seen){ range->event, range->origin->op, range->start, range->end };
	nr_seen++;
	return 0;
}

static void see_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	nr_ends++;
}

static const struct mmu_notifier_ops see_ops = {
	.invalidate_range_start = see_start,
	.invalidate_range_end = see_end,
};

static void see(struct mmu_notifier *mn, struct mm_struct *mm)
{
	*mn = (struct mmu_notifier){ .ops = &see_ops };
	nr_seen = nr_ends = 0;
	if (mmu_notifier_register(mn, mm))
		bail_out("cannot register");
}

static unsigned long count_maps;

static int count_map(const struct mmun_soft_map *map, void *arg)
{
	count_maps++;
	return 0;
}

static unsigned long nr_maps(struct mm_struct *mm)
{
	count_maps = 0;
	mmun_soft_maps(mm, count_map, NULL);
	return count_maps;
}

/* One of each kind: private at 1 MiB, 2 pages; dropped and wiped; a shared file; the heap. */
#define AT(n) ((unsigned long)(n) << 20)

static void populate(struct mm_struct *mm, struct file *file)
{
	soft_map(mm, AT(1), 2, RW, PRIVATE, NULL);
	soft_map(mm, AT(2), 1, RW, PRIVATE, NULL);
	soft_map(mm, AT(3), 1, RW, PRIVATE, NULL);
	soft_map(mm, AT(4), 1, RW, MAP_SHARED, file);
	soft_map(mm, AT(5), 1, RW, MAP_PRIVATE, file);
	if (mmun_soft_madvise(mm, AT(2), PAGE, MADV_DONTFORK) ||
	    mmun_soft_madvise(mm, AT(3), PAGE, MADV_WIPEONFORK) ||
	    mmun_soft_set_brk_base(mm, AT(8)) || mmun_soft_brk(mm, AT(8) + PAGE) != AT(8) + PAGE)
		bail_out("cannot populate");
	for (unsigned long n = 1; n <= 5; n++)
		soft_poke(mm, AT(n), n);
	soft_poke(mm, AT(8), 8);
}

static void check_child(struct mm_struct *mm, struct mm_struct *child)
{
	struct mmun_soft_fault fault;
	unsigned long value;

	is(soft_peek(child, AT(1)), 1, "the child has the parent's contents");
	is(mmun_soft_read(child, AT(2), &value, sizeof(value), &fault), -EFAULT,
	   "but for what MADV_DONTFORK left out");
	is(fault.signal, SIGSEGV, "there it gets SIGSEGV");
	is(soft_peek(child, AT(3)), 0, "and what MADV_WIPEONFORK wiped");
	is(soft_peek(child, AT(8)), 8, "it has the heap");
	is(mmun_soft_brk(child, 0), AT(8) + PAGE, "and its end");
	soft_poke(mm, AT(1), 10);
	soft_poke(child, AT(5), 50);
	soft_poke(child, AT(4), 40);
	is(soft_peek(child, AT(1)), 1, "a write by the parent is the parent's");
	is(soft_peek(mm, AT(5)), 5, "a write by the child to private memory is the child's");
	is(soft_peek(mm, AT(4)), 40, "to shared memory it is everybody's");
}

static long sections_at(unsigned long start, unsigned long end)
{
	long count = 0;

	for (long i = 0; i < nr_seen && i < 64; i++)
		count += seen[i].event == MMU_NOTIFY_PROTECTION_PAGE &&
			 seen[i].op == MMUN_OP_FORK && seen[i].start == start && seen[i].end == end;
	return count;
}

static void test_fork(void)
{
	struct mmun_soft *soft = soft_machine(SMALL);
	struct file *file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 1);
	struct mm_struct *mm = soft_new_mm(soft), *child;
	struct mmun_soft_entry entry;
	struct mmun_soft_stats stats;
	size_t frames = soft_free_frames(soft);
	struct mmu_notifier mn;

	populate(mm, file);
	see(&mn, mm);
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	ok(!mm_has_notifiers(child), "S11 the child starts without notifiers");
	is(sections_at(AT(1), AT(1) + 2 * PAGE), 1,
	   "S11 B23 the parent's notifier is called for a private mapping as a whole");
	is(sections_at(AT(5), AT(5) + PAGE), 1, "S11 of private copies in a file mapping");
	is(sections_at(AT(4), AT(4) + PAGE), 0, "S11 not of a shared one");
	is(sections_at(AT(2), AT(2) + PAGE) + sections_at(AT(3), AT(3) + PAGE), 0,
	   "S11 nor of what is not copied");
	is(nr_ends, nr_seen, "S4 each section has its end");
	mmun_soft_pagemap(mm, AT(1), &entry);
	ok(entry.present && !entry.writable, "B23 the parent's page is write-protected");
	is(nr_maps(child), nr_maps(mm) - 1, "the child has each mapping but one");
	nr_seen = 0;
	check_child(mm, child);
	ok(nr_seen == 1 && seen[0].op == MMUN_OP_COW, "the parent's write is a copy-on-write");
	mmu_notifier_unregister(&mn, mm);
	mmput(child);
	mmput(mm);
	mmun_soft_stats(soft, &stats);
	is(stats.forks, 1, "it is counted");
	mmun_soft_file_put(file);
	ok(soft_free_frames(soft) >= frames, "no frame is lost");
	is(mmun_soft_destroy(soft), 0, "nor anything else");
}

static void test_fork_fails(void)
{
	struct mmun_soft *soft = soft_machine(SMALL);
	struct file *file = soft_new_file(soft, "f", MMUN_SOFT_FILE_SHMEM, 1);
	struct mm_struct *mm = soft_new_mm(soft), *child;
	long live, leaks = 0, unbalanced = 0;
	struct mmun_soft_stats stats;
	struct mmu_notifier mn;
	int ret = -1, nth;

	populate(mm, file);
	see(&mn, mm);
	live = mmun_alloc_live();
	for (nth = 1; nth < 1000 && ret; nth++) {
		fail_allocation(nth);
		ret = mmun_soft_mm_fork(mm, &child);
		fail_allocation(0);
		unbalanced += nr_ends != nr_seen;
		leaks += ret && mmun_alloc_live() != live;
	}
	ok(ret == 0 && nth > 5, "fork fails at each of %d allocations", nth - 2);
	is(unbalanced, 0, "S4 every section that was opened is closed");
	is(leaks, 0, "nothing of the child is left");
	mmun_soft_stats(soft, &stats);
	is(stats.forks_failed, nth - 2, "each is counted");
	check_child(mm, child);
	mmu_notifier_unregister(&mn, mm);
	mmput(child);
	mmput(mm);
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), 0, "the machine goes");
}

static void test_tasks(void)
{
	struct mmun_soft *soft = soft_machine(SMALL);
	struct mmun_soft_task *first, *second, *third;
	size_t frames = soft_free_frames(soft);
	struct mm_struct *mm, *old;
	struct watcher watcher;

	if (mmun_soft_task_create(soft, &first) || mmun_soft_clone(first, &second))
		bail_out("no tasks");
	mm = mmun_soft_task_mm(first);
	ok(mmun_soft_task_mm(second) == mm, "clone shares the address space");
	soft_map(mm, AT(1), 1, RW, PRIVATE, NULL);
	soft_poke(mm, AT(1), 1);
	is(mmun_soft_fork(second, &third), 0, "fork");
	ok(mmun_soft_task_mm(third) != mm && soft_peek(mmun_soft_task_mm(third), AT(1)) == 1,
	   "fork copies it");
	watch(&watcher, mm);
	mmun_soft_exit(second);
	is(watcher.releases, 0, "U1 one of two tasks exits: nothing is released");
	mmun_soft_exit(first);
	is(watcher.releases, 1, "U1 U5 the last task with it exits: ->release, once");
	mmu_notifier_unregister(&watcher.mn, mm);
	is(watcher.releases, 1, "U5 not again");

	old = mmun_soft_task_mm(third);
	watch(&watcher, old);
	fail_allocation(1);
	is(mmun_soft_exec(third), -ENOMEM, "exec without memory");
	fail_allocation(0);
	ok(mmun_soft_task_mm(third) == old && !watcher.releases, "leaves the old address space");
	is(mmun_soft_exec(third), 0, "exec");
	is(watcher.releases, 1, "S11 releases the old address space's notifiers");
	ok(mmun_soft_task_mm(third) != old, "the task has a new one");
	is(nr_maps(mmun_soft_task_mm(third)), 0, "which is empty");
	ok(!mm_has_notifiers(mmun_soft_task_mm(third)), "S11 and has no notifiers");
	mmu_notifier_unregister(&watcher.mn, old);
	mmun_soft_exit(third);
	is(soft_free_frames(soft), frames, "all frames are free again");
	is(mmun_soft_destroy(soft), 0, "the machine goes");
}

/* A device that reads through what it has cached. */
static struct device {
	struct mmu_notifier mn;
	struct mm_struct *mm;
	struct mmun_soft_translation t;
	unsigned long value;
	int in_release;
} device;
static long violations[MMUN_SOFT_NO_ACCESS + 1];

static void note_violation(const struct mmun_soft_violation *what, void *arg)
{
	violations[what->kind]++;
}

static int device_access(void)
{
	return mmun_soft_device_read(device.mm, AT(1), &device.t, &device.value,
				     sizeof(device.value));
}

static void device_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	device.in_release = device_access();
}

static const struct mmu_notifier_ops releasing_ops = { .release = device_release };
static const struct mmu_notifier_ops silent_ops = { .release = NULL };

static void attach(struct mmun_soft *soft, const struct mmu_notifier_ops *ops)
{
	memset(&device, 0, sizeof(device));
	memset(violations, 0, sizeof(violations));
	device.mm = soft_new_mm(soft);
	device.mn.ops = ops;
	soft_map(device.mm, AT(1), 1, RW, PRIVATE, NULL);
	soft_poke(device.mm, AT(1), 7);
	mmap_read_lock(device.mm);
	if (mmun_soft_translate(device.mm, AT(1), false, &device.t))
		bail_out("cannot translate");
	mmap_read_unlock(device.mm);
	if (mmu_notifier_register(&device.mn, device.mm))
		bail_out("cannot register");
}

static void test_exit(void)
{
	struct mmun_soft *soft = soft_machine(
		&(struct mmun_soft_params){ .memory = 64 * PAGE, .violation = note_violation });

	attach(soft, &releasing_ops);
	mmput(device.mm);
	ok(!device.in_release && device.value == 7, "U1 in ->release the pages are still there");
	mmu_notifier_unregister(&device.mn, device.mm);

	attach(soft, &silent_ops);
	is(device_access(), 0, "a device without ->release reads");
	mmput(device.mm);
	is(device_access(), -EFAULT, "U9 after the last user has gone it is refused");
	is(violations[MMUN_SOFT_AFTER_EXIT], 1, "U9 as an access after exit");
	is(mmun_soft_destroy(soft), -EBUSY, "R6 the struct stays until unregister");
	mmu_notifier_unregister(&device.mn, device.mm);
	is(mmun_soft_destroy(soft), 0, "R6 and goes then");
}

static void try_to_revive(struct watcher *watcher)
{
	watcher->id = mmget_not_zero(watcher->mn.mm);
}

static void test_no_revival(void)
{
	struct mmun_soft *soft = soft_machine(SMALL);
	struct mm_struct *mm = soft_new_mm(soft);
	struct watcher watcher;

	watch(&watcher, mm);
	watcher.in_release = try_to_revive;
	watcher.id = -1;
	mmput(mm);
	is(watcher.id, 0, "B10 a dying address space gets no new user");
	ok(!mmget_not_zero(mm), "B10 nor a dead one");
	mmu_notifier_unregister(&watcher.mn, mm);
	mmun_soft_destroy(soft);
}

struct visits {
	struct mm_struct *mm[4];
	int count, stop_at;
};

static bool visit(struct mm_struct *mm, void *arg)
{
	struct visits *visits = arg;

	visits->mm[visits->count++] = mm;
	return visits->count != visits->stop_at;
}

/* The one that is visited loses its last other user meanwhile. */
static bool put_it(struct mm_struct *mm, void *arg)
{
	mmput(mm);
	(*(int *)arg)++;
	return true;
}

static void test_each(void)
{
	struct mmun_soft *soft = soft_machine(SMALL);
	struct mm_struct *a = soft_new_mm(soft), *b = soft_new_mm(soft), *c = soft_new_mm(soft);
	struct visits all = { .stop_at = 0 }, one = { .stop_at = 1 };
	int puts = 0;

	mmgrab(b);
	mmput(b);
	mmun_soft_for_each_mm(soft, visit, &all);
	ok(all.count == 2 && all.mm[0] == a && all.mm[1] == c,
	   "each live address space is visited");
	mmun_soft_for_each_mm(soft, visit, &one);
	is(one.count, 1, "until the visitor has enough");
	mmdrop(b);
	mmun_soft_for_each_mm(soft, put_it, &puts);
	is(puts, 2, "one may end while it is visited");
	is(mmun_soft_destroy(soft), 0, "no user is left behind");
}

/* B2: the last user goes while the notifier unregisters. */
#define RACES 3000

static struct race {
	struct mm_struct *mm;
	long go;
} race;

static void *put_racing(void *arg)
{
	for (int i = 0; i < RACES; i++) {
		struct mm_struct *mm;

		wait_until_set(&race.go);
		mm = race.mm;
		mmun_store_full(&race.go, 0);
		mmput(mm);
	}
	return NULL;
}

static void test_exit_races(void)
{
	struct mmun_soft *soft = soft_machine(SMALL);
	pthread_t thread = spawn(put_racing, NULL);
	struct watcher watcher;
	long wrong = 0;

	for (int i = 0; i < RACES; i++) {
		struct mm_struct *mm = soft_new_mm(soft);

		soft_map(mm, AT(1), 1, RW, PRIVATE, NULL);
		soft_poke(mm, AT(1), 1);
		watch(&watcher, mm);
		race.mm = mm;
		mmun_store_full(&race.go, 1);
		if (i & 1)
			sched_yield();
		mmu_notifier_unregister(&watcher.mn, mm);
		wrong += counted(&watcher.releases) != 1;
		while (mmun_load_full(&race.go))
			sched_yield();
	}
	pthread_join(thread, NULL);
	is(wrong, 0, "B2 U5 U7 exit and unregister race: one ->release each of %d times", RACES);
	is(mmun_soft_destroy(soft), 0, "U11 and the address spaces are gone");
}

int main(void)
{
	test_machine();
	test_other_primary();
	test_source();
	test_no_memory();
	test_fork();
	test_fork_fails();
	test_tasks();
	test_exit();
	test_no_revival();
	test_each();
	test_exit_races();
	return tap_done();
}
