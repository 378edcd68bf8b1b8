/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The operations that change an address space, and what a source knows of one. */
#ifndef MMUNOTIFY_OP_H
#define MMUNOTIFY_OP_H

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/**
 * Which operation caused an event.  X(NAME, "name as printed", nothing else).
 * Values are written to recordings: append only.
 */
#define MMUN_OPS(X) \
	X(NONE, "none") \
	X(MUNMAP, "munmap") \
	X(MMAP_FIXED, "mmap-fixed") \
	X(MREMAP, "mremap") \
	X(BRK, "brk") \
	X(SHMAT, "shmat") \
	X(SHMDT, "shmdt") \
	X(MPROTECT, "mprotect") \
	X(REMAP_FILE_PAGES, "remap_file_pages") \
	X(MADV_DONTNEED, "madvise-dontneed") \
	X(MADV_FREE, "madvise-free") \
	X(MADV_REMOVE, "madvise-remove") \
	X(MADV_DONTNEED_LOCKED, "madvise-dontneed-locked") \
	X(MADV_GUARD_INSTALL, "madvise-guard-install") \
	X(MADV_PAGEOUT, "madvise-pageout") \
	X(MADV_COLLAPSE, "madvise-collapse") \
	X(MADV_UNMERGEABLE, "madvise-unmergeable") \
	X(MADV_POISON, "madvise-poison") \
	X(TRUNCATE, "truncate") \
	X(FALLOCATE, "fallocate") \
	X(FORK, "fork") \
	X(EXEC, "exec") \
	X(EXIT, "exit") \
	X(COW, "copy-on-write") \
	X(RECLAIM, "reclaim") \
	X(KSM, "ksm") \
	X(MIGRATE, "migration") \
	X(HUGE_SPLIT, "huge-split") \
	X(MKCLEAN, "writeback") \
	X(SOFT_DIRTY, "clear-soft-dirty") \
	X(OOM_REAP, "oom-reap") \
	X(DRIVER, "driver")

enum mmun_op {
#define MMUN_OP_ENUM(name, text) MMUN_OP_##name,
	MMUN_OPS(MMUN_OP_ENUM)
#undef MMUN_OP_ENUM
		MMUN_NR_OPS
};

/** mmun_op_name() - the operation's printed name; "unknown" outside the enum.  Any context. */
const char *mmun_op_name(unsigned int op);

/** What an event source knows of the operation behind a section. */
struct mmun_origin {
	enum mmun_op op;
	/** System call number, or -1. */
	int nr;
	/** Result of the system call, 0 or above, or -errno; meaningful at the end only. */
	long result;
	/** The six arguments of the system call as the program passed them. */
	const unsigned long *args;
	/** Program counter and stack pointer of the calling code, or 0. */
	unsigned long pc, sp;
};

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
