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
#define MMUN_SITE_NR 16

/* Room on the program's stack for one open section: of a call with one or two ranges,
 * of a call with many, of a fork.  docs/DESIGN.md says how much stack that makes. */
#define MMUN_SECTION_SIZE 448
#define MMUN_WALK_SECTION_SIZE 928
#define MMUN_FORK_SECTION_SIZE 176

/* What to do about an ordinary call: mmun_self_before(). */
#define MMUN_UNNOTICED 0
#define MMUN_TOLD 1
#define MMUN_REFUSED 2
/* mmun_self_before_walk() has to look. */
#define MMUN_WALKS 3

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
	int nr;

	void *stub;
	enum mmun_site_kind kind;
	bool patched;
	/* At the entry of a function every vector register is dead. */
	bool vectors_dead;
	/* In the dynamic linker. */
	bool in_linker;
	/* In a function without which nothing is patched, which starts here. */
	bool required;
	unsigned char *function;

	/* What is replaced, and by what once the stub is made: @length bytes of the
	 * program, and where those are too few for a jump, padding near them. */
	unsigned char *at, *pad;
	unsigned char length, pad_length;
	unsigned char saved[8], bytes[8];
	unsigned char saved_pad[8], pad_bytes[8];
};

static inline unsigned char *mmun_site_start(const struct mmun_site *site)
{
	return site->pad && site->pad < site->at ? site->pad : site->at;
}

static inline unsigned char *mmun_site_end(const struct mmun_site *site)
{
	return site->pad && site->pad > site->at ? site->pad + site->pad_length :
						   site->at + site->length;
}

/* Does the program's own code stand there? */
static inline bool mmun_site_is_original(const struct mmun_site *site)
{
	return !__builtin_memcmp(site->at, site->saved, site->length);
}

/* Does ours? */
static inline bool mmun_site_is_ours(const struct mmun_site *site)
{
	return site->stub && !__builtin_memcmp(site->at, site->bytes, site->length) &&
	       (!site->pad ||
		!__builtin_memcmp(site->pad, site->pad_bytes, site->pad_length));
}

#define MMUN_STUB_SIZE 96

/*
 * Images are found in a list that only grows: one that has been unloaded stays,
 * unused, so that whoever walks the list needs no lock.
 */
struct mmun_image {
	struct mmun_image *next;
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
	size_t stubs_size;
	bool stubs_ready;
	/* Found in the last walk over the mappings. */
	bool seen;
	/* Stay where they are: stubs hold their addresses. */
	int nr_sites, room;
	struct mmun_site *sites;
};

#endif
#endif
