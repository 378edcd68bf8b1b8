/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every `syscall` instruction of an ELF object: in which function it stands,
 * which numbers it can make, and how it can be redirected.
 * The same code looks at a process before it is patched and at files (mmunotify
 * probe FILE).  Reads the object only; its working memory is its own mapping.
 */
#ifndef MMUN_SELF_SCAN_H
#define MMUN_SELF_SCAN_H

#include "object.h"

enum mmun_verdict {
	/* Its numbers are ours, or may be, and it can be redirected. */
	MMUN_VERDICT_SITE,
	/* Shown to make other calls only. */
	MMUN_VERDICT_OTHER,
	/* libmmunotify's own. */
	MMUN_VERDICT_OWN,
	/* Might be ours and cannot be redirected: why says what is in the way. */
	MMUN_VERDICT_UNKNOWN,
};

/* How the bytes are replaced. */
enum mmun_form {
	/* A whole instruction in front, which may run twice, becomes the jump; the
	 * system call instruction becomes a short jump back to it. */
	MMUN_FORM_BACK,
	/* The system call instruction becomes a short jump to padding between two
	 * functions, which becomes the jump. */
	MMUN_FORM_PAD,
	/* A whole instruction some way in front becomes the jump; what follows up to
	 * the system call runs in the stub and stays for a thread that stands there. */
	MMUN_FORM_RUN,
	/* Several instructions become the jump: the first has four bytes, and the last byte of
	 * the jump, with that behind it, is a jump back for a thread between them. */
	MMUN_FORM_WINDOW,
	/* A call of the function that all cancellation points share is led to the
	 * stub; the function itself stays as it is. */
	MMUN_FORM_CALL,
};

/* Bytes from the first that is replaced to the end of the call. */
#define MMUN_SCAN_WINDOW 24

#define MMUN_SCAN_NUMBERS 8
/* Calls of the function of cancellation points that are looked for. */
#define MMUN_SCAN_CALLERS       16
#define MMUN_NUMBER_IN_REGISTER (-1)

struct mmun_finding {
	enum mmun_verdict verdict;
	enum mmun_form form;
	/* Of the system call instruction, and the function that it is in. */
	unsigned long address;
	struct mmun_function function;
	/* The number if there is one only, else MMUN_NUMBER_IN_REGISTER. */
	int nr;
	/* All that were found; none if one is not known. */
	int nr_numbers;
	int numbers[MMUN_SCAN_NUMBERS];
	/* First byte that is replaced: of the jump, or of the call. */
	unsigned long at;
	/* MMUN_FORM_PAD: five bytes of padding. */
	unsigned long pad;
	/* At the entry of the function, where vector registers are dead. */
	bool at_entry;
	const char *why;
};

typedef int (*mmun_finding_fn)(const struct mmun_finding *finding, void *arg);

/*
 * Calls @fn for each, by address but for MMUN_FORM_CALL, which come last; ends when
 * it returns other than 0, with that.  @is_c_library: also numbers in a register
 * are redirected, and the C library's own ways are known.
 * Return: 0, what @fn returned, or -errno.
 */
int mmun_scan(const struct mmun_object *object, bool is_c_library, mmun_finding_fn fn, void *arg);

#endif
