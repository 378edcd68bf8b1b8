/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Each allocation of the cache fails once: an error that is said, nothing lost, and it works later. */
#include "cache.h"
#include "fake.h"

#define PAGE 4096ul
#define BASE (1ul << 40)
#define RW   (MMUN_RCACHE_READ | MMUN_RCACHE_WRITE)
#define MANY 2000ul
/* What a cache leaves in debug mode, to say what is wrong with a late put. */
#ifdef MMUN_DEBUG
#define LEFT 1
#else
#define LEFT 0
#endif

static struct fake fake;
static struct mm_struct *mm;
static long registered, deregistered;

static int reg_memory(void *arg, struct mmun_registration *reg)
{
	count(&registered);
	return 0;
}

static void dereg_memory(void *arg, struct mmun_registration *reg)
{
	count(&deregistered);
}

static const struct mmun_rcache_ops ops = { .register_memory = reg_memory,
					    .deregister_memory = dereg_memory };
static const struct mmun_rcache_options options = { .flags = MMUN_RCACHE_NO_REAPER };

static long live(void)
{
	return registered - deregistered;
}

static long touch(struct mmun_rcache *cache, unsigned long page)
{
	struct mmun_registration *reg = mmun_rcache_get(cache, BASE + page * PAGE, PAGE, RW);

	if (mmun_is_err(reg))
		return mmun_ptr_err(reg);
	mmun_rcache_put(cache, reg);
	return 0;
}

static struct mmun_rcache *create(void)
{
	struct mmun_rcache *cache;

	if (mmun_rcache_create(mm, &ops, NULL, &options, &cache))
		bail_out("no cache");
	return cache;
}

/* What the process and its threads keep is there from the first cache on. */
static void test_create(void)
{
	struct mmun_rcache *cache = create();
	long blocks, nth, failed = 0;
	int ret = 0;

	touch(cache, 0);
	mmun_rcache_destroy(cache);
	blocks = mmun_alloc_live();
	for (nth = 1; nth < 100; nth++) {
		fail_allocation(nth);
		ret = mmun_rcache_create(mm, &ops, NULL, &options, &cache);
		fail_allocation(0);
		if (!ret)
			break;
		failed++;
		is(ret, -ENOMEM, "allocation %ld of a creation fails", nth);
		is(mmun_alloc_live(), blocks, "and leaves nothing");
	}
	ok(!ret && failed > 1, "then it succeeds");
	is(touch(cache, 0), 0, "and works");
	is(mmun_rcache_destroy(cache), 0, "and goes");
	is(mmun_alloc_live(), blocks + LEFT, "and leaves nothing that it does not need");
}

/* A miss that fails or is not kept, wherever there was no memory. */
static void test_get(void)
{
	struct mmun_rcache *cache = create();
	long ret, nth, failed = 0;

	for (nth = 1; nth < 20; nth++) {
		allocations = 0;
		fail_allocation(nth);
		ret = touch(cache, 1);
		fail_allocation(0);
		if (allocations < nth)
			break;
		failed += ret == -ENOMEM;
		ok(ret == 0 || ret == -ENOMEM, "allocation %ld of a get fails", nth);
	}
	ok(failed > 0, "some were refused for it");
	is(ret, 0, "then it succeeds");
	is(mmun_rcache_destroy(cache), 0, "the cache goes");
	is(live(), 0, "with all registrations");
}

/* The table cannot grow: what does not find room is for one use. */
static void test_rebuild(void)
{
	struct mmun_rcache *cache = create();
	struct mmun_rcache_stats stats;
	unsigned long failed = 0, found = 0;

	touch(cache, MANY);
	for (unsigned long i = 0; i < MANY; i++) {
		fail_allocation(1);
		failed += touch(cache, i) != 0;
		fail_allocation(0);
	}
	mmun_rcache_stats(cache, &stats);
	is(failed, 0, "without memory for a larger table every get succeeds");
	ok(stats.uncached > 0 && stats.regions > 0, "some for one use (%lu of %lu)", stats.uncached,
	   MANY);
	for (unsigned long i = 0; i <= MANY; i++)
		found += touch(cache, i) == 0;
	is(found, MANY + 1, "with memory they are made");
	mmun_rcache_stats(cache, &stats);
	is(stats.regions, MANY + 1, "and kept");
	is(mmun_rcache_destroy(cache), 0, "the cache goes");
	is(live(), 0, "with all registrations");
}

/* A thread without memory for cells can end what others have begun. */
static struct mmun_rcache *shared;

static void *put_there(void *arg)
{
	fail_allocation(1);
	mmun_rcache_put(shared, arg);
	fail_allocation(0);
	return NULL;
}

static void *get_there(void *arg)
{
	fail_allocation(1);
	*(long *)arg = touch(shared, 7);
	fail_allocation(0);
	return NULL;
}

static void test_threads(void)
{
	struct mmun_registration *reg;
	long ret = 1;

	shared = create();
	reg = mmun_rcache_get(shared, BASE, PAGE, RW);
	pthread_join(spawn(put_there, reg), NULL);
	mmun_rcache_invalidate(shared, BASE, BASE + PAGE);
	is(mmun_rcache_progress(shared), 1, "a put without memory is one");
	pthread_join(spawn(get_there, &ret), NULL);
	ok(ret == 0 || ret == -ENOMEM, "a get without memory says so, or works");
	is(mmun_rcache_destroy(shared), 0, "the cache goes");
	is(live(), 0, "with all registrations");
}

static void in_child(void *arg)
{
	long nth, ret = -1;

	for (nth = 1; nth < 100 && ret; nth++) {
		fail_allocation(nth);
		ret = touch(shared, 3);
		fail_allocation(0);
		if (ret && ret != -ENOMEM)
			abort();
	}
	if (ret || nth < 3 || mmun_rcache_destroy(shared))
		abort();
}

static void test_child(void)
{
	char text[1000];

	shared = create();
	touch(shared, 3);
	ok(exited_well(run_in_child(in_child, NULL, text, sizeof(text))),
	   "a child whose allocations fail one after the other uses it in the end");
	is(touch(shared, 3), 0, "its parent always can");
	is(mmun_rcache_destroy(shared), 0, "the cache goes");
}

int main(void)
{
	mm = fake_mm(&fake);
	test_create();
	test_get();
	test_rebuild();
	test_threads();
	test_child();
	mmput(mm);
	return tap_done();
}
