/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Objects of the device: registers, and methods that test.c has. */
#ifndef MMUN_KERNEL_NVIF_OBJECT_H
#define MMUN_KERNEL_NVIF_OBJECT_H

#include <nvif/os.h>

struct nvif_object {
	s32 oclass;
	struct {
		void *ptr;
		u64 size;
	} map;
};

struct nvif_mclass {
	s32 oclass;
	int version;
};

struct nvif_ioctl_v0 {
	u8 version, type;
};
#define NVIF_IOCTL_V0_MTHD 4

struct nvif_ioctl_mthd_v0 {
	u8 version, method;
};

int nvif_object_ctor(struct nvif_object *parent, const char *name, u32 handle, s32 oclass,
		     void *args, u32 size, struct nvif_object *object);
void nvif_object_dtor(struct nvif_object *object);
int nvif_object_ioctl(struct nvif_object *object, void *data, u32 size, void **hack);
int nvif_object_mthd(struct nvif_object *object, u32 method, void *data, u32 size);
/* The index of the first class of @classes that the device has. */
int nvif_mclass(struct nvif_object *object, const struct nvif_mclass *classes);

#define nvif_object_map(object, data, size) ((void)(object))
#define nvif_object_constructed(object)     ((object)->map.ptr != NULL)

static inline u32 *mmun_nvif_register(struct nvif_object *object, u64 at)
{
	BUG_ON(at + sizeof(u32) > object->map.size);
	return (u32 *)((char *)object->map.ptr + at);
}

static inline u32 nvif_rd32(struct nvif_object *object, u64 at)
{
	return smp_load_acquire(mmun_nvif_register(object, at));
}

static inline void nvif_wr32(struct nvif_object *object, u64 at, u32 value)
{
	smp_store_release(mmun_nvif_register(object, at), value);
}

static inline u32 nvif_mask(struct nvif_object *object, u64 at, u32 mask, u32 value)
{
	u32 old = nvif_rd32(object, at);

	nvif_wr32(object, at, (old & ~mask) | value);
	return old;
}

#endif
