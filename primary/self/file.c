/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files that this process maps and shortens, punches or replaces in part.
 *
 * A file's pages leave every mapping of it, so the change is found by walking
 * the mappings for the file's inode number.  Another file system's file with
 * the same number is notified too: device numbers in /proc/self/maps and in
 * stat() disagree on some file systems, and a superset is allowed.  Where the
 * inode numbers themselves may disagree (overlayfs and other stacked file
 * systems, network file systems), or the file cannot be looked at, each mapping of
 * any file counts as one of it; where the mappings cannot be read, the whole
 * address space is notified.  A mapping made by another thread during the call is
 * caught by a second walk behind it (section.c).  What another process does to a
 * shared file is not seen here.
 * Tests: tests/contract.
 */
#include "call.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "state.h"
#include "vma.h"

/* Younger than the headers of some systems this builds on. */
#define FALLOC_WRITE_ZEROES 0x80

#define TO_THE_END (-MMUN_PAGE_SIZE)

static void add_mapped_part(struct mmun_change *change, const struct mmun_vma_place *vma)
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

static void add_whole(struct mmun_change *change)
{
	mmun_change_add(change, MMUN_WHOLE_START, MMUN_WHOLE_END);
}

/* But for those parts that lie in [start,end), which are in it already. */
static void add_other_mappings(struct mmun_change *change, unsigned long start, unsigned long end)
{
	struct mmun_vma_place vma;
	struct mmun_vma_walk walk;

	if (change->file_start >= change->file_end)
		return;
	if (mmun_vma_walk_start(&walk, 0, true)) {
		add_whole(change);
		return;
	}
	while (mmun_vma_walk_next_place(&walk, &vma, NULL, 0))
		if ((change->any_file || vma.inode == change->inode) &&
		    (vma.start < start || vma.end > end))
			add_mapped_part(change, &vma);
	if (mmun_vma_walk_end(&walk))
		add_whole(change);
}

void mmun_add_file_mappings(struct mmun_change *change)
{
	add_other_mappings(change, 0, 0);
}

/* What is known of a file before the call. */
struct target {
	/* Its inode number is the one that its mappings show. */
	bool known;
	/* Nothing could be asked: not even whether there is such a file. */
	bool hidden;
	struct stat stat;
};

/* Do stat() and /proc/self/maps give the same inode numbers on this file system? */
static bool numbers_agree(const struct statfs *fs)
{
	switch ((unsigned int)fs->f_type) {
	case 0xef53:     /* ext2, ext3, ext4 */
	case 0x58465342: /* xfs */
	case 0x9123683e: /* btrfs: the device numbers do not, nobody compares them */
	case 0xf2f52010: /* f2fs */
	case 0x01021994: /* tmpfs, memfd_create() */
	case 0x958458f6: /* hugetlbfs */
	case 0x858458f6: /* ramfs */
		return true;
	}
	return false;
}

static bool is_open(int fd)
{
	return mmun_syscall3(SYS_fcntl, fd, F_GETFD, 0) != -EBADF;
}

/* false: the kernel will say that there is no such file. */
static bool look_at_descriptor(int fd, struct target *target)
{
	struct statfs fs;

	target->known = target->hidden = false;
	if (mmun_syscall3(SYS_fstat, fd, (long)&target->stat, 0)) {
		target->hidden = true;
		return is_open(fd);
	}
	target->known = !mmun_syscall3(SYS_fstatfs, fd, (long)&fs, 0) && numbers_agree(&fs) &&
			!S_ISBLK(target->stat.st_mode);
	return true;
}

static long stat_at(long dir, unsigned long path, struct stat *stat)
{
	return mmun_syscall4(SYS_newfstatat, dir, path, (long)stat, 0);
}

/* The file system of a name: that of its directory where that holds the file too. */
static bool numbers_agree_at(long dir, unsigned long path, const struct stat *file)
{
	struct statfs fs;
	struct stat stat;
	char first = 0;

	if (dir == AT_FDCWD || (mmun_read_program(&first, path, 1) > 0 && first == '/'))
		return !mmun_syscall3(SYS_statfs, path, (long)&fs, 0) && numbers_agree(&fs);
	return !mmun_syscall3(SYS_fstat, dir, (long)&stat, 0) && stat.st_dev == file->st_dev &&
	       !mmun_syscall3(SYS_fstatfs, dir, (long)&fs, 0) && numbers_agree(&fs);
}

/* The same for a name.  Every process has a root: where nothing can be said of it
 * either, the answer about the file says nothing. */
static bool look_at_name(long dir, unsigned long path, struct target *target)
{
	target->known = target->hidden = false;
	if (!stat_at(dir, path, &target->stat))
		return true;
	target->hidden = stat_at(AT_FDCWD, (unsigned long)"/", &target->stat) != 0;
	return target->hidden;
}

static bool describe_target(struct mmun_change *change, const struct target *target,
			    unsigned long from, unsigned long to)
{
	change->event = MMU_NOTIFY_CLEAR;
	change->by_file = true;
	change->any_file = !target->known;
	change->inode = target->stat.st_ino;
	change->file_start = from;
	change->file_end = to;
	mmun_add_file_mappings(change);
	/* Without a mapping now there may still be one when the call returns. */
	return true;
}

/* The pages behind the new end; the page with the new end keeps its frame. */
static bool shortens(const struct target *target, long size)
{
	return size >= 0 &&
	       (target->hidden || (S_ISREG(target->stat.st_mode) && size < target->stat.st_size));
}

static bool describe_size(struct mmun_change *change, const struct target *target, long size)
{
	change->op = MMUN_OP_TRUNCATE;
	return describe_target(change, target, mmun_page_up(size), TO_THE_END);
}

bool mmun_describe_truncate(const unsigned long *args, struct mmun_change *change)
{
	struct target target;

	if (!look_at_name(AT_FDCWD, args[0], &target) || !shortens(&target, args[1]))
		return false;
	target.known = !target.hidden && numbers_agree_at(AT_FDCWD, args[0], &target.stat);
	return describe_size(change, &target, args[1]);
}

bool mmun_describe_ftruncate(const unsigned long *args, struct mmun_change *change)
{
	struct target target;

	return look_at_descriptor(args[0], &target) && shortens(&target, args[1]) &&
	       describe_size(change, &target, args[1]);
}

/* Opening with O_TRUNC shortens a file to nothing.  Only a regular one: a FIFO
 * would make its opener wait. */
static bool truncates(long dir, unsigned long path, unsigned long flags, struct target *target)
{
	return (flags & O_TRUNC) && !(flags & O_PATH) && look_at_name(dir, path, target) &&
	       (target->hidden || S_ISREG(target->stat.st_mode));
}

bool mmun_openat_truncates(const unsigned long *args)
{
	struct target target;

	return truncates((int)args[0], args[1], args[2], &target);
}

bool mmun_open_truncates(const unsigned long *args)
{
	struct target target;

	return truncates(AT_FDCWD, args[0], args[1], &target);
}

bool mmun_creat_truncates(const unsigned long *args)
{
	struct target target;

	return truncates(AT_FDCWD, args[0], O_TRUNC, &target);
}

static bool describe_open(struct mmun_change *change, long dir, unsigned long path,
			  unsigned long flags)
{
	struct target target;

	if (!truncates(dir, path, flags, &target) || !shortens(&target, 0))
		return false;
	target.known = !target.hidden && numbers_agree_at(dir, path, &target.stat);
	return describe_size(change, &target, 0);
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

/* linux/openat2.h */
struct open_how {
	unsigned long flags, mode, resolve;
};
/* RESOLVE_NO_XDEV to _BENEATH only refuse, and _CACHED. */
#define RESOLVES_ALIKE 0x2fUL

/* As mmun_read_program(); what cannot be read or leads elsewhere is as if hidden. */
static int read_how(const unsigned long *args, struct open_how *how)
{
	int ret = mmun_read_program(how, args[2], sizeof(*how));

	if (args[3] < sizeof(*how) || !ret)
		return 0;
	if (ret > 0 && (!(how->flags & O_TRUNC) || (how->flags & O_PATH)))
		return 0;
	return ret > 0 && !(how->resolve & ~RESOLVES_ALIKE) ? 1 : -1;
}

static bool describe_unknown(struct mmun_change *change)
{
	const struct target unknown = { .hidden = true };

	return describe_size(change, &unknown, 0);
}

bool mmun_openat2_truncates(const unsigned long *args)
{
	struct target target;
	struct open_how how;
	int read = read_how(args, &how);

	return read < 0 || (read && truncates((int)args[0], args[1], how.flags, &target));
}

bool mmun_describe_openat2(const unsigned long *args, struct mmun_change *change)
{
	struct open_how how;
	int read = read_how(args, &how);

	return read < 0 ? describe_unknown(change)
			: read && describe_open(change, (int)args[0], args[1], how.flags);
}

bool mmun_open_by_handle_truncates(const unsigned long *args)
{
	return (args[2] & O_TRUNC) && !(args[2] & O_PATH);
}

bool mmun_describe_open_by_handle(const unsigned long *args, struct mmun_change *change)
{
	return mmun_open_by_handle_truncates(args) && describe_unknown(change);
}

/* The name may have come to mean another file. */
void mmun_renew_opened(long result, struct mmun_change *change)
{
	struct target target = { .known = false };

	look_at_descriptor(result, &target);
	change->any_file |= !target.known;
	change->inode = target.stat.st_ino;
}

void mmun_add_shared_pages(struct mmun_change *change, unsigned long start, unsigned long end,
			   unsigned long unit)
{
	struct mmun_vma_place vma;
	struct mmun_vma_walk walk;

	if (mmun_vma_walk_start(&walk, start, true)) {
		add_whole(change);
		return;
	}
	while (mmun_vma_walk_next_place(&walk, &vma, NULL, 0) && vma.start < end) {
		unsigned long from = start > vma.start ? start : vma.start;
		unsigned long to = end < vma.end ? end : vma.end;

		change->inode = vma.inode;
		change->file_start = (vma.offset + (from - vma.start)) & -unit;
		change->file_end = (vma.offset + (to - vma.start) + unit - 1) & -unit;
		add_other_mappings(change, start, end);
		/* Late mappings are looked for of one file, or of all. */
		if (change->by_file) {
			change->any_file = true;
			change->file_start = 0;
			change->file_end = TO_THE_END;
		}
		change->by_file = true;
	}
	if (mmun_vma_walk_end(&walk))
		add_whole(change);
}

static bool describe_part(struct mmun_change *change, int fd, unsigned long from, unsigned long to)
{
	struct target target;

	change->op = MMUN_OP_FALLOCATE;
	return look_at_descriptor(fd, &target) &&
	       describe_target(change, &target, from & MMUN_PAGE_MASK, to);
}

/* Some file systems zero pages that are hit in part in place, others drop them. */
static unsigned long part_end(unsigned long from, unsigned long length)
{
	unsigned long end = mmun_page_up(from + length);

	return end < from ? TO_THE_END : end;
}

/* Every mode but to reserve: a mode that is not known yet may do anything. */
bool mmun_describe_fallocate(const unsigned long *args, struct mmun_change *change)
{
	int mode = args[1];
	unsigned long from = args[2], length = args[3];

	if ((long)from < 0 || (long)length <= 0 || !(mode & ~FALLOC_FL_KEEP_SIZE))
		return false;
	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE |
		     FALLOC_FL_UNSHARE_RANGE | FALLOC_WRITE_ZEROES))
		return describe_part(
			change, args[0],
			mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE) ? from : 0,
			TO_THE_END);
	return describe_part(change, args[0], from, part_end(from, length));
}

/* By type and number: sizes and directions have changed over time. */
#define COMMAND(type, nr) ((type) << 8 | (nr))

enum ioctl_part { PART_NONE, PART_GIVEN, PART_FILE, PART_ANY };

static enum ioctl_part ioctl_part(unsigned long command)
{
	switch (command & 0xffff) {
	case COMMAND('X', 41):
	case COMMAND('X', 43): /* FS_IOC_UNRESVSP, 64 */
	case COMMAND('X', 57): /* FS_IOC_ZERO_RANGE */
		return PART_GIVEN;
	case COMMAND('X', 10):
	case COMMAND('X', 36): /* XFS_IOC_ALLOCSP, 64 */
	case COMMAND('X', 11):
	case COMMAND('X', 37): /* XFS_IOC_FREESP, 64 */
	case COMMAND(0x94, 9):
	case COMMAND(0x94, 13): /* FICLONE, FICLONERANGE */
		return PART_FILE;
	case COMMAND('X', 109):
	case COMMAND('X', 129): /* XFS: exchange of two files */
	case COMMAND(0x94, 54): /* FIDEDUPERANGE */
	case COMMAND(0x12, 119):
	case COMMAND(0x12, 125):
	case COMMAND(0x12, 127):
		return PART_ANY; /* BLK: DISCARD, SECDISCARD, ZEROOUT */
	}
	return PART_NONE;
}

bool mmun_ioctl_punches(const unsigned long *args)
{
	return ioctl_part(args[1]) != PART_NONE;
}

/* struct space_resv */
struct space {
	short type, whence;
	long start, length;
};

bool mmun_describe_ioctl(const unsigned long *args, struct mmun_change *change)
{
	const struct target unknown = { .hidden = true };
	enum ioctl_part part = ioctl_part(args[1]);
	struct space space;

	change->op = MMUN_OP_FALLOCATE;
	if (part == PART_NONE)
		return false;
	if (part == PART_ANY)
		return describe_target(change, &unknown, 0, TO_THE_END);
	if (part == PART_GIVEN && mmun_read_program(&space, args[2], sizeof(space)) > 0 &&
	    !space.whence && space.start >= 0 && space.length > 0)
		return describe_part(change, args[0], space.start,
				     part_end(space.start, space.length));
	return describe_part(change, args[0], 0, TO_THE_END);
}

/*
 * copy_file_range() writes to the pages of the other file, or lets the files share
 * their blocks and drops the pages: where the file system can.
 */
bool mmun_copy_may_share(const unsigned long *args)
{
	struct statfs fs;

	if (mmun_syscall3(SYS_fstatfs, (int)args[2], (long)&fs, 0))
		return true;
	return !numbers_agree(&fs) || (unsigned int)fs.f_type == 0x58465342 ||
	       (unsigned int)fs.f_type == 0x9123683e;
}

bool mmun_describe_copy(const unsigned long *args, struct mmun_change *change)
{
	return describe_part(change, args[2], 0, TO_THE_END);
}
