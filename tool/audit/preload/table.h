/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of registrations, for the files that fill it and that look at it. */
#ifndef MMUN_TOOL_AUDIT_TABLE_H
#define MMUN_TOOL_AUDIT_TABLE_H

#include <interval_tree.h>
#include <sigmask.h>

#include "watch.h"

#define NR_BUCKETS 4096
#define PAGE       4096ul

enum state { PENDING, ACTIVE, STALE };

struct registration {
	/* Pages; in the tree from watch_begin() on. */
	struct mmun_interval interval;
	struct known_by name;
	/* In the bucket of its name, or the free list. */
	struct registration *next;
	uint64_t id;
	/* In bytes. */
	unsigned long start, end;
	unsigned long stale_start, stale_end;
	uint64_t made, made_stack;
	uint8_t state;
	bool shared, raced, used, unknown;
};

struct table {
	unsigned int kinds;
	uint32_t lock;
	uint64_t next_id;
	struct mmun_interval_tree tree;
	struct registration *buckets[NR_BUCKETS];
	struct registration *free;
	/* What has ever been registered lies between these. */
	unsigned long low, high;
	/* In the table now. */
	unsigned long present;
	/* Stale and not known to be used, per kind. */
	unsigned long stale[AUDIT_NR_KINDS];
	unsigned long registered, unwatched, unseen;
};
extern struct table table;

struct held {
	mmun_sigmask mask;
};

/* False, and counted: somebody holds it who does not go on. */
bool table_lock(struct held *held);
void table_unlock(const struct held *held);

/* The others with the lock held. */

struct registration **table_bucket(const struct known_by *name);
struct registration *table_find(const struct known_by *name);
/* NULL: no memory, which is counted. */
struct registration *table_insert(enum audit_kind kind, unsigned long start, unsigned long end);
void table_take_out(struct registration *reg);
/* The same, and says so of a stale one. */
void table_drop(struct registration *reg, uint64_t stack);
/* A message about it, and its sending. */
struct ring_audit table_describe(const struct registration *reg, enum audit_what what,
				 uint64_t stack);
void table_say(const struct registration *reg, enum audit_what what, uint64_t time, uint64_t stack);

/* It is stale and its use is still of interest. */
static inline bool is_open_question(const struct registration *reg)
{
	return reg->state == STALE && !reg->used;
}

#endif
