/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What do interval notifiers cost, and does their number matter? */
#include <stdio.h>

#include "bench.h"

#define GENERATIONS 2

static const struct size {
	char *count, *label;
} sizes[] = { { "1000", "1k" }, { "100000", "100k" }, { "1000000", "1M" } };

#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* Per size: changes, sections of one thread, of two. */
enum { CHANGES, ONE, TWO, PER_SIZE };

static void describe(struct bench_subject *subjects, const struct size *size)
{
	subjects[CHANGES] = (struct bench_subject){
		.label = size->label, .argv = { "bench-interval", "changes", size->count, NULL }
	};
	subjects[ONE] = (struct bench_subject){ .label = size->label,
						.argv = { "bench-interval", "sections", size->count,
							  "1", NULL } };
	subjects[TWO] = (struct bench_subject){ .label = size->label,
						.argv = { "bench-interval", "sections", size->count,
							  "2", NULL } };
}

/* @limit: 0: no goal. */
static void report(const struct bench_subject *subject, unsigned int figure, const char *what,
		   double limit, double ratio)
{
	char text[64], goal[32];
	struct bench_row row = {
		.what = text,
		.unit = "ns",
		.measured = bench_spread(&subject->figures[figure]),
		.ratio = ratio,
	};

	snprintf(text, sizeof(text), "%s intervals: %s", subject->label, what);
	if (subject->absent[0]) {
		bench_report_absent(text, subject->absent);
		return;
	}
	if (limit > 0) {
		snprintf(goal, sizeof(goal), "<= %.0f ns", limit);
		row.goal = goal;
		row.verdict = bench_judge(row.measured.median <= limit);
	}
	bench_report(&row);
}

static void report_size(const struct bench_subject *subjects)
{
	static const struct {
		const char *one, *two;
		double limit;
	} sections[] = {
		{ "section, touching 0", "the same, each of 2 threads", 1000 },
		{ "section, touching 1", "the same, each of 2 threads", 1050 },
		{ "section, touching 16", "the same, each of 2 threads", 1800 },
	};
	struct bench_samples ratios;

	report(&subjects[CHANGES], 0, "insertion", 2000, 0);
	report(&subjects[CHANGES], 1, "removal", 2000, 0);
	for (unsigned int i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		bench_ratios(&subjects[TWO].figures[i], &subjects[ONE].figures[i], &ratios);
		report(&subjects[ONE], i, sections[i].one, sections[i].limit, 0);
		report(&subjects[TWO], i, sections[i].two, 0, bench_spread(&ratios).median);
	}
}

void bench_interval(void)
{
	static struct bench_subject subjects[NR_SIZES * PER_SIZE];

	for (size_t i = 0; i < NR_SIZES; i++)
		describe(&subjects[i * PER_SIZE], &sizes[i]);
	bench_title("interval notifiers, per insertion, removal, section and thread");
	bench_take_turns(subjects, NR_SIZES * PER_SIZE, GENERATIONS, bench_effort.rounds);
	for (size_t i = 0; i < NR_SIZES; i++)
		report_size(&subjects[i * PER_SIZE]);
}
