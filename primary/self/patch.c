/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Redirects the sites of images, and puts them back: what is tried before, in which order the
 * images follow, and what a failure leaves.
 *
 * All or nothing:
 *  - a replaced run of pages splits the mapping of the text; the mappings that all
 *    runs need are made for a trial before the first is replaced;
 *  - what putting back needs is kept until the last is replaced;
 *  - a caller that fails puts back what it has replaced.
 *
 * Uses raw system calls only: it may run inside dlopen().
 * Not here: how pages are replaced (swap.c), breakpoints in them (breakpoint.c), stubs (stub.c).
 * Tests: tests/unit/self/patch.c, tests/contract/{bytes,limits}.c, tests/torture/patch.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "swap.h"

/* Padding that somebody else uses is none. */
static bool wants_patch(const struct mmun_site *site)
{
	return mmun_site_is_original(site) &&
	       (!site->pad || !memcmp(site->now_pad, site->saved_pad, site->pad_length) ||
		!memcmp(site->now_pad, site->pad_bytes, site->pad_length));
}

static bool wants_unpatch(const struct mmun_site *site)
{
	return site->patched && mmun_site_is_ours(site);
}

static void edit_patch(unsigned char *copy, struct mmun_run run, struct mmun_image *image)
{
	for (int i = 0; i < image->nr_sites; i++) {
		const struct mmun_site *site = &image->sites[i];

		if (!mmun_run_holds(site, run) || !wants_patch(site))
			continue;
		memcpy(copy + ((unsigned long)site->at - run.start), site->bytes, site->length);
		if (site->pad)
			memcpy(copy + ((unsigned long)site->pad - run.start), site->pad_bytes,
			       site->pad_length);
	}
}

static void edit_unpatch(unsigned char *copy, struct mmun_run run, struct mmun_image *image)
{
	for (int i = 0; i < image->nr_sites; i++) {
		const struct mmun_site *site = &image->sites[i];

		if (!mmun_run_holds(site, run) || !wants_unpatch(site))
			continue;
		memcpy(copy + ((unsigned long)site->at - run.start), site->saved, site->length);
		if (site->pad)
			memcpy(copy + ((unsigned long)site->pad - run.start), site->saved_pad,
			       site->pad_length);
	}
}

static const struct mmun_edit patching = { wants_patch, edit_patch };
static const struct mmun_edit unpatching = { wants_unpatch, edit_unpatch };

/* Mappings that nobody needs, each of one page. */
struct reserve {
	unsigned long at, length;
};

static void release_reserve(struct reserve *reserve)
{
	if (reserve->length)
		mmun_syscall3(SYS_munmap, reserve->at, reserve->length, 0);
	reserve->length = 0;
}

static int make_reserve(struct reserve *reserve, unsigned long count)
{
	unsigned long length = count * MMUN_PAGE_SIZE;
	long ret =
		mmun_syscall6(SYS_mmap, 0, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0);

	if (ret < 0)
		return (int)ret;
	reserve->at = ret;
	reserve->length = length;
	/* Each second one gets other rights, so that none is merged with the next. */
	for (unsigned long at = 0; at < length; at += 2 * MMUN_PAGE_SIZE) {
		ret = mmun_syscall3(SYS_mprotect, reserve->at + at, MMUN_PAGE_SIZE, PROT_READ);
		if (ret) {
			release_reserve(reserve);
			return (int)ret;
		}
	}
	return 0;
}

/* An image that has been unloaded meanwhile is none. */
static int drop_unloaded(struct mmun_image *image, int error)
{
	if (error != -EFAULT)
		return error;
	image->used = false;
	return 0;
}

/* A site that we patched and somebody put back is no longer ours. */
static void check_sites(struct mmun_image *image)
{
	for (int i = 0; i < image->nr_sites; i++)
		if (mmun_site_is_original(&image->sites[i]))
			image->sites[i].patched = false;
}

static int patch_image(struct mmun_image *image, struct mmun_refusal *refusal)
{
	struct mmun_run run = { .end = 0 };
	enum mmun_step step = MMUN_STEP_COPY;
	int ret = mmun_self_look(image);

	if (!ret)
		check_sites(image);
	while (!ret && mmun_run_next(image, run.end, &run))
		if (mmun_run_has(image, run, wants_patch))
			ret = mmun_run_swap(image, run, &patching, &step);

	/* Some may be, even if it failed. */
	if (ret != -EFAULT && mmun_self_look(image))
		ret = -EFAULT;
	ret = drop_unloaded(image, ret);
	/* One that somebody else has written over since is still patched. */
	for (int i = 0; i < image->nr_sites; i++)
		if (mmun_site_is_ours(&image->sites[i]))
			image->sites[i].patched = true;
	return ret ? mmun_self_explain(refusal, step, ret, MMUN_MAP_MARGIN) : 0;
}

static unsigned long count_runs(const struct mmun_image *image)
{
	struct mmun_run run = { .end = 0 };
	unsigned long count = 0;

	while (mmun_run_next(image, run.end, &run))
		count += mmun_run_has(image, run, wants_patch);
	return count;
}

/* Before the first page is replaced: nothing leads to these yet. */
static void free_stubs(struct mmun_image *images)
{
	for (struct mmun_image *image = images; image; image = image->next)
		if (image->stubs_fresh)
			mmun_self_free_stubs(image);
}

static int make_stubs(struct mmun_image *images, struct mmun_refusal *refusal)
{
	int ret = 0;

	for (struct mmun_image *image = images; image; image = image->next)
		image->stubs_fresh = false;
	for (struct mmun_image *image = images; !ret && image; image = image->next) {
		if (!image->used || image->stubs_ready)
			continue;
		ret = mmun_self_make_stubs(image);
		image->stubs_fresh = !ret;
	}
	if (!ret)
		return 0;
	free_stubs(images);
	return mmun_self_explain_stubs(refusal, ret);
}

int mmun_self_may_map(struct mmun_refusal *refusal)
{
	struct reserve reserve = { 0 };
	int ret = make_reserve(&reserve, 2 * MMUN_MAP_MARGIN);

	release_reserve(&reserve);
	return ret ? mmun_self_explain(refusal, MMUN_STEP_COPY, ret, 2 * MMUN_MAP_MARGIN) : 0;
}

/* Two pages of our own, and the very steps that replace text. */
static int may_replace(struct mmun_refusal *refusal)
{
	long pages = mmun_syscall6(SYS_mmap, 0, 2 * MMUN_PAGE_SIZE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0);
	enum mmun_step step = MMUN_STEP_COPY;
	long ret = pages;

	if (pages < 0)
		goto out;
	*(volatile char *)pages = 0;
	step = MMUN_STEP_PROTECT;
	ret = mmun_syscall3(SYS_mprotect, pages, MMUN_PAGE_SIZE, PROT_READ | PROT_EXEC);
	if (!ret) {
		step = MMUN_STEP_MOVE;
		ret = mmun_syscall6(SYS_mremap, pages, MMUN_PAGE_SIZE, MMUN_PAGE_SIZE,
				    MREMAP_MAYMOVE | MREMAP_FIXED, pages + MMUN_PAGE_SIZE, 0);
	}
	/* The place that a moved page has left may be another thread's already. */
	if (ret > 0)
		mmun_syscall3(SYS_munmap, pages + MMUN_PAGE_SIZE, MMUN_PAGE_SIZE, 0);
	else
		mmun_syscall3(SYS_munmap, pages, 2 * MMUN_PAGE_SIZE, 0);
out:
	return ret < 0 ? mmun_self_explain(refusal, step, ret, MMUN_MAP_MARGIN) : 0;
}

int mmun_self_may_patch(struct mmun_image *images, struct mmun_refusal *refusal)
{
	struct reserve reserve = { 0 };
	unsigned long runs = 0, more = 2 * MMUN_MAP_MARGIN;
	int ret = 0;

	for (struct mmun_image *image = images; !ret && image; image = image->next) {
		if (!image->used)
			continue;
		runs += count_runs(image);
		/* The stubs, and what they split. */
		more += image->stubs_ready ? 0 : 2;
		ret = mmun_self_check_breakpoints(image, refusal);
	}
	if (ret || !runs)
		return ret;
	ret = may_replace(refusal);
	if (ret)
		return ret;
	more += 2 * runs;
	ret = make_reserve(&reserve, more);
	release_reserve(&reserve);
	return ret ? mmun_self_explain(refusal, MMUN_STEP_COPY, ret, (long)more) : 0;
}

int mmun_self_prepare_patch(struct mmun_image *images, struct mmun_refusal *refusal)
{
	int ret = mmun_self_may_patch(images, refusal);

	return ret ? ret : make_stubs(images, refusal);
}

static bool any_wants_patch(const struct mmun_image *image)
{
	for (int i = 0; i < image->nr_sites; i++)
		if (wants_patch(&image->sites[i]))
			return true;
	return false;
}

int mmun_self_patch_one(struct mmun_image *image, struct mmun_refusal *refusal)
{
	int ret = mmun_self_check_image(image, refusal);

	if (ret || !image->used || !any_wants_patch(image))
		return ret;
	ret = mmun_self_may_map(refusal);
	if (!ret)
		ret = mmun_self_check_breakpoints(image, refusal);
	if (ret)
		return ret;
	if (!image->stubs_ready) {
		ret = mmun_self_make_stubs(image);
		if (ret)
			return mmun_self_explain_stubs(refusal, ret);
	}
	return patch_image(image, refusal);
}

static bool any_c_library(const struct mmun_image *images)
{
	const struct mmun_image *image = images;

	while (image && !(image->used && image->is_c_library && !image->is_linker))
		image = image->next;
	return image;
}

int mmun_self_patch_all(struct mmun_image *images, struct mmun_refusal *refusal)
{
	struct reserve undo = { 0 };
	int ret = make_reserve(&undo, MMUN_MAP_MARGIN);

	if (ret) {
		free_stubs(images);
		return mmun_self_explain(refusal, MMUN_STEP_COPY, ret, MMUN_MAP_MARGIN);
	}
	/* The linker first: from then on it is seen when it unloads one of the others. */
	for (int pass = 0; pass < 2; pass++)
		for (struct mmun_image *image = images; !ret && image; image = image->next)
			if (image->used && image->is_linker == !pass)
				ret = patch_image(image, refusal);
	release_reserve(&undo);
	if (!ret && !any_c_library(images))
		ret = mmun_self_explain(refusal, MMUN_STEP_COPY, -ENOMEM, MMUN_MAP_MARGIN);
	return ret;
}

static int unpatch_image(struct mmun_image *image)
{
	struct mmun_run run = { .end = 0 };
	int fd = mmun_run_open_file(image), ret = mmun_self_look(image);
	enum mmun_step step;

	while (!ret && mmun_run_next(image, run.end, &run)) {
		if (!mmun_run_has(image, run, wants_unpatch))
			continue;
		ret = mmun_run_map_again(image, fd, run);
		if (ret && ret != -EFAULT)
			ret = mmun_run_swap(image, run, &unpatching, &step);
	}
	mmun_run_close_file(fd);
	if (!ret)
		ret = mmun_self_look(image);
	check_sites(image);
	return drop_unloaded(image, ret);
}

int mmun_self_patch(struct mmun_image *image)
{
	struct mmun_refusal refusal = { 0 };
	int ret = patch_image(image, &refusal);

	if (ret)
		(void)unpatch_image(image);
	return ret;
}

int mmun_self_unpatch(struct mmun_image *image)
{
	return unpatch_image(image);
}

int mmun_self_unpatch_all(struct mmun_image *images)
{
	int ret = 0;

	/* The linker last. */
	for (int pass = 0; pass < 2; pass++)
		for (struct mmun_image *image = images; image; image = image->next) {
			int one = image->used && image->is_linker == pass ? unpatch_image(image)
									  : 0;

			ret = ret ? ret : one;
		}
	return ret;
}

bool mmun_self_is_patched(const struct mmun_image *images)
{
	for (const struct mmun_image *image = images; image; image = image->next)
		for (int i = 0; image->used && i < image->nr_sites; i++)
			if (image->sites[i].patched)
				return true;
	return false;
}

bool mmun_self_is_covered(struct mmun_image *image)
{
	if (mmun_self_look(image))
		return false;
	for (int i = 0; i < image->nr_sites; i++) {
		const struct mmun_site *site = &image->sites[i];

		if (site->patched && !mmun_site_is_ours(site) && !mmun_site_is_original(site))
			return true;
	}
	return false;
}
