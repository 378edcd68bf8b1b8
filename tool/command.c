/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How commands report errors.  Tests: tests/system/trace_errors.py. */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
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

int mmunotify_flush_output(const char *command, int status, int failed)
{
	bool earlier = ferror(stdout);

	errno = 0;
	if ((!fflush(stdout) && !earlier) || output_failed)
		return status;
	mmunotify_output_error(command, NULL, errno ? errno : EIO);
	return failed;
}

/* What is wrong with @word, "--name" or "--name=argument". */
static void complain_of_long(const char *command, const char *word, const struct option *longs)
{
	size_t length = strcspn(word + 2, "=");
	const struct option *found = NULL;
	unsigned int nr = 0;

	for (; longs->name; longs++) {
		if (strncmp(longs->name, word + 2, length))
			continue;
		found = longs;
		nr++;
		if (strlen(longs->name) == length) {
			nr = 1;
			break;
		}
	}
	if (!nr)
		mmunotify_usage_error(command, "there is no option '%.*s'", (int)length + 2, word);
	else if (nr > 1)
		mmunotify_usage_error(command, "'%.*s' is the beginning of several options",
				      (int)length + 2, word);
	else if (found->has_arg == no_argument)
		mmunotify_usage_error(command, "option '--%s' takes no argument", found->name);
	else
		mmunotify_usage_error(command, "option '--%s' needs an argument", found->name);
}

/* Whether the word before the next one is a long option that @value stands for, or none. */
static bool is_long(const char *word, const struct option *longs, int value)
{
	size_t length = strcspn(word, "=");

	if (strncmp(word, "--", 2))
		return false;
	if (!value)
		return true;
	for (; longs->name; longs++)
		if (longs->val == value && !strncmp(longs->name, word + 2, length - 2))
			return true;
	return false;
}

int mmunotify_getopt(const char *command, int argc, char **argv, const char *shorts,
		     const struct option *longs, const char *(*explain)(int letter))
{
	const char *sentence, *letter;
	int option;

	opterr = 0;
	optopt = 0;
	option = getopt_long(argc, argv, shorts, longs, NULL);
	if (option != '?')
		return option;
	if (is_long(argv[optind - 1], longs, optopt)) {
		complain_of_long(command, argv[optind - 1], longs);
		return '?';
	}
	letter = strchr(shorts + strspn(shorts, "+-:"), optopt);
	sentence = letter || !explain ? NULL : explain(optopt);
	if (sentence)
		mmunotify_usage_error(command, "-%c: %s", optopt, sentence);
	else if (letter)
		mmunotify_usage_error(command, "option '-%c' needs an argument", optopt);
	else
		mmunotify_usage_error(command, "there is no option '-%c'", optopt);
	return '?';
}
