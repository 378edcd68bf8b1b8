/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * core/notifier.c, publish() against core/exit.c, mmun_mm_exit(): the first registration
 * of an mm, while the mm ends.
 *
 * Checked: whoever was added is released by exit (U1).
 *
 * Mutants: L (the mark of the dead mm is not a full operation), CHECK (the mark
 * is looked at before the chain is visible), SWEEP (exit looks for the chain
 * before it sets the mark).
 */
#define THREADS 3
#define CELLS 2
#define EXITING 0
#define JOINING 1

#define DEAD 0
#define CHAIN 1

#include "tso.pml"

bool locked, added, released;
byte finished;

#define LOCK(me) atomic { !locked && len(buffer[me]) == 0; locked = true }
#define UNLOCK locked = false

/* mmun_mm_exit(), mmun_notifiers_release() */
proctype exiting()
{
	bool chain;

#ifdef MUTANT_SWEEP
	chain = LOAD(CHAIN);
#endif
#ifdef MUTANT_L
	PLAIN_STORE(EXITING, DEAD, 1);
#else
	FULL_STORE(EXITING, DEAD, 1);
#endif
#ifndef MUTANT_SWEEP
	chain = LOAD(CHAIN);
#endif
	if
	:: chain -> LOCK(EXITING); released = added; UNLOCK
	:: else
	fi;
	finished++
}

/* publish() */
proctype joining()
{
	bool dead;

#ifdef MUTANT_CHECK
	dead = LOAD(DEAD);
#endif
	PLAIN_STORE(JOINING, CHAIN, 1);
	LOCK(JOINING);
#ifndef MUTANT_CHECK
	dead = LOAD(DEAD);
#endif
	added = !dead;
	UNLOCK;
	finished++
}

init
{
	atomic { run exiting(); run joining() }
	finished == 2;
	assert(!added || released)
}
