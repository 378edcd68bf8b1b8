/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: what a call changes, where that is not what it seems.
 *
 * Sizes that are the kernel's, as of huge pages; several files in one call, and failures
 * after something has changed; a name that means another file by the time of the call; a
 * real overlay.  The page that went must have been notified.  Where nothing can be asked
 * is doubts.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "conditions.h"
#include "page.h"
#include "sanitizer.h"
#include "scene.h"

#define ADVICE_COLLAPSE 25

#define HUGE_BYTES (2UL << 20)

static char *huge_pages(char *at, size_t size)
{
	char *got =
		mmap(at, size, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED, -1, 0);

	if (got != MAP_FAILED)
		memset(got, 7, size);
	return got;
}

static void segment_of_huge_pages(void)
{
	int id = shmget(IPC_PRIVATE, PAGE_BYTES, IPC_CREAT | 0600 | SHM_HUGETLB);
	char *at = region_room(HUGE_BYTES, HUGE_BYTES);

	if (id < 0) {
		check(true, "no huge page is free");
		return;
	}
	mmap(at, HUGE_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset(at, 5, HUGE_BYTES);
	watch_page(at + HUGE_BYTES / 2);
	check(register_now(), "a segment of one page, made of huge ones");
	check(shmat(id, at, SHM_REMAP) == at, "is attached over memory");
	check(at[HUGE_BYTES / 2] == 0, "and replaces a whole huge page of it");
	shmctl(id, IPC_RMID, NULL);
	check(was_notified(), "which is notified");
}

static void odd_mremap_of_huge_pages(void)
{
	char *at = region_room(2 * HUGE_BYTES, HUGE_BYTES), byte;

	if (huge_pages(at, 2 * HUGE_BYTES) != at) {
		check(true, "no huge page is free");
		return;
	}
	watch_page(at + HUGE_BYTES + HUGE_BYTES / 2);
	check(register_now(), "two huge pages are watched at the end");
	check(mremap(at, HUGE_BYTES + PAGE_BYTES, PAGE_BYTES, 0) == at,
	      "a page more than one of them is shrunk to a page");
	check(!memory_peek(page.from, &byte, 1), "the second one is gone");
	check(was_notified(), "which is notified");
}

static void odd_mremap_onto_memory(void)
{
	char *from = region_room(HUGE_BYTES, HUGE_BYTES);
	char *to = region_room(HUGE_BYTES, HUGE_BYTES);

	if (huge_pages(from, HUGE_BYTES) != from) {
		check(true, "no huge page is free");
		return;
	}
	mmap(to, HUGE_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset(to, 5, HUGE_BYTES);
	watch_page(to + HUGE_BYTES / 2);
	check(register_now(), "a huge page and small ones");
	check(mremap(from, PAGE_BYTES, PAGE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to,
	      "a page of it is moved over them");
	check(to[HUGE_BYTES / 2] == 7, "that is, all of it");
	check(was_notified(), "which is notified");
}

static void file_of_huge_pages(void)
{
	char *at = region_room(HUGE_BYTES, HUGE_BYTES);
	int fd = memfd_create("doubts", MFD_HUGETLB);

	mmap(at, HUGE_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset(at, 5, HUGE_BYTES);
	watch_page(at + HUGE_BYTES / 2);
	if (fd < 0 || ftruncate(fd, HUGE_BYTES) ||
	    mmap(NULL, HUGE_BYTES, RW, MAP_SHARED, fd, 0) == MAP_FAILED) {
		check(true, "no huge page is free");
		return;
	}
	check(register_now(), "a file of huge pages");
	check(mmap(at, PAGE_BYTES, RW, MAP_SHARED | MAP_FIXED, fd, 0) == at,
	      "a page of it is mapped over memory");
	check(at[HUGE_BYTES / 2] == 0, "and replaces a whole huge page of it");
	check(was_notified(), "which is notified");
}

/* Several files, and failures after something has changed. */

static char *two_files(char **other_of_first, char **other_of_second)
{
	char *at = region_room(8 * PAGE_BYTES, PAGE_BYTES);

	for (int i = 0; i < 2; i++) {
		char *place = at + i * 4 * PAGE_BYTES;

		t.fd = memfd_create("doubts", 0);
		if (ftruncate(t.fd, 4 * PAGE_BYTES) ||
		    mmap(place, 4 * PAGE_BYTES, RW, MAP_SHARED | MAP_FIXED, t.fd, 0) != place)
			return NULL;
		*(i ? other_of_second : other_of_first) = map_file();
	}
	return at;
}

static void removal_of_two_files(void)
{
	char *first, *second, *at = two_files(&first, &second);

	check(at && register_now(), "two files side by side, each mapped elsewhere too");
	watch_page(first + 2 * PAGE_BYTES);
	check(!madvise(at, 8 * PAGE_BYTES, MADV_REMOVE), "both are removed in one call");
	check(first[2 * PAGE_BYTES] == 0 && was_notified(), "the first is notified elsewhere");
	memset(at, 7, 8 * PAGE_BYTES);
	watch_page(second + 2 * PAGE_BYTES);
	check(!madvise(at, 8 * PAGE_BYTES, MADV_REMOVE), "and again");
	check(second[2 * PAGE_BYTES] == 0 && was_notified(), "the second is as well");
}

static void removal_that_fails_in_part(void)
{
	char *first, *second, *at = two_files(&first, &second);

	check(at &&
		      mmap(at + 4 * PAGE_BYTES, PAGE_BYTES, RW,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED &&
		      register_now(),
	      "a file, and behind it what is none");
	watch_page(first + 2 * PAGE_BYTES);
	check(madvise(at, 5 * PAGE_BYTES, MADV_REMOVE) == -1, "the removal of both fails");
	check(first[2 * PAGE_BYTES] == 0, "after it removed the first");
	check(was_notified(), "whose other mapping is notified, as a change");
}

static void collapse_that_fails_in_part(void)
{
	char *at = region_room(2 * HUGE_BYTES, HUGE_BYTES);
	unsigned long before;

	mmap(at, 2 * HUGE_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	madvise(at, 2 * HUGE_BYTES, MADV_NOHUGEPAGE);
	memset(at, 1, HUGE_BYTES);
	madvise(at, 2 * HUGE_BYTES, MADV_HUGEPAGE);
	watch_page(at + 3 * PAGE_BYTES);
	pagemap_open();
	before = page_state(page.from, 0);
	check(register_now(), "half is there");
	if (madvise(at, 2 * HUGE_BYTES, ADVICE_COLLAPSE) == 0)
		check(true, "all of it collapses");
	check(page_state(page.from, 0) == before || was_notified(),
	      "a page that was collapsed is notified, as a change");
}

/* A name that means another file by the time of the call. */

static char second_path[64];

static void rename_over(void)
{
	rename(second_path, t.path);
}

static void renamed_under_way(void)
{
	check(file(), "a file");
	strcpy(second_path, t.path);
	check(file(), "and another one");
	watch_page(NULL);
	check(register_now(), "are mapped");
	/* The first one's mapping is the one that is lost. */
	t.other = mmap(NULL, 4 * PAGE_BYTES, PROT_READ, MAP_SHARED, open(second_path, O_RDONLY), 0);
	watch_page(t.other + 2 * PAGE_BYTES);
	page.edge = rename_over;
	check(open(t.path, O_RDWR | O_TRUNC) >= 0, "the name is opened and means the other one");
	check(was_notified(), "which is notified");
}

/* A real overlay, where numbers of files are made up. */

static bool make_overlay(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/tmp", "tmpfs", 0, NULL) || chdir("/tmp"))
		return false;
	mkdir("low", 0700);
	mkdir("up", 0700);
	mkdir("work", 0700);
	mkdir("merged", 0700);
	close(open("low/file", O_CREAT | O_WRONLY, 0600));
	return !mount("overlay", "merged", "overlay", 0, "lowerdir=low,upperdir=up,workdir=work");
}

static void overlay(void)
{
	int writer;

	if (!make_overlay()) {
		check(true, "no overlay can be mounted here");
		return;
	}
	strcpy(t.path, "merged/file");
	t.fd = open(t.path, O_RDWR);
	check(t.fd >= 0 && !ftruncate(t.fd, 4 * PAGE_BYTES) && register_now(),
	      "a file from the lower layer");
	t.at = map_file();
	writer = open(t.path, O_WRONLY);
	watch_page(t.at + 2 * PAGE_BYTES);
	check(!ftruncate(writer, PAGE_BYTES) && was_notified(), "ftruncate is notified");
	check(!ftruncate(writer, 4 * PAGE_BYTES), "it grows again");
	watch_page(t.at + 2 * PAGE_BYTES);
	check(!truncate(t.path, PAGE_BYTES) && was_notified(), "truncate is notified");
	check(!ftruncate(writer, 4 * PAGE_BYTES), "it grows again");
	watch_page(t.at + 2 * PAGE_BYTES);
	check(open(t.path, O_RDWR | O_TRUNC) >= 0 && was_notified(), "O_TRUNC is notified");
}

static void try_huge_pages(void)
{
	char before[32] = "";

	lend_hugetlb("8", before, sizeof(before));
	scene("segment of huge pages", segment_of_huge_pages);
	scene("mremap of part of a huge page", odd_mremap_of_huge_pages);
	scene("mremap of part of a huge page onto memory", odd_mremap_onto_memory);
	scene("part of a file of huge pages", file_of_huge_pages);
	lend_hugetlb(before, NULL, 0);
}

int main(void)
{
	if (SANITIZED)
		skip_all("a sanitizer asks the kernel itself, and dies of no answer");
	scene("two files in one removal", removal_of_two_files);
	scene("removal that fails in part", removal_that_fails_in_part);
	scene("collapse that fails in part", collapse_that_fails_in_part);
	scene("renamed under way", renamed_under_way);
	scene("overlay", overlay);
	try_huge_pages();
	return tap_done();
}
