/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An interrupt of the device; test.c raises it. */
#ifndef MMUN_KERNEL_NVIF_EVENT_H
#define MMUN_KERNEL_NVIF_EVENT_H

#include <nvif/object.h>

#define NVIF_EVENT_KEEP 0

struct nvif_event;
typedef int (*nvif_event_func)(struct nvif_event *event, void *reply, u32 size);

struct nvif_event {
	nvif_event_func func;
	bool allowed;
};

int nvif_event_ctor(struct nvif_object *parent, const char *name, u32 handle, nvif_event_func func,
		    bool wait, void *args, u32 size, struct nvif_event *event);
void nvif_event_dtor(struct nvif_event *event);
int nvif_event_allow(struct nvif_event *event);
int nvif_event_block(struct nvif_event *event);

#endif
