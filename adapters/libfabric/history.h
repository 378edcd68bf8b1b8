/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What has lately happened to memory, for readers that hold locks which no callback of the
 * chain may take.
 *
 * H1  Each edge of a section has a number, one more than the edge before it, in whatever
 *     thread.  A section's start has got its number before memory changes, and its end gets
 *     another one after that, unless nothing changed.
 * H2  An edge is readable from its publication until LF_EDGES later ones have got numbers.
 *     A number that is not readable, for whichever reason, counts as a change of everything:
 *     its writer was stopped between number and publication, or an older writer, stopped
 *     likewise, holds the place, or it is long ago.  Nobody waits for a writer.
 * H3  A section is listed among the open ones before its start has a number and until after
 *     its end has one.  So what happened to pages that were taken after number L, seen by a
 *     reader that took number N later, is: the edges in (L, N], and the sections that the
 *     reader finds open.  Every other change has a number above N, or was over at L.
 * H4  Sections that found no place in the list are counted.  As long as one is open,
 *     everything is.
 *
 * The memory is wiped in a forked child: there is no history there.
 *
 * Not here: whose pages they are (entries.h).
 * Tests: tests/unit/adapters/history.c, tests/torture/adapter_history.c, tests/model/history.pml.
 */
#ifndef MMUN_ADAPTERS_LIBFABRIC_HISTORY_H
#define MMUN_ADAPTERS_LIBFABRIC_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define LF_EDGES  16384u
#define LF_PLACES 128u

struct lf_edge {
	/* 0: never used; a number; LF_BUSY and a number: being written. */
	uint64_t number;
	unsigned long start, end;
	unsigned long reserved;
};

struct lf_place {
	/* 0: free; what was given to lf_history_start(); with the lowest bit: being written. */
	unsigned long owner;
	unsigned long start, end;
	unsigned long reserved[5];
};

struct lf_history {
	/* The number of the latest edge. */
	uint64_t last;
	uint64_t reserved1[7];
	/* Open sections that found no place. */
	uint64_t unlisted;
	uint64_t reserved2[7];
	struct lf_place places[LF_PLACES];
	struct lf_edge edges[LF_EDGES];
};

/**
 * lf_history_start() - a section of [start, end) opens.
 * @owner: what the end is found by: even, not 0, and no other open section's
 *
 * Context: any, signal handlers inside of it too; never waits.
 * Return: the number of the start.
 */
uint64_t lf_history_start(struct lf_history *history, unsigned long owner, unsigned long start,
			  unsigned long end);

/** lf_history_end() - that section closes; @changed: it may have changed something. */
void lf_history_end(struct lf_history *history, unsigned long owner, unsigned long start,
		    unsigned long end, bool changed);

/** lf_history_now() - the number of the latest edge.  Context: any. */
uint64_t lf_history_now(const struct lf_history *history);

/** lf_history_take() - a number of the caller's own, an edge of nothing.  Context: any. */
uint64_t lf_history_take(struct lf_history *history);

/**
 * lf_history_changed() - is there an edge in (since, now] that overlaps [start, end)?
 *
 * Context: any; never waits for long.
 * Return: false: there is none; true: there is, or it cannot be known (H2).
 */
bool lf_history_changed(const struct lf_history *history, unsigned long start, unsigned long end,
			uint64_t since, uint64_t now);

#define LF_HULL 16u

/** struct lf_hull - ranges that cover others, and maybe more. */
struct lf_hull {
	unsigned int nr;
	unsigned long start[LF_HULL], end[LF_HULL];
};

/**
 * lf_history_hull() - ranges that cover all edges in (since, now].
 *
 * Many ranges are found unchanged by one walk over the edges.
 * Return: false: they cannot be known (H2).
 */
bool lf_history_hull(const struct lf_history *history, uint64_t since, uint64_t now,
		     struct lf_hull *hull);

/** lf_hull_overlaps() - if not, no edge of the hull overlaps [start, end). */
bool lf_hull_overlaps(const struct lf_hull *hull, unsigned long start, unsigned long end);

/** lf_history_open() - is a section open that overlaps [start, end) (H3, H4)? */
bool lf_history_open(const struct lf_history *history, unsigned long start, unsigned long end);

#endif
