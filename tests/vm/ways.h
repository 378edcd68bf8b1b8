/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Buffers whose memory can be replaced, at the same addresses, in the ways that
 * programs have.
 */
#ifndef MMUN_VM_WAYS_H
#define MMUN_VM_WAYS_H

#include <stddef.h>
#include <stdint.h>

struct buffer {
	uint64_t *words;
	size_t bytes;
	int fd; /* of the memory's file, or -1 */
};

struct way {
	const char *name;
	void (*replace)(struct buffer *buffer);
	int has_file; /* the buffer is a mapping of one */
	int is_raw;   /* nothing but strict mode sees it */
};

#define NR_WAYS 8

extern const struct way ways[NR_WAYS];

/* The functions here return when they have succeeded; this one is the program's. */
_Noreturn void fail(const char *what);
/* Maps @bytes of new memory at @address, where nothing is mapped. */
void buffer_map(struct buffer *buffer, const struct way *way, uintptr_t address, size_t bytes);
void buffer_unmap(struct buffer *buffer);
/* Drops the pages of a file. */
void punch(int fd, size_t bytes);

#endif
