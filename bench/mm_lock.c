/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What does quiescing an address space cost that has many mappings, by each of
 * the three ways, and how long does it stop a thread that faults pages in?
 * Linux's figures for the same layouts stand beside.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#define WAYS    3
#define SIZES   3
#define LAYOUTS 3

static const char *const ways[WAYS] = { "percpu_rwsem", "sort", "mark" };
static const char *const sizes[SIZES] = { "1000", "10000", "60000" };

/* Linux 6.18, KVM_CREATE_VM on the machine of docs/PERFORMANCE.md: ns by mapping, and
 * ms of the longest fault. */
static const struct layout {
	const char *name, *text;
	unsigned int linux_ns[SIZES];
} layouts[LAYOUTS] = {
	{ "own", "own anon_vma each", { 140, 192, 456 } },
	{ "shared", "one anon_vma", { 87, 121, 271 } },
	{ "files", "own file each", { 156, 241, 654 } },
};
static const char *const linux_stalls[SIZES] = { "0.24", "3.2", "30.9" };

/* The ways, and one where nobody registers. */
#define IDLE WAYS
static struct bench_subject subjects[WAYS + 1];

static void set_subject(unsigned int i, const char *label, const char *workload, const char *layout,
			const char *size)
{
	const char *way = i == IDLE ? ways[0] : ways[i];

	subjects[i] = (struct bench_subject){
		.label = label,
		.argv = { "bench-soft", (char *)(unsigned long)workload, (char *)(unsigned long)way,
			  (char *)(unsigned long)layout, (char *)(unsigned long)size, NULL },
	};
}

/* The ways take turns; one size and layout at a time, they fill memory. */
static void measure_costs(const char *layout, const char *size)
{
	for (unsigned int way = 0; way < WAYS; way++)
		set_subject(way, ways[way], "mm_lock", layout, size);
	bench_take_turns(subjects, WAYS, 1, bench_effort.rounds);
}

static void measure_stalls(const char *size)
{
	for (unsigned int way = 0; way < WAYS; way++)
		set_subject(way, ways[way], "mm_lock_stall", "own", size);
	set_subject(IDLE, "idle", "mm_lock_idle", "own", size);
	bench_take_turns(subjects, WAYS + 1, 1, bench_effort.stall_rounds);
}

static void report(const struct bench_subject *subject, const struct layout *layout,
		   unsigned int size)
{
	double locks = bench_spread(&subject->figures[3]).median;
	bool has_goal = subject == &subjects[0] && size == SIZES - 1 && locks > 1000;
	struct bench_row row = {
		.unit = "us",
		.measured = bench_spread(&subject->figures[0]),
	};
	char what[80], note[120];

	snprintf(what, sizeof(what), "%s, %s mappings, %s", subject->label, sizes[size],
		 layout->text);
	snprintf(note, sizeof(note), "%.1f ns a distinct lock; %.1f ns a mapping, Linux %u",
		 bench_spread(&subject->figures[2]).median,
		 row.measured.median * 1e3 / (double)strtoul(sizes[size], NULL, 10),
		 layout->linux_ns[size]);
	row.what = what;
	row.note = note;
	if (has_goal) {
		row.goal = "<= 40 ns a lock";
		row.verdict = bench_judge(bench_spread(&subject->figures[2]).median <= 40);
	}
	bench_report(&row);
}

static void bench_costs(void)
{
	bench_title(
		"registering on a software address space: semaphore, sorted locks, marked locks");
	for (unsigned int l = 0; l < LAYOUTS; l++)
		for (unsigned int s = 0; s < SIZES; s++) {
			measure_costs(layouts[l].name, sizes[s]);
			for (unsigned int way = 0; way < WAYS; way++) {
				if (subjects[way].absent[0])
					bench_report_absent(ways[way], subjects[way].absent);
				else
					report(&subjects[way], &layouts[l], s);
			}
		}
}

static void report_stall(unsigned int i, unsigned int size, double idle)
{
	const struct bench_subject *subject = &subjects[i];
	struct bench_row row = {
		.unit = "us",
		.measured = bench_spread(&subject->figures[0]),
	};
	char what[80], note[120];

	snprintf(what, sizeof(what), "longest fault, %s, %s mappings", subject->label, sizes[size]);
	snprintf(note, sizeof(note),
		 "%.1f us in the mean, %.0f registrations a second; Linux %s ms",
		 bench_spread(&subject->figures[1]).median,
		 bench_spread(&subject->figures[3]).median, linux_stalls[size]);
	row.what = what;
	row.note = i == IDLE ? NULL : note;
	if (i == 0) {
		row.goal = "<= idle + 1 ms";
		row.verdict = bench_judge(row.measured.median <= idle + 1000);
	}
	bench_report(&row);
}

static void bench_stalls(void)
{
	bench_title(
		"longest fault of another thread while one registers all the time, own anon_vmas");
	for (unsigned int s = 0; s < SIZES; s++) {
		measure_stalls(sizes[s]);
		for (unsigned int n = 0; n <= WAYS; n++) {
			unsigned int i = (IDLE + n) % (WAYS + 1);

			if (subjects[i].absent[0])
				bench_report_absent(subjects[i].label, subjects[i].absent);
			else
				report_stall(i, s, bench_spread(&subjects[IDLE].figures[0]).median);
		}
	}
}

void bench_mm_lock(void)
{
	bench_costs();
	bench_stalls();
}
