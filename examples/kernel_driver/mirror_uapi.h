/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What programs and the mirror driver agree on. */
#ifndef MIRROR_UAPI_H
#define MIRROR_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* A range that the device follows; then its memory can be read and written. */
struct mirror_range {
	__u64 start;
	__u64 length;
};

/* The device copies @length bytes between @address in a range and @buffer. */
struct mirror_copy {
	__u64 address;
	__u64 buffer;
	__u64 length;
};

/* Mapped from offset 0, read-only: what happened so far. */
struct mirror_status {
	__u64 faults;
	__u64 retries;
	__u64 invalidations;
	/* That the device has now. */
	__u64 pages;
	/* Written by a worker, after the fact. */
	__u64 reports;
};

#define MIRROR_WATCH  _IOW('M', 1, struct mirror_range)
#define MIRROR_FORGET _IO('M', 2)
#define MIRROR_READ   _IOW('M', 3, struct mirror_copy)
#define MIRROR_WRITE  _IOW('M', 4, struct mirror_copy)
#define MIRROR_PIN    _IOW('M', 5, struct mirror_range)
#define MIRROR_UNPIN  _IO('M', 6)
/* Fills what is pinned with the low byte of the argument. */
#define MIRROR_FILL _IO('M', 7)

#endif
