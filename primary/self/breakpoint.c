/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Breakpoints in text that is to be replaced.  One of a debugger or of a uprobe would be lost
 * with the page, or hit in a copy that its owner does not know: such text is left alone.  A
 * breakpoint is one byte that differs from the file's, alone; patches of other libraries are
 * longer.
 * Limits: where the file is gone none is seen.
 * Tests: tests/contract/limits.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "swap.h"

#define INT3 0xcc

/* What is in memory for @run; NULL when it is not all there. */
/* One byte that differs from the file's, alone: other patches are longer. */
static bool is_breakpoint(const unsigned char *text, const unsigned char *file, unsigned long i,
			  unsigned long length)
{
	return text[i] == INT3 && file[i] != INT3 && (!i || text[i - 1] == file[i - 1]) &&
	       (i + 1 == length || text[i + 1] == file[i + 1]);
}

/* The first breakpoint in @run, which is @file's from there on; 0: none.  @text: memory for it. */
static unsigned long find_breakpoint(const struct mmun_image *image, struct mmun_run run,
				     const unsigned char *file, unsigned char *text)
{
	unsigned long length = run.end - run.start, found = 0;

	if (mmun_self_read(text, run.start, length))
		return 0;
	for (unsigned long i = 0; !found && i < length; i++) {
		/* Most pages are the file's. */
		if (!(i & ~MMUN_PAGE_MASK) && !memcmp(text + i, file + i, MMUN_PAGE_SIZE))
			i += MMUN_PAGE_SIZE - 1;
		else if (is_breakpoint(text, file, i, length))
			found = run.start + i;
	}
	return found && !mmun_run_is_our_byte(image, found) ? found : 0;
}

int mmun_self_refuse_breakpoint(const struct mmun_image *image, unsigned long at,
				struct mmun_refusal *refusal)
{
	char text[sizeof(refusal->reason)];
	const char *slash = strrchr(image->path, '/');
	size_t n = mmun_append(
		text, 0, sizeof(text),
		"a debugger or a uprobe has a breakpoint in text that is to be replaced, at ");

	n = mmun_append(text, n, sizeof(text), slash ? slash + 1 : image->path);
	n = mmun_append(text, n, sizeof(text), "+0x");
	mmun_append_hex(text, n, sizeof(text), at - image->base);
	mmun_self_refuse(refusal, -EBUSY, text,
			 "remove it, and set it again after the first registration");
	return -EBUSY;
}

static bool is_not_ours(const struct mmun_site *site)
{
	return !mmun_site_is_ours(site);
}

/* From the first run to the end of the last; empty: there is none. */
static struct mmun_run all_runs(const struct mmun_image *image)
{
	struct mmun_run run = { .end = 0 }, all = { 0, 0 };

	while (mmun_run_next(image, run.end, &run)) {
		all.start = all.end ? all.start : run.start;
		all.end = run.end;
	}
	return all;
}

/* One mapping of the file for all runs, and one of memory for the longest: a mapping and
 * its end take longer than the bytes. */
int mmun_self_check_breakpoints(struct mmun_image *image, struct mmun_refusal *refusal)
{
	struct mmun_run all = all_runs(image), run = { .end = 0 };
	unsigned long length = all.end - all.start;
	const unsigned char *file = NULL;
	long text = -1;
	int ret = 0, fd;

	if (!length)
		return 0;
	fd = mmun_run_open_file(image);
	file = mmun_run_map_file(image, fd, all);
	mmun_run_close_file(fd);
	/* Without the file nothing can be said. */
	if (file)
		text = mmun_syscall6(SYS_mmap, 0, length, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1ul, 0);
	while (text > 0 && !ret && mmun_run_next(image, run.end, &run)) {
		unsigned long at = mmun_run_has(image, run, is_not_ours)
					   ? find_breakpoint(image, run,
							     file + (run.start - all.start),
							     (unsigned char *)text)
					   : 0;

		if (at)
			ret = mmun_self_refuse_breakpoint(image, at, refusal);
	}
	if (text > 0)
		mmun_syscall3(SYS_munmap, text, length, 0);
	mmun_run_unmap(file, all);
	return ret;
}
