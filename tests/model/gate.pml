/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * core/gate.c: registration against sections that are about to open.
 *
 * Two threads enter, start, end and leave; at any step of entering and leaving
 * a signal handler may run on the first and do the same.  Their callbacks
 * enter again.  The second may be in a read section of its own already, as a
 * ->release is, when it enters.  A closer registers a notifier behind the shut door.  The grace
 * period is one count here; srcu.pml is about how it is kept.
 *
 * Checked: no section is open while the closer is behind the door (R2), no end
 * without its start (R1), nobody waits for ever.
 *
 * Mutants: H (the reader's count is not a full operation), I (the closer's
 * store is not), NESTED (a thread inside waits at the door), MAYBE (a handler in
 * the middle of an entry counts as inside), ASK (it waits without asking the
 * closer to back off), AWAITED (a read section that enters does so), FLAG (its request is a flag that the next closing resets),
 * WAKE (leaving does not look at the waiting closer).
 */
#define THREADS 3
#define CELLS 5
#define CLOSER 2

#define CLOSED 0
#define INSIDE 1
#define BACK_OFF 2
#define WAITING 3
#define REGISTERED 4

#include "tso.h"

#define OUT 0
#define MAYBE 1
#define IN 2

byte finished;
byte open_sections;
bool behind_the_door;
/* Each thread's books, mmun_task.gate. */
byte gate[2];
bool closer_asleep;

inline wake_closer()
{
	if
	:: atomic { LOAD(WAITING) != 0 -> mem[WAITING] = 0; closer_asleep = false }
	:: LOAD(WAITING) == 0
	fi
}

/* The count may sit in the buffer only in the mutant; a section before that is
 * what the mutant has to show. */
inline count_in(me)
{
#ifdef MUTANT_H
	PLAIN_ADD(me, INSIDE);
#else
	FULL_ADD(me, INSIDE);
#endif
}

inline count_out(me)
{
	atomic { DRAIN(me); mem[INSIDE] = mem[INSIDE] - 1 };
#ifndef MUTANT_WAKE
	wake_closer()
#endif
}

/* start ... end, with an entry by a callback in between */
inline section(me, saw)
{
	atomic { open_sections++; assert(!behind_the_door); saw = LOAD(REGISTERED) };
#ifdef MUTANT_NESTED
	LOAD(CLOSED) == 0;
#endif
	count_in(me);
	count_out(me);
	atomic { assert(saw || !LOAD(REGISTERED)); assert(!behind_the_door); open_sections-- }
}

#ifdef MUTANT_AWAITED
#define ASKS(was) (was == MAYBE)
#else
#define ASKS(was) (was == MAYBE || awaited)
#endif

/* enter_later() after the door was found shut; was: the books before */
inline enter_later(me, was)
{
	if
	:: ASKS(was) ->
#ifdef MUTANT_FLAG
		FULL_STORE(me, BACK_OFF, 1)
#endif
#ifdef MUTANT_ASK
		skip
#endif
#if !defined(MUTANT_FLAG) && !defined(MUTANT_ASK)
		FULL_ADD(me, BACK_OFF)
#endif
	:: else
	fi;
	do
	:: count_out(me);
		if :: was == OUT -> gate[me] = OUT :: else fi;
		LOAD(CLOSED) == 0;
		if :: was == OUT -> gate[me] = MAYBE :: else fi;
		count_in(me);
		if :: LOAD(CLOSED) == 0 -> break :: else fi
	od;
#if !defined(MUTANT_FLAG) && !defined(MUTANT_ASK)
	if
	:: ASKS(was) -> atomic { DRAIN(me); mem[BACK_OFF] = mem[BACK_OFF] - 1 }
	:: else
	fi
#endif
}

/* A signal handler that enters and leaves, once, at any place. */
inline handler(me)
{
	if
	:: handled -> skip
	:: skip
	:: !handled ->
		handled = true;
		handler_was = gate[me];
#ifdef MUTANT_MAYBE
		if :: handler_was == MAYBE -> handler_was = IN :: else fi;
#endif
		if :: handler_was == OUT -> gate[me] = MAYBE :: else fi;
		count_in(me);
		if
		:: handler_was != IN && LOAD(CLOSED) != 0 -> enter_later(me, handler_was)
		:: else
		fi;
		if :: handler_was != IN -> gate[me] = IN :: else fi;
		section(me, handler_saw);
		if :: handler_was != IN -> gate[me] = MAYBE :: else fi;
		count_out(me);
		if :: handler_was == OUT -> gate[me] = OUT :: else fi
	fi
}

/* mmun_gate_enter(), a section, mmun_gate_exit() */
proctype operation(byte me)
{
	bool saw, handler_saw;
	bool handled = (me == 1);
	byte handler_was;
	bool awaited = false;

	if
	:: me == 1 -> awaited = true; count_in(me)
	:: true
	fi;
	handler(me);
	gate[me] = MAYBE;
	handler(me);
	count_in(me);
	handler(me);
	if
	:: LOAD(CLOSED) != 0 -> enter_later(me, OUT)
	:: LOAD(CLOSED) == 0
	fi;
	handler(me);
	gate[me] = IN;
	section(me, saw);
	handler(me);
	gate[me] = MAYBE;
	handler(me);
	count_out(me);
	handler(me);
	gate[me] = OUT;
	handler(me);
	if :: awaited -> count_out(me) :: else fi;
	finished++
}

/* sleep_for_bank() with give_up; ok is what shut_door() returns */
inline wait_readers()
{
	do
	:: FULL_STORE(CLOSER, WAITING, 1);
		if
		:: LOAD(INSIDE) == 0 -> ok = true; break
		:: LOAD(INSIDE) != 0
		fi;
		if
		:: LOAD(BACK_OFF) != 0 -> ok = false; break
		:: LOAD(BACK_OFF) == 0
		fi;
		atomic { DRAIN(CLOSER); closer_asleep = (LOAD(WAITING) == 1) };
		!closer_asleep
	od;
	FULL_STORE(CLOSER, WAITING, 0)
}

/* mmun_gate_close(), registration, mmun_gate_open() */
proctype closer()
{
	bool ok;

	do
	::
#ifdef MUTANT_FLAG
		FULL_STORE(CLOSER, BACK_OFF, 0);
#endif
#ifdef MUTANT_I
		PLAIN_STORE(CLOSER, CLOSED, 1);
		if
		:: LOAD(INSIDE) == 0 -> ok = true
		:: LOAD(INSIDE) != 0 -> wait_readers()
		fi;
#else
		FULL_STORE(CLOSER, CLOSED, 1);
		wait_readers();
#endif
		if
		:: ok -> break
		:: else
		fi;
		FULL_STORE(CLOSER, CLOSED, 0);
#ifndef MUTANT_FLAG
		LOAD(BACK_OFF) == 0
#endif
	od;
	atomic { behind_the_door = true; assert(open_sections == 0) };
	mem[REGISTERED] = 1;
	behind_the_door = false;
	FULL_STORE(CLOSER, CLOSED, 0);
	finished++
}

init
{
	atomic { run operation(0); run operation(1); run closer() }
	finished == 3
}
