/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reports on stderr that work anywhere: inside free(), in a signal handler,
 * in a child of vfork.  One writev per report, so that lines of several
 * threads do not mix.  No formatting, no allocation, no stdio.
 *
 * Tests: tests/unit/base/base.c.
 */
#include "bug.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "number.h"
#include "raw_syscall.h"

static struct iovec text(const char *s)
{
	return (struct iovec){ .iov_base = (void *)(unsigned long)s, .iov_len = strlen(s) };
}

static void write_stderr(const struct iovec *pieces, unsigned int count)
{
	mmun_syscall3(SYS_writev, 2, (unsigned long)pieces, count);
}

void mmun_report(const char *sentence)
{
	struct iovec line[] = { text("mmunotify: "), text(sentence), text("\n") };

	write_stderr(line, 3);
}

void mmun_misuse(const char *sentence)
{
	mmun_report(sentence);
#ifdef MMUN_DEBUG
	abort();
#endif
}

void mmun_bug(const char *condition, const char *file, int line)
{
	char digits[MMUN_NUMBER_SIZE];

	mmun_put_number(digits, (unsigned long)line, 10);

	struct iovec report[] = { text("mmunotify: bug: "),
				  text(condition),
				  text(" at "),
				  text(file),
				  text(":"),
				  text(digits),
				  text("\n") };

	write_stderr(report, 7);
	abort();
}
