/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the core knows of threads.  Tests: tests/unit/core/{srcu,interval_sections}.c. */
#include "task.h"

#include <string.h>

#include "descriptor.h"
#include "number.h"
#include "raw_syscall.h"

__thread struct mmun_task mmun_task
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* The state of a zombie, which a signal still finds: the first thread, when it has ended
 * before the others. */
bool mmun_thread_is_zombie(int tid)
{
	char path[48] = "/proc/self/task/", stat[512];
	size_t at = sizeof("/proc/self/task/") - 1;
	long fd, size;

	at += mmun_put_number(path + at, (unsigned long)tid, 10);
	memcpy(path + at, "/stat", sizeof("/stat"));
	fd = mmun_descriptor_open_at(AT_FDCWD, path);
	if (fd < 0)
		return false;
	size = mmun_syscall3(SYS_read, fd, (unsigned long)stat, sizeof(stat));
	mmun_descriptor_close(fd);
	for (long i = size - 3; i > 0; i--)
		if (stat[i] == ')')
			return stat[i + 2] == 'Z' || stat[i + 2] == 'X';
	return false;
}
