/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * rcache/: references to one id, through two of its generations, against its end and its reuse.
 *
 * Two threads get and put; the first may hand its reference over, and then the second puts
 * it.  The third invalidates, makes every processor's barrier, adds up the cells, sleeps while
 * more has begun than ended, deregisters, and lets the id live again for other memory.
 * Without membarrier(2) every addition is a full one.
 *
 * Checked: nobody uses what was deregistered, nor another range than the one found; the
 * reaper does not sleep for ever.
 *
 * Mutants: NO_BARRIER (no barrier before the sum), NO_CHECK (the state is not looked at
 * again), NO_GENERATION (it is, but not whose it is), CHECK_FIRST (before the reference is
 * there), PUT_BLIND (a put does not look at the state), UNDO_BLIND (nor does a get that gives
 * its reference back), LOOK_FIRST (a put looks before its reference is gone), WAKE_LOOKS (a
 * wake that seems to have been made already is left out), LATE_ARM (the reaper adds up before it can
 * be woken), BEGUN_FIRST (it adds up what has ended after what has begun), SUM_FIRST (it adds up, and then invalidates what nobody uses), PLAIN_FENCED (the additions are plain although there is no membarrier).
 */
#define THREADS 3
#define STATE  0
#define BUCKET 1
#define WOKEN  2
#define MAIL   3
#define BEGUN(thread) (4 + (thread))
#define ENDED(thread) (6 + (thread))
#define CELLS  8
#define REAPER 2

#include "tso.pml"

#define GENERATIONS 2
#define NOTHING 255

bool fenced;
bool gone[GENERATIONS + 1];
byte finished;

inline count(me, cell)
{
	if
	:: !fenced -> PLAIN_ADD(me, cell)
	:: fenced ->
#ifdef MUTANT_PLAIN_FENCED
		PLAIN_ADD(me, cell)
#else
		FULL_ADD(me, cell)
#endif
	fi
}

inline wake(me)
{
#ifdef MUTANT_WAKE_LOOKS
	if
	:: LOAD(WOKEN) -> skip
	:: !LOAD(WOKEN) -> FULL_STORE(me, WOKEN, 1)
	fi
#else
	FULL_STORE(me, WOKEN, 1)
#endif
}

inline look(me)
{
	if
	:: LOAD(STATE) == 0 -> wake(me)
	:: LOAD(STATE) != 0
	fi
}

inline get(me)
{
	wanted = LOAD(BUCKET);
#ifdef MUTANT_CHECK_FIRST
	seen = LOAD(STATE);
	count(me, BEGUN(me));
#else
	count(me, BEGUN(me));
	seen = LOAD(STATE);
#endif
#ifdef MUTANT_NO_CHECK
	held = wanted;
#else
#ifdef MUTANT_NO_GENERATION
	held = (seen -> wanted : 0);
#else
	held = (seen == wanted -> wanted : 0);
#endif
#endif
	if
	:: held
	:: !held ->
		count(me, ENDED(me));
#ifndef MUTANT_UNDO_BLIND
		look(me)
#endif
	fi;
	wanted = 0; seen = 0
}

inline put(me)
{
#ifdef MUTANT_LOOK_FIRST
	look(me);
	count(me, ENDED(me))
#else
	count(me, ENDED(me));
#ifndef MUTANT_PUT_BLIND
	look(me)
#endif
#endif
}

proctype first()
{
	byte held, wanted, seen;

	get(0);
	if
	:: !held -> PLAIN_STORE(0, MAIL, NOTHING)
	:: held ->
		assert(!gone[held]);
		if
		:: put(0); PLAIN_STORE(0, MAIL, NOTHING)
		:: PLAIN_STORE(0, MAIL, held)
		fi
	fi;
	finished++
}

proctype second()
{
	byte held, wanted, seen, rounds;

	do
	:: rounds == 2 -> break
	:: else ->
		rounds++;
		get(1);
		if
		:: held -> assert(!gone[held]); assert(!gone[held]); put(1)
		:: !held
		fi
	od;
	LOAD(MAIL) != 0;
	held = LOAD(MAIL);
	if
	:: held == NOTHING
	:: else -> assert(!gone[held]); put(1)
	fi;
	finished++
}

inline barrier()
{
	DRAIN(REAPER);
#ifndef MUTANT_NO_BARRIER
	if
	:: !fenced -> DRAIN(0); DRAIN(1)
	:: fenced
	fi
#endif
}

/* mmun_rc_sum() */
inline add_up()
{
#ifdef MUTANT_BEGUN_FIRST
	sum = LOAD(BEGUN(0));
	sum = sum + LOAD(BEGUN(1));
	sum = sum - LOAD(ENDED(0));
	sum = sum - LOAD(ENDED(1))
#else
	sum = 0 - LOAD(ENDED(0));
	sum = sum - LOAD(ENDED(1));
	sum = sum + LOAD(BEGUN(0));
	sum = sum + LOAD(BEGUN(1))
#endif
}

proctype reaper()
{
	byte generation = 1, sum;

	do
	:: generation > GENERATIONS -> break
	:: else ->
#ifdef MUTANT_SUM_FIRST
		barrier();
		do
		:: add_up(); if :: sum == 0 -> break :: else fi
		od;
		FULL_STORE(REAPER, STATE, 0);
		/* Nobody uses it, it seems. */
		goto unused;
#endif
		FULL_STORE(REAPER, STATE, 0);
		barrier();
		do
		::
#ifndef MUTANT_LATE_ARM
			FULL_STORE(REAPER, WOKEN, 0);
#endif
			add_up();
			if
			:: sum == 0 -> break
			:: else
			fi;
#ifdef MUTANT_LATE_ARM
			FULL_STORE(REAPER, WOKEN, 0);
#endif
			/* mmun_futex_wait() */
			LOAD(WOKEN)
		od;
#ifdef MUTANT_SUM_FIRST
unused:
#endif
		gone[generation] = true;
		generation++;
		if
		:: generation > GENERATIONS
		:: else ->
			/* The old bucket may be read all the time, so the new one may come late. */
			PLAIN_STORE(REAPER, STATE, generation);
			PLAIN_STORE(REAPER, BUCKET, generation)
		fi
	od;
	finished++
}

init {
	if :: fenced = true :: fenced = false fi;
	atomic {
		mem[STATE] = 1;
		mem[BUCKET] = 1;
		run first();
		run second();
		run reaper()
	}
	finished == 3
}
