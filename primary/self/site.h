/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A site is one system call instruction in the text of a C library or dynamic
 * linker that we redirect; an image is one such loaded file.
 *
 *     before:  b8 NR NR NR NR   0f 05        mov $NR,%eax; syscall
 *     after:   e9 to the stub   eb f9        jmp stub; jmp back to the jmp
 *
 * The five bytes of one whole instruction become one whole instruction, so a
 * thread is never inside what changes.  A thread that stands between the two
 * instructions when the page is swapped finds the short jump and takes the
 * redirected path; one that is in the kernel returns behind the site, which is
 * untouched.
 */
#ifndef MMUN_SELF_SITE_H
#define MMUN_SELF_SITE_H

/* Offsets of struct mmun_site for the entry code. */
#define MMUN_SITE_RESUME 0
#define MMUN_SITE_RAW 8
#define MMUN_SITE_CLONE 16
#define MMUN_SITE_NR 24

/* Room on the program's stack for one open section. */
#define MMUN_SECTION_SIZE 2240

/* What to do about an ordinary call: mmun_self_before(). */
#define MMUN_UNNOTICED 0
#define MMUN_TOLD 1
#define MMUN_REFUSED 2

#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <stddef.h>

struct mmun_site;

/* What the entry code saves; also the layout of its stack frame. */
struct mmun_regs {
	/* In: the number, where the site is libc's syscall().  */
	unsigned long nr;
	/* rdi, rsi, rdx, r10, r8, r9. */
	unsigned long args[6];
	struct mmun_site *site;
	unsigned long rbp;
	/* The address behind the site: where the program goes on. */
	unsigned long resume;
	unsigned char red_zone[128];
	/* The program's stack at the site starts here. */
	unsigned char stack[];
};

enum mmun_site_kind {
	MMUN_SITE_FIXED,	/* mov $nr,%eax; syscall */
	MMUN_SITE_CLONES,	/* the same, and the call may return in a child */
	MMUN_SITE_SYSCALL,	/* libc's syscall(): the number is in rax */
	MMUN_SITE_EXIT,		/* _exit(): the instruction that loads the number */
};

struct mmun_site {
	/* Known to the entry code by offset. */
	void *resume;
	void *raw;
	void *clone;
	int nr;

	unsigned char *at;
	void *stub;
	enum mmun_site_kind kind;
	bool patched;
	/* At the entry of a function every vector register is dead. */
	bool vectors_dead;
	/* A branch of the library leads to the syscall instruction itself: its
	 * two bytes stay. */
	bool keep_tail;
	/* In the dynamic linker. */
	bool in_linker;
	/* In a function without which nothing is patched, which starts here. */
	bool required;
	unsigned char *function;
	unsigned char saved[8];
};

/* Bytes that a site of this kind replaces. */
static inline size_t mmun_site_length(const struct mmun_site *site)
{
	return site->kind == MMUN_SITE_EXIT || site->keep_tail ? 5 : 7;
}

#define MMUN_MAX_SITES 96
#define MMUN_STUB_SIZE 96

struct mmun_image {
	bool used;
	bool is_linker;
	/* Executable mapping, and the file behind it. */
	unsigned long base, text_start, text_end, text_offset;
	unsigned long inode;
	int prot;
	char path[256];
	/* Stubs, within reach of a 32-bit jump; kept for the life of the process
	 * because a thread may be executing one. */
	unsigned char *stubs;
	bool stubs_ready;
	/* Found in the last walk over the mappings. */
	bool seen;
	int nr_sites;
	struct mmun_site sites[MMUN_MAX_SITES];
};

/* One per namespace that dlmopen() can make, and the linker. */
#define MMUN_MAX_IMAGES 20

#endif
#endif
