/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The device, its clients and their address spaces. */
#ifndef MMUN_KERNEL_NOUVEAU_DRV_H
#define MMUN_KERNEL_NOUVEAU_DRV_H

#include <linux/device.h>
#include <linux/printk.h>

#include <drm/nouveau_drm.h>
#include <nvif/class.h>
#include <nvif/push.h>
#include <nvif/vmm.h>

enum { NV_DEVICE_INFO_V0_MAXWELL = 1, NV_DEVICE_INFO_V0_PASCAL, NV_DEVICE_INFO_V0_VOLTA };

#define NV_DEBUG(drm, format, ...) ((void)(drm), pr_debug(format, ##__VA_ARGS__))
#define NV_INFO(drm, format, ...)  ((void)(drm), pr_info(format, ##__VA_ARGS__))
#define NV_WARN(drm, format, ...)  ((void)(drm), pr_warn(format, ##__VA_ARGS__))

struct nouveau_svm;
struct nouveau_svmm;
struct nouveau_dmem;

struct drm_device {
	struct device *dev;
};

struct drm_file {
	void *driver_priv;
};

struct nvif_mmu {
	int unused;
};

struct nvif_device {
	struct nvif_object object;
	struct {
		unsigned int family;
	} info;
};

struct nouveau_vmm {
	struct nouveau_cli *cli;
	struct nvif_vmm vmm;
	struct nouveau_svmm *svmm;
};

struct nouveau_cli {
	struct nouveau_drm *drm;
	struct mutex mutex;
	struct nvif_device device;
	struct nvif_mmu mmu;
	struct nouveau_vmm vmm, svm;
};

/* Commands go to the device when a fence of the channel is made. */
struct nouveau_channel {
	struct {
		struct nvif_push push;
	} chan;
};

struct nouveau_drm {
	struct nouveau_cli client;
	struct drm_device *dev;
	struct nouveau_svm *svm;
	struct nouveau_dmem *dmem;
	struct {
		struct {
			s32 oclass;
		} copy;
		struct nouveau_channel *chan;
	} ttm;
};

static inline struct nouveau_cli *nouveau_cli(struct drm_file *file)
{
	return file->driver_priv;
}

struct nouveau_fence;
int nouveau_fence_new(struct nouveau_fence **fence, struct nouveau_channel *chan);
int nouveau_fence_wait(struct nouveau_fence *fence, bool lazy, bool interruptible);
void nouveau_fence_unref(struct nouveau_fence **fence);

#endif
