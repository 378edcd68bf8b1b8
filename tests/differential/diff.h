/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The same operations on a software address space and on real ones; after each
 * step results, layout, contents and faults must be equal.
 *
 * A step is one struct op with all its arguments in it, so a list of steps means
 * the same when some of them are left out: that is how a failing list is made
 * short.  Addresses are page numbers in an arena that both sides keep free of
 * anything else.
 */
#ifndef DIFF_H
#define DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define ARENA       0x100000000000ul
#define ARENA_PAGES 8192u
/* Most steps stay in here. */
#define DENSE_PAGES 80u
#define PROCESSES   4
#define FILES       4
/* The first two are memfds, the others lie on a file system. */
#define SHMEM_FILES 2
#define FILE_PAGES  48u
#define PAGE        4096ul

/* Where in a page contents are written and compared. */
#define SLOTS 4
extern const unsigned int slot_offset[SLOTS];

/* clang-format off */
#define KINDS(X) \
	X(MMAP, "mmap") X(MUNMAP, "munmap") X(MPROTECT, "mprotect") X(MREMAP, "mremap") \
	X(MADVISE, "madvise") X(WRITE, "write") X(READ, "read") X(FETCH, "fetch") \
	X(FORK, "fork") X(EXIT, "exit") X(TRUNCATE, "ftruncate") X(PUNCH, "punch") \
	X(PWRITE, "pwrite") X(PREAD, "pread") X(MSYNC, "msync") X(FSYNC, "fsync") \
	X(MLOCK, "mlock") X(MUNLOCK, "munlock") \
	/* Only in software: they must change nothing that a program sees. */ \
	X(RECLAIM, "reclaim") X(KSM, "ksm") X(MIGRATE, "migrate") X(COMPACT, "compact") \
	X(COLLAPSE, "collapse") X(CLEAN, "clear-soft-dirty")
/* clang-format on */

enum kind {
#define KIND_ENUM(name, text) OP_##name,
	KINDS(KIND_ENUM)
#undef KIND_ENUM
		NR_KINDS
};

/* What the numbers mean depends on the kind; see kinds[] in ops.c. */
struct op {
	uint8_t kind;
	uint8_t process;
	int8_t file;           /* -1: anonymous */
	uint32_t page, pages;  /* in the arena, or in the file */
	uint32_t to, to_pages; /* mremap target; child of fork; slot; byte within the page */
	uint32_t flags;        /* MAP_*, MREMAP_*, advice, MS_* */
	uint32_t prot;
	uint64_t value;
};

/* A fault, or signal 0. */
struct fault {
	int signal, code;
	uint64_t address;
};

struct area {
	uint64_t start, end, offset;
	uint32_t prot; /* PROT_* | SHARED */
	int32_t file;
};
#define AREA_SHARED 0x100u

#define MAX_AREAS 600
#define MAX_LOOKS 160

/* One page looked at: its slots, or the fault. */
struct look {
	uint32_t page;
	int32_t signal, code;
	uint64_t value[SLOTS];
};

/* What notifiers were notified of. */
struct range {
	uint64_t start, end;
};
#define MAX_RANGES 200

/* What a step shows of one process. */
struct view {
	long result; /* page number for addresses, -errno, or ELSEWHERE */
	uint64_t value;
	struct fault fault;
	/* By the operation, not by the looks; more than there is room for. */
	bool ranges_lost;
	uint32_t nr_areas, nr_looks, nr_ranges;
	struct area areas[MAX_AREAS];
	struct look looks[MAX_LOOKS];
	struct range ranges[MAX_RANGES];
};
#define ELSEWHERE 0x7fffffffL

/* ops.c */
struct random {
	uint64_t state;
};
uint64_t rnd(struct random *r);
uint32_t below(struct random *r, uint32_t n);
struct op make_op(struct random *r, uint64_t value);
void print_op(FILE *out, const struct op *op);
/* 1: a step, 0: empty or comment, -1: not understood. */
int parse_op(const char *line, struct op *op);
bool touches_files(const struct op *op);

/* Both sides: do @op; which pages to look at is in @view->looks[].page. */
struct soft_side;
struct soft_side *soft_begin(void);
void soft_end(struct soft_side *side);
bool soft_alive(struct soft_side *side, unsigned int process);
/* Fills result, value, fault and areas, chooses and takes the looks. */
void soft_step(struct soft_side *side, const struct op *op, struct random *r, struct view *view);
/* Does op->page map the frame that it mapped before the last step, if any? */
bool soft_kept_page(void);
/* Was some notifier notified of @address in the last step? */
bool soft_notified(uint64_t address);
void soft_look(struct soft_side *side, unsigned int process, struct random *r, struct view *view);
/* Accesses through the checker that failed, leaks at the end: a sentence or NULL. */
const char *soft_complaint(struct soft_side *side);

struct kernel_side;
struct kernel_side *kernel_begin(void);
void kernel_end(struct kernel_side *side);
/* @view->looks say where to look. false: a helper died. */
bool kernel_step(struct kernel_side *side, const struct op *op, struct view *view);
bool kernel_look(struct kernel_side *side, unsigned int process, struct view *view);

/* kernel_events.c.  NULL, or why the kernel's notifications cannot be seen here. */
const char *events_prepare(void);
/* In a helper: begin, and what has come since the last time. */
bool events_begin(void);
void events_take(struct view *view);

/* Are the kernel's notifications compared?  Set after events_prepare(). */
extern bool with_events;

/* compare.c: the first difference as a sentence, or NULL. */
const char *compare(const struct view *soft, const struct view *kernel);
/* A range that the kernel notified its notifiers of, and the software did not. */
const char *compare_events(const struct op *op, const struct view *kernel);

/* run.c */
struct run {
	size_t step;      /* where it failed */
	size_t performed; /* a step of a process that does not exist is none */
	char difference[512];
};
/* Runs @count steps; false and *@out on a difference.  @seed: which pages are looked at. */
bool run_steps(const struct op *ops, size_t count, uint64_t seed, struct run *out);
/* Leaves out whatever can be left out; returns the new count. */
size_t minimise(struct op *ops, size_t count, uint64_t seed, struct run *out);

#endif
