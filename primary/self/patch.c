/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Replaces pages of text in one step for every thread, and puts them back.
 *
 * A copy of the pages gets the new bytes and is then moved over the original
 * with mremap(MREMAP_FIXED): other threads execute the old page or the new one,
 * never a mixture, and at no time is memory writable and executable.  The move
 * invalidates the translation on every CPU, which also serialises instruction
 * fetch.  To put them back the file is mapped again over the copy; if the page
 * holds anything of others, or the file is gone, another copy is moved over it.
 *
 * All or nothing:
 *  - a replaced run of pages splits the mapping of the text; the mappings that all
 *    runs need are made for a trial before the first is replaced;
 *  - what putting back needs is kept until the last is replaced;
 *  - whoever fails puts back what he has replaced.
 * A breakpoint in the text (of a debugger, of a uprobe) would be lost with the page,
 * or hit in a copy that its owner does not know: such text is left alone.
 *
 * Uses raw system calls only: it may run inside dlopen().
 * Limits: bytes that another library writes into the same page between the last
 * look and the move are lost; that takes about a microsecond.
 * Tests: tests/unit/self/patch.c, tests/contract/{bytes,limits}.c, tests/torture/patch.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "atomic.h"
#include "state.h"

/* Runs of pages with not more pages than this between them are replaced as one: each
 * costs two mappings. */
#define GAP 2
/* mremap() refuses to work within this distance of the limit of mappings. */
#define MARGIN 16
/* Text that changes at each look is somebody else's business. */
#define LOOKS 8
#define INT3  0xcc
/* Bytes of text that are compared at a time. */
#define LOOK 1024UL

/* Consecutive pages that are replaced together. */
struct run {
	unsigned long start, end;
};

/* What is to be done to the sites of a run, and to which. */
struct edit {
	bool (*wants)(const struct mmun_site *site);
	void (*write)(unsigned char *copy, struct run run, struct mmun_image *image);
};

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
	       (!site->pad || !memcmp(site->now_pad, site->saved_pad, site->pad_length) ||
		!memcmp(site->now_pad, site->pad_bytes, site->pad_length));
}

static bool wants_unpatch(const struct mmun_site *site)
{
	return site->patched && mmun_site_is_ours(site);
}

static bool any_in(const struct mmun_image *image, struct run run,
		   bool (*wanted)(const struct mmun_site *))
{
	for (int i = 0; i < image->nr_sites; i++)
		if (lies_in(&image->sites[i], run) && wanted(&image->sites[i]))
			return true;
	return false;
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

static const struct edit patching = { wants_patch, edit_patch };
static const struct edit unpatching = { wants_unpatch, edit_unpatch };

/* What failed, for the sentence. */
enum step { MAKE_COPY, PROTECT_COPY, MOVE_COPY };

static long read_file(const char *path, long (*eat)(const char *text, long size, long sum))
{
	int fd = (int)mmun_self_open(path);
	char text[1024];
	long n, sum = 0;

	if (fd < 0)
		return -1;
	while ((n = mmun_syscall3(SYS_read, fd, (unsigned long)text, sizeof(text))) > 0)
		sum = eat(text, n, sum);
	mmun_self_close(fd);
	return sum;
}

static long count_lines(const char *text, long size, long sum)
{
	for (long i = 0; i < size; i++)
		sum += text[i] == '\n';
	return sum;
}

static long parse_number(const char *text, long size, long sum)
{
	for (long i = 0; i < size && text[i] >= '0' && text[i] <= '9'; i++)
		sum = sum * 10 + (text[i] - '0');
	return sum;
}

/* Is there no room for @more mappings? */
static bool is_map_full(long more)
{
	long limit = read_file("/proc/sys/vm/max_map_count", parse_number);
	long count = read_file("/proc/self/maps", count_lines);

	return limit > 0 && count > 0 && count + more >= limit;
}

static bool is_limited(int resource)
{
	struct rlimit limit;

	return !mmun_syscall4(SYS_prlimit64, 0, resource, 0, (unsigned long)&limit) &&
	       limit.rlim_cur != RLIM_INFINITY;
}

static void explain_no_memory(struct mmun_refusal *refusal, long more)
{
	if (is_map_full(more))
		mmun_self_refuse(refusal, -ENOMEM,
				 "this process has almost as many mappings as it may have",
				 "raise vm.max_map_count");
	else if (is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA))
		mmun_self_refuse(
			refusal, -ENOMEM,
			"RLIMIT_AS or RLIMIT_DATA leaves no room for copies of pages of text",
			"raise the limit (ulimit -v, ulimit -d)");
	else
		mmun_self_refuse(refusal, -ENOMEM,
				 "the kernel has no memory for copies of pages of text",
				 "raise the memory limit of this process or its control group");
}

/* The true reason of a failure. */
static int explain(struct mmun_refusal *refusal, enum step step, long error, long more)
{
	if (error == -ENOMEM)
		explain_no_memory(refusal, more);
	else if (error == -EAGAIN)
		mmun_self_refuse(
			refusal, -EAGAIN,
			"copies of pages of text would be locked in memory (mlockall), beyond RLIMIT_MEMLOCK",
			"raise RLIMIT_MEMLOCK (ulimit -l), or lock without MCL_FUTURE");
	else if (error == -ESTALE)
		mmun_self_refuse(
			refusal, error = -EBUSY, "text that is to be replaced changes all the time",
			"find out which library or tool rewrites it (mmunotify(7), Limits)");
	else if (error == -EBUSY)
		mmun_self_refuse(refusal, -EBUSY,
				 "the dynamic linker unloads libraries all the time",
				 "start before the threads that load and unload them");
	else if (step == PROTECT_COPY && error == -EACCES)
		mmun_self_refuse(
			refusal, -EACCES,
			"this process may not make memory executable that was written (PR_SET_MDWE or SELinux)",
			"lift MemoryDenyWriteExecute or the SELinux rule execmem for this program");
	else
		mmun_self_refuse(
			refusal, (int)error,
			step == MAKE_COPY ? "mmap is refused to this process (a seccomp filter)"
			: step == PROTECT_COPY
				? "mprotect to PROT_EXEC is refused to this process (a seccomp filter)"
				: "mremap over text is refused to this process (a seccomp filter or sealed memory)",
			"allow the call for this program");
	return (int)error;
}

/* Mappings that nobody needs, each of one page. */
struct reserve {
	unsigned long at, length;
};

static void release(struct reserve *reserve)
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
			release(reserve);
			return (int)ret;
		}
	}
	return 0;
}

static bool differs(const unsigned char *a, const unsigned char *b, unsigned long length)
{
	return memcmp(a, b, length) != 0;
}

/* What stands at the sites of @run, of which @bytes is a copy. */
static void note_run(struct mmun_image *image, struct run run, const unsigned char *bytes)
{
	for (int i = 0; i < image->nr_sites; i++) {
		struct mmun_site *site = &image->sites[i];

		if (!lies_in(site, run))
			continue;
		memcpy(site->now, bytes + ((unsigned long)site->at - run.start), site->length);
		if (site->pad)
			memcpy(site->now_pad, bytes + ((unsigned long)site->pad - run.start),
			       site->pad_length);
	}
}

/* Is @run still what it was? */
static int check_same(struct run run, const unsigned char *before, unsigned char *now)
{
	int ret = mmun_self_read(now, run.start, run.end - run.start);

	if (ret)
		return ret;
	return differs(before, now, run.end - run.start) ? -ESTALE : 0;
}

/* Moves the copy that was made of @before over @run, which must not have changed. */
static int move_over(struct run run, unsigned long copy, const unsigned char *before,
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
static int swap_once(struct mmun_image *image, struct run run, const struct edit *edit,
		     enum step *step)
{
	unsigned long length = run.end - run.start;
	/* The edited copy, behind it one as it was, and room for another look. */
	long copy = mmun_syscall6(SYS_mmap, 0, 3 * length, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0);
	unsigned char *before = (unsigned char *)copy + length;
	long ret;

	*step = MAKE_COPY;
	if (copy < 0)
		return (int)copy;
	ret = mmun_self_read(before, run.start, length);
	if (ret)
		goto unmap;
	memcpy((void *)copy, before, length);
	note_run(image, run, before);
	if (!any_in(image, run, edit->wants))
		goto unmap;
	edit->write((unsigned char *)copy, run, image);
	*step = PROTECT_COPY;
	ret = mmun_syscall3(SYS_mprotect, copy, length, image->prot);
	if (ret)
		goto unmap;
	*step = MOVE_COPY;
	ret = move_over(run, copy, before, before + length);
	if (ret)
		goto unmap;
	mmun_syscall3(SYS_munmap, copy + length, 2 * length, 0);
	return 0;
unmap:
	mmun_syscall3(SYS_munmap, copy, 3 * length, 0);
	return (int)ret;
}

static int swap(struct mmun_image *image, struct run run, const struct edit *edit, enum step *step)
{
	int ret = -ESTALE;

	for (int look = 0; ret == -ESTALE && look < LOOKS; look++)
		ret = swap_once(image, run, edit, step);
	return ret;
}

int mmun_self_write_text(const struct mmun_image *image, unsigned long at, const void *bytes,
			 size_t length)
{
	struct run run = { at & MMUN_PAGE_MASK, mmun_page_up(at + length) };
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

static unsigned long near(unsigned long end)
{
	return end + GAP * MMUN_PAGE_SIZE;
}

/* The first run of pages from @from on with sites, whatever their order; false when
 * there is none. */
static bool next_run(const struct mmun_image *image, unsigned long from, struct run *run)
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

/* The image's file, if it is still what was loaded; -1. */
static int open_file(const struct mmun_image *image)
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

static void close_file(int fd)
{
	if (fd >= 0)
		mmun_self_close(fd);
}

/* What the file has for @run; NULL when it cannot be seen. */
static const unsigned char *map_file(const struct mmun_image *image, int fd, struct run run)
{
	long ret = fd < 0 ? -1
			  : mmun_syscall6(SYS_mmap, 0, run.end - run.start, PROT_READ, MAP_PRIVATE,
					  fd, run.start - image->text_start + image->text_offset);

	return ret > 0 ? (const unsigned char *)ret : NULL;
}

static void unmap_run(const unsigned char *bytes, struct run run)
{
	if (bytes)
		mmun_syscall3(SYS_munmap, (unsigned long)bytes, run.end - run.start, 0);
}

/* What is in memory for @run; NULL when it is not all there. */
static const unsigned char *copy_run(struct run run)
{
	unsigned long length = run.end - run.start;
	long copy = mmun_syscall6(SYS_mmap, 0, length, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0);

	if (copy < 0)
		return NULL;
	if (!mmun_self_read((void *)copy, run.start, length))
		return (const unsigned char *)copy;
	unmap_run((const unsigned char *)copy, run);
	return NULL;
}

/* Is that byte part of what we have written? */
static bool is_our_byte(const struct mmun_image *image, unsigned long at)
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

/* One byte that differs from the file's, alone: other patches are longer. */
static bool is_breakpoint(const unsigned char *text, const unsigned char *file, unsigned long i,
			  unsigned long length)
{
	return text[i] == INT3 && file[i] != INT3 && (!i || text[i - 1] == file[i - 1]) &&
	       (i + 1 == length || text[i + 1] == file[i + 1]);
}

/* The first breakpoint in @run; 0 if there is none, or the file is gone. */
static unsigned long find_breakpoint(const struct mmun_image *image, int fd, struct run run)
{
	const unsigned char *file = map_file(image, fd, run);
	const unsigned char *text = file ? copy_run(run) : NULL;
	unsigned long length = run.end - run.start, found = 0;

	for (unsigned long i = 0; text && !found && i < length; i++) {
		/* Most pages are the file's. */
		if (!(i & ~MMUN_PAGE_MASK) && !differs(text + i, file + i, MMUN_PAGE_SIZE))
			i += MMUN_PAGE_SIZE - 1;
		else if (is_breakpoint(text, file, i, length))
			found = run.start + i;
	}
	unmap_run(text, run);
	unmap_run(file, run);
	return found && !is_our_byte(image, found) ? found : 0;
}

static char *append(char *at, const char *end, const char *text)
{
	while (*text && at < end)
		*at++ = *text++;
	*at = 0;
	return at;
}

static char *append_hex(char *at, const char *end, unsigned long value)
{
	char digits[17];
	int n = sizeof(digits) - 1;

	digits[n] = 0;
	do
		digits[--n] = "0123456789abcdef"[value & 15];
	while (value >>= 4);
	return append(at, end, digits + n);
}

int mmun_self_refuse_breakpoint(const struct mmun_image *image, unsigned long at,
				struct mmun_refusal *refusal)
{
	char text[sizeof(refusal->reason)], *end = text + sizeof(text) - 1, *p = text;
	const char *slash = strrchr(image->path, '/');

	p = append(p, end,
		   "a debugger or a uprobe has a breakpoint in text that is to be replaced, at ");
	p = append(p, end, slash ? slash + 1 : image->path);
	p = append(p, end, "+0x");
	append_hex(p, end, at - image->base);
	mmun_self_refuse(refusal, -EBUSY, text,
			 "remove it, and set it again after the first registration");
	return -EBUSY;
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

static bool is_not_ours(const struct mmun_site *site)
{
	return !mmun_site_is_ours(site);
}

static int check_breakpoints(struct mmun_image *image, struct mmun_refusal *refusal)
{
	struct run run = { .end = 0 };
	int fd = open_file(image), ret = 0;

	while (!ret && next_run(image, run.end, &run)) {
		unsigned long at = any_in(image, run, is_not_ours) ? find_breakpoint(image, fd, run)
								   : 0;

		if (at)
			ret = mmun_self_refuse_breakpoint(image, at, refusal);
	}
	close_file(fd);
	return ret;
}

static int patch_image(struct mmun_image *image, struct mmun_refusal *refusal)
{
	struct run run = { .end = 0 };
	enum step step = MAKE_COPY;
	int ret = mmun_self_look(image);

	if (!ret)
		check_sites(image);
	while (!ret && next_run(image, run.end, &run))
		if (any_in(image, run, wants_patch))
			ret = swap(image, run, &patching, &step);

	/* Some may be, even if it failed. */
	if (ret != -EFAULT && mmun_self_look(image))
		ret = -EFAULT;
	ret = drop_unloaded(image, ret);
	/* One that somebody else has written over since is still patched. */
	for (int i = 0; i < image->nr_sites; i++)
		if (mmun_site_is_ours(&image->sites[i]))
			image->sites[i].patched = true;
	return ret ? explain(refusal, step, ret, MARGIN) : 0;
}

static unsigned long count_runs(const struct mmun_image *image)
{
	struct run run = { .end = 0 };
	unsigned long count = 0;

	while (next_run(image, run.end, &run))
		count += any_in(image, run, wants_patch);
	return count;
}

/* Before the first page is replaced: nothing leads to these yet. */
static void free_stubs(struct mmun_image *images)
{
	for (struct mmun_image *image = images; image; image = image->next)
		if (image->stubs_fresh)
			mmun_self_free_stubs(image);
}

static int explain_stubs(struct mmun_refusal *refusal, int error)
{
	if (error != -ENOMEM || is_map_full(MARGIN))
		return explain(refusal, PROTECT_COPY, error, MARGIN);
	mmun_self_refuse(refusal, error, "there is no room for the redirection near the C library",
			 "see mmunotify(7), Limits");
	return error;
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
	return explain_stubs(refusal, ret);
}

int mmun_self_may_map(struct mmun_refusal *refusal)
{
	struct reserve reserve = { 0 };
	int ret = make_reserve(&reserve, 2 * MARGIN);

	release(&reserve);
	return ret ? explain(refusal, MAKE_COPY, ret, 2 * MARGIN) : 0;
}

/* Two pages of our own, and the very steps that replace text. */
static int may_replace(struct mmun_refusal *refusal)
{
	long pages = mmun_syscall6(SYS_mmap, 0, 2 * MMUN_PAGE_SIZE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0);
	enum step step = MAKE_COPY;
	long ret = pages;

	if (pages < 0)
		goto out;
	*(volatile char *)pages = 0;
	step = PROTECT_COPY;
	ret = mmun_syscall3(SYS_mprotect, pages, MMUN_PAGE_SIZE, PROT_READ | PROT_EXEC);
	if (!ret) {
		step = MOVE_COPY;
		ret = mmun_syscall6(SYS_mremap, pages, MMUN_PAGE_SIZE, MMUN_PAGE_SIZE,
				    MREMAP_MAYMOVE | MREMAP_FIXED, pages + MMUN_PAGE_SIZE, 0);
	}
	/* The place that a moved page has left may be another thread's already. */
	if (ret > 0)
		mmun_syscall3(SYS_munmap, pages + MMUN_PAGE_SIZE, MMUN_PAGE_SIZE, 0);
	else
		mmun_syscall3(SYS_munmap, pages, 2 * MMUN_PAGE_SIZE, 0);
out:
	return ret < 0 ? explain(refusal, step, ret, MARGIN) : 0;
}

int mmun_self_may_patch(struct mmun_image *images, struct mmun_refusal *refusal)
{
	struct reserve reserve = { 0 };
	unsigned long runs = 0, more = 2 * MARGIN;
	int ret = 0;

	for (struct mmun_image *image = images; !ret && image; image = image->next) {
		if (!image->used)
			continue;
		runs += count_runs(image);
		/* The stubs, and what they split. */
		more += image->stubs_ready ? 0 : 2;
		ret = check_breakpoints(image, refusal);
	}
	if (ret || !runs)
		return ret;
	ret = may_replace(refusal);
	if (ret)
		return ret;
	more += 2 * runs;
	ret = make_reserve(&reserve, more);
	release(&reserve);
	return ret ? explain(refusal, MAKE_COPY, ret, (long)more) : 0;
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
		ret = check_breakpoints(image, refusal);
	if (ret)
		return ret;
	if (!image->stubs_ready) {
		ret = mmun_self_make_stubs(image);
		if (ret)
			return explain_stubs(refusal, ret);
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
	int ret = make_reserve(&undo, MARGIN);

	if (ret) {
		free_stubs(images);
		return explain(refusal, MAKE_COPY, ret, MARGIN);
	}
	/* The linker first: from then on it is seen when it unloads one of the others. */
	for (int pass = 0; pass < 2; pass++)
		for (struct mmun_image *image = images; !ret && image; image = image->next)
			if (image->used && image->is_linker == !pass)
				ret = patch_image(image, refusal);
	release(&undo);
	if (!ret && !any_c_library(images))
		ret = explain(refusal, MAKE_COPY, -ENOMEM, MARGIN);
	return ret;
}

/* Would [@at, @at + LOOK) be the file's if our bytes were taken out? */
static bool is_part_but_for_us(const struct mmun_image *image, unsigned long at,
			       const unsigned char *file)
{
	unsigned char text[LOOK];
	bool is = !mmun_self_read(text, at, LOOK);

	for (unsigned long i = 0; is && i < LOOK; i++)
		is = text[i] == file[i] || is_our_byte(image, at + i);
	return is;
}

/* In parts, on the stack: there may be no room for another mapping. */
static bool is_file_but_for_us(const struct mmun_image *image, int fd, struct run run)
{
	const unsigned char *file = map_file(image, fd, run);
	bool is = file;

	for (unsigned long at = 0; is && at < run.end - run.start; at += LOOK)
		is = is_part_but_for_us(image, run.start + at, file + at);
	unmap_run(file, run);
	return is;
}

/* Nothing of us stays in the layout. */
static int map_file_again(struct mmun_image *image, int fd, struct run run)
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

static int unpatch_image(struct mmun_image *image)
{
	struct run run = { .end = 0 };
	int fd = open_file(image), ret = mmun_self_look(image);
	enum step step;

	while (!ret && next_run(image, run.end, &run)) {
		if (!any_in(image, run, wants_unpatch))
			continue;
		ret = map_file_again(image, fd, run);
		if (ret && ret != -EFAULT)
			ret = swap(image, run, &unpatching, &step);
	}
	close_file(fd);
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
