/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Messages, warnings, bugs; the clock.
 *
 * I1  A message is one write: lines of several threads do not mix.
 * I2  A bug ends the program at once: what follows it would only hide it.
 *
 * Tests: tests/contract/compat/data.c (warnings) and lock.c (bugs).
 */
#include "runtime.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>

static int loglevel = 5;
static unsigned long warnings;

void mmun_compat_set_loglevel(int level)
{
	WRITE_ONCE(loglevel, level);
}

unsigned long mmun_compat_warnings(void)
{
	return __atomic_load_n(&warnings, __ATOMIC_SEQ_CST);
}

/* I1 */
static __printf(1, 0) void print(const char *format, va_list args)
{
	char line[1024];
	int length = vsnprintf(line, sizeof(line), format, args);

	if (length < 0)
		return;
	if ((size_t)length >= sizeof(line))
		length = sizeof(line) - 1;
	if (write(STDERR_FILENO, line, (size_t)length) < 0)
		return;
}

int _printk(const char *format, ...)
{
	int level = 4;
	va_list args;

	if (format[0] == KERN_SOH[0] && format[1]) {
		level = format[1] == 'c' ? 0 : format[1] - '0';
		format += 2;
	}
	if (level >= READ_ONCE(loglevel))
		return 0;
	va_start(args, format);
	print(format, args);
	va_end(args);
	return 0;
}

int mmun_compat_no_printk(const char *format, ...)
{
	return 0;
}

bool mmun_compat_warn(const char *file, int line, const char *format, ...)
{
	va_list args;

	__atomic_fetch_add(&warnings, 1, __ATOMIC_SEQ_CST);
	_printk("WARNING: %s:%d: ", file, line);
	if (READ_ONCE(loglevel) <= 4)
		return true;
	va_start(args, format);
	print(format, args);
	va_end(args);
	return true;
}

void mmun_compat_bug(const char *what, const char *file, int line)
{
	_printk(KERN_EMERG "BUG: %s at %s:%d\n", what, file, line);
	abort();
}

void mmun_compat_broken(const char *what)
{
	_printk(KERN_EMERG "BUG: %s\n", what);
	abort();
}

int scnprintf(char *buf, size_t size, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(buf, size, format, args);
	va_end(args);
	if (length < 0 || !size)
		return 0;
	return (size_t)length < size ? length : (int)size - 1;
}

u64 ktime_get_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * NSEC_PER_SEC + (u64)now.tv_nsec;
}

void mmun_compat_ktime(struct timespec *out, u64 ns)
{
	out->tv_sec = (time_t)(ns / NSEC_PER_SEC);
	out->tv_nsec = (long)(ns % NSEC_PER_SEC);
}

unsigned long mmun_compat_jiffies(void)
{
	return (unsigned long)(ktime_get_ns() / NSEC_PER_MSEC);
}

static void sleep_us(unsigned long us)
{
	struct timespec time;

	mmun_compat_ktime(&time, (u64)us * 1000);
	while (nanosleep(&time, &time) && errno == EINTR)
		;
}

void usleep_range(unsigned long min_us, unsigned long max_us)
{
	might_sleep();
	sleep_us(min_us);
}

void msleep(unsigned int ms)
{
	usleep_range(ms * 1000ul, ms * 1000ul);
}

unsigned long msleep_interruptible(unsigned int ms)
{
	return (unsigned long)schedule_timeout_interruptible((long)ms);
}

/* Allowed where sleeping is not: for the driver it is a loop. */
void udelay(unsigned long us)
{
	sleep_us(us);
}
