/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a program that `mmunotify probe` runs says of its system call instructions: lines
 * of fields with a tab between, in a file in memory.  A program says it twice, at its
 * start and at its end, each time with one write:
 *
 *     program PID start|end ERROR PATH    ERROR: 0, or why it is not watched
 *     reason TEXT REMEDY                  what the event source complains of; optional
 *     object PATH
 *     site redirected|other|left NUMBER OFFSET FUNCTION WHY
 *     done
 */
#ifndef MMUN_TOOL_REPORT_H
#define MMUN_TOOL_REPORT_H

/* Where that file is. */
#define REPORT_ENV "MMUNOTIFY_PROBE_REPORT"
/* Its name; looked at before it is opened. */
#define REPORT_NAME "mmunotify-report"

#endif
