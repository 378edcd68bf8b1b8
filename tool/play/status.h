/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Exit statuses of `mmunotify soft`. */
#ifndef MMUN_TOOL_PLAY_STATUS_H
#define MMUN_TOOL_PLAY_STATUS_H

enum {
	/* An expectation did not hold, or the checker caught an access. */
	SOFT_EXIT_FAILED = 1,
	/* The script, or the command line, is not understood; nothing has run. */
	SOFT_EXIT_SCRIPT = 2,
	/* The script cannot be read, output not be written; memory or threads ran out. */
	SOFT_EXIT_ENVIRONMENT = 3,
};

#endif
