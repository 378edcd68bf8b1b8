/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A worker of soft.c: a task, its region, what it knows of it, and one random step. */
#ifndef MMUN_TESTS_TORTURE_SOFT_WORK_H
#define MMUN_TESTS_TORTURE_SOFT_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include <mmunotify/soft.h>

#include "options.h"
#include "soft_device.h"
#include "soft_gpu.h"
#include "soft_tlb.h"

#define PAGE         MMUN_SOFT_PAGE_SIZE
#define REGION_PAGES WINDOW_PAGES
#define NR_FILES     4
#define FILE_PAGES   32

/* What a worker wrote to its word of a file's page. */
struct file_word {
	uint64_t value;
	/* How often the file had been cut then; -1: one was being cut. */
	long cuts;
};

struct worker {
	unsigned int id;
	struct rng rng;
	struct mmun_soft *soft;
	struct mmun_soft_task *task;
	struct device *device;
	struct tlb *tlb;
	/* The region, an address range that no other worker uses in any mm. */
	unsigned long base;
	uint64_t expected[REGION_PAGES];
	/* MADV_FREE: zeros would be right too. */
	bool lazy[REGION_PAGES];
	uint64_t sequence;
	bool file_mapped[NR_FILES];
	struct file_word words[NR_FILES][FILE_PAGES];
};

/* Set while allocations of this thread may fail. */
extern __thread struct rng *inject_rng;

void worker_create(struct worker *w, struct mmun_soft *soft, unsigned int id, struct rng rng);
void worker_destroy(struct worker *w);
void worker_step(struct worker *w);
/* Wrong contents seen by any worker. */
long work_wrong(void);

/* soft_files.c */
void files_create(struct mmun_soft *soft);
void files_destroy(void);
void file_step(struct worker *w);

/* Between them: */
struct mm_struct *mm_of(const struct worker *w);
void wrong(const struct worker *w, const char *what, unsigned long address, uint64_t got,
	   uint64_t expected);
unsigned int below(struct worker *w, unsigned int limit);

/* Where worker's parts lie, from w->base. */
#define SCRATCH_AT      (2 * REGION_PAGES * PAGE)
#define FILES_AT        (4 * REGION_PAGES * PAGE)
#define PRIVATE_FILE_AT (5 * REGION_PAGES * PAGE)
#define STRIPE          (8 * REGION_PAGES * PAGE)

#endif
