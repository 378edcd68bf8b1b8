/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A registration cache for CUDA: host memory that is pinned and known to the driver.
 *
 *     mmun_cuda_create(NULL, &cuda);
 *     reg = mmun_cuda_get(cuda, buffer, length, MMUN_RCACHE_WRITE);
 *     cuMemcpyHtoDAsync(to, buffer, length, stream); ... cuStreamSynchronize(stream);
 *     mmun_cuda_put(cuda, reg);
 *
 * CUDA finds registrations by address.  Once memory is unmapped and other memory is mapped
 * there, the registration of the old pages serves every copy from that address, whoever asks
 * for it, until it is unregistered.  The cache unregisters it; a get registers the new memory.
 *
 * The driver (libcuda.so.1) is loaded by mmun_cuda_create(); nothing of CUDA is needed to
 * build.  Registrations are portable, so that every context may use them, and mapped for devices.
 * The library is libmmunotify-cuda: pkg-config --cflags --libs mmunotify-cuda.
 *
 * CUDA lets no two registrations overlap, and the cache's are of whole pages.  A get of a range
 * that overlaps one which nobody uses takes its place.  If it is in use, or the program has
 * registered or allocated that memory by CUDA itself, the get fails with -EADDRINUSE.  So
 * buffers that are used at the same time should not share pages, and what the cache holds the
 * program cannot register itself.
 *
 * Memory that needs no registration, of devices or managed by CUDA, is kept out: a get fails
 * with -EOPNOTSUPP, and the address can be used as it is.
 */
#ifndef MMUNOTIFY_CUDA_H
#define MMUNOTIFY_CUDA_H

#include <mmunotify/primary.h>
#include <mmunotify/rcache.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct mmun_cuda;

/** Memory that is mapped read-only is registered as well, for devices to read.  Its mapping must
 *  not be made writable while it is cached: the program's writes may then go to copies of the
 *  pages, of which nobody is notified.  Ignored where the device does not offer it. */
#define MMUN_CUDA_READ_ONLY (1u << 0)

/** Options of mmun_cuda_create(); zero is the default everywhere. */
struct mmun_cuda_options {
	/** As for mmun_rcache_create(), with the name "cuda" by default.  @registration_size
	 *  may be larger than struct mmun_cuda_registration. */
	struct mmun_rcache_options cache;
	/** A CUcontext to register in, which lives longer than the cache; default: the
	 *  primary context of @device, which is retained. */
	void *context;
	int device;
	/** MMUN_CUDA_READ_ONLY, or 0. */
	unsigned int flags;
	/** The driver's file; default "libcuda.so.1". */
	const char *driver;
	unsigned long reserved[4];
};

/** struct mmun_cuda_registration - registered memory.  Its user reads it between get and put. */
struct mmun_cuda_registration {
	struct mmun_registration registration;
	/** Where devices see @registration.start; 0: the device maps no host memory. */
	unsigned long long device_start;
	/* private: */
	unsigned long reserved[2];
};

/**
 * mmun_cuda_create() - a cache of host memory that is registered with CUDA.
 * @options: may be NULL
 *
 * Loads and initialises the driver.  CUDA does not work in a forked child: there gets are
 * -EPERM, and destroy leaves the driver alone.
 *
 * Context: sleeps, loads a library.
 * Return: 0; -ENODEV (no driver, or no such device: mmun_cuda_probe() says why); -EOPNOTSUPP
 * (the device registers no host memory); -EINVAL (unknown flags, @registration_size too
 * small); -ENOMEM; other errors of the driver as of a get; or what mmun_rcache_create() returned.
 */
int mmun_cuda_create(const struct mmun_cuda_options *options, struct mmun_cuda **cuda);

/**
 * mmun_cuda_destroy() - unregister everything, release the context.
 *
 * Context and return: as mmun_rcache_destroy().
 */
int mmun_cuda_destroy(struct mmun_cuda *cuda);

/**
 * mmun_cuda_get() - registered memory that covers @length bytes at @address.
 * @access: as of mmun_rcache_get()
 *
 * Context: as mmun_rcache_get().
 * Return: the registration, or an error pointer: as mmun_rcache_get(); -EADDRINUSE and
 * -EOPNOTSUPP as said at the top of mmunotify/cuda.h; -EFAULT (not mapped, or read-only); -EPERM
 * (in a forked child); -ESHUTDOWN (the process is ending, the driver has ended); -ENXIO (the
 * context has been destroyed); -EIO (what the driver says otherwise, mmun_cuda_stats() has
 * its number).
 */
struct mmun_cuda_registration *mmun_cuda_get(struct mmun_cuda *cuda, const void *address,
					     size_t length, unsigned int access);

/** mmun_cuda_put() - the device is done with it.  Of NULL and error pointers nothing is done, as
 *  most copies work without a registration, only slower.  Context: as mmun_rcache_put(). */
void mmun_cuda_put(struct mmun_cuda *cuda, struct mmun_cuda_registration *reg);

/** mmun_cuda_address() - where devices see @address, which @reg covers.  Context: any. */
static inline unsigned long long mmun_cuda_address(const struct mmun_cuda_registration *reg,
						   const void *address)
{
	return reg->device_start + ((unsigned long)address - reg->registration.start);
}

/** mmun_cuda_cache() - its cache: for statistics, mmun_rcache_flush() and so on. */
struct mmun_rcache *mmun_cuda_cache(struct mmun_cuda *cuda);

/**
 * mmun_cuda_probe() - can a cache be made here, and if not, why?
 * @options: as of mmun_cuda_create()
 *
 * Context: sleeps, loads a library, which stays loaded.
 */
void mmun_cuda_probe(const struct mmun_cuda_options *options, struct mmun_probe *out);

/** Counts of what the driver said, all since the creation. */
struct mmun_cuda_stats {
	/** Gets of memory that needs no registration. */
	unsigned long kept_out;
	/** Gets that met a registration that overlaps. */
	unsigned long overlaps;
	/** Registered for devices to read only. */
	unsigned long read_only;
	/** Already gone when they were to be unregistered: the context was destroyed, the driver
	 *  shut down, or the program has unregistered them. */
	unsigned long gone;
	/** The driver would not unregister. */
	unsigned long stuck;
	/** The last error of the driver (CUresult) that was not expected; 0: none. */
	int last_error;
};

#ifdef __cplusplus
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif
/** mmun_cuda_stats() - a snapshot.  Context: any. */
void mmun_cuda_stats(struct mmun_cuda *cuda, struct mmun_cuda_stats *out);
#ifdef __cplusplus
#pragma GCC diagnostic pop
#endif

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
