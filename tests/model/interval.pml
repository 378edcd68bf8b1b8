/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * core/interval_table.c, core/interval_seq.c and core/interval.c: sections against the insertion, the
 * readers and the removal of an interval.
 *
 * Two threads have a section each, that covers the interval or not, and take one of
 * two places, or one after the other the same.  A covering one changes the page of
 * the interval, which the third thread inserts, looks up, establishes a translation
 * of, removes and frees; or it looks up beside a second reader.  A walk counts as one
 * step and so does a change of the tree, marked so that the two can be seen to meet.
 * There is one writer, so the chain lock is not here.
 *
 * Checked: no translation of a page that changes, and none of a page that has
 * changed since it was looked up (S5); no walk meets a change of the tree; nobody
 * touches what was freed (U2, B9); nobody sleeps for ever.
 *
 * Mutants: N, O, P (that operation is not a full one), R (the walk is over before it
 * is), S (the end is a plain store), V (a sleeper leaves no mark), U (sections are
 * looked for before the number is loaded), TREE (the tree is looked at before the
 * section is in the table), NO_SCAN (a reader does not look for sections), NO_WAIT
 * (nor does a removal, B9), CLEAN (a number is clean before the sections are waited
 * for), NEW (that of an insertion is clean).
 */
#define THREADS 3
#define CELLS 3
#define OWNER 2
/* The second reader stores nothing that could wait in a buffer. */
#define READER 3

#define STATE(place) (place)
#define WRITER 2

#include "tso.pml"

#define OPEN 1
#define WALKS 2
#define AWAITED 4
/* The range, which is published with OPEN. */
#define COVERS 8
#define TAKEN (OPEN | WALKS)
#define SAME(state, other) ((state) >> 4 == (other) >> 4)
#define NEXT(state) (((state) | 15) + 1)
#define INSERTED 7

/* A sleeper on the place. */
bool asleep[2];
bool in_tree;
bool freed;
/* ->invalidate_seq and ->clean_seq */
byte sub_seq;
byte clean;
/* The tree is being changed. */
bool changing;
/* The page and its translation. */
byte page;
bool mapped;
byte finished;

#define EMPTY(me) (me == READER || len(buffer[me % THREADS]) == 0)

/* take_place(); an exchange that fails has seen what another look would see */
inline claim(me)
{
	place = 0;
	do
	::	atomic {
			DRAIN(me);
			state = LOAD(STATE(place));
			if
			:: state & TAKEN -> place = 1 - place
			:: else ->
#ifdef MUTANT_P
				PLAIN_STORE(me, STATE(place), state | WALKS);
#else
				mem[STATE(place)] = state | WALKS;
#endif
				break
			fi
		}
	od;
	state = state | OPEN | (covers -> COVERS : 0);
	PLAIN_STORE(me, STATE(place), state | WALKS)
}

/* allowed() */
inline wait_for_writer(me)
{
	do
	:: LOAD(WRITER) == 0 -> break
	:: LOAD(WRITER) != 0 ->
		PLAIN_STORE(me, STATE(place), state);
		LOAD(WRITER) == 0;
		atomic {
			DRAIN(me);
			state = LOAD(STATE(place));
#ifdef MUTANT_N
			PLAIN_STORE(me, STATE(place), state | WALKS)
#else
			mem[STATE(place)] = state | WALKS
#endif
		}
	od
}

#define WALK atomic { assert(!changing); found = in_tree && covers }

/* start, the change, end */
proctype section(byte me; bool covers)
{
	byte state, place;
	bool found;

#ifdef MUTANT_TREE
	WALK;
#endif
	claim(me);
	wait_for_writer(me);
#ifdef MUTANT_R
	PLAIN_STORE(me, STATE(place), state);
#endif
#ifndef MUTANT_TREE
	WALK;
#endif
#ifndef MUTANT_R
	PLAIN_STORE(me, STATE(place), state);
#endif
	/* ->invalidate, under the lock that readers take */
	if
	:: found -> atomic { DRAIN(me); assert(!freed); sub_seq = me + 1; mapped = false }
	:: else
	fi;
	if
	:: covers -> atomic { assert(!mapped); page++ }
	:: else
	fi;
	/* end_section() */
	atomic {
		DRAIN(me);
		state = LOAD(STATE(place));
#ifdef MUTANT_S
		PLAIN_STORE(me, STATE(place), NEXT(state))
#else
		mem[STATE(place)] = NEXT(state)
#endif
	};
	if
	:: state & AWAITED -> asleep[place] = false
	:: else
	fi;
	skip;
	d_step { state = 0; place = 0; found = false; covers = false; finished++ }
}

/* wait_for_section(); asleep until the value that was marked has changed */
inline wait_while_open(me)
{
	do
	:: !SAME(LOAD(STATE(place)), state) -> break
	:: atomic { SAME(LOAD(STATE(place)), state) && !(LOAD(STATE(place)) & WALKS) && EMPTY(me) ->
#ifndef MUTANT_V
		mem[STATE(place)] = LOAD(STATE(place)) | AWAITED;
#endif
		state = LOAD(STATE(place)) };
		if
		:: atomic { LOAD(STATE(place)) == state -> asleep[place] = true };
			!asleep[place]
		:: LOAD(STATE(place)) != state
		fi
	od
}

/* mmun_sections_wait() */
inline scan(me)
{
	place = 0;
	do
	:: place < 2 ->
		state = LOAD(STATE(place));
		if
		:: (state & OPEN) && (state & COVERS) -> wait_while_open(me)
		:: else
		fi;
		place++
	:: else -> break
	od;
	skip;
	d_step { place = 0; state = 0 }
}

/* mmu_interval_read_begin() ... mmu_interval_read_retry() */
inline read(me)
{
#ifdef MUTANT_U
	scan(me);
	began = sub_seq;
#else
	began = sub_seq;
	if
	:: clean == began
	:: else ->
#ifdef MUTANT_CLEAN
		clean = began;
#endif
#ifndef MUTANT_NO_SCAN
		scan(me);
#endif
		clean = began
	fi;
#endif
	seen = page;
	/* Under the lock that ->invalidate takes. */
	atomic {
		EMPTY(me);
		if
		:: sub_seq == began -> assert(seen == page); mapped = true
		:: else
		fi;
		began = 0; seen = 0
	}
}

/* mmun_itree_write_begin(), a change that a walk would notice, write_end */
inline change(me, value)
{
	do
	::
#ifdef MUTANT_O
		PLAIN_STORE(me, WRITER, 1);
#else
		FULL_STORE(me, WRITER, 1);
#endif
		if
		:: !(LOAD(STATE(0)) & WALKS) ->
			if
			:: !(LOAD(STATE(1)) & WALKS) -> break
			:: else
			fi
		:: else
		fi;
		FULL_STORE(me, WRITER, 0)
	od;
	changing = true;
	atomic { in_tree = value; changing = false };
	FULL_STORE(me, WRITER, 0)
}

proctype owner(bool inserts, reads, removes)
{
	byte state, place, began, seen;

	if
	:: inserts ->
		sub_seq = INSERTED;
#ifdef MUTANT_NEW
		clean = INSERTED;
#endif
		change(OWNER, true)
	:: else
	fi;
	if :: reads -> read(OWNER) :: else fi;
	if
	:: removes ->
		mapped = false;
		change(OWNER, false);
#ifndef MUTANT_NO_WAIT
		scan(OWNER);
#endif
		freed = true
	:: else
	fi;
	finished++
}

proctype reader()
{
	byte state, place, began, seen;

	read(READER);
	finished++
}

init
{
	atomic {
		if
		:: run owner(true, true, false); finished++
		:: run owner(true, false, true); finished++
		:: in_tree = true; sub_seq = INSERTED; run owner(false, true, true); finished++
		:: in_tree = true; sub_seq = INSERTED; run owner(false, true, false); run reader()
		fi;
		if :: run section(0, true) :: run section(0, false) fi;
		run section(1, true)
	}
	finished == 4;
	assert(!(mem[STATE(0)] & 15) && !(mem[STATE(1)] & 15))
}
