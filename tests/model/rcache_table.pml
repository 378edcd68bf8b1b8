/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * rcache/table.c, rcache/walk.c and rebuild() of rcache/region.c: two words of a bucket, and two
 * tables in turn.
 *
 * The writer enters registrations of two ranges, one in the bucket of a dead one, and builds
 * the table anew, twice, so that the first comes back.  A reader looks a range up, or a
 * section walks one.  Stores and loads are in order on x86, so that there are no
 * buffers here; generations are in rcache_use.pml, sections in rcache_miss.pml.
 *
 * Checked: what the reader finds is of its range; the section ends whatever of its range was live
 * when it began.
 *
 * Mutants: RANGE_FIRST (readers load the range before the word that says whose it is), WORD_FIRST
 * (the writer stores them in the other order), NO_LOOK (a reader does not look whether the table
 * was built anew between the two words, and is filled with others), NO_AGAIN (nor does a walk), POINTER (it looks at which table there is, not how often it was built),
 * EARLY_FULL (the new table is there before it is filled), EMPTY_FIRST (the old one is
 * emptied before walks are to begin again).
 */
#define BUCKETS 2
#define RUBBISH 255
#define A 1
#define B 2

byte words[4];
byte ranges[4];
#define WORD(t, b) words[(t) * BUCKETS + (b)]
#define RANGE(t, b) ranges[(t) * BUCKETS + (b)]

byte table, builds;
/* Registrations 1 to 3. */
bool live[4];
byte range_of[4];

#define LIVE(w) ((w) != RUBBISH && live[w])

/* mmun_rc_table_add() */
inline add(t, reg)
{
	i = 0;
	do
	:: WORD(t, i) == 0 || !LIVE(WORD(t, i)) -> break
	:: else -> i++
	od;
	WORD(t, i) = RUBBISH;
#ifdef MUTANT_WORD_FIRST
	WORD(t, i) = reg;
	RANGE(t, i) = range_of[reg];
#else
	RANGE(t, i) = range_of[reg];
	WORD(t, i) = reg;
#endif
	i = 0
}

inline enter(reg, its_range)
{
	range_of[reg] = its_range;
	add(table, reg);
	live[reg] = true
}

inline copy_to(t)
{
	reg = 1;
	do
	:: reg > 3 -> break
	:: else ->
		if
		:: live[reg] -> add(t, reg)
		:: else
		fi;
		reg++
	od;
	reg = 0
}

inline wipe(t)
{
	d_step { WORD(t, 0) = 0; RANGE(t, 0) = 0 };
	d_step { WORD(t, 1) = 0; RANGE(t, 1) = 0 }
}

inline rebuild()
{
	old = table;
#ifdef MUTANT_EARLY_FULL
	table = 1 - old;
	copy_to(1 - old);
#else
	copy_to(1 - old);
	table = 1 - old;
#endif
#ifdef MUTANT_EMPTY_FIRST
	wipe(old);
	builds++;
#else
	builds++;
	wipe(old);
#endif
	old = 0
}

proctype writer()
{
	byte i, reg, old;

	enter(1, A);
	if
	:: enter(2, A)
	:: enter(2, B)
	fi;
	live[1] = false;
	if
	:: enter(3, B)
	:: skip
	fi;
	rebuild();
	rebuild()
}

/* A get, but for the counting. */
proctype reader(byte wanted)
{
	byte t, b, w, r, rounds, seq;

	do
	:: rounds == 2 -> break
	:: else ->
		rounds++;
		seq = builds;
		t = table;
		b = 0;
		do
		:: b == BUCKETS -> break
		:: else ->
#ifdef MUTANT_RANGE_FIRST
			r = RANGE(t, b);
			w = WORD(t, b);
#else
			w = WORD(t, b);
			r = RANGE(t, b);
#endif
			if
			:: w == 0 -> break
			:: w != 0 && r == wanted && LIVE(w) ->
#ifndef MUTANT_NO_LOOK
				if
				:: builds != seq -> break
				:: else
				fi;
#endif
				assert(range_of[w] == wanted);
				break
			:: else -> b++
			fi
		od
	od
}

/* mmun_rc_walk() */
proctype section()
{
	byte t, b, w, r, seq;
	bool second, third;

	d_step { second = live[2] && range_of[2] == B; third = live[3] };
	do
	::
		seq = builds;
		t = table;
		b = 0;
		do
		:: b == BUCKETS -> break
		:: else ->
			w = WORD(t, b);
			r = RANGE(t, b);
			if
			:: w == 0 -> break
			:: w != 0 && w != RUBBISH && r == B -> live[w] = false; b++
			:: else -> b++
			fi
		od;
#ifdef MUTANT_NO_AGAIN
		break
#else
#ifdef MUTANT_POINTER
		if
		:: table == t -> break
		:: else
		fi
#else
		if
		:: builds == seq -> break
		:: else
		fi
#endif
#endif
	od;
	assert(!second || !live[2]);
	assert(!third || !live[3])
}

init {
	atomic {
		run writer();
		if
		:: run reader(A)
		:: run reader(B)
		:: run section()
		fi
	}
}
