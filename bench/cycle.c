/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What does watching cost a program that maps and unmaps, or gives memory back?  64 KiB untouched,
 * one thread and two; plain libc, a second plain process (the ratio of those
 * two is what this machine cannot distinguish), mmunotify, UCX, libfabric.
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define PLAIN     "bench-plain"
#define OURS      "bench-mmunotify"
#define UCX       "bench-ucx"
#define LIBFABRIC "bench-libfabric"

#define SUBJECT(text, ...) \
	{ \
		.label = text, .argv = { __VA_ARGS__, NULL } \
	}

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
	SUBJECT("libfabric uffd, subscribed in each cycle", LIBFABRIC, "cycle", "uffd-subscribed"),
};

static struct bench_subject two_threads[] = {
	SUBJECT("plain libc", PLAIN, "cycle", "plain", "2"),
	SUBJECT("plain libc, another process", PLAIN, "cycle", "plain", "2"),
	SUBJECT("mmunotify hooks in, no notifier", OURS, "cycle", "0", "2"),
	SUBJECT("mmunotify, one no-op notifier", OURS, "cycle", "1", "2"),
	SUBJECT("UCX hooks, no-op handler", UCX, "cycle", "handler", "2"),
	SUBJECT("libfabric memhooks, nothing cached", LIBFABRIC, "cycle", "memhooks", "2"),
};

static struct bench_subject advice[] = {
	SUBJECT("plain libc", PLAIN, "advice", "plain"),
	SUBJECT("plain libc, another process", PLAIN, "advice", "plain"),
	SUBJECT("mmunotify hooks in, no notifier", OURS, "advice", "0"),
	SUBJECT("mmunotify, one no-op notifier", OURS, "advice", "1"),
	SUBJECT("UCX hooks, no-op handler", UCX, "advice", "handler"),
	SUBJECT("libfabric memhooks, nothing cached", LIBFABRIC, "advice", "memhooks"),
};

/* Of what one's peers pay in the same run: all of libfabric's excess, half of UCX's. */
struct limits {
	double libfabric, ucx;
};

static double ratio_of(const struct bench_subject *subject, const struct bench_subject *base)
{
	static struct bench_samples ratios;

	bench_ratios(&subject->figures[0], &base->figures[0], &ratios);
	return bench_spread(&ratios).median;
}

/* Infinite where the peer was not measured. */
static double excess_of(const char *label, const struct bench_subject *subjects, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(label, subjects[i].label) && !subjects[i].absent[0])
			return ratio_of(&subjects[i], &subjects[0]) - 1;
	return 1e9;
}

static bool is_limited(const struct bench_subject *subject)
{
	return !strcmp(subject->label, "mmunotify hooks in, no notifier") ||
	       !strcmp(subject->label, "mmunotify, one no-op notifier");
}

static void report_one(const struct bench_subject *subject, const struct bench_subject *base,
		       const struct limits *limits)
{
	char goal[48];
	struct bench_row row = {
		.what = subject->label,
		.unit = "ns",
		.measured = bench_spread(&subject->figures[0]),
		.ratio = ratio_of(subject, base),
	};

	if (limits && is_limited(subject)) {
		double limit = limits->libfabric < limits->ucx ? limits->libfabric : limits->ucx;

		snprintf(goal, sizeof(goal), "<= %.3f", 1 + limit);
		row.goal = limit < 1e6 ? goal : NULL;
		row.verdict = row.goal ? bench_judge(row.ratio <= 1 + limit) : BENCH_INFO;
	}
	bench_report(&row);
}

/* Two threads fight for the kernel's lock on the address space: two processes of the same
 * kind differ by more than any hook costs, so there is no goal. */
static void report_all(const struct bench_subject *subjects, size_t count, bool has_goal)
{
	const struct limits limits = {
		.libfabric = excess_of("libfabric memhooks, nothing cached", subjects, count),
		.ucx = excess_of("UCX hooks, no-op handler", subjects, count) / 2,
	};

	for (size_t i = 0; i < count; i++)
		if (subjects[i].absent[0])
			bench_report_absent(subjects[i].label, subjects[i].absent);
		else
			report_one(&subjects[i], &subjects[0], has_goal ? &limits : NULL);
}

/*
 * Here the difference counts: the call takes less than a microsecond.  Each process has
 * measured it against the bare instruction; what plain libc takes more is its function.
 */
static void report_advice(void)
{
	const struct bench_subject *subjects = advice;
	const double function = bench_spread(&subjects[0].figures[1]).median;

	for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++) {
		struct bench_row row = { .what = subjects[i].label, .unit = "ns" };
		double more = bench_spread(&subjects[i].figures[1]).median - function;
		char note[40];

		if (subjects[i].absent[0]) {
			bench_report_absent(subjects[i].label, subjects[i].absent);
			continue;
		}
		snprintf(note, sizeof(note), "%+.1f ns", more);
		row.measured = bench_spread(&subjects[i].figures[0]);
		row.ratio = ratio_of(&subjects[i], &subjects[0]);
		row.note = note;
		if (!strcmp(subjects[i].label, "mmunotify, one no-op notifier")) {
			row.goal = "<= 15 ns more";
			row.verdict = bench_judge(more <= 15);
		}
		bench_report(&row);
	}
}

static struct bench_subject strict[] = {
	SUBJECT("getppid() of the C library, plain", PLAIN, "parent", "plain"),
	SUBJECT("the same, plain in another process", PLAIN, "parent", "plain"),
	SUBJECT("the same, hooks in", OURS, "parent", "0"),
	SUBJECT("the same, strict mode", OURS, "parent", "strict"),
};

static void report_strict(void)
{
	static struct bench_samples bare;
	const struct bench_samples *figures = strict[3].figures;

	for (size_t i = 0; i < 4; i++) {
		struct bench_row row = { .what = strict[i].label, .unit = "ns" };
		double more;

		if (strict[i].absent[0]) {
			bench_report_absent(strict[i].label, strict[i].absent);
			continue;
		}
		row.measured = bench_spread(&strict[i].figures[0]);
		row.ratio = ratio_of(&strict[i], &strict[0]);
		more = row.measured.median - bench_spread(&strict[0].figures[0]).median;
		if (i == 3) {
			row.goal = "<= 5 ns more";
			row.verdict = bench_judge(more <= 5);
		}
		bench_report(&row);
	}
	if (strict[3].absent[0])
		return;
	/* What libc's call does not take more than the bare one. */
	bench_differences(&figures[0], &figures[1], &bare);
	bench_report(&(struct bench_row){
		.what = "an instruction of the program's own, trapped",
		.unit = "ns",
		.measured = bench_spread(&bare),
		.goal = "<= 1500 ns",
		.verdict = bench_judge(bench_spread(&bare).median <= 1500),
	});
}

/*
 * The slope is measured on sections alone, without the kernel's part of the
 * cycle, which varies by more than eight notifiers cost.
 */
static struct bench_subject sections[] = {
	SUBJECT("read section, start and end, no notifier", OURS, "section", "0"),
	SUBJECT("read section, start and end, 1 notifier", OURS, "section", "1"),
	SUBJECT("read section, start and end, 8 notifiers", OURS, "section", "8"),
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
	bench_take_turns(one_thread, one, bench_effort.generations, bench_effort.rounds);
	report_all(one_thread, one, true);
	bench_title("the same, two threads on two processors");
	bench_take_turns(two_threads, two, bench_effort.generations, bench_effort.rounds);
	report_all(two_threads, two, false);
	bench_title("madvise(MADV_DONTNEED) of an untouched page, one thread");
	bench_take_turns(advice, sizeof(advice) / sizeof(advice[0]), bench_effort.generations,
			 bench_effort.rounds);
	report_advice();
	bench_title("strict mode: calls that change no memory");
	bench_take_turns(strict, 4, 3, bench_effort.rounds);
	report_strict();
	bench_title("one section by itself");
	bench_take_turns(sections, 3, 3, bench_effort.rounds);
	for (size_t i = 0; i < 3; i++)
		report_one(&sections[i], &sections[0], NULL);
	report_slope();
}
