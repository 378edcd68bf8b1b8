/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counters of the users of a process's notifier chain, adapters and registration caches,
 * in a page that others can read: mmunotify-stat(1), mmunotify-run(1).
 *
 * The page is a sealed file in memory (memfd_create(2), "mmunotify-stat") that the process
 * has mapped and keeps open, so that it is found through /proc/PID/maps and /proc/PID/fd, by
 * those who may look into the process and by nobody else.  Under mmunotify-run(1) the pages
 * of all processes lie in one such file, which the command made: MMUNOTIFY_STAT names it.
 * MMUNOTIFY_STAT=off: no page.  Where there is no page, for the reasons of
 * mmun_stat_create(), the counters are in memory that only the process sees.
 *
 * A reader trusts nothing that stands in a page: the process may write what it wants, meanwhile
 * too.  Numbers are in the byte order of the machine.
 */
#ifndef MMUNOTIFY_STAT_H
#define MMUNOTIFY_STAT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/** What the files are called, and the variable that names one that is there already:
 *  "/proc/PID/fd/N:TOKEN", or "off". */
#define MMUN_STAT_NAME "mmunotify-stat"
#define MMUN_STAT_ENV  "MMUNOTIFY_STAT"

/** First in each page, and first in a file of many pages. */
#define MMUN_STAT_MAGIC      "mmunstat"
#define MMUN_STAT_FILE_MAGIC "mmunpags"
#define MMUN_STAT_VERSION    1

#define MMUN_STAT_PAGE_SIZE  16384
#define MMUN_STAT_SLOTS      15
#define MMUN_STAT_COUNTERS   24
#define MMUN_STAT_NAME_SIZE  48
#define MMUN_STAT_STATE_SIZE 192
#define MMUN_STAT_LABEL_SIZE 24

/** The counters of one user.  Texts end with a zero byte. */
struct mmun_stat_slot {
	/** 1: the rest is there. */
	uint32_t used;
	uint32_t connected;
	/** How many counters it has. */
	uint32_t nr;
	uint32_t reserved;
	char name[MMUN_STAT_NAME_SIZE];
	char state[MMUN_STAT_STATE_SIZE];
	char labels[MMUN_STAT_COUNTERS][MMUN_STAT_LABEL_SIZE];
	/** On cache lines of their own. */
	uint64_t values[MMUN_STAT_COUNTERS];
};

/** The page of one process, MMUN_STAT_PAGE_SIZE bytes. */
struct mmun_stat_page {
	/** Written last. */
	char magic[8];
	uint32_t version;
	/** Of this struct, of its head, of a slot, and how many slots. */
	uint32_t size, head_size, slot_size, nr_slots;
	/** As the process itself sees it, in its namespace. */
	int32_t pid;
	/** When the page was made, in nanoseconds of CLOCK_REALTIME. */
	uint64_t made;
	char reserved[1024 - 40];
	struct mmun_stat_slot slots[MMUN_STAT_SLOTS];
};

/** Where a file of many pages begins; page i begins at (i + 1) * page_size. */
struct mmun_stat_file {
	char magic[8];
	uint32_t version;
	uint32_t page_size;
	uint64_t nr_pages;
	/** A random number; the one that MMUNOTIFY_STAT has. */
	uint64_t token;
	/** How many processes asked for a page; it may be more than there are. */
	uint64_t claimed;
};

struct mmun_stat;

/**
 * mmun_stat_create() - a user of the chain, with counters that begin at 0.
 * @name: what it is; several may have the same
 * @counters: the names of its counters
 * @nr: how many, at most MMUN_STAT_COUNTERS
 * @stat: set to the user, on error to NULL, with which the calls below do nothing
 *
 * Names that are too long are cut.  A user stays as long as the process lives.  The first
 * call of a process makes its page and keeps a descriptor open, which exec closes.  If the
 * process may have no page (seccomp, limits of descriptors, of file sizes or of memory), the
 * counters work all the same, and nobody sees them.
 *
 * In a forked child every user counts from 0 again and is not shown, until
 * mmun_stat_state() says there what has become of it; the first such call makes a page for
 * the child.
 *
 * Context: sleeps; not in callbacks.
 * Return: 0; -EINVAL: no name or too many counters; -ENOSPC: MMUN_STAT_SLOTS users are
 * there already; -ENOMEM.
 */
int mmun_stat_create(const char *name, const char *const counters[], unsigned int nr,
		     struct mmun_stat **stat);

/**
 * mmun_stat_add() - count.
 * @counter: index of its name in @counters; one that is too large is ignored
 *
 * One relaxed atomic addition.  Context: any, callbacks and signal handlers too.
 */
void mmun_stat_add(struct mmun_stat *stat, unsigned int counter, unsigned long n);

/** mmun_stat_set() - set a counter that is a level.  Context: as mmun_stat_add(). */
void mmun_stat_set(struct mmun_stat *stat, unsigned int counter, unsigned long value);

/**
 * mmun_stat_state() - what has become of a user.
 * @connected: it is fed by the chain
 * @text: "connected to UCX 1.13.1", "standing aside: ..."
 *
 * Context: sleeps; not in callbacks.
 */
void mmun_stat_state(struct mmun_stat *stat, bool connected, const char *text);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
