/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When registrations end, and in which thread: puts, the reaper, the owner, the end of a cache and of the memory. */
#include "device.h"

#define LATE_TRIES 5

static unsigned long at;

static void *put_there(void *arg)
{
	put(arg);
	return NULL;
}

static void *get_there(void *arg)
{
	*(struct region **)arg = must_get(at, PAGE, RW);
	return NULL;
}

static void test_other_threads(void)
{
	struct region *region, *theirs = NULL;

	begin();
	at = world_map(WORLD_PRIVATE, 2);
	region = must_get(at, PAGE, RW);
	in_thread(put_there, region);
	in_thread(get_there, &theirs);
	ok(theirs == region, "another thread finds the same");
	mmun_rcache_invalidate(cache, at, at + PAGE);
	is(mmun_rcache_progress(cache), 0, "what a thread holds that has ended is in use");
	put(theirs);
	is(mmun_rcache_progress(cache), 1, "until somebody puts it");
	region = must_get(at, PAGE, RW);
	mmun_rcache_invalidate(cache, at, at + PAGE);
	in_thread(put_there, region);
	is(mmun_rcache_progress(cache), 1, "a put in another thread is one");
	end("other threads");
}

/* Threads that come and go, some of which leave their puts to the others. */
static struct region *held[64];

static void *come_and_go(void *arg)
{
	unsigned long i = (unsigned long)arg;

	for (unsigned long n = 0; n < 64; n++)
		touch(at + (i + n) % 64 * PAGE, PAGE, RW);
	held[i] = must_get(at + i * PAGE, PAGE, RW);
	if (i % 3 == 0)
		put(held[i]);
	return NULL;
}

static void test_many_threads(void)
{
	struct thread *threads[64];

	begin();
	at = world_map(WORLD_PRIVATE, 64);
	for (int round = 0; round < 3; round++) {
		for (unsigned long i = 0; i < 64; i++)
			threads[i] = spawn(come_and_go, (void *)i);
		for (unsigned long i = 0; i < 64; i++)
			join(threads[i]);
		mmun_rcache_invalidate(cache, at, at + 64 * PAGE);
		mmun_rcache_progress(cache);
		is(live(), 42, "what 42 threads left behind is in use");
		for (unsigned long i = 0; i < 64; i++) {
			if (i % 3)
				put(held[i]);
		}
		mmun_rcache_progress(cache);
		is(live(), 0, "until it is put");
	}
	end("many threads");
}

/* How long until nothing is registered any more, at most five seconds. */
static double wait_for_nothing(void)
{
	double start = now_ms();

	while (live() && now_ms() - start < 5000)
		usleep(2000);
	return now_ms() - start;
}

static void test_reaper(void)
{
	struct region *region;
	double best = 1e9;

	begin_with((struct mmun_rcache_options){ 0 });
	for (int try = 0; try < LATE_TRIES && best > MMUN_RCACHE_LATE_MS; try++) {
		double ms;

		at = world_map(WORLD_PRIVATE, 32);
		for (unsigned long i = 0; i < 32; i++)
			touch(at + i * PAGE, PAGE, RW);
		world_unmap(at, 32);
		ms = wait_for_nothing();
		best = ms < best ? ms : best;
	}
	ok(best <= MMUN_RCACHE_LATE_MS, "an idle process deregisters what is unmapped in %.0f ms",
	   best);
	is(live(), 0, "all of it");
	ok(stats().reaper, "by a thread of the cache's own");
	at = world_map(WORLD_PRIVATE, 1);
	region = must_get(at, PAGE, RW);
	world_unmap(at, 1);
	usleep(2 * MMUN_RCACHE_LATE_MS * 1000);
	is(live(), 1, "what is in use stays");
	put(region);
	ok(wait_for_nothing() < 5000, "and goes after its put, of which nobody else hears");
	end("reaper");
}

/* Signals of the process are for the program's threads. */
static void test_reaper_signals(void)
{
	sigset_t set, old, pending;

	if (THREAD_SANITIZED && world_is_self) {
		skip("the reaper's signals", "threads of other tests are there, and take them");
		return;
	}
	begin_with((struct mmun_rcache_options){ 0 });
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	kill(getpid(), SIGUSR1);
	usleep(20000);
	sigpending(&pending);
	ok(sigismember(&pending, SIGUSR1), "the thread takes no signal of the process");
	signal(SIGUSR1, SIG_IGN);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	signal(SIGUSR1, SIG_DFL);
	end("reaper's signals");
}

static void test_late_bytes(void)
{
	begin_with((struct mmun_rcache_options){ .flags = MMUN_RCACHE_NO_REAPER,
						 .late_bytes = 8 * PAGE });
	at = world_map(WORLD_PRIVATE, 32);
	for (unsigned long i = 0; i < 32; i++)
		touch(at + i * PAGE, PAGE, RW);
	world_unmap(at, 4);
	for (int i = 0; i < 10; i++)
		touch(at + 31 * PAGE, PAGE, RW);
	is(load(&device.deregistered), 0, "few bytes may wait");
	world_unmap(at + 4 * PAGE, 16);
	is(load(&device.deregistered), 0, "no change of memory deregisters");
	for (int i = 0; i < 10; i++)
		touch(at + 31 * PAGE, PAGE, RW);
	touch(at + 30 * PAGE, 2 * PAGE, RW);
	is(load(&device.deregistered), 20, "many are deregistered by a get that may");
	end("late bytes");
}

/* Results of a thread that is not the owner. */
static struct {
	long hit, miss, uncached, flush, progress, destroy;
} theirs;

static void *stranger(void *arg)
{
	theirs.hit = touch(at, PAGE, RW);
	theirs.miss = touch(at + PAGE, PAGE, RW);
	theirs.uncached = touch(at + PAGE, PAGE, RW | MMUN_RCACHE_UNCACHED);
	theirs.flush = mmun_rcache_flush(cache);
	theirs.progress = mmun_rcache_progress(cache);
	theirs.destroy = mmun_rcache_destroy(cache);
	return NULL;
}

static void *become_owner(void *arg)
{
	mmun_rcache_own(cache);
	theirs.miss = touch(at + PAGE, PAGE, RW);
	theirs.progress = mmun_rcache_progress(cache);
	return NULL;
}

static void test_owner(void)
{
	struct region *region;

	begin_with((struct mmun_rcache_options){ .flags = MMUN_RCACHE_OWNED });
	ok(!stats().reaper, "an owned cache has no thread");
	at = world_map(WORLD_PRIVATE, 4);
	touch(at + 3 * PAGE, PAGE, RW);
	mmun_rcache_invalidate(cache, at + 3 * PAGE, at + 4 * PAGE);
	is(touch(at, PAGE, RW), 2, "its owner makes registrations");
	in_thread(stranger, NULL);
	is(theirs.hit, 2, "others find them");
	is(theirs.miss, -EPERM, "make none");
	is(theirs.uncached, -EPERM, "not for one use either");
	is(theirs.flush, -EPERM, "flush nothing");
	is(theirs.progress, -EPERM, "deregister nothing");
	is(theirs.destroy, -EPERM, "and do not destroy it");
	is(mmun_rcache_progress(cache), 1, "the owner deregisters");
	region = must_get(at, PAGE, RW);
	mmun_rcache_invalidate(cache, at, at + PAGE);
	in_thread(put_there, region);
	is(load(&device.deregistered), 1, "their put deregisters nothing");
	is(mmun_rcache_progress(cache), 1, "the owner does");
	ok(pthread_equal(device.deregistered_by, pthread_self()), "in its thread");
	in_thread(become_owner, NULL);
	is(theirs.miss, 3, "a thread that becomes the owner makes registrations");
	is(theirs.progress, 0, "and progress");
	is(touch(at + 2 * PAGE, PAGE, RW), -EPERM, "the one that was cannot");
	mmun_rcache_own(cache);
	is(touch(at + 2 * PAGE, PAGE, RW), 4, "until it is again");
	end("owner");
}

static void test_destroy_in_use(void)
{
	struct region *used;

	begin_with((struct mmun_rcache_options){ 0 });
	at = world_map(WORLD_PRIVATE, 4);
	touch(at, PAGE, RW);
	touch(at + PAGE, PAGE, RW);
	used = must_get(at + 2 * PAGE, PAGE, RW);
	is(mmun_rcache_destroy(cache), -EBUSY, "a cache in use does not go");
	is(load(&device.deregistered), 2, "what is not in use does");
	is(device_load(used, at + 2 * PAGE), world_load(at + 2 * PAGE), "what is works");
	is(touch(at + 2 * PAGE, PAGE, RW), -ESRCH, "gets fail");
	ok(!is_cached(at, PAGE, RW), "every kind");
	is(touch(at, PAGE, RW | MMUN_RCACHE_UNCACHED), -ESRCH, "of them");
	is(mmun_rcache_destroy(cache), -EBUSY, "it still is");
	put(used);
	end("destroy in use");
}

/* No registration survives a cache, nor does memory of its own. */
static void test_create_and_destroy(void)
{
	begin();
	at = world_map(WORLD_PRIVATE, 4);
	for (int i = 0; i < 50; i++) {
		struct mmun_rcache *other = new_cache(
			(struct mmun_rcache_options){ .flags = i % 2 ? MMUN_RCACHE_NO_REAPER : 0 });

		touch_in(other, at, PAGE, RW);
		if (mmun_rcache_destroy(other))
			break;
	}
	is(live(), 0, "caches come and go");
	end("create and destroy");
}

static void test_most_caches(void)
{
	struct mmun_rcache_options options = { .flags = MMUN_RCACHE_NO_REAPER,
					       .limits.regions = 16,
					       .registration_size = sizeof(struct region) };
	static struct mmun_rcache *caches[MMUN_RCACHE_MAX_CACHES];
	int nr = 0, ret = 0;

	begin();
	at = world_map(WORLD_PRIVATE, 1);
	while (nr < MMUN_RCACHE_MAX_CACHES && !ret)
		ret = mmun_rcache_create(world_mm(), &device_ops, NULL, &options, &caches[nr++]);
	is(ret, -ENOSPC, "no more caches than there may be");
	is(nr, MMUN_RCACHE_MAX_CACHES, "with the one that was there before");
	ok(touch_in(caches[nr - 2], at, PAGE, RW) > 0, "the last one works");
	for (int i = 0; i < nr - 1; i++)
		mmun_rcache_destroy(caches[i]);
	end("most caches");
}

/* The address space ends first. */
static void test_exit(void)
{
	struct mmun_soft *machine;
	struct mm_struct *mm;
	struct mmun_rcache *of_it;
	struct region *used;

	begin();
	if (mmun_soft_create(NULL, &machine) || mmun_soft_mm_create(machine, &mm))
		bail_out("no address space");
	device.hollow = true;
	of_it = new_cache_of(mm, (struct mmun_rcache_options){ 0 });
	used = must_get_from(of_it, PAGE, PAGE, RW);
	touch_in(of_it, 2 * PAGE, PAGE, RW);
	mmput(mm);
	is(touch_in(of_it, 2 * PAGE, PAGE, RW), -ESRCH, "nothing is got of memory that has ended");
	ok(touch_in(of_it, PAGE, PAGE, RW | MMUN_RCACHE_CACHED) < 0, "nor hit");
	is(touch_in(of_it, 5 * PAGE, PAGE, RW | MMUN_RCACHE_UNCACHED), -ESRCH, "nor uncached");
	is(mmun_rcache_destroy(of_it), -EBUSY, "what is in use keeps the cache");
	put_to(of_it, used);
	is(mmun_rcache_destroy(of_it), 0, "until its put");
	is(live(), 0, "all was deregistered");
	is(mmun_soft_destroy(machine), 0, "the machine goes");
	end("exit");
}

int main(void)
{
	test_other_threads();
	test_many_threads();
	test_reaper();
	test_reaper_signals();
	test_late_bytes();
	test_owner();
	test_destroy_in_use();
	test_create_and_destroy();
	test_most_caches();
	test_exit();
	return tap_done();
}
