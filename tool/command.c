/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How commands report errors.  Tests: tests/system/trace_errors.py. */
#include "command.h"

#include <stdarg.h>
#include <stdio.h>

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
