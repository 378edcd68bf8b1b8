/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Test Anything Protocol for one C program: ok(), is(), skip(), diag(), and
 * tap_done() as the last statement of main().  ok() may be called from any
 * thread; a failed one reports its place and the program ends with status 1.
 */
#ifndef MMUN_TESTS_TAP_H
#define MMUN_TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Of the program, of however many files it is. */
__attribute__((weak)) int tap_count, tap_failures;

__attribute__((format(printf, 1, 2), unused)) static void diag(const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	printf("# %s\n", line);
	fflush(stdout);
}

__attribute__((format(printf, 4, 5), unused)) static bool tap_ok(bool pass, const char *file,
								 int line, const char *format, ...)
{
	char name[512];
	va_list args;
	int number = __atomic_add_fetch(&tap_count, 1, __ATOMIC_SEQ_CST);

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	if (!pass)
		__atomic_add_fetch(&tap_failures, 1, __ATOMIC_SEQ_CST);
	printf("%sok %d - %s\n", pass ? "" : "not ", number, name);
	if (!pass)
		printf("# failed at %s:%d\n", file, line);
	fflush(stdout);
	return pass;
}

/* ok(condition, "name", ...): one test. */
#define ok(condition, ...) tap_ok((condition), __FILE__, __LINE__, __VA_ARGS__)

/* is(got, expected, "name", ...): integers, shows both when they differ. */
#define is(got, expected, ...) \
	do { \
		long tap_got = (long)(got), tap_expected = (long)(expected); \
		if (!ok(tap_got == tap_expected, __VA_ARGS__)) \
			diag("got %ld, expected %ld", tap_got, tap_expected); \
	} while (0)

/* One test that cannot run here, with the reason. */
__attribute__((unused)) static void skip(const char *name, const char *reason)
{
	printf("ok %d - %s # SKIP %s\n", __atomic_add_fetch(&tap_count, 1, __ATOMIC_SEQ_CST), name,
	       reason);
	fflush(stdout);
}

/* The whole program cannot run here. */
__attribute__((unused, noreturn)) static void skip_all(const char *reason)
{
	printf("1..0 # SKIP %s\n", reason);
	exit(0);
}

__attribute__((unused, noreturn)) static void bail_out(const char *reason)
{
	printf("Bail out! %s\n", reason);
	exit(1);
}

__attribute__((unused)) static int tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failures ? 1 : 0;
}

#endif
