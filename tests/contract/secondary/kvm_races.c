/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: the hypervisor of secondary/kvm when the memory changes under it:
 * between look-up and entry, in use, at the end.
 */
#include <mmunotify/primary.h>

#include "kvm_scene.h"

static void drop_and_write(void)
{
	mmun_soft_madvise(mm, at, PAGE, MADV_DONTNEED);
	put(mm, at, 2);
}

static void test_collision(void)
{
	begin();
	put(mm, at, 1);
	meanwhile = drop_and_write;
	is(load(0), 2, "S5: a page that goes between look-up and entry is not entered");
	is(stats().fault_retry_ended, 1, "S5: the sequence number showed it");
	done("collision");
}

static struct mmu_notifier_range held;

static void open_here(void)
{
	section_open(&held, mm, at, at + PAGE);
}

static long loaded, finished;

static void *loader(void *arg)
{
	mmun_store_full(&loaded, load(0));
	mmun_store_full(&finished, 1);
	return NULL;
}

static void test_in_progress(void)
{
	pthread_t thread;

	begin();
	put(mm, at, 3);
	put(mm, at + PAGE, 4);
	mmun_store_full(&finished, 0);
	open_here();
	is(load(PAGE), 4, "B11: an open section elsewhere is not waited for");
	thread = spawn(loader, NULL);
	while (!stats().fault_retry_open && !mmun_load_full(&finished))
		usleep(100);
	ok(!mmun_load_full(&finished), "S5: nothing is entered while a section covers it");
	put(mm, at, 5);
	mmu_notifier_invalidate_range_end(&held);
	pthread_join(thread, NULL);
	is(mmun_load_full(&loaded), 5, "S5: and then what is there after it");
	ok(stats().fault_retry_open > 0, "S5: the open section was seen");
	done("in progress");
}

static void storm(void)
{
	unsigned long elsewhere = at + 6 * PAGE;

	for (int i = 0; i < 20; i++) {
		put(mm, elsewhere, i);
		mmun_soft_madvise(mm, elsewhere, PAGE, MADV_DONTNEED);
	}
}

static void test_storm(void)
{
	unsigned long before;

	begin();
	put(mm, at, 6);
	before = stats().faults;
	meanwhile = storm;
	is(load(0), 6, "B11: a fault meets many sections elsewhere");
	is(stats().faults - before, 1, "B11: and is done at the first attempt");
	is(stats().fault_elsewhere, 1, "B11: knowing of them");
	done("storm");
}

static void remove_slot(void)
{
	set_region(0, 0, 0, 0, 0);
}

static void move_slot(void)
{
	set_region(0, 0, GUEST_PAGES, at + PAGE, 0);
}

static void test_slots(void)
{
	struct mmu_notifier_range range;

	begin();
	map_at(mm, at + GUEST_PAGES * PAGE, 1, MAP_PRIVATE | MAP_FIXED, NULL);
	put(mm, at, 1);
	put(mm, at + PAGE, 2);
	meanwhile = move_slot;
	is(load(0), 2, "B13: a slot that moves during a fault makes it begin again");
	is(stats().fault_retry_slots, 1, "B13: by its generation");
	meanwhile = remove_slot;
	is(load(PAGE), -ENXIO, "B13: a slot that goes during a fault");

	open_here();
	is(set_region(0, 0, GUEST_PAGES, at, 0), 0, "B12: a slot is made while a section is open");
	is(set_region(2, 2 * CODE_GPA, 1, at, 0), 0, "B12: and another");
	mmu_notifier_invalidate_range_end(&held);
	is(load(0), 1, "B12: the end finds its start");
	section_open(&range, mm, at, at + GUEST_PAGES * PAGE);
	remove_slot();
	set_region(2, 0, 0, 0, 0);
	mmu_notifier_invalidate_range_end(&range);
	is(set_region(0, 0, GUEST_PAGES, at, 0), 0,
	   "B19: slots gone between start and end, made again");
	is(load(0), 1, "B19: nothing is counted as open that is not");
	is(stats().starts, stats().ends, "B12: as many ends as starts");
	done("slots");
}

static long release_entered, release_may_go, starts_seen;

static void wait_in_release(void)
{
	mmun_store_full(&release_entered, 1);
	wait_until_set(&release_may_go);
}

static void *exit_mm(void *arg)
{
	mmput(mm);
	return NULL;
}

static void test_release(void)
{
	struct file *file;
	pthread_t thread;
	unsigned long before;

	begin();
	file = new_file(MMUN_SOFT_FILE_SHMEM, GUEST_PAGES);
	map_at(mm, at, GUEST_PAGES, MAP_SHARED | MAP_FIXED, file);
	store(0, 1);
	before = stats().starts;
	mmun_store_full(&release_entered, 0);
	mmun_store_full(&release_may_go, 0);
	in_release = wait_in_release;
	mmgrab(mm);
	thread = spawn(exit_mm, NULL);
	wait_until_set(&release_entered);
	is(mmun_soft_punch_hole(file, 0, PAGE), 0,
	   "a hole is punched while ->release has not returned");
	starts_seen = (long)(stats().starts - before);
	ok(starts_seen > 0, "B1: the guest is notified of it (U6, until release is over)");
	is(load(0), -EIO, "B10: the memory of a process that exits is not taken again");
	mmun_store_full(&release_may_go, 1);
	pthread_join(thread, NULL);
	is(stats().releases, 1, "U5: one release");
	is(mmun_kvm_run(vcpu), -EIO, "U1: the guest is stopped for good");
	mmun_soft_file_put(file);
	end_guest();
	ok(true, "U4: the guest is unregistered after the exit");
	mmdrop(mm);
	machine_done("release");
}

static void exit_begins(void)
{
	mmun_mm_exit(mm);
}

static void test_release_in_fault(void)
{
	begin();
	put(mm, at, 1);
	meanwhile = exit_begins;
	is(load(0), -EIO, "U1: exit begins during a fault: nothing is entered any more");
	is(stats().releases, 1, "U5: ->release ran once");
	mmput(mm);
	is(stats().releases, 1, "U5: and not again when the last user went");
	end_guest();
	machine_done("release in a fault");
}

static void test_without_release(void)
{
	begin_with((struct mmun_kvm_params){ .without_release = true });
	store(0, 1);
	is(load(0), 1, "a guest without ->release");
	mmput(mm);
	is(stats().releases, 0, "U9: nothing is called at exit");
	is(load(0), -EFAULT, "U9: what it does after the last user exited");
	is(mmun_load_full(&violations), 1, "U9: is caught by the checker");
	mmun_store_full(&violations, 0);
	end_guest();
	machine_done("without release");
}

static void remap_and_write(void)
{
	map_at(mm, at, 1, MAP_PRIVATE | MAP_FIXED, NULL);
	put(mm, at, 8);
}

static struct mmun_kvm_cache *cache;
static long stop, changes;

static void *remap(void *arg)
{
	while (!mmun_load_full(&stop)) {
		mmun_soft_madvise(mm, at, PAGE, MADV_DONTNEED);
		mmun_soft_migrate(mm, at);
		set_region(2, 2 * CODE_GPA, 1, at, 0);
		set_region(2, 0, 0, 0, 0);
		(void)mmun_add_full(&changes, 1);
	}
	return NULL;
}

static void test_cache(void)
{
	pthread_t thread;
	long value = 0, failed = 0, i;

	begin();
	put(mm, at, 7);
	if (mmun_kvm_cache_create(kvm, 0, &cache))
		bail_out("no cache");
	is(mmun_kvm_cache_read(cache, 0, &value, sizeof(value)), 0,
	   "a page of the hypervisor's own");
	is(value, 7, "is the guest's");
	meanwhile = remap_and_write;
	mmun_soft_madvise(mm, at, PAGE, MADV_DONTNEED);
	mmun_kvm_cache_read(cache, 0, &value, sizeof(value));
	is(value, 8, "B13: a page replaced while it is looked up is not kept");
	mmun_store_full(&stop, 0);
	thread = spawn(remap, NULL);
	for (i = 0; i < 100000 || mmun_load_full(&changes) < 2000; i++) {
		failed += mmun_kvm_cache_write(cache, 8, &i, sizeof(i)) != 0;
		failed += mmun_kvm_cache_read(cache, 8, &value, sizeof(value)) != 0;
		/* DONTNEED may come in between. */
		failed += value != i && value != 0;
		/* Or the other thread hardly gets the lock. */
		if (i % 256 == 0)
			usleep(1);
	}
	mmun_store_full(&stop, 1);
	pthread_join(thread, NULL);
	is(failed, 0, "B13: uses of it against unmapping, migration and slots that change");
	ok(stats().cache_refreshed > 10, "B13: it was looked up anew");
	diag("%ld uses, %ld changes, looked up %lu times", 2 * i, changes, stats().cache_refreshed);
	mmun_kvm_cache_destroy(cache);
	done("cache");
}

static long in_store, store_may_go;

static void wait_in_access(void)
{
	mmun_store_full(&in_store, 1);
	wait_until_set(&store_may_go);
}

static void *storer(void *arg)
{
	store(0, 1);
	return NULL;
}

static void *unmapper(void *arg)
{
	mmun_soft_munmap(mm, at, PAGE);
	mmun_store_full(&finished, 1);
	return NULL;
}

static void test_in_use(void)
{
	pthread_t user, changer;

	begin();
	store(0, 0);
	mmun_store_full(&finished, 0);
	mmun_store_full(&in_store, 0);
	mmun_store_full(&store_may_go, 0);
	in_access = wait_in_access;
	user = spawn(storer, NULL);
	wait_until_set(&in_store);
	changer = spawn(unmapper, NULL);
	let_others_run();
	ok(!mmun_load_full(&finished), "B19: a start waits for the access that is under way");
	mmun_store_full(&store_may_go, 1);
	pthread_join(user, NULL);
	pthread_join(changer, NULL);
	ok(mmun_load_full(&finished), "B19: and for no longer");
	done("in use");
}

static void *change(void *arg)
{
	for (long i = 0; !mmun_load_full(&stop); i++) {
		mmun_soft_madvise(mm, at + (i % 4) * PAGE, PAGE, MADV_DONTNEED);
		if (i % 8 == 0)
			mmun_soft_reclaim(machine, 8);
		if (i % 32 == 0)
			mmput(fork_mm(mm));
		if (i % 16 == 0)
			mmun_soft_migrate(mm, at + 5 * PAGE);
		if (i % 64 == 0)
			mmun_soft_ksm_scan(machine);
		another_round();
	}
	return NULL;
}

static void test_torture(void)
{
	pthread_t threads[2];
	long lost = 0;

	begin();
	mmun_soft_madvise(mm, at, GUEST_PAGES * PAGE, MADV_MERGEABLE);
	mmun_store_full(&stop, 0);
	others_begin();
	for (int i = 0; i < 2; i++)
		threads[i] = spawn(change, NULL);
	for (long i = 1; i <= 3000 || !others_done(600); i++) {
		unsigned long kept = (5 + i % 8) * PAGE;

		if (store(kept, i) || load(kept) != i || get(mm, at + kept) != i)
			lost++;
		load((i % 4) * PAGE);
	}
	mmun_store_full(&stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	is(lost, 0, "stores under change, none is lost");
	is(stats().starts, stats().ends, "S3: each start had its end");
	done("torture");
}

int main(void)
{
	test_collision();
	test_in_progress();
	test_storm();
	test_slots();
	test_release();
	test_release_in_fault();
	test_without_release();
	test_cache();
	test_in_use();
	test_torture();
	return tap_done();
}
