/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What one system call does to the translations of this process. */
#ifndef MMUN_SELF_CALL_H
#define MMUN_SELF_CALL_H

#include <stdbool.h>

#include <mmunotify/mmu_notifier.h>

/* More mappings of one file, or more pieces of one call, are covered by one
 * range around the surplus. */
#define MMUN_MAX_RANGES 8

struct mmun_change {
	enum mmun_op op;
	enum mmu_notifier_event event;
	unsigned int flags;
	int nr_ranges;
	/* What the program is told when a notifier refuses. */
	long refusal;
	/* The ranges follow from the mappings of this file and may have become
	 * more when the call returns. */
	bool by_file;
	unsigned long inode;
	unsigned long file_start, file_end;
	struct {
		unsigned long start, end;
	} range[MMUN_MAX_RANGES];
};

struct mmun_call {
	/* Fill @change; false: nothing that anybody could have cached changes. */
	bool (*describe)(const unsigned long *args, struct mmun_change *change);
	/* Did a call with this result leave range @index as it was?  NULL: only
	 * if it failed cleanly. */
	bool (*unchanged)(const unsigned long *args, long result, int index,
			  const struct mmun_change *change);
	/* describe needs system calls of its own: only when somebody listens. */
	bool walks;
	bool is_cancellation_point;
	/* A look at the arguments says that the call need not be considered; it
	 * may then block as long as it likes, outside the gate. */
	bool (*concerns)(const unsigned long *args);
};

/* NULL if calls with this number change nothing. */
const struct mmun_call *mmun_call_of(int nr);

/* Failures that the kernel reports before it has changed anything. */
bool mmun_failed_cleanly(long result);

void mmun_change_add(struct mmun_change *change, unsigned long start, unsigned long end);
bool mmun_change_covers(const struct mmun_change *change, unsigned long start,
			unsigned long end);

/* file.c: truncate, ftruncate, fallocate, O_TRUNC; and the mappings behind them. */
bool mmun_describe_truncate(const unsigned long *args, struct mmun_change *change);
bool mmun_describe_ftruncate(const unsigned long *args, struct mmun_change *change);
bool mmun_describe_openat(const unsigned long *args, struct mmun_change *change);
bool mmun_describe_open(const unsigned long *args, struct mmun_change *change);
bool mmun_describe_creat(const unsigned long *args, struct mmun_change *change);
bool mmun_openat_truncates(const unsigned long *args);
bool mmun_open_truncates(const unsigned long *args);
bool mmun_creat_truncates(const unsigned long *args);
/* madvise(MADV_REMOVE): a hole in the file, so in all its mappings. */
bool mmun_describe_remove(const unsigned long *args, struct mmun_change *change);
bool mmun_describe_fallocate(const unsigned long *args, struct mmun_change *change);
/* Add the parts of the file's mappings that @change touches. */
void mmun_add_file_mappings(struct mmun_change *change);

/* shm.c */
bool mmun_describe_shmat(const unsigned long *args, struct mmun_change *change);
bool mmun_describe_shmdt(const unsigned long *args, struct mmun_change *change);

#endif
