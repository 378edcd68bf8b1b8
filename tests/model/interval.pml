/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * core/interval_seq.c and core/interval.c: sections against the insertion, the
 * reader and the removal of an interval.
 *
 * Two threads have a section each.  The second touches an interval that is always in
 * the tree, the first perhaps too; the first changes the page of the third thread's
 * interval, which the third inserts, looks up, establishes a translation of, removes
 * and frees.  A walk counts as one step and so does a change of the
 * tree, marked so that the two can be seen to meet.  The counts are one slot;
 * srcu.pml is about summing several.
 *
 * Checked: no translation of a page that changes, and none of a page that has
 * changed since it was looked up (S5); no walk meets a change of the tree; nobody
 * touches what was freed (U2, B9); one closer at a time; nobody waits for ever; in the
 * end the sequence is even and nothing is deferred.
 *
 * Mutants: N, O, P, S, V (that operation is not a full one), Q (sections are not
 * counted again after CLOSING), R (the walk counts as done before the sequence is
 * odd), T (an insertion does not look again), U (the reader loads the mm's sequence
 * first), W (the closer looks for waiters first), X (a deferral does not look for a
 * closer), Y (a closer does not look again), KEEP (a section leaves CLOSING where it
 * is), TWO (the lock is enough to close), EARLY (the sequence is even before what was
 * deferred is applied), NO_WAIT (removal does not wait, B9), EVEN (an insertion with
 * open sections leaves the sequence even).
 */
#define THREADS 3
#define CELLS 7
#define OWNER 2

#define SEQ 0
#define WRITER 1
/* Entries less exits; srcu.pml is about summing. */
#define WALKS 2
#define SECTIONS 3
#define CLOSER 4
#define WAITERS 5
#define QUEUED 6

#include "tso.h"

#define CLOSING 128
#define NUMBER(seq) ((seq) & 127)
#define ODD(seq) ((seq) & 1)

bool locked;
bool asleep;
/* Of the third's interval. */
bool in_tree;
bool freed;
byte sub_seq;
/* The tree is being changed. */
bool changing;
/* The page and its translation. */
byte page;
bool mapped;
byte finished;

#define CAS(me, cell, from, to, result) \
	atomic { len(buffer[me]) == 0; result = (mem[cell] == from); \
		if :: result -> mem[cell] = to :: else fi }
#define LOCK(me) atomic { !locked && len(buffer[me]) == 0; locked = true }
#define UNLOCK(me) atomic { len(buffer[me]) == 0; locked = false }

/* What a thread has in its hands and does not need any more: fewer states. */
#define FORGET skip; d_step { seq = 0; idle = false; clear = false; swapped = false; ok = false; \
	ready = false; closed = false }

/* mmun_itree_idle() */
#define LOOK_IDLE idle = (LOAD(SECTIONS) == 0)
#define WALKING (LOAD(WALKS) != 0)

inline wake()
{
	if
	:: LOAD(WAITERS) != 0 -> asleep = false
	:: LOAD(WAITERS) == 0
	fi
}

/* mmun_itree_write_begin() with one look; ready: the tree is ours */
inline write_begin(me)
{
#ifdef MUTANT_O
	PLAIN_STORE(me, WRITER, 1);
#else
	FULL_STORE(me, WRITER, 1);
#endif
	ready = !WALKING;
	if
	:: ready
	:: !ready -> FULL_STORE(me, WRITER, 0)
	fi
}

#define WRITE_END(me) FULL_STORE(me, WRITER, 0)
/* A change that a walk would notice. */
#define CHANGE(value) changing = true; atomic { in_tree = value; changing = false }

/* close_fast(): ok is false when something is deferred */
inline close_fast(me)
{
	ok = true;
	seq = LOAD(SEQ);
	LOOK_IDLE;
	if
	:: ODD(seq) && idle ->
		CAS(me, SEQ, seq, seq | CLOSING, swapped);
		if
		:: swapped ->
#ifndef MUTANT_Q
			LOOK_IDLE;
#endif
			clear = !LOAD(QUEUED);
			if
			:: idle && clear ->
#ifdef MUTANT_W
				wake();
#endif
				CAS(me, SEQ, (seq | CLOSING), NUMBER(seq) + 1, swapped);
#ifndef MUTANT_W
				if :: swapped -> wake() :: else fi
#endif
			:: else ->
				CAS(me, SEQ, (seq | CLOSING), seq, swapped)
			fi;
			ok = !idle || clear
		:: else
		fi
	:: else
	fi
}

/* apply_deferred() */
inline apply()
{
	if
	:: LOAD(QUEUED) ->
		mem[QUEUED] = 0;
		assert(!freed);
		CHANGE(!in_tree)
	:: else
	fi
}

/* close_and_apply(); sets ready */
inline close_and_apply(me)
{
	LOCK(me);
	write_begin(me);
	closed = false;
	if
	:: ready ->
		seq = LOAD(SEQ);
		LOOK_IDLE;
		closed = ODD(seq) && idle;
		if
		:: closed ->
#ifdef MUTANT_EARLY
			atomic { DRAIN(me); assert(ODD(LOAD(SEQ))); mem[SEQ] = NUMBER(LOAD(SEQ)) + 1 };
			apply();
#else
			apply();
			atomic { DRAIN(me); assert(ODD(LOAD(SEQ))); mem[SEQ] = NUMBER(LOAD(SEQ)) + 1 };
#endif
		:: else
		fi;
		WRITE_END(me)
	:: else
	fi;
	UNLOCK(me);
	if :: closed -> wake() :: else fi
}

/* mmun_itree_close() */
inline close(me)
{
	do
	::	CAS(me, CLOSER, 0, 1, swapped);
		if :: !swapped -> break :: else fi;
		close_fast(me);
		ready = true;
#ifdef MUTANT_TWO
		FULL_STORE(me, CLOSER, 0);
		if :: !ok -> close_and_apply(me) :: else fi;
#else
		if :: !ok -> close_and_apply(me) :: else fi;
		FULL_STORE(me, CLOSER, 0);
#endif
#ifdef MUTANT_Y
		break;
#endif
		if
		:: !ready && WALKING -> break
		:: else
		fi;
		FORGET;
		if :: ODD(LOAD(SEQ)) :: else -> break fi;
		if :: LOAD(SECTIONS) == 0 :: else -> break fi
	od;
	FORGET
}

/* make_odd(); sets odd */
inline make_odd(me)
{
	do
	::	seq = LOAD(SEQ);
#ifdef MUTANT_KEEP
		odd = NUMBER(seq) | 1;
		if :: ODD(seq) -> break :: else fi;
#else
		odd = NUMBER(seq) | 1;
		if :: seq == odd -> break :: else fi;
#endif
		CAS(me, SEQ, seq, odd, swapped);
		if :: swapped -> break :: else fi
	od
}

#ifdef MUTANT_N
#define COUNT_WALK(me) PLAIN_ADD(me, WALKS)
#else
#define COUNT_WALK(me) FULL_ADD(me, WALKS)
#endif
#define COUNT_DONE(me) atomic { DRAIN(me); mem[WALKS] = mem[WALKS] - 1 }
#ifdef MUTANT_P
#define COUNT_SECTION(me) PLAIN_ADD(me, SECTIONS)
#else
#define COUNT_SECTION(me) FULL_ADD(me, SECTIONS)
#endif
#ifdef MUTANT_S
/* Minus one, in a byte. */
#define COUNT_END(me) buffer[me]!SECTIONS,255,true
#else
#define COUNT_END(me) atomic { DRAIN(me); mem[SECTIONS] = mem[SECTIONS] - 1 }
#endif

/* start, the change, end */
proctype section(byte me; bool covers)
{
	byte seq, odd;
	bool touches_other, found, idle, clear, swapped, ok, ready, closed;

	if :: touches_other = true :: covers fi;
	/* mmun_itree_enter() */
	do
	::	COUNT_WALK(me);
		if
		:: LOAD(WRITER) == 0 -> break
		:: LOAD(WRITER) != 0
		fi;
		COUNT_DONE(me);
		LOAD(WRITER) == 0
	od;
	COUNT_SECTION(me);
	atomic { assert(!changing); found = in_tree && covers };
#ifdef MUTANT_R
	COUNT_DONE(me);
#endif
	if :: found || touches_other -> make_odd(me) :: else fi;
#ifndef MUTANT_R
	COUNT_DONE(me);
#endif
	/* ->invalidate, under the lock that the reader takes */
	if
	:: found -> atomic { DRAIN(me); assert(!freed); sub_seq = odd; mapped = false }
	:: else
	fi;
	if
	:: covers -> atomic { assert(!mapped); page++ }
	:: else
	fi;
	/* mmun_itree_leave() */
	COUNT_END(me);
	if
	:: ODD(LOAD(SEQ)) -> close(me)
	:: else
	fi;
	skip;
	d_step { odd = 0; touches_other = false; found = false; finished++ }
}

/* mmun_itree_defer(); ok: it is on the list */
inline defer(me, number)
{
	atomic { DRAIN(me); mem[QUEUED] = 1 };
#ifdef MUTANT_X
	ok = true
#else
	CAS(me, SEQ, number, number, ok);
	if :: !ok -> CAS(me, SEQ, (number | CLOSING), number, ok) :: else fi;
	if :: !ok -> mem[QUEUED] = 0 :: else fi
#endif
}

/* insert() */
inline insert(me)
{
	do
	::	LOCK(me);
		seq = NUMBER(LOAD(SEQ));
		ok = false;
		if
		:: ODD(seq) ->
			sub_seq = seq;
			defer(me, seq)
		:: else ->
			write_begin(me);
			if
			:: ready ->
				seq = LOAD(SEQ);
				if
				:: !ODD(seq) ->
					LOOK_IDLE;
					if
					:: idle -> sub_seq = seq - 1
					:: else ->
#ifdef MUTANT_EVEN
						sub_seq = seq - 1
#else
						sub_seq = seq | 1;
						FULL_STORE(me, SEQ, seq | 1)
#endif
					fi;
					CHANGE(true);
					ok = true
				:: else
				fi;
				WRITE_END(me)
			:: else
			fi
		fi;
		UNLOCK(me);
		if :: ok -> break :: else fi
	od;
	FORGET;
#ifndef MUTANT_T
	if
	:: ODD(LOAD(SEQ)) ->
		if :: LOAD(SECTIONS) == 0 -> close(me) :: else fi
	:: else
	fi
#endif
}

/* mmun_itree_wait() */
inline wait_while(me, number)
{
#ifdef MUTANT_V
	PLAIN_ADD(me, WAITERS);
#else
	FULL_ADD(me, WAITERS);
#endif
	do
	:: NUMBER(LOAD(SEQ)) != number -> break
	:: atomic { NUMBER(LOAD(SEQ)) == number ->
#ifndef MUTANT_V
		DRAIN(me);
#endif
		asleep = true };
		!asleep
	od;
	atomic { DRAIN(me); mem[WAITERS] = mem[WAITERS] - 1 }
}

/* mmu_interval_read_begin() ... mmu_interval_read_retry() */
inline read(me)
{
#ifdef MUTANT_U
	seq = LOAD(SEQ);
	began = sub_seq;
#else
	began = sub_seq;
	seq = LOAD(SEQ);
#endif
	if
	:: NUMBER(seq) == began -> wait_while(me, began)
	:: else
	fi;
	seen = page;
	/* Under the lock that ->invalidate takes. */
	atomic {
		DRAIN(me);
		if
		:: sub_seq == began -> assert(seen == page); mapped = true
		:: else
		fi;
		seq = 0; began = 0; seen = 0
	}
}

/* mmu_interval_notifier_remove() */
inline remove(me)
{
	do
	::	LOCK(me);
		number = NUMBER(LOAD(SEQ));
		ok = false;
		must_wait = false;
		if
		:: LOAD(QUEUED) -> mem[QUEUED] = 0; ok = true
		:: !LOAD(QUEUED) && ODD(number) ->
			defer(me, number);
			must_wait = ok
		:: else ->
			write_begin(me);
			if
			:: ready ->
				if
				:: !ODD(LOAD(SEQ)) ->
					CHANGE(false);
					ok = true
				:: else
				fi;
				WRITE_END(me)
			:: else
			fi
		fi;
		UNLOCK(me);
		if :: ok -> break :: else fi
	od;
#ifndef MUTANT_NO_WAIT
	if :: must_wait -> wait_while(me, number) :: else fi
#endif
}

/* Two of the three at a time: fewer states. */
proctype owner(bool inserts, reads, removes)
{
	byte seq, began, seen, number;
	bool idle, clear, swapped, ok, ready, closed, must_wait;

	if :: inserts -> insert(OWNER) :: else fi;
	if :: reads -> read(OWNER) :: else fi;
	if
	:: removes ->
		mapped = false;
		remove(OWNER);
		FORGET;
		atomic { assert(!in_tree && !LOAD(QUEUED)); freed = true }
	:: else
	fi;
	finished++
}

init
{
	mem[SEQ] = 2;
	atomic {
		if
		:: run owner(true, true, false)
		:: run owner(true, false, true)
		:: in_tree = true; sub_seq = 1; run owner(false, true, true)
		fi;
		run section(0, true);
		run section(1, false)
	}
	finished == 3;
	assert(!ODD(mem[SEQ]) && !mem[QUEUED])
}
