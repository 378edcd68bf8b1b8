/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The children of other threads' forks, and the descriptors of descriptor.h: one that was
 * forked while there were some looks through its table for files with the mark.
 *
 * The kernel copies the descriptors of a fork first and the memory later: what the child's
 * copy of the counts says is too young.  So the parent looks before.
 * Tests: tests/contract/fork.c, tests/system/trace_lost.py.
 */
#ifndef MMUN_BASE_INHERITED_H
#define MMUN_BASE_INHERITED_H

#include <stdint.h>

#include "descriptor.h"

/* Before a fork.  Return: for mmun_inherited_close(): all openings, if none is under way. */
static inline unsigned long mmun_inherited_before(void)
{
	unsigned long closed = mmun_load_full(&mmun_descriptors.closings);

	/* The other way round an opening in between would be missed. */
	return mmun_load_full(&mmun_descriptors.openings) == closed ? closed : -1UL;
}

static inline void mmun_inherited_close_marked(unsigned int fd)
{
	long flags = mmun_syscall3(SYS_fcntl, fd, F_GETFL, 0);

	if (flags >= 0 &&
	    (flags & (O_ACCMODE | MMUN_DESCRIPTOR_MARK)) == (O_RDONLY | MMUN_DESCRIPTOR_MARK) &&
	    mmun_syscall3(SYS_fcntl, fd, F_GETFD, 0) == FD_CLOEXEC)
		mmun_syscall3(SYS_close, fd, 0, 0);
}

/* linux/dirent.h */
struct mmun_inherited_entry {
	uint64_t inode, next;
	uint16_t length;
	uint8_t type;
	char name[];
};

static inline void mmun_inherited_close_listed(const char *name)
{
	unsigned int fd = 0;

	if (*name < '0' || *name > '9')
		return;
	for (; *name >= '0' && *name <= '9'; name++)
		fd = fd * 10 + (unsigned int)(*name - '0');
	mmun_inherited_close_marked(fd);
}

/* In the child. */
static inline void mmun_inherited_close(unsigned long before)
{
	char buffer[512] __attribute__((aligned(8)));
	/* Where the table cannot be listed. */
	const unsigned int searched = 1024;
	long dir, length;

	if (mmun_load_full(&mmun_descriptors.openings) == before)
		return;
	mmun_store_relaxed(&mmun_descriptors.closings, mmun_descriptors.openings);
	dir = mmun_syscall4(SYS_openat, (unsigned long)AT_FDCWD, (unsigned long)"/proc/self/fd",
			    O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	for (unsigned int fd = 0; dir < 0 && fd < searched; fd++)
		mmun_inherited_close_marked(fd);
	if (dir < 0)
		return;
	while ((length = mmun_syscall3(SYS_getdents64, (unsigned long)dir, (unsigned long)buffer,
				       sizeof(buffer))) > 0) {
		for (long at = 0; at < length;) {
			const struct mmun_inherited_entry *entry = (void *)(buffer + at);

			mmun_inherited_close_listed(entry->name);
			at += entry->length;
		}
	}
	mmun_syscall3(SYS_close, (unsigned long)dir, 0, 0);
}

#endif
