/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Page tables of the device. */
#ifndef MMUN_KERNEL_NVIF_VMM_H
#define MMUN_KERNEL_NVIF_VMM_H

#include <nvif/object.h>

struct nvif_mmu;

enum nvif_vmm_type { UNMANAGED, MANAGED, RAW };

struct nvif_vmm {
	struct nvif_object object;
};

int nvif_vmm_ctor(struct nvif_mmu *mmu, const char *name, s32 oclass, enum nvif_vmm_type type,
		  u64 address, u64 size, void *args, u32 length, struct nvif_vmm *vmm);

#endif
