/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What nearly every file needs; might_sleep() ends the program where sleeping is
 * forbidden: under a spin lock, in an RCU read section, between non_block_start() and
 * non_block_end(). */
#ifndef MMUN_COMPAT_LINUX_KERNEL_H
#define MMUN_COMPAT_LINUX_KERNEL_H

#include <limits.h>
#include <stdio.h>

#include <asm/byteorder.h>
#include <linux/align.h>
#include <linux/array_size.h>
#include <linux/bitops.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/container_of.h>
#include <linux/kconfig.h>
#include <linux/limits.h>
#include <linux/log2.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/printk.h>
#include <linux/stddef.h>
#include <linux/stringify.h>
#include <linux/types.h>

#define U8_MAX  UINT8_MAX
#define U16_MAX UINT16_MAX
#define U32_MAX UINT32_MAX
#define U64_MAX ((u64)~0ull)
#define S32_MAX INT32_MAX
#define S64_MAX INT64_MAX

void mmun_compat_might_sleep(const char *file, int line);
void mmun_compat_non_block(int change);

#define might_sleep() mmun_compat_might_sleep(__FILE__, __LINE__)
#define might_sleep_if(cond) \
	do { \
		if (cond) \
			might_sleep(); \
	} while (0)
#define non_block_start() mmun_compat_non_block(1)
#define non_block_end()   mmun_compat_non_block(-1)

#define upper_32_bits(n)   ((u32)((u64)(n) >> 32))
#define lower_32_bits(n)   ((u32)((n)&0xffffffff))
#define u64_to_user_ptr(x) ((void __user *)(uintptr_t)(u64)(x))
#undef abs
#define abs(x) \
	({ \
		__auto_type mmun_abs = (x); \
		mmun_abs < 0 ? -mmun_abs : mmun_abs; \
	})

/* A number and nothing else but one line's end: 0, -EINVAL, -ERANGE.  @base 0: as it is written. */
int kstrtoull(const char *text, unsigned int base, unsigned long long *out);
int kstrtou32(const char *text, unsigned int base, u32 *out);
#define kstrtouint(text, base, out) kstrtou32(text, base, out)

int scnprintf(char *buf, size_t size, const char *format, ...) __printf(3, 4);
char *kasprintf(gfp_t gfp, const char *format, ...) __printf(2, 3);

#endif
