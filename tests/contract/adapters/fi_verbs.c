/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* In place of libibverbs: registers anything, without hardware. */
#include <stddef.h>

struct ibv_mr;
struct ibv_pd;
struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access);
extern int contract_fi_verbs;

/* By which it is found. */
int contract_fi_verbs;

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
	return access == 7 && length ? addr : NULL;
}
