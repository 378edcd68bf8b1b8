/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sequence counters and locks: readers repeat. */
#ifndef MMUN_COMPAT_LINUX_SEQLOCK_H
#define MMUN_COMPAT_LINUX_SEQLOCK_H

#include <asm/processor.h>
#include <linux/spinlock.h>

typedef struct seqcount {
	unsigned int sequence;
} seqcount_t;

typedef struct {
	seqcount_t seqcount;
	spinlock_t lock;
} seqlock_t;

#define SEQCNT_ZERO(name) \
	{ \
		.sequence = 0 \
	}
#define seqcount_init(s)     ((s)->sequence = 0)
#define DEFINE_SEQLOCK(name) seqlock_t name = { { 0 }, __SPIN_LOCK_UNLOCKED(name) }

static inline unsigned int read_seqcount_begin(const seqcount_t *s)
{
	unsigned int seq;

	while ((seq = __atomic_load_n(&s->sequence, __ATOMIC_ACQUIRE)) & 1)
		cpu_relax();
	return seq;
}

static inline int read_seqcount_retry(const seqcount_t *s, unsigned int seq)
{
	smp_rmb();
	return READ_ONCE(s->sequence) != seq;
}

static inline void write_seqcount_begin(seqcount_t *s)
{
	WRITE_ONCE(s->sequence, s->sequence + 1);
	smp_wmb();
}

static inline void write_seqcount_end(seqcount_t *s)
{
	smp_store_release(&s->sequence, s->sequence + 1);
}

static inline void seqlock_init(seqlock_t *sl)
{
	seqcount_init(&sl->seqcount);
	spin_lock_init(&sl->lock);
}

#define read_seqbegin(sl)      read_seqcount_begin(&(sl)->seqcount)
#define read_seqretry(sl, seq) read_seqcount_retry(&(sl)->seqcount, seq)

static inline void write_seqlock(seqlock_t *sl)
{
	spin_lock(&sl->lock);
	write_seqcount_begin(&sl->seqcount);
}

static inline void write_sequnlock(seqlock_t *sl)
{
	write_seqcount_end(&sl->seqcount);
	spin_unlock(&sl->lock);
}

#endif
