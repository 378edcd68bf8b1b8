/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers for tests: not for keys. */
#ifndef MMUN_COMPAT_LINUX_RANDOM_H
#define MMUN_COMPAT_LINUX_RANDOM_H

#include <sys/random.h>

#include <linux/types.h>

static inline void get_random_bytes(void *to, size_t length)
{
	char *at = (char *)to;

	while (length) {
		ssize_t got = getrandom(at, length, 0);

		if (got > 0) {
			at += got;
			length -= (size_t)got;
		}
	}
}

static inline u64 get_random_u64(void)
{
	u64 value;

	get_random_bytes(&value, sizeof(value));
	return value;
}

static inline u32 get_random_u32(void)
{
	return (u32)get_random_u64();
}

/* Below @end. */
static inline u32 get_random_u32_below(u32 end)
{
	return end ? get_random_u32() % end : 0;
}

#endif
