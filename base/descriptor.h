/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * File descriptors that the library has open only inside one call.  They are closed on exec;
 * a fork of another thread copies them into a child that knows nothing of them.  So they are
 * marked and counted, for inherited.h, which closes those of a child.
 * Tests: tests/contract/fork.c, tests/unit/core/srcu_cells.c.
 */
#ifndef MMUN_BASE_DESCRIPTOR_H
#define MMUN_BASE_DESCRIPTOR_H

#include <fcntl.h>

#include "atomic.h"
#include "raw_syscall.h"

/* A combination of flags that means nothing for a file that is only read, and that nobody
 * else uses. */
#define MMUN_DESCRIPTOR_MARK (O_APPEND | O_NONBLOCK | O_DSYNC)

struct mmun_descriptor_counts {
	unsigned long openings, closings;
};

__attribute__((weak, visibility("hidden"))) struct mmun_descriptor_counts mmun_descriptors;

/*
 * Context: any, also a hook or a signal handler.
 * Return: the descriptor, for mmun_descriptor_close(), or -errno.
 */
static inline long mmun_descriptor_open_at(int dir, const char *path)
{
	long fd;

	(void)mmun_add_full(&mmun_descriptors.openings, 1);
	fd = mmun_syscall4(SYS_openat, dir, (unsigned long)path,
			   O_RDONLY | O_CLOEXEC | MMUN_DESCRIPTOR_MARK, 0);
	if (fd < 0)
		(void)mmun_add_full(&mmun_descriptors.closings, 1);
	return fd;
}

/* Context: any. */
static inline void mmun_descriptor_close(long fd)
{
	mmun_syscall3(SYS_close, fd, 0, 0);
	(void)mmun_add_full(&mmun_descriptors.closings, 1);
}

#endif
