/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files that this process maps and shortens or punches.
 *
 * A file's pages leave every mapping of it, so the change is found by walking
 * the mappings for the file's inode number.  Another file system's file with
 * the same number is notified too: device numbers in /proc/self/maps and in
 * stat() disagree on some file systems, and a superset is allowed.  A mapping
 * made by another thread during the call is caught by a second walk behind it
 * (section.c).  What another process does to a shared file is not seen here.
 * Tests: tests/contract.
 */
#include "call.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "state.h"
#include "vma.h"

static void add_part(struct mmun_change *change, const struct mmun_vma *vma)
{
	unsigned long length = vma->end - vma->start;
	unsigned long from = vma->offset, to = vma->offset + length;

	if (change->file_start > from)
		from = change->file_start;
	if (change->file_end < to)
		to = change->file_end;
	if (from < to)
		mmun_change_add(change, vma->start + (from - vma->offset),
				vma->start + (to - vma->offset));
}

/* But for those parts that lie in [start,end), which are in it already. */
static void add_other_mappings(struct mmun_change *change, unsigned long start,
				    unsigned long end)
{
	struct mmun_vma_walk walk;
	struct mmun_vma vma;

	if (change->file_start >= change->file_end)
		return;
	if (mmun_vma_walk_start(&walk, 0, true)) {
		mmun_change_add(change, 0, -MMUN_PAGE_SIZE);
		return;
	}
	while (mmun_vma_walk_next(&walk, &vma))
		if (vma.inode == change->inode && (vma.start < start || vma.end > end))
			add_part(change, &vma);
	mmun_vma_walk_end(&walk);
}

void mmun_add_file_mappings(struct mmun_change *change)
{
	add_other_mappings(change, 0, 0);
}

static bool describe(struct mmun_change *change, const struct stat *file,
		     unsigned long from, unsigned long to)
{
	change->event = MMU_NOTIFY_CLEAR;
	change->by_file = true;
	change->inode = file->st_ino;
	change->file_start = from;
	change->file_end = to;
	mmun_add_file_mappings(change);
	/* Without a mapping now there may still be one when the call returns. */
	return true;
}

/* The pages behind the new end; the page with the new end keeps its frame. */
static bool describe_size(struct mmun_change *change, const struct stat *file, long size)
{
	if (size < 0 || !S_ISREG(file->st_mode) || size >= file->st_size)
		return false;
	change->op = MMUN_OP_TRUNCATE;
	return describe(change, file, mmun_page_up(size), -MMUN_PAGE_SIZE);
}

bool mmun_describe_truncate(const unsigned long *args, struct mmun_change *change)
{
	struct stat file;

	if (mmun_syscall6(SYS_stat, args[0], (long)&file, 0, 0, 0, 0) < 0)
		return false;
	return describe_size(change, &file, args[1]);
}

bool mmun_describe_ftruncate(const unsigned long *args, struct mmun_change *change)
{
	struct stat file;

	if (mmun_syscall6(SYS_fstat, args[0], (long)&file, 0, 0, 0, 0) < 0)
		return false;
	return describe_size(change, &file, args[1]);
}

/* Opening with O_TRUNC shortens a file to nothing.  Only a regular one: a FIFO
 * would make its opener wait. */
static bool truncates(long dir, unsigned long path, unsigned long flags, struct stat *file)
{
	return (flags & O_TRUNC) && !(flags & O_PATH) &&
	       !mmun_syscall6(SYS_newfstatat, dir, path, (long)file, 0, 0, 0) &&
	       S_ISREG(file->st_mode);
}

bool mmun_openat_truncates(const unsigned long *args)
{
	struct stat file;

	return truncates((int)args[0], args[1], args[2], &file);
}

bool mmun_open_truncates(const unsigned long *args)
{
	struct stat file;

	return truncates(AT_FDCWD, args[0], args[1], &file);
}

bool mmun_creat_truncates(const unsigned long *args)
{
	struct stat file;

	return truncates(AT_FDCWD, args[0], O_TRUNC, &file);
}

static bool describe_open(struct mmun_change *change, long dir, unsigned long path,
			  unsigned long flags)
{
	struct stat file;

	return truncates(dir, path, flags, &file) && describe_size(change, &file, 0);
}

bool mmun_describe_openat(const unsigned long *args, struct mmun_change *change)
{
	return describe_open(change, (int)args[0], args[1], args[2]);
}

bool mmun_describe_open(const unsigned long *args, struct mmun_change *change)
{
	return describe_open(change, AT_FDCWD, args[0], args[1]);
}

bool mmun_describe_creat(const unsigned long *args, struct mmun_change *change)
{
	return describe_open(change, AT_FDCWD, args[0], O_TRUNC);
}

bool mmun_describe_remove(const unsigned long *args, struct mmun_change *change)
{
	unsigned long start = args[0], end = mmun_page_up(args[0] + args[1]);
	struct mmun_vma_walk walk;
	struct mmun_vma vma;

	if ((start & ~MMUN_PAGE_MASK) || end <= start)
		return false;
	change->op = MMUN_OP_MADV_REMOVE;
	change->event = MMU_NOTIFY_CLEAR;
	mmun_change_add(change, start, end);
	if (mmun_vma_walk_start(&walk, start, true))
		return true;
	while (mmun_vma_walk_next(&walk, &vma) && vma.start < end) {
		unsigned long from = start > vma.start ? start : vma.start;
		unsigned long to = end < vma.end ? end : vma.end;

		change->by_file = true;
		change->inode = vma.inode;
		change->file_start = vma.offset + (from - vma.start);
		change->file_end = vma.offset + (to - vma.start);
		add_other_mappings(change, start, end);
	}
	mmun_vma_walk_end(&walk);
	return true;
}

bool mmun_describe_fallocate(const unsigned long *args, struct mmun_change *change)
{
	int mode = args[1];
	unsigned long from = args[2], length = args[3];
	struct stat file;

	if ((long)from < 0 || (long)length <= 0 ||
	    mmun_syscall6(SYS_fstat, args[0], (long)&file, 0, 0, 0, 0) < 0)
		return false;
	change->op = MMUN_OP_FALLOCATE;
	if (mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE))
		return describe(change, &file, from & MMUN_PAGE_MASK, -MMUN_PAGE_SIZE);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		/* Some file systems zero pages that are hit in part in place,
		 * others drop them. */
		return describe(change, &file, from & MMUN_PAGE_MASK,
				mmun_page_up(from + length));
	return false;
}
