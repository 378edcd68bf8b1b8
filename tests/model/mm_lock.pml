/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/vma/mm_lock.c: two address spaces that share two files and two
 * anon_vmas, met in opposite orders, are quiesced by a task each, twice; a VMA
 * of the second one changes (i_mmap, then anon_vma), and walks from a page go
 * through any lock.  By sorting or by marks, as spin chooses.
 *
 * Checked: nobody waits for ever (L2, B3), no lock is taken twice (L1), and no
 * walk or change is under way in an address space that is quiesced (L3).
 *
 * Mutants: ORDER (locks in the order of VMAs), CLASSES (one task takes anon_vma
 * locks first), REPEATED (a lock is taken for each VMA that has it), SECOND (a
 * task quiesces a second address space), MUTEX (marks without the mutex around
 * them), UNMARK (unlocking leaves the marks), PARTIAL (the second class is left out).
 */
#define LOCKS 4
#define VMAS 3
#define FILE_LOCK(mm, i) ((mm) == 0 -> (i) % 2 : ((i) + 1) % 2)
#define ANON_LOCK(mm, i) (2 + ((mm) == 0 -> (i) / 2 : 1 - (i) / 2))
#define OF_CLASS(class, mm, i) ((class) == 0 -> FILE_LOCK(mm, i) : ANON_LOCK(mm, i))

bool by_marks;
/* 0: free, else who has it and one more; a reader counts as a writer. */
byte owner[LOCKS];
bool marked[LOCKS];
/* Those of the two address spaces, held for write. */
bool mmap_lock[2];
bool all_locks;
bool quiet[2];
byte finished;

inline take(l)
{
	atomic { assert(owner[l] != me + 1); owner[l] == 0 -> owner[l] = me + 1 }
}

inline drop(l)
{
	atomic { assert(owner[l] == me + 1); owner[l] = 0 }
}

/* By ascending number, each lock that a VMA of @mm has. */
inline take_sorted(class)
{
#ifdef MUTANT_ORDER
	i = 0;
	do
	:: i < VMAS ->
		l = OF_CLASS(class, mm, i);
		if
		:: owner[l] == me + 1
		:: else -> take(l)
		fi;
		i++
	:: else -> break
	od
#else
	l = 2 * (class);
	do
	:: l < 2 * (class) + 2 ->
		i = 0;
		do
		:: i < VMAS && OF_CLASS(class, mm, i) == l ->
			take(l);
#ifndef MUTANT_REPEATED
			break;
#endif
			i++
		:: i < VMAS && OF_CLASS(class, mm, i) != l -> i++
		:: i == VMAS -> break
		od;
		l++
	:: else -> break
	od
#endif
}

inline take_marked(class)
{
	i = 0;
	do
	:: i < VMAS ->
		l = OF_CLASS(class, mm, i);
		if
		:: marked[l]
		:: else -> take(l); marked[l] = true
		fi;
		i++
	:: else -> break
	od
}

inline take_class(class)
{
	if
	:: by_marks -> take_marked(class)
	:: else -> take_sorted(class)
	fi
}

inline drop_all()
{
	l = LOCKS;
	do
	:: l > 0 ->
		l--;
		if
		:: by_marks && marked[l] ->
#ifndef MUTANT_UNMARK
			marked[l] = false;
#endif
			drop(l)
		:: !by_marks && owner[l] == me + 1 -> drop(l)
		:: else
		fi
	:: else -> break
	od
}

inline lock_mm()
{
#ifndef MUTANT_MUTEX
	if
	:: by_marks -> atomic { !all_locks -> all_locks = true }
	:: else
	fi;
#endif
#ifdef MUTANT_CLASSES
	if
	:: me == 1 -> take_class(1); take_class(0)
	:: else -> take_class(0); take_class(1)
	fi
#else
	take_class(0);
#ifndef MUTANT_PARTIAL
	take_class(1)
#endif
#endif
}

inline unlock_mm()
{
	drop_all();
#ifndef MUTANT_MUTEX
	all_locks = (by_marks -> false : all_locks)
#endif
}

/* A registration, twice. */
proctype registering(byte me; byte mm)
{
	byte i, l, round;

	do
	:: round < 2 ->
		atomic { !mmap_lock[mm] -> mmap_lock[mm] = true };
		lock_mm();
		quiet[mm] = true;
#ifdef MUTANT_SECOND
		if
		:: me == 0 -> mm = 1; lock_mm(); mm = 0
		:: else
		fi;
#endif
		quiet[mm] = false;
		unlock_mm();
		mmap_lock[mm] = false;
		round++
	:: else -> break
	od;
	finished++
}

/* Splits or merges a VMA of mm 1: mmap lock, i_mmap, anon_vma. */
proctype changing(byte me)
{
	atomic { !mmap_lock[1] -> mmap_lock[1] = true };
	take(1);
	take(3);
	assert(!quiet[0] && !quiet[1]);
	drop(3);
	drop(1);
	mmap_lock[1] = false;
	finished++
}

/* Truncation, or reclaim of an anonymous page: one lock, entries of both. */
proctype walking(byte me)
{
	byte l;

	select(l : 0 .. 3);
	take(l);
	assert(!quiet[0] && !quiet[1]);
	drop(l);
	finished++
}

init
{
	if
	:: by_marks = true
	:: by_marks = false
	fi;
	atomic {
		run registering(0, 0);
		run registering(1, 1);
		run changing(2);
		run walking(3)
	}
	finished == 4
}
