/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* madvise and process_madvise. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "operations.h"

#define RW         (PROT_READ | PROT_WRITE)
#define HUGE_BYTES (2UL << 20)

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define ADVICE_GUARD_INSTALL  102
#define ADVICE_GUARD_REMOVE   103
#define PIDFD_OF_SELF_PROCESS (-10001)

static const char *middle_of(struct region *r, const char *why)
{
	if (!why)
		region_expect(r, 4, 4);
	return why;
}

static const char *anon(struct region *r)
{
	return middle_of(r, region_anon(r));
}

static const char *memfd(struct region *r)
{
	r->fd = memfd_create("contract", MFD_CLOEXEC);
	r->size = AREA_BYTES;
	if (r->fd < 0 || ftruncate(r->fd, (off_t)r->size))
		return "no memfd";
	r->base = mmap(NULL, r->size, RW, MAP_SHARED, r->fd, 0);
	if (r->base == MAP_FAILED)
		return "mmap failed";
	region_fill(r->base, r->size, 17);
	region_watch(r, 0, AREA_PAGES);
	return middle_of(r, NULL);
}

static const char *anon_locked(struct region *r)
{
	const char *why = anon(r);

	/* A sanitizer makes nothing of mlock(). */
	if (!why && syscall(SYS_mlock, r->base, r->size))
		why = "mlock is not permitted";
	return why;
}

static const char *anon_locked_quiet(struct region *r)
{
	const char *why = anon_locked(r);

	r->nr_expect = 0;
	return why;
}

static const char *anon_with_hole(struct region *r)
{
	const char *why = region_anon(r);

	if (!why && munmap(r->base + 5 * PAGE_BYTES, PAGE_BYTES))
		why = "cannot make a hole";
	return middle_of(r, why);
}

static const char *anon_mergeable(struct region *r)
{
	const char *why = anon(r);

	if (!why && madvise(r->base, r->size, MADV_MERGEABLE))
		why = "the kernel has no KSM";
	return why;
}

static bool map_and_fill(char *at, size_t size)
{
	if (mmap(at, size, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at)
		return false;
	region_fill(at, size, 19);
	return true;
}

/*
 * Small pages, populated, in one mapping of a size that can collapse.  It grew in two
 * steps, so no fault found room for a huge page; and without MADV_HUGEPAGE the kernel's own
 * thread does not collapse it before the call does, where only advised memory is.
 */
static const char *anon_collapsible(struct region *r)
{
	char *room = region_room(HUGE_BYTES, HUGE_BYTES);

	if (!room)
		return "no room";
	if (access("/sys/kernel/mm/transparent_hugepage", F_OK))
		return "no transparent huge pages";
	r->size = HUGE_BYTES;
	r->base = room;
	if (!map_and_fill(room, HUGE_BYTES / 2) ||
	    !map_and_fill(room + HUGE_BYTES / 2, HUGE_BYTES / 2))
		return "no room";
	region_watch(r, 0, AREA_PAGES);
	region_expect_at(r, (unsigned long)r->base, r->size);
	return NULL;
}

/* Clean pages of a disk file can be paged out without swap. */
static const char *disk_clean(struct region *r)
{
	strcpy(r->path, REGION_FILE "XXXXXX");
	r->fd = mkstemp(r->path);
	r->size = AREA_BYTES;
	if (r->fd < 0 || ftruncate(r->fd, (off_t)r->size))
		return "no disk file";
	for (size_t at = 0; at < r->size; at += PAGE_BYTES)
		if (pwrite(r->fd, "x", 1, (off_t)at) != 1)
			return "cannot write the file";
	fsync(r->fd);
	r->base = mmap(NULL, r->size, PROT_READ, MAP_SHARED, r->fd, 0);
	if (r->base == MAP_FAILED)
		return "mmap failed";
	for (size_t at = 0; at < r->size; at += PAGE_BYTES)
		(void)*(volatile char *)(r->base + at);
	region_watch(r, 0, AREA_PAGES);
	return middle_of(r, NULL);
}

static long advise(struct region *r, int advice)
{
	return r->c->madvise(r->base + 4 * PAGE_BYTES, 4 * PAGE_BYTES, advice);
}

#define ADVISE(name, advice) \
	static long name(struct region *r) \
	{ \
		return advise(r, advice); \
	}
ADVISE(dontneed, MADV_DONTNEED)
ADVISE(lazy_free, MADV_FREE)
ADVISE(punch, MADV_REMOVE)
ADVISE(dontneed_locked, MADV_DONTNEED_LOCKED)
ADVISE(guard, ADVICE_GUARD_INSTALL)
ADVISE(unguard, ADVICE_GUARD_REMOVE)
ADVISE(page_out, MADV_PAGEOUT)
ADVISE(cold, MADV_COLD)
ADVISE(will_need, MADV_WILLNEED)
ADVISE(dont_fork, MADV_DONTFORK)
ADVISE(unmerge, MADV_UNMERGEABLE)
ADVISE(populate_write, MADV_POPULATE_WRITE)
ADVISE(no_such_advice, 9999)

/* EAGAIN: a page was busy elsewhere, in reclaim or on its way to a list; madvise(2) says to
 * try again. */
static long collapse(struct region *r)
{
	long ret;
	int tries = 100;

	do {
		*r->c->errno_at() = 0;
		ret = r->c->madvise(r->base, r->size, MADV_COLLAPSE);
	} while (ret < 0 && *r->c->errno_at() == EAGAIN && --tries);
	return ret;
}

static long dontneed_misaligned(struct region *r)
{
	return r->c->madvise(r->base + 1, PAGE_BYTES, MADV_DONTNEED);
}

static long dontneed_nothing(struct region *r)
{
	return r->c->madvise(r->base, 0, MADV_DONTNEED);
}

static const char *anon_pidfd(struct region *r)
{
	const char *why = anon(r);

	r->fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	return r->fd < 0 ? "no pidfd_open" : why;
}

static const char *anon_self_process(struct region *r)
{
	struct iovec nothing = { NULL, 0 };

	if (syscall(SYS_process_madvise, PIDFD_OF_SELF_PROCESS, &nothing, 1, MADV_COLD, 0) < 0)
		return "the kernel has no PIDFD_SELF";
	r->fd = PIDFD_OF_SELF_PROCESS;
	return anon(r);
}

static const char *anon_pidfd_two(struct region *r)
{
	const char *why = anon_pidfd(r);

	if (!why)
		region_expect(r, 12, 2);
	return why;
}

static long process_dontneed(struct region *r)
{
	struct iovec middle = { r->base + 4 * PAGE_BYTES, 4 * PAGE_BYTES };

	return r->c->process_madvise(r->fd, &middle, 1, MADV_DONTNEED, 0);
}

static long process_dontneed_two(struct region *r)
{
	struct iovec two[] = { { r->base + 4 * PAGE_BYTES, 4 * PAGE_BYTES },
			       { r->base + 12 * PAGE_BYTES, 2 * PAGE_BYTES } };

	return r->c->process_madvise(r->fd, two, 2, MADV_DONTNEED, 0);
}

/* The second element fails: the kernel answers with what the first one did. */
static long process_dontneed_partly(struct region *r)
{
	struct iovec two[] = { { r->base + 4 * PAGE_BYTES, 4 * PAGE_BYTES },
			       { r->base + 1, PAGE_BYTES } };

	return r->c->process_madvise(r->fd, two, 2, MADV_DONTNEED, 0);
}

static long process_bad_fd(struct region *r)
{
	struct iovec middle = { r->base + 4 * PAGE_BYTES, 4 * PAGE_BYTES };

	return r->c->process_madvise(-1, &middle, 1, MADV_DONTNEED, 0);
}

static const char *anon_other_process(struct region *r)
{
	const char *why = region_anon(r);

	/* Our parent has other memory at this address, or none. */
	r->fd = (int)syscall(SYS_pidfd_open, getppid(), 0);
	return r->fd < 0 ? "no pidfd_open" : why;
}

static long process_cold_other(struct region *r)
{
	struct iovec middle = { r->base + 4 * PAGE_BYTES, 4 * PAGE_BYTES };

	/* Whether the other process has pages there is no matter of ours. */
	r->c->process_madvise(r->fd, &middle, 1, MADV_PAGEOUT, 0);
	*r->c->errno_at() = 0;
	return 0;
}

#define ADVICE(name_, op_, flags_, prepare_, act_) \
	{ \
		name_, MMUN_OP_##op_, MMU_NOTIFY_CLEAR, flags_, prepare_, act_ \
	}

const struct operation operations_advice[] = {
	ADVICE("madvise DONTNEED", MADV_DONTNEED, 0, anon, dontneed),
	ADVICE("madvise DONTNEED, shared file", MADV_DONTNEED, 0, memfd, dontneed),
	ADVICE("madvise DONTNEED across a hole: ENOMEM, yet the pages go", MADV_DONTNEED,
	       OP_FAILS | OP_LOOSE, anon_with_hole, dontneed),
	ADVICE("madvise DONTNEED, locked: EINVAL", MADV_DONTNEED, OP_QUIET | OP_FAILS,
	       anon_locked_quiet, dontneed),
	ADVICE("madvise DONTNEED, misaligned: EINVAL", MADV_DONTNEED, OP_QUIET | OP_FAILS,
	       region_anon, dontneed_misaligned),
	ADVICE("madvise DONTNEED, length 0", MADV_DONTNEED, OP_QUIET, region_anon,
	       dontneed_nothing),
	ADVICE("madvise FREE", MADV_FREE, OP_INVISIBLE | OP_PINNED_SAFE, anon, lazy_free),
	ADVICE("madvise REMOVE, shared file", MADV_REMOVE, 0, memfd, punch),
	ADVICE("madvise REMOVE, anonymous: EINVAL", MADV_REMOVE, OP_QUIET | OP_FAILS, region_anon,
	       punch),
	ADVICE("madvise DONTNEED_LOCKED", MADV_DONTNEED_LOCKED, 0, anon_locked, dontneed_locked),
	ADVICE("madvise GUARD_INSTALL", MADV_GUARD_INSTALL, 0, anon, guard),
	ADVICE("madvise GUARD_REMOVE", MADV_GUARD_INSTALL, OP_QUIET, region_anon, unguard),
	ADVICE("madvise PAGEOUT, clean file pages", MADV_PAGEOUT, OP_PINNED_SAFE, disk_clean,
	       page_out),
	ADVICE("madvise COLLAPSE", MADV_COLLAPSE, OP_PINNED_SAFE, anon_collapsible, collapse),
	ADVICE("madvise UNMERGEABLE", MADV_UNMERGEABLE, OP_PINNED_SAFE | OP_INVISIBLE,
	       anon_mergeable, unmerge),
	ADVICE("madvise COLD", NONE, OP_QUIET, region_anon, cold),
	ADVICE("madvise WILLNEED", NONE, OP_QUIET, region_anon, will_need),
	ADVICE("madvise DONTFORK", NONE, OP_QUIET, region_anon, dont_fork),
	ADVICE("madvise POPULATE_WRITE", NONE, OP_QUIET, region_anon, populate_write),
	ADVICE("madvise with unknown advice: EINVAL", NONE, OP_QUIET | OP_FAILS, region_anon,
	       no_such_advice),
	ADVICE("process_madvise DONTNEED by pidfd", MADV_DONTNEED, 0, anon_pidfd, process_dontneed),
	ADVICE("process_madvise DONTNEED by PIDFD_SELF", MADV_DONTNEED, 0, anon_self_process,
	       process_dontneed),
	ADVICE("process_madvise DONTNEED of two ranges", MADV_DONTNEED, OP_LOOSE, anon_pidfd_two,
	       process_dontneed_two),
	ADVICE("process_madvise DONTNEED, second range bad", MADV_DONTNEED, OP_LOOSE, anon_pidfd,
	       process_dontneed_partly),
	ADVICE("process_madvise DONTNEED, bad fd: EBADF", MADV_DONTNEED, OP_QUIET | OP_FAILS,
	       region_anon, process_bad_fd),
	ADVICE("process_madvise PAGEOUT of another process", MADV_PAGEOUT, OP_QUIET,
	       anon_other_process, process_cold_other),
	{ 0 },
};
