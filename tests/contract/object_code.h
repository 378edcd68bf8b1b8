/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The system calls of one object: of the program, of a library that it is linked
 * with, of one that it loads later.  Each answers as the kernel does.
 */
#ifndef MMUN_TESTS_OBJECT_CODE_H
#define MMUN_TESTS_OBJECT_CODE_H

#ifdef __ASSEMBLER__
#define OBJECT_JOIN(a, b)           a##b
#define OBJECT_SYMBOL(name, suffix) OBJECT_JOIN(name, suffix)
#define OBJECT_FIRST                OBJECT_SYMBOL(OBJECT_NAME, _first)
#define OBJECT_LAST                 OBJECT_SYMBOL(OBJECT_NAME, _last)
#else

#include <stddef.h>

struct object_code {
	const unsigned char *first, *last;
	long (*munmap)(void *at, size_t length);
	void *(*mremap)(void *at, size_t old, size_t new, int flags, void *to);
	long (*madvise)(void *at, size_t length, int advice);
	long (*mprotect)(void *at, size_t length, int prot);
	/* Three arguments and the number. */
	long (*any)(void *at, size_t length, int third, long nr);
	/* 0x050f000b + 0x50f, 0x050f0000000bb8 and 5. */
	unsigned int (*immediate)(void);
	unsigned long (*hidden)(void);
	unsigned int (*data)(void);
	const unsigned char *table;
	/* munmap(args[1], args[2]); the same from one of its instructions on. */
	long (*window)(const unsigned long *args);
	long (*window_at)(const unsigned long *args, const void *at);
	const void *window_places[4];
};

#endif
#endif
