/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Interleaved measurement.  What the machine does meanwhile hits neighbours in
 * the same round alike, so figures of one round are compared with each other;
 * and a process keeps its luck (layout, cache colours) for life, so there are
 * several generations of processes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* Seconds after which a worker counts as hung; setting one up included. */
#define BATCH_LIMIT 60

static bool start_all(struct bench_subject *subjects, struct bench_child *children, size_t count)
{
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		if (subjects[i].absent[0])
			continue;
		bench_spawn(&children[i], subjects[i].argv);
		any = true;
	}
	return any;
}

static void ask_one(struct bench_subject *subject, struct bench_child *child, bool keep)
{
	double figures[BENCH_FIGURES];

	if (subject->absent[0])
		return;
	if (!bench_ask(child, figures, BATCH_LIMIT)) {
		snprintf(subject->absent, sizeof(subject->absent), "%s", child->ended);
		return;
	}
	for (unsigned int i = 0; keep && i < BENCH_FIGURES; i++)
		bench_add(&subject->figures[i], figures[i]);
}

static void run_generation(struct bench_subject *subjects, struct bench_child *children,
			   size_t count, unsigned int rounds)
{
	/* Round 0 warms up and is not kept. */
	for (unsigned int round = 0; round <= rounds; round++)
		for (size_t i = 0; i < count; i++) {
			size_t turn = (i + round) % count;

			ask_one(&subjects[turn], &children[turn], round > 0);
		}
}

void bench_take_turns(struct bench_subject *subjects, size_t count, unsigned int generations,
		      unsigned int rounds)
{
	struct bench_child *children = calloc(count, sizeof(*children));

	if (!children)
		return;
	for (unsigned int g = 0; g < generations; g++) {
		char generation[16];

		snprintf(generation, sizeof(generation), "%u", g);
		setenv("BENCH_GENERATION", generation, 1);
		if (start_all(subjects, children, count))
			run_generation(subjects, children, count, rounds);
		for (size_t i = 0; i < count; i++)
			bench_reap(&children[i]);
	}
	free(children);
}
