/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Host memory that is registered with CUDA's driver.
 *
 * CUDA's run-time library looks the driver's functions up by dlsym(3) and by
 * cuGetProcAddress(), which get ours where the driver has its own.
 * Whether a device uses a registration is not seen.  Tests: tests/system/audit.py.
 */
#include <string.h>

#include "watch.h"

#define LIBRARY "libcuda.so.1"
/* CUDA_ERROR_NOT_FOUND, where no driver is. */
#define NOT_FOUND 500

static void *real_cuMemHostRegister, *real_cuMemHostRegister_v2, *real_cuMemHostUnregister,
	*real_cuCtxDestroy_v2, *real_cuDevicePrimaryCtxReset_v2, *real_cuGetProcAddress,
	*real_cuGetProcAddress_v2;

typedef int register_function(void *, size_t, unsigned int);

static int do_register(void **cache, const char *function, void *address, size_t length,
		       unsigned int flags, struct caller caller)
{
	register_function *real = (register_function *)library_function(cache, LIBRARY, function);
	struct known_by name = { AUDIT_CUDA, (unsigned long)address, 0, 0 };
	struct registration *reg = NULL;
	int result;

	if (!real)
		return NOT_FOUND;
	if (watch_wants(AUDIT_CUDA))
		reg = watch_begin(AUDIT_CUDA, (unsigned long)address, length, caller);
	result = real(address, length, flags);
	if (result)
		watch_failed(reg);
	else
		watch_done(reg, &name);
	return result;
}

REPLACES int cuMemHostRegister_v2(void *address, size_t length, unsigned int flags);
REPLACES int cuMemHostRegister_v2(void *address, size_t length, unsigned int flags)
{
	return do_register(&real_cuMemHostRegister_v2, "cuMemHostRegister_v2", address, length,
			   flags, CALLER);
}

REPLACES int cuMemHostRegister(void *address, size_t length, unsigned int flags);
REPLACES int cuMemHostRegister(void *address, size_t length, unsigned int flags)
{
	return do_register(&real_cuMemHostRegister, "cuMemHostRegister", address, length, flags,
			   CALLER);
}

REPLACES int cuMemHostUnregister(void *address);
REPLACES int cuMemHostUnregister(void *address)
{
	typedef int function(void *);
	function *real = (function *)library_function(&real_cuMemHostUnregister, LIBRARY,
						      "cuMemHostUnregister");
	struct known_by name = { AUDIT_CUDA, (unsigned long)address, 0, 0 };

	if (!real)
		return NOT_FOUND;
	if (watch_wants(AUDIT_CUDA))
		watch_dropped(&name, 1, CALLER);
	return real(address);
}

/* A context takes its registrations along; which ones those are we do not know, and a
 * process has seldom two. */
static int do_destroy(void **cache, const char *name, void *argument, struct caller caller)
{
	typedef int function(void *);
	function *real = (function *)library_function(cache, LIBRARY, name);

	if (!real)
		return NOT_FOUND;
	if (watch_wants(AUDIT_CUDA))
		watch_dropped_all(AUDIT_CUDA, caller);
	return real(argument);
}

REPLACES int cuCtxDestroy_v2(void *context);
REPLACES int cuCtxDestroy_v2(void *context)
{
	return do_destroy(&real_cuCtxDestroy_v2, "cuCtxDestroy_v2", context, CALLER);
}

/* A device is a number, and numbers and pointers are passed alike. */
REPLACES int cuDevicePrimaryCtxReset_v2(unsigned long device);
REPLACES int cuDevicePrimaryCtxReset_v2(unsigned long device)
{
	return do_destroy(&real_cuDevicePrimaryCtxReset_v2, "cuDevicePrimaryCtxReset_v2",
			  (void *)device, CALLER);
}

/* By cuGetProcAddress(), which knows the functions without the ends of their names. */
static const struct replacement by_address[] = {
	{ "cuMemHostRegister", cuMemHostRegister_v2, &real_cuMemHostRegister_v2 },
	{ "cuMemHostUnregister", cuMemHostUnregister, &real_cuMemHostUnregister },
	{ "cuCtxDestroy", cuCtxDestroy_v2, &real_cuCtxDestroy_v2 },
	{ "cuDevicePrimaryCtxReset", cuDevicePrimaryCtxReset_v2, &real_cuDevicePrimaryCtxReset_v2 },
	{ NULL, NULL, NULL },
};

REPLACES int cuGetProcAddress(const char *symbol, void **function, int version, uint64_t flags);
REPLACES int cuGetProcAddress(const char *symbol, void **function, int version, uint64_t flags)
{
	typedef int real_function(const char *, void **, int, uint64_t);
	real_function *real = (real_function *)library_function(&real_cuGetProcAddress, LIBRARY,
								"cuGetProcAddress");
	int result = real ? real(symbol, function, version, flags) : NOT_FOUND;

	if (!result && symbol && function)
		*function = replacement_for(replacement_in(by_address, symbol), *function);
	return result;
}

REPLACES int cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags,
				 void *status);
REPLACES int cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags,
				 void *status)
{
	typedef int real_function(const char *, void **, int, uint64_t, void *);
	real_function *real = (real_function *)library_function(&real_cuGetProcAddress_v2, LIBRARY,
								"cuGetProcAddress_v2");
	int result = real ? real(symbol, function, version, flags, status) : NOT_FOUND;

	if (!result && symbol && function)
		*function = replacement_for(replacement_in(by_address, symbol), *function);
	return result;
}

const struct replacement cuda_replacements[] = {
	{ "cuMemHostRegister", cuMemHostRegister, &real_cuMemHostRegister },
	{ "cuMemHostRegister_v2", cuMemHostRegister_v2, &real_cuMemHostRegister_v2 },
	{ "cuMemHostUnregister", cuMemHostUnregister, &real_cuMemHostUnregister },
	{ "cuCtxDestroy_v2", cuCtxDestroy_v2, &real_cuCtxDestroy_v2 },
	{ "cuDevicePrimaryCtxReset_v2", cuDevicePrimaryCtxReset_v2,
	  &real_cuDevicePrimaryCtxReset_v2 },
	{ "cuGetProcAddress", cuGetProcAddress, &real_cuGetProcAddress },
	{ "cuGetProcAddress_v2", cuGetProcAddress_v2, &real_cuGetProcAddress_v2 },
	{ NULL, NULL, NULL },
};
