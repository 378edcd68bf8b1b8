/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tests: tests/unit/verbs/stub.c, tests/unit/verbs/region.c. */
#include "say.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void write_line(const char *line, size_t length)
{
	const struct timespec at_once = { 0 };
	sigset_t broken, pending, mask;

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
}

void mmun_backend_say(const char *format, ...)
{
	static const char who[] = "mmunotify: ";
	char line[512] = "mmunotify: ";
	size_t length = sizeof(who) - 1, room = sizeof(line) - length - 1;
	int error = errno, added;
	va_list args;

	va_start(args, format);
	added = vsnprintf(line + length, room, format, args);
	va_end(args);
	if (added > 0)
		length += (size_t)added < room ? (size_t)added : room - 1;
	line[length++] = '\n';
	write_line(line, length);
	errno = error;
}
