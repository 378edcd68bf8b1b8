/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * core/exit.c against core/notifier.c: exit against unregister, under invalidations.
 *
 * One notifier; mmun_notifiers_release(), mmu_notifier_unregister() and two
 * walks of another thread.  The chain lock is a lock, a grace period waits for
 * the sections that are open when it begins; srcu.pml is about how.
 *
 * Checked: ->release exactly once (U5); whoever walks before ->release has
 * finished calls the notifier (U6); nobody touches it after unregister returned
 * (U2); the memory goes after ->release (U1, U3).
 *
 * Mutants: UNHASH_FIRST (off the list before ->release, as Linux once did),
 * NO_CLAIM (both sides that find it on the list release it), LATE_SECTION (the
 * read section begins after the chain lock is dropped), UNREGISTER_SYNC,
 * EXIT_SYNC (that side does not wait for a grace period), ONE_GRACE (unregister
 * waits for one only when exit has the claim), EARLY_LEAVE (the read section ends
 * before the notifier is off the list).
 */
#define EXIT 0
#define LEAVER 1
#define WALKER 2

bool locked;
bool hashed = true;
bool claimed;
byte releases;
bool release_done;
bool freed;
bool memory_gone;
byte finished;
/* Number of the section that each thread has open, 0: none. */
byte section[3];
byte opened[3];

#define LOCK atomic { !locked; locked = true }
#define UNLOCK locked = false
#define TOUCH assert(!freed)
#define READ_LOCK(me) d_step { opened[me]++; section[me] = opened[me] }
#define READ_UNLOCK(me) section[me] = 0

/* Sections that were open at the beginning have ended. */
inline synchronize(a, b)
{
	d_step { first = section[a]; second = section[b] };
	first == 0 || section[a] != first;
	second == 0 || section[b] != second
}

/* ->release, then off the list; release() */
inline do_release(me)
{
	TOUCH;
#ifdef MUTANT_UNHASH_FIRST
	LOCK; hashed = false; UNLOCK;
#endif
	releases++;
	assert(!memory_gone);
	release_done = true;
#ifdef MUTANT_EARLY_LEAVE
	READ_UNLOCK(me);
#endif
	LOCK;
	TOUCH;
	hashed = false;
	UNLOCK;
	READ_UNLOCK(me)
}

/* mmun_notifiers_release(), then the primary frees memory */
proctype exiting()
{
	byte first, second;

	LOCK;
	if
#ifdef MUTANT_NO_CLAIM
	:: hashed ->
#else
	:: hashed && !claimed ->
#endif
		TOUCH;
		claimed = true;
#ifdef MUTANT_LATE_SECTION
		UNLOCK;
		READ_LOCK(EXIT);
#else
		READ_LOCK(EXIT);
		UNLOCK;
#endif
		do_release(EXIT)
	:: else -> UNLOCK
	fi;
#ifndef MUTANT_EXIT_SYNC
	synchronize(LEAVER, WALKER);
#endif
	assert(release_done);
	memory_gone = true;
	finished++
}

/* mmu_notifier_unregister(), then its caller frees the notifier */
proctype leaving()
{
	byte first, second;

	LOCK;
	if
#ifdef MUTANT_NO_CLAIM
	:: hashed ->
#else
	:: !claimed ->
#endif
		claimed = true;
#ifdef MUTANT_LATE_SECTION
		UNLOCK;
		READ_LOCK(LEAVER);
#else
		READ_LOCK(LEAVER);
		UNLOCK;
#endif
		do_release(LEAVER)
	:: else -> UNLOCK;
#if !defined(MUTANT_ONE_GRACE) && !defined(MUTANT_UNREGISTER_SYNC)
		synchronize(EXIT, WALKER)
#endif
	fi;
#ifndef MUTANT_UNREGISTER_SYNC
	synchronize(EXIT, WALKER);
#endif
	assert(release_done);
	freed = true;
	finished++
}

/* mmu_notifier_invalidate_range_start() of somebody else, twice */
proctype walking()
{
	byte round;
	bool called;

	do
	:: round < 2 ->
		READ_LOCK(WALKER);
		if
		:: hashed -> TOUCH; called = true; TOUCH
		:: !hashed -> called = false
		fi;
		assert(called || release_done);
		READ_UNLOCK(WALKER);
		round++
	:: else -> break
	od;
	finished++
}

init
{
	atomic { run exiting(); run leaving(); run walking() }
	finished == 3;
	assert(releases == 1)
}
