/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What does watching cost a program that maps and unmaps?  64 KiB untouched,
 * one thread and two; plain libc, a second plain process (the ratio of those
 * two is what this machine cannot tell apart), mmunotify, UCX, libfabric.
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define PLAIN "bench-plain"
#define OURS "bench-mmunotify"
#define UCX "bench-ucx"
#define LIBFABRIC "bench-libfabric"

#define SUBJECT(text, ...) { .label = text, .argv = { __VA_ARGS__, NULL } }

static struct bench_subject one_thread[] = {
	SUBJECT("plain libc", PLAIN, "cycle", "plain"),
	SUBJECT("plain libc, another process", PLAIN, "cycle", "plain"),
	SUBJECT("mmunotify loaded, nothing subscribed", OURS, "cycle", "loaded"),
	SUBJECT("mmunotify hooks in, no notifier", OURS, "cycle", "0"),
	SUBJECT("mmunotify, one no-op notifier", OURS, "cycle", "1"),
	SUBJECT("mmunotify, 2 notifiers", OURS, "cycle", "2"),
	SUBJECT("mmunotify, 4 notifiers", OURS, "cycle", "4"),
	SUBJECT("mmunotify, 8 notifiers", OURS, "cycle", "8"),
	SUBJECT("UCX hooks, no-op handler", UCX, "cycle", "handler"),
	SUBJECT("UCX hooks, empty registration cache", UCX, "cycle", "rcache"),
	SUBJECT("UCX, range cached in each cycle", UCX, "cycle", "rcache-used"),
	SUBJECT("libfabric memhooks, nothing cached", LIBFABRIC, "cycle", "memhooks"),
	SUBJECT("libfabric uffd, nothing subscribed", LIBFABRIC, "cycle", "uffd"),
	SUBJECT("libfabric uffd, subscribed in each cycle", LIBFABRIC, "cycle",
		"uffd-subscribed"),
};

static struct bench_subject two_threads[] = {
	SUBJECT("plain libc", PLAIN, "cycle", "plain", "2"),
	SUBJECT("plain libc, another process", PLAIN, "cycle", "plain", "2"),
	SUBJECT("mmunotify hooks in, no notifier", OURS, "cycle", "0", "2"),
	SUBJECT("mmunotify, one no-op notifier", OURS, "cycle", "1", "2"),
	SUBJECT("UCX hooks, no-op handler", UCX, "cycle", "handler", "2"),
	SUBJECT("libfabric memhooks, nothing cached", LIBFABRIC, "cycle", "memhooks", "2"),
};

/* What must be reached, by the configuration it is about. */
struct goal {
	const char *label;
	double ratio;
	const char *text;
};

static const struct goal one_thread_goals[] = {
	{ "mmunotify hooks in, no notifier", 1.02, "<= 1.02" },
	{ "mmunotify, one no-op notifier", 1.03, "<= 1.03" },
	{ NULL, 0, NULL },
};

static const struct goal two_threads_goals[] = {
	{ "mmunotify hooks in, no notifier", 1.02, "<= 1.02" },
	{ "mmunotify, one no-op notifier", 1.02, "<= 1.02" },
	{ NULL, 0, NULL },
};

static const struct goal *goal_of(const char *label, const struct goal *goals)
{
	for (; goals && goals->label; goals++)
		if (!strcmp(label, goals->label))
			return goals;
	return NULL;
}

static void report_one(const struct bench_subject *subject,
		       const struct bench_subject *base, const struct goal *goals)
{
	static struct bench_samples ratios;
	const struct goal *goal = goal_of(subject->label, goals);
	struct bench_row row = {
		.what = subject->label,
		.unit = "ns",
		.measured = bench_spread(&subject->figures[0]),
	};

	bench_ratios(&subject->figures[0], &base->figures[0], &ratios);
	row.ratio = bench_spread(&ratios).median;
	if (goal) {
		row.goal = goal->text;
		row.verdict = bench_judge(row.ratio <= goal->ratio);
	}
	bench_report(&row);
}

static void report_all(const struct bench_subject *subjects, size_t count,
		       const struct goal *goals)
{
	for (size_t i = 0; i < count; i++)
		if (subjects[i].absent[0])
			bench_report_absent(subjects[i].label, subjects[i].absent);
		else
			report_one(&subjects[i], &subjects[0], goals);
}

/*
 * The slope is measured on sections alone, without the kernel's part of the
 * cycle, which varies by more than eight notifiers cost.
 */
static struct bench_subject sections[] = {
	SUBJECT("gate, start and end, no notifier", OURS, "section", "0"),
	SUBJECT("gate, start and end, 1 notifier", OURS, "section", "1"),
	SUBJECT("gate, start and end, 8 notifiers", OURS, "section", "8"),
};

static void report_slope(void)
{
	static struct bench_samples steps;
	struct bench_spread spread;

	bench_differences(&sections[2].figures[0], &sections[1].figures[0], &steps);
	spread = bench_spread(&steps);
	bench_report(&(struct bench_row){
		.what = "each further notifier, per section",
		.unit = "ns",
		.measured = { spread.median / 7, spread.min / 7, spread.max / 7 },
		.goal = "<= 20 ns",
		.verdict = bench_judge(steps.count && spread.median / 7 <= 20),
	});
}

void bench_cycle(void)
{
	const size_t one = sizeof(one_thread) / sizeof(one_thread[0]);
	const size_t two = sizeof(two_threads) / sizeof(two_threads[0]);

	bench_title("mmap + munmap of 64 KiB, untouched, one thread");
	bench_take_turns(one_thread, one, bench_effort.generations,
			 bench_effort.rounds);
	report_all(one_thread, one, one_thread_goals);
	bench_title("the same, two threads on two processors");
	bench_take_turns(two_threads, two, bench_effort.generations,
			 bench_effort.rounds);
	report_all(two_threads, two, two_threads_goals);
	bench_title("one section by itself");
	bench_take_turns(sections, 3, 3, bench_effort.rounds);
	report_all(sections, 3, NULL);
	report_slope();
}
