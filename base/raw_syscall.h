/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * System calls without libc: no errno, no cancellation point, and never through
 * libc's own syscall(), which an event source may have redirected to us.
 */
#ifndef MMUN_BASE_RAW_SYSCALL_H
#define MMUN_BASE_RAW_SYSCALL_H

#include <stddef.h>
#include <sys/syscall.h>

#if !defined(__x86_64__) || defined(__ILP32__)
#error "mmunotify: raw system calls are written for x86-64 only"
#endif

/*
 * Where this library's own system calls are made while some places may make none
 * without a trap (Syscall User Dispatch): "syscall; jmp *%r12".  NULL: right here.
 */
__attribute__((weak, visibility("hidden"))) void *mmun_syscall_gadget;

/*
 * A nop behind each of our own system call instructions: a source that redirects
 * those of a process, in this copy of the library or another, leaves ours alone.
 */
#define MMUN_SYSCALL_MARK \
	{ \
		0x0f, 0x1f, 0x80, 'm', 'm', 'u', 'n' \
	}
#define MMUN_SYSCALL_MARKED "syscall\n\t.byte 0x0f, 0x1f, 0x80, 0x6d, 0x6d, 0x75, 0x6e"

/* Returns the result or -errno. */
static inline long mmun_syscall6(long nr, unsigned long a, unsigned long b, unsigned long c,
				 unsigned long d, unsigned long e, unsigned long f)
{
	/* Loaded first: ThreadSanitizer makes a call of it, which may use the registers. */
	void *gadget = mmun_syscall_gadget;
	register unsigned long r10 __asm__("r10") = d;
	register unsigned long r8 __asm__("r8") = e;
	register unsigned long r9 __asm__("r9") = f;
	long result;

	if (__builtin_expect(gadget != NULL, 0)) {
		__asm__ volatile("leaq 1f(%%rip), %%r12\n\t"
				 "jmp *%[gadget]\n"
				 "1:"
				 : "=a"(result)
				 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8),
				   "r"(r9), [gadget] "r"(gadget)
				 : "rcx", "r11", "r12", "memory");
		return result;
	}
	__asm__ volatile(MMUN_SYSCALL_MARKED
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static inline long mmun_syscall4(long nr, unsigned long a, unsigned long b, unsigned long c,
				 unsigned long d)
{
	return mmun_syscall6(nr, a, b, c, d, 0, 0);
}

static inline long mmun_syscall3(long nr, unsigned long a, unsigned long b, unsigned long c)
{
	return mmun_syscall6(nr, a, b, c, 0, 0, 0);
}

#endif
