/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The memory calls of one route into the kernel: libc's functions, its
 * syscall(), pointers from dlsym, another library, another libc. */
#ifndef MMUN_TESTS_CONTRACT_CALLS_H
#define MMUN_TESTS_CONTRACT_CALLS_H

#include <sys/types.h>
#include <sys/uio.h>

struct calls {
	void *(*mmap)(void *, size_t, int, int, int, off_t);
	void *(*mmap64)(void *, size_t, int, int, int, off_t);
	int (*munmap)(void *, size_t);
	void *(*mremap)(void *, size_t, size_t, int, ...);
	int (*madvise)(void *, size_t, int);
	ssize_t (*process_madvise)(int, const struct iovec *, size_t, int, unsigned int);
	int (*brk)(void *);
	void *(*shmat)(int, const void *, int);
	int (*shmdt)(const void *);
	int (*mprotect)(void *, size_t, int);
	int (*pkey_mprotect)(void *, size_t, int, int);
	int (*remap_file_pages)(void *, size_t, int, size_t, int);
	int (*ftruncate)(int, off_t);
	int (*truncate)(const char *, off_t);
	int (*fallocate)(int, int, off_t, off_t);
	/* Each libc has an errno of its own. */
	int *(*errno_at)(void);
};

/* Compiled into the test and, once more, into the plugin that later loads. */
extern const struct calls calls_libc;
extern const struct calls calls_syscall;

/* What calls_syscall goes through: libc's syscall(), or one of those below. */
extern long (*calls_enter)(long nr, ...);
/* A system call instruction of the program, and one that was written at run time. */
long calls_inline(long nr, ...);
long calls_generated(long nr, ...);

/* Fills @out with pointers looked up by name; 0 or -1 when one is missing. */
int calls_by_name(struct calls *out, void *handle);

#endif
