/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The question about one mapping that Linux 6.11 added to /proc/PID/maps (PROCMAP_QUERY of
 * linux/fs.h), newer than the headers of many systems this builds on.
 */
#ifndef MMUN_BASE_MAPS_QUERY_H
#define MMUN_BASE_MAPS_QUERY_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct mmun_maps_query {
	__u64 size, flags, address;
	__u64 start, end, vma_flags, page_size, offset, inode;
	__u32 dev_major, dev_minor, name_size, build_id_size;
	__u64 name_address, build_id_address;
};

#define MMUN_MAPS_QUERY _IOWR('f', 17, struct mmun_maps_query)

/* Asked for in flags: mappings of that kind only.  Answered in vma_flags. */
#define MMUN_MAPS_READ   0x01u
#define MMUN_MAPS_WRITE  0x02u
#define MMUN_MAPS_EXEC   0x04u
#define MMUN_MAPS_SHARED 0x08u
/* Asked for: the mapping at the address, or else the next one above. */
#define MMUN_MAPS_COVERING_OR_NEXT 0x10u
/* Asked for: mappings of files only. */
#define MMUN_MAPS_FILE 0x20u

#endif
