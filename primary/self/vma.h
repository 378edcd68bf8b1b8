/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The mappings of this process, read without allocation, locks or libc.
 * Uses the binary query of /proc/self/maps (Linux 6.11) and falls back to text.
 */
#ifndef MMUN_SELF_VMA_H
#define MMUN_SELF_VMA_H

#include <stdbool.h>
#include <stddef.h>

struct mmun_vma {
	unsigned long start, end, offset, inode;
	int prot;
	bool shared;
	/* "" for anonymous memory. */
	char name[256];
};

struct mmun_vma_walk {
	int fd;
	bool text;
	bool files_only;
	unsigned long next;
	size_t have, pos;
	char buffer[1024];
};

/* Return 0 or -errno (no /proc, no file descriptor left). */
int mmun_vma_walk_start(struct mmun_vma_walk *walk, unsigned long from, bool files_only);
bool mmun_vma_walk_next(struct mmun_vma_walk *walk, struct mmun_vma *vma);
void mmun_vma_walk_end(struct mmun_vma_walk *walk);

#endif
