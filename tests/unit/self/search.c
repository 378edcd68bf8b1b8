/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* primary/self/search.c: what it finds in any code, with wide registers and with narrow ones. */
#include <stdlib.h>
#include <sys/mman.h>

#include "../../../primary/self/search.c"
#include "tap.h"

#define SIZE 4096

/* Ends where nothing may be read. */
static unsigned char *guarded;

/* Mostly the bytes that are looked for. */
static void fill(unsigned char *code, size_t size)
{
	static const unsigned char bytes[] = { 0x0f, 0x05, 0x0f, 0x80, 0x8f, 0xe9, 0, 0, 0xff };

	for (size_t i = 0; i < size; i++)
		code[i] = random() % 3 ? bytes[random() % sizeof(bytes)] : random();
}

static bool syscalls_agree(const unsigned char *code, const unsigned char *end)
{
	const unsigned char *found = mmun_search_syscall(code, end);

	for (const unsigned char *p = code; end - p >= 2; p++) {
		if (p[0] != 0x0f || p[1] != 0x05)
			continue;
		if (found != p)
			return false;
		found = mmun_search_syscall(p + 1, end);
	}
	return found == end;
}

static void count_simply(const unsigned char *code, size_t size, const unsigned int *wanted,
			 unsigned char (*counts)[MMUN_SEARCH_BLOCK])
{
	for (size_t at = 0; at + 6 < size; at++) {
		bool jump = code[at] == 0xe9;
		size_t length = jump ? 5 : 6, target;
		int distance;

		if (!jump && (code[at] != 0x0f || (code[at + 1] & 0xf0) != 0x80))
			continue;
		memcpy(&distance, code + at + length - 4, 4);
		target = at + length + distance;
		if (target < size && wanted[target / MMUN_SEARCH_BLOCK]) {
			unsigned char *count = &counts[wanted[target / MMUN_SEARCH_BLOCK] - 1]
						      [target % MMUN_SEARCH_BLOCK];

			*count += *count < 255;
		}
	}
}

static bool branches_agree(const unsigned char *code, size_t size)
{
	static unsigned char found[SIZE / MMUN_SEARCH_BLOCK + 1][MMUN_SEARCH_BLOCK];
	static unsigned char expected[SIZE / MMUN_SEARCH_BLOCK + 1][MMUN_SEARCH_BLOCK];
	unsigned int wanted[SIZE / MMUN_SEARCH_BLOCK + 1], number = 0;

	memset(found, 0, sizeof(found));
	memset(expected, 0, sizeof(expected));
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		wanted[i] = random() % 2 ? ++number : 0;
	mmun_search_branches(code, size, wanted, found);
	count_simply(code, size, wanted, expected);
	return !memcmp(found, expected, sizeof(found));
}

static void agree(const char *with)
{
	int syscalls_wrong = 0, branches_wrong = 0;

	for (int i = 0; i < 3000; i++) {
		size_t size = random() % (i % 2 ? 300 : SIZE);
		unsigned char *code = guarded + SIZE - size;

		fill(code, size);
		syscalls_wrong += !syscalls_agree(code, code + size);
		branches_wrong += !branches_agree(code, size);
	}
	is(syscalls_wrong, 0, "system calls are found as byte by byte, %s", with);
	is(branches_wrong, 0, "so are branches, %s", with);
}

int main(void)
{
	guarded = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (guarded == MAP_FAILED || mprotect(guarded + SIZE, SIZE, PROT_NONE))
		return 1;
	srandom(20261130);
	agree(have_avx2() ? "32 bytes at a time" : "as this processor can");
	mmun_search_narrow = true;
	agree("16 bytes at a time");
	return tap_done();
}
