/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Slots in the buffer tables of some rings, and the kernel's calls that fill and empty them.
 *
 * A slot is taken by a bit, and holds the same memory in every ring of the set or nothing in
 * any.  Rings are reached by descriptors of our own: liburing's calls may mean the ring by
 * an index that is valid in one thread only (io_uring_register_ring_fd()), and the
 * program's descriptor may be closed, and another file's, when the last buffer goes.
 *
 * The kernel keeps a buffer until the requests in flight that use it are done: a
 * slot may be emptied at any time.  Tests: tests/contract/uring/.
 */
#ifndef MMUN_SECONDARY_URING_TABLE_H
#define MMUN_SECONDARY_URING_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mmunotify/uring.h>

struct uring_table {
	unsigned int first, slots, nr_rings;
	/* Where to look for a free slot first. */
	unsigned int hint;
	int fds[MMUN_URING_MAX_RINGS];
	uint64_t taken[MMUN_URING_MAX_SLOTS / 64];
};

/* Of rings that have one already with @adopt.  Return: as mmun_uring_create(). */
int mmun_uring_table_open(struct uring_table *table, struct io_uring *const *rings, bool adopt);
/* The slots are empty already. */
void mmun_uring_table_close(struct uring_table *table);

/* Return: 0 and a slot; -ENOSPC; what the kernel said, with nothing changed. */
int mmun_uring_table_set(struct uring_table *table, unsigned long start, size_t length,
			 unsigned int *slot);
void mmun_uring_table_clear(struct uring_table *table, unsigned int slot);

#endif
