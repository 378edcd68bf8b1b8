// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The gate: mm->srcu with a door, one big-reader lock per mm.
 *
 * Entering is a read lock and one look at the door.  Closing shuts the door
 * and waits for a grace period: whoever counted itself in before the door was
 * seen shut is waited for, whoever comes later sees it shut and steps back.
 *
 * I1  While close has returned and open was not called, nobody is inside.
 * I2  A thread that is inside enters again without waiting (callbacks may
 *     unmap memory), else it and the closer would wait for each other.
 * I3  Signal handlers enter too.  One that interrupts a thread in the middle of
 *     entering or leaving cannot know whether that thread counts as inside
 *     (MMUN_GATE_MAYBE): waiting could dead-lock, walking in could break I1.
 *     It asks the closer to back off and waits; the closer opens and tries
 *     again.  Each thread's state is one word with one store per change.
 * I4  The closer runs with every signal blocked until open: a handler on its
 *     own thread would wait at the door that only this thread opens.
 *     While it waits for somebody inside it looks for signals: one of them may
 *     be a collector's request to stop, which that somebody has obeyed already
 *     and waits for everybody else to obey.  Then it opens, lets the handler
 *     run and tries again.
 * I5  The door is shut only by the holder of the grace-period lock, so a closer
 *     never waits behind another grace period that waits for a thread that
 *     waits at the door.
 *
 * I6  Opening hands over: threads that waited at the door get in before the next
 *     closing shuts it again, so closings in a row do not starve them.  New ones
 *     do not wait meanwhile, so the closer's wait ends; a waiter that is stopped,
 *     or left by a jump out of a signal handler, is forgotten after HAND_OVER.
 *
 * I7  A thread that may be waited for never just waits at the door: one inside
 *     another mm's gate (where its books do not say whether it is inside this one
 *     too, unless the caller does: nested), in a callback or in a grace period asks
 *     the closer to back off as well.  The closer may be waiting for its read
 *     section, or for a thread that waits for it.
 *
 * Tests: tests/unit/gate.c, tests/torture/chain.c, tests/model/gate.pml.
 */
#include "internal.h"

#include "bug.h"
#include "futex.h"
#include "spin.h"

/* How long a closing waits for one waiter of the last one to come in, ns. */
#define HAND_OVER 10000000

/* What the thread was before it entered: bits 1 and 2 of the cookie. */
enum {
	WAS_OUT = MMUN_GATE_OUT,
	WAS_MAYBE = MMUN_GATE_MAYBE,
	WAS_IN = MMUN_GATE_IN,
	WAS_ELSEWHERE = 3,
};

static inline void set_task_gate(const struct mm_struct *mm, enum mmun_gate_state state)
{
	mmun_compiler_barrier();
	mmun_store_relaxed(&mmun_task.gate, (uintptr_t)mm | state);
	mmun_compiler_barrier();
}

/* ->gate_word is set after and cleared before ->gate: a handler in between
 * reads NULL, which says nothing, and never the word of an earlier gate. */
static inline void task_begin(const struct mm_struct *mm)
{
	set_task_gate(mm, MMUN_GATE_MAYBE);
	mmun_store_relaxed(&mmun_task.gate_word, mm->fork_word);
}

static inline void task_end(void)
{
	mmun_compiler_barrier();
	mmun_store_relaxed(&mmun_task.gate_word, NULL);
	set_task_gate(NULL, MMUN_GATE_OUT);
}

static inline int where(const struct mm_struct *mm)
{
	uintptr_t gate = mmun_task_gate();

	if (mmun_likely(!gate)) {
		if (mmun_unlikely(mmun_load_relaxed(&mmun_task.gate)))
			task_end();
		return WAS_OUT;
	}
	if ((gate & ~(uintptr_t)MMUN_GATE_STATES) != (uintptr_t)mm)
		return WAS_ELSEWHERE;
	return (int)(gate & MMUN_GATE_STATES);
}

/* I3, I7 */
static bool may_be_awaited(int was)
{
	return was != WAS_OUT || mmun_task.walk || mmun_task.wait;
}

/* Not before this thread is in: the closer waits for it with the door open. */
static void thank_closer(struct mm_struct *mm)
{
	(void)mmun_sub_full(&mm->gate.back_off, 1);
	mmun_futex_wake_all(&mm->gate.back_off);
}

static void wait_at_door(struct mmun_gate *gate)
{
	if (mmun_spin_until(!mmun_load_full(&gate->closed)))
		return;
	while (mmun_load_full(&gate->closed))
		mmun_futex_wait(&gate->closed, 1);
}

static void wait_in_line(struct mmun_gate *gate)
{
	(void)mmun_add_full(&gate->waiting, 1);
}

/* The closer may have forgotten us. */
static void leave_line(struct mmun_gate *gate)
{
	unsigned int waiting = mmun_load_full(&gate->waiting);

	while (waiting && !mmun_cas_full(&gate->waiting, &waiting, waiting - 1))
		;
	mmun_futex_wake_all(&gate->waiting);
}

static void hand_over(struct mmun_gate *gate)
{
	unsigned int waiting;

	if (mmun_spin_until(!mmun_load_full(&gate->waiting)))
		return;
	while ((waiting = mmun_load_full(&gate->waiting))) {
		mmun_futex_wait_for(&gate->waiting, waiting, HAND_OVER);
		(void)mmun_cas_full(&gate->waiting, &waiting, 0);
	}
}

/* The door is shut: step out of @bank, wait, and come in again. */
__attribute__((noinline, cold)) static int enter_later(struct mm_struct *mm, int bank, int was)
{
	const bool ask = may_be_awaited(was);

	mmun_stat_inc(mm, gate_waits);
	/* J: asked before the unlock below looks whether the closer sleeps, and
	 * wakes it; pairs with E in sleep_for_bank(). */
	if (ask)
		(void)mmun_add_full(&mm->gate.back_off, 1);
	wait_in_line(&mm->gate);
	do {
		srcu_read_unlock(&mm->srcu, bank);
		if (was == WAS_OUT)
			task_end();
		wait_at_door(&mm->gate);
		if (was == WAS_OUT)
			task_begin(mm);
		bank = srcu_read_lock(&mm->srcu);
	} while (mmun_load_full(&mm->gate.closed));	/* H */
	leave_line(&mm->gate);
	if (ask)
		thank_closer(mm);
	return bank;
}

int mmun_gate_enter(struct mm_struct *mm, bool nested)
{
	const int was = where(mm);
	int bank;

	/* Our own books are exact, also between two instructions of the caller. */
	if (was != WAS_ELSEWHERE)
		nested = was == WAS_IN;
	if (was == WAS_OUT)
		task_begin(mm);
	bank = srcu_read_lock(&mm->srcu);
	/* H: looked at after the full operation A; pairs with I in shut_door():
	 * the closer sees this reader, or the reader sees the door shut. */
	if (mmun_unlikely(mmun_load_full(&mm->gate.closed) && !nested))
		bank = enter_later(mm, bank, was);
	if (was == WAS_OUT || was == WAS_MAYBE)
		set_task_gate(mm, MMUN_GATE_IN);
	return bank | was << 1;
}

void mmun_gate_exit(struct mm_struct *mm, int cookie)
{
	const int was = cookie >> 1;

	if (was == WAS_OUT || was == WAS_MAYBE)
		set_task_gate(mm, MMUN_GATE_MAYBE);
	srcu_read_unlock(&mm->srcu, cookie & 1);
	if (was == WAS_OUT)
		task_end();
}

static bool shut_door(struct mm_struct *mm)
{
	struct mmun_gate *gate = &mm->gate;
	const struct mmun_give_up give_up = { &gate->back_off, &gate->saved };
	bool shut;

	mmun_mutex_lock(&mm->srcu.grace_lock);
	/* I: shut before the counters are looked at; pairs with H. */
	(void)mmun_swap_full(&gate->closed, 1);
	shut = mmun_srcu_wait_readers(&mm->srcu, &give_up);
	mmun_mutex_unlock(&mm->srcu.grace_lock);
	return shut;
}

static void open_door(struct mm_struct *mm)
{
	/* K: what was changed behind the door comes before; pairs with H. */
	mmun_store_full(&mm->gate.closed, 0);
	mmun_futex_wake_all(&mm->gate.closed);
}

void mmun_gate_close(struct mm_struct *mm)
{
	struct mmun_gate *gate = &mm->gate;
	mmun_sigmask saved;
	unsigned int asking;

	if (mmun_task_in_gate(mm))
		mmun_misuse("a thread inside the gate closes it and waits for itself");
	mmun_mutex_lock(&gate->closer);
	hand_over(gate);
	mmun_signals_block(&saved);
	gate->saved = saved;
	while (!shut_door(mm)) {
		open_door(mm);
		while ((asking = mmun_load_full(&gate->back_off)))
			mmun_futex_wait(&gate->back_off, asking);
		/* The door is open: whatever handler waits may run here. */
		mmun_signals_restore(&saved);
		mmun_signals_block(&saved);
	}
}

void mmun_gate_open(struct mm_struct *mm)
{
	struct mmun_gate *gate = &mm->gate;
	const mmun_sigmask saved = gate->saved;

	open_door(mm);
	mmun_mutex_unlock(&gate->closer);
	mmun_signals_restore(&saved);
}

void mmun_mm_read_lock(struct mm_struct *mm, struct mmun_reader *reader)
{
	reader->state = (unsigned long)mmun_gate_enter(mm, false);
}

void mmun_mm_read_unlock(struct mm_struct *mm, const struct mmun_reader *reader)
{
	mmun_gate_exit(mm, (int)reader->state);
}
