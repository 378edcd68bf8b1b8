/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A software address space: a primary MMU in plain C, with real page contents.
 *
 * A machine (struct mmun_soft) has page frames, a swap store and files; any
 * number of address spaces (struct mm_struct) live in it, each used by one or
 * more tasks.  The operations are those of Linux, with its arguments, results
 * and errors (PROT_*, MAP_*, MREMAP_*, MADV_* are the host's constants), and
 * each notifies the chain where Linux does: docs/EVENTS.md has the table.
 *
 * Everything may be called from any number of threads at once.  Unless said
 * otherwise an operation sleeps, allocates, takes the mmap lock of its @mm by
 * itself, and returns 0 or -errno with nothing changed that Linux would not
 * have changed either.
 *
 * Order of locks, outermost first: mmap lock; a file's own locks; i_mmap locks;
 * anon_vma locks; page table locks.  docs/LOCKING.md says more.
 */
#ifndef MMUNOTIFY_SOFT_H
#define MMUNOTIFY_SOFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <mmunotify/mm.h>
#include <mmunotify/mmu_notifier.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define MMUN_SOFT_PAGE_SHIFT 12
#define MMUN_SOFT_PAGE_SIZE  (1ul << MMUN_SOFT_PAGE_SHIFT)
#define MMUN_SOFT_PAGE_MASK  (~(MMUN_SOFT_PAGE_SIZE - 1))
/** A huge page: 2 MiB. */
#define MMUN_SOFT_HUGE_SHIFT 21
#define MMUN_SOFT_HUGE_SIZE  (1ul << MMUN_SOFT_HUGE_SHIFT)
#define MMUN_SOFT_HUGE_PAGES (1ul << (MMUN_SOFT_HUGE_SHIFT - MMUN_SOFT_PAGE_SHIFT))
/** Addresses are below this. */
#define MMUN_SOFT_TASK_SIZE 0x7ffffffff000ul
/** Nothing is mapped below this (vm.mmap_min_addr). */
#define MMUN_SOFT_MIN_ADDRESS 0x10000ul

struct mmun_soft;
struct mmun_soft_task;
struct page;
struct file;
struct vm_area_struct;

/* The machine. */

/** How mm_lock() of this machine's address spaces quiesces one; docs/PERFORMANCE.md compares them.
 *  With the mmap lock held for read, as opposed to write, only the semaphore keeps page faults out. */
enum mmun_soft_mm_lock {
	/** Take the mm's per-CPU reader-writer semaphore, which every change of its page
	 *  tables holds for reading, for writing. */
	MMUN_SOFT_MM_LOCK_PERCPU_RWSEM = 0,
	/** The 2008 patches: collect, sort by address, take each distinct lock once. */
	MMUN_SOFT_MM_LOCK_SORT,
	/** Linux since 2.6.27: one global mutex, and a mark in each lock already taken. */
	MMUN_SOFT_MM_LOCK_MARK,
};

/** What is wrong with an access through a secondary MMU, or a special entry. */
enum mmun_soft_violation_kind {
	/** The frame was freed since it was translated. */
	MMUN_SOFT_FREED = 1,
	/** The frame lives, but is not what the address maps any more. */
	MMUN_SOFT_REPLACED,
	/** A write, but the address is not writable any more. */
	MMUN_SOFT_WRITE_PROTECTED,
	/** The last user of the memory has gone: the notifier has no ->release and
	 *  its secondary MMU was not stopped otherwise. */
	MMUN_SOFT_AFTER_EXIT,
	/** The frame is kept, but the address permits no access any more: PROT_NONE. */
	MMUN_SOFT_NO_ACCESS,
};

struct mmun_soft_violation {
	enum mmun_soft_violation_kind kind;
	struct mm_struct *mm;
	unsigned long address;
	unsigned long pfn;
	bool write;
	/** Not a secondary MMU's access but a task's, where a driver has mapped the frame by its number
	 *  (mmun_soft_vm_insert_pfn()). */
	bool task;
};

/** mmun_soft_violation_name() - "freed frame" and so on.  Any context. */
const char *mmun_soft_violation_name(enum mmun_soft_violation_kind kind);

/** Options of mmun_soft_create(); zero is the default everywhere. */
struct mmun_soft_params {
	/** Bytes of page frames; default 64 MiB. */
	size_t memory;
	/** Bytes of swap store; default none. */
	size_t swap;
	/** VMAs per address space; default 65530. */
	unsigned int max_map_count;
	/** Bytes of address space per mm (RLIMIT_AS); default no limit. */
	size_t address_space;
	enum mmun_soft_mm_lock mm_lock;
	/** First touch of an aligned 2 MiB of anonymous memory takes a huge page:
	 *  always; default only after MADV_HUGEPAGE. */
	bool huge_always;
	/** Called for every violation, in the context of the access; default: one
	 *  sentence on stderr.  Counted in any case. */
	void (*violation)(const struct mmun_soft_violation *what, void *arg);
	void *violation_arg;
	/** An empty memfd for the frames' bytes, so that others may map them: the frame with number
	 *  n lies at n * MMUN_SOFT_PAGE_SIZE.  The machine sets its size and keeps a duplicate.
	 *  Default (0, and what is negative): memory of this process alone. */
	int memory_fd;
};

/** mmun_soft_create() - a machine.  @params may be NULL.
 *  Return: 0; -ENOMEM; -EINVAL (less than 16 pages of memory, an unknown mm_lock, or a memory_fd
 *  that is not empty); what memory_fd refused with, as -EBADF. */
int mmun_soft_create(const struct mmun_soft_params *params, struct mmun_soft **out);

/** mmun_soft_destroy() - the machine ends.  Return: 0; -EBUSY while an address space or a
 *  reference to a file of it exists: nothing is freed then. */
int mmun_soft_destroy(struct mmun_soft *soft);

/** One counter per branch that matters; all since the machine's start. */
#define MMUN_SOFT_STATS(X) \
	X(faults, "page faults handled") \
	X(faults_minor_raced, "faults repeated because the entry had changed") \
	X(segv, "accesses refused with SIGSEGV") \
	X(sigbus, "accesses refused with SIGBUS") \
	X(zero_mapped, "zero page mapped") \
	X(anon_filled, "anonymous pages made") \
	X(cow_copied, "pages copied on write") \
	X(cow_reused, "pages reused on write, being nobody else's") \
	X(file_filled, "file pages read into the page cache") \
	X(huge_filled, "huge pages made on first touch") \
	X(huge_split, "huge mappings split") \
	X(huge_collapsed, "ranges collapsed into a huge page") \
	X(swapped_out, "pages written to swap") \
	X(swapped_in, "pages read from swap") \
	X(reclaimed, "pages freed by reclaim") \
	X(reclaim_young, "pages kept by reclaim, being young") \
	X(cleaned, "dirty file pages written back") \
	X(ksm_merged, "pages merged") \
	X(ksm_unmerged, "merged pages copied apart again") \
	X(migrated, "pages migrated") \
	X(truncated, "pages dropped by truncate or punch") \
	X(forks, "address spaces forked") \
	X(forks_failed, "forks that failed half way") \
	X(out_of_memory, "allocations of a frame that failed") \
	X(mm_locks, "mm_lock() calls") \
	X(mm_lock_locks, "locks that mm_lock() took in all") \
	X(device_reads, "accepted reads through a secondary MMU") \
	X(device_writes, "accepted writes through a secondary MMU") \
	X(violations, "refused accesses through a secondary MMU")

struct mmun_soft_stats {
#define MMUN_SOFT_STATS_FIELD(name, text) unsigned long name;
	MMUN_SOFT_STATS(MMUN_SOFT_STATS_FIELD)
#undef MMUN_SOFT_STATS_FIELD
	/** Now, not since the start. */
	size_t frames, frames_free, swap_slots, swap_free;
};

/* As with stat(2), the function and what it fills have one name; C++ warns of it. */
#ifdef __cplusplus
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif
/** mmun_soft_stats() - a snapshot.  Any context. */
void mmun_soft_stats(struct mmun_soft *soft, struct mmun_soft_stats *out);
#ifdef __cplusplus
#pragma GCC diagnostic pop
#endif

/* Address spaces and tasks. */

/** mmun_soft_mm_create() - an empty address space with one user; mmput() it. -ENOMEM. */
int mmun_soft_mm_create(struct mmun_soft *soft, struct mm_struct **mm);

/** mmun_soft_of() - the machine of @mm, or NULL when @mm is no software address space.  Any context. */
struct mmun_soft *mmun_soft_of(const struct mm_struct *mm);

/** mmun_soft_mm_fork() - dup_mm: @out becomes a copy-on-write copy of @mm without
 *  notifiers, one user.  @mm's notifiers see each copied private VMA.
 *  Return: 0; -ENOMEM, every section that was opened is closed. */
int mmun_soft_mm_fork(struct mm_struct *mm, struct mm_struct **out);

/*
 * Tasks: each is a user of one address space.  The last one that leaves it, by
 * exit or exec, ends it: notifiers get ->release, then the pages are freed.
 * A task is used by one thread at a time.
 */
int mmun_soft_task_create(struct mmun_soft *soft, struct mmun_soft_task **out);
/** mmun_soft_task_mm() - its address space; no reference is taken.  NULL after exit. */
struct mm_struct *mmun_soft_task_mm(const struct mmun_soft_task *task);
/** mmun_soft_clone() - another task in the same address space (CLONE_VM). */
int mmun_soft_clone(struct mmun_soft_task *task, struct mmun_soft_task **out);
/** mmun_soft_fork() - another task with a copy of the address space. */
int mmun_soft_fork(struct mmun_soft_task *task, struct mmun_soft_task **out);
/** mmun_soft_exec() - a new, empty address space for @task; -ENOMEM leaves the old one. */
int mmun_soft_exec(struct mmun_soft_task *task);
/** mmun_soft_exit() - @task leaves its address space and is freed. */
void mmun_soft_exit(struct mmun_soft_task *task);

/* Layout. */

/** An address, or -errno: test with mmun_soft_is_error(). */
typedef unsigned long mmun_soft_address;

static inline bool mmun_soft_is_error(mmun_soft_address address)
{
	return address >= (unsigned long)-4095;
}

/** mmun_soft_mmap() - as mmap(2).  @file NULL means MAP_ANONYMOUS.  MAP_GROWSDOWN,
 *  MAP_POPULATE, MAP_LOCKED, MAP_NORESERVE, MAP_FIXED, MAP_FIXED_NOREPLACE work.  So does
 *  MAP_HUGETLB for private anonymous memory: huge pages of 2 MiB that are never split, reclaimed or
 *  moved, and that fork copies; -ENOMEM when fewer are free at that moment, SIGBUS for a fault
 *  that finds none. */
mmun_soft_address mmun_soft_mmap(struct mm_struct *mm, unsigned long address, size_t length,
				 int prot, int flags, struct file *file, uint64_t offset);
int mmun_soft_munmap(struct mm_struct *mm, unsigned long address, size_t length);
int mmun_soft_mprotect(struct mm_struct *mm, unsigned long address, size_t length, int prot);
/** mmun_soft_mremap() - as mremap(2); MREMAP_MAYMOVE, _FIXED, _DONTUNMAP. */
mmun_soft_address mmun_soft_mremap(struct mm_struct *mm, unsigned long old_address,
				   size_t old_length, size_t new_length, int flags,
				   unsigned long new_address);
/** mmun_soft_madvise() - as madvise(2): NORMAL, RANDOM, SEQUENTIAL, WILLNEED, DONTNEED, FREE,
 *  REMOVE, DONTFORK, DOFORK, WIPEONFORK, KEEPONFORK, MERGEABLE, UNMERGEABLE, HUGEPAGE,
 *  NOHUGEPAGE, DONTDUMP, DODUMP, COLD, PAGEOUT, POPULATE_READ, POPULATE_WRITE,
 *  DONTNEED_LOCKED, COLLAPSE; -EINVAL for others. */
int mmun_soft_madvise(struct mm_struct *mm, unsigned long address, size_t length, int advice);
/** mmun_soft_remap_file_pages() - a truly nonlinear mapping, as before Linux 4.0: the pages of
 *  a shared file mapping from @address get the file's pages from @pgoff, the VMA stays one. */
int mmun_soft_remap_file_pages(struct mm_struct *mm, unsigned long address, size_t length, int prot,
			       unsigned long pgoff, int flags);
/** mmun_soft_brk() - as brk(2) in the kernel: the new break, or the old one when refused.
 *  mmun_soft_set_brk_base() says where the heap starts; before it brk is refused. */
unsigned long mmun_soft_brk(struct mm_struct *mm, unsigned long brk);
int mmun_soft_set_brk_base(struct mm_struct *mm, unsigned long base);
int mmun_soft_mlock(struct mm_struct *mm, unsigned long address, size_t length);
int mmun_soft_munlock(struct mm_struct *mm, unsigned long address, size_t length);
int mmun_soft_msync(struct mm_struct *mm, unsigned long address, size_t length, int flags);

/* Contents. */

/** Why an access was refused. */
struct mmun_soft_fault {
	/** SIGSEGV, SIGBUS, or SIGKILL when memory ran out; 0 for none. */
	int signal;
	/** SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR. */
	int code;
	unsigned long address;
	/** One static clause: "no mapping there", "write to a read-only mapping". */
	const char *reason;
};

/** mmun_soft_read() / _write() - by a task's processor: faults pages in as Linux does.
 *  Context: mmap lock not held.
 *  Return: 0; -EFAULT or -ENOMEM with *@fault (may be NULL) filled; bytes below the faulting
 *  address have been transferred then. */
int mmun_soft_read(struct mm_struct *mm, unsigned long address, void *buffer, size_t length,
		   struct mmun_soft_fault *fault);
int mmun_soft_write(struct mm_struct *mm, unsigned long address, const void *buffer, size_t length,
		    struct mmun_soft_fault *fault);
/** mmun_soft_fetch() - as an instruction fetch: needs PROT_EXEC. */
int mmun_soft_fetch(struct mm_struct *mm, unsigned long address, void *buffer, size_t length,
		    struct mmun_soft_fault *fault);

/* Files. */

enum mmun_soft_file_kind {
	/** Like a file on a disk: has a store; dirty pages are written back, clean ones dropped. */
	MMUN_SOFT_FILE_REGULAR = 0,
	/** Like a memfd: the page cache is the file; its pages are swapped. */
	MMUN_SOFT_FILE_SHMEM,
};

/** mmun_soft_file_create() - an empty-named or named file of @size zero bytes, one reference. -ENOMEM. */
int mmun_soft_file_create(struct mmun_soft *soft, const char *name, enum mmun_soft_file_kind kind,
			  uint64_t size, struct file **out);
struct file *mmun_soft_file_get(struct file *file);
void mmun_soft_file_put(struct file *file);
const char *mmun_soft_file_name(const struct file *file);
uint64_t mmun_soft_file_size(const struct file *file);
/** By descriptor: through the page cache, coherent with mappings.  Bytes transferred, or -errno.
 *  A write beyond the end extends the file. */
long mmun_soft_pread(struct file *file, void *buffer, size_t length, uint64_t offset);
long mmun_soft_pwrite(struct file *file, const void *buffer, size_t length, uint64_t offset);
int mmun_soft_ftruncate(struct file *file, uint64_t size);
/** FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE. */
int mmun_soft_punch_hole(struct file *file, uint64_t offset, uint64_t length);
/** Writes every dirty page back: each mapping of one is write-protected first (mkclean). */
int mmun_soft_fsync(struct file *file);

/* What the machine does to memory behind everybody's back. */

/** Reclaim up to @nr pages, oldest first; young ones get another round.  Returns pages freed. */
size_t mmun_soft_reclaim(struct mmun_soft *soft, size_t nr);
/** One pass over all MADV_MERGEABLE memory: equal pages become one.  Returns pages merged. */
size_t mmun_soft_ksm_scan(struct mmun_soft *soft);
/** Move the page at @address to another frame.  0; -ENOENT; -EBUSY (pinned or raced); -ENOMEM. */
int mmun_soft_migrate(struct mm_struct *mm, unsigned long address);
/** Move pages to low frames until a 2 MiB block is free or nothing helps.  Returns pages moved. */
size_t mmun_soft_compact(struct mmun_soft *soft);
/** Make the aligned 2 MiB around @address one huge page.  0; -EINVAL; -ENOMEM; -EBUSY. */
int mmun_soft_collapse(struct mm_struct *mm, unsigned long address);
/** Soft-dirty: forget what was written (clear_refs 4), write-protecting everything. */
int mmun_soft_clear_soft_dirty(struct mm_struct *mm);
/** The out-of-memory reaper: drop private anonymous memory, callbacks must not sleep.
 *  0; -EAGAIN when a notifier refused: nothing was dropped from that VMA on. */
int mmun_soft_oom_reap(struct mm_struct *mm);

/* Looking at it. */

struct mmun_soft_map {
	unsigned long start, end;
	/** VM_* */
	unsigned long flags;
	uint64_t offset;
	/** File name, "[heap]", "[stack]" or "". */
	const char *name;
	bool anon_vma;
};

/** mmun_soft_maps() - each VMA in order; stops when @visit returns nonzero and returns that.
 *  @visit runs with the mmap lock held for read. */
int mmun_soft_maps(struct mm_struct *mm, int (*visit)(const struct mmun_soft_map *map, void *arg),
		   void *arg);

/** What an entry says; all false for an empty one. */
struct mmun_soft_entry {
	bool present, swapped, writable, young, dirty, soft_dirty, zero, huge, file, ksm;
	/** Only a device reaches the page (mmunotify/soft_device.h): not present, ->pfn says where. */
	bool device;
	unsigned long pfn;
	long refcount, mapcount;
};

void mmun_soft_pagemap(struct mm_struct *mm, unsigned long address, struct mmun_soft_entry *out);

/** One reverse-map lock that mm_lock() by sorting would take. */
struct mmun_soft_lock {
	/** "i_mmap" or "anon_vma". */
	const char *kind;
	const void *address;
	/** File name or "". */
	const char *name;
	/** VMAs of this mm that share it. */
	unsigned int vmas;
};

/** mmun_soft_locks() - in the order of taking; @visit as for mmun_soft_maps().  -ENOMEM. */
int mmun_soft_locks(struct mm_struct *mm,
		    int (*visit)(const struct mmun_soft_lock *lock, void *arg), void *arg);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#include <mmunotify/soft_driver.h>

#endif
