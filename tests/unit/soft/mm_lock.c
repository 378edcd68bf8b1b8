/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/vma/mm_lock.c: rules L1 to L4 and what registration makes of them, in
 * each of the three ways of quiescing an address space.
 */
#include <sys/time.h>

#include "types.h"
#include "rmap/rmap.h"
#include "soft.h"

#define AT(n) ((unsigned long)(n) << 20)
#define RWSEM MMUN_SOFT_MM_LOCK_PERCPU_RWSEM
#define SORT  MMUN_SOFT_MM_LOCK_SORT
#define MARK  MMUN_SOFT_MM_LOCK_MARK

static enum mmun_soft_mm_lock mode;
static const char *const mode_names[] = { "percpu_rwsem", "sort", "mark" };

static struct mmun_soft *machine(size_t pages)
{
	return soft_machine(&(struct mmun_soft_params){ .memory = pages * PAGE, .mm_lock = mode });
}

static void lock(struct mm_struct *mm, struct mm_lock_data *data)
{
	mmap_write_lock(mm);
	if (mm_lock(mm, data))
		bail_out("mm_lock");
}

static void unlock(struct mm_struct *mm, struct mm_lock_data *data)
{
	mm_unlock(mm, data);
	mmap_write_unlock(mm);
}

/* An mm of @files files and @anons areas that each have their lock, all mapped
 * @times times, in an order that is not that of the addresses of the locks. */
#define FILES 5
#define ANONS 4

static struct file *files[FILES];

static void make_files(struct mmun_soft *soft)
{
	for (int i = 0; i < FILES; i++)
		files[i] = soft_new_file(soft, "file", MMUN_SOFT_FILE_REGULAR, 8);
}

static void put_files(void)
{
	for (int i = 0; i < FILES; i++)
		mmun_soft_file_put(files[i]);
}

static void map_all(struct mm_struct *mm, bool backwards)
{
	for (unsigned long i = 0; i < FILES; i++) {
		unsigned long n = backwards ? FILES - 1 - i : i;

		/* With a gap and alternating rights, so that nothing merges. */
		soft_map(mm, AT(10 + (7 * i) % 11), 1, RW, MAP_SHARED, files[n]);
		soft_map(mm, AT(40 + i), 1, PROT_READ, MAP_SHARED, files[n]);
	}
	for (unsigned long i = 0; i < ANONS; i++) {
		soft_map(mm, AT(60 + i), 4, RW, PRIVATE, NULL);
		soft_poke(mm, AT(60 + i), i);
		/* Three VMAs of one anon_vma. */
		if (mmun_soft_mprotect(mm, AT(60 + i) + PAGE, PAGE, PROT_READ))
			bail_out("mprotect");
	}
}

/* L1: each lock once. */
struct shown {
	struct mmun_soft_lock lock[32];
	unsigned int count;
};

static int show(const struct mmun_soft_lock *shown, void *arg)
{
	struct shown *all = arg;

	if (all->count < 32)
		all->lock[all->count++] = *shown;
	return 0;
}

static int stop_at_once(const struct mmun_soft_lock *shown, void *arg)
{
	(*(int *)arg)++;
	return 17;
}

static bool ordered(const struct shown *all)
{
	for (unsigned int i = 1; i < all->count; i++) {
		const struct mmun_soft_lock *a = &all->lock[i - 1], *b = &all->lock[i];
		int classes = strcmp(a->kind, b->kind);

		/* "i_mmap" comes first, though not in the alphabet. */
		if (classes < 0 || (classes == 0 && a->address >= b->address))
			return false;
	}
	return true;
}

static unsigned int held(const struct shown *all)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < all->count; i++) {
		const struct soft_rmap_lock *l = all->lock[i].address;

		count += mmun_rwlock_mine(&l->lock);
	}
	return count;
}

static void check_locks(struct mmun_soft *soft, struct mm_struct *mm, const struct shown *all)
{
	struct mmun_soft_stats before, after;
	struct mm_lock_data data;

	mmun_soft_stats(soft, &before);
	lock(mm, &data);
	is(held(all), mode == RWSEM ? 0 : all->count, "L1 %s: each distinct lock is held",
	   mode_names[mode]);
	unlock(mm, &data);
	mmun_soft_stats(soft, &after);
	is(held(all), 0, "and none afterwards");
	is(after.mm_locks - before.mm_locks, 1, "mm_lock is counted");
	is(after.mm_lock_locks - before.mm_lock_locks, mode == RWSEM ? 0 : all->count,
	   "L1 %s: and each lock once", mode_names[mode]);
}

static void test_each_once(void)
{
	struct mmun_soft *soft = machine(256);
	struct mm_struct *mm = soft_new_mm(soft), *empty = soft_new_mm(soft);
	unsigned int sharing = 0;
	struct shown all = { .count = 0 };
	struct mm_lock_data data;
	int visits = 0;

	make_files(soft);
	map_all(mm, false);
	is(mmun_soft_locks(mm, show, &all), 0, "the locks of an address space");
	is(all.count, FILES + ANONS, "L1 are one for each file and each anon_vma");
	ok(ordered(&all), "L1 i_mmap first, each class by ascending address");
	for (unsigned int i = 0; i < all.count; i++)
		sharing += all.lock[i].vmas;
	is(sharing, 2 * FILES + 3 * ANONS, "with the number of mappings that share each");
	ok(!strcmp(all.lock[0].name, "file") && !*all.lock[all.count - 1].name, "and file names");
	ok(mmun_soft_locks(mm, stop_at_once, &visits) == 17 && visits == 1,
	   "until the visitor stops");
	check_locks(soft, mm, &all);

	all.count = 0;
	is(mmun_soft_locks(empty, show, &all), 0, "an empty address space");
	is(all.count, 0, "has no locks");
	lock(empty, &data);
	unlock(empty, &data);
	mmput(mm);
	mmput(empty);
	put_files();
	is(mmun_soft_destroy(soft), 0, "the machine goes");
}

/* L4, R8, B4: what is allocated, and when. */
static struct {
	struct soft_rmap_lock *lock;
	size_t bytes, largest;
	long calls, under_lock;
} allocated;

static bool watch_allocation(size_t size)
{
	allocated.calls++;
	allocated.bytes += size;
	if (size > allocated.largest)
		allocated.largest = size;
	if (mmun_rwlock_mine(&allocated.lock->lock))
		allocated.under_lock++;
	return false;
}

static void watch_allocations(bool on)
{
	allocated.calls = 0;
	allocated.bytes = allocated.largest = 0;
	mmun_alloc_fail = on ? watch_allocation : NULL;
}

static void test_memory(void)
{
	struct mmun_soft *soft = machine(256);
	struct mm_struct *mm = soft_new_mm(soft);
	struct mm_lock_data data;
	struct watcher watcher;
	size_t map_count;

	make_files(soft);
	map_all(mm, false);
	map_count = soft_mm(mm)->map_count;
	allocated.lock = &soft_file(files[0])->mapping->i_mmap_lock;
	allocated.under_lock = 0;
	watch_allocations(true);
	lock(mm, &data);
	is(allocated.bytes, mode == SORT ? 2 * map_count * sizeof(void *) : 0,
	   "L4 %s: memory of mm_lock", mode_names[mode]);
	watch_allocations(true);
	unlock(mm, &data);
	is(allocated.calls, 0, "L4 R8 %s: unlocking allocates nothing", mode_names[mode]);
	watcher_init(&watcher);
	is(mmu_notifier_register(&watcher.mn, mm), 0, "registration");
	is(allocated.under_lock, 0, "R8 B4 %s: nothing is allocated under a lock of mm_lock",
	   mode_names[mode]);
	watch_allocations(true);
	mmu_notifier_unregister(&watcher.mn, mm);
	is(allocated.calls, 0, "R8 unregistering allocates nothing");
	watch_allocations(false);
	mmput(mm);
	put_files();
	mmun_soft_destroy(soft);
}

/* R7: failure leaves nothing behind. */
static void test_no_memory(void)
{
	struct mmun_soft *soft = machine(256);
	struct mm_struct *mm = soft_new_mm(soft);
	struct shown all = { .count = 0 };
	long live, leaks = 0, held_locks = 0, others = 0;
	struct watcher watcher;
	int ret = -1, nth;

	make_files(soft);
	map_all(mm, false);
	mmun_soft_locks(mm, show, &all);
	live = mmun_alloc_live();
	watcher_init(&watcher);
	for (nth = 1; nth < 100 && ret; nth++) {
		fail_allocation(nth);
		ret = mmu_notifier_register(&watcher.mn, mm);
		fail_allocation(0);
		if (!ret)
			break;
		others += ret != -ENOMEM;
		leaks += mmun_alloc_live() != live;
		held_locks += held(&all) || !fake_mmap_lock_is_free(mm) || mm_has_notifiers(mm);
	}
	ok(ret == 0 && nth > (mode == SORT ? 3 : 1),
	   "R7 %s: registration fails at each of %d allocations", mode_names[mode], nth - 1);
	is(others, 0, "R7 with -ENOMEM");
	is(leaks, 0, "R7 and frees what it had");
	is(held_locks, 0, "R7 and holds no lock");
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);
	put_files();
	mmun_soft_destroy(soft);
}

/* L2: tasks that lock mms which share everything, mapped in different orders. */
#define L2_ROUNDS 100000

struct rounds {
	struct mm_struct *mm;
	long rounds;
	bool stop;
};

static void *lock_often(void *arg)
{
	struct rounds *r = arg;
	struct mm_lock_data data;

	for (long i = 0; i < r->rounds; i++) {
		lock(r->mm, &data);
		unlock(r->mm, &data);
	}
	return NULL;
}

/* The child's areas change places, so that its VMAs meet the shared anon_vmas in
 * the opposite order. */
static void reverse_areas(struct mm_struct *mm)
{
	for (unsigned long i = 0; i < ANONS; i++) {
		unsigned long to = AT(100 + ANONS - i);

		if (mmun_soft_is_error(mmun_soft_mremap(mm, AT(60 + i), PAGE, PAGE,
							MREMAP_MAYMOVE | MREMAP_FIXED, to)))
			bail_out("mremap");
	}
}

static void test_two_tasks(void)
{
	struct mmun_soft *soft = machine(512);
	struct rounds a = { .mm = soft_new_mm(soft), .rounds = L2_ROUNDS }, b = a;
	pthread_t threads[2];
	struct shown of_a = { .count = 0 }, of_b = { .count = 0 };
	unsigned int shared = 0;

	make_files(soft);
	map_all(a.mm, false);
	if (mmun_soft_mm_fork(a.mm, &b.mm))
		bail_out("fork");
	reverse_areas(b.mm);
	map_all(b.mm, true);
	mmun_soft_locks(a.mm, show, &of_a);
	mmun_soft_locks(b.mm, show, &of_b);
	for (unsigned int i = 0; i < of_a.count; i++)
		for (unsigned int j = 0; j < of_b.count; j++)
			shared += of_a.lock[i].address == of_b.lock[j].address;
	ok(shared >= FILES + ANONS, "two address spaces share %u locks", shared);
	threads[0] = spawn(lock_often, &a);
	threads[1] = spawn(lock_often, &b);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	ok(true, "L2 %s: two tasks locked them %d times each", mode_names[mode], L2_ROUNDS);
	mmput(a.mm);
	mmput(b.mm);
	put_files();
	is(mmun_soft_destroy(soft), 0, "the machine goes");
}

/* B3: a VMA of the other mm changes, which takes both classes. */
static void *split_and_merge(void *arg)
{
	struct rounds *r = arg;

	while (!mmun_load_full(&r->stop)) {
		if (mmun_soft_mprotect(r->mm, AT(5) + PAGE, PAGE, PROT_READ) ||
		    mmun_soft_mprotect(r->mm, AT(5) + PAGE, PAGE, RW))
			bail_out("mprotect");
		(void)mmun_add_full(&r->rounds, 1);
	}
	return NULL;
}

static void test_class_order(void)
{
	struct mmun_soft *soft = machine(256);
	struct rounds a = { .mm = soft_new_mm(soft), .rounds = 20000 };
	struct rounds b = { .rounds = 0 };
	pthread_t thread;

	make_files(soft);
	/* Private copies of a file's pages: both locks in one VMA. */
	soft_map(a.mm, AT(5), 3, RW, MAP_PRIVATE, files[0]);
	soft_poke(a.mm, AT(5), 1);
	soft_poke(a.mm, AT(5) + PAGE, 1);
	if (mmun_soft_mm_fork(a.mm, &b.mm))
		bail_out("fork");
	thread = spawn(split_and_merge, &b);
	do
		lock_often(&a);
	while (!mmun_load_full(&b.rounds));
	mmun_store_full(&b.stop, true);
	pthread_join(thread, NULL);
	ok(b.rounds > 0, "B3 %s: mm_lock against changes of a VMA that shares both locks",
	   mode_names[mode]);
	mmput(a.mm);
	mmput(b.mm);
	put_files();
	is(mmun_soft_destroy(soft), 0, "the machine goes");
}

/* L3: what must wait, each in a thread of its own. */
static struct {
	struct mmun_soft *soft;
	struct mm_struct *mm, *other;
	long begun, done, other_done;
} quiet;

static void in_fault(void)
{
	soft_poke(quiet.mm, AT(1) + PAGE, 1);
}

static void in_munmap(void)
{
	mmun_soft_munmap(quiet.mm, AT(2), PAGE);
}

static void in_truncate(void)
{
	mmun_soft_ftruncate(files[0], 0);
}

static void in_punch(void)
{
	mmun_soft_punch_hole(files[1], 0, PAGE);
}

static void in_mprotect(void)
{
	mmun_soft_mprotect(quiet.mm, AT(3), PAGE, PROT_READ);
}

static void in_fsync(void)
{
	mmun_soft_fsync(files[2]);
}

static void in_migration(void)
{
	mmun_soft_migrate(quiet.mm, AT(3));
}

static void in_remap_file_pages(void)
{
	mmun_soft_remap_file_pages(quiet.mm, AT(13), PAGE, 0, 1, 0);
}

static void in_fork(void)
{
	struct mm_struct *child;

	if (!mmun_soft_mm_fork(quiet.mm, &child))
		mmput(child);
}

static void (*const must_wait[])(void) = {
	in_fault,     in_munmap, in_truncate,         in_punch, in_mprotect, in_fsync,
	in_migration, in_fork,   in_remap_file_pages,
};
#define NR_WAITING (sizeof(must_wait) / sizeof(must_wait[0]))

static void *do_one(void *arg)
{
	(void)mmun_add_full(&quiet.begun, 1);
	(*(void (*const *)(void))arg)();
	(void)mmun_add_full(&quiet.done, 1);
	return NULL;
}

/* Unmaps what it can, where it can; it may find nothing. */
static void *reclaim(void *arg)
{
	mmun_soft_reclaim(quiet.soft, 64);
	return NULL;
}

static void *use_other(void *arg)
{
	for (unsigned long i = 0; i < 100; i++) {
		soft_map(quiet.other, AT(1), 4, RW, PRIVATE, NULL);
		soft_poke(quiet.other, AT(1), i);
		if (mmun_soft_mprotect(quiet.other, AT(1), PAGE, PROT_READ) ||
		    mmun_soft_munmap(quiet.other, AT(1), 4 * PAGE))
			bail_out("other");
	}
	mmun_store_full(&quiet.other_done, 1);
	return NULL;
}

static void prepare_quiet(void)
{
	quiet.soft = machine(256);
	quiet.mm = soft_new_mm(quiet.soft);
	quiet.other = soft_new_mm(quiet.soft);
	quiet.begun = quiet.done = quiet.other_done = 0;
	make_files(quiet.soft);
	for (unsigned long n = 1; n <= 3; n++) {
		soft_map(quiet.mm, AT(n), 2, RW, PRIVATE, NULL);
		soft_poke(quiet.mm, AT(n), n);
		soft_map(quiet.mm, AT(10 + n), 1, RW, MAP_SHARED, files[n - 1]);
		soft_poke(quiet.mm, AT(10 + n), n);
	}
}

static void test_quiet(void)
{
	pthread_t threads[NR_WAITING], reclaimer, other;
	struct mm_lock_data data;
	struct watcher watcher;
	long starts, ends;

	prepare_quiet();
	watch(&watcher, quiet.mm);
	lock(quiet.mm, &data);
	starts = counted(&watcher.starts);
	ends = counted(&watcher.ends);
	is(counted(&watcher.open), 0, "L3 R2 %s: no section is open when mm_lock returns",
	   mode_names[mode]);
	for (size_t i = 0; i < NR_WAITING; i++)
		threads[i] = spawn(do_one, (void *)&must_wait[i]);
	reclaimer = spawn(reclaim, NULL);
	other = spawn(use_other, NULL);
	wait_until_set(&quiet.other_done);
	while (counted(&quiet.begun) < (long)NR_WAITING)
		sched_yield();
	let_others_run();
	ok(true, "L3 another address space goes on");
	is(counted(&quiet.done), 0,
	   "L3 %s: fault, munmap, truncate, punch, mprotect, writeback, "
	   "migration, fork and remap_file_pages wait",
	   mode_names[mode]);
	ok(counted(&watcher.starts) == starts && counted(&watcher.ends) == ends,
	   "L3 nor does reclaim or anybody else begin a section");
	unlock(quiet.mm, &data);
	for (size_t i = 0; i < NR_WAITING; i++)
		pthread_join(threads[i], NULL);
	pthread_join(reclaimer, NULL);
	pthread_join(other, NULL);
	ok(counted(&watcher.starts) > starts, "and go on afterwards");
	is(watcher.open, 0, "S4 each section ends");
	mmu_notifier_unregister(&watcher.mn, quiet.mm);
	mmput(quiet.mm);
	mmput(quiet.other);
	put_files();
	is(mmun_soft_destroy(quiet.soft), 0, "the machine goes");
}

/* B5, R1, R2: registering while sections come and go. */
static bool stop_sections;

static void *make_sections(void *arg)
{
	unsigned long base = AT(*(long *)arg);

	while (!mmun_load_full(&stop_sections)) {
		soft_poke(quiet.mm, base, 1);
		if (mmun_soft_mprotect(quiet.mm, base, PAGE, PROT_READ) ||
		    mmun_soft_mprotect(quiet.mm, base, PAGE, RW) ||
		    mmun_soft_madvise(quiet.mm, base, 2 * PAGE, MADV_DONTNEED))
			bail_out("sections");
	}
	return NULL;
}

static void *truncate_often(void *arg)
{
	while (!mmun_load_full(&stop_sections)) {
		if (mmun_soft_ftruncate(files[0], 0) || mmun_soft_ftruncate(files[0], PAGE))
			bail_out("truncate");
		/* No bytes: the truncation may have been quicker. */
		(void)mmun_soft_write(quiet.mm, AT(11), "x", 1, NULL);
		mmun_soft_reclaim(quiet.soft, 4);
	}
	return NULL;
}

static void test_register_between(void)
{
	long bases[2] = { 1, 2 }, early = 0;
	struct watcher watcher;
	pthread_t threads[3];

	prepare_quiet();
	mmun_store_full(&stop_sections, false);
	for (int i = 0; i < 2; i++)
		threads[i] = spawn(make_sections, &bases[i]);
	threads[2] = spawn(truncate_often, NULL);
	for (int i = 0; i < 1000; i++) {
		watch(&watcher, quiet.mm);
		early += counted(&watcher.early_ends);
		sched_yield();
		mmu_notifier_unregister(&watcher.mn, quiet.mm);
		early += counted(&watcher.early_ends);
	}
	mmun_store_full(&stop_sections, true);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	is(early, 0, "R1 R2 B5 %s: no end without its start, in 1000 registrations",
	   mode_names[mode]);
	mmput(quiet.mm);
	mmput(quiet.other);
	put_files();
	is(mmun_soft_destroy(quiet.soft), 0, "the machine goes");
}

/* Linux gives up with -EINTR here, fifty times out of fifty. */
#define MANY_VMAS 60000

static long alarms;

static void on_alarm(int sig)
{
	(void)mmun_add_full(&alarms, 1);
}

static void set_timer(long us)
{
	struct itimerval timer = { .it_interval = { .tv_usec = us },
				   .it_value = { .tv_usec = us } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Private pages with every second one read-only and touched: a VMA each.  With
 * a gap between them each has its own anon_vma. */
static struct mm_struct *many_vmas(struct mmun_soft *soft)
{
	struct mm_struct *mm = soft_new_mm(soft);

	for (unsigned long i = 0; i < MANY_VMAS; i++) {
		unsigned long at = AT(1) + 2 * i * PAGE;

		soft_map(mm, at, 1, RW, PRIVATE, NULL);
		if (i % 16 == 0)
			soft_poke(mm, at, i);
	}
	return mm;
}

static void test_signals(void)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct mmun_soft *soft = machine(8192);
	struct mm_struct *mm = many_vmas(soft);
	struct watcher watcher;
	int failed = 0;

	sigaction(SIGALRM, &action, NULL);
	watcher_init(&watcher);
	set_timer(200);
	for (int i = 0; i < 50; i++) {
		if (mmu_notifier_register(&watcher.mn, mm))
			failed++;
		else
			mmu_notifier_unregister(&watcher.mn, mm);
	}
	wait_for_handler(&alarms);
	set_timer(0);
	is(failed, 0, "%s: at %d mappings under a timer of 0.2 ms registration succeeds 50 times",
	   mode_names[mode], MANY_VMAS);
	mmput(mm);
	is(mmun_soft_destroy(soft), 0, "the machine goes");
}

int main(void)
{
	for (mode = RWSEM; mode <= MARK; mode++) {
		test_each_once();
		test_memory();
		test_no_memory();
		test_two_tasks();
		test_class_order();
		test_quiet();
		test_register_between();
		test_signals();
	}
	return tap_done();
}
