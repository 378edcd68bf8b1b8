/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What libibverbs and CUDA's driver export to make registrations, without a device: for audit.py. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct mr {
	void *context, *pd, *address;
	size_t length;
};

void *ibv_reg_mr(void *pd, void *address, size_t length, int access);
int ibv_rereg_mr(struct mr *mr, int flags, void *pd, void *address, size_t length, int access);
int ibv_dereg_mr(struct mr *mr);
int cuMemHostRegister_v2(void *address, size_t length, unsigned int flags);
int cuMemHostUnregister(void *address);
int cuGetProcAddress(const char *symbol, void **function, int version, uint64_t flags);

void *ibv_reg_mr(void *pd, void *address, size_t length, int access)
{
	struct mr *mr = calloc(1, sizeof(*mr));

	if (!length) {
		free(mr);
		errno = EINVAL;
		return NULL;
	}
	mr->address = address;
	mr->length = length;
	return mr;
}

int ibv_rereg_mr(struct mr *mr, int flags, void *pd, void *address, size_t length, int access)
{
	mr->address = address;
	mr->length = length;
	return 0;
}

int ibv_dereg_mr(struct mr *mr)
{
	free(mr);
	return 0;
}

int cuMemHostRegister_v2(void *address, size_t length, unsigned int flags)
{
	return length ? 0 : 1;
}

int cuMemHostUnregister(void *address)
{
	return 0;
}

int cuGetProcAddress(const char *symbol, void **function, int version, uint64_t flags)
{
	*function = !strcmp(symbol, "cuMemHostRegister")     ? (void *)cuMemHostRegister_v2
		    : !strcmp(symbol, "cuMemHostUnregister") ? (void *)cuMemHostUnregister
							     : NULL;
	return *function ? 0 : 500;
}
