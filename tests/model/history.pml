/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * adapters/libfabric/history.c: two sections against a registration and the questions after it.
 *
 * Each section covers the page of the registration, and then changes it, or another.  The ring has
 * two places, so that numbers overrun each other, and the list of open sections one.  The third
 * thread sees a number, takes the page, takes a number, looks for what has changed and
 * what is open; if it keeps the page, it asks twice whether it is still good.
 *
 * Checked: a page that is called good is the one that was mapped when the question began.
 *
 * Mutants: LATE (the start gets its number after the change), NO_END (an end has no number), LISTED_LATE (an
 * open section is listed after it has a number), UNLISTED_EARLY (it leaves the list before
 * its end has one), NO_CLAIM (a place is written without being claimed), NO_LOOK (nor looked at
 * again), OVERRUN (a number that is not readable is no change), NO_COUNT (sections without
 * a place are not counted), NO_LIST (the list is not looked at), OWN_LATE (the
 * registration's own number is taken after it has looked).
 */
#define THREADS 3
#define LAST     0
#define NUMBER(i) (1 + (i))
#define RANGE(i)  (3 + (i))
#define OWNER    5
#define LISTED   6
#define UNLISTED 7
#define CELLS    8
#define READER   2

#include "tso.pml"

#define PLACES 2
#define BUSY   128

byte page;

/* publish() */
inline publish(me, number, covering)
{
	atomic { len(buffer[me]) == 0; mem[LAST] = mem[LAST] + 1; number = mem[LAST] };
	slot = number % PLACES;
	old = LOAD(NUMBER(slot));
	if
	:: old >= BUSY || old > number
	:: else ->
#ifdef MUTANT_NO_CLAIM
		claimed = true;
#else
		atomic {
			len(buffer[me]) == 0;
			claimed = mem[NUMBER(slot)] == old;
			if
			:: claimed -> mem[NUMBER(slot)] = BUSY
			:: else
			fi
		};
#endif
		if
		:: claimed ->
			PLAIN_STORE(me, RANGE(slot), covering);
			PLAIN_STORE(me, NUMBER(slot), number)
		:: else
		fi
	fi;
	old = 0; slot = 0; claimed = false
}

inline list(me)
{
	atomic {
		len(buffer[me]) == 0;
		listed = mem[OWNER] == 0;
		if
		:: listed -> mem[OWNER] = BUSY
		:: else
		fi
	};
	if
	:: listed ->
		PLAIN_STORE(me, LISTED, covers);
		PLAIN_STORE(me, OWNER, 1)
	:: else ->
#ifndef MUTANT_NO_COUNT
		FULL_ADD(me, UNLISTED)
#endif
	fi
}

inline unlist(me)
{
	if
	:: listed -> PLAIN_STORE(me, OWNER, 0)
	:: else ->
#ifndef MUTANT_NO_COUNT
		atomic { len(buffer[me]) == 0; mem[UNLISTED] = mem[UNLISTED] - 1 }
#endif
	fi
}

#define CHANGE if :: covers -> page++ :: else fi

proctype section(byte me; bool covers)
{
	byte number, slot, old;
	bool claimed, listed;

#ifndef MUTANT_LISTED_LATE
	list(me);
#endif
#ifdef MUTANT_LATE
	CHANGE;
	publish(me, number, covers);
#else
	publish(me, number, covers);
#ifdef MUTANT_LISTED_LATE
	list(me);
#endif
	CHANGE;
#endif
#ifdef MUTANT_UNLISTED_EARLY
	unlist(me);
#endif
#ifndef MUTANT_NO_END
	publish(me, number, covers);
#endif
#ifndef MUTANT_UNLISTED_EARLY
	unlist(me)
#endif
}

/* lf_history_changed() */
inline look(since, now)
{
	changed = now - since > PLACES;
	i = since + 1;
	do
	:: i > now || changed -> break
	:: else ->
		slot = i % PLACES;
		if
		:: LOAD(NUMBER(slot)) == i ->
			range = LOAD(RANGE(slot));
#ifdef MUTANT_NO_LOOK
			changed = range != 0
#else
			changed = range != 0 || LOAD(NUMBER(slot)) != i
#endif
		:: LOAD(NUMBER(slot)) != i ->
#ifdef MUTANT_OVERRUN
			skip
#else
			changed = true
#endif
		fi;
		i++
	od;
	i = 0; slot = 0; range = 0
}

/* lf_history_open() */
inline look_for_open()
{
	if
	:: LOAD(UNLISTED) != 0 -> changed = true
	:: LOAD(UNLISTED) == 0 ->
		old = LOAD(OWNER);
		if
		:: old == 1 -> changed = LOAD(LISTED) != 0
		:: else
		fi;
		old = 0
	fi
}

proctype registration()
{
	byte since, number, held, mapped, slot, old, i, range, asked;
	bool claimed, changed;

	since = LOAD(LAST);
	held = page;
#ifndef MUTANT_OWN_LATE
	publish(READER, number, 0);
	look(since, number);
#else
	number = LOAD(LAST);
	look(since, number);
#endif
#ifndef MUTANT_NO_LIST
	if
	:: !changed -> look_for_open()
	:: else
	fi;
#endif
#ifdef MUTANT_OWN_LATE
	publish(READER, number, 0);
#endif
	if
	:: changed
	:: else ->
		since = number;
		do
		:: asked == 2 -> break
		:: else ->
			asked++;
			mapped = page;
			number = LOAD(LAST);
			look(since, number);
			if
			:: changed -> break
			:: else ->
				assert(held == mapped);
				since = number
			fi
		od
	fi
}

init {
	bool first, second;

	if :: first = true :: first = false fi;
	if :: second = true :: second = false fi;
	atomic {
		run section(0, first);
		run section(1, second);
		run registration()
	}
}
