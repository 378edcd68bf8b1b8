/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The calls: what a program asks of its address space.  Most of them are in
 * mmunotify/soft.h; here is what they use of each other.
 *
 * Each file is one call, or two that undo each other.
 * Tests: tests/unit/soft/map.c, remap.c, advise.c, fork.c, process.c, rmap/file.c.
 */
#ifndef MMUN_SOFT_CALL_CALL_H
#define MMUN_SOFT_CALL_CALL_H

#include "types.h"

/* munmap.c */
/* munmap of [start, end) by a caller that holds the lock; both page aligned. @op: for the notifiers.
 * 0; -ENOMEM; -EINVAL: beyond what can be mapped, or it wraps. */
int mmun_soft_unmap(struct soft_mm *mm, unsigned long start, unsigned long end, enum mmun_op op);
/* Its two halves.  Splits what crosses the ends: 0, -ENOMEM; */
int mmun_soft_unmap_prepare(struct soft_mm *mm, unsigned long start, unsigned long end);
/* and removes all that is inside, in one section if there is anything. */
void mmun_soft_unmap_prepared(struct soft_mm *mm, unsigned long start, unsigned long end,
			      enum mmun_op op);
/* exit: all VMAs, no sections (->release has run), close() called; mmun_soft_write_unlock() puts the files. */
void mmun_soft_unmap_all(struct soft_mm *mm);

/* map.c.  PROT_* as VM_*; private memory that may be written counts as a promise (VM_ACCOUNT). */
unsigned long mmun_soft_vm_flags(int prot);
bool mmun_soft_accountable(unsigned long flags);

/* lockmem.c.  MAP_POPULATE: what can be had of the range, errors left out; takes the mmap lock for read. */
void mmun_soft_populate_quietly(struct mm_struct *mm, unsigned long start, unsigned long end);

/* copy.c: fork.  Opens and closes its own section on the parent (PROTECTION_PAGE,
 * MMUN_OP_FORK, whole VMA) when the VMA is private and has something to copy; nothing for
 * shared file VMAs (they fault again) unless nonlinear.  FOLL_PINned pages are copied at once.
 * Both mmap locks held for write.  0 or -ENOMEM, section ended (S4: also on failure), what was copied stays. */
int mmun_soft_copy(struct soft_vma *parent, struct soft_vma *child);

/* file_io.c: fsync and msync of a part: dirty pages first..last are cleaned and stored.  Regular files only. */
void mmun_soft_write_back(struct address_space *mapping, unsigned long first, unsigned long last);
/* io_lock held for write: the file is about to grow to @offset or be written there; what mappings have
 * written between its end and that, in its last page, becomes zero (not in shmem).  0 or -ENOMEM. */
int mmun_soft_file_clear_gap(struct soft_file *file, uint64_t offset);
/* truncate.c: mmun_soft_punch_hole() on behalf of @op (MADV_REMOVE).  mmap lock held or not. */
int mmun_soft_file_punch(struct file *file, uint64_t offset, uint64_t length, enum mmun_op op);

/* process.c: the last user has gone, and ->release has run. */
void mmun_soft_mm_exit(struct mm_struct *mm);

#endif
