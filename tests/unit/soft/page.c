/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* primary/soft/frame/page.c and zone.c: frames, their counts and contents, the LRU. */
#include "soft.h"

#include "frame/page.h"

#define BLOCK MMUN_SOFT_HUGE_PAGES

static struct mmun_soft *machine(size_t pages)
{
	const struct mmun_soft_params params = { .memory = pages * PAGE };

	return soft_machine(&params);
}

static void machine_ends(struct mmun_soft *soft)
{
	is(mmun_soft_destroy(soft), 0, "the machine can go");
}

static unsigned long out_of_memory(struct mmun_soft *soft)
{
	struct mmun_soft_stats stats;

	mmun_soft_stats(soft, &stats);
	return stats.out_of_memory;
}

static struct page *must(struct page *page)
{
	if (!page)
		bail_out("no frame");
	return page;
}

static bool filled_with(const struct page *page, unsigned char byte)
{
	const unsigned char *bytes = mmun_soft_page_address(page);
	size_t i = 0;

	while (i < PAGE && bytes[i] == byte)
		i++;
	return i == PAGE;
}

static void test_zone(void)
{
	struct mmun_soft *soft = machine(3 * BLOCK / 2);
	struct mmun_soft_stats stats;
	struct page *zero = mmun_soft_zero_page(soft);

	mmun_soft_stats(soft, &stats);
	is(stats.frames, 3 * BLOCK / 2, "all memory is frames");
	is(stats.frames_free, 3 * BLOCK / 2, "all of them free");
	is((uintptr_t)mmun_soft_page_address(mmun_soft_pfn_page(soft, 0)) % MMUN_SOFT_HUGE_SIZE, 0,
	   "the first one starts a huge page of the host");
	ok(filled_with(zero, 0), "the zero page is zero");
	mmun_soft_put_page(zero);
	mmun_soft_put_page(zero);
	ok(mmun_soft_page_tryget(zero) && filled_with(zero, 0), "and is not counted");
	ok(mmun_soft_pfn_page(soft, mmun_soft_page_pfn(zero)) == zero, "it has a number");
	ok(!mmun_soft_pfn_page(soft, 3 * BLOCK / 2 + 1), "a number beyond it is nobody's");
	machine_ends(soft);
}

static void test_lifetime(void)
{
	struct mmun_soft *soft = machine(16);
	struct page *page = must(mmun_soft_alloc_page(soft));
	unsigned long generation = page->generation, pfn = mmun_soft_page_pfn(page);

	is(page->refcount, 1, "a new frame has one reference");
	ok(filled_with(page, 0), "zeroed, if asked for");
	is(soft_free_frames(soft), 15, "and is not free");
	mmun_soft_get_page(page);
	mmun_soft_put_page(page);
	is(page->generation, generation, "as long as somebody has it, it stays what it is");
	mmun_soft_put_page(page);
	is(page->generation, generation + 1, "the last put makes a new generation");
	ok(filled_with(page, MMUN_SOFT_POISON), "a freed frame reads as poison");
	ok(page->flags == SOFT_PAGE_FREE && soft_free_frames(soft) == 16, "and is free");
	ok(!mmun_soft_page_tryget(page), "nobody gets a reference to it");
	page = must(mmun_soft_alloc_page(soft));
	ok(mmun_soft_page_pfn(page) == pfn && filled_with(page, 0), "used again, it is zeroed");
	mmun_soft_put_page(page);
	machine_ends(soft);
}

static void test_freeze(void)
{
	struct mmun_soft *soft = machine(16);
	struct page *page = must(mmun_soft_page_alloc(soft));

	mmun_soft_get_page(page);
	ok(!mmun_soft_page_freeze(page, 1), "a page with a reference too many does not freeze");
	ok(mmun_soft_page_freeze(page, 2), "with the expected number it does");
	ok(!mmun_soft_page_tryget(page), "then nobody gets one");
	mmun_soft_page_unfreeze(page, 2);
	ok(mmun_soft_page_tryget(page), "until it thaws");
	is(page->refcount, 3, "with the count it had");
	mmun_soft_page_lock(page);
	ok(mmun_soft_page_freeze(page, 3), "frozen and locked");
	mmun_soft_page_free_frozen(page);
	ok(page->flags == SOFT_PAGE_FREE && soft_free_frames(soft) == 16, "it is freed as it is");
	machine_ends(soft);
}

static void test_blocks(void)
{
	struct mmun_soft *soft = machine(2 * BLOCK + 16);
	struct page *single[BLOCK + 1], *huge;
	unsigned long i;

	single[0] = must(mmun_soft_page_alloc(soft));
	for (i = 1; i < BLOCK; i++)
		single[i] = must(mmun_soft_page_alloc(soft));
	huge = mmun_soft_page_alloc_huge(soft);
	ok(huge, "single frames come from broken blocks: a whole one is left");
	is(mmun_soft_page_pfn(huge) % BLOCK, 0, "a huge page is aligned");
	ok(huge[0].refcount == 1 && huge[BLOCK - 1].refcount == 1, "each part has a reference");
	ok(filled_with(huge, 0) && filled_with(huge + BLOCK - 1, 0), "and is zeroed");
	ok(!mmun_soft_page_alloc_huge(soft), "no other whole block: no other huge page");
	is(soft_free_frames(soft), 16, "though frames are left");
	for (i = 0; i < BLOCK; i++)
		mmun_soft_put_page(single[i]);
	for (i = 0; i < BLOCK; i++)
		mmun_soft_put_page(huge + i);
	is(soft_free_frames(soft), 2 * BLOCK + 16, "freed one by one");
	huge = mmun_soft_page_alloc_huge(soft);
	ok(huge && mmun_soft_page_alloc_huge(soft), "frames make whole blocks again");
	mmun_soft_destroy(soft);
}

static void test_below(void)
{
	struct mmun_soft *soft = machine(2 * BLOCK);
	struct page *low = must(mmun_soft_page_alloc_below(soft, 2 * BLOCK)), *next;

	is(mmun_soft_page_pfn(low), 0, "the lowest free frame");
	next = must(mmun_soft_page_alloc_below(soft, 2));
	is(mmun_soft_page_pfn(next), 1, "then the next");
	ok(!mmun_soft_page_alloc_below(soft, 2), "none below what is asked for: none");
	is(soft_free_frames(soft), 2 * BLOCK - 2, "and none taken");
	mmun_soft_put_page(low);
	low = must(mmun_soft_page_alloc_below(soft, 1));
	is(mmun_soft_page_pfn(low), 0, "a freed one is found again");
	mmun_soft_put_page(low);
	mmun_soft_put_page(next);
	machine_ends(soft);
}

static void test_exhaustion(void)
{
	struct mmun_soft *soft = machine(16);
	struct page *page[16];

	for (int i = 0; i < 16; i++)
		page[i] = must(mmun_soft_page_alloc_nowait(soft));
	ok(!mmun_soft_page_alloc_nowait(soft), "no frame left");
	is(out_of_memory(soft), 0, "what does not wait does not count");
	ok(!mmun_soft_page_alloc(soft) && !mmun_soft_alloc_page(soft),
	   "nothing to reclaim: no frame");
	is(out_of_memory(soft), 2, "and that counts");
	for (int i = 0; i < 16; i++)
		mmun_soft_put_page(page[i]);
	fail_allocation(1);
	ok(!mmun_soft_page_alloc(soft), "an injected failure of a frame");
	fail_allocation(1);
	ok(!mmun_soft_page_alloc_nowait(soft), "of one without reclaim");
	fail_allocation(1);
	ok(!mmun_soft_page_alloc_below(soft, 16), "of one for compaction");
	fail_allocation(1);
	ok(!mmun_soft_page_alloc_huge(soft), "of a huge one");
	fail_allocation(0);
	is(soft_free_frames(soft), 16, "nothing was taken");
	machine_ends(soft);
}

static void test_allocation_reclaims(void)
{
	struct mmun_soft *soft = machine(32);
	struct file *file = soft_new_file(soft, "big", MMUN_SOFT_FILE_REGULAR, 128);
	unsigned long value, wrong = 0;

	for (unsigned long i = 0; i < 128; i++) {
		value = i + 1;
		wrong += mmun_soft_pwrite(file, &value, sizeof(value), i * PAGE) != sizeof(value);
	}
	for (unsigned long i = 0; i < 128; i++) {
		wrong += mmun_soft_pread(file, &value, sizeof(value), i * PAGE) != sizeof(value);
		wrong += value != i + 1;
	}
	is(wrong, 0, "a file four times as large as memory goes through it");
	is(out_of_memory(soft), 0, "for an allocation reclaims");
	mmun_soft_file_put(file);
	machine_ends(soft);
}

static void test_creation_fails(void)
{
	const struct mmun_soft_params params = { .memory = 16 * PAGE, .swap = 16 * PAGE };
	long live = mmun_alloc_live(), nth = 0;
	struct mmun_soft *soft;
	int ret, wrong = 0;

	do {
		fail_allocation(++nth);
		ret = mmun_soft_create(&params, &soft);
		fail_allocation(0);
		wrong += ret && (ret != -ENOMEM || mmun_alloc_live() != live);
	} while (ret && nth < 100);
	ok(!wrong && nth > 4, "each failing allocation of a new machine leaves nothing (%ld)",
	   nth - 1);
	machine_ends(soft);
	is(mmun_alloc_live(), live, "nor does its end");
}

static void test_contents(void)
{
	struct mmun_soft *soft = machine(16);
	struct page *a = must(mmun_soft_alloc_page(soft));
	struct page *b = must(mmun_soft_alloc_page(soft));
	char in[64], out[64], *bytes = mmun_soft_page_address(a);
	int wrong = 0;

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (char)(i + 1);
	for (size_t at = 0; at < 16; at++) {
		for (size_t length = 0; length <= 24; length++) {
			memset(bytes, 0, 64);
			memset(out, 0, sizeof(out));
			mmun_soft_copy_in(bytes + at, in + 3, length);
			wrong += memcmp(bytes + at, in + 3, length) || bytes[at + length];
			wrong += at && bytes[at - 1];
			mmun_soft_copy_out(out + 5, bytes + at, length);
			wrong += memcmp(out + 5, in + 3, length) || out[5 + length] || out[4];
		}
	}
	is(wrong, 0, "copies of any length at any place are exact");
	ok(!mmun_soft_same_contents(a, b), "pages that differ in a byte are not the same");
	mmun_soft_copy_page(b, a);
	ok(mmun_soft_same_contents(a, b), "a copied page is");
	mmun_soft_put_page(a);
	mmun_soft_put_page(b);
	machine_ends(soft);
}

static struct page *shared_page;
static long inside, together, rounds_left, waiting;

static void *locker(void *arg)
{
	while (mmun_sub_full(&rounds_left, 1) >= 0) {
		mmun_soft_page_lock(shared_page);
		if (mmun_add_full(&inside, 1) != 1)
			count(&together);
		soft_page_set(shared_page, SOFT_PAGE_REFERENCED);
		(void)mmun_sub_full(&inside, 1);
		mmun_soft_page_unlock(shared_page);
	}
	return NULL;
}

static void *sleeper(void *arg)
{
	mmun_store_full(&waiting, 1);
	mmun_soft_page_lock(shared_page);
	mmun_store_full(&waiting, 2);
	mmun_soft_page_unlock(shared_page);
	return NULL;
}

static void test_page_lock(void)
{
	struct mmun_soft *soft = machine(16);
	pthread_t threads[3];

	shared_page = must(mmun_soft_page_alloc(soft));
	rounds_left = 30000;
	for (int i = 0; i < 3; i++)
		threads[i] = spawn(locker, NULL);
	for (int i = 0; i < 1000; i++)
		soft_page_clear(shared_page, SOFT_PAGE_REFERENCED);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	is(together, 0, "the page lock has one holder at a time");
	ok(!(shared_page->flags & (SOFT_PAGE_LOCKED | SOFT_PAGE_WAITERS)), "and leaves no trace");

	ok(mmun_soft_page_trylock(shared_page), "a free one can be tried");
	ok(!mmun_soft_page_trylock(shared_page), "a taken one cannot");
	threads[0] = spawn(sleeper, NULL);
	wait_until_set(&waiting);
	for (int i = 0; i < 100; i++) {
		soft_page_set(shared_page, SOFT_PAGE_DIRTY);
		soft_page_clear(shared_page, SOFT_PAGE_DIRTY);
	}
	let_others_run();
	is(waiting, 1, "a waiter for it sleeps, also while other flags change");
	mmun_soft_page_unlock(shared_page);
	pthread_join(threads[0], NULL);
	is(waiting, 2, "and is woken");
	mmun_soft_put_page(shared_page);
	machine_ends(soft);
}

static void test_lru(void)
{
	struct mmun_soft *soft = machine(16);
	struct page *a = must(mmun_soft_page_alloc(soft));
	struct page *b = must(mmun_soft_page_alloc(soft));
	struct page *c = must(mmun_soft_page_alloc(soft));

	mmun_soft_lru_add(a);
	mmun_soft_lru_add(b);
	mmun_soft_lru_add(c);
	mmun_soft_lru_add(c);
	mmun_soft_lru_add(mmun_soft_zero_page(soft));
	is(mmun_soft_lru_size(soft), 3, "each page is on it once, the zero page never");
	ok(mmun_soft_lru_isolate_oldest(soft) == a && a->refcount == 2,
	   "the oldest is taken with a reference");
	ok(!mmun_soft_lru_isolate(a), "once");
	mmun_soft_lru_putback(a, false);
	mmun_soft_put_page(a);
	ok(mmun_soft_lru_isolate_oldest(soft) == a, "put back as old, it is the oldest again");
	mmun_soft_lru_putback(a, true);
	mmun_soft_put_page(a);
	ok(mmun_soft_lru_isolate(b) && b->refcount == 1,
	   "one is taken by name without a reference");
	mmun_soft_put_page(c);
	ok(mmun_soft_lru_isolate_oldest(soft) == a, "a freed page is off it");
	mmun_soft_put_page(a);
	ok(!mmun_soft_lru_isolate_oldest(soft) && !mmun_soft_lru_size(soft), "it is empty then");
	mmun_soft_lru_add(a);
	ok(mmun_soft_page_freeze(a, 1) && !mmun_soft_lru_isolate_oldest(soft),
	   "a page without references is left alone");
	mmun_soft_page_free_frozen(a);
	mmun_soft_put_page(b);
	is(mmun_soft_lru_size(soft), 0, "and leaves it when it is freed");
	machine_ends(soft);
}

static struct mmun_soft *busy;

/* Pages come and go, some on the LRU, where the other thread takes them off. */
static void *user(void *arg)
{
	struct page *pages[8] = { NULL };

	for (int i = 0; i < 20000; i++) {
		struct page **slot = &pages[i % 8];

		if (*slot)
			mmun_soft_put_page(*slot);
		*slot = i % 3 ? mmun_soft_page_alloc_nowait(busy) : NULL;
		if (*slot && i % 2)
			mmun_soft_lru_add(*slot);
	}
	for (int i = 0; i < 8; i++) {
		if (pages[i])
			mmun_soft_put_page(pages[i]);
	}
	return NULL;
}

static void *taker(void *arg)
{
	struct page *page;

	for (int i = 0; i < 20000; i++) {
		page = mmun_soft_lru_isolate_oldest(busy);
		if (!page)
			continue;
		if (i % 2)
			mmun_soft_lru_putback(page, i % 4 == 1);
		mmun_soft_put_page(page);
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t threads[3];

	busy = machine(32);
	threads[0] = spawn(user, NULL);
	threads[1] = spawn(user, NULL);
	threads[2] = spawn(taker, NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	is(soft_free_frames(busy), 32,
	   "allocated, isolated and freed at once: all frames come back");
	is(mmun_soft_lru_size(busy), 0, "none stays on the LRU");
	machine_ends(busy);
}

int main(void)
{
	test_zone();
	test_lifetime();
	test_freeze();
	test_blocks();
	test_below();
	test_exhaustion();
	test_allocation_reclaims();
	test_creation_fails();
	test_contents();
	test_page_lock();
	test_lru();
	test_threads();
	return tap_done();
}
