/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * core/srcu.h and core/srcu.c: two-bank grace periods with a sleeping waiter.
 *
 * Two readers, one of them twice, on slots of their own to enter and on any slot
 * to leave, against two grace periods.  The updater replaces element n by
 * n + 1, waits, frees n.  Checked: no reader uses a freed element; nobody
 * sleeps for ever.
 *
 * Mutants: A, B, E, F (the fence of that letter dropped), SUM (entries summed
 * before exits), ONE_BANK (no wait for the bank that is not in use), RAISE
 * (->waiting raised only after the last look at the counters).  Not to flip ->idx
 * would not be wrong, only slow: readers that keep coming hold the wait up.
 */
#define THREADS 3
#define CELLS 13
#define UPDATER 2

#define IDX 0
#define WAITING 1
#define CURRENT 2
#define LOCKED(slot, bank) (3 + 2 * (slot) + (bank))
#define UNLOCKED(slot, bank) (7 + 2 * (slot) + (bank))
#define FREED(element) (11 + (element))

#include "tso.h"

bool asleep;
byte finished;

/* mmun_srcu_wake() */
inline wake()
{
	if
	:: atomic { LOAD(WAITING) != 0 -> mem[WAITING] = 0; asleep = false }
	:: LOAD(WAITING) == 0
	fi
}

/* srcu_read_lock(), the section, srcu_read_unlock() */
proctype reader(byte me)
{
	byte bank, element, round, slot;

	do
	:: round < 2 - me ->
		bank = LOAD(IDX);
#ifdef MUTANT_A
		PLAIN_ADD(me, LOCKED(me, bank));
#else
		FULL_ADD(me, LOCKED(me, bank));
#endif
		element = LOAD(CURRENT);
		/* The last use; a load, which no later store overtakes. */
		assert(element > 1 || !LOAD(FREED(element)));
		if :: slot = 0 :: slot = 1 fi;
#ifdef MUTANT_B
		PLAIN_ADD(me, UNLOCKED(slot, bank));
#else
		FULL_ADD(me, UNLOCKED(slot, bank));
#endif
		if
		:: LOAD(WAITING) != 0 -> wake()
		:: LOAD(WAITING) == 0
		fi;
		round++
	:: else -> break
	od;
	finished++
}

/* bank_idle() */
inline look(x)
{
#ifdef MUTANT_SUM
	entries = LOAD(LOCKED(0, x));
	entries = entries + LOAD(LOCKED(1, x));
	exits = LOAD(UNLOCKED(0, x));
	exits = exits + LOAD(UNLOCKED(1, x));
#else
	exits = LOAD(UNLOCKED(0, x));
	exits = exits + LOAD(UNLOCKED(1, x));
	entries = LOAD(LOCKED(0, x));
	entries = entries + LOAD(LOCKED(1, x));
#endif
}

inline sleep_for_bank(y)
{
	do
	::
#ifdef MUTANT_E
		PLAIN_STORE(UPDATER, WAITING, 1);
#endif
#if !defined(MUTANT_E) && !defined(MUTANT_RAISE)
		FULL_STORE(UPDATER, WAITING, 1);
#endif
		look(y);
		if
		:: entries == exits -> break
		:: else
		fi;
#ifdef MUTANT_RAISE
		FULL_STORE(UPDATER, WAITING, 1);
#endif
		/* mmun_futex_wait(): compares and sleeps in one step. */
		atomic {
			DRAIN(UPDATER);
			asleep = (LOAD(WAITING) == 1)
		}
		!asleep
	od;
	FULL_STORE(UPDATER, WAITING, 0)
}

/* One look stands for the spinning. */
inline wait_for_bank(which)
{
	look(which);
	if
	:: entries == exits -> skip
	:: else -> sleep_for_bank(which)
	fi
}

/* mmun_srcu_wait_readers(), twice */
proctype updater()
{
	byte entries, exits, bank, element;

	do
	:: element < 2 ->
		PLAIN_STORE(UPDATER, CURRENT, element + 1);
#ifndef MUTANT_F
		DRAIN(UPDATER);
#endif
		bank = LOAD(IDX);
#ifndef MUTANT_ONE_BANK
		wait_for_bank(1 - bank);
#endif
		FULL_STORE(UPDATER, IDX, 1 - bank);
		wait_for_bank(bank);
		mem[FREED(element)] = 1;
		element++
	:: else -> break
	od;
	finished++
}

init
{
	atomic { run reader(0); run reader(1); run updater() }
	finished == 3
}
