/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Something else that patches libc's memory functions in the same process. */
#ifndef MMUN_TESTS_CONTRACT_PEER_H
#define MMUN_TESTS_CONTRACT_PEER_H

#include <stdbool.h>

struct peer {
	const char *name;
	/* NULL, or why it cannot be tried here. */
	const char *(*start)(void);
	/* NULL: it never leaves. */
	void (*stop)(void);
	/* Unmaps of [from,to) that it saw so far; NULL: it does not say. */
	unsigned int (*saw)(unsigned long from, unsigned long to);
	/* Calls of any function that it has patched so far; NULL: it does not say. */
	unsigned int (*calls)(void);
};

extern const struct peer peer_ucx;
extern const struct peer peer_prologue;
extern const struct peer peer_libfabric;

#endif
