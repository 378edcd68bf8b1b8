/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What does a program pay before anybody subscribes (preloading), and what
 * does the first subscription cost?
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "bench.h"

#define SPAWNS       10
#define FIRST_ROUNDS 15

/* Milliseconds of one start and end of /bin/true, mean of a few. */
static double time_true(const char *preload)
{
	char variable[4200];
	char *environment[] = { variable, NULL };
	char *argv[] = { "true", NULL };
	uint64_t start = bench_now();

	snprintf(variable, sizeof(variable), "%s%s",
		 preload ? "LD_PRELOAD=" : "NOTHING=", preload ? preload : "");
	for (unsigned int i = 0; i < SPAWNS; i++) {
		pid_t pid;
		int status;

		if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environment))
			return -1;
		if (waitpid(pid, &status, 0) < 0 || status)
			return -1;
	}
	return (double)(bench_now() - start) / 1e6 / SPAWNS;
}

struct preload {
	const char *label;
	const char *library;
	struct bench_samples samples;
};

static void report_preload(const struct preload *preload, const struct preload *base, bool has_goal)
{
	static struct bench_samples extra;
	struct bench_row row = { .what = preload->label, .unit = "ms", .note = "more" };

	bench_differences(&preload->samples, &base->samples, &extra);
	row.measured = bench_spread(&extra);
	if (has_goal) {
		row.goal = "<= 0.5 ms more";
		row.verdict = bench_judge(row.measured.median <= 0.5);
	}
	bench_report(&row);
}

static void measure_preloads(void)
{
	static struct preload preloads[] = {
		{ .label = "/bin/true, nothing preloaded" },
		{ .label = "preloading libmmunotify.so", .library = BENCH_LIBMMUNOTIFY },
		{ .label = "preloading UCX (libucs)", .library = "libucs.so.0" },
		{ .label = "preloading libfabric", .library = "libfabric.so.1" },
	};
	const size_t count = BENCH_HAVE_PEERS ? 4 : 2;
	unsigned int rounds = bench_effort.rounds * bench_effort.generations;

	for (unsigned int round = 0; round < rounds; round++)
		for (size_t i = 0; i < count; i++) {
			struct preload *p = &preloads[(i + round) % count];

			bench_add(&p->samples, time_true(p->library));
		}
	bench_report(&(struct bench_row){
		.what = preloads[0].label,
		.unit = "ms",
		.measured = bench_spread(&preloads[0].samples),
	});
	for (size_t i = 1; i < count; i++)
		report_preload(&preloads[i], &preloads[0], i == 1);
}

/* Each sample is a new process: a first time comes once. */
static void report_first(const char *what, char *const *argv, const char *unit, double limit,
			 const char *goal)
{
	struct bench_samples samples = { .count = 0 };
	struct bench_row row = { .what = what, .unit = unit, .goal = goal };

	for (unsigned int i = 0; i < FIRST_ROUNDS; i++) {
		double figures[BENCH_FIGURES];
		struct bench_child child;

		bench_spawn(&child, argv);
		if (!bench_ask(&child, figures, 20)) {
			bench_report_absent(what, child.ended);
			return;
		}
		bench_reap(&child);
		bench_add(&samples, figures[0]);
	}
	row.measured = bench_spread(&samples);
	if (goal)
		row.verdict = bench_judge(row.measured.min >= 0 && row.measured.median <= limit);
	bench_report(&row);
}

void bench_startup(void)
{
	char *ours[] = { "bench-mmunotify", "first", NULL };
	char *ucx[] = { "bench-plain", "load", "libucs.so.0", NULL };
	char *memhooks[] = { "bench-libfabric", "first", NULL };

	bench_title("starting a program, and the first subscription");
	measure_preloads();
	report_first("first mmu_notifier_register (patching)", ours, "us", 1000, "<= 1 ms");
	if (!BENCH_HAVE_PEERS)
		return;
	report_first("dlopen of UCX (libucs), its hooks included", ucx, "ms", 0, NULL);
	report_first("libfabric memhooks: start", memhooks, "us", 0, NULL);
}
