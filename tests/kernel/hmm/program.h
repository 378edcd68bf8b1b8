/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A program of the kernel that is a process: its task, its files, and the page tables that
 * its host process has in place of a processor's.
 *
 * Order of locks: that of the programs, one program's files; the mmap lock and the sections of a
 * notifier, one program's pages.
 */
#ifndef MMUN_TESTS_KERNEL_PROGRAM_H
#define MMUN_TESTS_KERNEL_PROGRAM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <mmunotify/soft.h>

#define PROGRAM_FILES 64

/* What a program shows of an aligned 2 MiB. */
struct shown {
	unsigned long block;
	uint64_t pages[MMUN_SOFT_HUGE_PAGES / 64];
	struct shown *next;
};

struct program {
	struct program *next;
	long id;
	pid_t pid;                /* 0: not known yet; set at any time, always the same */
	unsigned int connections; /* the last one that ends ends the program */
	bool awaited;             /* the first one of a fork has been counted before it comes */
	struct mmun_soft_task *task;
	struct mm_struct *mm;

	pthread_mutex_t files_lock;
	struct file *files[PROGRAM_FILES];

	/* Under the lock of its invalidate callback. */
	pthread_mutex_t pages_lock;
	struct mmu_interval_notifier notifier;
	struct shown *shown;
	int mapper; /* -1: none */
	bool ready;
	pthread_cond_t is_ready;
};

/* program.c: they come and go.  A pointer is good as long as its connection is counted. */

struct program *program_create(struct mmun_soft *soft, pid_t pid);
struct program *program_fork(struct program *parent);
/* The fork, if nobody has connected to it, ends: its parent has died. */
void program_abandon(long id);
/* Another connection of a program; NULL: it is gone. */
struct program *program_connect(long id);
void program_disconnect(struct program *program);
void program_set_pid(long id, pid_t pid);
/* Nothing is left of the program of that process, or of any (0). */
void program_wait_gone(pid_t pid);

int program_add_file(struct program *program, struct file *file);
/* With a reference. */
struct file *program_file(struct program *program, long handle);
int program_close_file(struct program *program, long handle);

/* pages.c */

/* What changes is not hidden from now on: for seeing that a test notices. */
void pages_show_stale(void);
int pages_start(struct program *program);
/* The address space has ended. */
void pages_end(struct program *program);
/* The mapper of a program that may be a copy: whatever is mapped in @mapper's process is hidden. */
void pages_set_mapper(struct program *program, int mapper);
/* pages_set_mapper() is through. */
void pages_wait_ready(struct program *program);
/* A processor's access faulted in the thread behind @wire, which gets the frames or a signal. */
void pages_fault(struct program *program, int wire, unsigned long address, bool write);

/* call.c: the answer to a request, in a thread that acts for @program. */
struct wire_request;
long call(struct program *program, const struct wire_request *request);
/* Copies that a driver asks for and that its address space does not have: the host's memory of
 * the program for which the calling thread acts.  Bytes copied. */
size_t call_outside(unsigned long address, void *buffer, size_t length, bool write);
void call_for(struct program *program);

#endif
