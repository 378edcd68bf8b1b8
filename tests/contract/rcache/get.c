/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a get returns, and when it is the same again. */
#include "device.h"

static unsigned long at;

static void test_hit(void)
{
	struct mmun_registration *reg;
	struct region *first, *again;

	begin();
	at = world_map(WORLD_PRIVATE, 4);
	first = must_get(at + 10, PAGE, RW);
	reg = &first->world.nic.reg;
	is(reg->start, at, "what is registered begins with a page");
	is(reg->end, at + 2 * PAGE, "and ends with one");
	is(reg->access & RW, RW, "with the access that was asked for");
	is(device_load(first, at + PAGE), world_load(at + PAGE), "the device finds what is there");
	ok(mmun_rcache_is_current(cache, reg), "it is current");
	world_store(at, 77);
	is(device_load(first, at), 77, "and what is written later");
	again = must_get(at + 10, PAGE, RW);
	ok(again == first, "a second get returns the same");
	put(again);
	put(first);
	is(touch(at, 2 * PAGE, RW), 1, "a third one, after the puts, too");
	is(stats().hits, 2, "two hits");
	is(stats().misses, 1, "and a miss were counted");
	is(stats().regions, 1, "there is one registration");
	is(stats().bytes, 2 * PAGE, "of two pages");
	is(load(&device.calls), 1, "the device was asked once");
	end("hit");
}

static void test_smaller(void)
{
	begin();
	at = world_map(WORLD_PRIVATE, 16);
	is(touch(at, 16 * PAGE, RW), 1, "16 pages are registered");
	for (unsigned long i = 0; i < 16; i++) {
		if (touch(at + i * PAGE, PAGE, RW) != 1 || touch(at + i * PAGE, 1, READ) != 1 ||
		    touch(at + i * PAGE + 4095, 1, WRITE) != 1)
			break;
		if (i == 15)
			ok(true, "each page and byte of them is a hit");
	}
	is(touch(at + PAGE / 2, 15 * PAGE, RW), 1, "so is most of it");
	is(load(&device.calls), 1, "the device was asked once");
	end("smaller");
}

static void test_one_byte(void)
{
	struct region *region;

	begin();
	at = world_map(WORLD_PRIVATE, 3);
	region = must_get(at + 2 * PAGE - 1, 1, READ);
	is(region->world.nic.reg.start, at + PAGE, "one byte is registered with its page");
	is(region->world.nic.reg.end, at + 2 * PAGE, "and no other");
	put(region);
	is(touch(at + 2 * PAGE - 1, 2, READ), 2, "two bytes over a border are not in it");
	end("one byte");
}

static void test_access(void)
{
	begin();
	at = world_map(WORLD_PRIVATE, 4);
	is(touch(at, PAGE, READ), 1, "for reading");
	is(touch(at, PAGE, RW), 2, "writing needs another");
	is(touch(at, PAGE, WRITE), 2, "which serves less, too");
	is(touch(at, PAGE, MMUN_RCACHE_ATOMIC), 3, "other rights are others");
	is(touch(at, PAGE, MMUN_RCACHE_BACKEND(4)), 4, "the backend's own as well");
	device.raise = RW;
	is(touch(at + PAGE, PAGE, READ), 5, "a backend may give more than it is asked for");
	is(touch(at + PAGE, PAGE, WRITE), 5, "which is used");
	end("access");
}

static void test_errors(void)
{
	begin();
	at = world_map(WORLD_PRIVATE, 4);
	is(touch(at, 0, RW), -EINVAL, "nothing is no range");
	is(touch(0, 0, RW), -EINVAL, "at address 0 neither");
	is(touch(~0ul - 100, 200, RW), -EINVAL, "nor what wraps");
	is(touch(at, PAGE, RW | 1u << 10), -EINVAL, "unknown bits");
	is(touch(at, PAGE, RW | MMUN_RCACHE_CACHED | MMUN_RCACHE_UNCACHED), -EINVAL,
	   "cached and uncached at once");
	is(load(&device.calls), 0, "the device is not asked for that");
	world_unmap(at + 2 * PAGE, 1);
	is(touch(at, 4 * PAGE, RW), -EFAULT, "a hole is what the device says");
	is(touch(at, 2 * PAGE, RW), 1, "beside it is memory");
	is(stats().failed, 1, "a failure was counted");
	ok(stats().refused >= 1, "and the get that failed for it");
	device.error = -EIO;
	device.failures = 1;
	is(touch(at + 3 * PAGE, PAGE, RW), -EIO, "any error of the device is returned");
	is(touch(at + 3 * PAGE, PAGE, RW), 2, "and not remembered");
	end("errors");
}

static void test_create(void)
{
	static const struct mmun_rcache_ops no_register = { .deregister_memory =
								    device_deregister };
	struct mmun_rcache_options options = { .flags = 1u << 31 };
	struct mmun_rcache *other = NULL;

	begin();
	is(mmun_rcache_create(world_mm(), NULL, NULL, NULL, &other), -EINVAL, "no ops");
	is(mmun_rcache_create(world_mm(), &no_register, NULL, NULL, &other), -EINVAL,
	   "no register_memory()");
	is(mmun_rcache_create(world_mm(), &device_ops, NULL, &options, &other), -EINVAL,
	   "unknown flags");
	options = (struct mmun_rcache_options){ .alignment = 3 * PAGE };
	is(mmun_rcache_create(world_mm(), &device_ops, NULL, &options, &other), -EINVAL,
	   "an alignment that is no power of two");
	options = (struct mmun_rcache_options){ .limits.regions = MMUN_RCACHE_MAX_REGIONS + 1 };
	is(mmun_rcache_create(world_mm(), &device_ops, NULL, &options, &other), -EINVAL,
	   "more registrations than there can be");
	options = (struct mmun_rcache_options){ .registration_size = 1 };
	is(mmun_rcache_create(world_mm(), &device_ops, NULL, &options, &other), -EINVAL,
	   "registrations smaller than their first member");
	options = (struct mmun_rcache_options){ .registration_size = ~0ul, .limits.regions = 16 };
	is(mmun_rcache_create(world_mm(), &device_ops, NULL, &options, &other), -EINVAL,
	   "and larger than memory");
	options.registration_size = 1ul << 40;
	options.limits.regions = MMUN_RCACHE_MAX_REGIONS;
	is(mmun_rcache_create(world_mm(), &device_ops, NULL, &options, &other), -EINVAL,
	   "or so large that their bytes wrap to few");
	ok(!other, "nothing was returned");
	end("create");
}

/* All addresses at once: one registration that is found everywhere, and ended anywhere. */
static void test_giant(void)
{
	const unsigned long all = 1ul << 47;

	begin();
	at = world_map(WORLD_PRIVATE, 2);
	ok(touch(0, all, RW) < 0, "the whole address space cannot be had of a real device");
	device.hollow = true;
	is(touch(0, all, RW), 1, "of one that maps on demand it can");
	is(touch(at, 1, RW), 1, "a byte of it is a hit");
	is(touch(0, PAGE, RW), 1, "so is the first page");
	is(touch(all - 1, 1, RW), 1, "and the last byte");
	world_unmap(at, 1);
	is(touch(at + PAGE, 1, RW), 2, "a change anywhere ends it");
	is(touch(PAGE, all / 2, RW), 3, "half of it is another");
	mmun_rcache_invalidate(cache, 3 * PAGE, 4 * PAGE);
	ok(!is_cached(PAGE, PAGE, RW), "which a page of it ends");
	end("giant");
}

static void test_mappings(void)
{
	begin();
	at = world_map(WORLD_PRIVATE, 9);
	world_map_at(at + 3 * PAGE, WORLD_SHARED, 3);
	world_map_at(at + 6 * PAGE, WORLD_FILE, 3);
	is(touch(at, 9 * PAGE, RW), 1, "one registration over three mappings");
	is(touch(at + 5 * PAGE, 2 * PAGE, RW), 1, "is found over their borders");
	world_map_at(at + 3 * PAGE, WORLD_PRIVATE, 3);
	is(touch(at, PAGE, RW), 2, "a change of the middle one ends it");
	end("mappings");
}

static void test_alignment(void)
{
	unsigned long unit = 16 * PAGE, base;
	struct region *region;

	begin_with(
		(struct mmun_rcache_options){ .flags = MMUN_RCACHE_NO_REAPER, .alignment = unit });
	at = world_map(WORLD_PRIVATE, 64);
	base = (at + unit - 1) & ~(unit - 1);
	region = must_get(base + 3 * PAGE, 14 * PAGE, RW);
	is(region->world.nic.reg.start, base, "it begins on the alignment");
	is(region->world.nic.reg.end, base + 2 * unit, "and ends there");
	put(region);
	is(touch(base + 31 * PAGE, PAGE, RW), 1, "what lies in the unit is a hit");
	world_unmap(base + 20 * PAGE, 1);
	is(touch(base, PAGE, RW), 2, "a change in it ends it");
	is(touch(base + 30 * PAGE, PAGE, RW), -EFAULT, "a unit must be mapped as a whole");
	end("alignment");
	begin_with((struct mmun_rcache_options){ .flags = MMUN_RCACHE_NO_REAPER, .alignment = 64 });
	at = world_map(WORLD_PRIVATE, 1);
	region = must_get(at + 100, 10, RW);
	is(region->world.nic.reg.end - region->world.nic.reg.start, PAGE,
	   "the least alignment is a page");
	put(region);
	end("small alignment");
}

static void test_cached(void)
{
	begin();
	at = world_map(WORLD_PRIVATE, 2);
	is(touch(at, PAGE, RW | MMUN_RCACHE_CACHED), -ENOENT, "what is not cached is not made");
	is(load(&device.calls), 0, "the device is not asked");
	is(touch(at, PAGE, RW), 1, "it is made");
	is(touch(at, PAGE, RW | MMUN_RCACHE_CACHED), 1, "then it is there");
	is(touch(at, 2 * PAGE, RW | MMUN_RCACHE_CACHED), -ENOENT, "more of it is not");
	end("cached");
}

static void test_uncached(void)
{
	struct region *one, *two;

	begin();
	at = world_map(WORLD_PRIVATE, 2);
	is(touch(at, PAGE, RW), 1, "there is one");
	one = must_get(at, PAGE, RW | MMUN_RCACHE_UNCACHED);
	two = must_get(at, PAGE, RW | MMUN_RCACHE_UNCACHED);
	ok(one->nr == 2 && two->nr == 3, "for itself alone each is another");
	is(device_load(two, at), world_load(at), "which works");
	ok(!mmun_rcache_is_current(cache, &one->world.nic.reg), "it is not said to be current");
	is(touch(at, PAGE, RW), 1, "others do not find it");
	put(one);
	put(two);
	mmun_rcache_progress(cache);
	is(load(&device.deregistered), 2, "it is deregistered after its put");
	is(stats().uncached, 2, "two were counted");
	end("uncached");
}

static int count_regions(struct mmun_registration *reg, void *arg)
{
	long *left = arg;

	return --*left == 0 ? 7 : 0;
}

static int change_memory(struct mmun_registration *reg, void *arg)
{
	world_unmap(reg->start, 1);
	world_map_at(reg->start, WORLD_PRIVATE, 1);
	/* It stays for as long as the visit. */
	return region_of(reg)->live == 1 ? 0 : 1;
}

static void test_for_each(void)
{
	long count = 1000;

	begin();
	at = world_map(WORLD_PRIVATE, 5);
	for (unsigned long i = 0; i < 5; i++)
		touch(at + i * PAGE, PAGE, RW);
	world_unmap(at, 1);
	is(mmun_rcache_for_each(cache, count_regions, &count), 0, "each is seen");
	is(1000 - count, 4, "that can be had");
	count = 2;
	is(mmun_rcache_for_each(cache, count_regions, &count), 7, "until one says to stop");
	is(mmun_rcache_for_each(cache, change_memory, NULL), 0, "its memory may change meanwhile");
	count = 1000;
	mmun_rcache_for_each(cache, count_regions, &count);
	is(count, 1000, "after which there are none");
	mmun_rcache_progress(cache);
	is(live(), 0, "and all can be deregistered");
	end("for_each");
}

static void test_explicit(void)
{
	begin();
	at = world_map(WORLD_PRIVATE, 4);
	is(touch(at, 2 * PAGE, RW), 1, "there are");
	is(touch(at + 2 * PAGE, 2 * PAGE, RW), 2, "two");
	mmun_rcache_invalidate(cache, at + PAGE, at + PAGE + 1);
	ok(!is_cached(at, PAGE, RW), "what is invalidated is not handed out");
	ok(is_cached(at + 2 * PAGE, PAGE, RW), "the other one is");
	is(load(&device.deregistered), 0, "nothing is deregistered yet");
	is(stats().late_regions, 1, "one is late");
	is(stats().late_bytes, 2 * PAGE, "with two pages");
	is(mmun_rcache_progress(cache), 1, "progress deregisters it");
	is(mmun_rcache_progress(cache), 0, "once");
	is(stats().late_regions, 0, "none is late");
	mmun_rcache_invalidate(cache, 0, ~0ul);
	ok(!is_cached(at + 2 * PAGE, PAGE, RW), "all of it can be invalidated");
	end("explicit");
}

static void test_flush(void)
{
	struct region *used;

	begin();
	at = world_map(WORLD_PRIVATE, 4);
	touch(at, PAGE, RW);
	used = must_get(at + PAGE, PAGE, RW);
	is(mmun_rcache_flush(cache), 1, "one is in use");
	is(load(&device.deregistered), 1, "the other is deregistered");
	is(device_load(used, at + PAGE), world_load(at + PAGE), "the one in use works");
	is(touch(at + PAGE, PAGE, RW), 3, "and is not handed out any more");
	put(used);
	is(mmun_rcache_flush(cache), 0, "then nothing is in use");
	is(live(), 0, "nor registered");
	end("flush");
}

static void test_stats(void)
{
	struct mmun_rcache_stats s;

	begin();
	at = world_map(WORLD_PRIVATE, 40);
	for (unsigned long i = 0; i < 40; i++)
		for (unsigned long times = 0; times <= i % 4; times++)
			touch(at + i * PAGE, PAGE, RW);
	touch(at, PAGE, RW | MMUN_RCACHE_UNCACHED);
	world_unmap(at, 10);
	s = stats();
	is(s.misses, 40, "each page was missed once");
	is(s.hits, 60, "and hit as often as it was got again");
	is(s.hits + s.misses + s.uncached, 101, "hits, misses and uncached are all gets");
	is(s.invalidations, 10, "registrations that ended");
	ok(s.sections >= 1, "sections were looked at");
	is(s.regions + s.late_regions, s.registered - s.deregistered,
	   "what is there is what was registered and not deregistered");
	is(s.registered, load(&device.registered), "as the device counts");
	is(s.deregistered, load(&device.deregistered), "both");
	is(s.bytes, 30 * PAGE, "bytes that can be had");
	is(s.late_bytes, 10 * PAGE + (s.late_regions - 10) * PAGE, "and that are late");
	ok(s.memory > 0, "the cache uses memory itself (%lu)", s.memory);
	ok(!s.reaper, "and no thread");
	end("stats");
}

/* What the device itself, or a callback, may ask of the cache. */
static long from_inside[5];

static void ask_cache(const struct mmun_registration *reg)
{
	/* So that there is something to do. */
	mmun_rcache_invalidate(cache, at + 2 * PAGE, at + 3 * PAGE);
	from_inside[0] = touch(at, PAGE, RW);
	from_inside[1] = touch(at + 3 * PAGE, PAGE, RW);
	from_inside[2] = mmun_rcache_flush(cache);
	from_inside[3] = mmun_rcache_progress(cache);
	from_inside[4] = touch(at, PAGE, RW | MMUN_RCACHE_CACHED);
}

static void test_inside(void)
{
	begin();
	at = world_map(WORLD_PRIVATE, 4);
	touch(at, PAGE, RW);
	touch(at + 2 * PAGE, PAGE, RW);
	device.in_register = ask_cache;
	is(touch(at + PAGE, PAGE, RW), 3, "a device that asks the cache");
	is(from_inside[1], -EDEADLK, "can make nothing");
	is(from_inside[2], -EDEADLK, "nor flush");
	is(from_inside[3], -EDEADLK, "nor make progress");
	is(from_inside[4], 1, "what is cached it can have");
	memset(from_inside, 0, sizeof(from_inside));
	device.in_deregister = ask_cache;
	touch(at + 2 * PAGE, PAGE, RW);
	mmun_rcache_invalidate(cache, at + PAGE, at + 2 * PAGE);
	mmun_rcache_progress(cache);
	is(from_inside[1], -EDEADLK, "the same in a deregistration");
	is(from_inside[4], 1, "both ways");
	end("inside");
}

static int in_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	from_inside[0] = touch(at, PAGE, RW);
	from_inside[1] = touch(at + 3 * PAGE, PAGE, RW);
	from_inside[2] = mmun_rcache_flush(cache);
	mmun_rcache_invalidate(cache, at + PAGE, at + 2 * PAGE);
	from_inside[3] = mmun_rcache_progress(cache);
	return 0;
}

static void test_callback(void)
{
	static const struct mmu_notifier_ops ops = { .invalidate_range_start = in_start };
	struct mmu_notifier mn = { .ops = &ops };
	struct mmu_notifier_range range;

	begin();
	at = world_map(WORLD_PRIVATE, 4);
	touch(at, PAGE, RW);
	touch(at + PAGE, PAGE, RW);
	is(mmu_notifier_register(&mn, world_mm()), 0, "a notifier beside the cache");
	section_open(&range, at + 2 * PAGE, 1, 0);
	mmu_notifier_invalidate_range_end(&range);
	mmu_notifier_unregister(&mn, world_mm());
	is(from_inside[1], -EDEADLK, "can make nothing in its callback");
	is(from_inside[2], -EDEADLK, "nor flush");
	is(from_inside[3], -EDEADLK, "nor make progress");
	is(from_inside[0], 1, "and can have what is cached");
	is(load(&device.deregistered), 0, "nothing was deregistered there");
	end("callback");
}

static void test_several(void)
{
	struct mmun_rcache *other;

	begin();
	at = world_map(WORLD_PRIVATE, 4);
	other = new_cache((struct mmun_rcache_options){ .flags = MMUN_RCACHE_NO_REAPER });
	is(touch(at, PAGE, RW), 1, "one cache");
	is(touch_in(other, at, PAGE, RW), 2, "another one has its own");
	is(touch_in(other, at, PAGE, RW), 2, "for itself");
	world_unmap(at, 1);
	world_map_at(at, WORLD_PRIVATE, 1);
	is(touch(at, PAGE, RW), 3, "a change is seen by the first");
	is(touch_in(other, at, PAGE, RW), 4, "and the second");
	is(mmun_rcache_destroy(other), 0, "which goes");
	is(touch(at, PAGE, RW), 3, "and leaves the first alone");
	end("several");
}

int main(void)
{
	test_hit();
	test_smaller();
	test_one_byte();
	test_access();
	test_errors();
	test_create();
	test_giant();
	test_mappings();
	test_alignment();
	test_cached();
	test_uncached();
	test_for_each();
	test_explicit();
	test_flush();
	test_stats();
	test_inside();
	test_callback();
	test_several();
	return tap_done();
}
