/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* primary/self/call.c: the range, class and outcome of each memory call. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../primary/self/descriptor.c"
#include "../../../primary/self/vma.c"
#include "../../../primary/self/call.c"
#include "../../../primary/self/advice.c"
#include "../../../primary/self/file.c"
#include "../../../primary/self/shm.c"
#include "tap.h"

#define P 4096UL
#define A 0x7f0000000000UL
#define B 0x7f1000000000UL
#define H (2UL << 20)
#define G (1UL << 30)

struct expected {
	const char *name;
	int nr;
	unsigned long args[6];
	int nr_ranges;
	struct {
		unsigned long start, end;
	} range[2];
	enum mmun_op op;
	enum mmu_notifier_event event;
	bool pinned_safe;
};

#define NOTHING 0, { { 0, 0 } }, MMUN_OP_NONE, MMU_NOTIFY_UNMAP, false
#define ONE(start, end, op, event, safe) \
	1, { { start, end } }, MMUN_OP_##op, MMU_NOTIFY_##event, safe

/* clang-format off */
static const struct expected table[] = {
	{ "munmap", SYS_munmap, { A, 3 * P }, ONE(A, A + 3 * P, MUNMAP, UNMAP, false) },
	{ "munmap of part of a page", SYS_munmap, { A, 1 }, ONE(A, A + P, MUNMAP, UNMAP, false) },
	{ "munmap, unaligned", SYS_munmap, { A + 1, P }, NOTHING },
	{ "munmap of nothing", SYS_munmap, { A, 0 }, NOTHING },
	{ "munmap that wraps", SYS_munmap, { A, -A }, NOTHING },
	{ "mmap", SYS_mmap, { A, P, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1UL, 0 }, NOTHING },
	{ "mmap fixed", SYS_mmap, { A, P + 1, 3, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1UL, 0 },
	  ONE(A, A + 2 * P, MMAP_FIXED, UNMAP, false) },
	{ "mmap fixed, no replacing", SYS_mmap,
	  { A, P, 3, MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1UL, 0 }, NOTHING },
	{ "mremap shrink", SYS_mremap, { A, 4 * P, P, 0, 0 },
	  ONE(A + P, A + 4 * P, MREMAP, UNMAP, false) },
	{ "mremap grow in place or not at all", SYS_mremap, { A, P, 2 * P, 0, 0 }, NOTHING },
	{ "mremap grow, may move", SYS_mremap, { A, P, 2 * P, MREMAP_MAYMOVE, 0 },
	  ONE(A, A + P, MREMAP, UNMAP, false) },
	{ "mremap same size", SYS_mremap, { A, P, P, MREMAP_MAYMOVE, 0 }, NOTHING },
	{ "mremap fixed: old place, new place", SYS_mremap,
	  { A, P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, B },
	  2, { { A, A + P }, { B, B + 2 * P } }, MMUN_OP_MREMAP, MMU_NOTIFY_UNMAP, false },
	{ "mremap of a shared mapping to a second place", SYS_mremap,
	  { A, 0, P, MREMAP_MAYMOVE, 0 }, NOTHING },
	{ "mremap dontunmap", SYS_mremap, { A, P, P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0 },
	  ONE(A, A + P, MREMAP, UNMAP, false) },
	{ "mmap fixed of huge pages", SYS_mmap,
	  { A + H, P, 3, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1UL, 0 },
	  ONE(A + H, A + 2 * H, MMAP_FIXED, UNMAP, false) },
	{ "mmap fixed of huge pages that may be of 1 GiB", SYS_mmap,
	  { A, P, 3, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1UL, 0 },
	  ONE(A, A + G, MMAP_FIXED, UNMAP, false) },
	{ "mmap fixed of huge pages of 2 MiB", SYS_mmap,
	  { A, P, 3, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT,
	    -1UL, 0 }, ONE(A, A + H, MMAP_FIXED, UNMAP, false) },
	{ "mmap fixed of a file that cannot be looked at", SYS_mmap,
	  { A + H, P, 3, MAP_FIXED | MAP_SHARED, 9999, 0 },
	  ONE(A + H, A + 2 * H, MMAP_FIXED, UNMAP, false) },
	{ "mmap fixed of the same where no huge page can lie", SYS_mmap,
	  { A + P, P, 3, MAP_FIXED | MAP_SHARED, 9999, 0 },
	  ONE(A + P, A + 2 * P, MMAP_FIXED, UNMAP, false) },
	{ "munmap of a tagged address", SYS_munmap, { A | 0x2aUL << 57, P },
	  ONE(A, A + P, MUNMAP, UNMAP, false) },
	{ "madvise of a tagged address", SYS_madvise, { A | 1UL << 62, P, MADV_DONTNEED },
	  ONE(A, A + P, MADV_DONTNEED, CLEAR, false) },
	{ "mremap of a tagged address", SYS_mremap, { A | 1UL << 57, 4 * P, P, 0, 0 },
	  ONE(A + P, A + 4 * P, MREMAP, UNMAP, false) },
	{ "B14: mremap fixed of more than there is: the new place is cleared first", SYS_mremap,
	  { A, -P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, B },
	  2, { { A, A + 2 * P }, { B, B + 2 * P } }, MMUN_OP_MREMAP, MMU_NOTIFY_UNMAP, false },
	{ "mremap fixed to a place that wraps", SYS_mremap,
	  { A, P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, -P }, ONE(A, A + P, MREMAP, UNMAP, false) },
	{ "mprotect to where the mapping begins", SYS_mprotect, { A, P, PROT_GROWSDOWN },
	  ONE(0, A + P, MPROTECT, PROTECTION_VMA, true) },
	{ "mprotect", SYS_mprotect, { A, P, 0 }, ONE(A, A + P, MPROTECT, PROTECTION_VMA, true) },
	{ "pkey_mprotect", SYS_pkey_mprotect, { A, P, 1, 1 },
	  ONE(A, A + P, MPROTECT, PROTECTION_VMA, true) },
	{ "remap_file_pages", SYS_remap_file_pages, { A, 2 * P, 0, 1, 0 },
	  ONE(A, A + 2 * P, REMAP_FILE_PAGES, UNMAP, false) },
	{ "DONTNEED", SYS_madvise, { A, P, MADV_DONTNEED }, ONE(A, A + P, MADV_DONTNEED, CLEAR, false) },
	{ "FREE", SYS_madvise, { A, P, MADV_FREE }, ONE(A, A + P, MADV_FREE, CLEAR, true) },
	{ "REMOVE", SYS_madvise, { A, P, MADV_REMOVE }, ONE(A, A + P, MADV_REMOVE, CLEAR, false) },
	{ "DONTNEED_LOCKED", SYS_madvise, { A, P, 24 },
	  ONE(A, A + P, MADV_DONTNEED_LOCKED, CLEAR, false) },
	{ "GUARD_INSTALL", SYS_madvise, { A, P, 102 },
	  ONE(A, A + P, MADV_GUARD_INSTALL, CLEAR, false) },
	{ "PAGEOUT", SYS_madvise, { A, P, MADV_PAGEOUT }, ONE(A, A + P, MADV_PAGEOUT, CLEAR, true) },
	{ "COLLAPSE", SYS_madvise, { A, P, 25 }, ONE(A, A + P, MADV_COLLAPSE, CLEAR, true) },
	{ "WILLNEED", SYS_madvise, { A, P, MADV_WILLNEED }, NOTHING },
	{ "COLD", SYS_madvise, { A, P, MADV_COLD }, NOTHING },
	{ "DONTFORK", SYS_madvise, { A, P, MADV_DONTFORK }, NOTHING },
};
/* clang-format on */

static void check(const struct expected *e)
{
	struct mmun_change change = { .flags = 0 };
	const struct mmun_call *call = mmun_call_of(e->nr);
	bool notified = call->describe(e->args, &change);

	if (!ok(notified == (e->nr_ranges > 0), "%s: %s", e->name,
		e->nr_ranges ? "notified" : "silent") ||
	    !notified)
		return;
	is(change.nr_ranges, e->nr_ranges, "%s: number of ranges", e->name);
	is(change.op, e->op, "%s: operation", e->name);
	is(change.event, e->event, "%s: class", e->name);
	is(!!(change.flags & MMUN_RANGE_PINNED_SAFE), e->pinned_safe, "%s: pinned pages", e->name);
	for (int i = 0; i < e->nr_ranges && i < change.nr_ranges; i++) {
		is(change.range[i].start, e->range[i].start, "%s: start %d", e->name, i);
		is(change.range[i].end, e->range[i].end, "%s: end %d", e->name, i);
	}
}

/* What the range @index of this call says of @result. */
static bool unchanged(int nr, const unsigned long *args, long result, int index)
{
	const struct mmun_call *call = mmun_call_of(nr);
	struct mmun_change change = { .flags = 0 };

	call->describe(args, &change);
	return call->unchanged ? call->unchanged(args, result, index, &change)
			       : mmun_failed_cleanly(result);
}

static void check_mremap_outcomes(unsigned long one)
{
	const unsigned long grow[6] = { one, P, 2 * P, MREMAP_MAYMOVE };
	const unsigned long shrink[6] = { one, 2 * P, P, 0 };
	const unsigned long fixed[6] = { one, P, P, MREMAP_MAYMOVE | MREMAP_FIXED, B };
	const unsigned long overlap[6] = { one, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED,
					   one + P };

	ok(unchanged(SYS_mremap, grow, one, 0), "mremap that grew in place changed nothing");
	ok(!unchanged(SYS_mremap, grow, B, 0), "mremap that moved changed the old place");
	ok(!unchanged(SYS_mremap, shrink, one, 0), "mremap that shrank changed the tail");
	ok(unchanged(SYS_mremap, overlap, -EINVAL, 1), "mremap onto itself changed nothing");
	ok(!unchanged(SYS_mremap, fixed, -ENOMEM, 1),
	   "mremap failed late: the new place may be cleared");
	ok(!unchanged(SYS_mremap, fixed, -EPERM, 1), "mremap forbidden: the same");
	ok(unchanged(SYS_mremap, fixed, -ENOMEM, 0), "mremap failed: old place as before");
}

/* Two mappings side by side, the second with other rights. */
static void check_partial_failures(unsigned long one)
{
	const unsigned long whole[6] = { one, P, MADV_DONTNEED };
	const unsigned long both[6] = { one, 4 * P, MADV_DONTNEED };
	const unsigned long rights[6] = { one, 4 * P, PROT_READ };
	const unsigned long collapse[6] = { one, P, MADV_COLLAPSE };
	const unsigned long offline[6] = { one, P, MADV_SOFT_OFFLINE };
	const unsigned long gone[6] = { A, P };

	ok(unchanged(SYS_madvise, whole, -EINVAL, 0), "madvise refused in one mapping: unchanged");
	ok(!unchanged(SYS_madvise, collapse, -EINVAL, 0),
	   "B14: MADV_COLLAPSE refused: pages before may be collapsed");
	ok(!unchanged(SYS_madvise, offline, -EINVAL, 0), "MADV_SOFT_OFFLINE: the same");
	ok(unchanged(SYS_madvise, offline, -EPERM, 0), "but for who may not do it at all");
	ok(unchanged(SYS_remap_file_pages, whole, -EINVAL, 0),
	   "remap_file_pages of private memory changed nothing");
	ok(!unchanged(SYS_remap_file_pages, gone, -EINVAL, 0),
	   "remap_file_pages refused, and nothing is there: it may have been");
	ok(!unchanged(SYS_madvise, both, -EINVAL, 0),
	   "madvise refused in two mappings: the first may have changed");
	ok(!unchanged(SYS_mprotect, rights, -EACCES, 0), "mprotect: the same");
	ok(!unchanged(SYS_madvise, whole, 0, 0), "success is a change");
}

static void check_outcomes(void)
{
	const unsigned long anonymous[6] = { A, P, 3, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS };
	const unsigned long of_file[6] = { A, P, 3, MAP_FIXED | MAP_PRIVATE, -1UL };
	const unsigned long huge[6] = { A, P, 3,
					MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB };
	unsigned long one = (unsigned long)mmap(NULL, 4 * P, PROT_READ | PROT_WRITE,
						MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect((void *)(one + 2 * P), 2 * P, PROT_READ);
	check_mremap_outcomes(one);
	check_partial_failures(one);
	munmap((void *)one, 4 * P);
	ok(unchanged(SYS_mmap, of_file, -EBADF, 0), "mmap of a bad descriptor changed nothing");
	ok(!unchanged(SYS_mmap, of_file, -EACCES, 0), "mmap refused by a driver may have unmapped");
	ok(unchanged(SYS_mmap, anonymous, -EINVAL, 0), "anonymous mmap refused changed nothing");
	ok(!unchanged(SYS_mmap, anonymous, -ENOMEM, 0), "mmap out of memory may have unmapped");
	ok(!unchanged(SYS_mmap, huge, -EINVAL, 0),
	   "B14: anonymous huge pages refused may have unmapped");
	ok(mmun_failed_cleanly(-EINVAL), "EINVAL comes before any change");
	ok(!mmun_failed_cleanly(-ENOMEM), "ENOMEM may come in the middle");
	ok(!mmun_failed_cleanly(0), "success is no failure");
}

/* A hole punched through one mapping is a hole in the other one. */
static void check_remove(void)
{
	int fd = (int)mmun_syscall3(SYS_memfd_create, (unsigned long)"unit", 0, 0);
	struct mmun_change change = { .flags = 0 };
	unsigned long one, other, args[6];

	if (fd < 0 || ftruncate(fd, 4 * P))
		bail_out("cannot make a memfd");
	one = (unsigned long)mmap(NULL, 4 * P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	other = (unsigned long)mmap(NULL, 4 * P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	args[0] = one + P;
	args[1] = P;
	args[2] = MADV_REMOVE;
	ok(mmun_describe_madvise(args, &change), "MADV_REMOVE is notified");
	ok(mmun_change_covers(&change, one + P, one + 2 * P),
	   "MADV_REMOVE: where it was asked for");
	ok(mmun_change_covers(&change, other + P, other + 2 * P),
	   "MADV_REMOVE: where else the file is mapped");
	munmap((void *)one, 4 * P);
	munmap((void *)other, 4 * P);
	close(fd);
}

/* Overlays make inode numbers up; what they are built from does not. */
static void check_file_systems(void)
{
	const struct statfs ext4 = { .f_type = 0xef53 }, tmpfs = { .f_type = 0x01021994 };
	const struct statfs overlay = { .f_type = 0x794c7630 }, fuse = { .f_type = 0x65735546 };

	ok(numbers_agree(&ext4) && numbers_agree(&tmpfs), "ext4 and tmpfs show one inode number");
	ok(!numbers_agree(&overlay) && !numbers_agree(&fuse), "overlayfs and FUSE may show two");
}

/* On a file system of the second kind every mapping of a file is meant. */
static void check_any_file(void)
{
	const struct target unknown = { .known = false };
	int fd = (int)mmun_syscall3(SYS_memfd_create, (unsigned long)"unit", 0, 0);
	struct mmun_change change = { .flags = 0 };
	unsigned long at;

	if (fd < 0 || ftruncate(fd, 4 * P))
		bail_out("cannot make a memfd");
	at = (unsigned long)mmap(NULL, 4 * P, PROT_READ, MAP_SHARED, fd, 0);
	ok(describe_size(&change, &unknown, P + 1), "a file with another number is notified");
	ok(mmun_change_covers(&change, at + 2 * P, at + 4 * P), "B14: behind its new end");
	munmap((void *)at, 4 * P);
	close(fd);
}

static void check_modes(void)
{
	int fd = (int)mmun_syscall3(SYS_memfd_create, (unsigned long)"unit", 0, 0);
	const unsigned long reserve[6] = { fd, FALLOC_FL_KEEP_SIZE, 0, P };
	const unsigned long zeroes[6] = { fd, FALLOC_WRITE_ZEROES, 0, P };
	const unsigned long unknown[6] = { fd, 0x4000, 0, P };
	const unsigned long terminal[6] = { fd, 0x5401, 0 }, clone[6] = { fd, 0x40049409, 0 };
	struct mmun_change change = { .flags = 0 };

	ok(!mmun_describe_fallocate(reserve, &change), "to reserve is silent");
	ok(mmun_describe_fallocate(zeroes, &change), "to write zeroes is notified");
	is(change.file_end, P, "for the part");
	ok(mmun_describe_fallocate(unknown, &change), "a mode to come is notified");
	is(change.file_end, -P, "for the whole file");
	ok(!mmun_ioctl_punches(terminal), "ioctl TCGETS is left alone");
	ok(mmun_ioctl_punches(clone), "ioctl FICLONE is not");
	close(fd);
}

static void check_many_ranges(void)
{
	struct mmun_change change = { .flags = 0 };
	unsigned long last = 0;
	bool covered = true;

	for (unsigned long i = 0; i < 3 * MMUN_MAX_RANGES; i++) {
		last = A + 2 * i * P;
		mmun_change_add(&change, last, last + P);
	}
	is(change.nr_ranges, MMUN_MAX_RANGES, "more pieces than fit share the last range");
	for (unsigned long i = 0; i < 3 * MMUN_MAX_RANGES; i++)
		covered &= mmun_change_covers(&change, A + 2 * i * P, A + 2 * i * P + P);
	ok(covered, "and none is lost");
}

static void check_brk(void)
{
	unsigned long now = mmun_syscall6(SYS_brk, 0, 0, 0, 0, 0, 0);
	unsigned long grow[6] = { now + P }, ask[6] = { 0 }, shrink[6] = { now - 2 * P };
	struct mmun_change change = { .flags = 0 };

	ok(!describe_brk(grow, &change), "brk that grows is silent");
	ok(!describe_brk(ask, &change), "brk that asks is silent");
	ok(describe_brk(shrink, &change), "brk that shrinks is notified");
	is(change.range[0].start, mmun_page_up(now - 2 * P), "brk: start");
	is(change.range[0].end, mmun_page_up(now), "brk: end");
	is(change.refusal, now, "brk: refusing leaves the break");
	ok(unchanged_brk(shrink, now, 0, &change), "brk that failed changed nothing");
	ok(!unchanged_brk(shrink, now - 2 * P, 0, &change), "brk that worked did");
}

static void check_process_madvise(void)
{
	struct iovec pieces[2] = { { (void *)A, P }, { (void *)B, 2 * P } };
	int own = mmun_syscall6(SYS_pidfd_open, getpid(), 0, 0, 0, 0, 0);
	int other = mmun_syscall6(SYS_pidfd_open, getppid(), 0, 0, 0, 0, 0);
	unsigned long args[6] = { own, (unsigned long)pieces, 2, MADV_DONTNEED, 0 };
	struct mmun_change change = { .flags = 0 };

	ok(mmun_describe_process_madvise(args, &change),
	   "process_madvise on ourselves is notified");
	is(change.nr_ranges, 2, "process_madvise: each piece a range");
	is(change.range[1].start, B, "process_madvise: second piece");
	args[0] = other;
	ok(!mmun_describe_process_madvise(args, &change), "process_madvise on another is not ours");
	args[0] = own;
	args[1] = 1;
	change.nr_ranges = 0;
	ok(!mmun_describe_process_madvise(args, &change),
	   "process_madvise with a bad pointer is left alone");
}

/* A file of this process, mapped; every way to shorten it names the mapping. */
static void check_files(void)
{
	char path[] = "/tmp/mmunotify-calls-XXXXXX";
	int fd = mkstemp(path);
	unsigned long at, p = (unsigned long)path;
	struct {
		const char *name;
		int nr;
		unsigned long args[6], from;
	} ways[] = {
		{ "ftruncate", SYS_ftruncate, { fd, P + 1 }, 2 * P },
		{ "truncate", SYS_truncate, { p, P }, P },
		{ "openat O_TRUNC", SYS_openat, { AT_FDCWD, p, O_RDWR | O_TRUNC }, 0 },
		{ "open O_TRUNC", SYS_open, { p, O_RDWR | O_TRUNC }, 0 },
		{ "creat", SYS_creat, { p, 0600 }, 0 },
	};
	const unsigned long reads[6] = { AT_FDCWD, p, O_RDONLY };
	const unsigned long fifo[6] = { AT_FDCWD, (unsigned long)"/dev/null", O_WRONLY | O_TRUNC };
	const unsigned long grows[6] = { fd, 9 * P };
	struct mmun_change change = { .flags = 0 };

	if (fd < 0 || ftruncate(fd, 4 * P))
		bail_out("cannot make a temporary file");
	at = (unsigned long)mmap(NULL, 4 * P, PROT_READ, MAP_SHARED, fd, 0);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		change = (struct mmun_change){ .flags = 0 };
		ok(mmun_call_of(ways[i].nr)->describe(ways[i].args, &change), "%s is notified",
		   ways[i].name);
		is(change.nr_ranges, 1, "%s: one range", ways[i].name);
		is(change.range[0].start, at + ways[i].from, "%s: start", ways[i].name);
		is(change.range[0].end, at + 4 * P, "%s: end", ways[i].name);
		is(change.op, MMUN_OP_TRUNCATE, "%s: operation", ways[i].name);
	}
	ok(!mmun_call_of(SYS_openat)->concerns(reads), "openat without O_TRUNC is left alone");
	ok(!mmun_call_of(SYS_openat)->concerns(fifo), "openat of what is no regular file is, too");
	ok(mmun_call_of(SYS_openat)->concerns(ways[2].args), "openat with O_TRUNC is not");
	ok(!mmun_call_of(SYS_ftruncate)->describe(grows, &change), "growing a file is silent");
	munmap((void *)at, 4 * P);
	close(fd);
	unlink(path);
}

int main(void)
{
	check_files();
	check_remove();
	check_file_systems();
	check_any_file();
	check_modes();
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		check(&table[i]);
	check_outcomes();
	check_many_ranges();
	check_brk();
	check_process_madvise();
	return tap_done();
}
