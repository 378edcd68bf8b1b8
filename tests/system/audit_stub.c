/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What libibverbs and CUDA's driver export to make registrations, without a device: for audit.py. */
#include <errno.h>
#include <infiniband/verbs.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#undef ibv_reg_mr

struct ibv_qp *stub_queue(void);
int cuMemHostRegister_v2(void *address, size_t length, unsigned int flags);
int cuMemHostUnregister(void *address);
int cuGetProcAddress(const char *symbol, void **function, int version, uint64_t flags);

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	return wr->num_sge == 1 ? 0 : EINVAL;
}

static struct ibv_context context = { .ops.post_send = post_send };
static struct ibv_pd pd = { .context = &context };
static uint32_t key = 1;

struct ibv_qp *stub_queue(void)
{
	static struct ibv_qp queue = { .context = &context, .pd = &pd };

	return &queue;
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *unused, void *address, size_t length, int access)
{
	struct ibv_mr *mr = calloc(1, sizeof(*mr));

	if (!length) {
		free(mr);
		errno = EINVAL;
		return NULL;
	}
	*mr = (struct ibv_mr){ &context, &pd, address, length, 0, key, key };
	key++;
	return mr;
}

int ibv_rereg_mr(struct ibv_mr *mr, int flags, struct ibv_pd *unused, void *address, size_t length,
		 int access)
{
	mr->addr = address;
	mr->length = length;
	mr->lkey = key++;
	return 0;
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
	free(mr);
	return 0;
}

int ibv_close_device(struct ibv_context *unused)
{
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
