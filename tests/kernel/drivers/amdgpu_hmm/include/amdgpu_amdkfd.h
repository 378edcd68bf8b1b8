/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef MMUN_KERNEL_AMDGPU_AMDKFD_H
#define MMUN_KERNEL_AMDGPU_AMDKFD_H

struct kgd_mem;
struct mmu_interval_notifier;

int amdgpu_amdkfd_evict_userptr(struct mmu_interval_notifier *mni, unsigned long cur_seq,
				struct kgd_mem *mem);

#endif
