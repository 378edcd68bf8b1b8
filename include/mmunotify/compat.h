/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Running a kernel driver's notifier code on the software address space.
 *
 * The driver is compiled against include/compat (linux/mm.h and so on) and linked to
 * libmmunotify-compat; a test program uses the functions here to load it, to say
 * which task a thread is, and to open its devices.  docs/COMPAT.md shows how.
 *
 * What the kernel would call a bug ends the program with a sentence on stderr.
 */
#ifndef MMUNOTIFY_COMPAT_H
#define MMUNOTIFY_COMPAT_H

#include <mmunotify/soft.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/** mmun_compat_start() - drivers find their pages and devices on @soft from here on. */
void mmun_compat_start(struct mmun_soft *soft);

/** mmun_compat_stop() - waits for RCU callbacks and ends the threads behind work queues.
 *  Every device is closed and the module unloaded. */
void mmun_compat_stop(void);

/** mmun_compat_load() - run each module_init() of the program, in link order.
 *  Return: 0, or the first error: those before it have been undone by module_exit(). */
int mmun_compat_load(void);

/** mmun_compat_unload() - run each module_exit(), in reverse order. */
void mmun_compat_unload(void);

/** mmun_compat_set_param() - what module_param() has made settable, before mmun_compat_load().
 *  @value stays where it is as long as the module is there.
 *  Return: 0; -ENOENT; -EINVAL (@value is none of its type). */
int mmun_compat_set_param(const char *name, const char *value);

/** mmun_compat_set_current() - the calling thread acts for @task: current->mm is its
 *  address space.  NULL: for no task, as a kernel thread; before mmun_soft_exit(). */
void mmun_compat_set_current(struct mmun_soft_task *task);

/** mmun_compat_signal() - a signal is pending (or not any more) for each thread that acts
 *  for @task: waits that signals end return -ERESTARTSYS. */
void mmun_compat_signal(struct mmun_soft_task *task, bool pending);

/** mmun_compat_open() - open the device @name, or a file of debugfs by its path; @flags are O_*.
 *  Return: 0; -ENOENT; -ENOMEM; what the driver's ->open returned. */
int mmun_compat_open(const char *name, unsigned int flags, struct file **file);

/** mmun_compat_close() - the last descriptor is gone; ->release runs when no mapping of
 *  the device is left either. */
void mmun_compat_close(struct file *file);

/** mmun_compat_ioctl() and family - what system calls of the current task do with @file.
 *  Addresses are those of its address space.  -ENOTTY, -EINVAL where the driver has nothing.
 *  To map the device pass @file to mmun_soft_mmap(). */
long mmun_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long mmun_compat_read(struct file *file, unsigned long address, size_t length);
long mmun_compat_write(struct file *file, unsigned long address, size_t length);
unsigned int mmun_compat_poll(struct file *file);

/** mmun_compat_show_attribute() and _store_ - what reads and writes of sysfs do with attribute
 *  @name of the device @device.  @buf has a page.
 *  Return: bytes; -ENOENT; -EIO (it cannot be read, or written); what the driver returned. */
long mmun_compat_show_attribute(const char *device, const char *name, char *buf);
long mmun_compat_store_attribute(const char *device, const char *name, const char *text);

/** mmun_compat_non_block() - @change 1: callbacks that this thread runs must not sleep, a
 *  sleep ends the program; -1 takes that back.  To put around mmun_soft_oom_reap(). */
void mmun_compat_non_block(int change);

/** mmun_compat_outside_memory() - @copy copies what drivers copy from and to user memory where the
 *  current task has no mapping: @write is towards the user.  It returns the bytes that it
 *  copied.  NULL, the default: such a copy fails.  Context: no copy is in progress. */
void mmun_compat_outside_memory(size_t (*copy)(unsigned long address, void *buffer, size_t length,
					       bool write));

/** mmun_compat_warnings() - WARN_ON() and its relatives that fired since the start. */
unsigned long mmun_compat_warnings(void);

/** mmun_compat_allocated() - blocks that drivers have allocated and not freed. */
long mmun_compat_allocated(void);

/** mmun_compat_fail_allocations() - @fail is asked before each kmalloc() and its relatives
 *  and makes it fail by true; NULL: none.  Context: no allocation is in progress. */
void mmun_compat_fail_allocations(bool (*fail)(size_t size, void *arg), void *arg);

/** mmun_compat_limit_locked() - bytes that a task may lock or have pinned (RLIMIT_MEMLOCK).  A
 *  limit takes CAP_IPC_LOCK from it; ULONG_MAX, as at first, gives it back. */
void mmun_compat_limit_locked(unsigned long bytes);

/** mmun_compat_signal_waits() - @comes is asked before each wait that a signal may end, and by
 *  true makes one pending for the calling thread, which then has it; NULL: none. */
void mmun_compat_signal_waits(bool (*comes)(void *arg), void *arg);

/** mmun_compat_set_loglevel() - messages below this level (0...8) are printed; default 5:
 *  warnings and worse. */
void mmun_compat_set_loglevel(int level);

/** mmun_compat_kunit() - runs the KUnit suites of the program (kunit/test.h) and prints KTAP.
 *
 * It is the main() of a program that has no other.  @argv: a pattern SUITE.CASE, with * and ?,
 * of cases to run; --tap: flat TAP instead; --messages: what the driver prints, too.  One of
 * these runs each case again and again with something that goes wrong, where only what is
 * left, or warned of, or ends the program counts: --allocations, each allocation fails in
 * turn; --signals, a signal comes at each wait that one may end; --reap, the memory is reaped
 * at each mutex that the case has just taken, by callbacks that must not sleep.
 * Return: 0; 1: something failed; 2: the arguments are wrong. */
int mmun_compat_kunit(int argc, char **argv);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
