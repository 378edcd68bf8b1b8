/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stub.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

struct stub stub;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ibv_mr regions[STUB_REGIONS];
static struct verbs_context context;

static int query_device_ex(struct ibv_context *unused,
			   const struct ibv_query_device_ex_input *input,
			   struct ibv_device_attr_ex *attributes, size_t size)
{
	if (!stub.query_error)
		memcpy(attributes, &stub.attributes, size);
	return stub.query_error;
}

void stub_reset(void)
{
	memset(&stub, 0, sizeof(stub));
	memset(regions, 0, sizeof(regions));
	context.query_device_ex = query_device_ex;
	context.sz = sizeof(context);
	context.context.abi_compat = __VERBS_ABI_IS_EXTENDED;
	stub.pd.context = &context.context;
	stub.fork = IBV_FORK_UNNEEDED;
}

const char *ibv_get_device_name(struct ibv_device *device)
{
	return "stub0";
}

int(ibv_query_device)(struct ibv_context *unused, struct ibv_device_attr *attributes)
{
	return ENOSYS;
}

enum ibv_fork_status ibv_is_fork_initialized(void)
{
	return stub.fork;
}

static struct ibv_mr *register_region(struct ibv_pd *pd, void *address, size_t length,
				      unsigned int flags)
{
	for (unsigned int i = 0; i < STUB_REGIONS; i++) {
		struct ibv_mr *mr = &regions[i];

		if (mr->context)
			continue;
		*mr = (struct ibv_mr){ .context = pd->context,
				       .pd = pd,
				       .addr = address,
				       .length = length,
				       .lkey = i << 8,
				       .rkey = i << 8 | 1 };
		stub.live++;
		stub.registered++;
		stub.flags = flags;
		stub.address = address;
		stub.length = length;
		return mr;
	}
	errno = ENOMEM;
	return NULL;
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *address, size_t length, uint64_t iova,
				unsigned int flags)
{
	struct ibv_mr *mr = NULL;

	pthread_mutex_lock(&lock);
	if (iova != (uintptr_t)address || pd != &stub.pd)
		stub.wrong++;
	if (stub.register_failures > 0) {
		stub.register_failures--;
		if (stub.register_error)
			errno = stub.register_error;
	} else {
		mr = register_region(pd, address, length, flags);
	}
	pthread_mutex_unlock(&lock);
	return mr;
}

/* The header's inline function names it; flags that are constants are not used. */
struct ibv_mr *(ibv_reg_mr)(struct ibv_pd *pd, void *address, size_t length, int flags)
{
	return ibv_reg_mr_iova2(pd, address, length, (uintptr_t)address, (unsigned int)flags);
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
	pthread_mutex_lock(&lock);
	if (!mr->context)
		stub.wrong++;
	stub.deregistered++;
	if (!stub.deregister_error) {
		mr->context = NULL;
		stub.live--;
	}
	pthread_mutex_unlock(&lock);
	return stub.deregister_error;
}
