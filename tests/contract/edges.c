/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: the edges of a redirected call.
 *
 * Calls that fail after they changed something, ranges that are larger than
 * asked for or make no sense, a C library that is unloaded while the source is
 * stopped.  Each scene plays in a child under an alarm: to hang is to fail.
 * Calls that block are blocked.c's.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <mmunotify/self.h>

#include "sanitizer.h"
#include "watching.h"

/* Younger than the headers of some systems this builds on. */
#define NR_MSEAL 462

#define HUGE_BYTES (2UL << 20)

static char *map_sevens(unsigned int pages, int flags)
{
	char *at = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	memset(at, 7, pages * PAGE_BYTES);
	return at;
}

/* Is the page there, with this byte first? */
static bool still_has(const char *at, char value)
{
	char byte;

	return memory_peek((unsigned long)at, &byte, 1) && byte == value;
}

/* Calls that fail in their second mapping, with the first one changed. */

/* A sanitizer makes a function of mlock() that does nothing. */
static char *second_page_locked(void)
{
	char *at = map_sevens(2, 0);

	check(syscall(SYS_mlock, at + PAGE_BYTES, PAGE_BYTES) == 0, "the second page is locked");
	return at;
}

static void advice_in_part(void)
{
	char *at = second_page_locked();

	start_watching();
	arm(&watch, at, 1);
	check(madvise(at, 2 * PAGE_BYTES, MADV_DONTNEED) == -1, "the advice fails");
	watch_disarm(&watch);
	check(at[0] == 0, "after it dropped the first page");
	check(notified(&watch, at, 1), "which is seen as a change");
}

static void process_advice_in_part(void)
{
	char *at = second_page_locked();
	struct iovec piece = { at, 2 * PAGE_BYTES };
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	start_watching();
	arm(&watch, at, 1);
	syscall(SYS_process_madvise, fd, &piece, 1, MADV_DONTNEED, 0);
	watch_disarm(&watch);
	/* Older kernels refuse this advice as a whole. */
	check(at[0] == 7 || notified(&watch, at, 1), "a page that was dropped is notified");
}

static void rights_in_part(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	char *at = map_sevens(2, 0);

	mprotect(at, PAGE_BYTES, PROT_READ);
	check(mmap(at + PAGE_BYTES, PAGE_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) !=
		      MAP_FAILED,
	      "a file that cannot be written follows");
	start_watching();
	arm(&watch, at, 1);
	check(mprotect(at, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE) == -1 && errno == EACCES,
	      "the new rights are refused");
	watch_disarm(&watch);
	/* Dies here if the kernel had not done it. */
	*(volatile char *)at = 1;
	check(notified(&watch, at, 1), "the page that got them is notified as a change");
}

/* The second of two source mappings is sealed; only some kernels move two at once. */
static void move_in_part(void)
{
	char *from = map_sevens(2, 0), *to = map_sevens(2, 0);

	to[0] = 4;
	mprotect(from + PAGE_BYTES, PAGE_BYTES, PROT_READ);
	syscall(NR_MSEAL, from + PAGE_BYTES, PAGE_BYTES, 0);
	start_watching();
	arm(&watch, from, 1);
	mremap(from, 2 * PAGE_BYTES, 2 * PAGE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	watch_disarm(&watch);
	check(still_has(from, 7) || notified(&watch, from, 1),
	      "a page that moved away is notified");
	check(still_has(to, 4) || notified(&watch, to, 1), "a page that was replaced is notified");
}

/* Ranges that are larger than what was asked for. */

static void removal_behind_alias(void)
{
	int fd = memfd_create("edges", 0);
	char *at, *alias;

	if (ftruncate(fd, 2 * PAGE_BYTES))
		abort();
	at = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	alias = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memset(at, 9, 2 * PAGE_BYTES);
	start_watching();
	arm(&watch, alias, 1);
	check(madvise(at, PAGE_BYTES, MADV_REMOVE) == 0 && alias[0] == 0,
	      "the file's page is removed from both mappings");
	watch_disarm(&watch);
	check(notified(&watch, at, 1), "the mapping that was named is notified");
	check(notified(&watch, alias, 1), "the other one is notified too");
}

static void rights_that_grow_down(void)
{
	char *at = map_sevens(8, MAP_GROWSDOWN);

	start_watching();
	arm(&watch, at, 1);
	check(mprotect(at + 7 * PAGE_BYTES, PAGE_BYTES, PROT_NONE | PROT_GROWSDOWN) == 0,
	      "takes the rights of all from the last page down");
	watch_disarm(&watch);
	check(notified(&watch, at, 8), "all of it is notified");
}

static char *map_huge_over(char *at)
{
	return mmap(at, PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB | MAP_NORESERVE, -1, 0);
}

/* One small page is asked for, a whole huge one is replaced. */
static void huge_mapping(void)
{
	char *at = region_room(HUGE_BYTES, HUGE_BYTES);

	mmap(at, HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
	     0);
	memset(at, 5, HUGE_BYTES);
	start_watching();
	arm(&watch, at, 1);
	map_huge_over(at);
	watch_disarm(&watch);
	check(still_has(at + HUGE_BYTES - PAGE_BYTES, 5) ||
		      notified(&watch, at, HUGE_BYTES / PAGE_BYTES),
	      "all small pages that a huge one replaced are notified");
}

/* Ranges that make no sense. */

static bool ranges_make_sense(void)
{
	for (unsigned int i = 0; i < watch.nr_records; i++)
		if (watch.records[i].from >= watch.records[i].to)
			return false;
	return true;
}

static void bad_ranges(void)
{
	int id = shmget(IPC_PRIVATE, 2 * PAGE_BYTES, IPC_CREAT | 0600);
	char *at = map_sevens(2, 0), *last_page = (char *)-PAGE_BYTES;

	start_watching();
	arm(&watch, at, 1);
	check(mremap(at, 2 * PAGE_BYTES, 2 * PAGE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
		     last_page) == MAP_FAILED,
	      "a move over the end of memory fails");
	check(shmat(id, at + 1, SHM_REMAP) == (void *)-1, "so does a segment at an odd address");
	watch_disarm(&watch);
	shmctl(id, IPC_RMID, NULL);
	check(ranges_make_sense(), "no range that is reported ends before it starts");
	check(at[0] == 7 && !notified(&watch, at, 1), "and no change is claimed");
}

/* What a fork leaves behind in the child. */
static void cancel_state_of_child(void)
{
	int status = 1;
	pid_t child;

	start_watching();
	child = fork();
	if (!child) {
		int state = -1;

		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
		_exit(state == PTHREAD_CANCEL_ENABLE ? 0 : 2);
	}
	waitpid(child, &status, 0);
	check(status == 0, "a child's thread can be cancelled as its parent's could");
}

/* A second C library is unloaded while the source is stopped. */
static void start_after_unload(void)
{
	void *handle;

	check(mmun_self_start() == 0, "starts");
	handle = dlmopen(LM_ID_NEWLM, "libm.so.6", RTLD_NOW);
	check(handle != NULL, "a second C library is loaded");
	check(mmun_self_stop() == 0, "stops");
	check(handle && dlclose(handle) == 0, "and is unloaded");
	check(mmun_self_start() == 0, "starts again");
	start_watching();
	check(watch_sees_unmap(&watch), "and sees");
}

static void try_partial(void)
{
	scene("advice that fails in part", advice_in_part);
	scene("process_madvise that fails in part", process_advice_in_part);
	scene("rights that fail in part", rights_in_part);
	scene("move that fails in part", move_in_part);
}

static void try_ranges(void)
{
	scene("MADV_REMOVE behind an alias", removal_behind_alias);
	scene("rights that grow down", rights_that_grow_down);
	scene("huge mapping", huge_mapping);
	scene("ranges without sense", bad_ranges);
}

int main(void)
{
	if (THREAD_SANITIZED)
		skip_all(THREAD_END_REASON);
	try_partial();
	try_ranges();
	scene("cancel state of a child", cancel_state_of_child);
	scene("C library unloaded while stopped", start_after_unload);
	return tap_done();
}
