/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * In every file of a tree that holds all mutants at once (run.py): which one is awake.
 *
 * MUTANT_AWAKE is its number; MUTANT_REACHED a file with a byte for each, in which those are
 * marked whose place was come to, by this process and by its children.  Each program and each
 * shared object has a set of these symbols of its own.
 */
#ifndef MMUN_TESTS_MUTATION_MUTANT_H
#define MMUN_TESTS_MUTATION_MUTANT_H

#ifndef __ASSEMBLER__

extern int open(const char *, int, ...);
extern int atoi(const char *);
extern char *getenv(const char *);
extern void *mmap(void *, unsigned long, int, int, int, long);

#define MUTANT_WEAK __attribute__((weak, visibility("hidden")))

MUTANT_WEAK int mutant_awake = -1;
MUTANT_WEAK unsigned char *mutant_reached = 0;

#define MUTANT(n) \
	((mutant_reached && !mutant_reached[n] ? (void)(mutant_reached[n] = 1) : (void)0), \
	 mutant_awake == (n))

MUTANT_WEAK __attribute__((constructor(101), no_instrument_function)) void mutant_start(void)
{
	const char *number = getenv("MUTANT_AWAKE"), *file = getenv("MUTANT_REACHED");

	if (number)
		mutant_awake = atoi(number);
	if (file && !mutant_reached) {
		/* Read and write, shared, as long as there are numbers. */
		void *map = mmap(0, MUTANT_NUMBERS, 3, 1, open(file, 2), 0);

		if (map != (void *)-1)
			mutant_reached = (unsigned char *)map;
	}
}

#endif

#endif
