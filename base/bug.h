/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What to do about the impossible and the forbidden.
 *
 * MMUN_BUG_ON() states an invariant of our own code: checked in debug builds,
 * nothing otherwise.  mmun_misuse() is for a caller that breaks a documented
 * rule: one sentence on stderr, and debug builds abort.  Never for input.
 */
#ifndef MMUN_BASE_BUG_H
#define MMUN_BASE_BUG_H

/* "mmunotify: <sentence>" on stderr: one write, no allocation, errno untouched,
 * async-signal-safe. */
void mmun_report(const char *sentence);

void mmun_misuse(const char *sentence);

__attribute__((noreturn)) void mmun_bug(const char *condition, const char *file, int line);

#ifdef MMUN_DEBUG
#define MMUN_BUG_ON(condition) \
	do { \
		if (__builtin_expect(!!(condition), 0)) \
			mmun_bug(#condition, __FILE__, __LINE__); \
	} while (0)
#else
#define MMUN_BUG_ON(condition) \
	do { \
		(void)sizeof(condition); \
	} while (0)
#endif

#endif
