/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the driver finds behind nvif_*, nouveau_bo_* and nouveau_fence_*. */
#include "device.h"

#include <nouveau_bo.h>
#include <nouveau_dmem.h>
#include <nouveau_svm.h>
#include <nvhw/class/cl906f.h>
#include <nvhw/class/cla0b5.h>
#include <nvif/clb069.h>
#include <nvif/event.h>
#include <nvif/if000c.h>
#include <nvif/ifc00d.h>

#define ENTRIES   16u
#define ENTRY     0x20u
#define GET       0x100u
#define PUT       0x104u
#define WORDS     16384u
#define MEMORY_OF (4ul << 20)

struct gpu gpu;
static u32 registers[128], faults[ENTRIES * ENTRY / 4], commands[WORDS];
static char *memory;
static unsigned long memory_used;
static struct nvif_event *interrupt;
static struct nouveau_channel channel;
/* Methods of the copy engine. */
static u32 methods[0x800];

void *gpu_memory(u64 at)
{
	BUG_ON(at >= MEMORY_OF);
	return memory + at;
}

int nvif_mclass(struct nvif_object *object, const struct nvif_mclass *classes)
{
	for (int i = 0; classes[i].oclass; i++)
		if (classes[i].oclass == MAXWELL_FAULT_BUFFER_A)
			return i;
	return -ENOSYS;
}

int nvif_object_ctor(struct nvif_object *parent, const char *name, u32 handle, s32 oclass,
		     void *args, u32 size, struct nvif_object *object)
{
	struct nvif_clb069_v0 *buffer = args;

	buffer->entries = ENTRIES;
	buffer->get = GET;
	buffer->put = PUT;
	*object = (struct nvif_object){ .oclass = oclass, .map = { faults, sizeof(faults) } };
	return 0;
}

void nvif_object_dtor(struct nvif_object *object)
{
	object->map.ptr = NULL;
}

int nvif_event_ctor(struct nvif_object *parent, const char *name, u32 handle, nvif_event_func func,
		    bool wait, void *args, u32 size, struct nvif_event *event)
{
	event->func = func;
	interrupt = event;
	return 0;
}

void nvif_event_dtor(struct nvif_event *event)
{
	interrupt = NULL;
}

int nvif_event_allow(struct nvif_event *event)
{
	event->allowed = true;
	return 0;
}

int nvif_event_block(struct nvif_event *event)
{
	event->allowed = false;
	return 0;
}

int nvif_vmm_ctor(struct nvif_mmu *mmu, const char *name, s32 oclass, enum nvif_vmm_type type,
		  u64 address, u64 size, void *args, u32 length, struct nvif_vmm *vmm)
{
	struct gp100_vmm_v0 *gp100 = args;

	return type == MANAGED && gp100->fault_replay ? 0 : -EINVAL;
}

static void set(u64 address, u64 size, const u64 *entries)
{
	for (u64 at = address; at < address + size; at += PAGE_SIZE)
		if (at >= MEMORY && at < MEMORY + PAGES * PAGE_SIZE)
			gpu.table[(at - MEMORY) / PAGE_SIZE] =
				entries ? entries[(at - address) / PAGE_SIZE] : 0;
}

int nvif_object_ioctl(struct nvif_object *object, void *data, u32 size, void **hack)
{
	struct {
		struct nvif_ioctl_v0 i;
		struct nvif_ioctl_mthd_v0 m;
		struct nvif_vmm_pfnmap_v0 p;
	} *map = data;

	if (map->i.type != NVIF_IOCTL_V0_MTHD || map->m.method != NVIF_VMM_V0_PFNMAP ||
	    map->p.page != PAGE_SHIFT)
		return -EINVAL;
	mutex_lock(&gpu.lock);
	set(map->p.addr, map->p.size, map->p.phys);
	gpu.mapped++;
	mutex_unlock(&gpu.lock);
	return 0;
}

int nvif_object_mthd(struct nvif_object *object, u32 method, void *data, u32 size)
{
	struct nvif_vmm_pfnclr_v0 *clear = data;

	mutex_lock(&gpu.lock);
	if (method == NVIF_VMM_V0_PFNCLR) {
		/* What is not whole in the driver's space is beyond these pages. */
		u64 start = max_t(u64, clear->addr, MEMORY);
		u64 end = min_t(u64, clear->addr + clear->size, MEMORY + PAGES * PAGE_SIZE);

		if (start < end)
			set(start, end - start, NULL);
		gpu.cleared++;
	} else if (method == GP100_VMM_VN_FAULT_REPLAY) {
		gpu.replays++;
	} else if (method == GP100_VMM_VN_FAULT_CANCEL) {
		gpu.cancels++;
	}
	mutex_unlock(&gpu.lock);
	return 0;
}

u64 gpu_entry(unsigned long address, enum access access)
{
	u64 entry = gpu.table[(address - MEMORY) / PAGE_SIZE];
	u64 needed = NVIF_VMM_PFNMAP_V0_V;

	if (access == WRITE_ACCESS)
		needed |= NVIF_VMM_PFNMAP_V0_W;
	if (access == ATOMIC_ACCESS)
		needed |= NVIF_VMM_PFNMAP_V0_A;
	return (entry & needed) == needed ? entry : 0;
}

void gpu_fault(struct nouveau_drm *drm, u64 inst, unsigned long address, enum access access)
{
	u32 put = registers[PUT / 4], *entry = &faults[put * ENTRY / 4];

	entry[0] = lower_32_bits(inst);
	entry[1] = upper_32_bits(inst);
	entry[2] = lower_32_bits(address);
	entry[3] = upper_32_bits(address);
	entry[4] = entry[5] = entry[6] = 0;
	smp_store_release(&entry[7], 0x80000000u | access << 16);
	smp_store_release(&registers[PUT / 4], (put + 1) % ENTRIES);
	BUG_ON(!interrupt->allowed);
	interrupt->func(interrupt, NULL, 0);
	flush_workqueue(system_wq);
}

static void copy(void)
{
	u64 in = (u64)methods[NVA0B5_OFFSET_IN_UPPER / 4] << 32 |
		 methods[NVA0B5_OFFSET_IN_LOWER / 4];
	u64 out = (u64)methods[NVA0B5_OFFSET_OUT_UPPER / 4] << 32 |
		  methods[NVA0B5_OFFSET_OUT_LOWER / 4];
	u32 launch = methods[NVA0B5_LAUNCH_DMA / 4];
	bool clear = NVVAL_GET(launch, NVA0B5, LAUNCH_DMA, REMAP_ENABLE);
	bool from = methods[NVA0B5_SET_SRC_PHYS_MODE / 4] ==
		    NVA0B5_SET_SRC_PHYS_MODE_TARGET_LOCAL_FB;
	bool to = methods[NVA0B5_SET_DST_PHYS_MODE / 4] == NVA0B5_SET_DST_PHYS_MODE_TARGET_LOCAL_FB;
	char bytes[PAGE_SIZE] = { 0 };

	if (clear)
		BUG_ON(!to || methods[NVA0B5_LINE_LENGTH_IN / 4] != PAGE_SIZE / 8);
	else if (from)
		memcpy(bytes, gpu_memory(in), PAGE_SIZE);
	else
		memcpy_from_page(bytes, pfn_to_page(PFN_DOWN(in)), 0, PAGE_SIZE);
	if (to)
		memcpy(gpu_memory(out), bytes, PAGE_SIZE);
	else
		memcpy_to_page(pfn_to_page(PFN_DOWN(out)), 0, bytes, PAGE_SIZE);
	gpu.copies++;
}

static void method(u32 number, u32 value)
{
	BUG_ON(number >= sizeof(methods));
	methods[number / 4] = value;
	if (number == NVA0B5_LAUNCH_DMA)
		copy();
}

static void execute(struct nvif_push *push)
{
	u32 *at = push->bgn;

	while (at < push->cur) {
		u32 header = *at++;
		u32 number = NVVAL_GET(header, NV906F, DMA, METHOD_ADDRESS) << 2;
		u32 count = NVVAL_GET(header, NV906F, DMA, METHOD_COUNT);

		switch (NVVAL_GET(header, NV906F, DMA, SEC_OP)) {
		case NV906F_DMA_SEC_OP_IMMD_DATA_METHOD:
			method(number, count);
			break;
		case NV906F_DMA_SEC_OP_INC_METHOD:
			for (; count; count--, number += 4)
				method(number, *at++);
			break;
		default:
			BUG();
		}
	}
	push->cur = push->bgn;
}

static int make_room(struct nvif_push *push, u32 size)
{
	execute(push);
	return 0;
}

struct nouveau_fence {
	int unused;
};

int nouveau_fence_new(struct nouveau_fence **fence, struct nouveau_channel *chan)
{
	execute(&chan->chan.push);
	if (gpu.copied)
		gpu.copied();
	*fence = kzalloc(sizeof(**fence), GFP_KERNEL);
	return *fence ? 0 : -ENOMEM;
}

int nouveau_fence_wait(struct nouveau_fence *fence, bool lazy, bool interruptible)
{
	might_sleep();
	return 0;
}

void nouveau_fence_unref(struct nouveau_fence **fence)
{
	kfree(*fence);
	*fence = NULL;
}

int nouveau_bo_new(struct nouveau_cli *cli, u64 size, int align, u32 domain, u32 tile_mode,
		   u32 tile_flags, void *sg, void *resv, struct nouveau_bo **bo)
{
	if (memory_used + size > MEMORY_OF)
		return -ENOSPC;
	*bo = kzalloc(sizeof(**bo), GFP_KERNEL);
	if (!*bo)
		return -ENOMEM;
	(*bo)->offset = memory_used;
	memory_used += size;
	return 0;
}

void nouveau_bo_fini(struct nouveau_bo *bo)
{
	kfree(bo);
}

int nouveau_bo_pin(struct nouveau_bo *bo, u32 domain, bool contiguous)
{
	return 0;
}

int nouveau_bo_unpin(struct nouveau_bo *bo)
{
	return 0;
}

bool gpu_start(struct nouveau_drm *drm)
{
	gpu = (struct gpu){ 0 };
	mutex_init(&gpu.lock);
	memset(registers, 0, sizeof(registers));
	memory = kzalloc(MEMORY_OF, GFP_KERNEL);
	memory_used = 0;
	channel.chan.push = (struct nvif_push){
		.wait = make_room, .bgn = commands, .cur = commands, .end = commands + WORDS
	};
	drm->client.drm = drm;
	drm->client.device.object.map.ptr = registers;
	drm->client.device.object.map.size = sizeof(registers);
	drm->client.device.info.family = NV_DEVICE_INFO_V0_PASCAL;
	drm->ttm.copy.oclass = PASCAL_DMA_COPY_A;
	drm->ttm.chan = &channel;
	mutex_init(&drm->client.mutex);
	nouveau_svm_init(drm);
	nouveau_dmem_init(drm);
	return drm->svm && drm->dmem;
}

void gpu_stop(struct nouveau_drm *drm)
{
	nouveau_dmem_fini(drm);
	kfree(drm->dmem);
	drm->dmem = NULL;
	nouveau_svm_fini(drm);
	kfree(memory);
}
