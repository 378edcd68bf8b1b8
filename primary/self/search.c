/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * 32 bytes at a time where the processor has AVX2, else 16; the last ones of a segment one
 * at a time, since nothing behind it may be read.
 * Tests: tests/glibc, tests/unit/self/search.c.
 */
#include "search.h"

#include <immintrin.h>
#include <stdbool.h>
#include <sys/platform/x86.h>

#include "atomic.h"

#define STEP 64
#define AVX2 __attribute__((target("avx2")))

bool mmun_search_narrow;

/* The C library has asked the processor: in a virtual machine that takes long. */
static bool have_avx2(void)
{
	return CPU_FEATURE_ACTIVE(AVX2) && !mmun_search_narrow;
}

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

/* A bit for each of 64 bytes: does a system call begin there? */
static unsigned long syscalls(const unsigned char *p)
{
	unsigned long found = 0;

	for (int i = 0; i < STEP; i += 16)
		found |= (unsigned long)(unsigned int)_mm_movemask_epi8(syscalls_in(p + i)) << i;
	return found;
}

static const unsigned char *pass_narrow(const unsigned char *p, const unsigned char *end)
{
	while (end - p > STEP && !_mm_movemask_epi8(_mm_or_si128(
					 _mm_or_si128(syscalls_in(p), syscalls_in(p + 16)),
					 _mm_or_si128(syscalls_in(p + 32), syscalls_in(p + 48)))))
		p += STEP;
	return p;
}

AVX2 static inline __m256i load_wide(const unsigned char *p)
{
	return _mm256_loadu_si256((const __m256i *)p);
}

AVX2 static inline __m256i equals_wide(__m256i bytes, unsigned char value)
{
	return _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8((char)value));
}

AVX2 static inline __m256i syscalls_in_wide(const unsigned char *p)
{
	return _mm256_and_si256(equals_wide(load_wide(p), 0x0f),
				equals_wide(load_wide(p + 1), 0x05));
}

AVX2 static const unsigned char *pass_wide(const unsigned char *p, const unsigned char *end)
{
	while (end - p > 2 * STEP) {
		__m256i any = _mm256_or_si256(
			_mm256_or_si256(syscalls_in_wide(p), syscalls_in_wide(p + 32)),
			_mm256_or_si256(syscalls_in_wide(p + 64), syscalls_in_wide(p + 96)));

		if (_mm256_movemask_epi8(any))
			break;
		p += 2 * STEP;
	}
	return p;
}

static bool is_syscall(const unsigned char *p)
{
	return p[0] == 0x0f && p[1] == 0x05;
}

const unsigned char *mmun_search_syscall(const unsigned char *p, const unsigned char *end)
{
	/* Most often there is none in many steps. */
	p = have_avx2() ? pass_wide(p, end) : pass_narrow(p, end);
	for (; end - p > STEP; p += STEP) {
		unsigned long found = syscalls(p);

		if (found)
			return p + __builtin_ctzl(found);
	}
	for (; end - p >= 2; p++)
		if (is_syscall(p))
			return p;
	return end;
}

struct search {
	const unsigned char *code;
	size_t size;
	const unsigned int *wanted;
	unsigned char (*counts)[MMUN_SEARCH_BLOCK];
};

/* jmp, or a conditional jump behind its escape byte. */
static inline void note(const struct search *search, const unsigned char *p)
{
	const unsigned char *distance = p + 2 - (*p == 0xe9);
	size_t target = (size_t)(distance + 4 - search->code) +
			(size_t)(long)mmun_search_distance(distance);

	unsigned int number;
	unsigned char *count;

	if (target >= search->size)
		return;
	number = search->wanted[target / MMUN_SEARCH_BLOCK];
	if (mmun_likely(!number))
		return;
	count = &search->counts[number - 1][target % MMUN_SEARCH_BLOCK];
	*count += *count < 255;
}

static inline void note_all(const struct search *search, const unsigned char *p,
			    unsigned long found)
{
	for (; found; found &= found - 1)
		note(search, p + __builtin_ctzl(found));
}

static unsigned long branches_in(const unsigned char *p)
{
	__m128i second = _mm_and_si128(load(p + 1), _mm_set1_epi8((char)0xf0));
	__m128i conditional = _mm_and_si128(equals(load(p), 0x0f), equals(second, 0x80));

	return (unsigned int)_mm_movemask_epi8(_mm_or_si128(conditional, equals(load(p), 0xe9)));
}

AVX2 static inline unsigned long branches_in_wide(const unsigned char *p)
{
	__m256i second = _mm256_and_si256(load_wide(p + 1), _mm256_set1_epi8((char)0xf0));
	__m256i conditional =
		_mm256_and_si256(equals_wide(load_wide(p), 0x0f), equals_wide(second, 0x80));

	return (unsigned int)_mm256_movemask_epi8(
		_mm256_or_si256(conditional, equals_wide(load_wide(p), 0xe9)));
}

/* Each has its six bytes. */
#define FOR_EACH_STEP(p, end) for (; end - p > STEP + 6; p += STEP)

static const unsigned char *note_steps(const struct search *search, const unsigned char *p,
				       const unsigned char *end)
{
	FOR_EACH_STEP(p, end)
	note_all(search, p,
		 branches_in(p) | branches_in(p + 16) << 16 | branches_in(p + 32) << 32 |
			 branches_in(p + 48) << 48);
	return p;
}

AVX2 static const unsigned char *note_steps_wide(const struct search *search,
						 const unsigned char *p, const unsigned char *end)
{
	FOR_EACH_STEP(p, end)
	note_all(search, p, branches_in_wide(p) | branches_in_wide(p + 32) << 32);
	return p;
}

static bool is_branch(const unsigned char *p)
{
	return *p == 0xe9 || (*p == 0x0f && (p[1] & 0xf0) == 0x80);
}

void mmun_search_branches(const unsigned char *code, size_t size, const unsigned int *wanted,
			  unsigned char (*counts)[MMUN_SEARCH_BLOCK])
{
	const struct search search = { code, size, wanted, counts };
	const unsigned char *end = code + size;
	const unsigned char *p = have_avx2() ? note_steps_wide(&search, code, end)
					     : note_steps(&search, code, end);

	for (; end - p > 6; p++)
		if (is_branch(p))
			note(&search, p);
}
