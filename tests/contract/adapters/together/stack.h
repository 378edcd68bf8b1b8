/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The registration caches of other libraries, each as one function.
 *
 * A registration here pins nothing: it remembers the first word of the range, a number, as it
 * was then.  A lookup that gives an older number than the memory has now would have sent
 * from pages that the program no longer has.
 */
#ifndef MMUN_TESTS_CONTRACT_ADAPTERS_TOGETHER_STACK_H
#define MMUN_TESTS_CONTRACT_ADAPTERS_TOGETHER_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stack {
	const char *name;
	/* NULL, or why it cannot be tried here. */
	const char *(*start)(void);
	/*
	 * Looks [at,at+size) up, registers it if need be, and lets it go again.
	 * Return: whether that was possible; @number is the registration's.
	 */
	bool (*lookup)(void *at, size_t size, uint64_t *number);
	/* Registrations made so far. */
	unsigned long (*registrations)(void);
	/* Something of the library that takes its other locks; NULL: there is none. */
	void (*disturb)(void);
};

extern const struct stack stack_ucx;
extern const struct stack stack_libfabric;

/* Open MPI's hooks, with which it feeds UCX as its component pml/ucx does. */
const char *openmpi_start(void);
/* How often it has heard of the byte that was asked for before; from now on: of that at @at. */
unsigned long openmpi_heard(const void *at);

#endif
