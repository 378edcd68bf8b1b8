/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What does a program pay for `mmunotify trace`, beside strace with its fastest filter of the
 * same calls?  Calls that map and unmap, that give memory back, an allocator that does so
 * with each large block, and programs that start programs.
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define TRACE    BENCH_TOOL, "trace", "-o", "/dev/null"
#define STRACE   "/usr/bin/strace", "-f", "--seccomp-bpf", "-e", "trace=memory", "-o", "/dev/null"
#define TCMALLOC "LD_PRELOAD=libtcmalloc_minimal.so.4", "TCMALLOC_AGGRESSIVE_DECOMMIT=1"

#define SUBJECT(text, ...) \
	{ \
		.label = text, .argv = { __VA_ARGS__, NULL } \
	}

/* In the order of each table. */
enum { PLAIN, ANOTHER, TRACED, TRACED_STACKS, TRACED_STRICT, STRACED, NR_WAYS };

#define SUBJECTS(...) \
	{ \
		[PLAIN] = SUBJECT("nobody watches", __VA_ARGS__), \
		[ANOTHER] = SUBJECT("nobody watches, another process", __VA_ARGS__), \
		[TRACED] = SUBJECT("mmunotify trace", TRACE, "--", __VA_ARGS__), \
		[TRACED_STACKS] = SUBJECT("mmunotify trace -k", TRACE, "-k", "--", __VA_ARGS__), \
		[TRACED_STRICT] = \
			SUBJECT("mmunotify trace --strict", TRACE, "--strict", "--", __VA_ARGS__), \
		[STRACED] = SUBJECT("strace --seccomp-bpf", STRACE, __VA_ARGS__), \
	}

static struct bench_subject cycle[NR_WAYS] = SUBJECTS(BENCH_PLAIN, "cycle", "plain");
static struct bench_subject advice[NR_WAYS] = SUBJECTS(BENCH_PLAIN, "advice", "plain");
static struct bench_subject allocator[NR_WAYS] =
	SUBJECTS("/usr/bin/env", TCMALLOC, BENCH_PLAIN, "blocks");
static struct bench_subject starts[NR_WAYS] = SUBJECTS(BENCH_PLAIN, "start");

/* What of the figure is more than in the same round without anybody. */
static double excess_of(const struct bench_subject *subject, const struct bench_subject *plain)
{
	static struct bench_samples more;

	bench_differences(&subject->figures[0], &plain->figures[0], &more);
	return bench_spread(&more).median;
}

/* @limit: of the excess. */
static void report(const struct bench_subject *subject, const struct bench_subject *plain,
		   const char *unit, const char *goal, double limit)
{
	static struct bench_samples ratios;
	struct bench_row row = { .what = subject->label, .unit = unit };
	double more;
	char note[32];

	if (subject->absent[0] || plain->absent[0]) {
		bench_report_absent(subject->label, subject->absent);
		return;
	}
	more = excess_of(subject, plain);
	bench_ratios(&subject->figures[0], &plain->figures[0], &ratios);
	row.measured = bench_spread(&subject->figures[0]);
	row.ratio = bench_spread(&ratios).median;
	row.goal = goal;
	row.verdict = goal ? bench_judge(more <= limit) : BENCH_INFO;
	snprintf(note, sizeof(note), "%+.3g %s", more, unit);
	row.note = note;
	bench_report(&row);
}

static void ask(struct bench_subject *subjects, const char *title, const char *unit)
{
	unsigned int generations = (bench_effort.generations + 2) / 3;
	const struct bench_subject *peer = &subjects[STRACED];
	bool milliseconds = !strcmp(unit, "ms");

	bench_title(title);
	bench_take_turns(subjects, NR_WAYS, generations, bench_effort.rounds);
	for (size_t i = 0; i < NR_WAYS; i++) {
		const char *goal = NULL;
		double limit = 0;

		if (i == TRACED && milliseconds) {
			goal = "<= 1 ms more";
			limit = 1;
		} else if (i == TRACED && !peer->absent[0]) {
			goal = "<= half of strace's excess";
			limit = excess_of(peer, &subjects[PLAIN]) / 2;
		}
		report(&subjects[i], &subjects[PLAIN], unit, goal, limit);
	}
}

void bench_trace(void)
{
	ask(cycle, "traced: mmap + munmap of 64 KiB, untouched", "ns");
	ask(advice, "traced: madvise(MADV_DONTNEED) of an untouched page", "ns");
	ask(allocator, "traced: malloc + free of 4 MiB, tcmalloc that gives memory back at once",
	    "ns");
	ask(starts, "traced: starting /bin/true", "ms");
}
