/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Preloaded by somebody else: counts registrations and passes them on. */
#include <dlfcn.h>
#include <stddef.h>

struct ibv_mr;
struct ibv_pd;
struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access);
extern int wrapper_calls;

int wrapper_calls;

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
	struct ibv_mr *(*next)(struct ibv_pd *, void *, size_t, int);
	struct ibv_mr *mr;

	*(void **)&next = dlsym(RTLD_NEXT, "ibv_reg_mr");
	mr = next ? next(pd, addr, length, access) : NULL;
	/* Afterwards: so this function is the caller, and not the one before it. */
	wrapper_calls++;
	return mr;
}
