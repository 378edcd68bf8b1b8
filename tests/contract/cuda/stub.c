/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The driver of stub.h: a libcuda.so.1 that is loaded by what is tested. */
#include "stub.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "driver.h"

#define MAX_REGISTRATIONS 512
#define MAX_ALLOCATIONS   64
#define MAX_PUSHED        16
#define PAGE              4096ul

enum { DEVICE = 2, MANAGED = 3 };

struct registration {
	unsigned long start, end;
	void *context;
	/* A pipe that holds the pages. */
	int pages[2];
};

struct allocation {
	unsigned long start, end;
	int kind;
	char *contents;
};

struct context {
	bool primary, alive;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct registration registrations[MAX_REGISTRATIONS];
static struct allocation allocations[MAX_ALLOCATIONS];
static struct context contexts[8] = { { .primary = true } };
static __thread void *pushed[MAX_PUSHED];
static __thread int nr_pushed;
static bool initialised;
static struct stub state = { .registers = true, .maps = true, .read_only = true };

struct stub *mmun_stub(void)
{
	return &state;
}

int mmun_stub_pushed(void)
{
	return nr_pushed;
}

/* Tests look at it meanwhile. */
static void add(long *count, long n)
{
	__atomic_add_fetch(count, n, __ATOMIC_SEQ_CST);
}

static int mistake(const char *what, int result)
{
	if (!state.mistakes++)
		state.mistake = what;
	return result;
}

static int usable(void)
{
	if (state.ended)
		return CU_DEINITIALIZED;
	return initialised ? CU_SUCCESS : CU_NOT_INITIALIZED;
}

static struct context *current(void)
{
	return nr_pushed ? pushed[nr_pushed - 1] : NULL;
}

int cuInit(unsigned int flags);
int cuInit(unsigned int flags)
{
	if (flags)
		return mistake("cuInit() with flags", CU_INVALID_VALUE);
	if (state.ended)
		return CU_DEINITIALIZED;
	initialised = !state.init_result;
	return state.init_result;
}

int cuDeviceGet(int *device, int ordinal);
int cuDeviceGet(int *device, int ordinal)
{
	*device = 0;
	return usable() ? usable() : ordinal ? CU_INVALID_DEVICE : CU_SUCCESS;
}

int cuDeviceGetAttribute(int *value, int attribute, int device);
int cuDeviceGetAttribute(int *value, int attribute, int device)
{
	switch (attribute) {
	case CU_DEVICE_HOST_REGISTER_SUPPORTED:
		*value = state.registers;
		break;
	case CU_DEVICE_CAN_MAP_HOST_MEMORY:
		*value = state.maps;
		break;
	case CU_DEVICE_READ_ONLY_HOST_REGISTER_SUPPORTED:
		*value = state.read_only;
		break;
	default:
		return CU_INVALID_VALUE;
	}
	return usable();
}

int cuDevicePrimaryCtxRetain(void **context, int device);
int cuDevicePrimaryCtxRetain(void **context, int device)
{
	*context = &contexts[0];
	contexts[0].alive = true;
	__atomic_add_fetch(&state.retained, 1, __ATOMIC_SEQ_CST);
	return usable();
}

int cuDevicePrimaryCtxRelease_v2(int device);
int cuDevicePrimaryCtxRelease_v2(int device)
{
	if (__atomic_sub_fetch(&state.retained, 1, __ATOMIC_SEQ_CST) < 0)
		return mistake("the primary context released too often", CU_INVALID_CONTEXT);
	return usable();
}

int cuCtxCreate_v2(void **context, unsigned int flags, int device);
int cuCtxCreate_v2(void **context, unsigned int flags, int device)
{
	for (size_t i = 1; i < sizeof(contexts) / sizeof(contexts[0]); i++)
		if (!contexts[i].alive) {
			contexts[i].alive = true;
			*context = &contexts[i];
			return usable();
		}
	return CU_OUT_OF_MEMORY;
}

int cuCtxPushCurrent_v2(void *context);
int cuCtxPushCurrent_v2(void *context)
{
	if (usable())
		return usable();
	if (!((struct context *)context)->alive)
		return CU_CONTEXT_IS_DESTROYED;
	if (nr_pushed == MAX_PUSHED)
		return mistake("contexts are pushed and not popped", CU_INVALID_VALUE);
	pushed[nr_pushed++] = context;
	return CU_SUCCESS;
}

int cuCtxPopCurrent_v2(void **context);
int cuCtxPopCurrent_v2(void **context)
{
	if (!nr_pushed)
		return mistake("a context popped that was not pushed", CU_INVALID_CONTEXT);
	*context = pushed[--nr_pushed];
	return usable();
}

int cuCtxGetDevice(int *device);
int cuCtxGetDevice(int *device)
{
	*device = 0;
	return usable() ? usable() : current() ? CU_SUCCESS : CU_INVALID_CONTEXT;
}

static bool overlap(unsigned long start, unsigned long end, unsigned long from, unsigned long to)
{
	return start < to && from < end;
}

/* With the lock held: the one that begins first, or NULL. */
static struct registration *find(unsigned long start, unsigned long end)
{
	for (int i = 0; i < MAX_REGISTRATIONS; i++)
		if (overlap(start, end, registrations[i].start, registrations[i].end))
			return &registrations[i];
	return NULL;
}

static const struct allocation *find_allocation(unsigned long address)
{
	for (int i = 0; i < MAX_ALLOCATIONS; i++)
		if (address >= allocations[i].start && address < allocations[i].end)
			return &allocations[i];
	return NULL;
}

/* A byte of each page is read, and written as it is: then the page is the program's own. */
static bool touch(unsigned long start, unsigned long end, bool write)
{
	char byte;
	struct iovec here = { .iov_base = &byte, .iov_len = 1 }, there = { .iov_len = 1 };

	for (; start < end; start += PAGE) {
		there.iov_base = (void *)start;
		if (process_vm_readv(getpid(), &here, 1, &there, 1, 0) != 1 ||
		    (write && process_vm_writev(getpid(), &here, 1, &there, 1, 0) != 1))
			return false;
	}
	return true;
}

static bool take_pages(struct registration *reg, bool write)
{
	size_t length = reg->end - reg->start;
	struct iovec iov = { .iov_base = (void *)reg->start, .iov_len = length };

	if (!touch(reg->start, reg->end, write) || pipe2(reg->pages, O_CLOEXEC | O_NONBLOCK))
		return false;
	if ((size_t)fcntl(reg->pages[0], F_GETPIPE_SZ) < length)
		fcntl(reg->pages[1], F_SETPIPE_SZ, (int)length);
	if (vmsplice(reg->pages[1], &iov, 1, SPLICE_F_NONBLOCK) == (ssize_t)length)
		return true;
	close(reg->pages[0]);
	close(reg->pages[1]);
	return false;
}

static void drop(struct registration *reg)
{
	close(reg->pages[0]);
	close(reg->pages[1]);
	add(&state.registered, -1);
	add(&state.bytes, -(long)(reg->end - reg->start));
	*reg = (struct registration){ 0 };
}

static int register_locked(unsigned long start, size_t length, unsigned int flags)
{
	struct registration *reg = registrations, made = { .start = start, .end = start + length };

	if (find(start, start + length))
		return CU_ALREADY_REGISTERED;
	if (find_allocation(start) || find_allocation(start + length - 1))
		return mistake("memory of CUDA registered", CU_INVALID_VALUE);
	while (reg < registrations + MAX_REGISTRATIONS && reg->end)
		reg++;
	if (reg == registrations + MAX_REGISTRATIONS)
		return CU_OUT_OF_MEMORY;
	if (!take_pages(&made, !(flags & CU_REGISTER_READ_ONLY)))
		return CU_INVALID_VALUE;
	made.context = current();
	*reg = made;
	add(&state.registered, 1);
	add(&state.bytes, (long)length);
	add(&state.registers_done, 1);
	return CU_SUCCESS;
}

int cuMemHostRegister_v2(void *address, size_t length, unsigned int flags);
int cuMemHostRegister_v2(void *address, size_t length, unsigned int flags)
{
	int result = usable();

	if (result)
		return result;
	if (!current())
		return mistake("registered without a context", CU_INVALID_CONTEXT);
	if (((unsigned long)address | length) % PAGE || !length)
		return mistake("registered what is no range of pages", CU_INVALID_VALUE);
	if ((flags & CU_REGISTER_DEVICEMAP) && !state.maps)
		return mistake("mapped for a device that maps nothing", CU_INVALID_VALUE);
	if ((flags & CU_REGISTER_READ_ONLY) && !state.read_only)
		return mistake("read-only for a device that has no such thing", CU_NOT_SUPPORTED);
	if (state.while_registering)
		state.while_registering(address, length);
	pthread_mutex_lock(&lock);
	if (state.nr_register_results) {
		state.nr_register_results--;
		result = state.register_result;
	} else {
		result = register_locked((unsigned long)address, length, flags);
	}
	pthread_mutex_unlock(&lock);
	return result;
}

int cuMemHostUnregister(void *address);
int cuMemHostUnregister(void *address)
{
	unsigned long start = (unsigned long)address;
	struct registration *reg;
	int result = usable();

	if (result)
		return result;
	pthread_mutex_lock(&lock);
	reg = find(start, start + 1);
	if (state.nr_unregister_results) {
		state.nr_unregister_results--;
		result = state.unregister_result;
	} else if (!reg) {
		result = CU_NOT_REGISTERED;
	} else if (reg->start != start) {
		result = mistake("unregistered by an address inside", CU_INVALID_VALUE);
	} else {
		drop(reg);
		add(&state.unregisters_done, 1);
	}
	pthread_mutex_unlock(&lock);
	return result;
}

/* What was registered in it goes with it. */
int cuCtxDestroy_v2(void *context);
int cuCtxDestroy_v2(void *context)
{
	pthread_mutex_lock(&lock);
	((struct context *)context)->alive = false;
	for (int i = 0; i < MAX_REGISTRATIONS; i++)
		if (registrations[i].end && registrations[i].context == context)
			drop(&registrations[i]);
	pthread_mutex_unlock(&lock);
	return usable();
}

/* The devices of the stub see memory at other addresses than the program. */
#define DEVICE_BIAS 0x700000000000000ull

int cuMemHostGetDevicePointer_v2(unsigned long long *pointer, void *address, unsigned int flags);
int cuMemHostGetDevicePointer_v2(unsigned long long *pointer, void *address, unsigned int flags)
{
	unsigned long start = (unsigned long)address;
	bool found;

	pthread_mutex_lock(&lock);
	found = find(start, start + 1);
	pthread_mutex_unlock(&lock);
	*pointer = start + DEVICE_BIAS;
	if (state.nr_pointer_results) {
		state.nr_pointer_results--;
		return state.pointer_result;
	}
	return found ? usable() : mistake("a pointer to what is not registered", CU_INVALID_VALUE);
}

int cuPointerGetAttributes(unsigned int nr, int *attributes, void **values,
			   unsigned long long pointer);
int cuPointerGetAttributes(unsigned int nr, int *attributes, void **values,
			   unsigned long long pointer)
{
	const struct allocation *allocation;
	bool registered;

	pthread_mutex_lock(&lock);
	allocation = find_allocation(pointer);
	registered = find(pointer, pointer + 1);
	pthread_mutex_unlock(&lock);
	if (!allocation && !registered && state.unknown_result)
		return state.unknown_result;
	for (unsigned int i = 0; i < nr; i++) {
		unsigned int *value = values[i];

		if (attributes[i] == CU_POINTER_MEMORY_TYPE)
			*value = allocation && allocation->kind == DEVICE ? DEVICE
				 : allocation || registered               ? CU_MEMORY_HOST
									  : 0;
		else if (attributes[i] == CU_POINTER_IS_MANAGED)
			*value = allocation && allocation->kind == MANAGED;
		else
			return mistake("an attribute that nobody needs", CU_INVALID_VALUE);
	}
	return usable();
}

static int allocate(unsigned long long *pointer, size_t length, int kind)
{
	int rights = kind == MANAGED ? PROT_READ | PROT_WRITE : PROT_NONE;
	struct allocation *allocation = allocations;
	char *start;

	length = (length + PAGE - 1) & ~(PAGE - 1);
	while (allocation < allocations + MAX_ALLOCATIONS && allocation->end)
		allocation++;
	if (allocation == allocations + MAX_ALLOCATIONS)
		return CU_OUT_OF_MEMORY;
	start = mmap(NULL, length, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (start == MAP_FAILED)
		return CU_OUT_OF_MEMORY;
	*allocation = (struct allocation){
		.start = (unsigned long)start,
		.end = (unsigned long)start + length,
		.kind = kind,
		.contents = kind == MANAGED ? start : calloc(1, length),
	};
	*pointer = allocation->start;
	return usable();
}

int cuMemAlloc_v2(unsigned long long *pointer, size_t length);
int cuMemAlloc_v2(unsigned long long *pointer, size_t length)
{
	return allocate(pointer, length, DEVICE);
}

int cuMemAllocManaged(unsigned long long *pointer, size_t length, unsigned int flags);
int cuMemAllocManaged(unsigned long long *pointer, size_t length, unsigned int flags)
{
	return allocate(pointer, length, MANAGED);
}

int cuMemFree_v2(unsigned long long pointer);
int cuMemFree_v2(unsigned long long pointer)
{
	struct allocation *allocation = (struct allocation *)find_allocation(pointer);

	if (!allocation)
		return CU_INVALID_VALUE;
	if (allocation->kind == DEVICE)
		free(allocation->contents);
	munmap((void *)allocation->start, allocation->end - allocation->start);
	*allocation = (struct allocation){ 0 };
	return usable();
}

/* The pages as they were registered; they stay in the pipe. */
static bool read_pages(const struct registration *reg, unsigned long at, size_t length, char *to)
{
	size_t size = reg->end - reg->start;
	char *all = malloc(size);
	ssize_t got = -1;
	int copy[2];

	if (!all || pipe2(copy, O_CLOEXEC | O_NONBLOCK))
		abort();
	fcntl(copy[1], F_SETPIPE_SZ, (int)size);
	if (tee(reg->pages[0], copy[1], size, SPLICE_F_NONBLOCK) == (ssize_t)size)
		for (size_t done = 0; done < size; done += (size_t)got) {
			got = read(copy[0], all + done, size - done);
			if (got <= 0)
				break;
		}
	if (got > 0)
		memcpy(to, all + (at - reg->start), length);
	close(copy[0]);
	close(copy[1]);
	free(all);
	return got > 0;
}

static int copy_in(unsigned long long to, unsigned long from, size_t length)
{
	const struct allocation *allocation = find_allocation(to);
	const struct registration *reg;
	int result = CU_SUCCESS;
	char *at;

	if (!allocation || to + length > allocation->end)
		return CU_INVALID_VALUE;
	at = allocation->contents + (to - allocation->start);
	pthread_mutex_lock(&lock);
	reg = find(from, from + length);
	if (!reg)
		memcpy(at, (void *)from, length);
	else if (from < reg->start || from + length > reg->end ||
		 !read_pages(reg, from, length, at))
		result = CU_INVALID_VALUE;
	pthread_mutex_unlock(&lock);
	return result;
}

int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t length, void *stream);
int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t length, void *stream)
{
	return copy_in(to, (unsigned long)from, length);
}

int cuMemcpyDtoD_v2(unsigned long long to, unsigned long long from, size_t length);
int cuMemcpyDtoD_v2(unsigned long long to, unsigned long long from, size_t length)
{
	return copy_in(to, from - DEVICE_BIAS, length);
}

int cuMemcpyDtoH_v2(void *to, unsigned long long from, size_t length);
int cuMemcpyDtoH_v2(void *to, unsigned long long from, size_t length)
{
	const struct allocation *allocation = find_allocation(from);

	if (!allocation || from + length > allocation->end)
		return CU_INVALID_VALUE;
	memcpy(to, allocation->contents + (from - allocation->start), length);
	return usable();
}

int cuCtxSynchronize(void);
int cuCtxSynchronize(void)
{
	return usable();
}
