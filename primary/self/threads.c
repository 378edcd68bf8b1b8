/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads /proc/self/task with raw system calls and on the stack.
 * Tests: tests/contract/settle.c, tests/contract/strict.c, tests/torture/settle.c.
 */
#include "threads.h"

#include <string.h>
#include <sys/syscall.h>

#include "number.h"
#include "state.h"

/* linux/dirent.h */
struct linux_dirent64 {
	unsigned long d_ino;
	long d_off;
	unsigned short d_reclen;
	unsigned char d_type;
	char d_name[];
};

int mmun_threads_open(void)
{
	return (int)mmun_self_open("/proc/self/task");
}

int mmun_threads_each(int list, int (*fn)(long id, void *arg), void *arg)
{
	char buffer[2048] __attribute__((aligned(8)));
	long n;

	mmun_syscall3(SYS_lseek, list, 0, 0);
	while ((n = mmun_syscall3(SYS_getdents64, list, (unsigned long)buffer, sizeof(buffer))) >
	       0) {
		for (long at = 0; at < n;) {
			const struct linux_dirent64 *entry = (void *)(buffer + at);
			/* "." and ".." have none. */
			long id = mmun_decimal(entry->d_name);
			int ret = id ? fn(id, arg) : 0;

			if (ret)
				return ret;
			at += entry->d_reclen;
		}
	}
	return (int)n;
}

long mmun_threads_read(int list, long id, const char *file, char *text, size_t size)
{
	char path[40];
	int fd;
	long n;

	memcpy(path + mmun_put_number(path, (unsigned long)id, 10), file, strlen(file) + 1);
	fd = (int)mmun_self_open_at(list, path);
	if (fd < 0)
		return fd;
	n = mmun_syscall3(SYS_read, fd, (unsigned long)text, size - 1);
	mmun_self_close(fd);
	text[n > 0 ? n : 0] = 0;
	return n;
}
