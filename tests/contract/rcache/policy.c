/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Limits, eviction, a backend that refuses, merging. */
#include "device.h"

static unsigned long at;

static void begin_limited(struct mmun_rcache_limits limits)
{
	begin_with(
		(struct mmun_rcache_options){ .flags = MMUN_RCACHE_NO_REAPER, .limits = limits });
	at = world_map(WORLD_PRIVATE, 64);
}

static unsigned long page(unsigned long n)
{
	return at + n * PAGE;
}

static void test_regions(void)
{
	struct region *used[4];
	long most = 0;

	begin_limited((struct mmun_rcache_limits){ .regions = 4 });
	for (unsigned long i = 0; i < 64; i++) {
		if (touch(page(i), PAGE, RW) < 0)
			break;
		most = live() > most ? live() : most;
		if (i == 63)
			ok(true, "64 pages go through a cache of four");
	}
	ok(most <= 4, "of which no more are registered at once (%ld)", most);
	is(stats().evictions, 60, "each but the last four gave way");
	for (unsigned long i = 0; i < 4; i++)
		used[i] = must_get(page(i), PAGE, RW);
	is(touch(page(9), PAGE, RW), -EAGAIN, "when all are in use another is refused");
	ok(stats().refused >= 1, "which was counted");
	ok(is_cached(page(1), PAGE, RW), "those in use can be had");
	put(used[2]);
	ok(touch(page(9), PAGE, RW) > 0, "after a put there is room");
	ok(!is_cached(page(2), PAGE, RW), "its own");
	put(used[0]);
	put(used[1]);
	put(used[3]);
	end("regions");
}

static void test_bytes(void)
{
	struct region *used;
	long most = 0;

	begin_limited((struct mmun_rcache_limits){ .bytes = 8 * PAGE });
	for (unsigned long i = 0; i + 3 <= 64; i += 3) {
		touch(page(i), 3 * PAGE, RW);
		most = stats().bytes > (unsigned long)most ? (long)stats().bytes : most;
	}
	ok(most <= 8 * (long)PAGE, "no more bytes than the limit (%ld)", most);
	ok(most >= 6 * (long)PAGE, "and not much less");
	used = must_get(page(0), 6 * PAGE, RW);
	is(touch(page(10), 3 * PAGE, RW), -EAGAIN, "beside six pages in use three are too many");
	ok(touch(page(10), 2 * PAGE, RW) > 0, "two are not");
	put(used);
	end("bytes");
}

static void test_length(void)
{
	begin_limited((struct mmun_rcache_limits){ .length = 4 * PAGE });
	ok(touch(page(0), 4 * PAGE, RW) > 0, "as long as the limit");
	is(touch(page(0), 5 * PAGE, RW), -EMSGSIZE, "longer");
	is(touch(page(0) + 1, 4 * PAGE, RW), -EMSGSIZE, "longer by what lies around it");
	is(touch(page(0), 5 * PAGE, RW | MMUN_RCACHE_UNCACHED), -EMSGSIZE, "uncached");
	is(load(&device.calls), 1, "the device was not asked");
	end("length");
}

static void test_backend_limits(void)
{
	struct mmun_rcache *other;

	begin();
	at = world_map(WORLD_PRIVATE, 64);
	device.limits = (struct mmun_rcache_limits){ .regions = 2, .length = 2 * PAGE };
	other = new_cache((struct mmun_rcache_options){ .flags = MMUN_RCACHE_NO_REAPER });
	for (unsigned long i = 0; i < 8; i++)
		touch_in(other, page(i), PAGE, RW);
	is(stats_of(other).regions, 2, "the device's limit of registrations holds");
	is(touch_in(other, page(0), 3 * PAGE, RW), -EMSGSIZE, "and of their length");
	mmun_rcache_destroy(other);
	end("backend's limits");
}

/* What is used again and again stays; what was used once goes. */
static void test_recency(void)
{
	unsigned long cold = 8;
	long before = 0;

	begin_limited((struct mmun_rcache_limits){ .regions = 8 });
	for (int round = 0; round < 40; round++) {
		if (round == 4)
			before = load(&device.registered);
		for (unsigned long i = 0; i < 4; i++)
			touch(page(i), PAGE, RW);
		touch(page(cold), PAGE, RW);
		cold = cold == 63 ? 8 : cold + 1;
	}
	is(load(&device.registered) - before, 36, "four that are in use again and again stay");
	end("recency");
}

static void test_process_limit(void)
{
	struct mmun_rcache *other;
	unsigned long total;

	begin();
	at = world_map(WORLD_PRIVATE, 64);
	other = new_cache((struct mmun_rcache_options){ .flags = MMUN_RCACHE_NO_REAPER });
	mmun_rcache_limit_process(6, 0);
	for (unsigned long i = 0; i < 10; i++) {
		touch(page(i), PAGE, RW);
		touch_in(other, page(i), PAGE, RW);
	}
	total = stats().regions + stats_of(other).regions;
	ok(total <= 6 && total >= 2, "six registrations in two caches together (%lu)", total);
	mmun_rcache_limit_process(0, 5 * PAGE);
	for (unsigned long i = 0; i < 10; i++) {
		touch(page(i), 2 * PAGE, RW);
		touch_in(other, page(i), PAGE, RW);
	}
	total = stats().bytes + stats_of(other).bytes;
	ok(total <= 5 * PAGE && total >= 2 * PAGE, "and five pages (%lu)", total / PAGE);
	mmun_rcache_limit_process(0, 0);
	for (unsigned long i = 0; i < 20; i++)
		touch(page(i), PAGE, RW);
	ok(stats().regions >= 19, "without a limit there is none");
	mmun_rcache_destroy(other);
	end("process limits");
}

static void test_refusing_device(void)
{
	static const int mild[] = { ENOMEM, EAGAIN, ENOSPC, EDQUOT, ENFILE };
	struct region *used[4];
	long calls;

	for (size_t i = 0; i < sizeof(mild) / sizeof(mild[0]); i++) {
		begin_limited((struct mmun_rcache_limits){ 0 });
		device.error = -mild[i];
		device.room = 3;
		for (unsigned long n = 0; n < 9; n++)
			calls = touch(page(n), PAGE, RW);
		is(calls, 9, "error %d: idle ones give way", mild[i]);
		ok(live() <= 3, "and no more are registered than the device permits");
		for (unsigned long n = 0; n < 3; n++)
			used[n] = must_get(page(n), PAGE, RW);
		calls = load(&device.calls);
		is(touch(page(9), PAGE, RW), -mild[i], "when all are in use the error is returned");
		ok(load(&device.calls) - calls < 20, "after few tries (%ld)",
		   load(&device.calls) - calls);
		for (unsigned long n = 0; n < 3; n++)
			put(used[n]);
		end("refusing device");
	}
	begin_limited((struct mmun_rcache_limits){ 0 });
	touch(page(0), PAGE, RW);
	device.error = -EPERM;
	device.failures = 1;
	is(touch(page(1), PAGE, RW), -EPERM, "another error is returned at once");
	is(load(&device.calls), 2, "after one try");
	ok(is_cached(page(0), PAGE, RW), "and nothing gave way");
	device.error = -ENOMEM;
	device.failures = -1;
	is(touch(page(1), PAGE, RW), -ENOMEM, "a device that has no memory at all");
	ok(load(&device.calls) < 30, "is not asked for ever (%ld)", load(&device.calls));
	end("failing device");
}

static void begin_merging(unsigned long pages)
{
	begin_with((struct mmun_rcache_options){ .flags = MMUN_RCACHE_NO_REAPER,
						 .merge = pages * PAGE });
	at = world_map(WORLD_PRIVATE, 64);
}

static void test_merge(void)
{
	struct region *region;

	begin_merging(8);
	touch(page(0), 2 * PAGE, READ);
	region = must_get(page(2), 2 * PAGE, WRITE);
	is(region->world.nic.reg.start, page(0), "what touches another takes its place");
	is(region->world.nic.reg.end, page(4), "with both ranges");
	is(region->world.nic.reg.access & RW, RW, "and rights");
	put(region);
	is(stats().merged, 1, "which was counted");
	is(touch(page(0), 4 * PAGE, RW), 2, "it is found");
	mmun_rcache_progress(cache);
	is(live(), 1, "and alone");
	is(touch(page(3), 3 * PAGE, RW), 3, "what overlaps another, too");
	is(touch(page(0), 6 * PAGE, RW), 3, "with all");
	is(touch(page(6), 3 * PAGE, RW), 4, "not what would be longer than eight pages");
	is(touch(page(0), 6 * PAGE, RW), 3, "both stay");
	is(touch(page(6), 3 * PAGE, RW), 4, "apart");
	touch(page(20), PAGE, RW);
	touch(page(22), PAGE, RW);
	region = must_get(page(21), PAGE, RW);
	is(region->world.nic.reg.end - region->world.nic.reg.start, 3 * PAGE,
	   "two neighbours at once");
	is(device_load(region, page(22)), world_load(page(22)), "which the device sees");
	world_map_at(page(20), WORLD_PRIVATE, 1);
	put(region);
	ok(!is_cached(page(22), PAGE, RW), "a change of one ends all");
	end("merge");
}

static void test_merge_in_use(void)
{
	struct region *used;

	begin_merging(8);
	used = must_get(page(0), 2 * PAGE, RW);
	is(touch(page(1), 3 * PAGE, RW), 2, "one takes the place of another that is in use");
	mmun_rcache_progress(cache);
	is(device_load(used, page(0)), world_load(page(0)), "which works until its put");
	put(used);
	mmun_rcache_progress(cache);
	is(live(), 1, "and goes then");
	is(touch(page(0), 4 * PAGE, RW), 2, "the merged one stays");
	end("merge in use");
}

/* What would be more than the limit drops nothing for a merge that cannot be. */
static void test_merge_and_bytes(void)
{
	begin_with((struct mmun_rcache_options){
		.flags = MMUN_RCACHE_NO_REAPER, .merge = 16 * PAGE, .limits.bytes = 5 * PAGE });
	at = world_map(WORLD_PRIVATE, 16);
	touch(page(0), 4 * PAGE, RW);
	touch(page(10), PAGE, RW);
	touch(page(4), 2 * PAGE, RW);
	ok(is_cached(page(4), 2 * PAGE, RW), "what is beside too much is registered alone");
	ok(is_cached(page(10), PAGE, RW), "and only takes the place of as much as it needs");
	is(stats().merged, 0, "which is no merge");
	end("merge and bytes");
}

static void test_merge_fails(void)
{
	struct region *region;

	begin_merging(8);
	touch(page(0), 2 * PAGE, RW);
	device.longest = 3 * PAGE;
	device.error = -EINVAL;
	region = must_get(page(2), 2 * PAGE, RW);
	is(region->world.nic.reg.end - region->world.nic.reg.start, 2 * PAGE,
	   "what cannot be merged is registered alone");
	put(region);
	is(touch(page(0), 2 * PAGE, RW), 1, "and the other one stays");
	is(stats().merged, 0, "nothing was merged");
	end("merge fails");
	begin();
	at = world_map(WORLD_PRIVATE, 8);
	touch(page(0), 2 * PAGE, RW);
	is(touch(page(2), 2 * PAGE, RW), 2, "nothing is merged by default");
	is(touch(page(0), 2 * PAGE, RW), 1, "both stay");
	end("no merge");
}

/* So many references at a time, and not one more. */
static void test_uses(void)
{
	struct region *region;
	unsigned long uses = 1;

	begin();
	at = world_map(WORLD_PRIVATE, 1);
	region = must_get(at, PAGE, RW);
	while (uses < MMUN_RCACHE_MAX_USES && get(at, PAGE, RW) == region)
		uses++;
	is(uses, MMUN_RCACHE_MAX_USES, "as many references as there may be");
	mmun_rcache_invalidate(cache, at, at + PAGE);
	is(mmun_rcache_progress(cache), 0, "it is in use");
	while (uses-- > 1)
		put(region);
	is(mmun_rcache_progress(cache), 0, "until the last");
	put(region);
	is(mmun_rcache_progress(cache), 1, "put");
	end("uses");
}

/* Thousands, and each is found. */
static void test_many(void)
{
	const unsigned long nr = SANITIZED ? 2000 : 20000;
	unsigned long found = 0;

	begin();
	device.hollow = true;
	for (unsigned long i = 0; i < nr; i++)
		touch((1ul << 40) + i * 3 * PAGE, PAGE + i % 9 * PAGE / 4, RW);
	for (unsigned long i = 0; i < nr; i++)
		found += touch((1ul << 40) + i * 3 * PAGE, PAGE, RW) == (long)i + 1;
	is(found, nr, "each of many is found");
	mmun_rcache_invalidate(cache, 1ul << 40, (1ul << 40) + nr / 2 * 3 * PAGE);
	found = 0;
	for (unsigned long i = 0; i < nr; i++)
		found += is_cached((1ul << 40) + i * 3 * PAGE, PAGE, RW);
	is(found, nr - nr / 2, "a change of half of them ends these");
	mmun_rcache_progress(cache);
	is(live(), nr - nr / 2, "and they are deregistered");
	diag("%.1f bytes for each", (double)stats().memory / (double)nr);
	end("many");
}

int main(void)
{
	test_regions();
	test_bytes();
	test_length();
	test_backend_limits();
	test_recency();
	test_process_limit();
	test_refusing_device();
	test_merge();
	test_merge_in_use();
	test_merge_and_bytes();
	test_merge_fails();
	test_uses();
	test_many();
	return tap_done();
}
