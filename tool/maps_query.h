/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The question about one mapping that Linux 6.11 added to /proc/PID/maps; newer
 * than the headers of many systems this builds on. */
#ifndef MMUN_TOOL_MAPS_QUERY_H
#define MMUN_TOOL_MAPS_QUERY_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct maps_query {
	__u64 size, flags, address;
	__u64 start, end, vma_flags, page_size, offset, inode;
	__u32 dev_major, dev_minor, name_size, build_id_size;
	__u64 name_address, build_id_address;
};

#define MAPS_QUERY _IOWR('f', 17, struct maps_query)
/* The mapping at the address, or else the next one above. */
#define MAPS_COVERING_OR_NEXT 0x10

#endif
