/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What an event source (a primary MMU, or the code that makes one visible)
 * provides and calls.  Users of notifiers need none of this but the probe.
 */
#ifndef MMUNOTIFY_PRIMARY_H
#define MMUNOTIFY_PRIMARY_H

#include <stdbool.h>
#include <stddef.h>

#include <mmunotify/mm.h>
#include <mmunotify/mmu_notifier.h>
#include <mmunotify/op.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/** When a source notifies of an operation. */
enum mmun_coverage {
	MMUN_COVERS_NEVER = 0,
	/** Before the operation returns to the program: enough for pinned pages. */
	MMUN_COVERS_RETURN,
	/** Before the old page can be reused. */
	MMUN_COVERS_BEFORE,
};

/** Can a source work here; and where it has been started: is everything that is loaded
 *  redirected, or would a registration fail?  All strings are static or live in @text. */
struct mmun_probe {
	bool available;
	/** One sentence: what is missing.  Empty when available. */
	char reason[256];
	/** One sentence: what to do about it.  Empty when available. */
	char remedy[256];
};

struct mmun_stats;

/**
 * struct mmun_primary_ops - one event source; const, one per folder of primary/.
 */
struct mmun_primary_ops {
	const char *name;
	/** One line for `mmunotify probe`. */
	const char *summary;
	/** Fill @out; no side effect, may sleep and allocate. */
	void (*probe)(struct mmun_probe *out);
	/** Make changes of @mm visible; called before the first registration
	 *  on @mm becomes effective, with the mmap lock held for write, again
	 *  for later registrations (it must be idempotent).
	 *  Return 0 or -errno with nothing half done.  NULL: always visible. */
	int (*start)(struct mm_struct *mm);
	/** Is the effect of ->start still there?  Asked by an insertion of an interval
	 *  notifier after it has counted itself (mmun_stats.inserted); a source
	 *  that can be stopped says no before it looks at that count.  Context: any;
	 *  never waits.  NULL: once started, always. */
	bool (*is_started)(const struct mm_struct *mm);
	/** mm_lock()/mm_unlock() of this primary; both or neither.  For a primary that can
	 *  change translations outside of read sections (mmun_mm_read_lock()): a
	 *  registration is published while it is locked. */
	int (*lock)(struct mm_struct *mm, struct mm_lock_data *data);
	void (*unlock)(struct mm_struct *mm, struct mm_lock_data *data);
	/** The last user of the memory is gone and every ->release has run: free
	 *  the memory.  NULL: nothing to do. */
	void (*exit)(struct mm_struct *mm);
	/** How long the release step of exit waits, in all, for what other threads do or
	 *  hold; 0: without limit, as it must be where @exit frees the memory.  After it
	 *  the step goes on without them. */
	unsigned int exit_wait_ms;
	/** The struct goes away: free @priv.  NULL: nothing to do. */
	void (*destroy)(void *priv);
	/** Whoever takes the mmap lock of @mm so that it would wait for itself, or releases what
	 *  it does not hold, ends the program with a sentence, in every build.  For address
	 *  spaces that are not the program's own. */
	bool checks_mmap_lock;
	/** Calls mmu_notifier_arch_invalidate_secondary_tlbs() and mmu_notifier_invalidate_range():
	 *  it has tables that devices walk.  Without it their callbacks are refused. */
	bool flushes_secondary_tlbs;
	/** Fills in what this primary counts itself.  NULL: nothing. */
	void (*stats)(const struct mm_struct *mm, struct mmun_stats *out);
	/** enum mmun_coverage for each enum mmun_op. */
	unsigned char coverage[MMUN_NR_OPS];
};

/**
 * mmun_source_at() - the event sources of this build, by index from 0.
 *
 * Context: any.  Return: NULL past the last one.
 */
const struct mmun_primary_ops *mmun_source_at(unsigned int index);

/** Options of mmun_mm_create(). */
struct mmun_mm_params {
	const struct mmun_primary_ops *ops;
	void *priv;
	/** A word that reads 0 in a forked child and not 0 here (MADV_WIPEONFORK
	 *  memory), or NULL.  A zero word marks the mm as a copy: registration on
	 *  it fails with -ESRCH and unregistration only forgets. */
	const unsigned int *fork_word;
};

/**
 * mmun_mm_create() - a new address space with one user and one struct reference.
 *
 * Context: allocates.  Return: 0 and *@mm set; *@mm untouched and
 * -ENOMEM, or -EINVAL when @params lacks ops, or ops has one of lock and unlock only.
 */
int mmun_mm_create(const struct mmun_mm_params *params, struct mm_struct **mm);

/**
 * mmun_mm_shrink_copy() - give back most memory of the copy that fork left of an mm.
 *
 * For a source that makes the mm of a forked child.  The struct stays, for whoever has its
 * address, and answers as before.  Does nothing if the thread was inside a section
 * of @mm when it forked, nor in another thread than the one that forked.
 * Context: any, in the child.
 */
void mmun_mm_shrink_copy(struct mm_struct *mm);

/** mmun_mm_priv() - the private pointer given to mmun_mm_create().  Any context. */
void *mmun_mm_priv(const struct mm_struct *mm);

/** mmun_mm_ops() - the event source that @mm was made by.  Any context. */
const struct mmun_primary_ops *mmun_mm_ops(const struct mm_struct *mm);

/** mmun_mm_is_inside() - is the calling thread inside a section or a callback of @mm?  False for
 *  the copy that fork left.  Any context. */
bool mmun_mm_is_inside(struct mm_struct *mm);

/** mmun_mm_is_stale() - is @mm the copy that fork left in a child?  Any context. */
bool mmun_mm_is_stale(const struct mm_struct *mm);

/**
 * mmun_mm_exit() - the memory goes away now, whoever still counts as a user.
 *
 * Runs the release step of exit (every ->release once, then a grace period)
 * and marks the mm dead (mmget_not_zero() fails).  For a process that is about
 * to call exit_group() or execve().  A second call does nothing; the later
 * mmput() of remaining users only drops the count.
 * Context: sleeps.  A signal handler that interrupted a section or a grace period
 * may call it: the releases run, only the wait for that section is left out.
 * With ops->exit_wait_ms it returns in that time plus that of the callbacks themselves,
 * whatever other threads hold or do not get done.
 */
void mmun_mm_exit(struct mm_struct *mm);

/**
 * mmun_mm_read_lock() - open a read section of @mm around an operation.
 *
 * For a source that learns of an operation from the thread that performs it:
 * registration returns when every read section that was open at its publication
 * has ended, so no unseen operation is under way then.  Sections of the chain
 * inside it carry MMUN_RANGE_READ_LOCKED and need no read section of their own.
 * Context: any, also signal handlers and callbacks; never waits; nests.
 */
void mmun_mm_read_lock(struct mm_struct *mm, struct mmun_reader *reader);

/** mmun_mm_read_unlock() - end it.  Context: any; never waits.  If another thread does it,
 *  the one that opened it must still be there: a section ends with its thread. */
void mmun_mm_read_unlock(struct mm_struct *mm, const struct mmun_reader *reader);

/**
 * mmun_thread_shares_tls() - the calling thread is about to make a thread or process that
 * runs beside it with the same memory and the same thread-local storage: a clone with
 * CLONE_VM, without CLONE_VFORK and without CLONE_SETTLS.
 *
 * What the library keeps there is then counted with atomic operations by both.
 * Context: any; for the rest of the thread's life.
 */
void mmun_thread_shares_tls(void);

/* One counter per branch that matters when somebody asks "why". */
#define MMUN_STATS(X) \
	X(registered, "notifiers registered") \
	X(unregistered, "notifiers unregistered or put") \
	X(inserted, "interval notifiers inserted") \
	X(removed, "interval notifiers removed") \
	X(released, "->release callbacks at exit") \
	X(refused, "sections refused by a notifier (-EAGAIN)") \
	X(overruled, "refusals of what could not be refused (MMUN_RANGE_NOT_REFUSABLE)") \
	X(unwound, "ends delivered because another notifier refused") \
	X(timed_out, "registrations given up because a section did not end") \
	X(exit_timed_out, "ends of the process that did not wait for a section any longer") \
	X(dropped, "sections that their thread left open when it ended") \
	X(fallbacks, "barriers made without membarrier") \
	X(misused_unregister, "unregister calls from inside a callback") \
	X(unsettled, "threads not seen to leave a call older than the redirection") \
	X(traps, "system calls caught by strict mode") \
	X(late_failed, "attempts to redirect what was loaded later that failed")

struct mmun_stats {
#define MMUN_STATS_FIELD(name, text) unsigned long name;
	MMUN_STATS(MMUN_STATS_FIELD)
#undef MMUN_STATS_FIELD
};

/** mmun_mm_stats() - a snapshot of @mm's counters.  Any context. */
void mmun_mm_stats(const struct mm_struct *mm, struct mmun_stats *out);

/**
 * mmun_mm_count_unsettled() - a source has given up waiting for @threads threads.
 *
 * They may have been in an operation that began before the source could see it.
 * Context: any.
 */
void mmun_mm_count_unsettled(struct mm_struct *mm, unsigned long threads);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
