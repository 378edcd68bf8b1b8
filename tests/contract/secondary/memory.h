/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The memory of a program and the guest that sees it, in two makes: real memory under
 * the kernel's KVM, and a software address space under secondary/kvm.
 *
 * Pages are numbered from 0; guest page n is page n of the program.  What is seen
 * of a page is its first word, or -1 where an access fails.
 */
#ifndef MMUN_TESTS_SECONDARY_MEMORY_H
#define MMUN_TESTS_SECONDARY_MEMORY_H

#include <stdbool.h>

#define MEMORY_PAGES      16
#define MEMORY_FILE_PAGES 8

enum memory_kind { PRIVATE_MEMORY, SHARED_FILE, PRIVATE_FILE };

struct memory_ops {
	const char *name;
	/* NULL, or why it cannot be had here. */
	const char *(*begin)(void);
	void (*end)(void);
	/* The program: */
	void (*map)(int page, int pages, enum memory_kind kind, int file_page);
	void (*unmap)(int page, int pages);
	void (*move)(int page, int to);
	void (*protect)(int page, int pages, bool write);
	void (*advise)(int page, int pages, int advice);
	long (*load)(int page);
	bool (*store)(int page, long value);
	/* A child is alive from fork until it is reaped. */
	void (*fork)(void);
	void (*reap)(void);
	/* The file, by its descriptor: */
	void (*truncate)(int pages);
	void (*punch)(int page, int pages);
	void (*write_file)(int page, long value);
	/* The guest: */
	long (*guest_load)(int page);
	bool (*guest_store)(int page, long value);
};

extern const struct memory_ops real_memory, soft_memory;

#endif
