/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The backend of these tests: the world's device, with counts, refusals, and hooks by which
 * something happens in the middle of it.
 */
#ifndef MMUN_TESTS_CONTRACT_RCACHE_DEVICE_H
#define MMUN_TESTS_CONTRACT_RCACHE_DEVICE_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../../tap.h"
#include "../sanitizer.h"
#include "world.h"

#define UNUSED __attribute__((unused))
#define READ   MMUN_RCACHE_READ
#define WRITE  MMUN_RCACHE_WRITE
#define RW     (MMUN_RCACHE_READ | MMUN_RCACHE_WRITE)

/* ThreadSanitizer refuses threads in a child that a threaded process forked. */
const char *__tsan_default_options(void);
UNUSED const char *__tsan_default_options(void)
{
	return "die_after_fork=0:detect_deadlocks=0:report_thread_leaks=0";
}

/* What a get returns. */
struct region {
	struct world_region world;
	/* From 1, in the order of their registration. */
	long nr;
	/* Without a world behind it. */
	bool hollow;
	long live;
};

static struct {
	/* Atomic: */
	long registered, deregistered, calls, twice;
	/* Of these a call fails with ->error while ->failures is not 0 (-1: for ever), or so many
	 * are live, or it is longer. */
	int error;
	long failures, room;
	unsigned long longest;
	/* Added to what is asked for. */
	unsigned int raise;
	/* Nothing is registered anywhere. */
	bool hollow;
	/* Called once each when set. */
	void (*in_register)(const struct mmun_registration *reg);
	void (*in_deregister)(const struct mmun_registration *reg);
	/* Where the last deregistration was. */
	pthread_t deregistered_by;
	struct mmun_rcache_limits limits;
} device;

static struct mmun_rcache *cache;

#define load(p)   __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)

static UNUSED long live(void)
{
	return load(&device.registered) - load(&device.deregistered);
}

static UNUSED struct region *region_of(struct mmun_registration *reg)
{
	return (struct region *)reg;
}

static bool refuses(const struct mmun_registration *reg)
{
	if (device.failures) {
		device.failures -= device.failures > 0;
		return true;
	}
	return (device.room && live() >= device.room) ||
	       (device.longest && reg->end - reg->start > device.longest);
}

static int device_register(void *arg, struct mmun_registration *reg)
{
	void (*hook)(const struct mmun_registration *reg) =
		__atomic_exchange_n(&device.in_register, NULL, __ATOMIC_SEQ_CST);
	struct region *region = region_of(reg);
	int ret = 0;

	(void)add(&device.calls, 1);
	if (refuses(reg))
		return device.error;
	reg->access |= device.raise;
	region->hollow = device.hollow;
	if (!region->hollow)
		ret = world_register(&region->world);
	if (hook)
		hook(reg);
	if (ret)
		return ret;
	region->nr = add(&device.registered, 1);
	region->live = 1;
	return 0;
}

static void device_deregister(void *arg, struct mmun_registration *reg)
{
	void (*hook)(const struct mmun_registration *reg) =
		__atomic_exchange_n(&device.in_deregister, NULL, __ATOMIC_SEQ_CST);
	struct region *region = region_of(reg);

	if (add(&region->live, -1))
		(void)add(&device.twice, 1);
	if (hook)
		hook(reg);
	if (!region->hollow)
		world_deregister(&region->world);
	__atomic_store_n(&device.deregistered_by, pthread_self(), __ATOMIC_SEQ_CST);
	(void)add(&device.deregistered, 1);
}

static void device_limits(void *arg, struct mmun_rcache_limits *limits)
{
	if (device.limits.regions)
		limits->regions = device.limits.regions;
	if (device.limits.bytes)
		limits->bytes = device.limits.bytes;
	if (device.limits.length)
		limits->length = device.limits.length;
}

static const struct mmun_rcache_ops device_ops = {
	.register_memory = device_register,
	.deregister_memory = device_deregister,
	.limits = device_limits,
};

static UNUSED struct mmun_rcache *new_cache_of(struct mm_struct *mm,
					       struct mmun_rcache_options options)
{
	struct mmun_rcache *made;
	int ret;

	options.registration_size = sizeof(struct region);
	ret = mmun_rcache_create(mm, &device_ops, NULL, &options, &made);
	if (ret) {
		diag("create: %d", ret);
		bail_out("no cache");
	}
	return made;
}

static UNUSED struct mmun_rcache *new_cache(struct mmun_rcache_options options)
{
	return new_cache_of(world_mm(), options);
}

/* A world, a device, and a cache. */
static UNUSED void begin_with(struct mmun_rcache_options options)
{
	memset(&device, 0, sizeof(device));
	world_begin();
	cache = new_cache(options);
}

/* Nobody deregisters behind a test's back. */
static UNUSED void begin(void)
{
	begin_with((struct mmun_rcache_options){ .flags = MMUN_RCACHE_NO_REAPER });
}

static UNUSED void end(const char *what)
{
	is(mmun_rcache_destroy(cache), 0, "%s: the cache can go", what);
	is(live(), 0, "%s: all was deregistered", what);
	is(load(&device.twice), 0, "%s: nothing twice", what);
	world_end(what);
}

static UNUSED struct region *get_from(struct mmun_rcache *from, unsigned long address,
				      size_t length, unsigned int access)
{
	return region_of(mmun_rcache_get(from, address, length, access));
}

static UNUSED struct region *get(unsigned long address, size_t length, unsigned int access)
{
	return get_from(cache, address, length, access);
}

static UNUSED int error_of(const struct region *region)
{
	return mmun_is_err(region) ? (int)mmun_ptr_err(region) : 0;
}

static UNUSED struct region *must_get_from(struct mmun_rcache *from, unsigned long address,
					   size_t length, unsigned int access)
{
	struct region *region = get_from(from, address, length, access);

	if (mmun_is_err(region)) {
		diag("get of %#lx, %zu: %d", address, length, error_of(region));
		bail_out("a get failed");
	}
	return region;
}

static UNUSED struct region *must_get(unsigned long address, size_t length, unsigned int access)
{
	return must_get_from(cache, address, length, access);
}

static UNUSED void put_to(struct mmun_rcache *to, struct region *region)
{
	mmun_rcache_put(to, &region->world.nic.reg);
}

static UNUSED void put(struct region *region)
{
	put_to(cache, region);
}

/* Of a get and its put: the number of the registration, or the error. */
static UNUSED long touch_in(struct mmun_rcache *in, unsigned long address, size_t length,
			    unsigned int access)
{
	struct region *region = get_from(in, address, length, access);
	long nr;

	if (mmun_is_err(region))
		return error_of(region);
	nr = region->nr;
	put_to(in, region);
	return nr;
}

static UNUSED long touch(unsigned long address, size_t length, unsigned int access)
{
	return touch_in(cache, address, length, access);
}

/* Gets with CACHED: is it there? */
static UNUSED bool is_cached(unsigned long address, size_t length, unsigned int access)
{
	return touch(address, length, access | MMUN_RCACHE_CACHED) > 0;
}

static UNUSED long device_load(struct region *region, unsigned long address)
{
	return world_device_load(&region->world, address);
}

static UNUSED struct mmun_rcache_stats stats_of(struct mmun_rcache *of)
{
	struct mmun_rcache_stats out;

	mmun_rcache_stats(of, &out);
	return out;
}

static UNUSED struct mmun_rcache_stats stats(void)
{
	return stats_of(cache);
}

/*
 * A thread.  ThreadSanitizer forgets one before libc gives its stack back, which is a memory
 * call with callbacks: on the memory of this process they stay until it ends.
 */
struct thread {
	pthread_t thread;
	void *(*fn)(void *arg);
	void *arg;
	long done;
};

static void *run_thread(void *arg)
{
	struct thread *thread = arg;

	thread->fn(thread->arg);
	(void)add(&thread->done, 1);
	while (THREAD_SANITIZED && world_is_self)
		pause();
	return NULL;
}

static UNUSED struct thread *spawn(void *(*fn)(void *), void *arg)
{
	struct thread *thread = calloc(1, sizeof(*thread));

	if (!thread)
		bail_out("no memory");
	thread->fn = fn;
	thread->arg = arg;
	if (pthread_create(&thread->thread, NULL, run_thread, thread))
		bail_out("no thread");
	return thread;
}

static UNUSED void join(struct thread *thread)
{
	if (!THREAD_SANITIZED || !world_is_self) {
		pthread_join(thread->thread, NULL);
		free(thread);
		return;
	}
	while (!load(&thread->done))
		usleep(100);
}

static UNUSED void in_thread(void *(*fn)(void *), void *arg)
{
	join(spawn(fn, arg));
}

static UNUSED double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* A section opened by hand, as some operation of another thread would. */
static UNUSED void section_open(struct mmu_notifier_range *range, unsigned long start,
				unsigned long pages, unsigned int flags)
{
	*range = (struct mmu_notifier_range){ .mm = world_mm(),
					      .start = start,
					      .end = start + pages * PAGE,
					      .flags = flags,
					      .event = MMU_NOTIFY_CLEAR };
	if (mmu_notifier_invalidate_range_start(range))
		bail_out("a section that may sleep was refused");
}

#endif
