/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A site is one system call instruction that we redirect; an image is the loaded
 * file that it is in.  There are five forms (enum mmun_form in scan.h):
 *
 *     back   b8 NR NR NR NR   0f 05        mov $NR,%eax; syscall
 *            e9 to the stub   eb f9        jmp stub; jmp back to the jmp
 *
 *     pad    0f 05  ...  padding           syscall  ...  nop
 *            eb ..  ...  e9 to the stub    jmp there ... jmp stub
 *
 *     run    b8 NR NR NR NR   83 ce 40   0f 05    any instructions between
 *            e9 to the stub   83 ce 40   0f 05    which the stub runs as well
 *
 *     window 48 8b 7b 50   48 8b 73 48   0f 05    several instructions, the first of
 *            e9 .. .. .. eb fa     eb f6 eb f4    four bytes: the jump ends with eb
 *
 *     call   e8 to the function            call __syscall_cancel_arch
 *            e8 to the stub                call stub
 *
 * Five bytes of one whole instruction become one whole instruction, so a thread is
 * never inside what changes.  A thread that stands between two instructions when
 * the page is swapped: in "back" it finds the short jump and takes the redirected
 * way, on which the first instruction may run once more; in "pad" nothing lies
 * between; in "run" it makes its call as one that began earlier.  In "window" there is a
 * short jump back at each place where a thread may stand; behind the first instruction
 * it consists of the last byte of the distance and the one that follows, so the stub
 * lies where the distance ends with that byte.  One that is in
 * the kernel returns behind the site, which is untouched.
 */
#ifndef MMUN_SELF_SITE_H
#define MMUN_SELF_SITE_H

/* Offsets of struct mmun_site for the entry code. */
#define MMUN_SITE_RESUME 0
#define MMUN_SITE_RAW    8
#define MMUN_SITE_CALLED 16
#define MMUN_SITE_NR     24

/* Room on the program's stack for one open section: of a call with one or two ranges,
 * of a call with many, of a fork.  docs/DESIGN.md says how much stack that makes. */
#define MMUN_SECTION_SIZE      448
#define MMUN_WALK_SECTION_SIZE 928
#define MMUN_FORK_SECTION_SIZE 176

/* What to do about an ordinary call: mmun_self_before(). */
#define MMUN_UNNOTICED 0
#define MMUN_NOTIFIED  1
#define MMUN_REFUSED   2
/* mmun_self_before() has to look. */
#define MMUN_NOT_PLAIN 1
/* mmun_self_before_walk() has to look. */
#define MMUN_WALKS 3

#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <stddef.h>

struct mmun_site;

/* The longest run of instructions that a stub takes over. */
#define MMUN_RUN_LENGTH 64

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
	MMUN_SITE_FIXED,   /* one number only */
	MMUN_SITE_CLONES,  /* the same, and the call may return in a child */
	MMUN_SITE_SYSCALL, /* the number is in rax, as in libc's syscall() */
	MMUN_SITE_CANCEL,  /* a call of the function of all cancellation points */
};

struct mmun_site {
	/* Known to the entry code by offset. */
	void *resume;
	void *raw;
	/* MMUN_SITE_CANCEL: the function of all cancellation points. */
	void *called;
	int nr;

	void *stub;
	enum mmun_site_kind kind;
	/* How the bytes are replaced: enum mmun_form of scan.h. */
	unsigned char form;
	bool patched;
	/* At the entry of a function every vector register is dead. */
	bool vectors_dead;
	/* In the dynamic linker. */
	bool in_linker;
	/* The short way may be taken (plain.c). */
	bool is_plain;
	struct mmun_plain_call {
		/* enum mmun_op, and the number. */
		int op, nr;
		/* Of the range: the flags, and enum mmu_notifier_event. */
		unsigned int flags, event;
		/* It goes that way if (args[2] & mask) == value. */
		unsigned long mask, value;
	} plain;
	/* The function that it is in. */
	unsigned char *function;

	/* What is replaced, and by what once the stub is made: @length bytes of the
	 * program, and where those are too few for a jump, padding near them. */
	unsigned char *at, *pad;
	unsigned char length, pad_length;
	unsigned char saved[24], bytes[24];
	unsigned char saved_pad[8], pad_bytes[8];
	/* What stood there at the last look (mmun_self_look()). */
	unsigned char now[24], now_pad[8];
	/* Instructions from @at to the system call: they run in the stub. */
	unsigned char run_length, run[MMUN_RUN_LENGTH];
};

static inline unsigned char *mmun_site_start(const struct mmun_site *site)
{
	return site->pad && site->pad < site->at ? site->pad : site->at;
}

static inline unsigned char *mmun_site_end(const struct mmun_site *site)
{
	return site->pad && site->pad > site->at ? site->pad + site->pad_length
						 : site->at + site->length;
}

/* Did the program's own code stand there at the last look? */
static inline bool mmun_site_is_original(const struct mmun_site *site)
{
	return !__builtin_memcmp(site->now, site->saved, site->length);
}

/* Did ours? */
static inline bool mmun_site_is_ours(const struct mmun_site *site)
{
	return site->stub && !__builtin_memcmp(site->now, site->bytes, site->length) &&
	       (!site->pad || !__builtin_memcmp(site->now_pad, site->pad_bytes, site->pad_length));
}

#define MMUN_STUB_SIZE 192

/*
 * Images are found in a list that only grows: one that has been unloaded stays,
 * unused, so that walking the list needs no lock.
 */
struct mmun_image {
	struct mmun_image *next;
	bool used;
	bool is_linker;
	/* Or the linker: nothing in it may be left unaccounted for. */
	bool is_c_library;
	/* Executable mapping, and the file behind it; @bias: how far from its own
	 * addresses it lies. */
	unsigned long base, bias, text_start, text_end, text_offset;
	unsigned long inode;
	int prot;
	char path[256];
	/* Stubs, within reach of a 32-bit jump; kept for the life of the process
	 * because a thread may be executing one. */
	unsigned char *stubs;
	size_t stubs_size;
	bool stubs_ready;
	/* Made by the start that is under way. */
	bool stubs_fresh;
	/* Found in the last walk over the mappings. */
	bool seen;
	/* Stay where they are: stubs hold their addresses. */
	int nr_sites, room;
	struct mmun_site *sites;
};

#endif
#endif
