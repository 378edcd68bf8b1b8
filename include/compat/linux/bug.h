/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* BUG ends the program; WARN prints and is counted: mmun_compat_warnings(). */
#ifndef MMUN_COMPAT_LINUX_BUG_H
#define MMUN_COMPAT_LINUX_BUG_H

#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <stdbool.h>

void mmun_compat_bug(const char *what, const char *file, int line) __noreturn __cold;
bool mmun_compat_warn(const char *file, int line, const char *format, ...) __printf(3, 4) __cold;

#define BUG() mmun_compat_bug("BUG()", __FILE__, __LINE__)
#define BUG_ON(cond) \
	do { \
		if (unlikely(cond)) \
			mmun_compat_bug("BUG_ON(" #cond ")", __FILE__, __LINE__); \
	} while (0)

#define WARN(cond, ...) \
	({ \
		bool mmun_failed = unlikely(cond) && \
				   mmun_compat_warn(__FILE__, __LINE__, __VA_ARGS__); \
		mmun_failed; \
	})
#define WARN_ON(cond) WARN(cond, "WARN_ON(%s)\n", #cond)
#define WARN_ONCE(cond, ...) \
	({ \
		static bool mmun_warned; \
		bool mmun_cond = !!(cond); \
		if (mmun_cond && !__atomic_exchange_n(&mmun_warned, true, __ATOMIC_RELAXED)) \
			mmun_compat_warn(__FILE__, __LINE__, __VA_ARGS__); \
		unlikely(mmun_cond); \
	})
#define WARN_ON_ONCE(cond) WARN_ONCE(cond, "WARN_ON_ONCE(%s)\n", #cond)

#endif
