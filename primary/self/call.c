/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of system calls that change translations, and for each the range,
 * the class and the sign that nothing happened.  Ranges are what Linux hands
 * its own notifiers for the same call (docs/EVENTS.md), or more, never less.
 * Tests: tests/contract.
 */
#include "call.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "state.h"
#include "vma.h"

/* Younger than the headers of some systems this builds on. */
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#define ADVICE_GUARD_INSTALL 102
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define PIDFD_SELF_THREAD (-10000)
#define PIDFD_SELF_THREAD_GROUP (-10001)

bool mmun_failed_cleanly(long result)
{
	switch (result) {
	case -EINVAL: case -EBADF: case -EPERM: case -EACCES: case -EEXIST:
	case -EOPNOTSUPP: case -ENOSYS: case -ENOENT: case -ENOTDIR: case -EISDIR:
	case -ESRCH: case -EFBIG: case -EROFS: case -ETXTBSY: case -ENODEV:
	case -ESPIPE: case -ELOOP: case -ENAMETOOLONG:
		return true;
	}
	return false;
}

void mmun_change_add(struct mmun_change *change, unsigned long start, unsigned long end)
{
	int n = change->nr_ranges;

	if (start >= end)
		return;
	if (n && change->range[n - 1].end == start) {
		change->range[n - 1].end = end;
	} else if (n < MMUN_MAX_RANGES) {
		change->range[n].start = start;
		change->range[n].end = end;
		change->nr_ranges++;
	} else {
		if (start < change->range[n - 1].start)
			change->range[n - 1].start = start;
		if (end > change->range[n - 1].end)
			change->range[n - 1].end = end;
	}
}

bool mmun_change_covers(const struct mmun_change *change, unsigned long start,
			unsigned long end)
{
	for (int i = 0; i < change->nr_ranges; i++)
		if (change->range[i].start <= start && end <= change->range[i].end)
			return true;
	return false;
}

/* The kernel refuses an address that is not a page's. */
static bool one_range(struct mmun_change *change, enum mmun_op op,
		      enum mmu_notifier_event event, unsigned long start,
		      unsigned long length)
{
	unsigned long end = mmun_page_up(start + length);

	if ((start & ~MMUN_PAGE_MASK) || !length || end <= start)
		return false;
	change->op = op;
	change->event = event;
	mmun_change_add(change, start, end);
	return true;
}

static bool describe_munmap(const unsigned long *args, struct mmun_change *change)
{
	return one_range(change, MMUN_OP_MUNMAP, MMU_NOTIFY_UNMAP, args[0], args[1]);
}

/* Huge pages replace more than was asked for. */
static unsigned long mapped_length(const unsigned long *args)
{
	unsigned long size = 0;
	struct stat file;

	if (args[3] & MAP_ANONYMOUS) {
		unsigned long shift = args[3] >> MAP_HUGE_SHIFT & MAP_HUGE_MASK;

		if (args[3] & MAP_HUGETLB)
			size = 1UL << (shift ? shift : 21);
	} else if (!mmun_syscall3(SYS_fstat, args[4], (unsigned long)&file, 0) &&
		   file.st_blksize >= 1L << 21) {
		/* What files of huge pages report; elsewhere a superset. */
		size = file.st_blksize;
	}
	return size ? (args[1] + size - 1) & -size : args[1];
}

/* New memory matters only where it takes the place of old. */
static bool describe_mmap(const unsigned long *args, struct mmun_change *change)
{
	if ((args[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != MAP_FIXED)
		return false;
	return one_range(change, MMUN_OP_MMAP_FIXED, MMU_NOTIFY_UNMAP, args[0],
			 mapped_length(args));
}

/* The old memory is gone before a file system or driver can say no. */
static bool unchanged_mmap(const unsigned long *args, long result, int index,
			   const struct mmun_change *change)
{
	if (result == -EBADF)
		return true;
	return (args[3] & MAP_ANONYMOUS) &&
	       (result == -EINVAL || result == -EPERM || result == -EACCES);
}

/*
 * Calls that work on one mapping after the other may fail in the second, with
 * the first one changed.
 */
static bool lies_in_one_mapping(unsigned long start, unsigned long end)
{
	struct mmun_vma_walk walk;
	struct mmun_vma vma;
	bool found;

	if (mmun_vma_walk_start(&walk, start, false))
		return false;
	found = mmun_vma_walk_next(&walk, &vma) && vma.start <= start && vma.end >= end;
	mmun_vma_walk_end(&walk);
	return found;
}

static bool unchanged_in_one_mapping(const unsigned long *args, long result, int index,
				     const struct mmun_change *change)
{
	return mmun_failed_cleanly(result) &&
	       (index > 0 || lies_in_one_mapping(change->range[index].start,
						 change->range[index].end));
}

/* Range 0: what is left or lost of the old place; range 1: the new place. */
static bool describe_mremap(const unsigned long *args, struct mmun_change *change)
{
	unsigned long old = args[0], old_length = mmun_page_up(args[1]);
	unsigned long new_length = mmun_page_up(args[2]), flags = args[3];
	unsigned long target = args[4];

	if ((old & ~MMUN_PAGE_MASK) || !new_length || old + old_length < old)
		return false;
	change->op = MMUN_OP_MREMAP;
	change->event = MMU_NOTIFY_UNMAP;
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))
		mmun_change_add(change, old, old + old_length);
	else if (new_length < old_length)
		mmun_change_add(change, old + new_length, old + old_length);
	else if (flags & MREMAP_MAYMOVE && new_length > old_length)
		mmun_change_add(change, old, old + old_length);
	if (flags & MREMAP_FIXED && !(target & ~MMUN_PAGE_MASK) && target + new_length > target) {
		int i = change->nr_ranges++;

		change->range[i].start = target;
		change->range[i].end = target + new_length;
	}
	return change->nr_ranges > 0;
}

/* Refused by its arguments alone, whatever is mapped. */
static bool is_bad_mremap(const unsigned long *args)
{
	unsigned long old_end = args[0] + mmun_page_up(args[1]);
	unsigned long new_end = args[4] + mmun_page_up(args[2]);

	return (args[3] & ~7UL) || !(args[3] & MREMAP_MAYMOVE) ||
	       (args[4] & ~MMUN_PAGE_MASK) || (args[4] < old_end && args[0] < new_end);
}

static bool unchanged_mremap(const unsigned long *args, long result, int index,
			     const struct mmun_change *change)
{
	bool shrinks = mmun_page_up(args[2]) < mmun_page_up(args[1]);
	bool is_target = args[3] & MREMAP_FIXED && change->range[index].start == args[4];

	if (result >= 0 || result < -4095)
		return (unsigned long)result == args[0] && !shrinks &&
		       !(args[3] & MREMAP_FIXED);
	/* Failures may come after the new place was cleared, and after the tail
	 * of the old one was cut off. */
	if (is_target)
		return is_bad_mremap(args);
	return !shrinks && lies_in_one_mapping(change->range[index].start,
					       change->range[index].end);
}

static bool describe_brk(const unsigned long *args, struct mmun_change *change)
{
	unsigned long now;

	if (!args[0])
		return false;
	now = mmun_syscall6(SYS_brk, 0, 0, 0, 0, 0, 0);
	change->op = MMUN_OP_BRK;
	change->event = MMU_NOTIFY_UNMAP;
	/* brk reports failure by the break that stays. */
	change->refusal = now;
	mmun_change_add(change, mmun_page_up(args[0]), mmun_page_up(now));
	return change->nr_ranges > 0;
}

static bool unchanged_brk(const unsigned long *args, long result, int index,
			  const struct mmun_change *change)
{
	return (unsigned long)result > args[0];
}

static bool describe_mprotect(const unsigned long *args, struct mmun_change *change)
{
	change->flags = MMUN_RANGE_PINNED_SAFE;
	if (!one_range(change, MMUN_OP_MPROTECT, MMU_NOTIFY_PROTECTION_VMA, args[0], args[1]))
		return false;
	/* From or to the other end of a mapping that grows: wherever that is. */
	if (args[2] & PROT_GROWSDOWN)
		change->range[0].start = 0;
	if (args[2] & PROT_GROWSUP)
		change->range[0].end = -MMUN_PAGE_SIZE;
	return true;
}

static bool describe_remap_file_pages(const unsigned long *args, struct mmun_change *change)
{
	return one_range(change, MMUN_OP_REMAP_FILE_PAGES, MMU_NOTIFY_UNMAP,
			 args[0] & MMUN_PAGE_MASK, args[1] & MMUN_PAGE_MASK);
}

struct advice {
	int advice;
	enum mmun_op op;
	/* The kernel leaves pinned pages alone. */
	bool pinned_safe;
};

static const struct advice advices[] = {
	{ MADV_DONTNEED, MMUN_OP_MADV_DONTNEED, false },
	{ MADV_FREE, MMUN_OP_MADV_FREE, true },
	{ MADV_REMOVE, MMUN_OP_MADV_REMOVE, false },
	{ MADV_DONTNEED_LOCKED, MMUN_OP_MADV_DONTNEED_LOCKED, false },
	{ ADVICE_GUARD_INSTALL, MMUN_OP_MADV_GUARD_INSTALL, false },
	{ MADV_PAGEOUT, MMUN_OP_MADV_PAGEOUT, true },
	{ MADV_COLLAPSE, MMUN_OP_MADV_COLLAPSE, true },
	{ MADV_UNMERGEABLE, MMUN_OP_MADV_UNMERGEABLE, true },
	{ MADV_HWPOISON, MMUN_OP_MADV_POISON, false },
	{ MADV_SOFT_OFFLINE, MMUN_OP_MADV_POISON, false },
};

static bool describe_advice(struct mmun_change *change, int advice)
{
	for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
		if (advices[i].advice != advice)
			continue;
		change->op = advices[i].op;
		change->event = MMU_NOTIFY_CLEAR;
		change->flags = advices[i].pinned_safe ? MMUN_RANGE_PINNED_SAFE : 0;
		return true;
	}
	return false;
}

static bool describe_madvise(const unsigned long *args, struct mmun_change *change)
{
	if (args[2] == MADV_REMOVE)
		return mmun_describe_remove(args, change);
	return describe_advice(change, args[2]) &&
	       one_range(change, change->op, change->event, args[0], args[1]);
}

/* Reads memory of the program that may not be there. */
static long read_program(void *to, unsigned long from, size_t size)
{
	struct iovec local = { to, size }, remote = { (void *)from, size };

	return mmun_syscall6(SYS_process_vm_readv, mmun_syscall6(SYS_getpid, 0, 0, 0, 0, 0, 0),
			     (long)&local, 1, (long)&remote, 1, 0);
}

/* Reads "Pid:" of /proc/self/fdinfo/FD; -1 if it is no pidfd. */
static long pidfd_process(int fd)
{
	char path[40] = "/proc/self/fdinfo/", text[512], *p;
	int at = 18, info;
	long n, pid = 0;

	for (int unit = 1000000000; unit; unit /= 10)
		if (fd >= unit || unit == 1)
			path[at++] = '0' + fd / unit % 10;
	path[at] = 0;
	info = mmun_self_open(path);
	if (info < 0)
		return -1;
	n = mmun_syscall6(SYS_read, info, (long)text, sizeof(text) - 1, 0, 0, 0);
	mmun_self_close(info);
	text[n > 0 ? n : 0] = 0;
	for (p = text; *p && __builtin_strncmp(p, "\nPid:\t", 6); p++)
		;
	if (!*p)
		return -1;
	for (p += 6; *p >= '0' && *p <= '9'; p++)
		pid = pid * 10 + (*p - '0');
	return pid;
}

/* Does the process share our memory (it is us, or one is the other's vfork
 * child)?  Where the kernel does not say: yes, a superset is allowed. */
static bool shares_memory(long pid)
{
	long own = mmun_syscall3(SYS_getpid, 0, 0, 0);

	return pid > 0 && (pid == own ||
			   mmun_syscall3(SYS_kcmp, own, pid, KCMP_VM) <= 0);
}

static bool is_own_pidfd(int fd)
{
	return fd == PIDFD_SELF_THREAD || fd == PIDFD_SELF_THREAD_GROUP ||
	       (fd >= 0 && shares_memory(pidfd_process(fd)));
}

/* process_madvise(pidfd, iovec, count, advice, flags) */
static bool describe_process_madvise(const unsigned long *args, struct mmun_change *change)
{
	struct iovec piece;

	if (!describe_advice(change, args[3]) || !is_own_pidfd(args[0]))
		return false;
	for (unsigned long i = 0; i < args[2] && i < 1024; i++) {
		unsigned long start;

		long n = read_program(&piece, args[1] + i * sizeof(piece), sizeof(piece));

		/* Forbidden here, not wrong: anything may be meant. */
		if (n == -EPERM || n == -ENOSYS)
			mmun_change_add(change, 0, -MMUN_PAGE_SIZE);
		if (n != sizeof(piece))
			break;
		start = (unsigned long)piece.iov_base;
		if (!(start & ~MMUN_PAGE_MASK))
			mmun_change_add(change, start, mmun_page_up(start + piece.iov_len));
	}
	return change->nr_ranges > 0;
}

static const struct mmun_call calls[] = {
	[SYS_munmap] = { .describe = describe_munmap },
	[SYS_mmap] = { .describe = describe_mmap, .unchanged = unchanged_mmap },
	[SYS_mremap] = { .describe = describe_mremap, .unchanged = unchanged_mremap },
	[SYS_brk] = { .describe = describe_brk, .unchanged = unchanged_brk, .walks = true },
	[SYS_mprotect] = { .describe = describe_mprotect,
			   .unchanged = unchanged_in_one_mapping },
	[SYS_pkey_mprotect] = { .describe = describe_mprotect,
				.unchanged = unchanged_in_one_mapping },
	[SYS_madvise] = { .describe = describe_madvise, .unchanged = unchanged_in_one_mapping },
	[SYS_process_madvise] = { .describe = describe_process_madvise, .walks = true,
				  .unchanged = unchanged_in_one_mapping },
	[SYS_remap_file_pages] = { .describe = describe_remap_file_pages },
	[SYS_shmat] = { .describe = mmun_describe_shmat, .walks = true },
	[SYS_shmdt] = { .describe = mmun_describe_shmdt, .walks = true },
	[SYS_truncate] = { .describe = mmun_describe_truncate, .walks = true },
	[SYS_ftruncate] = { .describe = mmun_describe_ftruncate, .walks = true },
	[SYS_fallocate] = { .describe = mmun_describe_fallocate, .walks = true,
			    .is_cancellation_point = true },
	[SYS_openat] = { .describe = mmun_describe_openat, .walks = true,
			 .is_cancellation_point = true, .concerns = mmun_openat_truncates },
	[SYS_open] = { .describe = mmun_describe_open, .walks = true,
		       .is_cancellation_point = true, .concerns = mmun_open_truncates },
	[SYS_creat] = { .describe = mmun_describe_creat, .walks = true,
			.is_cancellation_point = true, .concerns = mmun_creat_truncates },
};

const struct mmun_call *mmun_call_of(int nr)
{
	if (nr < 0 || (size_t)nr >= sizeof(calls) / sizeof(calls[0]) || !calls[nr].describe)
		return NULL;
	return &calls[nr];
}

const unsigned char mmun_self_classes[512] = {
	[SYS_munmap] = MMUN_CLASS_ORDINARY, [SYS_mmap] = MMUN_CLASS_ORDINARY,
	[SYS_mremap] = MMUN_CLASS_ORDINARY, [SYS_brk] = MMUN_CLASS_ORDINARY,
	[SYS_mprotect] = MMUN_CLASS_ORDINARY, [SYS_pkey_mprotect] = MMUN_CLASS_ORDINARY,
	[SYS_madvise] = MMUN_CLASS_ORDINARY, [SYS_process_madvise] = MMUN_CLASS_ORDINARY,
	[SYS_remap_file_pages] = MMUN_CLASS_ORDINARY, [SYS_shmat] = MMUN_CLASS_ORDINARY,
	[SYS_shmdt] = MMUN_CLASS_ORDINARY, [SYS_truncate] = MMUN_CLASS_ORDINARY,
	[SYS_ftruncate] = MMUN_CLASS_ORDINARY, [SYS_fallocate] = MMUN_CLASS_ORDINARY,
	[SYS_openat] = MMUN_CLASS_ORDINARY, [SYS_open] = MMUN_CLASS_ORDINARY,
	[SYS_creat] = MMUN_CLASS_ORDINARY,
	[SYS_execve] = MMUN_CLASS_ORDINARY, [SYS_execveat] = MMUN_CLASS_ORDINARY,
	[SYS_exit_group] = MMUN_CLASS_ORDINARY,
	[SYS_clone] = MMUN_CLASS_CLONE,
	[SYS_fork] = MMUN_CLASS_FORK, [SYS_clone3] = MMUN_CLASS_FORK,
};

/*
 * In the C library's own code clone3() makes threads only and vfork() shares
 * the memory, so neither is a site.
 */
bool mmun_self_wants(int nr)
{
	return nr > 0 && nr < 512 && mmun_self_classes[nr] &&
	       nr != SYS_fork && nr != SYS_clone3;
}
