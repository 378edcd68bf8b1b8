/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The open sections of an mm with interval notifiers, and who may touch the tree.
 *
 * A section must take no lock: it may run in a signal handler that interrupted a
 * holder, and threads that invalidate different ranges should not write the same
 * line.  So it takes a place in a table, in a group of its CPU, before it looks at
 * the tree, and gives it back at its end.  A wait for sections looks for
 * those that overlap an interval, and waits for these and no others.
 *
 * I1  A section takes its place, walking, before it looks at the tree, and says which
 *     range it has before it has walked.  A wait need not be for one that has not
 *     said so: it walks later than what is looked for.
 * I2  A place has another serial for each section: a wait for one section is
 *     none for the next one in the same place.
 * I3  A walk is short and calls nobody.  A writer of the tree keeps walks out
 *     (->writer) and waits for those under way; so a walk needs no lock.
 * I4  A writer never waits for long: a walk may be interrupted by a handler that
 *     waits for the writer.  It opens again and gives everything up in between.
 *     It runs with every signal blocked (the chain lock).
 * I5  While a section walks its state is written by its own thread alone.
 * I6  A section whose thread has ended is over for those that wait, a writer too; its end, if
 *     another thread comes with it, finds the next serial and does nothing.  (But for one
 *     whose thread ended before it had said its range, a few instructions long.)
 * I7  A section that finds no place is counted as one of unknown range.
 *
 * Tests: tests/unit/core/interval_sections.c, tests/torture/interval.c,
 * tests/model/interval.pml.
 */
#include "interval_table.h"

#include <errno.h>

#include "alloc.h"
#include "bug.h"
#include "futex.h"
#include "spin.h"

/* Values of ->writer. */
enum {
	WRITER_NONE = 0,
	WRITER_BUSY,
	/* And somebody sleeps until it is done. */
	WRITER_AWAITED,
};

/* Looks before a waiter sleeps or a writer backs off: a few microseconds, several times what
 * a walk or a change of the tree takes.  While a writer looks, sections are kept out. */
#define FEW_LOOKS 100

/* How long a writer stays away from a walk that does not end, and how long a waiter
 * sleeps where nobody wakes, ns. */
#define BACK_OFF 50000

/* How long a waiter sleeps before it looks whether a section's thread still is, ns. */
#define OWNER_CHECK 10000000

struct mmun_itree *mmun_itree_alloc(const struct mm_struct *mm)
{
	/* As many as that has slots: a thread's index there is its index here. */
	const unsigned int used = mm->srcu.mask + 1, nr = used + MMUN_SPARE_GROUPS;
	struct mmun_itree *itree = mmun_alloc(sizeof(*itree) + nr * sizeof(itree->groups[0]));

	if (itree) {
		mmun_itree_root_init(&itree->root);
		itree->nr_groups = nr;
		itree->nr_used = used;
		itree->pid = (unsigned int)mmun_syscall3(SYS_getpid, 0, 0, 0);
		itree->key = (unsigned long)itree->pid << 32 | (uint32_t)__builtin_ia32_rdtsc() | 1;
	}
	return itree;
}

void mmun_itree_free(struct mmun_itree *itree, bool usable)
{
	if (!itree)
		return;
	MMUN_BUG_ON(usable && (itree->root.node || itree->nr));
	mmun_itree_root_destroy(&itree->root);
	mmun_free(itree);
}

/* Where a section is. */
struct place {
	struct mmun_section_group *group;
	unsigned int i;
};

static inline struct place place_at(struct mmun_itree *itree, unsigned long index)
{
	return (struct place){ &itree->groups[index / MMUN_GROUP_SECTIONS],
			       (unsigned int)(index % MMUN_GROUP_SECTIONS) };
}

static inline unsigned long *state_of(struct place place)
{
	return &place.group->state[place.i];
}

static inline unsigned long index_of(unsigned long number)
{
	return number / 2 % MMUN_NUMBER_PLACES;
}

static inline unsigned long serial_of(unsigned long number)
{
	return number / 2 / MMUN_NUMBER_PLACES;
}

static inline bool same_section(unsigned long state, unsigned long other)
{
	return !((state ^ other) & ~(unsigned long)MMUN_SECTION_FLAGS);
}

/* Its thread, in the process that has the mm. */
static __thread struct {
	unsigned long key;
	unsigned int tid;
} self __attribute__((tls_model("initial-exec")));

/* A fork or vfork has left what a thread of another process knew. */
static __attribute__((noinline, cold)) unsigned int find_tid(const struct mmun_itree *itree)
{
	const long tid = mmun_syscall3(SYS_gettid, 0, 0, 0);

	if (tid <= 0)
		return 0;
	if (!mmun_task.shared && mmun_syscall3(SYS_getpid, 0, 0, 0) == (long)itree->pid) {
		mmun_store_relaxed(&self.tid, (unsigned int)tid);
		mmun_store_release(&self.key, itree->key);
	}
	return (unsigned int)tid;
}

void mmun_section_share(void)
{
	mmun_store_release(&self.key, 0);
}

static inline unsigned int this_thread(const struct mmun_itree *itree)
{
	if (mmun_likely(mmun_load_relaxed(&self.key) == itree->key))
		return mmun_load_relaxed(&self.tid);
	return find_tid(itree);
}

static bool is_own_section(const struct mmun_itree *itree, unsigned int owner)
{
	return owner && owner == this_thread(itree);
}

static bool opener_is_gone(const struct mmun_itree *itree, unsigned int owner)
{
	if (owner && mmun_syscall3(SYS_tkill, owner, 0, 0) == -ESRCH)
		return true;
	return owner == itree->pid && mmun_thread_is_zombie((int)owner);
}

/* A pause where nobody wakes. */
static void pause_on(const unsigned int *word, unsigned int value)
{
	mmun_futex_wait_for(word, value, BACK_OFF);
}

static __attribute__((noinline, cold)) bool wait_for_writer(struct mmun_itree *itree,
							    uint64_t deadline)
{
	unsigned int writer;

	if (mmun_spin_for(FEW_LOOKS, mmun_load_full(&itree->writer) == WRITER_NONE))
		return true;
	while ((writer = mmun_load_full(&itree->writer)) != WRITER_NONE) {
		if (mmun_is_past(deadline))
			return false;
		if (writer == WRITER_AWAITED ||
		    mmun_cas_full(&itree->writer, &writer, WRITER_AWAITED))
			mmun_futex_wait_for(&itree->writer, WRITER_AWAITED,
					    mmun_time_left(deadline, MMUN_NSEC_PER_SEC));
	}
	return true;
}

static inline void mark_walking(struct mmun_itree *itree, unsigned long number)
{
	if (mmun_unlikely(index_of(number) == MMUN_PLACE_OTHER))
		(void)mmun_add_full(&itree->others.walking, 1);
	else
		/* N: as P, for a walk that is not the first try of the first. */
		(void)mmun_add_full(state_of(place_at(itree, index_of(number))),
				    MMUN_SECTION_WALKS);
}

void mmun_section_walked(struct mmun_itree *itree, unsigned long number)
{
	unsigned long *state;

	if (mmun_unlikely(index_of(number) == MMUN_PLACE_OTHER)) {
		(void)mmun_sub_full(&itree->others.walking, 1);
		return;
	}
	state = state_of(place_at(itree, index_of(number)));
	/* R: the walk, and the range, come before it (release is enough); pairs with O. */
	mmun_store_release(state, mmun_load_relaxed(state) & ~(unsigned long)MMUN_SECTION_WALKS);
}

/* It walks, or will when the writer has gone.  0: too late, and it is closed. */
static inline unsigned long allowed(struct mmun_itree *itree, unsigned long number,
				    uint64_t deadline)
{
	/* The writer sees the walk, or the walk sees the writer. */
	while (mmun_unlikely(mmun_load_full(&itree->writer) != WRITER_NONE)) {
		mmun_section_walked(itree, number);
		if (!wait_for_writer(itree, deadline)) {
			mmun_section_close(itree, number);
			return 0;
		}
		mark_walking(itree, number);
	}
	return number;
}

void mmun_section_walk(struct mmun_itree *itree, unsigned long number)
{
	mark_walking(itree, number);
	(void)allowed(itree, number, 0);
}

/* The number of a section that has taken a place in @group; 0: there is none. */
static inline unsigned long take_place(struct mmun_itree *itree, struct mmun_section_group *group,
				       unsigned long start, unsigned long last)
{
	const unsigned int owner = this_thread(itree);

	for (unsigned int i = 0; i < MMUN_GROUP_SECTIONS; i++) {
		unsigned long state = mmun_load_relaxed(&group->state[i]);

		/* P: walking before the writer is looked for: the one full operation of a
		 * start, the stores below may be late; pairs with O. */
		if ((state & MMUN_SECTION_FLAGS) ||
		    !mmun_cas_full(&group->state[i], &state, state | MMUN_SECTION_WALKS))
			continue;
		mmun_store_relaxed(&group->owner[i], owner);
		mmun_store_release(&group->range[i].start, start);
		mmun_store_release(&group->range[i].last, last);
		mmun_store_release(&group->state[i],
				   state | MMUN_SECTION_OPEN | MMUN_SECTION_WALKS);
		return mmun_number(state / MMUN_SECTION_NEXT,
				   (unsigned long)(group - itree->groups) * MMUN_GROUP_SECTIONS +
					   i);
	}
	return 0;
}

/* The group of this CPU is full. */
static __attribute__((noinline, cold)) unsigned long
take_spare(struct mm_struct *mm, struct mmun_itree *itree, unsigned long start, unsigned long last)
{
	unsigned long number;

	for (unsigned int i = mm->srcu.mask + 1; i < itree->nr_groups; i++) {
		unsigned int used = mmun_load_full(&itree->nr_used);

		/* Q: in use before a place is taken there; pairs with O. */
		while (used <= i && !mmun_cas_full(&itree->nr_used, &used, i + 1))
			;
		number = take_place(itree, &itree->groups[i], start, last);
		if (number)
			return number;
	}
	(void)mmun_add_full(&itree->others.open, 1);
	(void)mmun_add_full(&itree->others.walking, 1);
	return mmun_number(mmun_add_full(&itree->others.serial, 1), MMUN_PLACE_OTHER);
}

unsigned long mmun_section_open(struct mm_struct *mm, struct mmun_itree *itree, unsigned long start,
				unsigned long last, uint64_t deadline)
{
	struct mmun_section_group *group =
		&itree->groups[mmun_srcu_slot(&mm->srcu) - mm->srcu.slots];
	unsigned long number = take_place(itree, group, start, last);

	if (mmun_unlikely(!number))
		number = take_spare(mm, itree, start, last);
	return allowed(itree, number, deadline);
}

/* The low half: the serial and the flags. */
static const unsigned int *futex_word(struct place place)
{
	return (const unsigned int *)(const void *)state_of(place);
}

/* The section of @state is over, if it is not already. */
static void end_section(struct place place, unsigned long state)
{
	unsigned long now = mmun_load_relaxed(state_of(place));

	do {
		if (!same_section(now, state))
			return;
		/* S: what the section did comes before it; pairs with V. */
	} while (!mmun_cas_full(state_of(place), &now, (now | MMUN_SECTION_FLAGS) + 1));
	if (mmun_unlikely(now & MMUN_SECTION_AWAITED))
		mmun_futex_wake_all(futex_word(place));
}

void mmun_section_close(struct mmun_itree *itree, unsigned long number)
{
	if (mmun_unlikely(index_of(number) == MMUN_PLACE_OTHER))
		(void)mmun_sub_full(&itree->others.open, 1);
	else
		end_section(place_at(itree, index_of(number)),
			    serial_of(number) * MMUN_SECTION_NEXT);
}

/* The owner is that of the section, once that is open, or of a later one. */
static void end_if_gone(const struct mmun_itree *itree, struct place place, unsigned long state)
{
	if ((state & MMUN_SECTION_OPEN) &&
	    opener_is_gone(itree, mmun_load_acquire(&place.group->owner[place.i])))
		end_section(place, state);
}

/* V: marked as awaited in the word that the end changes: its end sees the mark,
 * or the sleeper sees the end; pairs with S. */
static void sleep_for_section(const struct mmun_itree *itree, struct place place,
			      unsigned long state)
{
	if (state & MMUN_SECTION_WALKS) {
		pause_on(futex_word(place), (unsigned int)state);
		end_if_gone(itree, place, state);
		return;
	}
	if (!(state & MMUN_SECTION_AWAITED) &&
	    !mmun_cas_full(state_of(place), &state, state | MMUN_SECTION_AWAITED))
		return;
	mmun_futex_wait_for(futex_word(place), (unsigned int)(state | MMUN_SECTION_AWAITED),
			    OWNER_CHECK);
	end_if_gone(itree, place, state);
}

static void wait_for_section(const struct mmun_itree *itree, struct place place,
			     unsigned long state)
{
	unsigned long now;

	if (mmun_spin_for(FEW_LOOKS, !same_section(mmun_load_full(state_of(place)), state)))
		return;
	while (same_section(now = mmun_load_full(state_of(place)), state))
		sleep_for_section(itree, place, now);
}

/* Returns whether it is one of this thread. */
static bool wait_if_overlaps(const struct mmun_itree *itree, struct place place,
			     unsigned long start, unsigned long last)
{
	/* U: after the number, or the change of the tree, for which sections are looked
	 * for; pairs with R and with the release in mmu_interval_set_seq(). */
	unsigned long state = mmun_load_full(state_of(place));

	if (mmun_likely(!(state & MMUN_SECTION_OPEN)))
		return false;
	/* Of this one, or of a later one when it is over. */
	if (mmun_load_acquire(&place.group->range[place.i].start) > last ||
	    mmun_load_acquire(&place.group->range[place.i].last) < start)
		return false;
	if (is_own_section(itree, mmun_load_relaxed(&place.group->owner[place.i])))
		return true;
	wait_for_section(itree, place, state);
	return false;
}

bool mmun_sections_wait(struct mmun_itree *itree, unsigned long start, unsigned long last)
{
	const unsigned long places =
		mmun_load_full(&itree->nr_used) * (unsigned long)MMUN_GROUP_SECTIONS;
	bool own = false;
	unsigned int open;

	for (unsigned long i = 0; i < places; i++)
		own |= wait_if_overlaps(itree, place_at(itree, i), start, last);
	while ((open = mmun_load_full(&itree->others.open)))
		pause_on(&itree->others.open, open);
	return own;
}

/* Have all walks ended that were under way?  A walk that begins later sees the writer: it
 * is enough to see each place without one once, and those before *@place were. */
static bool no_walks(struct mmun_itree *itree, unsigned long *place)
{
	const unsigned long places =
		mmun_load_full(&itree->nr_used) * (unsigned long)MMUN_GROUP_SECTIONS;

	for (; *place < places; ++*place) {
		if (mmun_load_full(state_of(place_at(itree, *place))) & MMUN_SECTION_WALKS)
			return false;
	}
	return !mmun_load_full(&itree->others.walking);
}

bool mmun_itree_write_begin(struct mmun_itree *itree)
{
	unsigned long place = 0;

	/* O: raised before walks are looked for; pairs with N and R. */
	(void)mmun_swap_full(&itree->writer, WRITER_BUSY);
	if (no_walks(itree, &place) || mmun_spin_for(FEW_LOOKS, no_walks(itree, &place)))
		return true;
	mmun_itree_write_end(itree);
	return false;
}

void mmun_itree_write_end(struct mmun_itree *itree)
{
	if (mmun_swap_full(&itree->writer, WRITER_NONE) == WRITER_AWAITED)
		mmun_futex_wake_all(&itree->writer);
}

/* Walks do not wake: one that takes long was preempted, or interrupted by a
 * handler that can go on now; or its thread has ended. */
void mmun_itree_back_off(struct mmun_itree *itree)
{
	const unsigned long places =
		mmun_load_full(&itree->nr_used) * (unsigned long)MMUN_GROUP_SECTIONS;

	pause_on(&itree->writer, WRITER_NONE);
	for (unsigned long i = 0; i < places; i++) {
		struct place place = place_at(itree, i);
		unsigned long state = mmun_load_full(state_of(place));

		if (state & MMUN_SECTION_WALKS)
			end_if_gone(itree, place, state);
	}
}
