/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * madvise and process_madvise: which advice changes translations, and what it leaves as it
 * was when it fails.  Advice that takes pages of a file away does so in all mappings of the
 * file (file.c).  A process is named by a descriptor; one that may be this process counts as
 * this process: a superset is allowed.
 * Not here: the table of calls (call.c).
 * Tests: tests/contract/op_advice.c, tests/unit/self/calls.c.
 */
#include <errno.h>
#include <linux/ioctl.h>
#include <linux/kcmp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "call.h"
#include "number.h"
#include "state.h"

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
/* linux/pidfd.h of 6.13: which process a pidfd means, without a descriptor more. */
struct pidfd_info {
	uint64_t mask, cgroup;
	uint32_t pid, tgid, ppid, ids[8], spare;
};
#define PIDFD_INFO_PID 1
#define PIDFD_GET_INFO _IOWR(0xff, 11, struct pidfd_info)
_Static_assert(sizeof(struct pidfd_info) == 64, "the first version of it");

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

/* Done to pages of files, wherever they are mapped; in which steps?  0: it is not. */
static unsigned long unit_in_all_mappings(int advice)
{
	switch (advice) {
	case MADV_REMOVE:
		return MMUN_PAGE_SIZE;
	case MADV_COLLAPSE:
	case MADV_HWPOISON:
	case MADV_SOFT_OFFLINE:
		/* The page cache keeps several pages together, up to a huge page. */
		return MMUN_HUGE_2M;
	}
	return 0;
}

bool mmun_madvise_walks(const unsigned long *args)
{
	return unit_in_all_mappings(args[2]) > 0;
}

bool mmun_describe_madvise(const unsigned long *args, struct mmun_change *change)
{
	if (!describe_advice(change, args[2]) ||
	    !mmun_change_one_range(change, change->op, change->event, args[0], args[1]))
		return false;
	if (mmun_madvise_walks(args))
		mmun_add_shared_pages(change, change->range[0].start, change->range[0].end,
				      unit_in_all_mappings(args[2]));
	return true;
}

/* Advice that is given to one page or huge page after the other may fail after some. */
static bool unchanged_advice(int advice, const unsigned long *args, long result,
			     const struct mmun_change *change)
{
	if (advice == MADV_COLLAPSE)
		return false;
	if (advice == MADV_HWPOISON || advice == MADV_SOFT_OFFLINE)
		return result == -EPERM;
	return mmun_unchanged_in_one_mapping(args, result, 0, change);
}

bool mmun_unchanged_madvise(const unsigned long *args, long result, int index,
			    const struct mmun_change *change)
{
	return unchanged_advice(args[2], args, result, change);
}

/* Does this /proc count processes as we do? */
static bool proc_is_ours(void)
{
	char self[24];
	long n = mmun_syscall3(SYS_readlink, (long)"/proc/self", (long)self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = 0;
	return (long)mmun_decimal(self) == mmun_syscall3(SYS_getpid, 0, 0, 0);
}

/* Reads "Pid:" of /proc/self/fdinfo/FD; 0: not to be known. */
static long pidfd_process_by_text(int fd)
{
	char path[40] = "/proc/self/fdinfo/", text[512], *p;
	int info;
	long n;

	mmun_put_number(path + 18, (unsigned long)fd, 10);
	info = mmun_self_open(path);
	if (info < 0)
		return 0;
	n = mmun_syscall6(SYS_read, info, (long)text, sizeof(text) - 1, 0, 0, 0);
	mmun_self_close(info);
	text[n > 0 ? n : 0] = 0;
	for (p = text; *p && __builtin_strncmp(p, "\nPid:\t", 6); p++)
		;
	return *p && proc_is_ours() ? (long)mmun_decimal(p + 6) : 0;
}

static long pidfd_process(int fd)
{
	struct pidfd_info info = { .mask = PIDFD_INFO_PID };

	if (!mmun_syscall3(SYS_ioctl, fd, PIDFD_GET_INFO, (long)&info) && info.pid)
		return info.pid;
	return pidfd_process_by_text(fd);
}

/* Does the process share our memory (it is us, or one is the other's vfork
 * child)?  Where the kernel does not say: yes, a superset is allowed. */
static bool may_share_memory(long pid)
{
	long own = mmun_syscall3(SYS_getpid, 0, 0, 0);

	return !pid || pid == own || mmun_syscall3(SYS_kcmp, own, pid, KCMP_VM) <= 0;
}

/* The kernel has numbers below 0 that mean the caller. */
static bool may_be_own_pidfd(int fd)
{
	return fd < 0 || may_share_memory(pidfd_process(fd));
}

/* process_madvise(pidfd, iovec, count, advice, flags) */
bool mmun_describe_process_madvise(const unsigned long *args, struct mmun_change *change)
{
	unsigned long unit = unit_in_all_mappings(args[3]);
	struct iovec piece;

	if (!describe_advice(change, args[3]) || !may_be_own_pidfd(args[0]))
		return false;
	for (unsigned long i = 0; i < args[2] && i < 1024; i++) {
		int read = mmun_read_program(&piece, args[1] + i * sizeof(piece), sizeof(piece));
		unsigned long start = mmun_untagged((unsigned long)piece.iov_base);
		unsigned long end = mmun_page_up(start + piece.iov_len);

		if (read < 0)
			mmun_change_add(change, MMUN_WHOLE_START, MMUN_WHOLE_END);
		if (read <= 0)
			break;
		if ((start & ~MMUN_PAGE_MASK) || start >= end)
			continue;
		mmun_change_add(change, start, end);
		if (unit)
			mmun_add_shared_pages(change, start, end, unit);
	}
	return change->nr_ranges > 0;
}

bool mmun_unchanged_process_madvise(const unsigned long *args, long result, int index,
				    const struct mmun_change *change)
{
	return unchanged_advice(args[3], args, result, change);
}
