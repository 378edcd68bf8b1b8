/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef MMUN_KERNEL_NVIF_MEM_H
#define MMUN_KERNEL_NVIF_MEM_H

#include <nvif/object.h>

struct nvif_mem {
	struct nvif_object object;
};

#endif
