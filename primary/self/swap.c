/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Replaces pages of text in one step for every thread.
 *
 * A copy of the pages gets the new bytes and is then moved over the original
 * with mremap(MREMAP_FIXED): other threads execute the old page or the new one,
 * never a mixture, and at no time is memory writable and executable.  The move
 * invalidates the translation on every CPU, which also serialises instruction
 * fetch.  To put them back the file is mapped again over the copy; if the page
 * holds anything of others, or the file is gone, another copy is moved over it.
 *
 * Uses raw system calls only: it may run inside dlopen().
 * Limits: bytes that another library writes into the same page between the last
 * look and the move are lost; that takes about a microsecond.
 * Not here: which sites are to be replaced, and what follows from a failure (patch.c).
 * Tests: tests/unit/self/patch.c, tests/contract/bytes.c, tests/torture/patch.c.
 */
#include "swap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Runs of pages with not more pages than this between them are replaced as one: each
 * costs two mappings. */
#define GAP 2
/* Text that changes at each look is somebody else's business. */
#define LOOKS 8
/* Bytes of text that are compared at a time. */
#define LOOK 1024UL

static unsigned long first_page(const struct mmun_site *site)
{
	return (unsigned long)mmun_site_start(site) & MMUN_PAGE_MASK;
}

static unsigned long last_page(const struct mmun_site *site)
{
	return ((unsigned long)mmun_site_end(site) - 1) & MMUN_PAGE_MASK;
}

bool mmun_run_holds(const struct mmun_site *site, struct mmun_run run)
{
	return first_page(site) >= run.start && last_page(site) < run.end;
}

bool mmun_run_has(const struct mmun_image *image, struct mmun_run run,
		  bool (*wanted)(const struct mmun_site *))
{
	for (int i = 0; i < image->nr_sites; i++)
		if (mmun_run_holds(&image->sites[i], run) && wanted(&image->sites[i]))
			return true;
	return false;
}

static unsigned long near(unsigned long end)
{
	return end + GAP * MMUN_PAGE_SIZE;
}

bool mmun_run_next(const struct mmun_image *image, unsigned long from, struct mmun_run *run)
{
	bool grown = true;

	run->start = -1ul;
	for (int i = 0; i < image->nr_sites; i++) {
		const struct mmun_site *site = &image->sites[i];

		if (first_page(site) < from || first_page(site) >= run->start)
			continue;
		run->start = first_page(site);
		run->end = last_page(site) + MMUN_PAGE_SIZE;
	}
	while (run->start != -1ul && grown) {
		grown = false;
		for (int i = 0; i < image->nr_sites; i++) {
			const struct mmun_site *site = &image->sites[i];

			if (first_page(site) < run->start || first_page(site) > near(run->end) ||
			    last_page(site) < run->end)
				continue;
			run->end = last_page(site) + MMUN_PAGE_SIZE;
			grown = true;
		}
	}
	return run->start != -1ul;
}

/* What stands at the sites of @run, of which @bytes is a copy. */
static void note_run(struct mmun_image *image, struct mmun_run run, const unsigned char *bytes)
{
	for (int i = 0; i < image->nr_sites; i++) {
		struct mmun_site *site = &image->sites[i];

		if (!mmun_run_holds(site, run))
			continue;
		memcpy(site->now, bytes + ((unsigned long)site->at - run.start), site->length);
		if (site->pad)
			memcpy(site->now_pad, bytes + ((unsigned long)site->pad - run.start),
			       site->pad_length);
	}
}

/* Is @run still what it was? */
static int check_same(struct mmun_run run, const unsigned char *before, unsigned char *now)
{
	int ret = mmun_self_read(now, run.start, run.end - run.start);

	if (ret)
		return ret;
	return memcmp(before, now, run.end - run.start) ? -ESTALE : 0;
}

/* Moves the copy that was made of @before over @run, which must not have changed. */
static int move_over(struct mmun_run run, unsigned long copy, const unsigned char *before,
		     unsigned char *now)
{
	unsigned long length = run.end - run.start;
	long ret = mmun_self_move_begin();

	if (ret)
		return (int)ret;
	ret = check_same(run, before, now);
	if (!ret)
		ret = mmun_syscall6(SYS_mremap, copy, length, length, MREMAP_MAYMOVE | MREMAP_FIXED,
				    run.start, 0);
	mmun_self_move_end();
	return ret < 0 ? (int)ret : 0;
}

/*
 * Copies @run, edits it and moves it over; the original must not change meanwhile.  Where
 * none of the sites is to be edited any more, something else may lie there by now.
 */
static int swap_once(struct mmun_image *image, struct mmun_run run, const struct mmun_edit *edit,
		     enum mmun_step *step)
{
	unsigned long length = run.end - run.start;
	/* The edited copy, behind it one as it was, and room for another look. */
	long copy = mmun_syscall6(SYS_mmap, 0, 3 * length, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0);
	unsigned char *before = (unsigned char *)copy + length;
	long ret;

	*step = MMUN_STEP_COPY;
	if (copy < 0)
		return (int)copy;
	ret = mmun_self_read(before, run.start, length);
	if (ret)
		goto unmap;
	memcpy((void *)copy, before, length);
	note_run(image, run, before);
	if (!mmun_run_has(image, run, edit->wants))
		goto unmap;
	edit->write((unsigned char *)copy, run, image);
	*step = MMUN_STEP_PROTECT;
	ret = mmun_syscall3(SYS_mprotect, copy, length, image->prot);
	if (ret)
		goto unmap;
	*step = MMUN_STEP_MOVE;
	ret = move_over(run, copy, before, before + length);
	if (ret)
		goto unmap;
	mmun_syscall3(SYS_munmap, copy + length, 2 * length, 0);
	return 0;
unmap:
	mmun_syscall3(SYS_munmap, copy, 3 * length, 0);
	return (int)ret;
}

int mmun_run_swap(struct mmun_image *image, struct mmun_run run, const struct mmun_edit *edit,
		  enum mmun_step *step)
{
	int ret = -ESTALE;

	for (int look = 0; ret == -ESTALE && look < LOOKS; look++)
		ret = swap_once(image, run, edit, step);
	return ret;
}

int mmun_self_write_text(const struct mmun_image *image, unsigned long at, const void *bytes,
			 size_t length)
{
	struct mmun_run run = { at & MMUN_PAGE_MASK, mmun_page_up(at + length) };
	unsigned long size = run.end - run.start;
	long copy = mmun_syscall6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0);
	long ret;

	if (copy < 0)
		return (int)copy;
	ret = mmun_self_read((void *)copy, run.start, size);
	memcpy((char *)copy + (at - run.start), bytes, length);
	if (!ret)
		ret = mmun_syscall3(SYS_mprotect, copy, size, image->prot);
	if (!ret)
		ret = mmun_syscall6(SYS_mremap, copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
				    run.start, 0);
	if (ret >= 0)
		return 0;
	mmun_syscall3(SYS_munmap, copy, size, 0);
	return (int)ret;
}

int mmun_run_open_file(const struct mmun_image *image)
{
	struct stat file;
	int fd = (int)mmun_self_open(image->path);

	if (fd < 0)
		return -1;
	if (!mmun_syscall3(SYS_fstat, fd, (unsigned long)&file, 0) && file.st_ino == image->inode)
		return fd;
	mmun_self_close(fd);
	return -1;
}

void mmun_run_close_file(int fd)
{
	if (fd >= 0)
		mmun_self_close(fd);
}

const unsigned char *mmun_run_map_file(const struct mmun_image *image, int fd, struct mmun_run run)
{
	long ret = fd < 0 ? -1
			  : mmun_syscall6(SYS_mmap, 0, run.end - run.start, PROT_READ, MAP_PRIVATE,
					  fd, run.start - image->text_start + image->text_offset);

	return ret > 0 ? (const unsigned char *)ret : NULL;
}

void mmun_run_unmap(const unsigned char *bytes, struct mmun_run run)
{
	if (bytes)
		mmun_syscall3(SYS_munmap, (unsigned long)bytes, run.end - run.start, 0);
}

bool mmun_run_is_our_byte(const struct mmun_image *image, unsigned long at)
{
	for (int i = 0; i < image->nr_sites; i++) {
		const struct mmun_site *site = &image->sites[i];

		if (mmun_site_is_ours(site) &&
		    (at - (unsigned long)site->at < site->length ||
		     (site->pad && at - (unsigned long)site->pad < site->pad_length)))
			return true;
	}
	return false;
}

/* Would [@at, @at + LOOK) be the file's if our bytes were taken out? */
static bool is_part_but_for_us(const struct mmun_image *image, unsigned long at,
			       const unsigned char *file)
{
	unsigned char text[LOOK];
	bool is = !mmun_self_read(text, at, LOOK);

	for (unsigned long i = 0; is && i < LOOK; i++)
		is = text[i] == file[i] || mmun_run_is_our_byte(image, at + i);
	return is;
}

/* In parts, on the stack: there may be no room for another mapping. */
static bool is_file_but_for_us(const struct mmun_image *image, int fd, struct mmun_run run)
{
	const unsigned char *file = mmun_run_map_file(image, fd, run);
	bool is = file;

	for (unsigned long at = 0; is && at < run.end - run.start; at += LOOK)
		is = is_part_but_for_us(image, run.start + at, file + at);
	mmun_run_unmap(file, run);
	return is;
}

int mmun_run_map_again(struct mmun_image *image, int fd, struct mmun_run run)
{
	long ret;

	ret = mmun_self_move_begin();
	if (ret)
		return (int)ret;
	ret = is_file_but_for_us(image, fd, run)
		      ? mmun_syscall6(SYS_mmap, run.start, run.end - run.start, image->prot,
				      MAP_PRIVATE | MAP_FIXED, fd,
				      run.start - image->text_start + image->text_offset)
		      : -ESTALE;
	mmun_self_move_end();
	return ret < 0 ? (int)ret : 0;
}
