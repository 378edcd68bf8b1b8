/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Does patching survive busy threads?  Not a time: rounds done, processes
 * lost, calls missed after the patch had returned.
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define BUSY        "8"
#define PEER_RUNS   5
#define PEER_ROUNDS "500"
#define UCX_LOADS   20

static void measure_ours(void)
{
	char rounds[16], note[160];
	char *argv[] = { "bench-mmunotify", "patching", rounds, BUSY, NULL };
	struct bench_child child;
	double figures[BENCH_FIGURES] = { 0 };
	bool alive;

	snprintf(rounds, sizeof(rounds), "%u", bench_effort.patch_rounds);
	bench_spawn(&child, argv);
	alive = bench_ask(&child, figures, 600);
	bench_reap(&child);
	if (alive)
		snprintf(note, sizeof(note), "%.0f calls, %.0f checked, %.0f missed", figures[1],
			 figures[2], figures[3]);
	else
		snprintf(note, sizeof(note), "%s", child.ended);
	bench_report(&(struct bench_row){
		.what = "mmunotify, 8 busy threads: rounds done",
		.unit = "",
		.measured = { figures[0], figures[0], figures[0] },
		.goal = "all, 0 missed",
		.verdict = bench_judge(alive && figures[0] == bench_effort.patch_rounds &&
				       figures[2] > 0 && figures[3] == 0),
		.note = note,
	});
}

/* @runs processes; how many of them were lost, and how the last one was. */
static void measure_losses(const char *what, char *const *argv, unsigned int runs,
			   unsigned int seconds)
{
	unsigned int lost = 0;
	char note[200] = "", last[120] = "none lost";

	for (unsigned int i = 0; i < runs; i++) {
		double figures[BENCH_FIGURES];
		struct bench_child child;

		bench_spawn(&child, argv);
		if (!bench_ask(&child, figures, seconds)) {
			lost++;
			memcpy(last, child.ended, sizeof(last));
		}
		bench_reap(&child);
	}
	snprintf(note, sizeof(note), "of %u; the last: %s", runs, last);
	bench_report(&(struct bench_row){
		.what = what,
		.unit = "",
		.measured = { lost, lost, lost },
		.note = lost ? note : "none lost",
	});
}

void bench_patching(void)
{
	char *memhooks[] = { "bench-libfabric", "patching", PEER_ROUNDS, BUSY, NULL };
	char *ucx[] = { "bench-plain", "load", "libucs.so.0", "4", NULL };

	bench_title("patching and unpatching under busy threads");
	measure_ours();
	if (!BENCH_HAVE_PEERS)
		return;
	measure_losses("libfabric memhooks, 500 rounds: processes lost", memhooks, PEER_RUNS, 60);
	measure_losses("UCX, loads under 4 busy threads: processes lost", ucx, UCX_LOADS, 10);
}
