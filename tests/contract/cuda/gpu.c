/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: what a device of CUDA reads from registered memory, after that memory was replaced
 * in several ways: the old bytes where a program registers once, the new ones through the cache.
 *
 *     gpu [stub]
 *
 * With the driver that is installed, or skipped with the reason; with "stub", with the one
 * of stub.c in front of it on LD_LIBRARY_PATH, which shows that this test can fail.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mmunotify/cuda.h>

#include "../../tap.h"

/* Small copies go through the processor, and are never stale. */
#define SIZE (1ul << 20)

enum { OLD = 0x11, NEW = 0x22 };

static struct {
	int (*init)(unsigned int flags);
	int (*device_get)(int *device, int ordinal);
	int (*retain)(void **context, int device);
	int (*release)(int device);
	int (*push)(void *context);
	int (*attribute)(int *value, int attribute, int device);
	int (*alloc)(unsigned long long *pointer, size_t length);
	int (*alloc_managed)(unsigned long long *pointer, size_t length, unsigned int flags);
	int (*free)(unsigned long long pointer);
	int (*pin)(void *address, size_t length, unsigned int flags);
	int (*unpin)(void *address);
	int (*to_device)(unsigned long long to, const void *from, size_t length, void *stream);
	int (*on_device)(unsigned long long to, unsigned long long from, size_t length);
	int (*from_device)(void *to, unsigned long long from, size_t length);
	int (*synchronize)(void);
} cu;

static unsigned long long device_memory;
static unsigned char seen[SIZE];

static void find(void *driver, void *to, const char *name)
{
	void *found = dlsym(driver, name);

	if (!found)
		bail_out(name);
	memcpy(to, &found, sizeof(found));
}

static void check(int result, const char *what)
{
	if (!result)
		return;
	diag("%s: error %d of the driver", what, result);
	bail_out("the driver refuses");
}

static int start_driver(void)
{
	void *driver = dlopen("libcuda.so.1", RTLD_NOW);
	void *context;
	int device;

	if (!driver)
		bail_out(dlerror());
	find(driver, &cu.init, "cuInit");
	find(driver, &cu.device_get, "cuDeviceGet");
	find(driver, &cu.retain, "cuDevicePrimaryCtxRetain");
	find(driver, &cu.release, "cuDevicePrimaryCtxRelease_v2");
	find(driver, &cu.push, "cuCtxPushCurrent_v2");
	find(driver, &cu.attribute, "cuDeviceGetAttribute");
	find(driver, &cu.alloc, "cuMemAlloc_v2");
	find(driver, &cu.alloc_managed, "cuMemAllocManaged");
	find(driver, &cu.free, "cuMemFree_v2");
	find(driver, &cu.pin, "cuMemHostRegister_v2");
	find(driver, &cu.unpin, "cuMemHostUnregister");
	find(driver, &cu.to_device, "cuMemcpyHtoDAsync_v2");
	find(driver, &cu.on_device, "cuMemcpyDtoD_v2");
	find(driver, &cu.from_device, "cuMemcpyDtoH_v2");
	find(driver, &cu.synchronize, "cuCtxSynchronize");
	check(cu.init(0), "cuInit");
	check(cu.device_get(&device, 0), "cuDeviceGet");
	check(cu.retain(&context, device), "cuDevicePrimaryCtxRetain");
	check(cu.push(context), "cuCtxPushCurrent");
	check(cu.alloc(&device_memory, SIZE), "cuMemAlloc");
	return device;
}

struct buffer {
	unsigned char *start;
	int fd;
};

static unsigned char *fresh_pages(void *at, int flags)
{
	unsigned char *start =
		mmap(at, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (start == MAP_FAILED)
		bail_out("no memory");
	return start;
}

static void unmap_and_map(struct buffer *buffer)
{
	munmap(buffer->start, SIZE);
	fresh_pages(buffer->start, MAP_FIXED_NOREPLACE);
}

static void map_over(struct buffer *buffer)
{
	fresh_pages(buffer->start, MAP_FIXED);
}

static void discard(struct buffer *buffer)
{
	madvise(buffer->start, SIZE, MADV_DONTNEED);
}

static void move_over(struct buffer *buffer)
{
	unsigned char *other = fresh_pages(NULL, 0);

	memset(other, NEW, SIZE);
	if (mremap(other, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, buffer->start) == MAP_FAILED)
		bail_out("mremap");
}

static void punch(struct buffer *buffer)
{
	/* FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE */
	if (fallocate(buffer->fd, 3, 0, (off_t)SIZE))
		bail_out("fallocate");
}

static const struct change {
	const char *name;
	void (*make)(struct buffer *buffer);
	bool of_file;
} changes[] = {
	{ "munmap and mmap", unmap_and_map, false }, { "mmap over it", map_over, false },
	{ "MADV_DONTNEED", discard, false },         { "mremap over it", move_over, false },
	{ "a hole in the file", punch, true },
};

static struct buffer make_buffer(bool of_file)
{
	struct buffer buffer = { .fd = -1 };

	if (!of_file) {
		buffer.start = fresh_pages(NULL, 0);
	} else {
		buffer.fd = memfd_create("gpu", MFD_CLOEXEC);
		if (buffer.fd < 0 || ftruncate(buffer.fd, (off_t)SIZE))
			bail_out("no file");
		buffer.start = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, buffer.fd, 0);
		if (buffer.start == MAP_FAILED)
			bail_out("no memory");
	}
	memset(buffer.start, OLD, SIZE);
	return buffer;
}

static void drop_buffer(struct buffer *buffer)
{
	munmap(buffer->start, SIZE);
	if (buffer->fd >= 0)
		close(buffer->fd);
}

/* What the device has, if it is all the same; otherwise 0. */
static unsigned char on_the_device(void)
{
	check(cu.synchronize(), "cuCtxSynchronize");
	check(cu.from_device(seen, device_memory, SIZE), "cuMemcpyDtoH");
	return memcmp(seen, seen + 1, SIZE - 1) ? 0 : seen[0];
}

static unsigned char read_by_copy(const unsigned char *start)
{
	check(cu.to_device(device_memory, start, SIZE, NULL), "cuMemcpyHtoDAsync");
	return on_the_device();
}

/* Without the cache. */
static void test_once(const struct change *change, bool pins)
{
	struct buffer buffer = make_buffer(change->of_file);

	check(cu.pin(buffer.start, SIZE, 3), "cuMemHostRegister");
	is(read_by_copy(buffer.start), OLD, "registered once, %s: read before", change->name);
	change->make(&buffer);
	memset(buffer.start, NEW, SIZE);
	if (pins)
		is(read_by_copy(buffer.start), OLD, "registered once, %s: stale", change->name);
	else
		skip("stale", "this device reads memory by the processor's page tables");
	is(cu.unpin(buffer.start), 0, "registered once, %s: unregistered all the same",
	   change->name);
	drop_buffer(&buffer);
}

static void test_cached(struct mmun_cuda *cuda, const struct change *change)
{
	struct buffer buffer = make_buffer(change->of_file);
	struct mmun_cuda_registration *reg;

	for (int i = 0; i < 2; i++) {
		if (i) {
			change->make(&buffer);
			memset(buffer.start, NEW, SIZE);
		}
		reg = mmun_cuda_get(cuda, buffer.start, SIZE, MMUN_RCACHE_WRITE);
		if (!ok(!mmun_is_err(reg), "cached, %s: a get", change->name)) {
			diag("%s", strerror(-mmun_ptr_err(reg)));
			break;
		}
		is(read_by_copy(buffer.start), i ? NEW : OLD, "cached, %s: %s", change->name,
		   i ? "right" : "read before");
		if (reg->device_start) {
			check(cu.on_device(device_memory, mmun_cuda_address(reg, buffer.start),
					   SIZE),
			      "cuMemcpyDtoD");
			is(on_the_device(), i ? NEW : OLD,
			   "cached, %s: by the device's address too", change->name);
		}
		mmun_cuda_put(cuda, reg);
	}
	drop_buffer(&buffer);
	/* The next test registers the same addresses by hand. */
	mmun_rcache_progress(mmun_cuda_cache(cuda));
}

static void test_kept_out(struct mmun_cuda *cuda)
{
	unsigned long long managed;

	is(mmun_ptr_err(mmun_cuda_get(cuda, (void *)device_memory, SIZE, MMUN_RCACHE_READ)),
	   -EOPNOTSUPP, "memory of the device is kept out");
	check(cu.alloc_managed(&managed, SIZE, 1), "cuMemAllocManaged");
	is(mmun_ptr_err(mmun_cuda_get(cuda, (void *)managed, SIZE, MMUN_RCACHE_READ)), -EOPNOTSUPP,
	   "managed memory is kept out");
	check(cu.free(managed), "cuMemFree");
}

static void test_own(struct mmun_cuda *cuda)
{
	struct buffer buffer = make_buffer(false);

	check(cu.pin(buffer.start, SIZE, 1), "cuMemHostRegister");
	is(mmun_ptr_err(mmun_cuda_get(cuda, buffer.start, SIZE, MMUN_RCACHE_READ)), -EADDRINUSE,
	   "what the program has registered is left to it");
	check(cu.unpin(buffer.start), "cuMemHostUnregister");
	drop_buffer(&buffer);
}

int main(int argc, char **argv)
{
	struct mmun_cuda_stats stats;
	int device, by_page_tables = 0;
	struct mmun_probe probe;
	struct mmun_cuda *cuda;

	mmun_cuda_probe(NULL, &probe);
	if (!probe.available && argc < 2)
		skip_all(probe.reason);
	if (!ok(probe.available, "CUDA is there") || mmun_cuda_create(NULL, &cuda))
		bail_out(probe.reason);
	device = start_driver();
	/* CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES */
	cu.attribute(&by_page_tables, 100, device);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		test_once(&changes[i], !by_page_tables);
		test_cached(cuda, &changes[i]);
	}
	test_kept_out(cuda);
	test_own(cuda);
	mmun_rcache_flush(mmun_cuda_cache(cuda));
	mmun_cuda_stats(cuda, &stats);
	is(stats.gone + stats.stuck, 0, "memory that is gone was unregistered like any other");
	is(mmun_cuda_destroy(cuda), 0, "destroyed");
	check(cu.free(device_memory), "cuMemFree");
	check(cu.release(device), "cuDevicePrimaryCtxRelease");
	return tap_done();
}
