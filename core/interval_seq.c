// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The sequence of an mm's interval notifiers, and who may touch their tree.
 *
 * The rules are Linux's.  The sequence starts at 2.  A section that touches an
 * interval makes it odd; the end of the last open section, whatever that
 * touched, makes it even (+1).  While it is odd the tree is not changed:
 * insertions and removals are deferred and applied before it turns even.
 *
 * Linux does it all under a spin lock.  Here a section must take none: it may
 * run in a signal handler that interrupted a holder, and threads that
 * invalidate different ranges should not write the same line.  So sections
 * count themselves in slots, one per CPU:
 *
 * I1  The first walk of a section, which finds out whether it touches anything,
 *     is short and calls nobody.  Who changes the tree keeps such walks out
 *     (->writer) and waits for those under way; so the walk needs no lock.
 *     Every later step of a section happens with an odd sequence.
 * I2  A writer never waits for long: a walk may be interrupted by a handler that
 *     waits for the writer.  It opens again and gives everything up in between.
 *     It runs with every signal blocked (the chain lock).
 * I3  The sequence turns even by two steps: CLOSING is set, the sections are
 *     counted, and then CLOSING is exchanged for the next number.  A section
 *     that meets an interval in between takes CLOSING away, so that the second
 *     step fails; so does a deferral.
 * I4  One closer at a time (->closing, nobody waits for it), with the chain lock
 *     or without: so what it exchanges is its own CLOSING, and a list that it
 *     finds empty has been applied.  It looks again after it let ->closing go, for
 *     those who found it taken.
 * I5  What was deferred is applied before the sequence turns even, with the walks
 *     kept out: no section sees the even sequence and the old tree.
 *
 * A long open section that touched nothing keeps the sequence odd for readers of
 * intervals that others have touched, as in Linux.
 *
 * Tests: tests/unit/interval_seq.c, tests/torture/interval.c, tests/model/interval.pml.
 */
#include "interval.h"

#include "bug.h"
#include "futex.h"

/* Values of ->writer. */
enum {
	WRITER_NONE = 0,
	WRITER_BUSY,
	/* And somebody sleeps until it is done. */
	WRITER_AWAITED,
};

/* Looks before somebody sleeps or backs off: a few microseconds, several times
 * what a walk or a change of the tree takes. */
#define SPINS 100

/* How long a writer stays away from a walk that does not end, ns. */
#define BACK_OFF 50000

/*
 * Exits are summed before entries: equal sums mean that nobody was inside at
 * some moment between the two, see bank_idle() in srcu.c.
 */
static bool nobody_inside(const struct mmun_itree *itree, enum mmun_itree_count entry,
			  enum mmun_itree_count exit)
{
	unsigned long entries = 0, exits = 0;

	for (unsigned int i = 0; i < itree->nr_slots; i++)
		exits += mmun_load_full(&itree->slots[i].count[exit]);
	for (unsigned int i = 0; i < itree->nr_slots; i++)
		entries += mmun_load_full(&itree->slots[i].count[entry]);
	return entries == exits;
}

bool mmun_itree_idle(const struct mmun_itree *itree)
{
	return nobody_inside(itree, MMUN_SECTIONS_OPENED, MMUN_SECTIONS_CLOSED);
}

static inline void count_in(struct mmun_itree_slot *slot, enum mmun_itree_count what)
{
	(void)mmun_add_full(&slot->count[what], 1);
}

static __attribute__((noinline, cold)) void wait_for_writer(struct mmun_itree *itree)
{
	unsigned int writer;

	for (unsigned int i = 0; i < SPINS; i++) {
		if (mmun_load_full(&itree->writer) == WRITER_NONE)
			return;
		mmun_cpu_relax();
	}
	while ((writer = mmun_load_full(&itree->writer)) != WRITER_NONE) {
		if (writer == WRITER_AWAITED ||
		    mmun_cas_full(&itree->writer, &writer, WRITER_AWAITED))
			mmun_futex_wait(&itree->writer, WRITER_AWAITED);
	}
}

static inline void walk_begin(struct mmun_itree *itree, struct mmun_itree_slot *slot)
{
	for (;;) {
		/* N: counted before the writer is looked for; pairs with O: the
		 * writer sees the walk, or the walk sees the writer. */
		count_in(slot, MMUN_WALKS_BEGUN);
		if (mmun_likely(mmun_load_full(&itree->writer) == WRITER_NONE))
			return;
		count_in(slot, MMUN_WALKS_DONE);
		wait_for_writer(itree);
	}
}

/* Returns the odd sequence, without CLOSING: whoever wanted it even fails. */
static unsigned long make_odd(struct mmun_itree *itree)
{
	unsigned long seq = mmun_load_full(&itree->seq), odd;

	for (;;) {
		odd = (seq | 1) & ~MMUN_SEQ_CLOSING;
		if (seq == odd || mmun_cas_full(&itree->seq, &seq, odd))
			return odd;
	}
}

struct mmun_interval_node *mmun_itree_enter(struct mm_struct *mm, struct mmun_itree *itree,
					    unsigned long start, unsigned long last,
					    struct mmun_itree_cursor *cursor, unsigned long *seq)
{
	struct mmun_itree_slot *slot = mmun_itree_slot(mm, itree);
	struct mmun_interval_node *node;

	walk_begin(itree, slot);
	/* P: counted before the sequence is looked at; pairs with Q: the closer
	 * sees the section, or the section sees CLOSING or the even sequence. */
	count_in(slot, MMUN_SECTIONS_OPENED);
	node = mmun_itree_first(&itree->root, start, last, cursor);
	if (node)
		*seq = make_odd(itree);
	/* R: odd before the walk counts as done; pairs with O: the writer that
	 * waited for this walk defers. */
	count_in(slot, MMUN_WALKS_DONE);
	return node;
}

void mmun_itree_leave(struct mm_struct *mm, struct mmu_notifier_mm *chain)
{
	struct mmun_itree *itree = chain->itree;

	/* S: counted before the sequence is looked at; pairs with T and with the
	 * closers' last look. */
	count_in(mmun_itree_slot(mm, itree), MMUN_SECTIONS_CLOSED);
	if (mmun_itree_odd(itree))
		mmun_itree_close(mm, chain);
}

bool mmun_itree_write_begin(struct mmun_itree *itree)
{
	/* O: raised before the walks are counted; pairs with N and R. */
	(void)mmun_swap_full(&itree->writer, WRITER_BUSY);
	for (unsigned int i = 0; i < SPINS; i++) {
		if (nobody_inside(itree, MMUN_WALKS_BEGUN, MMUN_WALKS_DONE))
			return true;
		mmun_cpu_relax();
	}
	mmun_itree_write_end(itree);
	return false;
}

void mmun_itree_write_end(struct mmun_itree *itree)
{
	if (mmun_swap_full(&itree->writer, WRITER_NONE) == WRITER_AWAITED)
		mmun_futex_wake_all(&itree->writer);
}

/* Walks do not wake: one that takes long was preempted, or interrupted by a
 * handler that can go on now. */
void mmun_itree_back_off(const struct mmun_itree *itree)
{
	mmun_futex_wait_for(&itree->writer, WRITER_NONE, BACK_OFF);
}

/* The low half of the sequence: CLOSING does not show there. */
static const unsigned int *futex_word(const struct mmun_itree *itree)
{
	return (const unsigned int *)(const void *)&itree->seq;
}

void mmun_itree_wait(struct mmun_itree *itree, unsigned long seq)
{
	for (unsigned int i = 0; i < SPINS; i++) {
		if (mmun_itree_seq(itree) != seq)
			return;
		mmun_cpu_relax();
	}
	/* V: counted before the sequence is looked at; pairs with W. */
	(void)mmun_add_full(&itree->waiters, 1);
	while (mmun_itree_seq(itree) == seq)
		mmun_futex_wait(futex_word(itree), (unsigned int)seq);
	(void)mmun_sub_full(&itree->waiters, 1);
}

static void wake_waiters(const struct mmun_itree *itree)
{
	/* W: the sequence has changed before; pairs with V. */
	if (mmun_load_full(&itree->waiters))
		mmun_futex_wake_all(futex_word(itree));
}

static bool nothing_deferred(const struct mmun_itree *itree)
{
	return !mmun_load_full(&itree->deferred.first);
}

bool mmun_itree_defer(struct mmun_itree *itree, struct mmu_interval_notifier *sub,
		      unsigned long seq)
{
	unsigned long expected = seq;

	mmun_list_add_head(&itree->deferred, &sub->deferred_item);
	/* X: on the list before it is known that nobody is closing; pairs with Q:
	 * the closer sees the list, or loses its CLOSING. */
	if (mmun_cas_full(&itree->seq, &expected, seq))
		return true;
	if (expected == (seq | MMUN_SEQ_CLOSING) && mmun_cas_full(&itree->seq, &expected, seq))
		return true;
	mmun_list_del_init(&sub->deferred_item);
	return false;
}

/*
 * Without a lock and without what was deferred.  False when no section is open
 * and something is deferred.
 */
static bool close_fast(struct mmun_itree *itree)
{
	unsigned long seq = mmun_load_full(&itree->seq), closing = seq | MMUN_SEQ_CLOSING;
	bool idle, clear;

	if (!(seq & 1) || !mmun_itree_idle(itree))
		return true;
	/* Q: CLOSING before sections are counted and the list is looked at; pairs
	 * with P and X. */
	if (!mmun_cas_full(&itree->seq, &seq, closing))
		return true;
	idle = mmun_itree_idle(itree);
	clear = nothing_deferred(itree);
	if (mmun_cas_full(&itree->seq, &closing, idle && clear ? seq + 1 : seq) && idle && clear)
		wake_waiters(itree);
	return !idle || clear;
}

static struct mmu_interval_notifier *to_interval(struct mmun_list_node *item)
{
	return mmun_container_of(item, struct mmu_interval_notifier, deferred_item);
}

/* Returns how many of them nobody waits for. */
static unsigned int apply_deferred(struct mmun_itree *itree)
{
	struct mmu_interval_notifier *sub;
	struct mmun_list_node *item;
	unsigned int abandoned = 0;

	while ((item = mmun_list_first(&itree->deferred))) {
		sub = to_interval(item);
		mmun_list_del_init(item);
		if (!mmun_itree_contains(&sub->interval_tree)) {
			mmun_itree_insert(&itree->root, &sub->interval_tree);
			continue;
		}
		mmun_itree_remove(&itree->root, &sub->interval_tree);
		itree->promised--;
		abandoned += sub->state == MMUN_INTERVAL_ABANDONED;
	}
	return abandoned;
}

/*
 * False when a first walk is under way: it belongs to a section whose end will
 * find the sequence odd, and come here.
 */
static bool close_and_apply(struct mm_struct *mm, struct mmu_notifier_mm *chain)
{
	struct mmun_itree *itree = chain->itree;
	unsigned int abandoned = 0;
	bool ready, closed = false;
	mmun_sigmask saved;

	mmun_chain_lock(chain, &saved);
	ready = mmun_itree_write_begin(itree);
	if (ready) {
		/* Nobody can open a section now: the answer stays true. */
		closed = mmun_itree_odd(itree) && mmun_itree_idle(itree);
		if (closed) {
			abandoned = apply_deferred(itree);
			MMUN_BUG_ON(!mmun_itree_odd(itree));
			(void)mmun_swap_full(&itree->seq, mmun_itree_seq(itree) + 1);
		}
		mmun_itree_write_end(itree);
	}
	mmun_chain_unlock(chain, &saved);
	if (closed)
		wake_waiters(itree);
	while (abandoned--)
		mmdrop(mm);
	return ready;
}

void mmun_itree_close(struct mm_struct *mm, struct mmu_notifier_mm *chain)
{
	struct mmun_itree *itree = chain->itree;
	unsigned int free;
	bool done;

	do {
		free = 0;
		if (!mmun_cas_full(&itree->closing, &free, 1))
			return;
		done = close_fast(itree) || close_and_apply(mm, chain);
		/* Y: let go before the last looks below; pairs with S. */
		mmun_store_full(&itree->closing, 0);
		if (!done && !nobody_inside(itree, MMUN_WALKS_BEGUN, MMUN_WALKS_DONE))
			return;
	} while (mmun_itree_odd(itree) && mmun_itree_idle(itree));
}
