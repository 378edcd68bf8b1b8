/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A generation counter with both edges, for whoever caches translations.
 *
 * Watching starts alone hands out stale answers: a translation looked up after
 * the start and before the change is cached after its only notice has passed.
 * So the counter holds {start, end, dead} and nothing is cached while
 * start != end:
 *
 *     invalidate_range_start:  mmun_seq_start(&seq);     (a section opens)
 *     invalidate_range_end:    mmun_seq_end(&seq);       (it closes)
 *     release:                 mmun_seq_kill(&seq);      (nothing is cached again)
 *
 *     lookup:  if (!mmun_seq_begin(&seq, &s)) do not cache (a section is open);
 *              pin or look up;
 *              if (mmun_seq_retry(&seq, s)) throw it away and start again;
 *              cache it together with s;
 *     hit:     valid while !mmun_seq_retry(&seq, s): one load.
 *
 * Ordering: starts are published before the change they announce, ends after
 * it; begin reads end before start, so a section that opened in between is
 * seen as open.  All counters are full-barrier updates, all reads acquire.
 */
#ifndef MMUNOTIFY_SEQ_H
#define MMUNOTIFY_SEQ_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct mmun_seq {
	unsigned long start;
	unsigned long end;
	unsigned long dead;
};

/* What callbacks call is always inlined: a callback that sanitizers do not instrument
 * (mmunotify(7)) calls nothing that they do. */
static inline __attribute__((always_inline)) void mmun_seq_start(struct mmun_seq *seq)
{
	__atomic_fetch_add(&seq->start, 1, __ATOMIC_SEQ_CST);
}

static inline __attribute__((always_inline)) void mmun_seq_end(struct mmun_seq *seq)
{
	__atomic_fetch_add(&seq->end, 1, __ATOMIC_SEQ_CST);
}

/* Opens a section that never ends. */
static inline __attribute__((always_inline)) void mmun_seq_kill(struct mmun_seq *seq)
{
	__atomic_store_n(&seq->dead, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&seq->start, 1, __ATOMIC_SEQ_CST);
}

static inline bool mmun_seq_begin(const struct mmun_seq *seq, unsigned long *s)
{
	unsigned long end = __atomic_load_n(&seq->end, __ATOMIC_ACQUIRE);
	unsigned long start = __atomic_load_n(&seq->start, __ATOMIC_SEQ_CST);

	*s = start;
	return start == end && !__atomic_load_n(&seq->dead, __ATOMIC_ACQUIRE);
}

static inline bool mmun_seq_retry(const struct mmun_seq *seq, unsigned long s)
{
	return __atomic_load_n(&seq->start, __ATOMIC_SEQ_CST) != s;
}

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
