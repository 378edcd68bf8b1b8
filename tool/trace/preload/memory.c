/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * memcpy and its family for this object alone.
 *
 * The compiler calls them on its own for copies of structs; resolved to the
 * program's they could lead into a sanitizer or an interposed library in the
 * middle of a memory operation.  Hidden, so nobody else is affected.
 */
#include <stddef.h>

void *memcpy(void *to, const void *from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int byte, size_t length);
size_t strlen(const char *text);

void *memcpy(void *to, const void *from, size_t length)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(length) : : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t length)
{
	char *t = to;
	const char *f = from;

	if (t <= f || t >= f + length)
		return memcpy(to, from, length);
	while (length--)
		((volatile char *)t)[length] = f[length];
	return to;
}

void *memset(void *to, int byte, size_t length)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(length) : "a"(byte) : "memory");
	return to;
}

size_t strlen(const char *text)
{
	const volatile char *end = text;

	while (*end)
		end++;
	return (size_t)(end - text);
}
