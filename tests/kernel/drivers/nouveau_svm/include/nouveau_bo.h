/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A piece of the device's memory. */
#ifndef MMUN_KERNEL_NOUVEAU_BO_H
#define MMUN_KERNEL_NOUVEAU_BO_H

#include "nouveau_drv.h"

struct nouveau_bo {
	u64 offset;
};

int nouveau_bo_new(struct nouveau_cli *cli, u64 size, int align, u32 domain, u32 tile_mode,
		   u32 tile_flags, void *sg, void *resv, struct nouveau_bo **bo);
void nouveau_bo_fini(struct nouveau_bo *bo);
int nouveau_bo_pin(struct nouveau_bo *bo, u32 domain, bool contiguous);
int nouveau_bo_unpin(struct nouveau_bo *bo);

#endif
