/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Descriptors that this object has open for a moment, and the children of other threads'
 * forks: as primary/self/descriptor.c does for those of the library, whose counts are its own.
 *
 * The kernel copies the descriptors of a fork first and the memory later: what the child's
 * copy of the counts says is too young, so the parent looks before.
 * Tests: tests/system/trace_lost.py.
 */
#include <pthread.h>

#include <descriptor.h>

#include "tracer.h"

/* Where the table cannot be listed. */
#define SEARCHED 1024
#define UNKNOWN  (-1ul)

/* The openings before the fork of this thread, if none was under way; or UNKNOWN. */
static __thread unsigned long before;

static void prepare(void)
{
	unsigned long closed = mmun_load_full(&mmun_descriptors.closings);

	/* The other way round an opening in between would be missed. */
	before = mmun_load_full(&mmun_descriptors.openings) == closed ? closed : UNKNOWN;
}

static void close_marked(unsigned long fd)
{
	long flags = mmun_syscall3(SYS_fcntl, fd, F_GETFL, 0);

	if (flags >= 0 &&
	    (flags & (O_ACCMODE | MMUN_DESCRIPTOR_MARK)) == (O_RDONLY | MMUN_DESCRIPTOR_MARK) &&
	    mmun_syscall3(SYS_fcntl, fd, F_GETFD, 0) == FD_CLOEXEC)
		mmun_syscall3(SYS_close, fd, 0, 0);
}

/* linux/dirent.h */
struct entry {
	uint64_t inode, next;
	uint16_t length;
	uint8_t type;
	char name[];
};

static void close_listed(const char *name)
{
	unsigned long fd = 0;

	if (*name < '0' || *name > '9')
		return;
	for (; *name >= '0' && *name <= '9'; name++)
		fd = fd * 10 + (unsigned long)(*name - '0');
	close_marked(fd);
}

static void close_inherited(void)
{
	char buffer[512] __attribute__((aligned(8)));
	long dir, length;

	if (mmun_load_full(&mmun_descriptors.openings) == before)
		return;
	mmun_store_relaxed(&mmun_descriptors.closings, mmun_descriptors.openings);
	dir = mmun_syscall4(SYS_openat, (unsigned long)AT_FDCWD, (unsigned long)"/proc/self/fd",
			    O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	for (unsigned long fd = 0; dir < 0 && fd < SEARCHED; fd++)
		close_marked(fd);
	if (dir < 0)
		return;
	while ((length = mmun_syscall3(SYS_getdents64, (unsigned long)dir, (unsigned long)buffer,
				       sizeof(buffer))) > 0) {
		for (long at = 0; at < length; at += ((struct entry *)(buffer + at))->length)
			close_listed(((struct entry *)(buffer + at))->name);
	}
	mmun_syscall3(SYS_close, (unsigned long)dir, 0, 0);
}

void inherited_watch(void)
{
	pthread_atfork(prepare, NULL, close_inherited);
}
