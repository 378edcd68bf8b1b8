/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Starting the program to be watched, and saying beforehand why it cannot be. */
#ifndef MMUN_TOOL_LAUNCH_H
#define MMUN_TOOL_LAUNCH_H

#include <limits.h>
#include <signal.h>
#include <sys/types.h>

struct launch {
	/* The command's file, found through PATH. */
	char path[PATH_MAX];
	char **argv;
	/* The library to preload, and the variable that says where to send what; NULL: the
	 * environment is as it shall be. */
	char library[PATH_MAX];
	const char *variable;
	char value[64];
	/* Of a signal that launch_ignore() has taken from us, and that the program gets back. */
	int ignored;
	struct sigaction before;
};

/*
 * launch_find() - find argv[0].
 * @command: the command of mmunotify(1) in whose name sentences are said from now on.
 * Return: 0, or the exit status after one sentence on stderr.
 */
int launch_find(struct launch *launch, const char *command, char **argv);

/* launch_obstacle() - why no library can be preloaded into it, one sentence; NULL: it can. */
const char *launch_obstacle(const struct launch *launch);

/* launch_file_obstacle() - the same of any file, without its name in front. */
const char *launch_file_obstacle(const char *path);

/*
 * launch_check() - find argv[0] and look whether it can be watched.
 * Arguments and return value: as above.
 */
int launch_check(struct launch *launch, const char *command, char **argv);

/* launch_need_proc() - is /proc there?  Return: 0, or the exit status after one sentence. */
int launch_need_proc(const char *command);

/*
 * launch_find_library() - where the object that is preloaded for @part ("trace", "audit") is:
 * mmunotify-PART.so, or what MMUNOTIFY_PART_LIBRARY names.  Return: as above.
 */
int launch_find_library(struct launch *launch, const char *part);

/* launch_ignore() - ignore @signal from now on in the tool, and not in the program. */
void launch_ignore(struct launch *launch, int signal);

/*
 * launch_start() - run the program.
 * @started: runs in the tool before it takes any signal that came since the fork.
 * Return: 0 with *@child, or the exit status after one sentence on stderr.
 */
int launch_start(const struct launch *launch, pid_t *child, void (*started)(void));

/* launch_pass_on() - the exit status to end with, or death by the program's signal. */
int launch_pass_on(int wait_status);

#endif
