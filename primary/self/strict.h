/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Strict mode: what the files strict*.c and strict_entry.S share.
 *
 * Syscall User Dispatch lets the system calls of one range of addresses through
 * and sends SIGSYS for all others.  The range is the text of the C library.  Our
 * own calls are made from a few instructions in the unused rest of that text's
 * last page, the *cave*; it stays for the life of the process, because a thread may
 * sleep in a call that was made there.
 */
#ifndef MMUN_SELF_STRICT_H
#define MMUN_SELF_STRICT_H

#include "site.h"

/* How a number is treated behind the point where no section is opened. */
#define MMUN_STRICT_PLAIN   0
#define MMUN_STRICT_SIGNALS 1
#define MMUN_STRICT_THREAD  2

/* Where a slot has these, from its site, for the entry code. */
#define MMUN_SLOT_LAST   -8
#define MMUN_SLOT_THREAD -16

#ifndef __ASSEMBLER__

#include <signal.h>
#include <stdbool.h>
#include <ucontext.h>

#include "state.h"

#define MMUN_STRICT_SLOTS 128

/* One address behind a system call instruction that has trapped. */
struct mmun_strict_slot {
	/* Makes a thread, which is armed first. */
	void *thread;
	/* Makes any other call and goes on behind it. */
	void *last;
	/* What the entry code is given.  ->resume is the key, 0 while unused. */
	struct mmun_site site;
	/* Where the cave goes on after ->thread. */
	void *after_thread;
};
_Static_assert(offsetof(struct mmun_strict_slot, site) == -MMUN_SLOT_THREAD &&
		       offsetof(struct mmun_strict_slot, last) == MMUN_SLOT_LAST - MMUN_SLOT_THREAD,
	       "strict_entry.S reads them");

/* Memory near the C library, readable and writable; never unmapped. */
struct mmun_strict_area {
	/* The kernel reads it at each call from outside the range. */
	volatile unsigned char selector;
	int taken;
	void *notified_return, *forked_return;
	/* For traps when all slots are taken. */
	struct mmun_strict_slot spare;
	struct mmun_strict_slot slots[MMUN_STRICT_SLOTS];
};

/* What strict_text.c has built; the same until the process ends. */
struct mmun_strict_text {
	struct mmun_strict_area *area;
	/* Makes any call with the registers as they are and does not come back. */
	void *plain;
	/* Makes a call of the 32-bit kind, and goes on at r11. */
	void *compat;
	/* __restore_rt() of the C library. */
	void *restorer;
	int nr_slots;
	unsigned long start, length;
	/* Sites that only strict mode needs. */
	struct mmun_image image;
};
extern struct mmun_strict_text mmun_strict_text;

/* strict_text.c */

/* Builds everything in and beside the text of the C library @image, whose stubs are
 * made.  Return 0 or -errno. */
int mmun_strict_build(struct mmun_image *image, struct mmun_refusal *refusal);
/* The slot of a trapped address, or NULL when all are taken; the last ones are kept for
 * calls that make a child.  Async-signal-safe. */
struct mmun_strict_slot *mmun_strict_slot_of(unsigned long resume, bool makes_child);

/* strict_signal.c: SIGSYS as the program sees it. */

struct mmun_kernel_action {
	void *handler;
	unsigned long flags;
	void *restorer;
	unsigned long mask;
};
int mmun_strict_take_signal(void (*handler)(int, siginfo_t *, void *));
/* Once the calls that set handlers are redirected. */
void mmun_strict_hide_in_handlers(void);
void mmun_strict_give_signal_back(void);
/* A SIGSYS that is not ours. */
void mmun_strict_forward(siginfo_t *info, ucontext_t *context);
/* The mask that a frame is about to restore. */
void mmun_strict_returns(unsigned long *mask);
void mmun_strict_call(struct mmun_regs *regs);
void mmun_strict_wait(struct mmun_regs *regs);
/* @args: the six of a call that is a cancellation point. */
void mmun_strict_cancel(int nr, unsigned long *args);

/* strict_entry.S */
extern const unsigned char mmun_strict_classes[512];
/* The C library's calls that set a mask are made from here, */
void mmun_strict_call_entry(void);
/* or, where a thread may be cancelled in them, by their own instruction. */
void mmun_strict_wait_entry(void);
void mmun_strict_last_entry(void);
void mmun_strict_cancel_entry(void);
extern void *mmun_strict_cancel_function;
void mmun_strict_child(void);
void mmun_strict_spare_resume(void);
extern const char mmun_strict_notified_return[], mmun_strict_forked_return[];
extern unsigned char mmun_strict_on;
extern void *mmun_strict_notified, *mmun_strict_forked;
extern long mmun_strict_pid;
extern unsigned long mmun_strict_prctl[3];

/* strict.c */

/* The number of calls that trapped so far. */
unsigned long mmun_strict_traps(void);
/* Could it work here?  Return 0 or -errno with the sentence. */
int mmun_strict_check(struct mmun_refusal *refusal);
/* Did the environment ask for it? */
bool mmun_strict_asked(void);
/* Before @image is patched, once it has stubs; nothing traps yet. */
int mmun_strict_begin(struct mmun_image *image, struct mmun_refusal *refusal);
/* After it: arms every thread, or none.  @pid: of this process. */
int mmun_strict_start(long pid, struct mmun_refusal *refusal);
bool mmun_strict_is_started(void);
/* The calling thread will have no stack to take a SIGSYS on. */
void mmun_strict_leave_thread(void);
/* A process that forked has it no more. */
void mmun_strict_forget(void);
void mmun_strict_stop(void);

#endif
#endif
