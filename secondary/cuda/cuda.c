/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Host memory registered with CUDA, as a backend of the registration cache.
 *
 * Invariants:
 *  I1  Each call of the driver finds the context current that memory is registered in, and the
 *      caller's own is current again afterwards: the reaper has none, and a program's
 *      threads have theirs.
 *  I2  A forked child never calls the driver.
 *  I3  What is registered for reading alone is so because the program allowed it: otherwise
 *      pages are pinned to be written, which leaves the program's mapping no reason to
 *      replace them by copies.
 * Not here: which of two registrations that overlap has to go.  The cache knows, and is
 * asked to make room by -EADDRINUSE.
 * Locks: none; the driver has its own.
 * Tests: tests/contract/cuda/.
 */
#include "mmunotify/cuda.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mmunotify/self.h>

#include "atomic.h"
#include "driver.h"

struct mmun_cuda {
	struct cuda_driver driver;
	struct mmun_rcache *cache;
	void *context;
	/* Of the primary context that is retained; -1: it is the program's own. */
	int retained;
	bool maps, read_only;
	/* The one that initialised the driver. */
	pid_t process;
	/* Counted with atomic additions. */
	struct mmun_cuda_stats stats;
};

_Static_assert(offsetof(struct mmun_cuda_registration, registration) == 0, "it comes first");

static struct mmun_cuda_registration *to_cuda(struct mmun_registration *reg)
{
	return (struct mmun_cuda_registration *)(void *)reg;
}

static int note(struct mmun_cuda *cuda, int result)
{
	mmun_store_relaxed(&cuda->stats.last_error, result);
	return result;
}

/* Return: a result of the driver. */
static int enter(const struct mmun_cuda *cuda)
{
	return cuda->driver.context_push(cuda->context);
}

static void leave(const struct mmun_cuda *cuda)
{
	void *context;

	cuda->driver.context_pop(&context);
}

/* Is it memory that the driver has allocated and finds without us? */
static bool is_of_cuda(const struct mmun_cuda *cuda, unsigned long address)
{
	int attributes[] = { CU_POINTER_MEMORY_TYPE, CU_POINTER_IS_MANAGED };
	unsigned int type = 0, managed = 0;
	void *values[] = { &type, &managed };

	/* Of memory that it does not know it says nothing, or that it does not know it. */
	if (cuda->driver.pointer_attributes(2, attributes, values, address))
		return false;
	return managed || (type && type != CU_MEMORY_HOST);
}

static int pin(struct mmun_cuda *cuda, struct mmun_registration *reg)
{
	unsigned int flags = CU_REGISTER_PORTABLE | (cuda->maps ? CU_REGISTER_DEVICEMAP : 0);
	size_t length = reg->end - reg->start;
	void *start = (void *)reg->start;
	int result = cuda->driver.host_register(start, length, flags);

	if (result != CU_INVALID_VALUE && result != CU_NOT_PERMITTED) {
		reg->access |= MMUN_RCACHE_ACCESS;
		return result;
	}
	if (!cuda->read_only || (reg->access & ~MMUN_RCACHE_READ))
		return result;
	result = cuda->driver.host_register(start, length, flags | CU_REGISTER_READ_ONLY);
	if (!result)
		mmun_add_relaxed(&cuda->stats.read_only, 1);
	return result;
}

static int register_entered(struct mmun_cuda *cuda, struct mmun_registration *reg)
{
	unsigned long long pointer = 0;
	int result;

	if (is_of_cuda(cuda, reg->start) || is_of_cuda(cuda, reg->end - 1)) {
		mmun_add_relaxed(&cuda->stats.kept_out, 1);
		return -EOPNOTSUPP;
	}
	result = pin(cuda, reg);
	if (result == CU_ALREADY_REGISTERED) {
		mmun_add_relaxed(&cuda->stats.overlaps, 1);
		return -EADDRINUSE;
	}
	if (result)
		return mmun_cuda_errno(note(cuda, result));
	if (!cuda->maps)
		return 0;
	result = cuda->driver.host_device_pointer(&pointer, (void *)reg->start, 0);
	if (result) {
		cuda->driver.host_unregister((void *)reg->start);
		return mmun_cuda_errno(note(cuda, result));
	}
	to_cuda(reg)->device_start = pointer;
	return 0;
}

static int cuda_register(void *arg, struct mmun_registration *reg)
{
	struct mmun_cuda *cuda = arg;
	int result;

	if (getpid() != cuda->process)
		return -EPERM;
	result = enter(cuda);
	if (result)
		return mmun_cuda_errno(note(cuda, result));
	result = register_entered(cuda, reg);
	leave(cuda);
	return result;
}

/*
 * The driver releases what was registered when the context goes, and when it shuts down at exit.
 * Memory that is gone it unregisters like any other: gpu.c of the tests asks the real one.
 */
static void cuda_deregister(void *arg, struct mmun_registration *reg)
{
	struct mmun_cuda *cuda = arg;
	bool entered;
	int result;

	if (getpid() != cuda->process)
		return;
	/* It can be unregistered without a context, too. */
	entered = !enter(cuda);
	result = cuda->driver.host_unregister((void *)reg->start);
	if (entered)
		leave(cuda);
	switch (result) {
	case CU_SUCCESS:
		break;
	case CU_NOT_INITIALIZED:
	case CU_DEINITIALIZED:
	case CU_INVALID_CONTEXT:
	case CU_CONTEXT_IS_DESTROYED:
	case CU_NOT_REGISTERED:
		mmun_add_relaxed(&cuda->stats.gone, 1);
		break;
	default:
		note(cuda, result);
		mmun_add_relaxed(&cuda->stats.stuck, 1);
	}
}

static const struct mmun_rcache_ops cuda_ops = {
	.register_memory = cuda_register,
	.deregister_memory = cuda_deregister,
};

static void say(struct mmun_probe *out, const char *reason, const char *remedy)
{
	snprintf(out->reason, sizeof(out->reason), "%s.", reason);
	snprintf(out->remedy, sizeof(out->remedy), "%s.", remedy);
}

static int say_result(struct mmun_probe *out, const char *call, int result)
{
	char text[128];

	snprintf(text, sizeof(text), "CUDA's driver is there, but %s() fails with error %d", call,
		 result);
	say(out, text,
	    result == CU_NO_DEVICE
		    ? "There is no device that CUDA could use"
		    : "See what nvidia-smi(1) says, and the number in CUDA's documentation");
	return mmun_cuda_errno(result);
}

static int find_context(struct mmun_cuda *cuda, const struct mmun_cuda_options *options,
			struct mmun_probe *out)
{
	int result, device;

	cuda->retained = -1;
	if (options->context) {
		cuda->context = options->context;
		return 0;
	}
	result = cuda->driver.device_get(&device, options->device);
	if (result)
		return say_result(out, "cuDeviceGet", result);
	result = cuda->driver.primary_retain(&cuda->context, device);
	if (result)
		return say_result(out, "cuDevicePrimaryCtxRetain", result);
	cuda->retained = device;
	return 0;
}

static void drop_context(struct mmun_cuda *cuda)
{
	if (cuda->retained >= 0 && getpid() == cuda->process)
		cuda->driver.primary_release(cuda->retained);
}

static bool has(const struct mmun_cuda *cuda, int attribute, int device)
{
	int value = 0;

	/* Older drivers know fewer attributes. */
	return !cuda->driver.device_attribute(&value, attribute, device) && value;
}

/* What the device of the context can. */
static int ask_device(struct mmun_cuda *cuda, const struct mmun_cuda_options *options,
		      struct mmun_probe *out)
{
	int device, result = enter(cuda);

	if (result)
		return say_result(out, "cuCtxPushCurrent", result);
	result = cuda->driver.context_device(&device);
	leave(cuda);
	if (result)
		return say_result(out, "cuCtxGetDevice", result);
	if (!has(cuda, CU_DEVICE_HOST_REGISTER_SUPPORTED, device)) {
		say(out, "The device does not register host memory",
		    "Use memory that CUDA has allocated");
		return -EOPNOTSUPP;
	}
	cuda->maps = has(cuda, CU_DEVICE_CAN_MAP_HOST_MEMORY, device);
	cuda->read_only = (options->flags & MMUN_CUDA_READ_ONLY) &&
			  has(cuda, CU_DEVICE_READ_ONLY_HOST_REGISTER_SUPPORTED, device);
	return 0;
}

/* The driver, a context, and what its device can; on failure nothing, and why. */
static int start(struct mmun_cuda *cuda, const struct mmun_cuda_options *options,
		 struct mmun_probe *out)
{
	const char *missing = mmun_cuda_load(options->driver, &cuda->driver);
	char text[224];
	int result;

	if (missing) {
		snprintf(text, sizeof(text), "There is no CUDA driver here (%s)", missing);
		say(out, text, "Install NVIDIA's driver, version 450 or later");
		return -ENODEV;
	}
	cuda->process = getpid();
	result = cuda->driver.init(0);
	if (result)
		return say_result(out, "cuInit", result);
	result = find_context(cuda, options, out);
	if (result)
		return result;
	result = ask_device(cuda, options, out);
	if (result)
		drop_context(cuda);
	return result;
}

int mmun_cuda_create(const struct mmun_cuda_options *given, struct mmun_cuda **out)
{
	struct mmun_cuda_options options = given ? *given : (struct mmun_cuda_options){ 0 };
	const size_t least = sizeof(struct mmun_cuda_registration);
	struct mmun_probe probe;
	struct mm_struct *mm = mmun_self();
	struct mmun_cuda *cuda;
	int result;

	if (!mm)
		return -ENOMEM;
	if (!options.cache.name)
		options.cache.name = "cuda";
	if (!options.cache.registration_size)
		options.cache.registration_size = least;
	if ((options.flags & ~MMUN_CUDA_READ_ONLY) || options.cache.registration_size < least)
		return -EINVAL;
	cuda = calloc(1, sizeof(*cuda));
	if (!cuda)
		return -ENOMEM;
	result = start(cuda, &options, &probe);
	if (result)
		goto free_cuda;
	result = mmun_rcache_create(mm, &cuda_ops, cuda, &options.cache, &cuda->cache);
	if (result)
		goto drop;
	*out = cuda;
	return 0;
drop:
	drop_context(cuda);
free_cuda:
	free(cuda);
	return result;
}

int mmun_cuda_destroy(struct mmun_cuda *cuda)
{
	int result = mmun_rcache_destroy(cuda->cache);

	if (result)
		return result;
	drop_context(cuda);
	free(cuda);
	return 0;
}

/* Error pointers stay what they are. */
struct mmun_cuda_registration *mmun_cuda_get(struct mmun_cuda *cuda, const void *address,
					     size_t length, unsigned int access)
{
	return to_cuda(mmun_rcache_get(cuda->cache, (unsigned long)address, length, access));
}

void mmun_cuda_put(struct mmun_cuda *cuda, struct mmun_cuda_registration *reg)
{
	if (reg && !mmun_is_err(reg))
		mmun_rcache_put(cuda->cache, &reg->registration);
}

struct mmun_rcache *mmun_cuda_cache(struct mmun_cuda *cuda)
{
	return cuda->cache;
}

void mmun_cuda_probe(const struct mmun_cuda_options *options, struct mmun_probe *out)
{
	static const struct mmun_cuda_options defaults;
	struct mmun_cuda cuda = { .retained = -1 };

	*out = (struct mmun_probe){ 0 };
	out->available = !start(&cuda, options ? options : &defaults, out);
	if (out->available)
		drop_context(&cuda);
}

void mmun_cuda_stats(struct mmun_cuda *cuda, struct mmun_cuda_stats *out)
{
	out->kept_out = mmun_load_relaxed(&cuda->stats.kept_out);
	out->overlaps = mmun_load_relaxed(&cuda->stats.overlaps);
	out->read_only = mmun_load_relaxed(&cuda->stats.read_only);
	out->gone = mmun_load_relaxed(&cuda->stats.gone);
	out->stuck = mmun_load_relaxed(&cuda->stats.stuck);
	out->last_error = mmun_load_relaxed(&cuda->stats.last_error);
}
