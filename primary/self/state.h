/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of this folder share. */
#ifndef MMUN_SELF_STATE_H
#define MMUN_SELF_STATE_H

#include <stdbool.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>

#include "atomic.h"
#include "raw_syscall.h"
#include "refusal.h"
#include "site.h"

#define MMUN_PAGE_SIZE 4096UL
#define MMUN_PAGE_MASK (~(MMUN_PAGE_SIZE - 1))

static inline unsigned long mmun_page_up(unsigned long address)
{
	return (address + MMUN_PAGE_SIZE - 1) & MMUN_PAGE_MASK;
}

extern const struct mmun_primary_ops mmun_primary_self;

/* mm.c */

/* Points to a word that is not 0 while the hooks act; 0 in a forked child. */
extern unsigned int *mmun_self_armed;
/* The process id of the owner of the mm: a vfork child shares our memory. */
bool mmun_self_is_owner(void);
long mmun_self_pid(void);
/* The mm has been released before an execve() that then failed. */
void mmun_self_renew(void);

/* self.c: of a source that a forked child has inherited.  It is not started, whatever text is
 * patched. */
void mmun_self_forget(void);

/*
 * This folder is not instrumented; ThreadSanitizer learns here what one thread hands to
 * another.  Not there unless the program has its runtime.
 */
extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

static inline void mmun_self_acquired(void *object)
{
	if (mmun_unlikely(__tsan_acquire != NULL))
		__tsan_acquire(object);
}

static inline void mmun_self_releases(void *object)
{
	if (mmun_unlikely(__tsan_release != NULL))
		__tsan_release(object);
}

/* What every hook reads, in one cache line; self.c and mm.c change it. */
extern struct mmun_self_shared {
	/* That sections are opened on, or NULL. */
	struct mm_struct *mm;
	/* Changes here are looked at: around the text of all images that there ever were, or
	 * everywhere while a late patch is to be tried again. */
	unsigned long watched_start, watched_end;
	/* Where errno lies from the thread pointer on; set before the hooks are armed. */
	long errno_offset;
} mmun_self_shared;

/*
 * errno of the thread.  libc keeps it at one distance from the thread pointer in all
 * threads; to ask for its address is a call through a table each time.
 */
static inline int *mmun_self_errno(void)
{
	unsigned long thread;

	__asm__("movq %%fs:0, %0" : "=r"(thread));
	return (int *)(thread + (unsigned long)mmun_self_shared.errno_offset);
}

static inline struct mm_struct *mmun_self_mm(void)
{
	struct mm_struct *mm = mmun_load_acquire(&mmun_self_shared.mm);

#if MMUN_CORE_IS_INSTRUMENTED
	mmun_self_acquired(mm);
#endif
	return mm;
}

/* entry.S */
void mmun_self_entry(void);
void mmun_self_raw(void);
void mmun_self_mmap_entry(void);
void mmun_self_plain_entry(void);
void mmun_self_clone_entry(void);
void mmun_self_syscall_entry(void);
void mmun_self_cancel_entry(void);
void mmun_self_cancel_raw(void);
long mmun_self_vectors_saved(long (*fn)(void *), void *arg, void *area);
long mmun_self_on_stack(long (*fn)(void *), void *arg, void *top);
extern unsigned long mmun_self_xsave_size;
extern unsigned int mmun_self_xsave_mask;

/* stack.c: stacks of our own.  Each has an area for the vector registers at its end. */
struct mmun_stack {
	unsigned char *base;
	int slot;
};
/* Once, before the first site is redirected.  Return 0 or -errno. */
int mmun_self_stacks_map(void);
/* Of a process in which no hook ever acted. */
void mmun_self_stacks_unmap(void);
/* False: all are taken and the kernel gives no memory. */
bool mmun_self_stack_get(struct mmun_stack *stack);
void mmun_self_stack_put(const struct mmun_stack *stack);
void *mmun_self_stack_area(const struct mmun_stack *stack);
/* fn(arg) on the stack, with asynchronous signals blocked. */
long mmun_self_stack_run(const struct mmun_stack *stack, long (*fn)(void *), void *arg);

/* descriptor.c: whatever is open only inside one call of ours is opened and closed here, so
 * that it does not stay open in a child that another thread forks meanwhile. */
long mmun_self_open(const char *path);
long mmun_self_open_at(int dir, const char *path);
void mmun_self_close(int fd);

/* call.c */

/* How the entry code treats a number that reaches libc's syscall(). */
enum { MMUN_CLASS_NONE, MMUN_CLASS_ORDINARY, MMUN_CLASS_CLONE, MMUN_CLASS_FORK };
extern const unsigned char mmun_self_classes[512];
/* Is a system call instruction with this number in a C library a site? */
bool mmun_self_wants(int nr);
/* In another object, or in one of the Go language: its functions run on stacks of
 * a few KiB, but for those of the runtime itself. */
bool mmun_self_wants_elsewhere(int nr, bool is_go);

/* section.c, process.c */

/*
 * Around an ordinary call.  @space: MMUN_SECTION_SIZE bytes that stay from one to
 * the other.  After MMUN_NOTIFIED the call is made with the number in regs->nr, its
 * result put there, and mmun_self_after() follows; MMUN_REFUSED leaves in
 * regs->nr what the program gets instead.
 */
int mmun_self_before(struct mmun_regs *regs, void *space);
/* After MMUN_WALKS, with MMUN_WALK_SECTION_SIZE bytes. */
int mmun_self_before_walk(struct mmun_regs *regs, void *space);
void mmun_self_after(struct mmun_regs *regs, void *space);
/* Has the program itself made the call, so that it can fail? */
bool mmun_self_is_refusable(const struct mmun_regs *regs);
/* Has the call changed nothing, its result being in @origin? */
bool mmun_self_left_unchanged(const struct mmun_origin *origin);

/*
 * plain.c: the same for the calls of a site that is plain.  mmun_self_plain_before()
 * returns 0: as after MMUN_NOTIFIED; MMUN_NOT_PLAIN: nothing is done, go the other way; or
 * the -EAGAIN of a notifier: mmun_self_plain_refused() says MMUN_NOTIFIED or MMUN_REFUSED.
 */
int mmun_self_plain_before(struct mmun_regs *regs, void *space);
int mmun_self_plain_refused(struct mmun_regs *regs, void *space);
void mmun_self_plain_after(struct mmun_regs *regs, void *space);
/* Is it?  Fills in site->plain. */
bool mmun_self_is_plain(struct mmun_site *site);

/* @space: MMUN_FORK_SECTION_SIZE bytes that stay, and of which the child has a copy. */
long mmun_self_fork_before(struct mmun_regs *regs, void *space);
void mmun_self_fork_after(struct mmun_regs *regs, void *space);
void mmun_self_fork_child(void *space);
void mmun_self_exit(struct mmun_regs *regs);
/* execve() and execveat().  Return: MMUN_UNNOTICED, or MMUN_REFUSED when it has been made. */
int mmun_self_exec(struct mmun_regs *regs, int nr);

/* image.c: find the C libraries and linkers of this process and their sites. */

/* Adds images that are not in the list yet, without touching any text.  On failure
 * those are there that could be looked at. */
int mmun_self_find_images(struct mmun_image **images, struct mmun_refusal *refusal);
/* An object of the process that has code. */
struct mmun_object;
struct mmun_loaded {
	const struct mmun_object *object;
	/* Its file, or what it calls itself; how far from its own addresses it lies. */
	const char *path;
	unsigned long bias;
	/* What is redirected in it; NULL: nothing. */
	struct mmun_image *image;
};
/* Calls @fn for each until that returns other than 0.  Return that, 0 or -errno. */
int mmun_self_each_object(struct mmun_image *images,
			  int (*fn)(const struct mmun_loaded *loaded, void *arg), void *arg);
/* Of a list that nobody else has seen and that has no stubs. */
void mmun_self_free_images(struct mmun_image **images);
/* Is what stands in memory now something that can be patched?  An image that has been
 * unloaded is no longer used, and that is no failure. */
int mmun_self_check_image(struct mmun_image *image, struct mmun_refusal *refusal);

/*
 * text.c: text that another thread may unload meanwhile.  Return 0, or -EFAULT when it
 * is not (all) there.
 */
int mmun_self_read(void *to, unsigned long from, size_t size);
/* Note what stands at the sites now. */
int mmun_self_look(struct mmun_image *image);
/* Around the move of a page over text, after which nothing of the linker's is unmapped
 * until the end.  Return 0, or -EBUSY: the linker unmaps all the time. */
int mmun_self_move_begin(void);
/* Two seconds from now for all moves, and not 20 ms for each, until it is said otherwise. */
void mmun_self_move_may_wait(bool may);
void mmun_self_move_end(void);
/* Around an munmap() of the linker. */
void mmun_self_unmap_begin(void);
void mmun_self_unmap_end(void);
/* In a forked child: the threads that did either are not here. */
void mmun_self_move_forget(void);

/* stub.c */
int mmun_self_make_stubs(struct mmun_image *image);
/* Of an image that nothing leads to. */
void mmun_self_free_stubs(struct mmun_image *image);
/* What will stand at @site, whose stub is written. */
void mmun_self_write_jump(struct mmun_site *site);
/* Writable memory within reach of a 32-bit jump from @text, or -errno. */
long mmun_self_map_near(unsigned long text, size_t size);

/* patch.c */

/* Is there room for a few mappings?  Return 0, or -errno with the reason in @refusal. */
int mmun_self_may_map(struct mmun_refusal *refusal);
/*
 * May every used image of the list be patched?  The steps are tried on memory of our
 * own, so is the room for the mappings; and no breakpoint may be in the way.  Return 0,
 * or -errno with the reason in @refusal.
 */
int mmun_self_may_patch(struct mmun_image *images, struct mmun_refusal *refusal);
/* The same, and make the stubs.  On failure nothing is left over. */
int mmun_self_prepare_patch(struct mmun_image *images, struct mmun_refusal *refusal);
/*
 * Patch them where that has not been done.  Return 0, or -errno with the reason in
 * @refusal; then some sites may be patched already.
 */
int mmun_self_patch_all(struct mmun_image *images, struct mmun_refusal *refusal);
/* One that was loaded later, with what that needs, as far as it goes.  Return as above. */
int mmun_self_patch_one(struct mmun_image *image, struct mmun_refusal *refusal);
/* Put back what is patched, as far as that is possible.  Return 0: everywhere. */
int mmun_self_unpatch_all(struct mmun_image *images);
bool mmun_self_is_patched(const struct mmun_image *images);
/* One image, without trying before: 0, or -errno and nothing is patched. */
int mmun_self_patch(struct mmun_image *image);
int mmun_self_unpatch(struct mmun_image *image);
/* swap.c: replaces bytes of the text that are no site, in one step for every thread. */
int mmun_self_write_text(const struct mmun_image *image, unsigned long at, const void *bytes,
			 size_t length);
/* breakpoint.c: is there one in text of @image that is to be replaced? */
int mmun_self_check_breakpoints(struct mmun_image *image, struct mmun_refusal *refusal);
/* There is one at @at. */
int mmun_self_refuse_breakpoint(const struct mmun_image *image, unsigned long at,
				struct mmun_refusal *refusal);
/* Has somebody else written over a site that we patched? */
bool mmun_self_is_covered(struct mmun_image *image);
/*
 * Wait for the calls that entered the kernel before their site was patched.
 * *@unsettled: threads that were not seen to leave theirs.  Return 0; -errno when the
 * threads of this process cannot be listed.
 */
int mmun_self_settle(const struct mmun_image *images, unsigned long *unsettled);

struct mmun_site_info;
/*
 * sites.c: as mmun_self_sites(), of a process whose images are these; NULL: nothing is
 * redirected.
 */
int mmun_sites_of_process(struct mmun_image *images,
			  int (*fn)(const char *object, const struct mmun_site_info *info,
				    void *arg),
			  void *arg);

/* self.c: text that appears or changes while we run. */
void mmun_self_linker_mapped(void);
void mmun_self_protected(const struct mmun_site *site, unsigned long start, unsigned long end,
			 unsigned long prot);
void mmun_self_unmapped(unsigned long start, unsigned long end);
/* Text of a C library or linker? */
bool mmun_self_is_library_text(unsigned long address);
/* Text of ours, or is a late patch to be tried again anyway? */
bool mmun_self_is_text(unsigned long start, unsigned long end);
/* Has the linker mapped some that has not been seen in whole? */
bool mmun_self_text_is_pending(void);
static inline bool mmun_self_is_watched(unsigned long start, unsigned long end)
{
	return start < mmun_load_relaxed(&mmun_self_shared.watched_end) &&
	       end > mmun_load_relaxed(&mmun_self_shared.watched_start);
}

/* Perhaps one of the calls above is needed for these addresses. */
static inline bool mmun_self_may_be_text(const struct mmun_site *site, unsigned long start,
					 unsigned long end)
{
	if (mmun_unlikely(mmun_self_is_watched(start, end)) && mmun_self_is_text(start, end))
		return true;
	return mmun_unlikely(site->in_linker) && mmun_self_text_is_pending();
}

#endif
