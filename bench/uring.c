/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What does a read through the cache cost beside fixed buffers that a program registers
 * by hand, once, and for ever?  Those that are registered for each read, and plain
 * reads, stand beside.  The four take turns within each process.
 */
#include <stdio.h>

#include "bench.h"

enum figure { CACHED, BY_HAND, EACH_TIME, PLAIN };

#define SUBJECT(text, bytes, direct) \
	{ \
		.label = text, .argv = { "bench-uring", "uring", bytes, direct, NULL } \
	}

static struct bench_subject subjects[] = {
	SUBJECT("O_DIRECT 4 KiB", "4096", "1"),    SUBJECT("O_DIRECT 64 KiB", "65536", "1"),
	SUBJECT("O_DIRECT 1 MiB", "1048576", "1"), SUBJECT("buffered 4 KiB", "4096", "0"),
	SUBJECT("buffered 64 KiB", "65536", "0"),  SUBJECT("buffered 1 MiB", "1048576", "0"),
};

static void report(const struct bench_subject *subject, enum figure figure, enum figure base,
		   const char *text, const char *goal)
{
	static struct bench_samples ratios;
	double ratio;
	char what[80];

	bench_ratios(&subject->figures[figure], &subject->figures[base], &ratios);
	ratio = bench_spread(&ratios).median;
	snprintf(what, sizeof(what), "%s: %s", subject->label, text);
	bench_report(&(struct bench_row){
		.what = what,
		.unit = "ns",
		.measured = bench_spread(&subject->figures[figure]),
		.ratio = figure == base ? 0 : ratio,
		.goal = goal,
		.verdict = goal ? bench_judge(ratio <= 1.02) : BENCH_INFO,
		.note = goal ? "of those registered by hand" : NULL,
	});
}

void bench_uring(void)
{
	const size_t count = sizeof(subjects) / sizeof(subjects[0]);
	unsigned int generations = (bench_effort.generations + 2) / 3;

	bench_title("io_uring, processor time of one read, four in flight (ratio: to plain reads)");
#if BENCH_HAVE_LIBURING
	bench_take_turns(subjects, count, generations, bench_effort.rounds);
	for (size_t i = 0; i < count; i++) {
		if (subjects[i].absent[0]) {
			bench_report_absent(subjects[i].label, subjects[i].absent);
			continue;
		}
		report(&subjects[i], PLAIN, PLAIN, "plain reads", NULL);
		report(&subjects[i], EACH_TIME, PLAIN, "registered for each read", NULL);
		report(&subjects[i], BY_HAND, PLAIN, "registered by hand", NULL);
		report(&subjects[i], CACHED, BY_HAND, "through the cache", "<= 1.02");
	}
#else
	(void)generations;
	for (size_t i = 0; i < count; i++)
		bench_report_absent(subjects[i].label, "built without liburing");
	(void)report;
#endif
}
