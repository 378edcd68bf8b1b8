/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Passes over all the code of an object, for scan.c.  They take most of its time, so
 * they use vector registers: only for callers that keep them (start, and late text).
 * Read their arguments only; nothing is allocated.
 */
#ifndef MMUN_SELF_SEARCH_H
#define MMUN_SELF_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The first bytes of a system call instruction from @p on; @end if there are none. */
const unsigned char *mmun_search_syscall(const unsigned char *p, const unsigned char *end);

/* Code is in blocks of so many bytes. */
#define MMUN_SEARCH_BLOCK 64

/*
 * Branches with a distance of four bytes, found at every byte of @size bytes of @code, that
 * lead into a block whose number in @wanted is not 0: counts[number - 1] is how many lead
 * to each of its bytes, up to 255.
 */
void mmun_search_branches(const unsigned char *code, size_t size, const unsigned int *wanted,
			  unsigned char (*counts)[MMUN_SEARCH_BLOCK]);

/* For tests: as on a processor without AVX2. */
extern bool mmun_search_narrow;

static inline int mmun_search_distance(const unsigned char *at)
{
	int value;

	memcpy(&value, at, sizeof(value));
	return value;
}

#endif
