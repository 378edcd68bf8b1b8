/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of system calls that change translations, and for each the range,
 * the class and the sign that nothing happened.  Ranges are what Linux hands
 * its own notifiers for the same call (docs/EVENTS.md), or more, never less.
 * Tests: tests/contract.
 */
#include "call.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "state.h"
#include "vma.h"

/* Younger than the headers of some systems this builds on. */
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif

bool mmun_failed_cleanly(long result)
{
	switch (result) {
	case -EINVAL:
	case -EBADF:
	case -EPERM:
	case -EACCES:
	case -EEXIST:
	case -EOPNOTSUPP:
	case -ENOSYS:
	case -ENOENT:
	case -ENOTDIR:
	case -EISDIR:
	case -ESRCH:
	case -EFBIG:
	case -EROFS:
	case -ETXTBSY:
	case -ENODEV:
	case -ESPIPE:
	case -ELOOP:
	case -ENAMETOOLONG:
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

bool mmun_change_covers(const struct mmun_change *change, unsigned long start, unsigned long end)
{
	for (int i = 0; i < change->nr_ranges; i++)
		if (change->range[i].start <= start && end <= change->range[i].end)
			return true;
	return false;
}

bool mmun_change_one_range(struct mmun_change *change, enum mmun_op op,
			   enum mmu_notifier_event event, unsigned long start, unsigned long length)
{
	unsigned long end;

	start = mmun_untagged(start);
	end = mmun_page_up(start + length);
	if ((start & ~MMUN_PAGE_MASK) || !length || end <= start)
		return false;
	change->op = op;
	change->event = event;
	mmun_change_add(change, start, end);
	return true;
}

unsigned long mmun_huge_end(unsigned long start, unsigned long end)
{
	unsigned long size = start & (MMUN_HUGE_1G - 1) ? MMUN_HUGE_2M : MMUN_HUGE_1G;
	unsigned long huge_end = (end + size - 1) & -size;

	/* Huge pages lie at multiples of their size. */
	return start & (MMUN_HUGE_2M - 1) || huge_end < end ? end : huge_end;
}

static bool describe_munmap(const unsigned long *args, struct mmun_change *change)
{
	return mmun_change_one_range(change, MMUN_OP_MUNMAP, MMU_NOTIFY_UNMAP, args[0], args[1]);
}

/*
 * Huge pages replace more than was asked for.  Which size is the default one, and what
 * page size a file has that cannot be looked at, is not known.
 */
static unsigned long mapped_end(const unsigned long *args, unsigned long start)
{
	unsigned long end = start + args[1], size;
	struct stat file;

	if (start & (MMUN_HUGE_2M - 1) || end < start)
		return end;
	if (args[3] & MAP_ANONYMOUS) {
		if (!(args[3] & MAP_HUGETLB))
			return end;
		size = 1UL << (args[3] >> MAP_HUGE_SHIFT & MAP_HUGE_MASK);
		return size > 1 ? (end + size - 1) & -size : mmun_huge_end(start, end);
	}
	/* What files of huge pages report; elsewhere a superset. */
	if (!mmun_syscall3(SYS_fstat, args[4], (unsigned long)&file, 0) &&
	    file.st_blksize < (long)MMUN_HUGE_2M)
		return end;
	return mmun_huge_end(start, end);
}

/* New memory matters only where it takes the place of old. */
static bool describe_mmap(const unsigned long *args, struct mmun_change *change)
{
	if ((args[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != MAP_FIXED)
		return false;
	return mmun_change_one_range(change, MMUN_OP_MMAP_FIXED, MMU_NOTIFY_UNMAP, args[0],
				     mapped_end(args, mmun_untagged(args[0])) -
					     mmun_untagged(args[0]));
}

/* The old memory is gone before a file system or driver can say no; anonymous huge pages
 * are those of a file. */
static bool unchanged_mmap(const unsigned long *args, long result, int index,
			   const struct mmun_change *change)
{
	if (result == -EBADF)
		return true;
	return (args[3] & MAP_ANONYMOUS) && !(args[3] & MAP_HUGETLB) &&
	       (result == -EINVAL || result == -EPERM || result == -EACCES);
}

bool mmun_unchanged_in_one_mapping(const unsigned long *args, long result, int index,
				   const struct mmun_change *change)
{
	return mmun_failed_cleanly(result) &&
	       mmun_vma_is_one(change->range[0].start, change->range[0].end);
}

/* What @start lies in.  1: found; 0: nothing is there; -1: not to be known. */
static int find_mapping(unsigned long start, struct mmun_vma_place *place)
{
	struct mmun_vma_walk walk;
	bool found;

	if (mmun_vma_walk_start(&walk, start, false))
		return -1;
	found = mmun_vma_walk_next_place(&walk, place, NULL, 0) && place->start <= start;
	return mmun_vma_walk_end(&walk) ? -1 : found;
}

/* A driver may refuse what takes the place of memory that is gone.  Private memory is
 * refused at once, and is still there. */
static bool unchanged_remap_file_pages(const unsigned long *args, long result, int index,
				       const struct mmun_change *change)
{
	struct mmun_vma_place place;

	return result == -EINVAL && find_mapping(change->range[0].start, &place) > 0 &&
	       !place.shared && place.end >= change->range[0].end;
}

/* The file system may have done part of it. */
static bool unchanged_file_part(const unsigned long *args, long result, int index,
				const struct mmun_change *change)
{
	return result == -EBADF || result == -ENOTTY || result == -EOPNOTSUPP || result == -EXDEV;
}

/* Pages of hugetlbfs at @start?  Where nobody knows: yes. */
static bool may_be_huge(unsigned long start)
{
	struct mmun_vma_place place;
	int found = find_mapping(start, &place);

	return found < 0 || (found && place.page_size != MMUN_PAGE_SIZE);
}

/* Lengths that count in whole huge pages, if there are some. */
static bool mremap_walks(const unsigned long *args)
{
	return !(mmun_untagged(args[0]) & (MMUN_HUGE_2M - 1)) &&
	       ((args[1] | args[2]) & (MMUN_HUGE_2M - 1)) > 0;
}

static unsigned long length_at(unsigned long start, unsigned long length, bool huge)
{
	length = mmun_page_up(length);
	return huge ? mmun_huge_end(start, start + length) - start : length;
}

/* Range 0: what is left or lost of the old place; range 1: the new place. */
static bool describe_mremap(const unsigned long *args, struct mmun_change *change)
{
	unsigned long old = mmun_untagged(args[0]), target = args[4], flags = args[3];
	bool huge = mremap_walks(args) && may_be_huge(old);
	unsigned long old_length = length_at(old, args[1], huge);
	unsigned long new_length = mmun_page_up(args[2]);

	if ((old & ~MMUN_PAGE_MASK) || !new_length)
		return false;
	change->op = MMUN_OP_MREMAP;
	change->event = MMU_NOTIFY_UNMAP;
	/* No memory is that long; yet the new place may be cleared before that is seen. */
	if (old + old_length < old)
		old_length = new_length;
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))
		mmun_change_add(change, old, old + old_length);
	else if (new_length < old_length)
		mmun_change_add(change, old + new_length, old + old_length);
	else if (flags & MREMAP_MAYMOVE && new_length > old_length)
		mmun_change_add(change, old, old + old_length);
	new_length = length_at(target, args[2], huge);
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

	return (args[3] & ~7UL) || !(args[3] & MREMAP_MAYMOVE) || (args[4] & ~MMUN_PAGE_MASK) ||
	       (args[4] < old_end && args[0] < new_end);
}

static bool unchanged_mremap(const unsigned long *args, long result, int index,
			     const struct mmun_change *change)
{
	bool shrinks = mmun_page_up(args[2]) < mmun_page_up(args[1]);
	bool is_target = args[3] & MREMAP_FIXED && change->range[index].start == args[4];

	if (result >= 0 || result < -4095)
		return (unsigned long)result == args[0] && !shrinks && !(args[3] & MREMAP_FIXED);
	/* Failures may come after the new place was cleared, and after the tail
	 * of the old one was cut off. */
	if (is_target)
		return is_bad_mremap(args);
	return !shrinks && mmun_vma_is_one(change->range[index].start, change->range[index].end);
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
	/* Not even that much is answered: anything may be given up. */
	if (now > -4096UL)
		mmun_change_add(change, mmun_page_up(args[0]), MMUN_WHOLE_END);
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
	if (!mmun_change_one_range(change, MMUN_OP_MPROTECT, MMU_NOTIFY_PROTECTION_VMA, args[0],
				   args[1]))
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
	return mmun_change_one_range(change, MMUN_OP_REMAP_FILE_PAGES, MMU_NOTIFY_UNMAP,
				     args[0] & MMUN_PAGE_MASK, args[1] & MMUN_PAGE_MASK);
}

static long read_memory(void *to, unsigned long from, unsigned long size)
{
	struct iovec local = { to, size }, remote = { (void *)from, size };

	return mmun_syscall6(SYS_process_vm_readv, mmun_syscall3(SYS_getpid, 0, 0, 0), (long)&local,
			     1, (long)&remote, 1, 0);
}

/* Where memory that is there cannot be read either, the answer says nothing. */
int mmun_read_program(void *to, unsigned long from, unsigned long size)
{
	char there = 0, copy;

	if (read_memory(to, from, size) == (long)size)
		return 1;
	return read_memory(&copy, (unsigned long)&there, 1) == 1 ? 0 : -1;
}

/* clang-format off */
#define OPENS(call) \
	.op = MMUN_OP_TRUNCATE, .describe = mmun_describe_##call, .walks = true, \
	.renew = mmun_renew_opened, .is_cancellation_point = true, \
	.concerns = mmun_##call##_truncates

/* CALL(name, members of struct mmun_call) for each. */
#define MEMORY_CALLS(CALL) \
	CALL(munmap, .describe = describe_munmap) \
	CALL(mmap, .describe = describe_mmap, .unchanged = unchanged_mmap) \
	CALL(mremap, .op = MMUN_OP_MREMAP, .describe = describe_mremap, \
	     .unchanged = unchanged_mremap, .may_walk = mremap_walks) \
	CALL(brk, .op = MMUN_OP_BRK, .describe = describe_brk, \
	     .unchanged = unchanged_brk, .walks = true) \
	CALL(mprotect, .describe = describe_mprotect, \
	     .unchanged = mmun_unchanged_in_one_mapping) \
	CALL(pkey_mprotect, .describe = describe_mprotect, \
	     .unchanged = mmun_unchanged_in_one_mapping) \
	CALL(madvise, .op = MMUN_OP_MADV_REMOVE, .describe = mmun_describe_madvise, \
	     .unchanged = mmun_unchanged_madvise, .may_walk = mmun_madvise_walks) \
	CALL(process_madvise, .op = MMUN_OP_MADV_DONTNEED, \
	     .describe = mmun_describe_process_madvise, \
	     .unchanged = mmun_unchanged_process_madvise, .walks = true) \
	CALL(remap_file_pages, .describe = describe_remap_file_pages, \
	     .unchanged = unchanged_remap_file_pages) \
	CALL(shmat, .op = MMUN_OP_SHMAT, .describe = mmun_describe_shmat, .walks = true) \
	CALL(shmdt, .op = MMUN_OP_SHMDT, .describe = mmun_describe_shmdt, .walks = true) \
	CALL(truncate, .op = MMUN_OP_TRUNCATE, .describe = mmun_describe_truncate, \
	     .walks = true) \
	CALL(ftruncate, .op = MMUN_OP_TRUNCATE, .describe = mmun_describe_ftruncate, \
	     .walks = true) \
	CALL(fallocate, .op = MMUN_OP_FALLOCATE, .describe = mmun_describe_fallocate, \
	     .walks = true, .is_cancellation_point = true) \
	CALL(ioctl, .op = MMUN_OP_FALLOCATE, .describe = mmun_describe_ioctl, \
	     .unchanged = unchanged_file_part, .walks = true, .concerns = mmun_ioctl_punches) \
	CALL(copy_file_range, .op = MMUN_OP_FALLOCATE, .describe = mmun_describe_copy, \
	     .unchanged = unchanged_file_part, .walks = true, .is_cancellation_point = true, \
	     .concerns = mmun_copy_may_share) \
	CALL(openat, OPENS(openat)) \
	CALL(openat2, OPENS(openat2)) \
	CALL(open_by_handle_at, OPENS(open_by_handle)) \
	CALL(open, OPENS(open)) \
	CALL(creat, OPENS(creat))

static const struct mmun_call calls[] = {
#define CALL(name, ...) [SYS_##name] = { __VA_ARGS__ },
	MEMORY_CALLS(CALL)
#undef CALL
};

const unsigned char mmun_self_classes[512] = {
#define CALL(name, ...) [SYS_##name] = MMUN_CLASS_ORDINARY,
	MEMORY_CALLS(CALL)
#undef CALL
	[SYS_execve] = MMUN_CLASS_ORDINARY,
	[SYS_execveat] = MMUN_CLASS_ORDINARY,
	[SYS_exit_group] = MMUN_CLASS_ORDINARY,
	[SYS_clone] = MMUN_CLASS_CLONE,
	[SYS_fork] = MMUN_CLASS_FORK,
	[SYS_clone3] = MMUN_CLASS_FORK,
};
/* clang-format on */

const struct mmun_call *mmun_call_of(int nr)
{
	if (nr < 0 || (size_t)nr >= sizeof(calls) / sizeof(calls[0]) || !calls[nr].describe)
		return NULL;
	return &calls[nr];
}

bool mmun_self_wants_elsewhere(int nr, bool is_go)
{
	if (is_go)
		return nr == SYS_munmap || nr == SYS_madvise || nr == SYS_mmap;
	return mmun_call_of(nr) != NULL;
}

/* In the C library's own code clone3() makes threads only and vfork() shares the memory: neither
 * is a site. */
bool mmun_self_wants(int nr)
{
	return nr > 0 && nr < 512 && mmun_self_classes[nr] && nr != SYS_fork && nr != SYS_clone3;
}
