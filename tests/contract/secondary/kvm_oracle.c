/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: a guest of secondary/kvm on a software address space sees what a
 * guest of the kernel's KVM sees on real memory.
 *
 * The same operations are done on both.  After each one, both guests load every
 * page, and so do both programs; all four must agree, and a page that a guest
 * cannot load is one that its program cannot either.  A fixed list names what is
 * done; then as many random operations as the argument says, from the seed that
 * is printed.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../tap.h"
#include "memory.h"

static const struct memory_ops *const sides[] = { &real_memory, &soft_memory };

static int differences;

/* What is seen of all pages; the guest's stores and the program's are tried too,
 * the latter by who wants to. */
static void compare(const char *what)
{
	for (int page = 0; page < MEMORY_PAGES; page++) {
		long program[2], guest[2];

		for (int i = 0; i < 2; i++) {
			guest[i] = sides[i]->guest_load(page);
			program[i] = sides[i]->load(page);
		}
		if (guest[0] == guest[1] && program[0] == program[1] && guest[0] == program[0])
			continue;
		if (differences++ < 10)
			diag("%s: page %d: guest %ld and %ld, program %ld and %ld", what, page,
			     guest[0], guest[1], program[0], program[1]);
	}
}

#define BOTH(call) \
	do { \
		for (int both_i = 0; both_i < 2; both_i++) { \
			const struct memory_ops *m = sides[both_i]; \
			(call); \
		} \
	} while (0)

/* One operation on both sides, and one test. */
#define DO(call, ...) \
	do { \
		differences = 0; \
		BOTH(call); \
		compare(#call); \
		is(differences, 0, __VA_ARGS__); \
	} while (0)

static bool stored[2];

#define STORE(call, ...) \
	do { \
		for (int store_i = 0; store_i < 2; store_i++) { \
			const struct memory_ops *m = sides[store_i]; \
			stored[store_i] = (call); \
		} \
		differences = stored[0] != stored[1]; \
		compare(#call); \
		is(differences, 0, __VA_ARGS__); \
	} while (0)

static void private_memory(void)
{
	DO(m->map(0, MEMORY_PAGES, PRIVATE_MEMORY, 0), "memory that nobody touched");
	STORE(m->store(0, 1), "the program writes over the zero page");
	STORE(m->guest_store(1, 2), "the guest writes over the zero page");
	STORE(m->guest_store(0, 3), "the guest writes the program's page");
	DO(m->unmap(2, 2), "munmap");
	STORE(m->guest_store(2, 4), "the guest writes where nothing is");
	DO(m->map(2, 2, PRIVATE_MEMORY, 0), "memory again where none was");
	STORE(m->guest_store(2, 5), "the guest writes it");
	DO(m->map(0, 1, PRIVATE_MEMORY, 0), "MAP_FIXED over a page");
	DO(m->move(2, 6), "mremap onto a page");
	DO(m->map(2, 1, PRIVATE_MEMORY, 0), "and memory again where it was");
	STORE(m->store(6, 6), "the program writes what was moved");
	DO(m->advise(6, 1, MADV_DONTNEED), "MADV_DONTNEED");
	STORE(m->guest_store(7, 8), "before the rights change");
	DO(m->protect(7, 1, false), "mprotect to read-only");
	STORE(m->guest_store(7, 9), "the guest writes to a read-only page");
	DO(m->protect(7, 1, true), "mprotect to writable");
	STORE(m->guest_store(7, 10), "and it does");
}

static void forked(void)
{
	DO(m->map(0, MEMORY_PAGES, PRIVATE_MEMORY, 0), "fresh memory");
	BOTH(m->store(0, 1));
	BOTH(m->store(1, 2));
	BOTH(m->guest_store(2, 3));
	DO(m->fork(), "fork, the child alive");
	STORE(m->store(0, 11), "B23: the program copies a page");
	STORE(m->guest_store(1, 12), "B23: the guest copies a page");
	DO(m->reap(), "the child exits");
	STORE(m->guest_store(2, 13), "the guest writes a page that is the program's alone again");
}

static void files(void)
{
	DO(m->map(0, 8, SHARED_FILE, 0), "a shared file");
	STORE(m->guest_store(0, 1), "the guest writes to it");
	DO(m->map(8, 8, PRIVATE_FILE, 0), "the same file, private");
	DO(m->write_file(1, 2), "a write by descriptor");
	STORE(m->guest_store(9, 3), "the guest copies a private page of it");
	DO(m->write_file(1, 4), "and does not see the next one");
	DO(m->punch(0, 2), "a hole is punched");
	STORE(m->guest_store(0, 5), "the guest writes into the hole");
	DO(m->truncate(4), "truncate: nothing behind the end");
	DO(m->truncate(MEMORY_FILE_PAGES), "and longer again: zeroes");
	DO(m->advise(0, 1, MADV_REMOVE), "MADV_REMOVE");
	DO(m->fork(), "fork");
	STORE(m->store(8, 6), "the program copies a private page of the file");
	DO(m->reap(), "the child exits");
	DO(m->map(0, MEMORY_PAGES, PRIVATE_MEMORY, 0), "and memory over all of it");
}

static unsigned int state;

static int draw(int n)
{
	state = state * 1664525 + 1013904223;
	return (int)((state >> 8) % (unsigned int)n);
}

/* 0...n-1 with room behind it. */
static void draw_range(int limit, int *page, int *pages)
{
	*page = draw(limit);
	*pages = 1 + draw(limit - *page < 4 ? limit - *page : 4);
}

static bool has_child;

static void random_operation(long i)
{
	int page, pages, file_page = draw(MEMORY_FILE_PAGES - 4), to = draw(MEMORY_PAGES);
	int op = draw(14);

	draw_range(op == 9 ? MEMORY_FILE_PAGES : MEMORY_PAGES, &page, &pages);
	switch (op) {
	case 0:
		BOTH(m->map(page, pages, PRIVATE_MEMORY, 0));
		break;
	case 1:
		BOTH(m->map(page, pages, SHARED_FILE, file_page));
		break;
	case 2:
		BOTH(m->map(page, pages, PRIVATE_FILE, file_page));
		break;
	case 3:
		BOTH(m->unmap(page, pages));
		break;
	case 4:
		if (to != page)
			BOTH(m->move(page, to));
		break;
	case 5:
		BOTH(m->protect(page, pages, to & 1));
		break;
	case 6:
		BOTH(m->advise(page, pages, MADV_DONTNEED));
		break;
	case 7:
		if (has_child)
			BOTH(m->reap());
		else
			BOTH(m->fork());
		has_child = !has_child;
		break;
	case 8:
		BOTH(m->truncate(to % (MEMORY_FILE_PAGES + 1)));
		break;
	case 9:
		BOTH(m->punch(page, pages));
		break;
	case 10:
		BOTH(m->write_file(to % MEMORY_FILE_PAGES, i));
		break;
	case 11:
		BOTH(m->store(page, i));
		break;
	default:
		BOTH(m->guest_store(page, i));
		break;
	}
}

static void random_operations(long count, unsigned int seed)
{
	char what[64];

	state = seed;
	differences = 0;
	diag("seed %u", seed);
	for (long i = 1; i <= count && !differences; i++) {
		random_operation(i);
		snprintf(what, sizeof(what), "random operation %ld", i);
		compare(what);
	}
	if (has_child)
		BOTH(m->reap());
	is(differences, 0, "%ld random operations", count);
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 300;
	unsigned int seed = argc > 2 ? (unsigned int)atol(argv[2]) : 1;

	for (int i = 0; i < 2; i++) {
		const char *reason = sides[i]->begin();

		if (reason)
			skip_all(reason);
	}
	private_memory();
	forked();
	files();
	random_operations(count, seed);
	BOTH(m->end());
	return tap_done();
}
