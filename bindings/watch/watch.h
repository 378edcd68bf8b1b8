/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mmunotify-watch.so: the changes of this process's address space in a bounded ring, for
 * languages whose code cannot run inside munmap(), in any thread, with any lock held.
 *
 * What runs inside a change is the notifier of this object alone: it copies one struct into
 * the ring.  It allocates nothing, takes no lock, never waits, and makes no system call but
 * those that ask for the time and the thread and that wake a reader who sleeps.  A full ring
 * drops and counts.  A reader comes by functions of this file, whenever it likes.
 *
 * Handles are numbers, checked at each call: one that is closed, or was never there, is
 * -EBADF and nothing else, in whatever thread and however late.  Loaded by bindings/python;
 * not a public API: MMUN_WATCH_ABI changes with it.
 */
#ifndef MMUN_BINDINGS_WATCH_H
#define MMUN_BINDINGS_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include <mmunotify/mm.h>

#pragma GCC visibility push(default)

#define MMUN_WATCH_ABI 1

/* Of a process at a time. */
#define MMUN_WATCH_MAX 64

#define MMUN_WATCH_MIN_EVENTS     8ul
#define MMUN_WATCH_DEFAULT_EVENTS (1ul << 14)
#define MMUN_WATCH_MAX_EVENTS     (1ul << 24)

/* The operation failed or changed nothing. */
#define MMUN_WATCH_UNCHANGED   (1u << 0)
#define MMUN_WATCH_PINNED_SAFE (1u << 1)
/* ->result is known. */
#define MMUN_WATCH_HAS_RESULT (1u << 2)

/* One section that has ended. */
struct mmun_watch_event {
	/* CLOCK_MONOTONIC, ns. */
	uint64_t time;
	uint64_t start, end;
	/* Of the system call; below 0: -errno. */
	int64_t result;
	/* Program counter of the code that made the call, or 0. */
	uint64_t pc;
	/* How many events were dropped right before this one. */
	uint64_t lost;
	uint32_t tid;
	/* enum mmun_op, enum mmu_notifier_event, MMUN_WATCH_*. */
	uint16_t op;
	uint8_t event;
	uint8_t flags;
};

struct mmun_watch_options {
	/* Room for so many events, a power of two; 0: MMUN_WATCH_DEFAULT_EVENTS. */
	uint64_t events;
	/* Only sections that touch [start, end); both 0: all. */
	uint64_t start, end;
	/* A bit for each event class that is wanted; 0: all. */
	uint32_t classes;
	/* Start the event source in strict mode. */
	uint32_t strict;
};

/* mmun_watch_abi() - MMUN_WATCH_ABI of the object. */
unsigned int mmun_watch_abi(void);

/**
 * mmun_watch_open() - begin to watch this process.
 *
 * Context: sleeps.
 * Return: a handle, above 0; -ENOSPC (MMUN_WATCH_MAX); -EINVAL; -ENOMEM; or what
 * mmu_notifier_register() or mmun_self_start_strict() returned.
 */
long mmun_watch_open(const struct mmun_watch_options *options);

/* The same on another address space; for tests. */
long mmun_watch_open_on(struct mm_struct *mm, const struct mmun_watch_options *options);

/**
 * mmun_watch_read() - take the oldest events, without waiting.
 * @lost: set to how many were dropped behind those that are returned
 *
 * Return: how many were taken, 0: there are none now; -EBADF; -ESRCH (inherited by fork: it is
 * the parent's); -ENODATA (nothing is left, and the address space has ended: an exec was begun
 * and failed); -EBUSY (another thread reads).
 */
long mmun_watch_read(long handle, struct mmun_watch_event *events, size_t nr, uint64_t *lost);

/**
 * mmun_watch_wait() - sleep until there is something to read.
 * @nsec: at most so long; below 0: without end
 *
 * Return: 1; 0 (the time is over); -EINTR (a signal handler ran); -EBADF (also when it is
 * closed meanwhile); -ESRCH; -ENODATA.
 */
int mmun_watch_wait(long handle, long nsec);

/**
 * mmun_watch_fd() - a descriptor that is readable while there is something to read.
 *
 * For poll() and its like; nobody else reads it.  The first call makes it, close closes it.  It
 * is a socket and not an eventfd, so that a hook can see whether the number still is ours: a
 * program may have closed it and opened something else.
 * Return: the descriptor, the same each time; -EBADF, -ESRCH, -EBUSY (another thread makes it),
 * or why there is none.
 */
int mmun_watch_fd(long handle);

/**
 * mmun_watch_close() - stop watching; no hook of it runs afterwards.
 *
 * A thread that waits gets -EBADF.  In a forked child the parent's watch is only forgotten.
 * Context: sleeps until hooks, and readers, have left.  Return: 0; -EBADF.
 */
int mmun_watch_close(long handle);

#pragma GCC visibility pop

#endif
