/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages go to stderr, those up to the level of mmun_compat_set_loglevel().  The
 * letters that the kernel has after %p are printed as they stand. */
#ifndef MMUN_COMPAT_LINUX_PRINTK_H
#define MMUN_COMPAT_LINUX_PRINTK_H

#include <linux/compiler.h>
#include <linux/kern_levels.h>

int _printk(const char *format, ...) __printf(1, 2);
int mmun_compat_no_printk(const char *format, ...) __printf(1, 2);

#ifndef KBUILD_MODNAME
#define KBUILD_MODNAME "module"
#endif
#ifndef pr_fmt
#define pr_fmt(fmt) fmt
#endif

#define printk(fmt, ...) _printk(fmt, ##__VA_ARGS__)
#define no_printk(fmt, ...) \
	({ \
		if (0) \
			mmun_compat_no_printk(fmt, ##__VA_ARGS__); \
		0; \
	})
#define pr_emerg(fmt, ...)  printk(KERN_EMERG pr_fmt(fmt), ##__VA_ARGS__)
#define pr_alert(fmt, ...)  printk(KERN_ALERT pr_fmt(fmt), ##__VA_ARGS__)
#define pr_crit(fmt, ...)   printk(KERN_CRIT pr_fmt(fmt), ##__VA_ARGS__)
#define pr_err(fmt, ...)    printk(KERN_ERR pr_fmt(fmt), ##__VA_ARGS__)
#define pr_warn(fmt, ...)   printk(KERN_WARNING pr_fmt(fmt), ##__VA_ARGS__)
#define pr_notice(fmt, ...) printk(KERN_NOTICE pr_fmt(fmt), ##__VA_ARGS__)
#define pr_info(fmt, ...)   printk(KERN_INFO pr_fmt(fmt), ##__VA_ARGS__)
#define pr_cont(fmt, ...)   printk(KERN_CONT fmt, ##__VA_ARGS__)
#ifdef DEBUG
#define pr_debug(fmt, ...) printk(KERN_DEBUG pr_fmt(fmt), ##__VA_ARGS__)
#else
#define pr_debug(fmt, ...) no_printk(KERN_DEBUG pr_fmt(fmt), ##__VA_ARGS__)
#endif
#define pr_devel(fmt, ...) pr_debug(fmt, ##__VA_ARGS__)

#define MMUN_COMPAT_ONCE(call) \
	do { \
		static int mmun_once; \
		if (!__atomic_exchange_n(&mmun_once, 1, __ATOMIC_RELAXED)) \
			call; \
	} while (0)
#define pr_emerg_once(fmt, ...)  MMUN_COMPAT_ONCE(pr_emerg(fmt, ##__VA_ARGS__))
#define pr_alert_once(fmt, ...)  MMUN_COMPAT_ONCE(pr_alert(fmt, ##__VA_ARGS__))
#define pr_crit_once(fmt, ...)   MMUN_COMPAT_ONCE(pr_crit(fmt, ##__VA_ARGS__))
#define pr_err_once(fmt, ...)    MMUN_COMPAT_ONCE(pr_err(fmt, ##__VA_ARGS__))
#define pr_warn_once(fmt, ...)   MMUN_COMPAT_ONCE(pr_warn(fmt, ##__VA_ARGS__))
#define pr_notice_once(fmt, ...) MMUN_COMPAT_ONCE(pr_notice(fmt, ##__VA_ARGS__))
#define pr_info_once(fmt, ...)   MMUN_COMPAT_ONCE(pr_info(fmt, ##__VA_ARGS__))
#define pr_debug_once(fmt, ...)  MMUN_COMPAT_ONCE(pr_debug(fmt, ##__VA_ARGS__))
/* Every one is printed. */
#define pr_emerg_ratelimited(fmt, ...)  pr_emerg(fmt, ##__VA_ARGS__)
#define pr_alert_ratelimited(fmt, ...)  pr_alert(fmt, ##__VA_ARGS__)
#define pr_crit_ratelimited(fmt, ...)   pr_crit(fmt, ##__VA_ARGS__)
#define pr_err_ratelimited(fmt, ...)    pr_err(fmt, ##__VA_ARGS__)
#define pr_warn_ratelimited(fmt, ...)   pr_warn(fmt, ##__VA_ARGS__)
#define pr_notice_ratelimited(fmt, ...) pr_notice(fmt, ##__VA_ARGS__)
#define pr_info_ratelimited(fmt, ...)   pr_info(fmt, ##__VA_ARGS__)
#define pr_debug_ratelimited(fmt, ...)  pr_debug(fmt, ##__VA_ARGS__)
#define printk_once(fmt, ...)           MMUN_COMPAT_ONCE(printk(fmt, ##__VA_ARGS__))
#define printk_ratelimited(fmt, ...)    printk(fmt, ##__VA_ARGS__)

#endif
