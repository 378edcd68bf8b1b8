/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every change of memory under a registration: the next get makes it anew, and the device
 * sees what the program sees.  Beside it, as the control, a cache whose notifier hears of
 * another address space: it hands the old registration out again, and the device finds
 * old pages.
 */
#include <sys/shm.h>

#include "device.h"

#define PAGES 4

/* What is changed, and how; afterwards all pages from at are there again, with new words. */
struct change {
	const char *name;
	enum world_memory kind;
	/* NULL: mapped. */
	unsigned long (*set_up)(void);
	void (*make)(unsigned long at);
	void (*clean_up)(unsigned long at);
	bool only_self, only_soft;
};

static void unmap_all(unsigned long at)
{
	world_unmap(at, PAGES);
	world_map_at(at, WORLD_PRIVATE, PAGES);
}

static void unmap_page(unsigned long at)
{
	world_unmap(at + PAGE, 1);
	world_map_at(at + PAGE, WORLD_PRIVATE, 1);
}

static void map_over(unsigned long at)
{
	world_map_at(at, WORLD_PRIVATE, PAGES);
}

static void map_over_last(unsigned long at)
{
	world_map_at(at + (PAGES - 1) * PAGE, WORLD_SHARED, 1);
}

static void move_away(unsigned long at)
{
	unsigned long to = world_map(WORLD_PRIVATE, PAGES);

	world_move(at, PAGES, PAGES, to);
	world_map_at(at, WORLD_PRIVATE, PAGES);
	world_unmap(to, PAGES);
}

static void move_onto(unsigned long at)
{
	world_move(world_map(WORLD_PRIVATE, PAGES), PAGES, PAGES, at);
}

static void shrink(unsigned long at)
{
	world_move(at, PAGES, 1, 0);
	world_map_at(at + PAGE, WORLD_PRIVATE, PAGES - 1);
}

static void advise_dontneed(unsigned long at)
{
	if (world_advise(at + PAGE, 2, MADV_DONTNEED))
		bail_out("MADV_DONTNEED");
}

static void advise_remove(unsigned long at)
{
	if (world_advise(at + PAGE, 2, MADV_REMOVE))
		bail_out("MADV_REMOVE");
}

static unsigned long heap(void)
{
	unsigned long end, gap;

	end = world_brk(0);
	gap = -end & (PAGE - 1);
	if (gap && world_is_self && sbrk((long)gap) == (void *)-1)
		bail_out("no brk");
	world_brk(PAGES);
	end = (end + PAGE - 1) & ~(PAGE - 1);
	world_fill(end, PAGES);
	return end;
}

static void move_brk(unsigned long at)
{
	world_brk(-PAGES);
	world_brk(PAGES);
}

static void drop_brk(unsigned long at)
{
	world_brk(-PAGES);
}

static void truncate_file(unsigned long at)
{
	if (world_truncate(1) || world_truncate(PAGES))
		bail_out("no truncate");
}

static void punch_file(unsigned long at)
{
	if (world_punch(1, 2))
		bail_out("no punch");
}

static void detach(unsigned long at)
{
	shmdt((void *)at);
	world_map_at(at, WORLD_PRIVATE, PAGES);
}

static void attach_over(unsigned long at)
{
	int id = shmget(IPC_PRIVATE, PAGES * PAGE, IPC_CREAT | 0600);

	if (id < 0 || shmat(id, (void *)at, SHM_REMAP) == (void *)-1)
		bail_out("no shmat");
	shmctl(id, IPC_RMID, NULL);
}

static unsigned long shared(void)
{
	int id = shmget(IPC_PRIVATE, PAGES * PAGE, IPC_CREAT | 0600);
	void *at = id < 0 ? (void *)-1 : shmat(id, NULL, 0);

	if (at == (void *)-1)
		bail_out("no shmat");
	shmctl(id, IPC_RMID, NULL);
	world_fill((unsigned long)at, PAGES);
	return (unsigned long)at;
}

static void refuse_then_unmap(unsigned long at)
{
	/* Fails, having changed nothing: what it says in the middle may not be lost. */
	if (!mmun_is_err(mmun_rcache_get(cache, at, 0, RW)) ||
	    world_protect(at, PAGES, PROT_NONE) || world_protect(at, PAGES, PROT_READ | PROT_WRITE))
		bail_out("no mprotect");
	unmap_all(at);
}

static const struct change changes[] = {
	{ "munmap", .make = unmap_all },
	{ "munmap of a page", .make = unmap_page },
	{ "munmap after mprotect", .make = refuse_then_unmap },
	{ "mmap over it", .make = map_over },
	{ "mmap over its last page", .make = map_over_last },
	{ "mmap over shared memory", WORLD_SHARED, .make = map_over },
	{ "mremap away", .make = move_away },
	{ "mremap onto it", .make = move_onto },
	{ "mremap that shrinks", .make = shrink },
	{ "MADV_DONTNEED", .make = advise_dontneed },
	{ "MADV_REMOVE", WORLD_FILE, .make = advise_remove },
	{ "brk", .set_up = heap, .make = move_brk, .clean_up = drop_brk },
	{ "shmdt", .set_up = shared, .make = detach, .only_self = true },
	{ "shmat over it", .make = attach_over, .only_self = true },
	{ "ftruncate", WORLD_FILE, .make = truncate_file, .only_soft = true },
	{ "punched hole", WORLD_FILE, .make = punch_file, .only_soft = true },
};

/* Another address space, which nobody changes. */
static struct mm_struct *elsewhere(struct mmun_soft **machine)
{
	struct mm_struct *mm;

	if (mmun_soft_create(NULL, machine) || mmun_soft_mm_create(*machine, &mm))
		bail_out("no other address space");
	return mm;
}

/* Does the device see what the program sees, in each page? */
static long pages_right(struct region *region, unsigned long at)
{
	long right = 0;

	for (unsigned long i = 0; i < PAGES; i++)
		right += device_load(region, at + i * PAGE) == world_load(at + i * PAGE);
	return right;
}

static void look(struct mmun_rcache *in, unsigned long at, long *nr, long *right)
{
	struct region *region = must_get_from(in, at, PAGES * PAGE, RW);

	*nr = region->nr;
	*right = pages_right(region, at);
	put_to(in, region);
}

static void test_change(const struct change *change, struct mmun_rcache *deaf)
{
	unsigned long at = change->set_up ? change->set_up() : world_map(change->kind, PAGES);
	long before, after, deaf_before, deaf_after, right, deaf_right;

	look(cache, at, &before, &right);
	look(deaf, at, &deaf_before, &deaf_right);
	is(right + deaf_right, 2 * PAGES, "%s: before, the device sees what is there",
	   change->name);
	change->make(at);
	world_fill(at, PAGES);
	look(cache, at, &after, &right);
	is(world_refusals(), 0, "%s: after it no access is stale", change->name);
	look(deaf, at, &deaf_after, &deaf_right);
	ok(after > before, "%s: registered anew", change->name);
	is(right, PAGES, "%s: the device sees what is there now", change->name);
	is(deaf_after, deaf_before, "%s: without the notifier the old one is handed out",
	   change->name);
	ok(deaf_right < PAGES, "%s: and the device is wrong", change->name);
	ok(world_is_self || world_refusals() == PAGES - deaf_right, "%s: which the checker says",
	   change->name);
	/* The next test may be given the same address. */
	mmun_rcache_flush(deaf);
	if (change->clean_up)
		change->clean_up(at);
	else
		world_unmap(at, PAGES);
}

static void test_changes(void)
{
	struct mmun_soft *machine;
	struct mm_struct *other;
	struct mmun_rcache *deaf;

	begin();
	other = elsewhere(&machine);
	deaf = new_cache_of(other, (struct mmun_rcache_options){ .flags = MMUN_RCACHE_NO_REAPER });
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		if (world_is_self ? !changes[i].only_soft : !changes[i].only_self)
			test_change(&changes[i], deaf);
	}
	is(mmun_rcache_destroy(deaf), 0, "the cache beside it goes");
	mmput(other);
	mmun_soft_destroy(machine);
	end("changes");
}

/* What a change does not touch stays. */
static void test_elsewhere(void)
{
	unsigned long at;

	begin();
	at = world_map(WORLD_PRIVATE, 6);
	is(touch(at, 2 * PAGE, RW), 1, "below");
	is(touch(at + 2 * PAGE, 2 * PAGE, RW), 2, "the middle");
	is(touch(at + 4 * PAGE, 2 * PAGE, RW), 3, "and above");
	world_unmap(at + 2 * PAGE, 2);
	is(touch(at, 2 * PAGE, RW), 1, "an munmap of the middle leaves what is below");
	is(touch(at + 4 * PAGE, 2 * PAGE, RW), 3, "and above");
	is(touch(at + 2 * PAGE, 2 * PAGE, RW), -EFAULT, "the middle is gone");
	is(stats().invalidations, 1, "one registration ended");
	end("elsewhere");
}

static void test_in_use(void)
{
	struct region *old, *new;
	unsigned long at;
	long word;

	begin();
	at = world_map(WORLD_PRIVATE, 2);
	word = world_load(at);
	old = must_get(at, 2 * PAGE, RW);
	unmap_page(at - PAGE);
	ok(!mmun_rcache_is_current(cache, &old->world.nic.reg), "one in use is not current");
	is(mmun_rcache_progress(cache), 0, "but stays");
	is(stats().late_in_use, 1, "as the statistics say");
	is(device_load(old, at), world_is_self ? word : WORLD_REFUSED, "with its old pages");
	is(world_refusals(), world_is_self ? 0 : 1, "which the checker knows");
	new = must_get(at, 2 * PAGE, RW);
	is(device_load(new, at), world_load(at), "the next get has the new ones");
	put(old);
	is(mmun_rcache_progress(cache), 1, "the old one goes after its put");
	is(device_load(new, at), world_load(at), "and the new one is not it");
	put(new);
	end("in use");
}

/* A section of another thread, whose own gets would be refused. */
static struct section {
	struct mmu_notifier_range range;
	unsigned long start, pages;
	unsigned int flags;
	/* 1: open, 2: is to end. */
	long state;
	struct thread *thread;
} sections[2];

static void *run_section(void *arg)
{
	struct section *s = arg;

	section_open(&s->range, s->start, s->pages, s->flags);
	(void)add(&s->state, 1);
	while (load(&s->state) != 2)
		usleep(100);
	mmu_notifier_invalidate_range_end(&s->range);
	return NULL;
}

static void open_there(struct section *s, unsigned long start, unsigned long pages)
{
	*s = (struct section){ .start = start, .pages = pages };
	s->thread = spawn(run_section, s);
	while (!load(&s->state))
		usleep(100);
}

static void close_there(struct section *s)
{
	(void)add(&s->state, 1);
	join(s->thread);
}

/* While a section that covers it is open nothing is registered to stay. */
static void test_open_section(void)
{
	struct region *region;
	unsigned long at;
	long calls;

	begin();
	at = world_map(WORLD_PRIVATE, 4);
	open_there(&sections[0], at + PAGE, 1);
	region = must_get(at, 4 * PAGE, RW);
	calls = load(&device.calls);
	ok(calls >= 1 && calls <= MMUN_RCACHE_ROUNDS + 1,
	   "with a section open it is registered at most a few times (%ld)", calls);
	ok(!mmun_rcache_is_current(cache, &region->world.nic.reg), "and had for one use");
	put(region);
	ok(!is_cached(at, 4 * PAGE, RW), "nobody else finds it");
	is(touch(at + 2 * PAGE, 2 * PAGE, RW), calls + 1,
	   "what the section does not cover is made");
	ok(is_cached(at + 2 * PAGE, 2 * PAGE, RW), "and kept");
	close_there(&sections[0]);
	calls = load(&device.registered);
	is(touch(at, 4 * PAGE, RW), calls + 1, "when it has ended one is made");
	ok(is_cached(at, 4 * PAGE, RW), "and kept");
	mmun_rcache_progress(cache);
	is(live(), 2, "the tries are gone");
	end("open section");
}

static unsigned long change_at;

static void change_meanwhile(const struct mmun_registration *reg)
{
	world_map_at(change_at, WORLD_PRIVATE, 1);
}

static void test_meanwhile(void)
{
	struct region *region;
	unsigned long at;

	begin();
	at = world_map(WORLD_PRIVATE, 4);
	change_at = at + PAGE;
	device.in_register = change_meanwhile;
	region = must_get(at, 2 * PAGE, RW);
	is(region->nr, 2, "what changes while it is registered is registered again");
	is(device_load(region, at + PAGE), world_load(at + PAGE), "and right then");
	put(region);
	is(touch(at, 2 * PAGE, RW), 2, "and kept");
	is(stats().retries, 1, "one retry was counted");
	change_at = at + 3 * PAGE;
	device.in_register = change_meanwhile;
	is(touch(at + 2 * PAGE, PAGE, RW), 3, "a change beside it does not matter");
	is(stats().retries, 1, "and is no retry");
	end("meanwhile");
}

/* Another thread registers the same meanwhile. */
static long other_got;

static void *get_too(void *arg)
{
	other_got = touch(change_at, PAGE, RW);
	return NULL;
}

static void register_twice(const struct mmun_registration *reg)
{
	in_thread(get_too, NULL);
}

static void test_duplicate(void)
{
	begin();
	change_at = world_map(WORLD_PRIVATE, 1);
	device.in_register = register_twice;
	is(touch(change_at, PAGE, RW), 1, "another thread was faster");
	is(other_got, 1, "as it knows");
	is(touch(change_at, PAGE, RW), 1, "one registration stays");
	mmun_rcache_progress(cache);
	is(live(), 1, "of two");
	is(stats().duplicates, 1, "as was counted");
	end("duplicate");
}

/* More sections at once than anybody keeps ranges of: a few threads, many in each. */
static void *run_many(void *arg)
{
	static __thread struct mmu_notifier_range ranges[500];
	struct section *s = arg;

	for (int i = 0; i < 500; i++)
		section_open(&ranges[i], s->start, 1, 0);
	(void)add(&s->state, 1);
	while (load(&s->state) != 2)
		usleep(100);
	for (int i = 0; i < 500; i++)
		mmu_notifier_invalidate_range_end(&ranges[i]);
	return NULL;
}

static void test_many_sections(void)
{
	unsigned long at;
	long before;

	begin();
	at = world_map(WORLD_PRIVATE, 2);
	for (int i = 0; i < 2; i++) {
		sections[i] = (struct section){ .start = at + PAGE };
		sections[i].thread = spawn(run_many, &sections[i]);
		while (!load(&sections[i].state))
			usleep(100);
	}
	before = touch(at + PAGE, PAGE, RW);
	ok(before > 0, "among 1000 open sections a get succeeds");
	ok(!is_cached(at + PAGE, PAGE, RW), "for itself");
	touch(at, PAGE, RW);
	for (int i = 0; i < 2; i++)
		close_there(&sections[i]);
	touch(at, 2 * PAGE, RW);
	ok(is_cached(at + PAGE, PAGE, RW), "after their ends it is kept");
	mmun_rcache_progress(cache);
	is(live(), stats().regions, "and nothing else is there");
	end("many sections");
}

static void test_pinned(void)
{
	struct mmu_notifier_range range;
	struct mmun_rcache *unpinned;
	unsigned long at;

	begin();
	at = world_map(WORLD_PRIVATE, 2);
	unpinned = new_cache((struct mmun_rcache_options){ .flags = MMUN_RCACHE_NO_REAPER |
								    MMUN_RCACHE_NOT_PINNED });
	touch(at, PAGE, RW);
	touch_in(unpinned, at, PAGE, RW);
	section_open(&range, at, 2, MMUN_RANGE_PINNED_SAFE);
	mmu_notifier_invalidate_range_end(&range);
	is(touch(at, PAGE, RW), 1, "a change that leaves pinned pages alone ends no registration");
	is(touch_in(unpinned, at, PAGE, RW), 3, "but one of a backend that does not pin");
	section_open(&range, at, 2, 0);
	range.flags |= MMUN_RANGE_UNCHANGED;
	mmu_notifier_invalidate_range_end(&range);
	ok(touch(at, PAGE, RW) > 3, "what ends unchanged may have changed when it began");
	mmun_rcache_destroy(unpinned);
	end("pinned");
}

int main(void)
{
	test_changes();
	test_elsewhere();
	test_in_use();
	test_open_section();
	test_meanwhile();
	test_duplicate();
	test_many_sections();
	test_pinned();
	return tap_done();
}
