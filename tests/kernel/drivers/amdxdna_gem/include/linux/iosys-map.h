/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a buffer is mapped for the driver itself. */
#ifndef MMUN_KERNEL_LINUX_IOSYS_MAP_H
#define MMUN_KERNEL_LINUX_IOSYS_MAP_H

struct iosys_map {
	void *vaddr;
};

#define IOSYS_MAP_INIT_VADDR(address) \
	{ \
		(address) \
	}
#define iosys_map_set_vaddr(map, address) ((void)((map)->vaddr = (address)))
#define iosys_map_clear(map)              iosys_map_set_vaddr(map, NULL)

#endif
