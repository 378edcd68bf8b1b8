/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The device as the files of this folder see it.
 *
 *   address space (gru_mm)    one notifier, its address space number, the sections that are
 *                             open, the faults in flight
 *   context                   one mapping of the device; holds one user of its gru_mm's notifier
 *   slot                      a place of the hardware that holds a context
 *   TLB                       (number, page) -> translation, an array
 *
 * One lock, gru->lock, protects all of it.  Callbacks take it and nothing else; no
 * memory operation happens under it but the device's own accesses.
 *
 * device.c context.c tlb.c notifier.c fault.c.  Tests: tests/contract/secondary/gru.c.
 */
#ifndef MMUN_GRU_DEVICE_H
#define MMUN_GRU_DEVICE_H

#include <pthread.h>

#include "gru.h"
#include "list.h"

/* Sections of one address space whose ranges are kept; more count as covering everything. */
#define GRU_MAX_OPEN 8

struct gru_span {
	unsigned long start, end;
};

static inline bool gru_span_covers(const struct gru_span *span, unsigned long address)
{
	return span->start <= address && address < span->end;
}

/* A look-up under way, on its thread's stack.  A section that begins marks those that it
 * covers, and only those: sections elsewhere never make a fault start again. */
struct gru_fault {
	struct gru_fault *next;
	unsigned long address;
	bool collided;
};

/* What the device knows of one address space; made and freed by get and put. */
struct gru_mm {
	struct mmu_notifier mn;
	struct mm_struct *mm;
	pthread_cond_t section_ended;

	/* gru->lock: */
	unsigned int asid;        /* 0: none */
	unsigned long generation; /* of asid */
	unsigned int nr_contexts;
	unsigned int nr_loaded;
	unsigned int nr_active; /* sections open */
	unsigned int nr_open;   /* ... of them in open[] */
	struct gru_span open[GRU_MAX_OPEN];
	struct gru_fault *faults;
	bool released;
};

struct gru_context {
	struct mmun_gru *gru;
	struct gru_mm *gm;

	/* gru->lock: */
	unsigned int refcount;
	unsigned int mappings; /* 0: closed; more than one while it is being moved */
	int slot;              /* -1: not loaded */
};

struct gru_entry {
	unsigned int asid;  /* 0: empty */
	unsigned long page; /* address */
	struct mmun_soft_translation t;
};

struct gru_slot {
	struct gru_context *context;
	unsigned long used; /* when, in loads */
};

struct mmun_gru {
	struct mmun_soft *soft;
	struct mmun_gru_params params;
	/* A copy per device: one notifier for each (device, address space), and the way
	 * from a notifier to its device. */
	struct mmu_notifier_ops ops;

	pthread_mutex_t lock;
	unsigned int nr_contexts;
	unsigned long loads;
	struct gru_slot *slots;
	struct gru_entry *entries;
	unsigned int next_asid;
	unsigned long generation;
	struct mmun_gru_stats stats;
};

static inline struct gru_mm *gru_mm_of(struct mmu_notifier *mn)
{
	return mmun_container_of(mn, struct gru_mm, mn);
}

static inline struct mmun_gru *gru_of(struct mmu_notifier *mn)
{
	return mmun_container_of(mn->ops, struct mmun_gru, ops);
}

/* gru->lock held: */
#define gru_count(gru, field) ((void)(gru)->stats.field++)

/* context.c */
extern const struct file_operations mmun_gru_fops;
/* The context mapped at @address, with a reference; NULL.  Takes the mmap lock. */
struct gru_context *mmun_gru_context_get(struct mmun_gru *gru, struct mm_struct *mm,
					 unsigned long address);
/* Takes gru->lock; mmap lock held or not. */
void mmun_gru_context_put(struct gru_context *context);

/* tlb.c; gru->lock held. */
/* A slot for the context and a number for its address space. */
void mmun_gru_load_context(struct gru_context *context);
void mmun_gru_unload_context(struct gru_context *context);
/* The context is loaded.  NULL on a miss. */
const struct gru_entry *mmun_gru_tlb_find(struct gru_context *context, unsigned long page,
					  bool write);
void mmun_gru_tlb_add(struct gru_context *context, unsigned long page,
		      const struct mmun_soft_translation *t);
/* Nothing in [start, end) is translated for this address space any more. */
void mmun_gru_tlb_flush(struct mmun_gru *gru, struct gru_mm *gm, unsigned long start,
			unsigned long end);
/* Everything of it. */
void mmun_gru_tlb_forget(struct mmun_gru *gru, struct gru_mm *gm);

/* notifier.c */
extern const struct mmu_notifier_ops mmun_gru_notifier_ops;

/* fault.c */
/* Brings the translation of @address into the TLB.  Sleeps; no lock held.
 * 0; -EFAULT, -ENOMEM, -ENXIO. */
int mmun_gru_fault(struct gru_context *context, unsigned long address, bool write);

#endif
