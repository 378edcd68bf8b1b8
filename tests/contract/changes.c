/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Differential: random calls that succeed, fail or fail half way, over mappings of every
 * kind, and after each of them the kernel's word (pagemap) on what has changed.
 *
 *	changes [FIRST-SEED [NUMBER-OF-SEEDS]]
 *
 * What had a translation before a call and has another one, or none, after it must lie
 * in a section that was notified and did not end with MMUN_RANGE_UNCHANGED.  A page of a
 * file that can be had again in the same frame has not changed.  Each seed plays in a
 * child of its own; one that fails is played twice more, because the kernel may move
 * pages at any time.  Does not test that sections are small (operations.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>

#include "operations.h"
#include "../tap.h"
#include "sanitizer.h"

/* Younger than the headers of some systems this builds on. */
#define NR_MSEAL              462
#define ADVICE_POPULATE_WRITE 23
/* What it removes looks like a page that is swapped out. */
#define ADVICE_GUARD_REMOVE 103

#define RW         (PROT_READ | PROT_WRITE)
#define HUGE_BYTES (2UL << 20)

#define STEPS       60
#define ARENA       96
#define FILE_LENGTH 24
#define HUGE_PAGES  (2 * HUGE_BYTES / PAGE_BYTES)
#define NR_FILES    3

/* Deterministic: xorshift. */
static uint64_t state;

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static unsigned int below(unsigned int n)
{
	return (unsigned int)(draw() % n);
}

#define ONE_OF(...) \
	({ \
		static const long one_of[] = { __VA_ARGS__ }; \
		one_of[below(sizeof(one_of) / sizeof(one_of[0]))]; \
	})

/* What is notified during one call. */
static struct {
	unsigned long from, to;
	bool acted;
} notes[256];
static volatile unsigned int nr_notes;

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	return 0;
}

static void on_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	unsigned int i = nr_notes++;

	if (i >= sizeof(notes) / sizeof(notes[0]))
		return;
	notes[i].from = range->start;
	notes[i].to = range->end;
	notes[i].acted = !(range->flags & MMUN_RANGE_UNCHANGED);
}

static const struct mmu_notifier_ops ops = {
	.invalidate_range_start = on_start,
	.invalidate_range_end = on_end,
};
static struct mmu_notifier mn = { .ops = &ops };

static bool is_covered(unsigned long address)
{
	for (unsigned int i = 0; i < nr_notes && i < sizeof(notes) / sizeof(notes[0]); i++)
		if (notes[i].acted && notes[i].from <= address && address < notes[i].to)
			return true;
	return false;
}

/* The places whose pages are watched: where calls go, the files once more, huge pages. */

static struct place {
	char *at;
	unsigned int pages, stride;
	uint64_t before[ARENA + HUGE_PAGES / 16];
} arena, aliases[NR_FILES], huge;

static int files[NR_FILES];
static bool shows_frames;
static char disk_path[64];

static uint64_t look(const char *at)
{
	unsigned long address = (unsigned long)at;
	uint64_t page = page_state(address, 0), contents = 0;

	/* Without frame numbers what is written there has to do. */
	if (page && !shows_frames && memory_peek(address, &contents, sizeof(contents)))
		page ^= contents << 8;
	return page;
}

static void take(struct place *place)
{
	for (unsigned int i = 0; i < place->pages; i++)
		place->before[i] = look(place->at + i * place->stride * PAGE_BYTES);
}

static bool has_changed(const struct place *place, unsigned int i)
{
	const char *at = place->at + i * place->stride * PAGE_BYTES;
	char byte;

	if (!place->before[i] || look(at) == place->before[i])
		return false;
	/* A mapping of a file that was dropped leads to the same page again. */
	return page_state((unsigned long)at, 0) || !memory_peek((unsigned long)at, &byte, 1) ||
	       look(at) != place->before[i];
}

static char what[200];
static bool copies;

/* The page that changed unnoticed, or NULL. */
static const char *compare(const struct place *place)
{
	for (unsigned int i = 0; i < place->pages; i++) {
		const char *at = place->at + i * place->stride * PAGE_BYTES;

		if (!is_covered((unsigned long)at) && has_changed(place, i))
			return at;
	}
	return NULL;
}

static void fill(struct place *place)
{
	for (unsigned int i = 0; i < place->pages; i++) {
		unsigned long at = (unsigned long)place->at + i * place->stride * PAGE_BYTES;
		uint64_t stamp = draw() | 1;

		if (below(8))
			memory_poke(at, &stamp, sizeof(stamp));
		else
			memory_peek(at, &stamp, sizeof(stamp));
	}
}

/* Arguments. */

static char *place_to_go(void)
{
	char *at = below(5) ? arena.at + below(ARENA) * PAGE_BYTES
			    : huge.at + (below(2) ? below(2) * HUGE_BYTES
						  : below(HUGE_PAGES) * PAGE_BYTES);

	return at + (below(40) ? 0 : 1);
}

static size_t length_for(const char *at)
{
	if (at >= huge.at && at < huge.at + 2 * HUGE_BYTES)
		return (size_t)ONE_OF(HUGE_BYTES, 2 * HUGE_BYTES, PAGE_BYTES,
				      HUGE_BYTES + PAGE_BYTES, HUGE_BYTES - PAGE_BYTES,
				      HUGE_BYTES / 2);
	return below(30) ? (1 + below(below(3) ? 4 : 30)) * PAGE_BYTES - (below(10) ? 0 : 7)
			 : (size_t)ONE_OF(0, -(long)PAGE_BYTES, -1, 1);
}

static int rights(void)
{
	return ONE_OF(PROT_NONE, PROT_READ, RW, RW, RW, RW | PROT_EXEC, RW | PROT_GROWSDOWN,
		      PROT_READ | PROT_GROWSUP, 0x40);
}

static int some_file(void)
{
	return below(12) ? files[below(NR_FILES)] : (int)ONE_OF(-1, 0, 9999);
}

/* Operations: below 0 for what failed. */

static long do_mmap(void)
{
	char *at = place_to_go();
	int kind = below(10), flags = MAP_FIXED | (below(2) ? MAP_SHARED : MAP_PRIVATE);
	size_t length = length_for(at);
	void *got;

	if (kind < 6)
		flags |= MAP_ANONYMOUS;
	if (kind == 5 || (kind < 2 && at >= huge.at && at < huge.at + 2 * HUGE_BYTES))
		flags |= MAP_HUGETLB;
	if (!below(6))
		flags |= ONE_OF(MAP_GROWSDOWN, MAP_LOCKED, MAP_NORESERVE, MAP_POPULATE,
				MAP_SYNC | MAP_SHARED_VALIDATE, MAP_FIXED_NOREPLACE, MAP_STACK);
	snprintf(what, sizeof(what), "mmap(%p, %lx, flags %x)", at, length, flags);
	got = mmap(at, length, rights() & 7, flags, flags & MAP_ANONYMOUS ? -1 : some_file(),
		   below(20) ? (off_t)(below(FILE_LENGTH) * PAGE_BYTES) : 17);
	return got == MAP_FAILED ? -1 : 0;
}

static long do_munmap(void)
{
	char *at = place_to_go();
	size_t length = length_for(at);

	snprintf(what, sizeof(what), "munmap(%p, %lx)", at, length);
	return munmap(at, length);
}

static long do_mremap(void)
{
	char *from = place_to_go(), *to = place_to_go();
	size_t old = length_for(from), new = below(3) ? old : length_for(from);
	int flags = ONE_OF(0, MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_FIXED,
			   MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_FIXED,
			   MREMAP_MAYMOVE | 4, MREMAP_MAYMOVE | MREMAP_FIXED | 4, MREMAP_FIXED,
			   8 | MREMAP_MAYMOVE);

	snprintf(what, sizeof(what), "mremap(%p, %lx, %lx, %x, %p)", from, old, new, flags, to);
	return mremap(from, below(20) ? old : 0, new, flags, to) == MAP_FAILED ? -1 : 0;
}

static long do_mprotect(void)
{
	char *at = place_to_go();
	size_t length = length_for(at);
	int prot = rights();

	snprintf(what, sizeof(what), "mprotect(%p, %lx, %x)", at, length, prot);
	return below(4) ? mprotect(at, length, prot)
			: syscall(SYS_pkey_mprotect, at, length, prot, below(3) ? -1 : 15);
}

/* All but those that poison pages of the machine, and MADV_FREE: its pages go at any
 * later time, when another call makes the kernel look for memory. */
static int some_advice(void)
{
	int advice = (int)below(26);

	if (below(2))
		return (int)ONE_OF(MADV_DONTNEED, MADV_REMOVE, 24, 25, 102, ADVICE_GUARD_REMOVE,
				   MADV_PAGEOUT);
	return advice == MADV_FREE ? MADV_COLD : advice;
}

static long do_madvise(void)
{
	char *at = place_to_go();
	size_t length = length_for(at);
	int advice = some_advice();

	snprintf(what, sizeof(what), "madvise(%p, %lx, %d)", at, length, advice);
	copies = advice == ADVICE_POPULATE_WRITE || advice == ADVICE_GUARD_REMOVE;
	return madvise(at, length, advice);
}

static long do_process_madvise(void)
{
	static int self = -1;
	struct iovec pieces[4];
	unsigned int n = 1 + below(4);
	int advice = some_advice();

	if (self < 0)
		self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	for (unsigned int i = 0; i < n; i++) {
		pieces[i].iov_base = place_to_go();
		pieces[i].iov_len = length_for(pieces[i].iov_base) & 0xffffff;
	}
	copies = advice == ADVICE_POPULATE_WRITE || advice == ADVICE_GUARD_REMOVE;
	snprintf(what, sizeof(what), "process_madvise(%u from %p %lx, %d)", n, pieces[0].iov_base,
		 pieces[0].iov_len, advice);
	return syscall(SYS_process_madvise, below(8) ? self : -10001, pieces, (unsigned long)n,
		       advice, 0);
}

static long do_remap(void)
{
	char *at = place_to_go();
	size_t length = length_for(at);

	snprintf(what, sizeof(what), "remap_file_pages(%p, %lx)", at, length);
	return remap_file_pages(at, length, below(10) ? 0 : 1, below(FILE_LENGTH), 0);
}

static long do_truncate(void)
{
	int file = (int)below(NR_FILES);
	off_t size = (off_t)(below(FILE_LENGTH + 4) * PAGE_BYTES) - (below(4) ? 0 : 100);

	snprintf(what, sizeof(what), "truncate(file %d, %lx)", file, size);
	if (file == NR_FILES - 1 && below(2))
		return below(3) ? truncate(disk_path, size)
				: close(open(disk_path, O_RDWR | O_TRUNC));
	return ftruncate(files[file], size);
}

static long do_fallocate(void)
{
	int fd = some_file();
	int mode = ONE_OF(0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE,
			  FALLOC_FL_ZERO_RANGE, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE,
			  FALLOC_FL_UNSHARE_RANGE, 0x80, 0x100);
	off_t from = (off_t)(below(FILE_LENGTH) * PAGE_BYTES) + (below(5) ? 0 : 99);
	off_t length = (off_t)(below(6) * PAGE_BYTES) + (below(5) ? 0 : 99);

	snprintf(what, sizeof(what), "fallocate(%d, %x, %lx, %lx)", fd, mode, from, length);
	return fallocate(fd, mode, from, length);
}

static long do_shm(void)
{
	int id = shmget(IPC_PRIVATE, (1 + below(9)) * PAGE_BYTES - below(2),
			IPC_CREAT | 0600 | (below(8) ? 0 : SHM_HUGETLB));
	char *at = place_to_go();
	long ret = shmat(id, at, SHM_REMAP) == (void *)-1 ? -1 : 0;

	shmctl(id, IPC_RMID, NULL);
	snprintf(what, sizeof(what), "shmat(%p)", at);
	return ret;
}

static long do_shmdt(void)
{
	char *at = place_to_go();

	snprintf(what, sizeof(what), "shmdt(%p)", at);
	return shmdt(at);
}

static long do_special(void)
{
	char *at = place_to_go();
	size_t length = length_for(at) & 0xffffff;

	snprintf(what, sizeof(what), "mlock, munlock or mseal(%p, %lx)", at, length);
	if (!below(6))
		return syscall(NR_MSEAL, at, length, 0);
	/* The first copy of a page that was only read is not a call's doing. */
	copies = true;
	return syscall(below(2) ? SYS_mlock : SYS_munlock, at, length);
}

static long (*const operations[])(void) = {
	do_mmap,      do_mmap,    do_mmap,    do_munmap,          do_mremap, do_mremap,
	do_mprotect,  do_madvise, do_madvise, do_process_madvise, do_remap,  do_truncate,
	do_fallocate, do_shm,     do_shmdt,   do_special,
};

static void set_up(void)
{
	arena.at = region_room(ARENA * PAGE_BYTES, PAGE_BYTES);
	arena.pages = ARENA;
	huge.at = region_room(2 * HUGE_BYTES, HUGE_BYTES);
	huge.pages = HUGE_PAGES / 16;
	huge.stride = 16;
	arena.stride = 1;
	strcpy(disk_path, REGION_FILE "XXXXXX");
	for (unsigned int i = 0; i < NR_FILES; i++) {
		files[i] = i + 1 < NR_FILES ? memfd_create("changes", 0) : mkstemp(disk_path);
		aliases[i].pages = FILE_LENGTH;
		aliases[i].stride = 1;
		if (ftruncate(files[i], FILE_LENGTH * PAGE_BYTES))
			_exit(99);
		aliases[i].at = mmap(NULL, FILE_LENGTH * PAGE_BYTES, RW, MAP_SHARED, files[i], 0);
	}
	mmap(arena.at, ARENA * PAGE_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap(huge.at, 2 * HUGE_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* Shared with the parent. */
static struct {
	unsigned long calls, failures, changes;
	char text[400];
} * tally;

static void play(uint64_t seed)
{
	alarm(60);
	state = seed * 0x9e3779b97f4a7c15ULL + 1;
	shows_frames = !pagemap_open() && pagemap_shows_frames();
	set_up();
	if (mmu_notifier_register(&mn, mmun_self()))
		_exit(98);
	for (unsigned int step = 0; step < STEPS; step++) {
		const char *at = NULL;
		long ret;
		int error;

		fill(&arena);
		fill(&huge);
		for (unsigned int i = 0; i < NR_FILES; i++)
			fill(&aliases[i]);
		take(&arena);
		take(&huge);
		for (unsigned int i = 0; i < NR_FILES; i++)
			take(&aliases[i]);
		nr_notes = 0;
		copies = false;
		errno = 0;
		ret = operations[below(sizeof(operations) / sizeof(operations[0]))]();
		error = errno;
		tally->calls++;
		tally->failures += ret < 0;
		for (unsigned int i = 0; i < NR_FILES && !at && !copies; i++)
			at = compare(&aliases[i]);
		at = at || copies ? at : compare(&arena);
		at = at || copies ? at : compare(&huge);
		tally->changes += nr_notes > 0;
		if (!at)
			continue;
		snprintf(tally->text, sizeof(tally->text),
			 "seed %lu step %u: %s = %ld errno %d, %u sections: %p changed, arena %p "
			 "huge %p",
			 (unsigned long)seed, step, what, ret, error, nr_notes, at, arena.at,
			 huge.at);
		_exit(1);
	}
	_exit(0);
}

/* Return: the wait status of a child that plays it. */
static int play_apart(uint64_t seed)
{
	int status = -1;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child)
		play(seed);
	waitpid(child, &status, 0);
	return status;
}

static bool play_seed(uint64_t seed)
{
	int status = 0;

	for (int tries = 0; tries < 3; tries++) {
		tally->text[0] = 0;
		status = play_apart(seed);
		if (!status)
			return true;
	}
	diag("seed %lu: wait status %x %s", (unsigned long)seed, status, tally->text);
	return false;
}

int main(int argc, char **argv)
{
	unsigned long first = argc > 1 ? strtoul(argv[1], NULL, 0) : 1;
	unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 0) : 60, wrong = 0;

	if (SANITIZED)
		skip_all("a sanitizer keeps memory of its own beside each page");
	tally = mmap(NULL, sizeof(*tally), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (unsigned long seed = first; seed < first + count; seed++)
		wrong += !play_seed(seed);
	if (system("rm -f " REGION_FILE "??????"))
		diag("files are left behind");
	ok(!wrong,
	   "%lu calls, %lu of them failed, %lu with sections: all that changed was notified",
	   tally->calls, tally->failures, tally->changes);
	ok(tally->failures * 10 > tally->calls && tally->failures * 10 < tally->calls * 9,
	   "some calls failed and some did not");
	return tap_done();
}
