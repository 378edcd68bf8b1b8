/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Replaces pages of text in one step for every thread.
 *
 * A copy of the pages gets the new bytes and is then moved over the original
 * with mremap(MREMAP_FIXED): other threads execute the old page or the new one,
 * never a mixture, and at no time is memory writable and executable.  The move
 * invalidates the translation on every CPU, which also serialises instruction
 * fetch.
 *
 * Uses raw system calls only: it may run inside dlopen().
 * Limits: bytes that another library writes into the same page between the copy
 * and the move are lost; both take a few microseconds.
 * Tests: tests/contract (patching), tests/torture/patch.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "atomic.h"
#include "state.h"

/* Consecutive pages that are replaced together: a site may straddle two. */
struct run {
	unsigned long start, end;
};

typedef void (*edit_fn)(unsigned char *copy, struct run run, struct mmun_image *image);

static unsigned long first_page(const struct mmun_site *site)
{
	return (unsigned long)mmun_site_start(site) & MMUN_PAGE_MASK;
}

static unsigned long last_page(const struct mmun_site *site)
{
	return ((unsigned long)mmun_site_end(site) - 1) & MMUN_PAGE_MASK;
}

static bool lies_in(const struct mmun_site *site, struct run run)
{
	return first_page(site) >= run.start && last_page(site) < run.end;
}

/* Padding that somebody else uses is none. */
static bool wants_patch(const struct mmun_site *site)
{
	return mmun_site_is_original(site) &&
	       (!site->pad || !memcmp(site->pad, site->saved_pad, site->pad_length) ||
		!memcmp(site->pad, site->pad_bytes, site->pad_length));
}

static bool wants_unpatch(const struct mmun_site *site)
{
	return site->patched && mmun_site_is_ours(site);
}

static void edit_patch(unsigned char *copy, struct run run, struct mmun_image *image)
{
	for (int i = 0; i < image->nr_sites; i++) {
		const struct mmun_site *site = &image->sites[i];

		if (!lies_in(site, run) || !wants_patch(site))
			continue;
		memcpy(copy + ((unsigned long)site->at - run.start), site->bytes, site->length);
		if (site->pad)
			memcpy(copy + ((unsigned long)site->pad - run.start), site->pad_bytes,
			       site->pad_length);
	}
}

static void edit_unpatch(unsigned char *copy, struct run run, struct mmun_image *image)
{
	for (int i = 0; i < image->nr_sites; i++) {
		const struct mmun_site *site = &image->sites[i];

		if (!lies_in(site, run) || !wants_unpatch(site))
			continue;
		memcpy(copy + ((unsigned long)site->at - run.start), site->saved, site->length);
		if (site->pad)
			memcpy(copy + ((unsigned long)site->pad - run.start), site->saved_pad,
			       site->pad_length);
	}
}

static long move_over(long copy, struct run run, int prot)
{
	unsigned long length = run.end - run.start;
	long ret = mmun_syscall6(SYS_mprotect, copy, length, prot, 0, 0, 0);

	if (ret)
		return ret;
	ret = mmun_syscall6(SYS_mremap, copy, length, length, MREMAP_MAYMOVE | MREMAP_FIXED,
			    run.start, 0);
	return ret == (long)run.start ? 0 : ret;
}

static long swap(struct mmun_image *image, struct run run, edit_fn edit)
{
	unsigned long length = run.end - run.start;
	long copy = mmun_syscall6(SYS_mmap, 0, length, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long ret;

	if (copy < 0 && copy > -4096)
		return copy;
	memcpy((void *)copy, (void *)run.start, length);
	edit((unsigned char *)copy, run, image);
	ret = move_over(copy, run, image->prot);
	if (ret)
		mmun_syscall6(SYS_munmap, copy, length, 0, 0, 0, 0);
	return ret;
}

int mmun_self_write_text(const struct mmun_image *image, unsigned long at, const void *bytes,
			 size_t length)
{
	struct run run = { at & MMUN_PAGE_MASK, mmun_page_up(at + length) };
	unsigned long size = run.end - run.start;
	long copy = mmun_syscall6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long ret;

	if (copy < 0 && copy > -4096)
		return copy;
	memcpy((void *)copy, (void *)run.start, size);
	memcpy((char *)copy + (at - run.start), bytes, length);
	ret = move_over(copy, run, image->prot);
	if (ret)
		mmun_syscall3(SYS_munmap, copy, size, 0);
	return ret;
}

/* Swaps every page that holds a wanted site; sites are in ascending order, but
 * for the one in _exit(), which comes last. */
static long swap_pages(struct mmun_image *image, edit_fn edit,
		       bool (*wanted)(const struct mmun_site *))
{
	for (int i = 0, next; i < image->nr_sites; i = next) {
		const struct mmun_site *site = &image->sites[i];
		struct run run = { first_page(site), last_page(site) + MMUN_PAGE_SIZE };
		bool any = wanted(site);
		long ret;

		for (next = i + 1; next < image->nr_sites; next++) {
			site = &image->sites[next];
			if (first_page(site) < run.start || first_page(site) > run.end)
				break;
			run.end = last_page(site) + MMUN_PAGE_SIZE;
			any |= wanted(site);
		}
		ret = any ? swap(image, run, edit) : 0;
		if (ret)
			return ret;
	}
	return 0;
}

/* A site that we patched and somebody put back is no longer ours. */
static void check_sites(struct mmun_image *image)
{
	for (int i = 0; i < image->nr_sites; i++)
		if (mmun_site_is_original(&image->sites[i]))
			image->sites[i].patched = false;
}

int mmun_self_patch(struct mmun_image *image)
{
	long ret;

	check_sites(image);
	ret = swap_pages(image, edit_patch, wants_patch);

	/* One that somebody else has written over since is still patched. */
	for (int i = 0; i < image->nr_sites; i++)
		if (mmun_site_is_ours(&image->sites[i]))
			image->sites[i].patched = true;
	if (ret)
		mmun_self_unpatch(image);
	return ret;
}

/*
 * The page holds the file's bytes again: map the file, so that nothing is left
 * of us in the layout.  If that is not possible the copy with the same bytes
 * stays.
 */
static void map_file_again(const struct mmun_image *image, unsigned long page, int fd)
{
	unsigned char bytes[MMUN_PAGE_SIZE];
	unsigned long offset = page - image->text_start + image->text_offset;

	if (mmun_syscall6(SYS_pread64, fd, (long)bytes, sizeof(bytes), offset, 0, 0) !=
		    sizeof(bytes) ||
	    memcmp(bytes, (void *)page, sizeof(bytes)))
		return;
	mmun_syscall6(SYS_mmap, page, MMUN_PAGE_SIZE, image->prot, MAP_PRIVATE | MAP_FIXED,
		      fd, offset);
}

static void map_files_again(struct mmun_image *image)
{
	unsigned long done = 0;
	struct stat file;
	int fd = mmun_syscall6(SYS_openat, AT_FDCWD, (long)image->path, O_RDONLY | O_CLOEXEC,
			       0, 0, 0);

	if (fd < 0)
		return;
	if (!mmun_syscall6(SYS_fstat, fd, (long)&file, 0, 0, 0, 0) &&
	    file.st_ino == image->inode) {
		for (int i = 0; i < image->nr_sites; i++) {
			const struct mmun_site *site = &image->sites[i];

			for (unsigned long page = first_page(site); page <= last_page(site);
			     page += MMUN_PAGE_SIZE) {
				if (page != done)
					map_file_again(image, page, fd);
				done = page;
			}
		}
	}
	mmun_syscall6(SYS_close, fd, 0, 0, 0, 0, 0);
}

int mmun_self_unpatch(struct mmun_image *image)
{
	long ret = swap_pages(image, edit_unpatch, wants_unpatch);

	if (ret)
		return ret;
	for (int i = 0; i < image->nr_sites; i++)
		image->sites[i].patched = false;
	map_files_again(image);
	return 0;
}

bool mmun_self_is_covered(const struct mmun_image *image)
{
	for (int i = 0; i < image->nr_sites; i++) {
		const struct mmun_site *site = &image->sites[i];

		if (site->patched && !mmun_site_is_ours(site) && !mmun_site_is_original(site))
			return true;
	}
	return false;
}
