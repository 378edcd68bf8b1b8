/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * MMU notifiers: how a secondary MMU follows every change that the primary MMU
 * makes to an address space.
 *
 * Names and contracts are those of Linux's linux/mmu_notifier.h, so its
 * documentation applies; what differs is said on the declaration.  The rules
 * behind them, numbered R (registration), S (sections) and U (release and
 * unregister), are in docs/RULES.md.
 *
 * The one rule every user must know.  A translation may be used only while no
 * section (start...end) that covers it is open, and only if none was opened
 * since it was looked up:
 *
 *     seq = read begin; look the page up; lock;
 *     if (a covering section is open || seq changed) { unlock; retry; }
 *     use it; unlock;
 *
 * mmunotify/seq.h has a ready counter for exactly that; mmunotify/interval.h, which is
 * included from here, has the subscriptions to one range.
 */
#ifndef MMUNOTIFY_MMU_NOTIFIER_H
#define MMUNOTIFY_MMU_NOTIFIER_H

#include <stdbool.h>

#include <mmunotify/mm.h>
#include <mmunotify/op.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct mmu_notifier;

/** The class of a change: what happens to the translations of the range. */
enum mmu_notifier_event {
	/** The range leaves the address space, or other memory takes its place
	 *  (munmap, MAP_FIXED over it, mremap away from or onto it, brk shrink). */
	MMU_NOTIFY_UNMAP = 0,
	/** Pages are dropped or replaced, the mapping stays (MADV_DONTNEED,
	 *  truncate, hole punch, copy-on-write, reclaim, collapse). */
	MMU_NOTIFY_CLEAR,
	/** Access rights of the mapping change, the pages stay (mprotect). */
	MMU_NOTIFY_PROTECTION_VMA,
	/** Pages become write-protected inside an unchanged mapping (fork). */
	MMU_NOTIFY_PROTECTION_PAGE,
	/** Soft-dirty tracking write-protects pages. */
	MMU_NOTIFY_SOFT_DIRTY,
	/** The whole address space goes away. */
	MMU_NOTIFY_RELEASE,
	/** Pages move; ->owner says who moves them. */
	MMU_NOTIFY_MIGRATE,
	/** A device takes exclusive access; ->owner says which. */
	MMU_NOTIFY_EXCLUSIVE,
};
#define MMUN_NR_EVENTS (MMU_NOTIFY_EXCLUSIVE + 1)

/** Callbacks of this section may sleep and allocate. */
#define MMU_NOTIFIER_RANGE_BLOCKABLE (1u << 0)
/** Set at the end of a section only: the operation failed or changed nothing,
 *  translations looked up before the start are still good. */
#define MMUN_RANGE_UNCHANGED (1u << 1)
/** The change does not move pages that are pinned (reclaim, collapse, fork,
 *  rights): users that pin their pages may ignore it. */
#define MMUN_RANGE_PINNED_SAFE (1u << 2)
/** Set by an event source that holds a read section of the mm (mmun_mm_read_lock())
 *  around the whole section and has disabled thread cancellation for as long. */
#define MMUN_RANGE_READ_LOCKED (1u << 3)
/** The section is not blockable and yet cannot be refused: the operation happens whatever
 *  a notifier answers, -EAGAIN is taken as done (and counted), and its end follows. */
#define MMUN_RANGE_NOT_REFUSABLE (1u << 4)
/** Set by an event source that has disabled the thread's cancellation from the start to
 *  the end of the section, or knows that nobody can cancel it. */
#define MMUN_RANGE_NOT_CANCELLED (1u << 5)
/** Set at the end of a section: ->invalidate_range has been called for all of it
 *  (mmu_notifier_invalidate_range_only_end()). */
#define MMUN_RANGE_ONLY_END (1u << 6)

/** A read section of an mm: what was registered when it began is waited for until it
 *  has ended.  Filled by mmun_mm_read_lock(), or by the start of a section. */
struct mmun_reader {
	/* private: */
	void *slot;
	unsigned long state;
};

/** One section: the same object is passed to start and to end. */
struct mmu_notifier_range {
	struct mm_struct *mm;
	/** First byte and one past the last byte; page aligned; a superset of
	 *  what changes, never a subset. */
	unsigned long start;
	unsigned long end;
	/** MMU_NOTIFIER_RANGE_* and MMUN_RANGE_*. */
	unsigned int flags;
	enum mmu_notifier_event event;
	/** Only for MIGRATE and EXCLUSIVE. */
	void *owner;
	/** What the event source knows of the cause, or NULL; valid during the
	 *  callback only. */
	const struct mmun_origin *origin;
	/* private: from start to end; set by the start. */
	struct {
		/* The first notifier that was called, NULL: none. */
		void *head;
		/* The entry among the open sections of interval notifiers, NULL: none. */
		void *interval;
		/* The read section, unless the source holds one. */
		struct mmun_reader reader;
	} section;
};

/* Always inlined, as whatever callbacks call: instrumented only where they are. */
static inline __attribute__((always_inline)) bool
mmu_notifier_range_blockable(const struct mmu_notifier_range *range)
{
	return range->flags & MMU_NOTIFIER_RANGE_BLOCKABLE;
}

/* Two forms of one struct: include/compat gives the newest kernels' names to the others, which
 * return a bool, and the kernel's type to an entry. */
#ifndef MMUN_YOUNG_INT
#define MMUN_YOUNG_INT(name)  name
#define MMUN_YOUNG_BOOL(name) name##_bool
#endif
#ifndef MMUN_PTE
#define MMUN_PTE unsigned long
#endif

/**
 * struct mmu_notifier_ops - what a secondary MMU does about changes.
 *
 * Every member may be NULL.  Context of all members but alloc/free_notifier:
 * inside an SRCU read section, newest notifier first, several threads at once;
 * the caller may hold the mmap lock, a reverse-map lock or, for the running
 * process, any lock of the program (the call may come out of free()), so a
 * member takes only locks of its own that are never held across a memory
 * operation.  No member may call mmu_notifier_unregister().  Cancellation of the
 * thread is disabled (but see MMUN_OPS_NO_CANCELLATION_POINT); a member returns, it does
 * not jump out or end its thread.
 */
struct mmu_notifier_ops {
	/**
	 * The address space goes away, or @mn is being unregistered: drop every
	 * translation and establish no more.  Called exactly once per
	 * registration, before the first page is freed, possibly concurrently
	 * with the other members.  May sleep.  Not called by mmu_notifier_put().
	 * Without it nothing may touch the pages through the secondary MMU once
	 * the last user of the memory has gone.
	 */
	void (*release)(struct mmu_notifier *mn, struct mm_struct *mm);

	/** Clear the young bits of [start,end) and flush; 1 if any was set.  Must not sleep. */
	int (*MMUN_YOUNG_INT(clear_flush_young))(struct mmu_notifier *mn, struct mm_struct *mm,
						 unsigned long start, unsigned long end);
	/** Like clear_flush_young, the flush may be left out. */
	int (*MMUN_YOUNG_INT(clear_young))(struct mmu_notifier *mn, struct mm_struct *mm,
					   unsigned long start, unsigned long end);
	/** Is the young bit at @address set?  Changes nothing. */
	int (*MMUN_YOUNG_INT(test_young))(struct mmu_notifier *mn, struct mm_struct *mm,
					  unsigned long address);
	/** The pte at @address is being replaced by @pte (the primary's format). */
	void (*change_pte)(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address,
			   MMUN_PTE pte);
	/** The page at @address was unmapped; it is freed after the return. */
	void (*invalidate_page)(struct mmu_notifier *mn, struct mm_struct *mm,
				unsigned long address);

	/**
	 * A section opens: stop using translations of the range and establish
	 * none until the matching end.
	 *
	 * Context: sleeps only if mmu_notifier_range_blockable(@range); then it
	 * may allocate too.
	 * Return: 0; -EAGAIN only when not blockable and it would have to sleep:
	 * the operation is then not performed.  A notifier that can return
	 * -EAGAIN must expect no end for that section.  Some operations cannot be
	 * refused (MMUN_RANGE_NOT_REFUSABLE): in the running process those that the C
	 * library makes for itself, and those that are asked again after a refusal
	 * for that reason.
	 */
	int (*invalidate_range_start)(struct mmu_notifier *mn,
				      const struct mmu_notifier_range *range);
	/**
	 * The section closes: the change is done (or, MMUN_RANGE_UNCHANGED, did
	 * not happen).  Called once for each start that returned 0, same thread
	 * unless the source says otherwise.  Sleeps only if blockable.
	 */
	void (*invalidate_range_end)(struct mmu_notifier *mn,
				     const struct mmu_notifier_range *range);

	/**
	 * The primary MMU flushes its TLBs of [start,end), or of everything (0, ~0ul): entries
	 * were taken away or lost rights, their pages are not freed yet.  For devices that walk
	 * the primary's tables themselves.  Such a notifier has no ->invalidate_range_start and
	 * no ->invalidate_range_end.  Must not sleep, nor look at the address space: the page
	 * table lock may be held.  Only on a software address space.
	 */
	void (*arch_invalidate_secondary_tlbs)(struct mmu_notifier *mn, struct mm_struct *mm,
					       unsigned long start, unsigned long end);
	/** The same before Linux 6.6, and at the end of each section: before its
	 *  ->invalidate_range_end, of its range.  Beside other members or alone; never of
	 *  everything. */
	void (*invalidate_range)(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
				 unsigned long end);

	/** For mmu_notifier_get(): a new notifier for @mm, or an error pointer
	 *  (mmun_err_ptr()).  mmap lock held for write. */
	struct mmu_notifier *(*alloc_notifier)(struct mm_struct *mm);
	/** For mmu_notifier_put(): nobody can reach @mn any more, free it.  Must not sleep. */
	void (*free_notifier)(struct mmu_notifier *mn);

	/** MMUN_OPS_*, or 0. */
	unsigned int flags;

	/* Callbacks for young bits in the newest form; each is asked beside the other's. */
	bool (*MMUN_YOUNG_BOOL(clear_flush_young))(struct mmu_notifier *mn, struct mm_struct *mm,
						   unsigned long start, unsigned long end);
	bool (*MMUN_YOUNG_BOOL(clear_young))(struct mmu_notifier *mn, struct mm_struct *mm,
					     unsigned long start, unsigned long end);
	bool (*MMUN_YOUNG_BOOL(test_young))(struct mmu_notifier *mn, struct mm_struct *mm,
					    unsigned long address);
};

/**
 * No member calls a cancellation point (pthreads(7)): a section of a thread that can be
 * cancelled need not disable that, which costs two locked instructions beside each
 * system call of a program with threads.  Holds as long as nobody without the flag, and no
 * interval notifier, has ever been registered on the mm.
 */
#define MMUN_OPS_NO_CANCELLATION_POINT (1u << 0)

struct mmun_list_node {
	struct mmun_list_node *next, **pprev;
};

/**
 * struct mmu_notifier - one subscription; embed it in your own object.
 *
 * Set @ops before registering and leave the rest alone; what it holds before does not matter.
 * Lifetime: from registration until mmu_notifier_unregister() returned, or
 * until ->free_notifier for mmu_notifier_get().
 */
struct mmu_notifier {
	struct mmun_list_node hlist;
	const struct mmu_notifier_ops *ops;
	/* private: */
	struct mm_struct *mm;
	unsigned int users;
	unsigned int state;
	void *reserved[3];
};

/** How long a registration waits for sections that were open before it. */
#define MMUN_REGISTER_WAIT_MS 10000
/**
 * mmu_notifier_register() - subscribe @mn to @mm.
 *
 * After it returned 0 every section that starts later calls @mn, no section
 * that opened earlier is still open, and no end reaches @mn whose start it did
 * not see: the caller may establish translations at once.
 *
 * Context: sleeps, allocates; not async-signal-safe.
 * With @mn NULL it only switches @mm to interval mode: the first interval notifier
 * of an mm does that by itself.  mm_users must be above zero throughout.
 * Locks: must not hold the mmap lock nor a lock any callback takes.
 * Return: 0; -ENOMEM; -EAGAIN (->free_notifier has no thread, and none can be made);
 * -EINVAL (no ops, or arch_invalidate_secondary_tlbs beside sections);
 * -EOPNOTSUPP (a callback for flushes, and @mm has none); -EEXIST (already registered);
 * -ESRCH (@mm is NULL, dead, or the copy that fork left in a child);
 * -EDEADLK (called from a callback, or with the mmap lock held for write; held
 * for read it waits for itself: debug builds abort);
 * -ETIMEDOUT (a section has not ended: its thread is frozen, or sleeps in the operation);
 * what mmun_self_start() returns if the event source cannot start here
 * (its probe says why).  On error nothing has changed.
 * Lifetime: @mm's struct is held until unregister.
 */
int mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm);

/**
 * __mmu_notifier_register() - same, by a caller that holds the mmap lock for write.
 *
 * For drivers that subscribe from inside their own mmap handler.  The lock
 * stays held, on failure too.  Return: as mmu_notifier_register(), -EDEADLK
 * meaning here that the lock is not held for write.
 */
int __mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm);

/**
 * mmu_notifier_unregister() - end a subscription and wait for its callbacks.
 *
 * Calls ->release unless exit already does; after the return no member of @mn
 * runs or will run and @mn may be freed.  Legal before, during and after
 * the exit of @mm, from any thread, with the mmap lock held or not.
 * In a forked child it only forgets the inherited subscription.
 *
 * Context: sleeps; not from a callback (debug builds abort; otherwise it is
 * reported on stderr, the notifier is detached and nothing waits).
 * Lifetime: @mm may be gone on return.  Its address is still in mn->mm, as in Linux, for who
 * holds a reference of his own.
 */
void mmu_notifier_unregister(struct mmu_notifier *mn, struct mm_struct *mm);

/**
 * mmu_notifier_get() - find or create the one notifier of (@mm, @ops).
 *
 * A found one gains a user; otherwise ->alloc_notifier makes it and it is
 * registered.  Pair with mmu_notifier_put().
 *
 * Context: sleeps; mmap lock not held.  mmu_notifier_get_locked(): held for write.
 * Return: the notifier, or an error pointer: -EOVERFLOW, what ->alloc_notifier
 * returned, or what registration returned (->free_notifier was called then).
 */
struct mmu_notifier *mmu_notifier_get(const struct mmu_notifier_ops *ops, struct mm_struct *mm);
struct mmu_notifier *mmu_notifier_get_locked(const struct mmu_notifier_ops *ops,
					     struct mm_struct *mm);

/**
 * mmu_notifier_put() - drop a user; the last one schedules ->free_notifier.
 *
 * ->free_notifier runs after a grace period, from another context.  ->release
 * is not called: the caller has already dropped every translation.  Also for one that was
 * registered with operations that have ->free_notifier: it has one user, and get does not find it.
 * Context: any but async-signal, does not sleep, legal from ->release.
 */
void mmu_notifier_put(struct mmu_notifier *mn);

/**
 * mmu_notifier_synchronize() - wait until every earlier put has run its ->free_notifier.
 *
 * Context: sleeps; before unloading code that contains a ->free_notifier.  Not
 * from a callback nor from ->free_notifier: it may wait for itself (debug builds
 * abort; otherwise it is reported on stderr, and the latter does not wait).
 */
void mmu_notifier_synchronize(void);

/** mm_has_notifiers() - has @mm ever had a notifier?  One pointer test.  Any context. */
int mm_has_notifiers(struct mm_struct *mm);

/*
 * What a primary MMU calls.
 *
 * mmu_notifier_invalidate_range_start() may sleep, _nonblock() must not; they
 * set the blockable flag accordingly.  Interval notifiers come first, then the list.
 * The first refusal ends the start: -EAGAIN, those that had begun have got an end, the caller must
 * not change anything and must not call end.  end never fails.  The section is a read section
 * of the mm (or inside one, MMUN_RANGE_READ_LOCKED): a registration meanwhile waits for it and
 * is notified of neither edge.  @range is the same object at both; the thread may be another if that
 * of the start is still there.  Inside it the thread must not register or unregister.
 * Interval notifiers do not learn at the end that nothing has changed
 * (MMUN_RANGE_UNCHANGED): for their readers the section is a collision.
 */
int mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range);
int mmu_notifier_invalidate_range_start_nonblock(struct mmu_notifier_range *range);
void mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range);
void mmu_notifier_invalidate_page(struct mm_struct *mm, unsigned long address);
/* Results are OR-ed over all notifiers, each one is asked. */
int mmu_notifier_clear_flush_young(struct mm_struct *mm, unsigned long start, unsigned long end);
int mmu_notifier_clear_young(struct mm_struct *mm, unsigned long start, unsigned long end);
/* Stops at the first young answer. */
int mmu_notifier_test_young(struct mm_struct *mm, unsigned long address);
void mmu_notifier_change_pte(struct mm_struct *mm, unsigned long address, MMUN_PTE pte);
/* At a flush of TLBs, of [start,end) or (0, ~0ul).  Context: any; never waits. */
void mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm, unsigned long start,
						 unsigned long end);
/* The same for ->invalidate_range, never of everything. */
void mmu_notifier_invalidate_range(struct mm_struct *mm, unsigned long start, unsigned long end);
/* An end without ->invalidate_range, which has been called for all that changed. */
void mmu_notifier_invalidate_range_only_end(struct mmu_notifier_range *range);

/** Error pointers, as the kernel's ERR_PTR() family: -4095...-1 are errors. */
static inline void *mmun_err_ptr(long error)
{
	return (void *)error;
}
static inline bool mmun_is_err(const void *ptr)
{
	return (unsigned long)ptr >= (unsigned long)-4095;
}
static inline int mmun_ptr_err(const void *ptr)
{
	return (int)(long)ptr;
}

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#include <mmunotify/interval.h>

#endif
