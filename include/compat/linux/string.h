/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libc's, and copies of strings and blocks.  strscpy() says -E2BIG when it cut. */
#ifndef MMUN_COMPAT_LINUX_STRING_H
#define MMUN_COMPAT_LINUX_STRING_H

#include <string.h>

#include <linux/errno.h>
#include <linux/types.h>

static inline ssize_t strscpy(char *dst, const char *src, size_t size)
{
	size_t length = strnlen(src, size);

	if (!size)
		return -E2BIG;
	if (length == size) {
		memcpy(dst, src, size - 1);
		dst[size - 1] = '\0';
		return -E2BIG;
	}
	memcpy(dst, src, length + 1);
	return (ssize_t)length;
}

void *kmemdup(const void *src, size_t size, gfp_t flags);
char *kstrdup(const char *src, gfp_t flags);

#endif
