/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What an audit has found: registrations that outlived their memory, those of one place that
 * one place made stale as one finding.
 */
#ifndef MMUN_TOOL_AUDIT_FINDINGS_H
#define MMUN_TOOL_AUDIT_FINDINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "../trace/collect.h"
#include "../trace/symbolize.h"
#include "audit.h"

struct stack {
	unsigned int nr;
	struct record_frame frames[RING_MAX_FRAMES];
};

struct suppression;

struct finding {
	unsigned int kind, op, mapping;
	/* Of the memory; NULL: none. */
	const char *name;
	struct stack made, changed, used;
	/* The first registration of them: as the process sent it. */
	uint32_t pid, tid;
	int32_t holder;
	uint64_t index, start, end, stale_start, stale_end;
	/* CLOCK_MONOTONIC; ->used_at and ->dropped_at 0: it was not. */
	uint64_t made_at, changed_at, used_at, dropped_at;

	/* Registrations in all, and what became of them. */
	unsigned long nr, nr_used, nr_unknown, nr_dropped, nr_at_end;
	/* Of all of them; and of those, stale. */
	uint64_t bytes, stale_bytes;
	/* Dropped unused within the time that is granted: not counted above. */
	unsigned long nr_deferred;

	/* In the order of their appearance. */
	struct finding *next;
	const struct suppression *suppressed;
};

struct findings {
	/* How long after the change an unused registration may be dropped, ns. */
	uint64_t grace;
	struct finding *first, **last;
	struct key_map by_place, live;
	/* Totals of the processes. */
	uint64_t registered, unwatched, unseen, raced, deferred, unknown;
	bool out_of_memory;
};

void findings_init(struct findings *findings, uint64_t grace);
void findings_free(struct findings *findings);

/* Takes one message of the preloaded object. */
void findings_take(struct findings *findings, struct collector *collector,
		   const struct ring_message *message);
/* Nobody sends any more: what is still open was there at the end, killed perhaps. */
void findings_finish(struct findings *findings);

/* "io_uring", "fixed buffer of io_uring" */
const char *audit_kind_name(unsigned int kind);
const char *audit_kind_meaning(unsigned int kind);

#endif
