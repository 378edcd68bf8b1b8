/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One operation on one watched, populated area: how to set it up, how to do
 * it, and what must be notified.
 */
#ifndef MMUN_TESTS_CONTRACT_OPERATIONS_H
#define MMUN_TESTS_CONTRACT_OPERATIONS_H

#include "calls.h"
#include "watch.h"

/* How names of files begin that a case makes in the current directory. */
#define REGION_FILE "contract-file-"

#define AREA_PAGES 16
#define AREA_BYTES (AREA_PAGES * PAGE_BYTES)

/* The kernel leaves the pages alone: any section that acts is too much. */
#define OP_QUIET (1u << 0)
/* The call fails; whether pages changed all the same is the kernel's word. */
#define OP_FAILS (1u << 1)
/* Notified, but pagemap shows no difference at the call (MADV_FREE, a KSM page
 * that was never merged). */
#define OP_INVISIBLE (1u << 2)
/* The expected range is a hull: sections may be larger or fewer. */
#define OP_LOOSE (1u << 3)
/* Only as a plain call: the operation happens inside libc, or needs it. */
#define OP_PLAIN (1u << 4)
/* The allocator of a sanitizer makes these system calls itself. */
#define OP_MALLOC (1u << 5)
/* Pinned users need not act (MMUN_RANGE_PINNED_SAFE). */
#define OP_PINNED_SAFE (1u << 6)

/* Fails with an error that the kernel also gives after a change: the source
 * cannot know better than to say that something changed. */
#define OP_UNSURE (1u << 7)

/* A thread ends. */
#define OP_THREAD (1u << 8)

struct region;

struct operation {
	const char *name;
	enum mmun_op op;
	enum mmu_notifier_event event;
	unsigned int flags;
	/* Maps and populates; NULL or the reason why it cannot be tried here. */
	const char *(*prepare)(struct region *r);
	/* The operation itself; 0 or above, or -1 with errno. */
	long (*act)(struct region *r);
};

struct expectation {
	unsigned long from, to;
};

struct region {
	const struct operation *op;
	const struct calls *c;
	struct watch_area area;
	char *base;
	size_t size;
	int fd;
	char path[64];
	char *other;
	size_t other_size;
	int shm;
	void *handle;
	void *state;
	/* Ranges that must be notified, each by a section of its own. */
	struct expectation expect[3];
	unsigned int nr_expect;
};

/* Sets the watched area to @pages from r->base + @first pages. */
void region_watch(struct region *r, unsigned int first, unsigned int pages);
/* One more range that must be notified. */
void region_expect(struct region *r, unsigned int first, unsigned int pages);
void region_expect_at(struct region *r, unsigned long from, unsigned long size);
/* Writes a different byte into each page. */
void region_fill(char *base, size_t size, unsigned char seed);
/* An anonymous, populated, watched area of AREA_PAGES, alone between two holes. */
const char *region_anon(struct region *r);
/* Removes the file that a case has made. */
void region_clean_up(const struct region *r);
/* Address space for @size bytes at a @align boundary with nothing mapped there. */
char *region_room(size_t size, size_t align);

/* Each table ends with a NULL name. */
extern const struct operation operations_map[];
extern const struct operation operations_move[];
extern const struct operation operations_advice[];
extern const struct operation operations_shm[];
extern const struct operation operations_file[];
extern const struct operation operations_libc[];

#endif
