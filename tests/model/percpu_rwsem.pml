/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * base/percpu_rwsem.c: two readers in slots as spin chooses, one of them twice and perhaps
 * inside itself; and a writer that comes twice.  The memory is that of x86 processors.
 * That waiting readers go first holds for a time only, and is not here.
 *
 * Checked: no reader is inside together with the writer (I1, I2); nobody sleeps for
 * ever: no wake-up is lost, and a reader that is inside gets in again (I3).
 *
 * Mutants: READER (the entry waits in the store buffer), WRITER (so does the writer's
 * word), SUM (entries are summed before exits), AGAIN (a reader that has waited does not
 * look again), NESTED (a reader that is inside waits for the writer), LOOK (who leaves
 * looks for a writer before he counts), SLEEP (the writer notes the departures after he
 * has summed).
 */
#define THREADS 3
#define ENTERED(slot) (slot)
#define LEFT(slot) (2 + (slot))
#define WRITING 4
#define DEPARTURES 5
#define CELLS 6
#include "tso.pml"

#define ROUNDS 2

bool inside[2], writer_inside;
byte finished;

inline wake()
{
	if
	:: LOAD(WRITING) -> FULL_ADD(me, DEPARTURES)
	:: else
	fi
}

inline leave(slot)
{
#ifdef MUTANT_LOOK
	if
	:: LOAD(WRITING) -> FULL_ADD(me, LEFT(slot)); FULL_ADD(me, DEPARTURES)
	:: else -> FULL_ADD(me, LEFT(slot))
	fi
#else
	FULL_ADD(me, LEFT(slot));
	wake()
#endif
}

inline enter(slot)
{
#ifdef MUTANT_READER
	PLAIN_ADD(me, ENTERED(slot))
#else
	FULL_ADD(me, ENTERED(slot))
#endif
}

/* Counted in, and a writer is there. */
inline wait_and_enter(slot)
{
	do
	:: leave(slot);
		LOAD(WRITING) == 0;
		enter(slot);
#ifdef MUTANT_AGAIN
		break
#else
		if
		:: LOAD(WRITING) == 0 -> break
		:: else
		fi
#endif
	od
}

proctype reader(byte me)
{
	byte slot, other, round;

	do
	:: round < ROUNDS - me ->
		if
		:: slot = 0
		:: slot = 1
		fi;
		enter(slot);
		if
		:: LOAD(WRITING) -> wait_and_enter(slot)
		:: else
		fi;
		inside[me] = true;
		assert(!writer_inside);
		if
		:: me == 0 ->
			other = 1 - slot;
			enter(other);
#ifdef MUTANT_NESTED
			if
			:: LOAD(WRITING) -> wait_and_enter(other)
			:: else
			fi;
#endif
			leave(other)
		:: true
		fi;
		assert(!writer_inside);
		inside[me] = false;
		leave(slot);
		round++
	:: else -> break
	od;
	DRAIN(me);
	finished++
}

inline sum_exits()
{
	left = LOAD(LEFT(0));
	left = left + LOAD(LEFT(1))
}

inline sum_entries()
{
	entered = LOAD(ENTERED(0));
	entered = entered + LOAD(ENTERED(1))
}

proctype writer(byte me)
{
	byte left, entered, departures, round;

	do
	:: round < ROUNDS ->
#ifdef MUTANT_WRITER
		PLAIN_STORE(me, WRITING, 1);
#else
		FULL_STORE(me, WRITING, 1);
#endif
		do
		:: true ->
#ifndef MUTANT_SLEEP
			departures = LOAD(DEPARTURES);
#endif
#ifdef MUTANT_SUM
			sum_entries();
			sum_exits();
#else
			sum_exits();
			sum_entries();
#endif
#ifdef MUTANT_SLEEP
			departures = LOAD(DEPARTURES);
#endif
			if
			:: entered == left -> break
			:: else -> LOAD(DEPARTURES) != departures
			fi
		od;
		writer_inside = true;
		assert(!inside[0] && !inside[1]);
		writer_inside = false;
		FULL_STORE(me, WRITING, 0);
		round++
	:: else -> break
	od;
	finished++
}

init
{
	atomic {
		run reader(0);
		run reader(1);
		run writer(2)
	}
	finished == 3
}
