/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The file of -o, and what is refused as one.
 *
 * Nothing is opened before it is known that it may be emptied.
 * Tests: tests/system/trace_output.py.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "output.h"

const char *output_name(const struct output_options *options)
{
	return options->path && strcmp(options->path, "-") ? options->path : NULL;
}

/* Also by another name: opening it would have emptied it. */
static bool is_same_file(const char *path, FILE *in)
{
	struct stat out_file, in_file;
	int error = strcmp(path, "-") ? stat(path, &out_file) : fstat(STDOUT_FILENO, &out_file);

	return !error && !fstat(fileno(in), &in_file) && S_ISREG(in_file.st_mode) &&
	       in_file.st_dev == out_file.st_dev && in_file.st_ino == out_file.st_ino;
}

FILE *output_open(const struct output_options *options, const char *command, bool recording,
		  FILE *in)
{
	bool is_stdout = !strcmp(options->path, "-");
	FILE *out;

	if (in && is_same_file(options->path, in)) {
		mmunotify_error(command, "%s: is the recording that is read; name another file",
				options->path);
		return NULL;
	}
	out = is_stdout ? stdout : fopen(options->path, "we");
	if (!out) {
		mmunotify_output_error(command, options->path, errno);
		return NULL;
	}
	if (recording && isatty(fileno(out))) {
		mmunotify_error(
			command,
			"%s: is a terminal, which cannot show a recording; --text or --json "
			"can be read, or name a file",
			is_stdout ? "standard output" : options->path);
		output_close(out);
		return NULL;
	}
	return out;
}

int output_close(FILE *out)
{
	return out == stdout ? fflush(out) : fclose(out);
}
