/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What does registering cost the live process, and its other threads, as the
 * number of mappings grows?  A pair of runs separates the stalls that registering
 * causes from those that the machine has anyway.
 */
#include <stdio.h>

#include "bench.h"

#define SUBJECT(text, ...) \
	{ \
		.label = text, .argv = { "bench-mmunotify", __VA_ARGS__, NULL } \
	}

static struct bench_subject registrations[] = {
	SUBJECT("about 24 mappings", "registration", "0"),
	SUBJECT("10,000 mappings", "registration", "10000"),
	SUBJECT("60,000 mappings", "registration", "60000"),
};

static void report_latency(const struct bench_subject *subject, unsigned int figure,
			   const char *verb, double limit, const char *goal)
{
	char what[80];
	struct bench_spread spread = bench_spread(&subject->figures[figure]);

	snprintf(what, sizeof(what), "%s, %.0f mappings", verb,
		 bench_spread(&subject->figures[2]).median);
	bench_report(&(struct bench_row){
		.what = what,
		.unit = "us",
		.measured = spread,
		.goal = goal,
		.verdict = bench_judge(spread.median > 0 && spread.median <= limit),
	});
}

void bench_registration(void)
{
	const size_t count = sizeof(registrations) / sizeof(registrations[0]);

	bench_title("registering and unregistering on the live process (hooks in)");
	bench_take_turns(registrations, count, 3, bench_effort.rounds);
	for (size_t i = 0; i < count; i++) {
		if (registrations[i].absent[0]) {
			bench_report_absent(registrations[i].label, registrations[i].absent);
			continue;
		}
		report_latency(&registrations[i], 0, "register", 50, "<= 50 us");
		report_latency(&registrations[i], 1, "unregister", 20, "<= 20 us");
	}
}

/* In pairs: first nobody registers, then somebody does all the time. */
static struct bench_subject stalls[] = {
	SUBJECT("idle, about 24 mappings", "stall", "0", "0"),
	SUBJECT("registering, about 24 mappings", "stall", "0", "1"),
	SUBJECT("idle, 60,000 mappings", "stall", "60000", "0"),
	SUBJECT("registering, 60,000 mappings", "stall", "60000", "1"),
};

static void report_stall(const struct bench_subject *idle, const struct bench_subject *busy,
			 unsigned int figure, const char *what)
{
	struct bench_spread base = bench_spread(&idle->figures[figure]);
	struct bench_row row = {
		.unit = "us",
		.measured = base,
	};
	char text[80], note[80];

	snprintf(text, sizeof(text), "longest %s, %s", what, idle->label);
	row.what = text;
	bench_report(&row);
	snprintf(text, sizeof(text), "longest %s, %s", what, busy->label);
	snprintf(note, sizeof(note), "%.0f registrations a second",
		 bench_spread(&busy->figures[3]).median);
	row.measured = bench_spread(&busy->figures[figure]);
	row.note = note;
	row.goal = "<= idle + 0.3 ms";
	row.verdict = bench_judge(row.measured.median <= base.median + 300);
	bench_report(&row);
}

void bench_stall(void)
{
	const size_t count = sizeof(stalls) / sizeof(stalls[0]);

	bench_title(
		"longest stall of another thread in one second (preemptions by other programs aside)");
	bench_take_turns(stalls, count, 1, bench_effort.stall_rounds);
	for (size_t i = 0; i + 1 < count; i += 2) {
		if (stalls[i].absent[0] || stalls[i + 1].absent[0]) {
			bench_report_absent(stalls[i + 1].label, stalls[i + 1].absent);
			continue;
		}
		report_stall(&stalls[i], &stalls[i + 1], 0, "page fault");
		report_stall(&stalls[i], &stalls[i + 1], 1, "mmap+munmap");
	}
}
