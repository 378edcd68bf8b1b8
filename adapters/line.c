/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tests: tests/contract/adapters/ucx.c. */
#include "line.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

void mmun_adapter_write_line(const char *line, size_t length)
{
	const struct timespec at_once = { 0 };
	sigset_t broken, pending, mask;
	int error = errno;

	sigemptyset(&broken);
	sigaddset(&broken, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &broken, &mask);
	/* The signal of a write is for the thread that writes; one from before is the program's. */
	if (write(STDERR_FILENO, line, length) < 0 && errno == EPIPE &&
	    !sigismember(&pending, SIGPIPE))
		while (sigtimedwait(&broken, NULL, &at_once) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	errno = error;
}
