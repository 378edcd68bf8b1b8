/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The commands of mmunotify(1), and how each reports wrong usage. */
#ifndef MMUN_TOOL_COMMAND_H
#define MMUN_TOOL_COMMAND_H

/* Exit statuses beyond the traced program's own. */
enum mmunotify_status {
	/* A replayed file is damaged; no event source works. */
	MMUNOTIFY_EXIT_FAILED = 1,
	/* Wrong usage, or output that cannot be written. */
	MMUNOTIFY_EXIT_USAGE = 2,
	/* The tool itself could not work (no memory, no descriptors). */
	MMUNOTIFY_EXIT_TOOL = 125,
	/* The program exists but cannot be run or traced. */
	MMUNOTIFY_EXIT_CANNOT = 126,
	/* The program does not exist. */
	MMUNOTIFY_EXIT_MISSING = 127,
};

/* argv[0] is the command's name; the return value is the exit status. */
int mmunotify_cmd_trace(int argc, char **argv);
int mmunotify_cmd_audit(int argc, char **argv);
int mmunotify_cmd_replay(int argc, char **argv);
int mmunotify_cmd_run(int argc, char **argv);
int mmunotify_cmd_stat(int argc, char **argv);
int mmunotify_cmd_probe(int argc, char **argv);
int mmunotify_cmd_demo(int argc, char **argv);
int mmunotify_cmd_soft(int argc, char **argv);

/* One sentence on stderr, "mmunotify COMMAND: ...". */
void mmunotify_error(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same plus a hint where help is; returns MMUNOTIFY_EXIT_USAGE. */
int mmunotify_usage_error(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * mmunotify_output_error() - say that @name (NULL: standard output) cannot be written.
 * @error: a positive errno.  Return: MMUNOTIFY_EXIT_USAGE.
 */
int mmunotify_output_error(const char *command, const char *name, int error);

/*
 * mmunotify_own_descriptors() - no file of the tool's shall take the place of a standard
 * stream that was closed: it gets one that can neither be read nor written, and that no
 * program inherits.
 */
void mmunotify_own_descriptors(void);

/* What printf() has left over.  Return: @status, or @failed after one sentence. */
int mmunotify_flush_output(const char *command, int status, int failed);

struct option;

/*
 * mmunotify_getopt() - getopt_long(), with its complaints in this tool's words: one sentence
 * and the hint.  @explain, if any, has the sentence for a letter that is no option, or NULL.
 * Return: as getopt_long(), and '?' when that has been said.
 */
int mmunotify_getopt(const char *command, int argc, char **argv, const char *shorts,
		     const struct option *longs, const char *(*explain)(int letter));

#endif
