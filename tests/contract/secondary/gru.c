/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: the TLB device of secondary/gru on a software address space.
 */
#include "gru.h"
#include "machine.h"

static struct mmun_gru *gru;
static struct file *device;

/* What happens once between a look-up and its entry. */
static void (*meanwhile)(void);

static void looked_up(void *arg, unsigned long address)
{
	once(&meanwhile);
}

static void begin(struct mmun_gru_params params)
{
	machine_begin();
	params.looked_up = looked_up;
	if (mmun_gru_create(machine, &params, &gru) || mmun_gru_open(gru, &device))
		bail_out("no device");
}

static void done(const char *what)
{
	mmun_soft_file_put(device);
	is(mmun_gru_destroy(gru), 0, "%s: no context is left", what);
	machine_done(what);
}

static unsigned long context(struct mm_struct *mm)
{
	return map_at(mm, 0, 1, MAP_SHARED, device);
}

static struct mmun_gru_stats stats(void)
{
	struct mmun_gru_stats out;

	mmun_gru_stats(gru, &out);
	return out;
}

/* A value, or -errno. */
static long load(struct mm_struct *mm, unsigned long ctx, unsigned long address)
{
	long value = 0;
	int ret = mmun_gru_load(gru, mm, ctx, address, &value, sizeof(value));

	return ret ? ret : value;
}

static int store(struct mm_struct *mm, unsigned long ctx, unsigned long address, long value)
{
	return mmun_gru_store(gru, mm, ctx, address, &value, sizeof(value));
}

/* One address space, one context, one mapping of 8 pages. */
static struct {
	struct mm_struct *mm;
	unsigned long ctx, at;
} one;

static void one_begin(struct mmun_gru_params params)
{
	begin(params);
	one.mm = new_mm();
	one.ctx = context(one.mm);
	one.at = map(one.mm, 8);
}

static void one_done(const char *what)
{
	mmput(one.mm);
	done(what);
}

static void test_copies(void)
{
	char out[3 * PAGE], in[3 * PAGE];

	one_begin((struct mmun_gru_params){ 0 });
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (char)(i * 7);
	is(mmun_gru_store(gru, one.mm, one.ctx, one.at + 100, in, sizeof(in)), 0,
	   "a store over four pages");
	mmun_soft_read(one.mm, one.at + 100, out, sizeof(out), NULL);
	ok(!memcmp(in, out, sizeof(in)), "the program reads what the device stored");
	memset(out, 0, sizeof(out));
	is(mmun_gru_load(gru, one.mm, one.ctx, one.at + 100, out, sizeof(out)), 0, "a load");
	ok(!memcmp(in, out, sizeof(in)), "the device loads what it stored");
	ok(stats().tlb_hits >= 4, "through its TLB");
	is(load(one.mm, one.ctx, 0x5000000), -EFAULT, "an address that maps nothing: -EFAULT");
	is(load(one.mm, one.at, one.at), -EINVAL, "no context there: -EINVAL");
	mmun_soft_mprotect(one.mm, one.at, PAGE, PROT_READ);
	is(store(one.mm, one.ctx, one.at, 1), -EFAULT, "a store to read-only memory: -EFAULT");
	one_done("copies");
}

static void test_mapping(void)
{
	struct mm_struct *mm, *other;
	mmun_soft_address at;

	begin((struct mmun_gru_params){ 0 });
	mm = new_mm();
	other = new_mm();
	ok(!mm_has_notifiers(mm), "S10: an address space without the device has no notifiers");
	context(mm);
	ok(mm_has_notifiers(mm), "the notifier is registered inside ->mmap, the mmap lock held");
	context(mm);
	is(stats().notifiers_made, 1, "R9: a second context finds the same notifier");
	context(other);
	is(stats().notifiers_made, 2, "another address space gets its own");
	at = mmun_soft_mmap(mm, 0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
	is((long)at, -EINVAL, "a context is one page");
	at = mmun_soft_mmap(mm, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, device, 0);
	is((long)at, -EPERM, "and shared");
	is(mmun_gru_destroy(gru), -EBUSY, "the device stays while there are contexts");
	mmput(other);
	mmput(mm);
	done("mapping");
}

static void test_no_memory(void)
{
	mmun_soft_address at;
	struct mm_struct *mm;
	int failures = 0;

	begin((struct mmun_gru_params){ 0 });
	mm = new_mm();
	do {
		fail_allocation(failures + 1);
		at = mmun_soft_mmap(mm, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
		fail_allocation(0);
		if (!mmun_soft_is_error(at))
			break;
		failures++;
		if ((long)at != -ENOMEM || stats().contexts_made != stats().contexts_freed)
			break;
	} while (failures < 100);
	ok(!mmun_soft_is_error(at) && failures >= 2,
	   "R7: any allocation of ->mmap may fail (%d did), nothing is left of it", failures);
	mmput(mm);
	done("no memory");
}

static void drop_and_write(void)
{
	mmun_soft_madvise(one.mm, one.at, PAGE, MADV_DONTNEED);
	put(one.mm, one.at, 2);
}

static void test_collision(void)
{
	one_begin((struct mmun_gru_params){ 0 });
	put(one.mm, one.at, 1);
	meanwhile = drop_and_write;
	is(load(one.mm, one.ctx, one.at), 2,
	   "S5: a page that goes between look-up and entry is not entered");
	is(stats().fault_retries, 1, "S5: it was looked up again");
	is(load(one.mm, one.ctx, one.at), 2, "S5: nor later");
	one_done("collision");
}

static long loaded, finished;

static void *loader(void *arg)
{
	mmun_store_full(&loaded, load(one.mm, one.ctx, one.at));
	mmun_store_full(&finished, 1);
	return NULL;
}

static void test_waits(void)
{
	struct mmu_notifier_range here, inner, elsewhere;
	pthread_t thread;

	one_begin((struct mmun_gru_params){ 0 });
	put(one.mm, one.at, 3);
	put(one.mm, one.at + 4 * PAGE, 4);
	mmun_store_full(&finished, 0);
	section_open(&here, one.mm, one.at, one.at + PAGE);
	section_open(&inner, one.mm, one.at, one.at + PAGE);
	section_open(&elsewhere, one.mm, one.at + 2 * PAGE, one.at + 3 * PAGE);
	is(load(one.mm, one.ctx, one.at + 4 * PAGE), 4,
	   "B11: open sections elsewhere hold nobody up");
	thread = spawn(loader, NULL);
	while (!stats().fault_waits && !mmun_load_full(&finished))
		usleep(100);
	mmu_notifier_invalidate_range_end(&here);
	let_others_run();
	ok(!mmun_load_full(&finished), "S5: no look-up while a section covers the address");
	mmu_notifier_invalidate_range_end(&inner);
	pthread_join(thread, NULL);
	is(mmun_load_full(&loaded), 3, "S5: it goes on when the last one has ended");
	ok(stats().fault_waits > 0, "S5: it slept meanwhile");
	mmu_notifier_invalidate_range_end(&elsewhere);
	is(stats().starts, stats().ends, "S3: ends are counted against starts");
	one_done("waits");
}

static void test_many_open(void)
{
	struct mmu_notifier_range range[20];
	pthread_t thread;

	one_begin((struct mmun_gru_params){ 0 });
	put(one.mm, one.at, 5);
	mmun_store_full(&finished, 0);
	for (int i = 0; i < 20; i++)
		section_open(&range[i], one.mm, 0x1000000ul + i * PAGE,
			     0x1000000ul + (i + 1) * PAGE);
	thread = spawn(loader, NULL);
	let_others_run();
	ok(!mmun_load_full(&finished),
	   "sections that are not distinguished count as covering everything");
	for (int i = 0; i < 20; i++)
		mmu_notifier_invalidate_range_end(&range[i]);
	pthread_join(thread, NULL);
	is(mmun_load_full(&loaded), 5, "and no longer than they are open");
	one_done("many sections");
}

static void storm(void)
{
	unsigned long elsewhere = one.at + 6 * PAGE;

	for (int i = 0; i < 100; i++) {
		put(one.mm, elsewhere, i);
		mmun_soft_madvise(one.mm, elsewhere, PAGE, MADV_DONTNEED);
	}
}

static void test_storm(void)
{
	one_begin((struct mmun_gru_params){ 0 });
	put(one.mm, one.at, 6);
	meanwhile = storm;
	is(load(one.mm, one.ctx, one.at), 6, "B11: a fault meets a hundred sections elsewhere");
	is(stats().fault_retries, 0, "B11: and does not begin again for one of them");
	one_done("storm");
}

static void test_flushes(void)
{
	struct mm_struct *other;
	unsigned long ctx, at;

	one_begin((struct mmun_gru_params){ .nr_slots = 1, .nr_entries = 16 });
	put(one.mm, one.at, 1);
	load(one.mm, one.ctx, one.at);
	mmun_soft_madvise(one.mm, one.at, PAGE, MADV_DONTNEED);
	ok(stats().flush_range > 0, "a small range is flushed page by page");
	is(load(one.mm, one.ctx, one.at), 0, "and its page is looked up again");
	mmun_soft_munmap(one.mm, 0x10000000, 4096 * PAGE);
	map_at(one.mm, 0x10000000, 4096, MAP_PRIVATE | MAP_FIXED, NULL);
	put(one.mm, one.at, 7);
	load(one.mm, one.ctx, one.at);
	mmun_soft_madvise(one.mm, 0x10000000, 4096 * PAGE, MADV_DONTNEED);
	ok(stats().flush_asid > 0, "a range larger than the TLB is flushed by a new number");
	is(load(one.mm, one.ctx, one.at), 7, "and what lay outside is found again");

	other = new_mm();
	ctx = context(other);
	at = map(other, 1);
	put(other, at, 8);
	is(load(other, ctx, at), 8, "another address space takes the only slot");
	ok(stats().contexts_stolen > 0, "which is stolen for it");
	mmun_soft_madvise(one.mm, one.at, PAGE, MADV_DONTNEED);
	ok(stats().flush_asid > 1, "a space without a slot is flushed by a new number");
	is(load(one.mm, one.ctx, one.at), 0, "and loads what is there now");
	load(one.mm, one.ctx, one.at);
	mmun_gru_flush(gru, one.mm, one.ctx, one.at, PAGE);
	is(stats().flush_user, 1, "a program may flush by itself");
	mmun_gru_flush(gru, one.mm, one.ctx, -PAGE, PAGE - 1);
	mmun_gru_flush(gru, one.mm, one.ctx, -PAGE, PAGE);
	mmun_gru_flush(gru, one.mm, one.ctx, PAGE, -1ul);
	is(stats().flush_user, 4, "also at the end of all addresses");
	is(load(one.mm, one.ctx, one.at), 0, "without harm");
	mmput(other);
	one_done("flushes");
}

static void test_asids(void)
{
	struct mm_struct *mm[5];
	unsigned long ctx[5], at[5];
	long wrong = 0;

	begin((struct mmun_gru_params){ .nr_slots = 2, .nr_asids = 3, .nr_entries = 8 });
	for (int i = 0; i < 5; i++) {
		mm[i] = new_mm();
		ctx[i] = context(mm[i]);
		at[i] = map_at(mm[i], 0x20000000, 1, MAP_PRIVATE | MAP_FIXED, NULL);
		put(mm[i], at[i], 100 + i);
	}
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 5; i++)
			wrong += load(mm[i], ctx[i], at[i]) != 100 + i;
	}
	is(wrong, 0, "five address spaces with one address and three numbers");
	ok(stats().asids_wrapped > 3, "generations began (%lu)", stats().asids_wrapped);
	for (int i = 0; i < 5; i++)
		mmput(mm[i]);
	done("numbers");
}

static void test_fork(void)
{
	struct mm_struct *child;

	one_begin((struct mmun_gru_params){ 0 });
	put(one.mm, one.at, 1);
	is(store(one.mm, one.ctx, one.at, 2), 0, "the device has a writable translation");
	child = fork_mm(one.mm);
	is(store(one.mm, one.ctx, one.at, 3), 0, "after fork it stores again");
	is(get(child, one.at), 2, "B23: the child does not see it");
	is(get(one.mm, one.at), 3, "B23: the parent does");
	is(load(child, one.ctx, one.at), -EINVAL, "B15: the child has not inherited the context");
	mmput(child);
	one_done("fork");
}

static void unmap_context(void)
{
	mmun_soft_munmap(one.mm, one.ctx, PAGE);
}

static void test_last_put(void)
{
	one_begin((struct mmun_gru_params){ 0 });
	put(one.mm, one.at, 1);
	meanwhile = unmap_context;
	is(load(one.mm, one.ctx, one.at), -ENXIO,
	   "B18: the last mapping goes during a fault, which fails");
	is(stats().contexts_freed, 1, "B18: the context went with the fault");
	is(stats().fault_late, 1, "B18: and got no translation");
	is(load(one.mm, one.ctx, one.at), -EINVAL, "it is gone");
	mmu_notifier_synchronize();
	mmun_soft_munmap(one.mm, one.at, PAGE);
	is(stats().starts, 1, "U2: what happens later does not reach the device");
	one.ctx = context(one.mm);
	put(one.mm, one.at + PAGE, 2);
	is(load(one.mm, one.ctx, one.at + PAGE), 2, "a new context begins anew");
	one_done("last put");
}

static void test_moved(void)
{
	mmun_soft_address to;

	one_begin((struct mmun_gru_params){ 0 });
	put(one.mm, one.at, 1);
	to = mmun_soft_mremap(one.mm, one.ctx, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			      0x30000000);
	ok(!mmun_soft_is_error(to), "a context is moved");
	is(load(one.mm, to, one.at), 1, "and works where it is now");
	is(load(one.mm, one.ctx, one.at), -EINVAL, "not where it was");
	is(stats().contexts_freed, 0, "it is the same one");
	one.ctx = to;
	one_done("moved");
}

static void test_exit(void)
{
	struct mmun_soft_task *task, *thread;
	unsigned long ctx, at;

	begin((struct mmun_gru_params){ 0 });
	if (mmun_soft_task_create(machine, &task) || mmun_soft_clone(task, &thread))
		bail_out("no task");
	ctx = context(mmun_soft_task_mm(task));
	at = map(mmun_soft_task_mm(task), 1);
	put(mmun_soft_task_mm(task), at, 9);
	load(mmun_soft_task_mm(task), ctx, at);
	mmun_soft_exit(task);
	is(stats().releases, 0, "U1: no release while a task uses the address space");
	is(load(mmun_soft_task_mm(thread), ctx, at), 9, "and the device serves it");
	mmun_soft_exit(thread);
	is(stats().releases, 1, "U5: one release with the last one");
	is(stats().contexts_freed, 1, "U8: and the put when its mapping is closed");
	done("exit");
}

/* The device must see what the program sees, whatever the machine does. */
static void same(const char *what)
{
	long wrong = 0;

	for (int i = 0; i < 8; i++) {
		long mine = load(one.mm, one.ctx, one.at + i * PAGE);
		long theirs = get(one.mm, one.at + i * PAGE);

		wrong += theirs == -1 ? mine != -EFAULT : mine != theirs;
	}
	is(wrong, 0, "the device sees what the program sees: %s", what);
}

static void test_behind_its_back(void)
{
	struct file *file;

	one_begin((struct mmun_gru_params){ 0 });
	for (int i = 0; i < 8; i++)
		put(one.mm, one.at + i * PAGE, i < 4 ? 50 : 50 + i);
	same("written");
	mmun_soft_reclaim(machine, 100);
	mmun_soft_reclaim(machine, 100);
	same("swapped out");
	is(mmun_soft_migrate(one.mm, one.at), 0, "a page is migrated");
	same("migrated");
	mmun_soft_madvise(one.mm, one.at, 8 * PAGE, MADV_MERGEABLE);
	mmun_soft_ksm_scan(machine);
	mmun_soft_ksm_scan(machine);
	same("merged");
	store(one.mm, one.ctx, one.at, 51);
	same("a merged page was stored to");
	mmun_soft_madvise(one.mm, one.at, 8 * PAGE, MADV_UNMERGEABLE);
	same("unmerged");
	mmun_soft_mremap(one.mm, one.at + 7 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			 0x40000000);
	same("B16: a page was moved away");
	is(load(one.mm, one.ctx, 0x40000000), 57, "B16: and is found where it went");
	is(mmun_soft_oom_reap(one.mm), 0, "a section that must not sleep is not refused");
	same("reaped");

	file = new_file(MMUN_SOFT_FILE_SHMEM, 8);
	map_at(one.mm, one.at, 8, MAP_SHARED | MAP_FIXED, file);
	for (int i = 0; i < 8; i++)
		store(one.mm, one.ctx, one.at + i * PAGE, 70 + i);
	same("a file");
	mmun_soft_ftruncate(file, 6 * PAGE);
	same("truncated");
	mmun_soft_punch_hole(file, PAGE, PAGE);
	same("punched");
	mmun_soft_file_put(file);
	one_done("behind its back");
}

static long stop;

static void *churn(void *arg)
{
	unsigned long at = one.at;

	for (int i = 0; !mmun_load_full(&stop); i++) {
		mmun_soft_madvise(one.mm, at + (i % 4) * PAGE, PAGE, MADV_DONTNEED);
		mmun_soft_mprotect(one.mm, at + 4 * PAGE, PAGE,
				   i & 1 ? PROT_READ : PROT_READ | PROT_WRITE);
		if (i % 16 == 0)
			mmun_soft_reclaim(machine, 4);
		if (i % 64 == 0)
			mmput(fork_mm(one.mm));
		if (i % 8 == 0)
			mmun_soft_migrate(one.mm, at + 5 * PAGE);
		another_round();
	}
	return NULL;
}

static void *come_and_go(void *arg)
{
	while (!mmun_load_full(&stop)) {
		unsigned long ctx = context(one.mm);

		load(one.mm, ctx, one.at);
		mmun_soft_munmap(one.mm, ctx, PAGE);
	}
	return NULL;
}

static void test_torture(void)
{
	pthread_t threads[3];
	long lost = 0;

	one_begin((struct mmun_gru_params){ .nr_slots = 2, .nr_asids = 5, .nr_entries = 8 });
	mmun_store_full(&stop, 0);
	others_begin();
	threads[0] = spawn(churn, NULL);
	threads[1] = spawn(churn, NULL);
	threads[2] = spawn(come_and_go, NULL);
	for (long i = 1; i <= 3000 || !others_done(600); i++) {
		unsigned long kept = one.at + (5 + i % 3) * PAGE;

		if (store(one.mm, one.ctx, kept, i) || load(one.mm, one.ctx, kept) != i ||
		    get(one.mm, kept) != i)
			lost++;
		load(one.mm, one.ctx, one.at + (i % 5) * PAGE);
	}
	mmun_store_full(&stop, 1);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	is(lost, 0, "B18: stores under change while contexts come and go, none is lost");
	is(stats().starts, stats().ends, "S3: each start had its end");
	one_done("torture");
}

int main(void)
{
	test_copies();
	test_mapping();
	test_no_memory();
	test_collision();
	test_waits();
	test_many_open();
	test_storm();
	test_flushes();
	test_asids();
	test_fork();
	test_last_put();
	test_moved();
	test_exit();
	test_behind_its_back();
	test_torture();
	return tap_done();
}
