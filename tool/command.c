/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How commands report errors.  Tests: tests/system/trace_errors.py. */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void report(const char *command, const char *format, va_list args)
{
	char line[2048];

	vsnprintf(line, sizeof(line), format, args);
	if (command)
		fprintf(stderr, "mmunotify %s: %s\n", command, line);
	else
		fprintf(stderr, "mmunotify: %s\n", line);
}

void mmunotify_error(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(command, format, args);
	va_end(args);
}

int mmunotify_usage_error(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(command, format, args);
	va_end(args);
	fprintf(stderr, "Try 'mmunotify %s%s--help'.\n", command ? command : "",
		command ? " " : "");
	return MMUNOTIFY_EXIT_USAGE;
}

/* What is wrong with standard output is said once. */
static bool output_failed;

int mmunotify_output_error(const char *command, const char *name, int error)
{
	const char *hint = "";

	output_failed |= !name;
	if (error == EFBIG)
		hint = " (ulimit -f, or what the file system takes)";
	else if (error == EPIPE)
		hint = " (its reader has gone)";
	else if (error == EBADF)
		hint = " (it is closed)";
	mmunotify_error(command, "%s: cannot be written: %s%s", name ? name : "standard output",
			strerror(error), hint);
	return MMUNOTIFY_EXIT_USAGE;
}

void mmunotify_own_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			/* The lowest that is free. */
			open("/", O_PATH | O_CLOEXEC);
}

int mmunotify_flush_output(const char *command, int status)
{
	bool failed = ferror(stdout);

	errno = 0;
	if ((!fflush(stdout) && !failed) || output_failed)
		return status;
	return mmunotify_output_error(command, NULL, errno ? errno : EIO);
}
