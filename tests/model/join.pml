/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * core/dispatch.c and core/notifier.c: sections that go on while notifiers come and go.
 *
 * Two sections against a notifier that registers and unregisters twice, another that
 * stays, and the first interval notifier, which brings the interval tree.  A section takes the
 * head of the list once, walks from there at both ends, and leaves the tree if it has
 * entered it.  Memory is sequentially consistent here: that a reader who is not waited
 * for sees what was published before is the grace period's own theorem (srcu.pml).
 *
 * Checked: no end without its start (R1); who had registered when a section began is
 * called (R1); when a registration returns no section is open that calls it at one edge
 * or at none (R2); nobody is called who is freed (U2); nobody who stays misses an end (R3);
 * the tree's count of open sections is right.
 *
 * Mutants: HEAD (the end reads the head again), WAIT (registration does not wait), LATE
 * (publication after the wait), FREE (unregister does not wait), FORWARD (unlinking
 * clears the forward pointer), TREE (who finds a tree at the end leaves it), READY (an
 * interval notifier is inserted before the wait for the tree is over).
 */
#define SECTIONS 2
#define NOTIFIERS 2
/* Notifiers are 1 and 2; 0 is the end of the list. */
#define OF(s, n) ((s) * 3 + (n))

byte head, next[3];
/* A section's number while it is open, 0 otherwise; and those it has had. */
byte open[SECTIONS], number[SECTIONS];
/* Life of a notifier: its registrations, whether the latest has returned, whether it
 * leaves, whether its memory is somebody else's. */
byte life[3];
bool joined[3], leaving[3], gone[3];
/* By section and notifier: the life whose start was called, 0: none, END: its end, too. */
#define END 9
byte notified[6];
/* It had joined when the section began. */
bool owed[6];
/* The head was taken, and when it was the notifier was on the list. */
bool took[SECTIONS], met[6], listed[3];
bool tree, ready, inserted;
byte inside;
bool entered[SECTIONS];

/* Sections that were open, one after the other. */
inline grace_period()
{
	s = 0;
	do
	:: s < SECTIONS ->
		was = open[s];
		if
		:: was != 0 -> open[s] != was
		:: else
		fi;
		s++
	:: else -> break
	od;
	s = 0;
	was = 0
}

proctype section(byte me)
{
	byte kept, n, i;
	byte round;

	do
	:: round < 1 ->
		atomic {
			number[me]++;
			open[me] = number[me];
			i = 1;
			do
			:: i <= NOTIFIERS ->
				owed[OF(me, i)] = joined[i] && !leaving[i];
				notified[OF(me, i)] = 0;
				i++
			:: else -> break
			od;
			i = 0
		}
		atomic {
			entered[me] = tree;
			inside = inside + tree
		}
		atomic {
			kept = head;
			n = kept;
			took[me] = true;
			met[OF(me, 1)] = listed[1]
		}
		do
		:: atomic { n != 0 ->
			assert(!gone[n]);
			notified[OF(me, n)] = life[n];
			n = next[n] }
		:: n == 0 -> break
		od;
		atomic {
			i = 1;
			do
			:: i <= NOTIFIERS ->
				assert(!owed[OF(me, i)] || leaving[i] ||
				       notified[OF(me, i)] == life[i]);
				i++
			:: else -> break
			od;
			i = 0
		}
		atomic {
#ifdef MUTANT_TREE
			entered[me] = tree;
#endif
			assert(!entered[me] || inside > 0);
			inside = inside - entered[me];
			/* A reader of the new interval must not go on beside us. */
			assert(entered[me] || !inserted);
			entered[me] = false
		}
#ifdef MUTANT_HEAD
		kept = head;
#endif
		atomic { n = kept; kept = 0 }
		do
		:: atomic { n != 0 ->
			assert(!gone[n]);
			assert(notified[OF(me, n)] == life[n]);
			notified[OF(me, n)] = END;
			n = next[n] }
		:: n == 0 -> break
		od;
		atomic {
			i = 1;
			do
			:: i <= NOTIFIERS ->
				assert(notified[OF(me, i)] == 0 || notified[OF(me, i)] == END ||
				       leaving[i] || gone[i]);
				i++
			:: else -> break
			od;
			i = 0;
			took[me] = false;
			met[OF(me, 1)] = false;
			open[me] = 0
		}
		round++
	:: else -> break
	od
}

proctype notifier(byte me)
{
	byte s, was, p, round;
	byte before[SECTIONS];

	do
	:: round < 2 ->
		atomic {
			gone[me] = false;
			leaving[me] = false;
			life[me]++;
			before[0] = open[0];
			before[1] = open[1]
		}
#ifdef MUTANT_LATE
		grace_period();
#endif
		atomic { next[me] = head; head = me; listed[me] = true }
#if !defined(MUTANT_LATE) && !defined(MUTANT_WAIT)
		grace_period();
#endif
		atomic {
			assert(before[0] == 0 || open[0] != before[0]);
			assert(before[1] == 0 || open[1] != before[1]);
			assert(!took[0] || met[OF(0, me)]);
			assert(!took[1] || met[OF(1, me)]);
			before[0] = 0;
			before[1] = 0;
			joined[me] = true
		}
		atomic { leaving[me] = true; joined[me] = false; listed[me] = false }
		atomic {
			if
			:: head == me -> head = next[me]
			:: else ->
				p = head;
				do
				:: p != 0 && next[p] != me -> p = next[p]
				:: else -> break
				od;
				if :: p != 0 -> next[p] = next[me] :: else fi;
				p = 0
			fi;
#ifdef MUTANT_FORWARD
			next[me] = 0
#endif
		}
#ifndef MUTANT_FREE
		grace_period();
#endif
		gone[me] = true;
		round++
	:: else -> break
	od
}

/* mmu_interval_notifier_insert(), the first of the mm. */
proctype interval()
{
	byte s, was;

	tree = true;
#ifndef MUTANT_READY
	grace_period();
#endif
	inserted = true
}

init
{
	atomic {
		gone[1] = true;
		/* The second has joined before and stays. */
		head = 2;
		life[2] = 1;
		joined[2] = true;
		run section(0);
		run section(1);
		run notifier(1);
		run interval()
	}
}
