/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The driver's functions, found by name; what its results mean.  Tests: tests/contract/cuda/. */
#include "driver.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

const char *mmun_cuda_load(const char *file, struct cuda_driver *driver)
{
	static const struct {
		const char *name;
		size_t at;
	} calls[] = {
#define CUDA_DRIVER_CALL(field, name, arguments) { name, offsetof(struct cuda_driver, field) },
		CUDA_DRIVER_CALLS(CUDA_DRIVER_CALL)
#undef CUDA_DRIVER_CALL
	};
	void *library = dlopen(file ? file : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	const char *error;

	if (!library) {
		error = dlerror();
		return error ? error : "it cannot be loaded";
	}
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		void *found = dlsym(library, calls[i].name);

		/* Nothing of it has been called. */
		if (!found) {
			dlclose(library);
			return calls[i].name;
		}
		memcpy((char *)driver + calls[i].at, &found, sizeof(found));
	}
	return NULL;
}

int mmun_cuda_errno(int result)
{
	switch (result) {
	case CU_INVALID_VALUE:
		return -EFAULT;
	case CU_OUT_OF_MEMORY:
		return -ENOMEM;
	case CU_NOT_INITIALIZED:
	case CU_NO_DEVICE:
	case CU_INVALID_DEVICE:
		return -ENODEV;
	case CU_DEINITIALIZED:
		return -ESHUTDOWN;
	case CU_INVALID_CONTEXT:
	case CU_CONTEXT_IS_DESTROYED:
		return -ENXIO;
	case CU_ALREADY_REGISTERED:
		return -EADDRINUSE;
	case CU_NOT_PERMITTED:
		return -EPERM;
	case CU_NOT_SUPPORTED:
		return -EOPNOTSUPP;
	default:
		return -EIO;
	}
}
