/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What programs and the driver agree on. */
#ifndef WINDOW_UAPI_H
#define WINDOW_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct window_byte {
	__u64 address;
	__u8 value;
	__u8 reserved[7];
};

struct window_counts {
	__u64 entered, dropped, sections;
};

#define WINDOW_READ   _IOWR('w', 1, struct window_byte)
#define WINDOW_COUNTS _IOR('w', 2, struct window_counts)

#endif
