/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * adapters/libfabric/entries.c: two registration caches, the reaper and a change of one range.
 *
 * Each cache is searched by a thread of its own: what it holds is asked about and used or dropped;
 * what it lacks is registered and subscribed, and kept if that is accepted.  It also drops
 * what it holds without asking, as caches do that are full.  Each question and each drop
 * holds libfabric's lock; pages are taken outside of it.  The library says
 * unsubscribe for what it drops, or never does (UNSUBSCRIBES).  The reaper reads and changes
 * words without the lock, and notifies under it: both caches drop what they hold.  The
 * entry's place may be taken by an entry of another range, whose pages never change.
 *
 * A number and the change that it stands for are one step here: the history itself is in history.pml.
 *
 * Checked: what a cache hands out is the page that is mapped.
 *
 * Mutants: RENEW (a new registration makes the entry good although an older one may be
 * held), LEAVES_TWICE (an answer and the unsubscribe that follows it count twice), REFUSED
 * (so does the unsubscribe of a registration that was never kept), EARLY (the entry is gone
 * before libfabric was notified), ACCEPT_DEAD (an entry is renewed while libfabric is being
 * notified).
 */
#define FREE 0
#define LIVE 1
#define DEAD 2
#define GONE 3
#define CHANGES 1
#define SWEEPS 1

byte number = 1;
byte page = 1;
/* The number of the last change. */
byte last_change = 1;

/* The entry. */
byte state, since, holders;
/* Which range has the place: 0 ours. */
bool other;
/* A cache drops what was not valid; a registration that was not accepted is let go. */
bool leaving, refused;
bool unsubscribes;
/* What the caches hold, 0: nothing. */
byte held[2];
/* How often a cache is searched. */
byte limit[2];
bool locked;

#define LOCK atomic { !locked -> locked = true }
#define UNLOCK locked = false

inline drop_one()
{
	if
	:: holders > 0 ->
		holders--;
		if
		:: holders == 0 -> state = FREE; since = 0
		:: else
		fi
	:: else
	fi
}

inline settle()
{
	if
	:: leaving -> leaving = false; drop_one()
	:: else
	fi;
	refused = false
}

#define OURS (state != FREE && !other)

/* lf_entries_remove() */
inline unsubscribe()
{
	if
#ifndef MUTANT_REFUSED
	:: refused -> refused = false
#endif
#ifdef MUTANT_LEAVES_TWICE
	:: leaving -> leaving = false; drop_one(); drop_one()
	:: else -> settle(); if :: OURS -> drop_one() :: else fi
#else
	:: leaving -> settle()
	:: else -> settle(); if :: OURS -> drop_one() :: else fi
#endif
	fi
}

inline let_go(me)
{
	held[me] = 0;
	if
	:: unsubscribes -> unsubscribe()
	:: else
	fi
}

#define UNCHANGED(since) (last_change <= since)

inline swap(from_state, from_since, to_state, to_since)
{
	d_step {
		swapped = state == from_state && since == from_since;
		if
		:: swapped -> state = to_state; since = to_since
		:: else
		fi
	}
}

/* renew(): good is set; a change behind now does not count, if it is the only one */
inline renew(now)
{
	d_step { word_state = state; word_since = since };
	good = false;
	if
	:: word_state != LIVE
	:: word_state == LIVE && word_since >= now -> good = true
	:: word_state == LIVE && word_since < now && last_change <= word_since ->
		swap(LIVE, word_since, LIVE, now);
		/* The other way to go on is to look again. */
		good = swapped || (state == LIVE && since >= now)
	:: else
	fi;
	word_state = 0; word_since = 0; swapped = false
}

inline valid(me)
{
	settle();
	now = number;
	good = false;
	if
	:: OURS -> renew(now)
	:: else
	fi;
	if
	:: good
	:: else ->
		leaving = OURS;
		let_go(me)
	fi;
	now = 0
}

inline accept(me)
{
	held[me] = taken;
	holders++
}

#define TAKE_NUMBER number++

inline add(me)
{
	settle();
	TAKE_NUMBER;
	now = number;
	kept = false;
	if
	:: !UNCHANGED(seen)
	:: else ->
		if
		:: state == FREE ->
			d_step { other = false; state = LIVE; since = now; holders = 0 };
			kept = true
		:: !other && state == GONE ->
			holders = 0;
			d_step { state = LIVE; since = now };
			kept = true
#ifdef MUTANT_RENEW
		:: !other && state == LIVE -> d_step { since = now }; kept = true
#else
		:: !other && state == LIVE -> renew(now); kept = good
#endif
#ifdef MUTANT_ACCEPT_DEAD
		:: !other && state == DEAD -> d_step { since = now; state = LIVE }; kept = true
#endif
		/* There would be another place. */
		:: else
		fi
	fi;
	if
	:: kept -> accept(me)
	:: else ->
		refused = true;
		if
		:: unsubscribes -> unsubscribe()
		:: else
		fi
	fi;
	now = 0
}

proctype cache(byte me)
{
	byte rounds, taken, seen, mapped, now, word_state, word_since;
	bool kept, good, swapped;

	do
	:: rounds == limit[me] -> break
	:: else ->
		rounds++;
		if
		:: LOCK;
			mapped = page;
			if
			:: held[me] != 0 ->
				valid(me);
				assert(!good || held[me] == mapped)
			:: else
			fi;
			UNLOCK
		:: LOCK;
			d_step {
				settle();
				if
				:: held[me] != 0 -> let_go(me)
				:: else
				fi
			};
			UNLOCK
		:: held[me] == 0 ->
			seen = number;
			taken = page;
			LOCK;
			add(me);
			UNLOCK
		fi;
		taken = 0; seen = 0; kept = false; good = false; mapped = 0
	od
}

proctype changes()
{
	byte i;

	do
	:: i == CHANGES -> break
	:: else -> atomic { i++; number++; last_change = number; page++ }
	od
}

/* The other range takes the place, and leaves it. */
proctype stranger()
{
	LOCK;
	settle();
	if
	:: state == FREE ->
		TAKE_NUMBER;
		d_step { other = true; holders = 1; state = LIVE; since = number }
	:: else
	fi;
	UNLOCK;
	LOCK;
	settle();
	if
	:: other && state != FREE -> d_step { state = FREE; since = 0; holders = 0; other = false }
	:: else
	fi;
	UNLOCK
}

/* lf_entries_sweep() */
proctype reaper()
{
	byte now, word_state, word_since, sweeps;
	bool its_other, swapped;

	do
	:: sweeps == SWEEPS -> break
	:: else ->
		sweeps++;
		now = number;
		d_step { word_state = state; word_since = since };
		its_other = other;
		if
		:: word_state != LIVE || word_since >= now
		:: word_state == LIVE && word_since < now && (its_other || last_change <= word_since) ->
			swap(LIVE, word_since, LIVE, now)
		:: else ->
			swap(LIVE, word_since, DEAD, word_since);
			if
			:: swapped ->
#ifdef MUTANT_EARLY
				swap(DEAD, word_since, GONE, word_since);
#endif
				LOCK;
				d_step {
					if :: held[0] != 0 -> let_go(0) :: else fi;
					if :: held[1] != 0 -> let_go(1) :: else fi
				};
				UNLOCK;
#ifndef MUTANT_EARLY
				swap(DEAD, word_since, GONE, word_since)
#endif
			:: else
			fi
		fi;
		now = 0; word_state = 0; word_since = 0; its_other = false; swapped = false
	od
}

init {
	if :: unsubscribes = true :: unsubscribes = false fi;
	/* Each with what it meets; all at once are too many states. */
	atomic {
		if
		:: limit[0] = 2; limit[1] = 1;
			run stranger();
			run reaper()
		:: limit[0] = 3; limit[1] = 1;
			run reaper()
		:: limit[0] = 3; limit[1] = 2
		fi;
		run cache(0);
		run cache(1);
		run changes()
	}
}
