/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Preloaded into the mmunotify command by completion.py: prints what a command asks
 * getopt_long() for, one option a line, and ends the process.  So the options are those that are
 * taken, whatever the help says.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int getopt_long(int argc, char *const *argv, const char *shorts, const struct option *longs,
		int *index)
{
	static const char *const takes[] = { "nothing", "required", "optional" };

	for (; longs->name; longs++)
		printf("--%s %s %d\n", longs->name, takes[longs->has_arg], longs->val);
	for (shorts += strspn(shorts, "+-:"); *shorts; shorts += 1 + strspn(shorts + 1, ":"))
		printf("-%c %s %d\n", *shorts, takes[strspn(shorts + 1, ":")], *shorts);
	fflush(stdout);
	_exit(0);
}
