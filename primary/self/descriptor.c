/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * File descriptors that the library has open for a moment (descriptor.h of base/), and the
 * children of other threads' forks: one that was forked while there were some looks through
 * its table for files with the mark.
 *
 * I1  An opening is counted before the descriptor exists, a closing after it is gone: of
 *     whatever the library opens, in a hook or not.
 * I2  The kernel copies the descriptors of a fork first and the memory later: what the
 *     child's copy of the counts says is too young.  So the parent looks before.
 * Tests: tests/contract/fork.c.
 */
#include "descriptor.h"

#include <fcntl.h>
#include <stdint.h>

#include "atomic.h"
#include "state.h"

/* Where the table cannot be listed. */
#define SEARCHED 1024

long mmun_self_open_at(int dir, const char *path)
{
	return mmun_descriptor_open_at(dir, path);
}

long mmun_self_open(const char *path)
{
	return mmun_descriptor_open_at(AT_FDCWD, path);
}

void mmun_self_close(int fd)
{
	mmun_descriptor_close(fd);
}

unsigned long mmun_self_descriptors(void)
{
	unsigned long closed = mmun_load_full(&mmun_descriptors.closings);

	/* The other way round an opening in between would be missed. */
	return mmun_load_full(&mmun_descriptors.openings) == closed ? closed : -1UL;
}

static void close_marked(unsigned int fd)
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
	unsigned int fd = 0;

	if (*name < '0' || *name > '9')
		return;
	for (; *name >= '0' && *name <= '9'; name++)
		fd = fd * 10 + (*name - '0');
	close_marked(fd);
}

void mmun_self_close_inherited(unsigned long before)
{
	char buffer[512] __attribute__((aligned(8)));
	long dir, n;

	if (mmun_load_full(&mmun_descriptors.openings) == before)
		return;
	mmun_store_relaxed(&mmun_descriptors.closings, mmun_descriptors.openings);
	dir = mmun_syscall4(SYS_openat, AT_FDCWD, (long)"/proc/self/fd",
			    O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (dir < 0) {
		for (unsigned int fd = 0; fd < SEARCHED; fd++)
			close_marked(fd);
		return;
	}
	while ((n = mmun_syscall3(SYS_getdents64, dir, (long)buffer, sizeof(buffer))) > 0) {
		for (long at = 0; at < n; at += ((struct entry *)(buffer + at))->length)
			close_listed(((struct entry *)(buffer + at))->name);
	}
	mmun_syscall3(SYS_close, dir, 0, 0);
}
