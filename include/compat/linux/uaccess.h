/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* User memory is that of current->mm: a pointer is an address there.  What could not be
 * copied is returned; the rest of a copy_from_user() is zeroed. */
#ifndef MMUN_COMPAT_LINUX_UACCESS_H
#define MMUN_COMPAT_LINUX_UACCESS_H

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/mm_types.h>

unsigned long copy_from_user(void *to, const void __user *from, unsigned long n);
unsigned long copy_to_user(void __user *to, const void *from, unsigned long n);
unsigned long clear_user(void __user *to, unsigned long n);
/* The length without the end, or -EFAULT; @n when it did not fit. */
long strncpy_from_user(char *to, const char __user *from, long n);

#define access_ok(ptr, size) \
	((unsigned long)(ptr) <= MMUN_SOFT_TASK_SIZE && \
	 (unsigned long)(size) <= MMUN_SOFT_TASK_SIZE - (unsigned long)(ptr))
#define get_user(x, ptr) \
	({ \
		__typeof__(*(ptr)) mmun_user; \
		int mmun_failed = copy_from_user(&mmun_user, (ptr), sizeof(mmun_user)) ? -EFAULT \
										       : 0; \
		(x) = mmun_user; \
		mmun_failed; \
	})
#define put_user(x, ptr) \
	({ \
		__typeof__(*(ptr)) mmun_user = (x); \
		copy_to_user((ptr), &mmun_user, sizeof(mmun_user)) ? -EFAULT : 0; \
	})
#define __get_user(x, ptr)            get_user(x, ptr)
#define __put_user(x, ptr)            put_user(x, ptr)
#define __copy_from_user(to, from, n) copy_from_user(to, from, n)
#define __copy_to_user(to, from, n)   copy_to_user(to, from, n)

void *memdup_user(const void __user *from, size_t length);
/* -EOVERFLOW when the product is none. */
void *memdup_array_user(const void __user *from, size_t n, size_t size);
#define vmemdup_array_user(from, n, size) memdup_array_user(from, n, size)
#define vmemdup_user(from, length)        memdup_user(from, length)
int copy_struct_from_user(void *to, size_t size, const void __user *from, size_t user_size);

#endif
