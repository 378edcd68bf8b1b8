/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * core/srcu.h, core/srcu_cells.h and core/srcu.c: two-bank grace periods with a sleeping waiter, in both
 * ways of counting.
 *
 * Two readers, one of them twice, against two grace periods.
 * With cells each reader has its own and adds plainly and the waiter makes every processor's barrier;
 * the second reader's section is closed by another thread, with an atomic addition.  In a shared
 * slot each addition is full and the waiter's barrier is its own.  The updater replaces
 * element n by n + 1, waits, frees n.  Checked: no reader uses a freed element; nobody
 * sleeps for ever.
 *
 * Mutants: F (no barrier before the counters are looked at), E (none between raising
 * ->waiting and the last look), A, B (a plain addition in a shared slot), SUM (entries
 * looked at before exits), ONE_BANK (no wait for the bank that is not in use), RAISE
 * (->waiting raised only after the last look).  Not to flip ->idx would not be wrong,
 * only slow: readers that keep coming hold the wait up.
 */
#define THREADS 3
#define CELLS 17
#define UPDATER 2

#define IDX 0
#define WAITING 1
#define CURRENT 2
#define OPENED(slot, bank) (3 + 2 * (slot) + (bank))
#define CLOSED(slot, bank) (7 + 2 * (slot) + (bank))
#define ELSEWHERE(slot, bank) (11 + 2 * (slot) + (bank))
#define FREED(element) (15 + (element))

#include "tso.pml"

bool cells, asleep;
byte finished;

/* mmun_srcu_wake() */
inline wake(me)
{
	if
	:: atomic { len(buffer[me]) == 0 && LOAD(WAITING) != 0 -> mem[WAITING] = 0; asleep = false }
	:: LOAD(WAITING) == 0
	fi
}

/* srcu_read_lock(), the section, srcu_read_unlock() */
proctype reader(byte me)
{
	byte bank, element, round;

	do
	:: round < 2 - me ->
		bank = LOAD(IDX);
		if
		:: cells -> PLAIN_ADD(me, OPENED(me, bank))
		:: !cells ->
#ifdef MUTANT_A
			PLAIN_ADD(me, OPENED(0, bank))
#else
			FULL_ADD(me, OPENED(0, bank))
#endif
		fi;
		element = LOAD(CURRENT);
		/* The last use; a load, which no later store overtakes. */
		assert(element > 1 || !LOAD(FREED(element)));
		if
		:: cells && me == 0 -> PLAIN_ADD(me, CLOSED(me, bank))
		:: cells && me == 1 -> FULL_ADD(me, ELSEWHERE(me, bank))
		:: !cells ->
#ifdef MUTANT_B
			PLAIN_ADD(me, CLOSED(0, bank))
#else
			FULL_ADD(me, CLOSED(0, bank))
#endif
		fi;
		if
		:: LOAD(WAITING) != 0 -> wake(me)
		:: LOAD(WAITING) == 0
		fi;
		round++
	:: else -> break
	od;
	finished++
}

/* barrier_everywhere(): each processor at a moment of its own */
inline barrier()
{
	DRAIN(UPDATER);
	if
	:: cells -> DRAIN(0); DRAIN(1)
	:: !cells
	fi
}

/* mmun_srcu_nr_open() */
inline look(s, x)
{
#ifdef MUTANT_SUM
	entries = LOAD(OPENED(s, x));
	exits = LOAD(ELSEWHERE(s, x));
	exits = exits + LOAD(CLOSED(s, x))
#else
	exits = LOAD(ELSEWHERE(s, x));
	exits = exits + LOAD(CLOSED(s, x));
	entries = LOAD(OPENED(s, x))
#endif
}

inline sleep_for_slot(t, y)
{
	do
	::
#ifndef MUTANT_RAISE
		FULL_STORE(UPDATER, WAITING, 1);
#endif
#ifndef MUTANT_E
		barrier();
#endif
		look(t, y);
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
	slot = 0;
	do
	:: slot < 2 ->
		look(slot, which);
		if
		:: entries == exits -> skip
		:: else -> sleep_for_slot(slot, which)
		fi;
		slot++
	:: else -> break
	od
}

/* wait_for_readers(), twice */
proctype updater()
{
	byte entries, exits, bank, element, slot;

	do
	:: element < 2 ->
		PLAIN_STORE(UPDATER, CURRENT, element + 1);
#ifndef MUTANT_F
		barrier();
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
	atomic {
		if :: cells = true :: cells = false fi;
		run reader(0);
		run reader(1);
		run updater()
	}
	finished == 3
}
