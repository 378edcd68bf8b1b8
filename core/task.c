/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the core knows of threads.  Tests: tests/unit/core/{srcu,interval_sections}.c. */
#include "task.h"

#include "raw_syscall.h"

__thread struct mmun_task mmun_task
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* The state of a zombie, which a signal still finds: the first thread, when it has ended
 * before the others. */
bool mmun_thread_is_zombie(int tid)
{
	char path[] = "/proc/self/task/0000000000/stat", stat[512];
	char *digit = path + sizeof("/proc/self/task/0000000000") - 1;
	long fd, size;

	for (int i = 0; i < 10; i++, tid /= 10)
		*--digit = (char)('0' + tid % 10);
	/* No leading zeroes there. */
	while (*digit == '0')
		digit++;
	for (char *to = path + sizeof("/proc/self/task/") - 1; (*to = *digit); to++, digit++)
		;
	fd = mmun_syscall3(SYS_open, (unsigned long)path, 02000000 /* O_CLOEXEC */, 0);
	if (fd < 0)
		return false;
	size = mmun_syscall3(SYS_read, fd, (unsigned long)stat, sizeof(stat));
	mmun_syscall3(SYS_close, fd, 0, 0);
	for (long i = size - 3; i > 0; i--)
		if (stat[i] == ')')
			return stat[i + 2] == 'Z' || stat[i + 2] == 'X';
	return false;
}
