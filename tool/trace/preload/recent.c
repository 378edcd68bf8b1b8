/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of mappings that a thread asked about a moment ago.
 *
 * An allocator that gives pages back (MADV_DONTNEED) asks about the same mapping again and
 * again, and the question costs several times what the call does.  So each thread keeps the
 * last few answers.  One is good while no section that may change mappings has begun
 * since before it was asked for (mmunotify/seq.h), and for LIFETIME_NS: that bounds how
 * long a change shows that nobody heard of (a name given by prctl(), a call that is
 * not redirected).
 *
 * Limits: memory of another thread's stack that is given back by itself shows as anonymous
 * if the kernel has joined the stack with what lies above it.
 *
 * Invariants: a signal handler that finds the thread's answers in use neither reads nor
 * writes them; a section that never ends leaves everybody without answers, not with
 * wrong ones.  Tests: tests/unit/tool/recent.c.
 */
#include <mmunotify/seq.h>

#include "tracer.h"

#define LIFETIME_NS 1000000u
#define NR_ANSWERS  4u

struct answer {
	struct recent found;
	unsigned long seq;
	/* When it was asked for; 0: no answer. */
	uint64_t asked;
};

static struct mmun_seq changes;

static __thread struct {
	/* Set while a thread, or a handler on it, is inside. */
	bool busy;
	unsigned int next;
	struct answer answers[NR_ANSWERS];
} mine;

void recent_change_begins(void)
{
	mmun_seq_start(&changes);
}

void recent_change_ends(void)
{
	mmun_seq_end(&changes);
}

void recent_stop(void)
{
	mmun_seq_kill(&changes);
}

static bool enter(void)
{
	if (mine.busy)
		return false;
	mine.busy = true;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return true;
}

static void leave(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	mine.busy = false;
}

/* The only thread of a child is not inside, or it is the one that calls. */
void recent_reset(void)
{
	for (unsigned int i = 0; i < NR_ANSWERS; i++)
		mine.answers[i].asked = 0;
	mine.busy = false;
	changes = (struct mmun_seq){ 0 };
}

bool recent_find(unsigned long start, unsigned long end, uint64_t now, struct recent *out)
{
	bool found = false;

	if (!enter())
		return false;
	for (unsigned int i = 0; i < NR_ANSWERS && !found; i++) {
		const struct answer *answer = &mine.answers[i];

		found = answer->asked && now - answer->asked < LIFETIME_NS &&
			answer->found.span.start <= start && end <= answer->found.span.end &&
			!mmun_seq_retry(&changes, answer->seq);
		if (found)
			*out = answer->found;
	}
	leave();
	return found;
}

bool recent_begin(unsigned long *seq)
{
	return mmun_seq_begin(&changes, seq);
}

void recent_remember(const struct recent *found, unsigned long seq, uint64_t now)
{
	if (!enter())
		return;
	mine.answers[mine.next] = (struct answer){ .found = *found, .seq = seq, .asked = now };
	mine.next = (mine.next + 1) % NR_ANSWERS;
	leave();
}
