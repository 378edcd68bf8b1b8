/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of CUDA's driver interface that is used: its binary interface on 64-bit Linux, as
 * CUDA's documentation of the driver API has it.  Names with _v2 are what the current
 * declarations stand for.
 */
#ifndef MMUN_CUDA_DRIVER_H
#define MMUN_CUDA_DRIVER_H

#include <stddef.h>

enum {
	CU_SUCCESS = 0,
	CU_INVALID_VALUE = 1,
	CU_OUT_OF_MEMORY = 2,
	CU_NOT_INITIALIZED = 3,
	CU_DEINITIALIZED = 4,
	CU_NO_DEVICE = 100,
	CU_INVALID_DEVICE = 101,
	CU_INVALID_CONTEXT = 201,
	CU_CONTEXT_IS_DESTROYED = 709,
	CU_ALREADY_REGISTERED = 712,
	CU_NOT_REGISTERED = 713,
	CU_NOT_PERMITTED = 800,
	CU_NOT_SUPPORTED = 801,
};

/* cuMemHostRegister() */
enum { CU_REGISTER_PORTABLE = 1, CU_REGISTER_DEVICEMAP = 2, CU_REGISTER_READ_ONLY = 8 };

/* cuDeviceGetAttribute() */
enum {
	CU_DEVICE_CAN_MAP_HOST_MEMORY = 19,
	CU_DEVICE_HOST_REGISTER_SUPPORTED = 99,
	CU_DEVICE_READ_ONLY_HOST_REGISTER_SUPPORTED = 113,
};

/* cuPointerGetAttributes(): an unsigned int each. */
enum { CU_POINTER_MEMORY_TYPE = 2, CU_POINTER_IS_MANAGED = 8 };
enum { CU_MEMORY_HOST = 1 };

/* CUresult and CUdevice are ints, CUdeviceptr is an unsigned long long, CUcontext a pointer. */
#define CUDA_DRIVER_CALLS(X) \
	X(init, "cuInit", (unsigned int flags)) \
	X(device_get, "cuDeviceGet", (int *device, int ordinal)) \
	X(device_attribute, "cuDeviceGetAttribute", (int *value, int attribute, int device)) \
	X(primary_retain, "cuDevicePrimaryCtxRetain", (void **context, int device)) \
	X(primary_release, "cuDevicePrimaryCtxRelease_v2", (int device)) \
	X(context_push, "cuCtxPushCurrent_v2", (void *context)) \
	X(context_pop, "cuCtxPopCurrent_v2", (void **context)) \
	X(context_device, "cuCtxGetDevice", (int *device)) \
	X(host_register, "cuMemHostRegister_v2", \
	  (void *address, size_t length, unsigned int flags)) \
	X(host_unregister, "cuMemHostUnregister", (void *address)) \
	X(host_device_pointer, "cuMemHostGetDevicePointer_v2", \
	  (unsigned long long *pointer, void *address, unsigned int flags)) \
	X(pointer_attributes, "cuPointerGetAttributes", \
	  (unsigned int nr, int *attributes, void **values, unsigned long long pointer))

struct cuda_driver {
#define CUDA_DRIVER_FIELD(field, name, arguments) int(*field) arguments;
	CUDA_DRIVER_CALLS(CUDA_DRIVER_FIELD)
#undef CUDA_DRIVER_FIELD
};

/*
 * Loads @file, which stays loaded: it has threads of its own.
 * Return: NULL, or what is missing, in static memory or the loader's.
 */
const char *mmun_cuda_load(const char *file, struct cuda_driver *driver);

/* -errno for a result that is not CU_SUCCESS. */
int mmun_cuda_errno(int result);

#endif
