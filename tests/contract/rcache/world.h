/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory and a device that really has its pages, in two makes: the running process with a
 * device that holds references of the kernel (world_self.c), and a software address space
 * with a model card whose accesses are checked (world_soft.c).  A test is linked with one.
 *
 * What is seen of a page is its first word.
 */
#ifndef MMUN_TESTS_CONTRACT_RCACHE_WORLD_H
#define MMUN_TESTS_CONTRACT_RCACHE_WORLD_H

#include <mmunotify/rcache.h>

#include "nic.h"

#define PAGE 4096ul
/* The device knows that the page is not the program's any more, and refuses. */
#define WORLD_REFUSED (-1l)

enum world_memory { WORLD_PRIVATE, WORLD_SHARED, WORLD_FILE };

/* The device's part of a registration. */
struct world_region {
	union {
		struct mmun_nic_region nic;
		struct {
			struct mmun_registration reg;
			int in, out;
		} pipe;
	};
};

extern const char *const world_name;
/* Is it the memory of this process, which other threads of it can touch directly? */
extern const bool world_is_self;

void world_begin(void);
/* @what: the test that has ended; nothing of it may be left. */
void world_end(const char *what);
struct mm_struct *world_mm(void);

/* Reads: -1 for what cannot be read.  Every page of a new mapping has a word of its own, that
 * no page had before. */
unsigned long world_map(enum world_memory kind, unsigned long pages);
void world_map_at(unsigned long address, enum world_memory kind, unsigned long pages);
void world_unmap(unsigned long address, unsigned long pages);
/* @to 0: in place. */
void world_move(unsigned long address, unsigned long pages, unsigned long new_pages,
		unsigned long to);
int world_advise(unsigned long address, unsigned long pages, int advice);
int world_protect(unsigned long address, unsigned long pages, int prot);
/* The file of the last WORLD_FILE mapping. */
int world_truncate(unsigned long pages);
int world_punch(unsigned long page, unsigned long pages);
/* The heap's end moves by so many pages; where it was before. */
unsigned long world_brk(long pages);
long world_load(unsigned long address);
void world_store(unsigned long address, long value);
/* New words for every page. */
void world_fill(unsigned long address, unsigned long pages);

/* The device. */
int world_register(struct world_region *region);
void world_deregister(struct world_region *region);
/* WORLD_REFUSED, or what the device finds there. */
long world_device_load(struct world_region *region, unsigned long address);
/* Accesses that were refused; forgets them. */
long world_refusals(void);

#endif
