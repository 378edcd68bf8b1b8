/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sections that a thread has open, from start to end: a small stack, in thread-local storage.
 * The range's address says which end belongs to which start, so a section that never ends (its
 * thread was unwound) costs nothing but a place that the next end below it frees.
 *
 * Context: the owning thread and its signal handlers.  Tests: tests/system/trace_*.py, audit.py.
 */
#ifndef MMUN_TOOL_TRACE_PENDING_H
#define MMUN_TOOL_TRACE_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mmunotify/mmu_notifier.h>

/* One call opens up to 16 sections; signal handlers may add theirs. */
#define MAX_PENDING 24

struct open_section {
	const struct mmu_notifier_range *range;
	uint64_t began, name, stack;
	union {
		/* trace: in the file, of the range's first byte. */
		uint64_t offset;
		/* audit: registrations from this number on were made meanwhile. */
		uint64_t first_new;
	};
	uint8_t kind;
	/* trace: there are more mappings; it may change which there are. */
	bool more, changes;
};

struct pending {
	unsigned int depth;
	struct open_section sections[MAX_PENDING];
};

/* A place for the section of @range; NULL: there is none left. */
static inline struct open_section *pending_push(struct pending *pending,
						const struct mmu_notifier_range *range)
{
	struct open_section *section;

	if (pending->depth >= MAX_PENDING)
		return NULL;
	/* The place first: from then on a signal handler uses those above. */
	section = &pending->sections[pending->depth++];
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	section->range = range;
	return section;
}

/* Takes the section of @range, and any above it, off the stack; false: not there. */
static inline bool pending_pop(struct pending *pending, const struct mmu_notifier_range *range,
			       struct open_section *out)
{
	for (unsigned int i = pending->depth; i--;) {
		if (pending->sections[i].range != range)
			continue;
		*out = pending->sections[i];
		/* Now a signal handler may use the place again. */
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		pending->depth = i;
		return true;
	}
	return false;
}

#endif
