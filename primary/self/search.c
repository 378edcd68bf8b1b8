/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * 16 bytes at a time with what every x86-64 processor has; the last ones of a segment
 * one at a time, since nothing behind it may be read.
 * Tests: tests/glibc.
 */
#include "search.h"

#include <emmintrin.h>

#define STEP 16

static __m128i load(const unsigned char *p)
{
	return _mm_loadu_si128((const __m128i *)p);
}

static __m128i equals(__m128i bytes, unsigned char value)
{
	return _mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)value));
}

static __m128i syscalls_in(const unsigned char *p)
{
	return _mm_and_si128(equals(load(p), 0x0f), equals(load(p + 1), 0x05));
}

static bool is_syscall(const unsigned char *p)
{
	return p[0] == 0x0f && p[1] == 0x05;
}

const unsigned char *mmun_search_syscall(const unsigned char *p, const unsigned char *end)
{
	/* Most often there is none in many steps. */
	while (end - p > 4 * STEP) {
		__m128i any = _mm_or_si128(
			_mm_or_si128(syscalls_in(p), syscalls_in(p + STEP)),
			_mm_or_si128(syscalls_in(p + 2 * STEP), syscalls_in(p + 3 * STEP)));

		if (_mm_movemask_epi8(any))
			break;
		p += 4 * STEP;
	}
	while (end - p > STEP) {
		unsigned int found = _mm_movemask_epi8(syscalls_in(p));

		if (found)
			return p + __builtin_ctz(found);
		p += STEP;
	}
	for (; end - p >= 2; p++)
		if (is_syscall(p))
			return p;
	return end;
}

struct search {
	const unsigned char *code, *wanted;
	size_t size;
	unsigned char *counts;
};

/* jmp, or a conditional jump behind its escape byte. */
static void note(const struct search *search, const unsigned char *p)
{
	const unsigned char *distance = p + 2 - (*p == 0xe9);
	size_t target = (size_t)(distance + 4 - search->code) +
			(size_t)(long)mmun_search_distance(distance);

	if (target < search->size && search->wanted[target / MMUN_SEARCH_BLOCK] &&
	    search->counts[target] < 255)
		search->counts[target]++;
}

static unsigned long branches_in(const unsigned char *p)
{
	__m128i second = _mm_and_si128(load(p + 1), _mm_set1_epi8((char)0xf0));
	__m128i conditional = _mm_and_si128(equals(load(p), 0x0f), equals(second, 0x80));

	return _mm_movemask_epi8(_mm_or_si128(conditional, equals(load(p), 0xe9)));
}

static bool is_branch(const unsigned char *p)
{
	return *p == 0xe9 || (*p == 0x0f && (p[1] & 0xf0) == 0x80);
}

void mmun_search_branches(const unsigned char *code, size_t size, const unsigned char *wanted,
			  unsigned char *counts)
{
	const struct search search = { code, wanted, size, counts };
	const unsigned char *p = code, *end = code + size;

	/* Each has its six bytes. */
	for (; end - p > 4 * STEP + 6; p += 4 * STEP) {
		unsigned long found = branches_in(p) | branches_in(p + STEP) << STEP |
				      branches_in(p + 2 * STEP) << 2 * STEP |
				      branches_in(p + 3 * STEP) << 3 * STEP;

		for (; found; found &= found - 1)
			note(&search, p + __builtin_ctzl(found));
	}
	for (; end - p > 6; p++)
		if (is_branch(p))
			note(&search, p);
}
