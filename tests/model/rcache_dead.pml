/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * rcache/: from the end of a registration to the reuse of its id.
 *
 * Two threads end registrations (sections, an eviction): each compares and swaps the state, and the
 * winner pushes the id onto the stack of dead ones and wakes the reaper.  The reaper, and a thread that
 * calls for progress, pop all of it, deregister, and give the ids back; a miss takes one and lets it
 * live again, to be ended once more.
 *
 * Checked: each registration is deregistered, once; no id lives whose last registration is still
 * there; the reaper does not sleep while there is something to do.
 *
 * Mutants: STORE (the state is looked at and then stored), PUSH_STORE (so is the head of the
 * stack), POP_ONE (ids are popped one by one, so that a head may come back with another
 * next), WAKE_FIRST (the reaper is woken before the push), EARLY_FREE (the id is given back before
 * it is deregistered), SEEN_LATE (the reaper looks for wakes after it has popped).
 */
#define IDS 2
#define NONE 255
#define REUSES 1

byte state[IDS];
byte next[IDS];
byte head = NONE;
/* What the backend has, and which ids are free. */
bool registered[IDS], free[IDS];
byte wakes;
byte reuses, killers = 2;
byte running;

inline push(id)
{
	do
	::
		old = head;
		next[id] = old;
#ifdef MUTANT_PUSH_STORE
		head = id;
		break
#else
		atomic {
			if
			:: head == old -> head = id; break
			:: else
			fi
		}
#endif
	od
}

inline end_one(id)
{
	seen = state[id];
	if
	:: seen == 0
	:: else ->
#ifdef MUTANT_STORE
		state[id] = 0;
		won = true;
#else
		atomic {
			won = state[id] == seen;
			if :: won -> state[id] = 0 :: else fi
		};
#endif
		if
		:: won ->
#ifdef MUTANT_WAKE_FIRST
			wakes++;
			push(id)
#else
			push(id);
			wakes++
#endif
		:: else
		fi
	fi;
	seen = 0; won = false; old = 0
}

proctype killer(byte first, rounds)
{
	byte seen, old;
	bool won;

	do
	:: rounds == 0 -> break
	:: else ->
		rounds--;
		end_one(first);
		end_one(1 - first)
	od;
	killers--
}

inline deregister(id)
{
#ifdef MUTANT_EARLY_FREE
	free[id] = true;
#endif
	d_step { assert(registered[id]); registered[id] = false };
#ifndef MUTANT_EARLY_FREE
	assert(!free[id]);
	free[id] = true
#endif
}

inline reclaim()
{
#ifdef MUTANT_POP_ONE
	do
	:: true ->
		taken = head;
		if
		:: taken == NONE -> break
		:: else
		fi;
		rest = next[taken];
		atomic {
			if
			:: head == taken -> head = rest
			:: else -> taken = NONE
			fi
		};
		if
		:: taken != NONE -> deregister(taken)
		:: else
		fi
	od;
#else
	d_step { taken = head; head = NONE };
	do
	:: taken == NONE -> break
	:: else ->
		rest = next[taken];
		deregister(taken);
		taken = rest
	od;
#endif
	taken = 0; rest = 0
}

/* The last thing to happen is that everything has died. */
#define OVER (killers == 0 && running == 0)

proctype reaper()
{
	byte taken, rest, seen;

	do
	::
#ifndef MUTANT_SEEN_LATE
		seen = wakes;
#endif
		reclaim();
#ifdef MUTANT_SEEN_LATE
		seen = wakes;
#endif
		if
		:: atomic { wakes != seen -> seen = 0 }
		:: atomic { OVER && wakes == seen -> break }
		fi
	od;
	/* It would sleep here. */
	assert(head == NONE);
	assert(state[0] != 0 || !registered[0]);
	assert(state[1] != 0 || !registered[1])
}

proctype progress()
{
	byte taken, rest;

	reclaim();
	running--
}

/* Under the lock. */
proctype miss()
{
	byte id;

	do
	:: reuses == REUSES -> break
	:: else ->
		reuses++;
		if
		:: atomic { free[0] -> id = 0; free[0] = false }
		:: atomic { free[1] -> id = 1; free[1] = false }
		:: break
		fi;
		d_step { assert(!registered[id]); registered[id] = true };
		state[id] = reuses + 1
	od;
	running--
}

init {
	atomic {
		state[0] = 1; state[1] = 1;
		registered[0] = true; registered[1] = true;
		running = 2;
		run killer(0, 2);
		run killer(1, 1);
		run reaper();
		run progress();
		run miss()
	}
}
