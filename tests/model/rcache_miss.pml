/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * rcache/: a miss against two sections.
 *
 * A section lists itself, or is counted if the one place is taken, marks the pending get, walks the
 * index and ends what it finds, changes the page, and leaves.  The second may cover other
 * memory.  The miss publishes what it is about to register, looks for open sections, registers, enters
 * the registration unborn into the index, looks whether it was marked, and lets it live.
 * Each section asks the cache itself, inside and afterwards.
 *
 * Checked: inside, after the start, nothing is found; what is found by a get is as new as the last
 * change that had ended when it began.
 *
 * Mutants: LATE (the start ends registrations after the change), WALK_FIRST (pending gets are
 * marked after the walk), LISTED_LATE (the section is listed after both), NO_MARK, NO_LIST (pending gets are not
 * marked, open sections not looked at), UNLISTED_EARLY (it leaves before the change), NO_COUNT
 * (sections without a place are not counted), PENDING_LATE (published after the look at open
 * sections), BORN_ALIVE (found before the last look), LOOK_EARLY (the last look before the
 * registration is in the index), STORE_LIVE (it lives although it was ended unborn),
 * PENDING_ENDS (published until it has registered only), SECTION_PLAIN, PENDING_PLAIN,
 * MARK_PLAIN, INDEX_PLAIN (no full barrier between that store and the look that follows).
 */
#define THREADS 3
#define MISS     2
#define OWNER    0
#define RANGE    1
#define UNLISTED 2
#define PENDING  3
#define MARK     4
#define INDEX    5
#define STATE    6
#define CELLS    7

#include "tso.pml"

#define UNBORN 1
#define LIVE   2

byte page, registered;
byte finished;

#define FULL_BARRIER(me) DRAIN(me)

inline list(me)
{
	atomic {
		len(buffer[me]) == 0;
		listed = mem[OWNER] == 0;
		if
		:: listed -> mem[OWNER] = 1
		:: else
		fi
	};
	if
	:: listed -> PLAIN_STORE(me, RANGE, covers)
	:: else ->
#ifdef MUTANT_NO_COUNT
		skip
#else
		FULL_ADD(me, UNLISTED)
#endif
	fi;
#ifndef MUTANT_SECTION_PLAIN
	FULL_BARRIER(me)
#endif
}

inline unlist(me)
{
	if
	:: listed ->
		PLAIN_STORE(me, RANGE, 0);
		PLAIN_STORE(me, OWNER, 0)
	:: else ->
#ifndef MUTANT_NO_COUNT
		atomic { len(buffer[me]) == 0; mem[UNLISTED] = mem[UNLISTED] - 1 }
#endif
	fi
}

inline mark(me)
{
	if
#ifndef MUTANT_NO_MARK
#ifdef MUTANT_MARK_PLAIN
	:: covers && LOAD(PENDING) -> PLAIN_STORE(me, MARK, 1)
#else
	:: covers && LOAD(PENDING) -> FULL_STORE(me, MARK, 1)
#endif
#endif
	:: else
	fi
}

/* Compares and swaps, so that the buffer is empty. */
inline walk(me)
{
	if
	:: covers && LOAD(INDEX) -> FULL_STORE(me, STATE, 0)
	:: else
	fi
}

#define FOUND (LOAD(INDEX) && LOAD(STATE) == LIVE)

proctype section(byte me; bool covers)
{
	byte began;
	bool listed;

#ifndef MUTANT_LISTED_LATE
	list(me);
#endif
#ifdef MUTANT_LATE
	mark(me);
	if :: covers -> page++ :: else fi;
	walk(me);
#else
#ifdef MUTANT_WALK_FIRST
	walk(me);
	mark(me);
#else
	mark(me);
	walk(me);
#endif
#ifdef MUTANT_LISTED_LATE
	list(me);
#endif
#ifdef MUTANT_UNLISTED_EARLY
	unlist(me);
#endif
	if :: covers -> assert(!FOUND) :: else fi;
	/* A system call. */
	DRAIN(me);
	if :: covers -> page++ :: else fi;
	if :: covers -> assert(!FOUND) :: else fi;
#endif
#ifndef MUTANT_UNLISTED_EARLY
	unlist(me);
#endif
	began = page;
	if
	:: FOUND -> assert(registered >= began)
	:: !FOUND
	fi;
	finished++
}

inline publish()
{
	PLAIN_STORE(MISS, PENDING, 1);
#ifndef MUTANT_PENDING_PLAIN
	FULL_BARRIER(MISS)
#endif
}

inline look_for_open()
{
	if
#ifndef MUTANT_NO_LIST
	:: LOAD(UNLISTED) -> collided = true
	:: !LOAD(UNLISTED) ->
		if
		:: LOAD(OWNER) -> collided = collided || LOAD(RANGE)
		:: !LOAD(OWNER)
		fi
#else
	:: true
#endif
	fi
}

inline enter()
{
#ifdef MUTANT_BORN_ALIVE
	PLAIN_STORE(MISS, STATE, LIVE);
#else
	PLAIN_STORE(MISS, STATE, UNBORN);
#endif
	PLAIN_STORE(MISS, INDEX, 1);
#ifndef MUTANT_INDEX_PLAIN
	FULL_BARRIER(MISS)
#endif
}

inline live()
{
	if
	:: collided -> FULL_STORE(MISS, STATE, 0)
	:: else ->
		atomic {
			len(buffer[MISS]) == 0;
			if
#ifdef MUTANT_STORE_LIVE
			:: true -> mem[STATE] = LIVE
#else
			:: mem[STATE] == UNBORN -> mem[STATE] = LIVE
			:: mem[STATE] != UNBORN
#endif
			fi
		}
	fi
}

proctype miss()
{
	bool collided;

#ifdef MUTANT_PENDING_LATE
	look_for_open();
	publish();
#else
	publish();
	look_for_open();
#endif
	/* A system call. */
	DRAIN(MISS);
	registered = page;
#ifdef MUTANT_LOOK_EARLY
	collided = collided || LOAD(MARK);
	enter();
#else
#ifdef MUTANT_PENDING_ENDS
	FULL_STORE(MISS, PENDING, 0);
#endif
	enter();
	collided = collided || LOAD(MARK);
#endif
	live();
	PLAIN_STORE(MISS, PENDING, 0);
	finished++
}

init {
	bool second;

	if :: second = true :: second = false fi;
	atomic {
		run section(0, true);
		run section(1, second);
		run miss()
	}
	finished == 3
}
