/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The running process as an event source: installing and removing the redirection, and text
 * that appears or changes while it is installed.
 *
 * Invariants:
 *  I1  A patched site leads to a stub that stays mapped as long as the image, so
 *      a thread in it, or a copy of our jump kept by another library, is always
 *      safe; unarmed it leads to the program's call and nothing else.
 *  I2  Either every image found is patched or none is.
 * Locks: self.lock (rank SOURCE) orders start, stop and late images; hooks only
 * ever try it.
 * Not here: the mm of the process (mm.c), finding images (image.c), patching (patch.c).
 * Tests: tests/contract, tests/torture/{self,patch}.c.
 */
#include "mmunotify/self.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/platform/x86.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "atomic.h"
#include "clock.h"
#include "known.h"
#include "late.h"
#include "lock.h"
#include "state.h"
#include "strict.h"

unsigned long mmun_self_xsave_size;
unsigned int mmun_self_xsave_mask;

static struct {
	struct mmun_mutex lock;
	/* Protected by lock. */
	bool started;
	/* Calls that entered the kernel before the patch may still be there. */
	bool unsettled;
	/* Strict mode is wanted. */
	bool strict;
	/* Grows only; hooks walk it without the lock. */
	struct mmun_image *images;
	/* Around the text of all images that there ever were. */
	unsigned long text_start, text_end;

	/* Set by the linker's mmap() of any library: see it at the next chance. */
	bool text_pending;
	struct mmun_late late;
} self = { .lock = MMUN_MUTEX_INIT(MMUN_RANK_SOURCE) };

struct mmun_self_shared mmun_self_shared __attribute__((aligned(MMUN_CACHE_LINE)));

static void watch_images(void)
{
	bool all = self.late.failed && self.late.retries;

	mmun_store_relaxed(&mmun_self_shared.watched_start, all ? 0 : self.text_start);
	mmun_store_relaxed(&mmun_self_shared.watched_end, all ? -1ul : self.text_end);
}

/* The locks may be held by threads that do not exist here. */
void mmun_self_forget(void)
{
	mmun_mutex_init(&self.lock, MMUN_RANK_SOURCE);
	mmun_self_move_forget();
	self.started = false;
	self.late = (struct mmun_late){ 0 };
	watch_images();
	mmun_strict_forget();
}

static void measure_errno(void)
{
	unsigned long thread;

	__asm__("movq %%fs:0, %0" : "=r"(thread));
	mmun_self_shared.errno_offset = (char *)&errno - (char *)thread;
}

/* The size and parts of the vector state that callbacks may clobber. */
static void measure_vectors(void)
{
	unsigned int enabled, high;

	__asm__("xgetbv" : "=a"(enabled), "=d"(high) : "c"(0));
	/* x87, SSE, AVX, AVX-512.  Tile registers are dead across calls, and
	 * larger than many a stack. */
	mmun_self_xsave_mask = enabled & 0xe7;
	/* Sizes of the standard format, and room to align. */
	mmun_self_xsave_size = (enabled & 0xe0 ? 2688 : 832) + 64;
}

static bool has_xsave(void)
{
	/* The C library has asked the processor, which takes long in a virtual machine. */
	return CPU_FEATURE_ACTIVE(OSXSAVE);
}

static int check_processor(struct mmun_refusal *refusal)
{
	if (has_xsave())
		return 0;
	mmun_self_refuse(refusal, -ENOTSUP, "this processor has no XSAVE instruction",
			 "give the virtual machine a processor model that has it");
	return -ENOTSUP;
}

static void widen_text(const struct mmun_image *image)
{
	if (!self.text_end || image->text_start < self.text_start)
		mmun_store_relaxed(&self.text_start, image->text_start);
	if (image->text_end > self.text_end)
		mmun_store_relaxed(&self.text_end, image->text_end);
	watch_images();
}

/* Makes what the images need that were found. */
static int prepare_found(struct mmun_refusal *refusal)
{
	int ret = 0;

	for (struct mmun_image *image = self.images; !ret && image; image = image->next) {
		if (!image->used || !image->nr_sites)
			continue;
		widen_text(image);
		ret = mmun_self_check_image(image, refusal);
	}
	if (!ret)
		ret = mmun_self_prepare_patch(self.images, refusal);
	for (struct mmun_image *image = self.images; !ret && self.strict && image;
	     image = image->next)
		if (image->used)
			ret = mmun_strict_begin(image, refusal);
	return ret;
}

/* Finds what is to be patched, and makes what that needs. */
static int prepare(struct mmun_refusal *refusal)
{
	int ret;

	mmun_known_open();
	ret = mmun_self_find_images(&self.images, refusal);
	mmun_known_close();
	return ret ? ret : prepare_found(refusal);
}

/* Where nothing was ever patched nobody looks at what was made for it. */
static void forget(void)
{
	for (const struct mmun_image *image = self.images; image; image = image->next)
		if (image->stubs)
			return;
	mmun_self_stacks_unmap();
	mmun_self_free_images(&self.images);
}

/* Each as far as it goes; the first failure is returned. */
static int patch_each(struct mmun_refusal *refusal)
{
	struct mmun_refusal other;
	int ret = 0;

	for (struct mmun_image *image = self.images; image; image = image->next) {
		struct mmun_refusal *why = ret ? &other : refusal;
		int one;

		if (!image->used || !image->nr_sites)
			continue;
		widen_text(image);
		one = mmun_self_patch_one(image, why);
		if (one)
			mmun_self_name_refusal(why, image->path);
		ret = ret ? ret : one;
	}
	return ret;
}

/* All at once, with a trial before; or what can be. */
static int redirect_late(struct mmun_refusal *refusal)
{
	int found = mmun_self_find_images(&self.images, refusal), ret = found;
	struct mmun_refusal other;

	if (!ret)
		ret = prepare_found(refusal);
	if (!ret)
		ret = mmun_self_patch_all(self.images, refusal);
	if (!ret)
		return 0;
	ret = patch_each(found ? &other : refusal);
	return found ? found : ret;
}

/* With the lock held, of a source that is started: what has come since, and what failed. */
static int look_again(void)
{
	struct mmun_refusal refusal = { 0 };
	int ret;

	mmun_store_relaxed(&self.text_pending, false);
	ret = redirect_late(&refusal);
	if (ret) {
		self.late.why = refusal;
		mmun_late_note(&self.late, mmun_now());
		mmun_store_relaxed(&self.text_pending, true);
	} else if (self.late.failed) {
		/* Its code has run: some calls may be under way unseen. */
		mmun_store_full(&self.unsettled, true);
		mmun_late_clear(&self.late);
	}
	watch_images();
	return ret;
}

static void patch_late(void);

/* A library that the linker mapped while we held the lock. */
static void unlock_self(void)
{
	mmun_mutex_unlock(&self.lock);
	if (mmun_load_relaxed(&self.text_pending))
		patch_late();
}

/* On top of what is patched already. */
static int start_strict(struct mmun_refusal *refusal)
{
	int ret = mmun_strict_check(refusal);

	if (ret)
		return ret;
	self.strict = true;
	ret = prepare(refusal);
	if (!ret)
		ret = mmun_self_patch_all(self.images, refusal);
	if (!ret)
		ret = mmun_strict_start(mmun_self_pid(), refusal);
	return ret;
}

static int start_locked(bool strict, struct mmun_refusal *refusal)
{
	int ret;

	if (self.started) {
		ret = self.late.failed ? look_again() : 0;
		return !ret && strict && !mmun_strict_is_started() ? start_strict(refusal) : ret;
	}
	self.strict = strict;
	/* That it may map as much as it needs is tried when that is known. */
	ret = check_processor(refusal);
	if (!ret && strict)
		ret = mmun_strict_check(refusal);
	if (!ret)
		ret = mmun_self_stacks_map();
	if (!ret)
		ret = prepare(refusal);
	if (ret) {
		forget();
		return ret;
	}
	measure_vectors();
	measure_errno();
	/* Armed first: a thread that takes a stub from now on is seen. */
	mmun_store_full(mmun_self_armed, 1);
	ret = mmun_self_patch_all(self.images, refusal);
	if (!ret && strict)
		ret = mmun_strict_start(mmun_self_pid(), refusal);
	if (ret) {
		/* What cannot be put back leads to the program's own calls. */
		(void)mmun_self_unpatch_all(self.images);
		mmun_store_full(mmun_self_armed, 0);
		return ret;
	}
	mmun_late_clear(&self.late);
	watch_images();
	/* First: a thread that sees that it is started sees that as well. */
	mmun_store_full(&self.unsettled, true);
	mmun_store_full(&self.started, true);
	return 0;
}

/*
 * Other copies of this library know nothing of self.lock: between the look at the text
 * and the patch they are kept out by a lock on a file that is this process's alone.
 * Released before it is closed, for a child forked meanwhile has it open too.
 * Returns -1 where that cannot be had.
 */
static int lock_out_copies(void)
{
	int fd = (int)mmun_self_open("/proc/self/stat");

	if (fd < 0)
		return -1;
	while (mmun_syscall3(SYS_flock, fd, LOCK_EX, 0) == -EINTR)
		;
	return fd;
}

static void let_copies_in(int fd)
{
	if (fd < 0)
		return;
	mmun_syscall3(SYS_flock, fd, LOCK_UN, 0);
	mmun_self_close(fd);
}

static int start_in_mode(bool strict)
{
	struct mmun_refusal refusal = { 0 };
	int ret, fd;

	if (!mmun_self())
		return -errno;
	mmun_mutex_lock(&self.lock);
	fd = self.started && !strict ? -1 : lock_out_copies();
	mmun_self_move_may_wait(true);
	ret = start_locked(strict, &refusal);
	mmun_self_move_may_wait(false);
	let_copies_in(fd);
	unlock_self();
	return ret;
}

int mmun_self_start(void)
{
	return start_in_mode(mmun_strict_asked());
}

int mmun_self_start_strict(void)
{
	return start_in_mode(true);
}

/* Has somebody else written over a site?  An image that is unloaded between the two looks
 * leaves its place to others, and is not found again. */
static bool is_covered(void)
{
	struct mmun_refusal refusal = { 0 };
	bool is = true;

	for (int look = 0; is && look < 3; look++) {
		mmun_self_find_images(&self.images, &refusal);
		is = false;
		for (struct mmun_image *image = self.images; !is && image; image = image->next)
			is = image->used && mmun_self_is_covered(image);
	}
	return is;
}

static int may_stop(struct mm_struct *mm)
{
	struct mmun_stats stats;

	mmun_mm_stats(mm, &stats);
	if (stats.registered > stats.unregistered || stats.inserted > stats.removed)
		return -EBUSY;
	return is_covered() ? -EBUSY : 0;
}

/* Insertions do not take the mmap lock: they count themselves and then ask whether the
 * source is started; here it is said not to be, and then the count is looked at. */
static int stop_locked(struct mm_struct *mm)
{
	bool started = self.started;
	int ret;

	if (!started && !mmun_self_is_patched(self.images))
		return 0;
	mmun_store_full(&self.started, false);
	ret = may_stop(mm);
	if (ret) {
		mmun_store_full(&self.started, started);
		return ret;
	}
	mmun_strict_stop();
	ret = mmun_self_unpatch_all(self.images);
	mmun_store_full(mmun_self_armed, 0);
	mmun_late_clear(&self.late);
	watch_images();
	return ret;
}

int mmun_self_stop(void)
{
	struct mm_struct *mm = mmun_self();
	int ret, fd;

	if (!mm)
		return -ENOMEM;
	/* No registration may come between the test and the stop. */
	mmap_write_lock(mm);
	mmun_mutex_lock(&self.lock);
	fd = lock_out_copies();
	mmun_self_move_may_wait(true);
	ret = stop_locked(mm);
	mmun_self_move_may_wait(false);
	let_copies_in(fd);
	mmun_mutex_unlock(&self.lock);
	mmap_write_unlock(mm);
	return ret;
}

static bool is_started(const struct mm_struct *mm)
{
	return mm == mmun_self_mm() && mmun_load_full(&self.started) &&
	       !mmun_load_full(&self.unsettled) && !mmun_load_full(&self.late.failed);
}

/* For a registration: nothing unseen may be under way when it returns. */
static int start(struct mm_struct *mm)
{
	unsigned long unsettled = 0;
	int ret = mm == mmun_self_mm() ? mmun_self_start() : -ESRCH;

	if (ret)
		return ret;
	mmun_mutex_lock(&self.lock);
	if (self.unsettled)
		ret = mmun_self_settle(self.images, &unsettled);
	if (!ret)
		mmun_store_full(&self.unsettled, false);
	unlock_self();
	mmun_mm_count_unsettled(mm, unsettled);
	return ret;
}

static void probe(struct mmun_probe *out)
{
	struct mmun_image *images = NULL;
	struct mmun_refusal refusal = { 0 };
	int ret = 0;

	memset(out, 0, sizeof(*out));
	mmun_self();
	mmun_mutex_lock(&self.lock);
	if (!self.started) {
		ret = check_processor(&refusal);
		if (!ret && mmun_strict_asked())
			ret = mmun_strict_check(&refusal);
		if (!ret)
			ret = mmun_self_may_map(&refusal);
		if (!ret)
			ret = mmun_self_find_images(&images, &refusal);
		if (!ret)
			ret = mmun_self_may_patch(images, &refusal);
		mmun_self_free_images(&images);
	} else if (self.late.failed) {
		refusal = self.late.why;
		ret = refusal.error;
	}
	mmun_mutex_unlock(&self.lock);
	out->available = !ret;
	memcpy(out->reason, refusal.reason, sizeof(out->reason));
	memcpy(out->remedy, refusal.remedy, sizeof(out->remedy));
}

/*
 * Late text.  The linker maps a library while we run: that is our chance before its
 * first instruction runs.  It is not the last one, because the linker protects a part
 * of most libraries when it has relocated them.  And a library that had patched a
 * function before us may put the original bytes back.  What fails is counted, and tried
 * again: there, when somebody registers, and at an munmap() or mprotect() of anything.
 */
static void patch_late(void)
{
	if (!mmun_mutex_trylock(&self.lock))
		return;
	if (self.started)
		look_again();
	mmun_mutex_unlock(&self.lock);
}

static bool is_late_due(void)
{
	return mmun_unlikely(mmun_load_relaxed(&self.late.retries)) &&
	       mmun_late_is_due(&self.late, mmun_now());
}

void mmun_self_linker_mapped(void)
{
	mmun_store_relaxed(&self.text_pending, true);
	patch_late();
	/* Parts of it may be missing yet. */
	mmun_store_relaxed(&self.text_pending, true);
}

static struct mmun_image *image_at(unsigned long start, unsigned long end)
{
	struct mmun_image *image = mmun_load_acquire(&self.images);

	for (; image; image = mmun_load_acquire(&image->next))
		if (image->used && start < image->text_end && end > image->text_start)
			return image;
	return NULL;
}

bool mmun_self_is_library_text(unsigned long address)
{
	const struct mmun_image *image = image_at(address, address + 1);

	return image && image->is_c_library;
}

bool mmun_self_is_text(unsigned long start, unsigned long end)
{
	return is_late_due() || image_at(start, end);
}

bool mmun_self_text_is_pending(void)
{
	return mmun_load_relaxed(&self.text_pending);
}

void mmun_self_protected(const struct mmun_site *site, unsigned long start, unsigned long end,
			 unsigned long prot)
{
	if ((site->in_linker && mmun_load_relaxed(&self.text_pending)) ||
	    (!(prot & PROT_WRITE) && image_at(start, end)) || is_late_due())
		patch_late();
}

void mmun_self_unmapped(unsigned long start, unsigned long end)
{
	struct mmun_image *image = image_at(start, end);

	if (image && mmun_mutex_trylock(&self.lock)) {
		image->used = false;
		mmun_mutex_unlock(&self.lock);
	}
	if (is_late_due())
		patch_late();
}

int mmun_self_sites(int (*fn)(const char *object, const struct mmun_site_info *info, void *arg),
		    void *arg)
{
	int ret;

	/* In a forked child the lock is another. */
	if (!mmun_self())
		return -errno;
	mmun_mutex_lock(&self.lock);
	ret = mmun_sites_of_process(self.started ? self.images : NULL, fn, arg);
	unlock_self();
	return ret;
}

static void stats(const struct mm_struct *mm, struct mmun_stats *out)
{
	bool current = mm == mmun_self_mm();

	out->traps = current ? mmun_strict_traps() : 0;
	out->late_failed = current ? mmun_load_relaxed(&self.late.failures) : 0;
}

const struct mmun_primary_ops mmun_primary_self = {
	.name = "self",
	.summary = "this process, by redirecting the C library's system calls",
	.probe = probe,
	.start = start,
	.exit_wait_ms = MMUN_SELF_EXIT_WAIT_MS,
	.stats = stats,
	.is_started = is_started,
	.coverage = {
		[MMUN_OP_MUNMAP] = MMUN_COVERS_BEFORE,
		[MMUN_OP_MMAP_FIXED] = MMUN_COVERS_BEFORE,
		[MMUN_OP_MREMAP] = MMUN_COVERS_BEFORE,
		[MMUN_OP_BRK] = MMUN_COVERS_BEFORE,
		[MMUN_OP_SHMAT] = MMUN_COVERS_BEFORE,
		[MMUN_OP_SHMDT] = MMUN_COVERS_BEFORE,
		[MMUN_OP_MPROTECT] = MMUN_COVERS_BEFORE,
		[MMUN_OP_REMAP_FILE_PAGES] = MMUN_COVERS_BEFORE,
		[MMUN_OP_MADV_DONTNEED] = MMUN_COVERS_BEFORE,
		[MMUN_OP_MADV_FREE] = MMUN_COVERS_BEFORE,
		[MMUN_OP_MADV_REMOVE] = MMUN_COVERS_BEFORE,
		[MMUN_OP_MADV_DONTNEED_LOCKED] = MMUN_COVERS_BEFORE,
		[MMUN_OP_MADV_GUARD_INSTALL] = MMUN_COVERS_BEFORE,
		[MMUN_OP_MADV_PAGEOUT] = MMUN_COVERS_BEFORE,
		[MMUN_OP_MADV_COLLAPSE] = MMUN_COVERS_BEFORE,
		[MMUN_OP_MADV_UNMERGEABLE] = MMUN_COVERS_BEFORE,
		[MMUN_OP_MADV_POISON] = MMUN_COVERS_BEFORE,
		/* A mapping made during the call is notified at its end. */
		[MMUN_OP_TRUNCATE] = MMUN_COVERS_RETURN,
		[MMUN_OP_FALLOCATE] = MMUN_COVERS_RETURN,
		[MMUN_OP_FORK] = MMUN_COVERS_BEFORE,
		[MMUN_OP_EXEC] = MMUN_COVERS_BEFORE,
		[MMUN_OP_EXIT] = MMUN_COVERS_BEFORE,
	},
};
