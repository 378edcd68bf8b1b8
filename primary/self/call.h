/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What one system call does to the translations of this process. */
#ifndef MMUN_SELF_CALL_H
#define MMUN_SELF_CALL_H

#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <mmunotify/mmu_notifier.h>

#include "atomic.h"

/* More mappings of one file, or more pieces of one call, are covered by one
 * range around the surplus. */
#define MMUN_MAX_RANGES 8

/* More than any mapping: where what changes cannot be found out. */
#define MMUN_WHOLE_START 0UL
#define MMUN_WHOLE_END   (-MMUN_PAGE_SIZE)

struct mmun_change {
	enum mmun_op op;
	enum mmu_notifier_event event;
	unsigned int flags;
	int nr_ranges;
	/* What the program gets when a notifier refuses. */
	long refusal;
	/* The ranges follow from the mappings of this file and may have become
	 * more when the call returns. */
	bool by_file;
	/* Which file is not known: any one may be meant. */
	bool any_file;
	unsigned long inode;
	unsigned long file_start, file_end;
	struct {
		unsigned long start, end;
	} range[MMUN_MAX_RANGES];
};

struct mmun_call {
	/* What it is where describe cannot be asked; only of calls that walk. */
	enum mmun_op op;
	/* Fill @change; false: nothing that anybody could have cached changes.
	 * What cannot be found out makes the ranges larger, never fewer. */
	bool (*describe)(const unsigned long *args, struct mmun_change *change);
	/* Did a call with this result leave range @index as it was?  NULL: only
	 * if it failed cleanly. */
	bool (*unchanged)(const unsigned long *args, long result, int index,
			  const struct mmun_change *change);
	/* After a success, before the file's mappings are looked up once more: which
	 * file was it?  NULL: the one that describe found. */
	void (*renew)(long result, struct mmun_change *change);
	/* describe needs system calls of its own: only when somebody listens. */
	bool walks;
	/* Does it with these arguments?  NULL: as @walks says. */
	bool (*may_walk)(const unsigned long *args);
	bool is_cancellation_point;
	/* A look at the arguments says that the call need not be considered; it
	 * may then block as long as it likes, outside a section. */
	bool (*concerns)(const unsigned long *args);
};

static inline bool mmun_call_walks(const struct mmun_call *call, const unsigned long *args)
{
	return call->walks || (call->may_walk && call->may_walk(args));
}

/* NULL if calls with this number change nothing. */
const struct mmun_call *mmun_call_of(int nr);

/* With LAM the kernel overlooks bits 57 to 62 of some arguments; without it there is
 * no memory at such an address. */
static inline unsigned long mmun_untagged(unsigned long address)
{
	return address >> 63 ? address : address & ((1UL << 57) - 1);
}

/* Failures that the kernel reports before it has changed anything. */
bool mmun_failed_cleanly(long result);

void mmun_change_add(struct mmun_change *change, unsigned long start, unsigned long end);
bool mmun_change_covers(const struct mmun_change *change, unsigned long start, unsigned long end);

/* One range, of pages; false: the kernel refuses an address that is not a page's. */
bool mmun_change_one_range(struct mmun_change *change, enum mmun_op op,
			   enum mmu_notifier_event event, unsigned long start,
			   unsigned long length);

/*
 * Copy memory of the program that may not be there.  1: done; 0: there is none, as
 * the kernel itself will find; -1: not to be known, whatever the program meant.
 */
int mmun_read_program(void *to, unsigned long from, unsigned long size);

#define MMUN_HUGE_2M (1UL << 21)
#define MMUN_HUGE_1G (1UL << 30)
/* What may be 2 MiB or 1 GiB pages reaches to the end of the last one. */
unsigned long mmun_huge_end(unsigned long start, unsigned long end);

/* file.c: truncate, ftruncate, fallocate, O_TRUNC; and the mappings behind them. */
bool mmun_describe_truncate(const unsigned long *args, struct mmun_change *change);
bool mmun_describe_ftruncate(const unsigned long *args, struct mmun_change *change);
bool mmun_describe_openat(const unsigned long *args, struct mmun_change *change);
bool mmun_describe_openat2(const unsigned long *args, struct mmun_change *change);
bool mmun_describe_open_by_handle(const unsigned long *args, struct mmun_change *change);
bool mmun_describe_open(const unsigned long *args, struct mmun_change *change);
bool mmun_describe_creat(const unsigned long *args, struct mmun_change *change);
bool mmun_openat_truncates(const unsigned long *args);
bool mmun_openat2_truncates(const unsigned long *args);
bool mmun_open_by_handle_truncates(const unsigned long *args);
bool mmun_open_truncates(const unsigned long *args);
bool mmun_creat_truncates(const unsigned long *args);
/* The file behind the descriptor @result. */
void mmun_renew_opened(long result, struct mmun_change *change);
/* fallocate, and what comes to the same: ioctl, copy_file_range. */
bool mmun_describe_fallocate(const unsigned long *args, struct mmun_change *change);
bool mmun_describe_ioctl(const unsigned long *args, struct mmun_change *change);
bool mmun_ioctl_punches(const unsigned long *args);
bool mmun_describe_copy(const unsigned long *args, struct mmun_change *change);
bool mmun_copy_may_share(const unsigned long *args);
/* madvise(MADV_REMOVE) and its like: what is done to the pages of files in
 * [start,end), in steps of @unit bytes, is done to them in all other mappings. */
void mmun_add_shared_pages(struct mmun_change *change, unsigned long start, unsigned long end,
			   unsigned long unit);
/* Add the parts of the file's mappings that @change touches. */
void mmun_add_file_mappings(struct mmun_change *change);

/*
 * Calls that work on one mapping after the other may fail in the second, with
 * the first one changed.
 */
bool mmun_unchanged_in_one_mapping(const unsigned long *args, long result, int index,
				   const struct mmun_change *change);

/* advice.c: madvise, process_madvise. */
bool mmun_describe_madvise(const unsigned long *args, struct mmun_change *change);
bool mmun_madvise_walks(const unsigned long *args);
bool mmun_unchanged_madvise(const unsigned long *args, long result, int index,
			    const struct mmun_change *change);
bool mmun_describe_process_madvise(const unsigned long *args, struct mmun_change *change);
bool mmun_unchanged_process_madvise(const unsigned long *args, long result, int index,
				    const struct mmun_change *change);

/* shm.c */
bool mmun_describe_shmat(const unsigned long *args, struct mmun_change *change);
bool mmun_describe_shmdt(const unsigned long *args, struct mmun_change *change);

#endif
