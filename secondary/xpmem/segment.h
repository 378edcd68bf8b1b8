/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The device as the files of this folder see it.
 *
 *   exporter    an address space with segments; its notifier
 *   segment     a range of an exporter; referenced by its files and mappings
 *   attachment  a mapping of a segment in an importer, with the pages it has pinned
 *
 * Locks, outermost first: importer's mmap lock, x->lock.  The exporter's mmap lock
 * is only tried, under the importer's.  Callbacks hold locks of the exporter and
 * need the importer's mmap lock: they hand that to the device's thread, which holds
 * nothing, and sleep until it is done.
 *
 * xpmem.c segment.c attach.c notifier.c worker.c.  Tests: tests/contract/secondary/xpmem.c.
 */
#ifndef MMUN_XPMEM_SEGMENT_H
#define MMUN_XPMEM_SEGMENT_H

#include <pthread.h>

#include "list.h"
#include "xpmem.h"

/* Sections whose ranges are kept; more count as covering everything. */
#define XP_MAX_OPEN 8

struct xp_span {
	unsigned long start, end;
};

static inline bool xp_covers(const struct xp_span *span, unsigned long address)
{
	return span->start <= address && address < span->end;
}

/* A look-up under way, on its thread's stack. */
struct xp_fault {
	struct xp_fault *next;
	unsigned long address; /* the exporter's */
	bool collided;
};

struct xp_segment;

/* Made and freed by get and put: a user per segment. */
struct xp_exporter {
	struct mmu_notifier mn;
	struct mm_struct *mm;

	/* x->lock: */
	struct xp_segment *segments;
	unsigned int nr_active, nr_open;
	struct xp_span open[XP_MAX_OPEN];
	struct xp_fault *faults;
	/* Faults under way, and users of the mm that the device's thread has yet to put:
	 * the last segment waits for both before it puts the notifier. */
	unsigned int busy;
	unsigned int users_to_put;
	struct xp_exporter *next_to_put;
	bool released;
};

struct xp_attachment;

struct xp_segment {
	struct mmun_xpmem *x;
	unsigned long id, address, size;

	/* x->lock: */
	unsigned int refcount;
	bool listed;
	struct xp_segment *next;      /* of the device, if listed */
	struct xp_exporter *exporter; /* NULL: ended */
	/* Beyond the end, until no importer has a page: so long sections wait for it. */
	struct xp_exporter *owner;
	struct xp_segment *next_of_owner;
	struct xp_attachment *attachments;
};

struct xp_attachment {
	struct xp_segment *segment;
	struct mm_struct *mm;  /* a reference of the struct */
	unsigned long address; /* the exporter's, of the first page */
	unsigned long nr_pages;

	/* x->lock: */
	unsigned int refcount;
	unsigned int mappings; /* more than one while it is being moved */
	struct xp_attachment *next;
	/* The importer is exiting: its entries go without us. */
	bool leaving;
	struct page *pages[]; /* pinned, or NULL */
};

/* What a callback waits for, on its stack. */
struct xp_zap {
	struct xp_zap *next;
	struct xp_attachment *attachment;
	unsigned long first, last; /* pages */
	bool done;
};

struct mmun_xpmem {
	struct mmun_soft *soft;
	struct mmun_xpmem_params params;
	/* A copy per device: the way from a notifier to its device. */
	struct mmu_notifier_ops ops;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t work;    /* for the thread */
	pthread_cond_t changed; /* for who waits for it, or for faults */
	struct xp_segment *segments;
	unsigned int nr_segments; /* with those that only files and mappings hold */
	unsigned long last_id;
	struct xp_zap *zaps, **last_zap;
	struct xp_exporter *to_put;
	bool putting;
	bool stopping;
	struct mmun_xpmem_stats stats;
};

static inline struct xp_exporter *xp_exporter_of(struct mmu_notifier *mn)
{
	return mmun_container_of(mn, struct xp_exporter, mn);
}

static inline struct mmun_xpmem *xp_of(const struct mmu_notifier *mn)
{
	return mmun_container_of(mn->ops, struct mmun_xpmem, ops);
}

/* All of these: x->lock held, unless said. */

#define xp_count(x, field) ((void)(x)->stats.field++)

/* segment.c */
void mmun_xpmem_segment_put(struct xp_segment *segment);
/* Off the device's list, where mappings keep it as long as there are any. */
void mmun_xpmem_segment_forget(struct xp_segment *segment);
/* Does @mm export / import anything of @x? */
bool mmun_xpmem_exports(const struct mmun_xpmem *x, const struct mm_struct *mm);
bool mmun_xpmem_imports(const struct mmun_xpmem *x, const struct mm_struct *mm);
/* Takes the segment from its exporter, and the pages from its importers.  Drops the
 * lock meanwhile.  False: somebody else has done it. */
bool mmun_xpmem_segment_end(struct xp_segment *segment);

/* attach.c */
extern const struct file_operations mmun_xpmem_fops;
void mmun_xpmem_attachment_put(struct xp_attachment *attachment);
/* Unpins the pages [first, last), which no entry of the importer maps any more. */
void mmun_xpmem_attachment_unpin(struct xp_attachment *attachment, unsigned long first,
				 unsigned long last);
/* Drops the importer's entries of [first, last).  Takes its mmap lock; x->lock NOT held. */
void mmun_xpmem_attachment_zap(struct xp_attachment *attachment, unsigned long first,
			       unsigned long last);

/* notifier.c */
extern const struct mmu_notifier_ops mmun_xpmem_notifier_ops;
bool mmun_xpmem_section_open(const struct xp_exporter *exporter, unsigned long address);
/* Takes all pages of [start, end) from the importers of @segment.  Drops the lock. */
void mmun_xpmem_take_back(struct xp_segment *segment, unsigned long start, unsigned long end);
/* Is there one? */
bool mmun_xpmem_has_pages(const struct xp_segment *segment, unsigned long start, unsigned long end);

/* worker.c */
int mmun_xpmem_worker_start(struct mmun_xpmem *x);
void mmun_xpmem_worker_stop(struct mmun_xpmem *x); /* lock not held */
/* Has the thread do it and sleeps until it is done.  Drops the lock. */
void mmun_xpmem_worker_zap(struct mmun_xpmem *x, struct xp_attachment *attachment,
			   unsigned long first, unsigned long last);
/* The thread drops a user of the exporter's mm, later; ends one ->busy. */
void mmun_xpmem_worker_mmput(struct mmun_xpmem *x, struct xp_exporter *exporter);

#endif
