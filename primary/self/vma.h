/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The mappings of this process, read without allocation, locks or libc.
 * Uses the binary query of /proc/self/maps (Linux 6.11) and falls back to text.
 */
#ifndef MMUN_SELF_VMA_H
#define MMUN_SELF_VMA_H

#include <stdbool.h>
#include <stddef.h>

/* Where one mapping lies and what it shows.  @page_size: of its pages, 0 where
 * the kernel does not say (the text form). */
#define MMUN_VMA_PLACE \
	unsigned long start, end, offset, inode, page_size; \
	int prot; \
	bool shared

struct mmun_vma_place {
	MMUN_VMA_PLACE;
};

struct mmun_vma {
	union {
		struct mmun_vma_place place;
		struct {
			MMUN_VMA_PLACE;
		};
	};
	/* "" for anonymous memory. */
	char name[256];
};

/* Small: calls that fail walk on the program's own stack. */
struct mmun_vma_walk {
	int fd, error;
	bool text;
	bool files_only;
	/* A mapping of this very thread has been met: these are our mappings. */
	bool ours;
	unsigned long next;
	/* The room for names that has been cleared: tools that watch memory do not know
	 * that the kernel writes there. */
	const char *cleared;
	size_t have, pos;
	char buffer[256];
};

/* Return 0 or -errno (no /proc, no file descriptor left, not our mappings). */
int mmun_vma_walk_start(struct mmun_vma_walk *walk, unsigned long from, bool files_only);
bool mmun_vma_walk_next(struct mmun_vma_walk *walk, struct mmun_vma *vma);
/* The same; puts "" for a name that does not fit, nothing where @size is 0. */
bool mmun_vma_walk_next_place(struct mmun_vma_walk *walk, struct mmun_vma_place *place, char *name,
			      size_t size);
/*
 * Return 0, or -errno if what was shown is not to be trusted: the walk broke off
 * before its end, or it was a walk over something else than our memory.
 */
int mmun_vma_walk_end(struct mmun_vma_walk *walk);

/* Do the pages of [start,end) belong to one mapping?  Not known: no. */
bool mmun_vma_is_one(unsigned long start, unsigned long end);

#endif
