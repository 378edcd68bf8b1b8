/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Numbers as text, and text as numbers, for code that runs inside system calls and signal
 * handlers of programs: libc's printf() allocates and takes locks.  Tests: tests/unit/base/base.c.
 */
#ifndef MMUN_BASE_NUMBER_H
#define MMUN_BASE_NUMBER_H

#include <stddef.h>

/* With a zero byte behind it, in any base from 10 on. */
#define MMUN_NUMBER_SIZE 21

/* Writes @value with a zero byte behind it, without leading zeroes; returns its length. */
static inline size_t mmun_put_number(char *to, unsigned long value, unsigned int base)
{
	size_t length = 1;

	for (unsigned long rest = value; rest >= base; rest /= base)
		length++;
	to[length] = '\0';
	for (size_t at = length; at > 0; value /= base)
		to[--at] = "0123456789abcdef"[value % base];
	return length;
}

/* Return: where the digits end. */
static inline const char *mmun_get_decimal(const char *text, unsigned long *value)
{
	for (*value = 0; *text >= '0' && *text <= '9'; text++)
		*value = *value * 10 + (*text - '0');
	return text;
}

/* The number that a text begins with; 0 where it does not. */
static inline unsigned long mmun_decimal(const char *text)
{
	unsigned long value;

	mmun_get_decimal(text, &value);
	return value;
}

#endif
