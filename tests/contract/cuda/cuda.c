/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The cache for CUDA over a driver of ours (stub.h), which keeps account of what is
 * registered: contexts, errors, memory that is kept out, registrations that overlap, the end of
 * contexts, of the driver and of the process's children.  What a device sees: gpu.c.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mmunotify/cuda.h>

#include "driver.h"
#include "stub.h"
#include "../../tap.h"
#include "../../torture/park.h"

#define PAGE 4096ul

static struct stub *stub;
static int (*stub_pushed)(void);
static int (*context_create)(void **context, unsigned int flags, int device);
static int (*context_destroy)(void *context);
static int (*allocate)(unsigned long long *pointer, size_t length);
static int (*allocate_managed)(unsigned long long *pointer, size_t length, unsigned int flags);
static int (*free_device)(unsigned long long pointer);

static char *map(size_t pages)
{
	char *start = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);

	if (start == MAP_FAILED)
		bail_out("no memory");
	memset(start, 1, pages * PAGE);
	return start;
}

/* In place of what is there: between an munmap() and another mmap() a thread may take it. */
static void map_at(char *start, size_t pages)
{
	if (mmap(start, pages * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != start)
		bail_out("no memory");
}

static struct mmun_cuda *create(unsigned int flags)
{
	struct mmun_cuda_options options = { .driver = TEST_DRIVER, .flags = flags };
	struct mmun_cuda *cuda = NULL;
	int result = mmun_cuda_create(&options, &cuda);

	if (result) {
		diag("mmun_cuda_create: %s", strerror(-result));
		bail_out("no cache");
	}
	return cuda;
}

static struct mmun_cuda_stats stats_of(struct mmun_cuda *cuda)
{
	struct mmun_cuda_stats stats;

	mmun_cuda_stats(cuda, &stats);
	return stats;
}

/* What the reaper may be changing. */
static long now(const long *count)
{
	return __atomic_load_n(count, __ATOMIC_SEQ_CST);
}

/* A get and its put.  Return: 0 or -errno. */
static int use(struct mmun_cuda *cuda, const void *start, size_t pages, unsigned int access)
{
	struct mmun_cuda_registration *reg = mmun_cuda_get(cuda, start, pages * PAGE, access);

	if (mmun_is_err(reg))
		return mmun_ptr_err(reg);
	mmun_cuda_put(cuda, reg);
	return 0;
}

static void end(struct mmun_cuda *cuda, const char *what)
{
	is(mmun_cuda_destroy(cuda), 0, "%s: destroyed", what);
	is(now(&stub->registered), 0, "%s: nothing is registered", what);
	is(stub->retained, 0, "%s: the context is released", what);
	is(stub_pushed(), 0, "%s: no context is left current", what);
	ok(!stub->mistakes, "%s: the driver was used as it says", what);
	if (stub->mistakes)
		diag("%ld times: %s", stub->mistakes, stub->mistake);
	stub->mistakes = 0;
}

static void test_absent(void)
{
	struct mmun_cuda_options options = { .driver = "/nowhere/libcuda.so.1" };
	struct mmun_cuda *cuda = NULL;
	struct mmun_probe probe;

	is(mmun_cuda_create(&options, &cuda), -ENODEV, "absent: no driver");
	ok(!cuda, "absent: nothing is handed out");
	mmun_cuda_probe(&options, &probe);
	ok(!probe.available && strstr(probe.reason, "/nowhere/libcuda.so.1") && *probe.remedy,
	   "absent: and why");
	options.driver = TEST_LIBRARY;
	mmun_cuda_probe(&options, &probe);
	ok(!probe.available && strstr(probe.reason, "cuInit"),
	   "absent: a library that is no driver");

	options.driver = TEST_DRIVER;
	stub->init_result = CU_NO_DEVICE;
	mmun_cuda_probe(&options, &probe);
	ok(!probe.available && strstr(probe.reason, "cuInit() fails with error 100"),
	   "absent: no device");
	is(mmun_cuda_create(&options, &cuda), -ENODEV, "absent: no cache either");
	stub->init_result = 0;
	options.device = 1;
	is(mmun_cuda_create(&options, &cuda), -ENODEV, "absent: no such device");
	options.device = 0;
	stub->registers = false;
	is(mmun_cuda_create(&options, &cuda), -EOPNOTSUPP,
	   "absent: a device that does not register");
	stub->registers = true;
	options.flags = 1u << 31;
	is(mmun_cuda_create(&options, &cuda), -EINVAL, "absent: unknown flags");
	options.flags = 0;
	options.cache.registration_size = sizeof(struct mmun_registration);
	is(mmun_cuda_create(&options, &cuda), -EINVAL, "absent: a struct that is too small");
	options.cache.registration_size = 0;
	mmun_cuda_probe(&options, &probe);
	ok(probe.available && !*probe.reason, "absent: now it is there");
	is(stub->retained, 0, "absent: no context is kept");
}

static void test_hits(void)
{
	struct mmun_cuda *cuda = create(0);
	struct mmun_cuda_registration *reg, *again;
	char *memory = map(4);

	reg = mmun_cuda_get(cuda, memory + 100, PAGE, MMUN_RCACHE_READ);
	if (mmun_is_err(reg))
		bail_out(strerror(-mmun_ptr_err(reg)));
	is(now(&stub->registered), 1, "hits: registered");
	is(reg->registration.start, (long)memory, "hits: from the page on");
	is(reg->registration.end, (long)memory + 2 * (long)PAGE,
	   "hits: to the end of the last one");
	is(mmun_cuda_address(reg, memory + 100) - reg->device_start, 100,
	   "hits: a device's address");
	ok(reg->device_start != (unsigned long)memory, "hits: which is another than the program's");
	again = mmun_cuda_get(cuda, memory + 5, 7, MMUN_RCACHE_WRITE | MMUN_RCACHE_ATOMIC);
	ok(again == reg, "hits: for other access too, it is one registration");
	mmun_cuda_put(cuda, again);
	mmun_cuda_put(cuda, reg);
	is(now(&stub->registers_done), 1, "hits: once");
	is(stub_pushed(), 0, "hits: the thread has no context now");
	end(cuda, "hits");
	is(now(&stub->unregisters_done), 1, "hits: unregistered once");
	munmap(memory, 4 * PAGE);
}

static void test_devices_that_map_nothing(void)
{
	struct mmun_cuda_registration *reg;
	struct mmun_cuda *cuda;
	char *memory = map(1);

	stub->maps = false;
	cuda = create(0);
	reg = mmun_cuda_get(cuda, memory, PAGE, MMUN_RCACHE_READ);
	ok(!mmun_is_err(reg) && !reg->device_start,
	   "no mapping: registered without a device's address");
	if (!mmun_is_err(reg))
		mmun_cuda_put(cuda, reg);
	end(cuda, "no mapping");
	stub->maps = true;
	munmap(memory, PAGE);
}

/* The second memory at an address; the first one's registration is in its way. */
static void test_remapped(void)
{
	struct mmun_cuda *cuda = create(0);
	struct mmun_cuda_registration *old, *new;
	char *memory = map(4);

	for (int i = 0; i < 50; i++) {
		is(use(cuda, memory, 4, MMUN_RCACHE_WRITE), 0, "remapped %d: registered", i);
		map_at(memory, 4);
	}
	is(now(&stub->registers_done) - now(&stub->unregisters_done), now(&stub->registered),
	   "remapped: all accounted for");
	is(now(&stub->registered), 1, "remapped: one is left");
	is(stats_of(cuda).gone, 0, "remapped: the driver unregisters memory that is gone");
	mmun_rcache_flush(mmun_cuda_cache(cuda));
	is(now(&stub->registered), 0, "remapped: none after a flush");

	old = mmun_cuda_get(cuda, memory, 4 * PAGE, MMUN_RCACHE_WRITE);
	map_at(memory, 4);
	new = mmun_cuda_get(cuda, memory, 4 * PAGE, MMUN_RCACHE_WRITE);
	is(mmun_ptr_err(new), -EADDRINUSE, "remapped in use: not while the old one is used");
	mmun_cuda_put(cuda, old);
	is(use(cuda, memory, 4, MMUN_RCACHE_WRITE), 0, "remapped in use: after its put");
	ok(stats_of(cuda).overlaps, "remapped in use: it is counted");
	end(cuda, "remapped");
	munmap(memory, 4 * PAGE);
}

/* Larger, smaller and shifted ranges of the same memory. */
static void test_overlaps(void)
{
	static const struct {
		size_t from, pages;
	} ranges[] = { { 2, 2 }, { 0, 8 }, { 3, 1 }, { 6, 6 }, { 0, 7 }, { 4, 12 }, { 0, 16 } };
	struct mmun_cuda *cuda = create(0);
	struct mmun_cuda_registration *reg;
	char *memory = map(16);

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		is(use(cuda, memory + ranges[i].from * PAGE, ranges[i].pages, MMUN_RCACHE_WRITE), 0,
		   "overlaps: %zu pages from %zu on", ranges[i].pages, ranges[i].from);
	is(now(&stub->registered), 1, "overlaps: the last one has taken the others' place");
	is(now(&stub->bytes), 16 * (long)PAGE, "overlaps: with all pages");
	mmun_rcache_flush(mmun_cuda_cache(cuda));

	reg = mmun_cuda_get(cuda, memory, 2 * PAGE, MMUN_RCACHE_WRITE);
	is(use(cuda, memory + PAGE, 2, MMUN_RCACHE_WRITE), -EADDRINUSE,
	   "overlaps: one that is in use");
	is(use(cuda, memory + 2 * PAGE, 2, MMUN_RCACHE_WRITE), 0, "overlaps: not beside it");
	ok(mmun_rcache_is_current(mmun_cuda_cache(cuda), &reg->registration) ||
		   stats_of(cuda).overlaps,
	   "overlaps: the user keeps his");
	mmun_cuda_put(cuda, reg);
	is(use(cuda, memory + PAGE, 2, MMUN_RCACHE_WRITE), 0, "overlaps: and after its put");
	end(cuda, "overlaps");
	munmap(memory, 16 * PAGE);
}

/* Requests that touch grow together, but not with what is in use. */
static void test_merged(void)
{
	struct mmun_cuda_options options = { .driver = TEST_DRIVER, .cache.merge = 8 * PAGE };
	struct mmun_cuda_registration *reg;
	struct mmun_cuda *cuda;
	char *memory = map(16);

	if (mmun_cuda_create(&options, &cuda))
		bail_out("no cache");
	for (size_t i = 0; i < 8; i++)
		is(use(cuda, memory + i * PAGE, 1, MMUN_RCACHE_WRITE), 0, "merged: page %zu", i);
	is(now(&stub->registered), 1, "merged: all in one");
	is(now(&stub->bytes), 8 * (long)PAGE, "merged: with all pages");
	reg = mmun_cuda_get(cuda, memory, PAGE, MMUN_RCACHE_WRITE);
	is(use(cuda, memory + 8 * PAGE, 1, MMUN_RCACHE_WRITE), 0,
	   "merged: one more than it may have");
	is(now(&stub->registered), 2, "merged: stands beside it");
	mmun_cuda_put(cuda, reg);
	mmun_rcache_flush(mmun_cuda_cache(cuda));

	reg = mmun_cuda_get(cuda, memory, PAGE, MMUN_RCACHE_WRITE);
	is(use(cuda, memory + PAGE, 1, MMUN_RCACHE_WRITE), 0, "merged: beside one that is in use");
	is(now(&stub->registered), 2, "merged: it is left alone");
	mmun_cuda_put(cuda, reg);
	end(cuda, "merged");
	munmap(memory, 16 * PAGE);
}

/* What the program itself has registered is neither taken from it nor handed out. */
static void test_others(void)
{
	struct mmun_cuda *cuda = create(0);
	char *memory = map(2);

	stub->register_result = CU_ALREADY_REGISTERED;
	stub->nr_register_results = 1000000;
	is(use(cuda, memory, 2, MMUN_RCACHE_WRITE), -EADDRINUSE,
	   "others: registered by the program");
	ok(stub->nr_register_results > 1000000 - 100, "others: not asked for ever");
	stub->nr_register_results = 0;
	is(use(cuda, memory, 2, MMUN_RCACHE_WRITE), 0, "others: and when it has unregistered it");
	end(cuda, "others");
	munmap(memory, 2 * PAGE);
}

/* Memory of a device with a page of ours before it. */
static unsigned long long allocate_behind_a_page(void)
{
	unsigned long long device[16];
	int i = 0;

	for (;; i++) {
		char *before;

		if (i == 16)
			bail_out("no place for a page before the device's memory");
		allocate(&device[i], 4 * PAGE);
		before = (char *)device[i] - PAGE;
		if (mmap(before, PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == before)
			break;
	}
	for (int tried = 0; tried < i; tried++)
		free_device(device[tried]);
	return device[i];
}

static void test_kept_out(void)
{
	static const int unknown[] = { CU_SUCCESS, CU_INVALID_VALUE };
	unsigned long long device = allocate_behind_a_page(), managed;
	struct mmun_cuda *cuda = create(0);
	char *memory = map(2);

	allocate_managed(&managed, 4 * PAGE, 1);
	for (int i = 0; i < 2; i++) {
		stub->unknown_result = unknown[i];
		is(use(cuda, (void *)device, 4, MMUN_RCACHE_WRITE), -EOPNOTSUPP,
		   "kept out: memory of a device");
		is(use(cuda, (void *)(device - PAGE), 2, MMUN_RCACHE_WRITE), -EOPNOTSUPP,
		   "kept out: a range that ends in it");
		is(use(cuda, (void *)managed, 1, MMUN_RCACHE_READ), -EOPNOTSUPP,
		   "kept out: managed memory");
		is(use(cuda, memory, 2, MMUN_RCACHE_READ), 0, "kept out: the program's is not");
	}
	stub->unknown_result = 0;
	is(stats_of(cuda).kept_out, 6, "kept out: counted");
	free_device(device);
	free_device(managed);
	munmap((char *)device - PAGE, PAGE);
	end(cuda, "kept out");
	munmap(memory, 2 * PAGE);
}

static void test_read_only(void)
{
	struct mmun_cuda *cuda = create(0);
	char *memory = map(2);

	mprotect(memory, 2 * PAGE, PROT_READ);
	is(use(cuda, memory, 2, MMUN_RCACHE_READ), -EFAULT, "read-only: not by default");
	end(cuda, "read-only");

	cuda = create(MMUN_CUDA_READ_ONLY);
	is(use(cuda, memory, 2, MMUN_RCACHE_READ), 0, "read-only: where it is wanted");
	is(stats_of(cuda).read_only, 1, "read-only: and so it is counted");
	is(use(cuda, memory, 2, MMUN_RCACHE_WRITE), -EFAULT, "read-only: not to be written");
	mprotect(memory, 2 * PAGE, PROT_READ | PROT_WRITE);
	is(use(cuda, memory, 2, MMUN_RCACHE_WRITE), 0, "read-only: writable now");
	is(use(cuda, memory, 2, MMUN_RCACHE_READ), 0, "read-only: and read");
	is(stats_of(cuda).read_only, 1, "read-only: what is writable is registered so");
	end(cuda, "read-only and wanted");

	stub->read_only = false;
	cuda = create(MMUN_CUDA_READ_ONLY);
	mprotect(memory, 2 * PAGE, PROT_READ);
	is(use(cuda, memory, 2, MMUN_RCACHE_READ), -EFAULT, "read-only: not where no device can");
	end(cuda, "read-only and not offered");
	stub->read_only = true;
	munmap(memory, 2 * PAGE);
}

static void test_errors(void)
{
	static const struct {
		int result, error;
	} cases[] = {
		{ CU_INVALID_VALUE, -EFAULT },
		{ CU_NOT_PERMITTED, -EPERM },
		{ CU_NOT_SUPPORTED, -EOPNOTSUPP },
		{ CU_NOT_INITIALIZED, -ENODEV },
		{ CU_DEINITIALIZED, -ESHUTDOWN },
		{ CU_CONTEXT_IS_DESTROYED, -ENXIO },
		{ CU_INVALID_CONTEXT, -ENXIO },
		{ 304, -EIO },
		{ 700, -EIO },
		{ 999, -EIO },
	};
	struct mmun_cuda *cuda = create(0);
	char *memory = map(8), *hole = map(1);
	long before;

	munmap(hole, PAGE);
	is(use(cuda, hole, 1, MMUN_RCACHE_READ), -EFAULT, "errors: memory that is not mapped");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		stub->register_result = cases[i].result;
		stub->nr_register_results = 1;
		is(use(cuda, memory, 1, MMUN_RCACHE_READ), cases[i].error,
		   "errors: %d of the driver", cases[i].result);
		is(stats_of(cuda).last_error, cases[i].result, "errors: it can be asked for");
	}
	stub->pointer_result = 999;
	stub->nr_pointer_results = 1;
	is(use(cuda, memory, 1, MMUN_RCACHE_READ), -EIO, "errors: no address for devices");
	is(now(&stub->registered), 0, "errors: and so it is not registered");
	for (size_t i = 0; i < 8; i++)
		is(use(cuda, memory + i * PAGE, 1, MMUN_RCACHE_READ), 0, "errors: page %zu", i);
	before = now(&stub->registered);
	mmun_rcache_invalidate(mmun_cuda_cache(cuda), (unsigned long)memory,
			       (unsigned long)memory + PAGE);
	stub->register_result = CU_OUT_OF_MEMORY;
	stub->nr_register_results = 2;
	is(use(cuda, memory, 1, MMUN_RCACHE_READ), 0, "errors: no memory, so others go");
	ok(now(&stub->registered) < before, "errors: some have gone");
	stub->nr_register_results = 1000000;
	mmun_rcache_flush(mmun_cuda_cache(cuda));
	is(use(cuda, memory, 1, MMUN_RCACHE_READ), -ENOMEM,
	   "errors: no memory, and nothing to drop");
	stub->nr_register_results = 0;
	end(cuda, "errors");
	munmap(memory, 8 * PAGE);
}

/* The program's own context stays current, and is not touched. */
static void test_contexts(void)
{
	struct mmun_cuda_options options = { .driver = TEST_DRIVER };
	char *memory = map(2);
	struct mmun_cuda *cuda;

	context_create(&options.context, 0, 0);
	is(mmun_cuda_create(&options, &cuda), 0, "contexts: one of the program's");
	is(stub->retained, 0, "contexts: the primary one is not retained");
	is(use(cuda, memory, 2, MMUN_RCACHE_WRITE), 0, "contexts: registered in it");
	end(cuda, "contexts");

	is(mmun_cuda_create(&options, &cuda), 0, "contexts: again");
	use(cuda, memory, 2, MMUN_RCACHE_WRITE);
	context_destroy(options.context);
	is(now(&stub->registered), 0, "contexts: destroyed, with what was registered");
	is(use(cuda, map(1), 1, MMUN_RCACHE_WRITE), -ENXIO, "contexts: a get without a context");
	mmun_rcache_flush(mmun_cuda_cache(cuda));
	is(stats_of(cuda).gone, 1, "contexts: counted as gone");
	is(stats_of(cuda).stuck, 0, "contexts: nothing is stuck");
	end(cuda, "contexts destroyed");
	munmap(memory, 2 * PAGE);
}

static void test_stuck(void)
{
	struct mmun_cuda *cuda = create(0);
	char *memory = map(1);

	use(cuda, memory, 1, MMUN_RCACHE_READ);
	stub->unregister_result = 700;
	stub->nr_unregister_results = 1;
	mmun_rcache_flush(mmun_cuda_cache(cuda));
	is(stats_of(cuda).stuck, 1, "stuck: the driver refuses to unregister");
	is(stats_of(cuda).last_error, 700, "stuck: with its number");
	is(use(cuda, memory, 1, MMUN_RCACHE_READ), -EADDRINUSE,
	   "stuck: that memory is not handed out again");
	is(mmun_cuda_destroy(cuda), 0, "stuck: destroyed");
	((int (*)(void *))dlsym(dlopen(TEST_DRIVER, RTLD_NOW | RTLD_NOLOAD),
				"cuMemHostUnregister"))(memory);
	is(now(&stub->registered), 0, "stuck: put in order by the test");
	munmap(memory, PAGE);
}

/* Idle memory is unregistered by the reaper, in a thread that has no context of its own. */
static void test_reaper(void)
{
	struct timespec nap = { .tv_nsec = 5000000 };
	struct mmun_cuda *cuda = create(0);
	char *memory = map(64);
	int waited = 0;

	for (size_t i = 0; i < 64; i++)
		use(cuda, memory + i * PAGE, 1, MMUN_RCACHE_WRITE);
	is(now(&stub->registered), 64, "reaper: 64 are registered");
	munmap(memory, 64 * PAGE);
	while (now(&stub->registered) && waited++ < 2000)
		nanosleep(&nap, NULL);
	is(now(&stub->registered), 0, "reaper: none is, of an idle process");
	diag("after about %d ms", waited * 5);
	end(cuda, "reaper");
}

static char *moving;

static void remap_meanwhile(void *start, size_t length)
{
	stub->while_registering = NULL;
	map_at(moving, 1);
}

/* Memory that changes inside the driver's call. */
static void test_changed_meanwhile(void)
{
	struct mmun_cuda *cuda = create(0);
	struct mmun_rcache_stats stats;

	moving = map(2);
	stub->while_registering = remap_meanwhile;
	is(use(cuda, moving, 2, MMUN_RCACHE_WRITE), 0, "meanwhile: registered in the end");
	mmun_rcache_stats(mmun_cuda_cache(cuda), &stats);
	is(stats.retries, 1, "meanwhile: at the second attempt");
	is(now(&stub->registered), 1, "meanwhile: the first one is not left");
	end(cuda, "meanwhile");
	munmap(moving, 2 * PAGE);
}

#define THREADS 3

static struct mmun_cuda *shared;
static long failures;

static void count_failure(bool failed)
{
	__atomic_add_fetch(&failures, failed, __ATOMIC_SEQ_CST);
}

static void *get_and_remap(void *arg)
{
	char *memory = map(8);

	for (int i = 0; i < 200; i++) {
		count_failure(use(shared, memory + (size_t)(i % 4) * PAGE, 1 + (size_t)i % 4,
				  MMUN_RCACHE_WRITE));
		/* In one step: the other threads map memory too. */
		if (i % 3 == 0)
			count_failure(mmap(memory, 8 * PAGE, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
					   0) != memory);
	}
	munmap(memory, 8 * PAGE);
	return park_thread();
}

/* Return: how much has failed. */
static long in_threads(void *(*body)(void *arg), void *arg)
{
	static unsigned int all;
	pthread_t threads[THREADS];

	failures = 0;
	all += THREADS;
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, body, arg))
			bail_out("no thread");
	for (int i = 0; i < THREADS; i++)
		park_wait(threads[i], all);
	return __atomic_load_n(&failures, __ATOMIC_SEQ_CST);
}

static void test_threads(void)
{
	shared = create(0);
	is(in_threads(get_and_remap, NULL), 0, "threads: each gets its memory, remapped or not");
	is(stats_of(shared).stuck + stats_of(shared).gone, 0,
	   "threads: all unregistered as registered");
	end(shared, "threads");
}

static pthread_barrier_t together;

/* Nobody uses it when it is invalidated. */
static void *get_the_same(void *memory)
{
	int one;

	for (int i = 0; i < 200; i++) {
		one = pthread_barrier_wait(&together);
		if (one == PTHREAD_BARRIER_SERIAL_THREAD && i % 2)
			mmun_rcache_invalidate(mmun_cuda_cache(shared), (unsigned long)memory,
					       (unsigned long)memory + 1);
		pthread_barrier_wait(&together);
		count_failure(use(shared, memory, 8, MMUN_RCACHE_WRITE));
	}
	return park_thread();
}

/* The driver takes its time, and so the others come while one of them registers. */
static void take_time(void *start, size_t length)
{
	usleep(300);
}

/* All miss at once: one of them registers, the others wait for it. */
static void test_same_memory(void)
{
	char *memory = map(8);

	shared = create(0);
	stub->while_registering = take_time;
	pthread_barrier_init(&together, NULL, THREADS);
	is(in_threads(get_the_same, memory), 0, "same memory: all threads get it");
	stub->while_registering = NULL;
	ok(stats_of(shared).overlaps, "same memory: some of them met one another");
	end(shared, "same memory");
	munmap(memory, 8 * PAGE);
}

static char *known;

static void child_of_fork(struct mmun_cuda *cuda)
{
	long calls = now(&stub->registers_done);
	int result = use(cuda, known, 1, MMUN_RCACHE_READ);

	if (result != -EPERM)
		_exit(1);
	munmap(known, PAGE);
	if (mmun_cuda_destroy(cuda))
		_exit(2);
	/* The driver has seen nothing of it. */
	if (now(&stub->registers_done) != calls || now(&stub->registered) != 1 || stub->mistakes)
		_exit(3);
	_exit(stub->retained == 1 ? 0 : 4);
}

static void test_fork(void)
{
	struct mmun_cuda *cuda;
	int status;
	pid_t pid;

	if (THREAD_SANITIZED) {
		skip("fork", "ThreadSanitizer holds its own locks around a fork with callbacks");
		return;
	}
	cuda = create(0);
	known = map(1);
	use(cuda, known, 1, MMUN_RCACHE_READ);
	pid = fork();
	if (!pid)
		child_of_fork(cuda);
	waitpid(pid, &status, 0);
	is(status, 0, "fork: in a child gets are refused, and the driver is left alone");
	is(use(cuda, known, 1, MMUN_RCACHE_READ), 0, "fork: the parent's stays");
	is(now(&stub->registered), 1, "fork: it is the same one");
	end(cuda, "fork");
	munmap(known, PAGE);
}

/* As after the driver's exit handler: it refuses everything. */
static void test_end_of_the_driver(void)
{
	struct mmun_cuda *cuda = create(0);
	char *memory = map(2);

	use(cuda, memory, 1, MMUN_RCACHE_READ);
	stub->ended = true;
	is(use(cuda, memory + PAGE, 1, MMUN_RCACHE_READ), -ESHUTDOWN, "end: gets are refused");
	munmap(memory, 2 * PAGE);
	mmun_rcache_flush(mmun_cuda_cache(cuda));
	is(stats_of(cuda).gone, 1, "end: what was registered has gone with it");
	is(stats_of(cuda).stuck, 0, "end: nothing is stuck");
	is(mmun_cuda_destroy(cuda), 0, "end: destroyed");
	ok(!stub->mistakes, "end: the driver was used as it says");
}

#define FIND(function, name) \
	do { \
		void *found = dlsym(driver, name); \
		if (!found) \
			bail_out(name); \
		memcpy(&(function), &found, sizeof(found)); \
	} while (0)

int main(void)
{
	void *driver = dlopen(TEST_DRIVER, RTLD_NOW);
	struct stub *(*get_stub)(void);

	if (!driver)
		bail_out(dlerror());
	FIND(get_stub, "mmun_stub");
	FIND(stub_pushed, "mmun_stub_pushed");
	FIND(context_create, "cuCtxCreate_v2");
	FIND(context_destroy, "cuCtxDestroy_v2");
	FIND(allocate, "cuMemAlloc_v2");
	FIND(allocate_managed, "cuMemAllocManaged");
	FIND(free_device, "cuMemFree_v2");
	stub = get_stub();

	test_absent();
	test_hits();
	test_devices_that_map_nothing();
	test_remapped();
	test_overlaps();
	test_merged();
	test_others();
	test_kept_out();
	test_read_only();
	test_errors();
	test_contexts();
	test_stuck();
	test_reaper();
	test_changed_meanwhile();
	test_threads();
	test_same_memory();
	test_fork();
	test_end_of_the_driver();
	return tap_done();
}
