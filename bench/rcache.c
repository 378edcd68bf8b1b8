/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Registration caches side by side: ours, UCX's and libfabric's, each over its own hooks and
 * all with a backend that only counts.  One process for each cache and question.
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define MAX_GENERATIONS 7

enum { OURS, UCX, LIBFABRIC, PLAIN, NR_CACHES };

static const struct cache {
	const char *name, *program;
	/* Empty, or why it cannot be measured. */
	const char *absent;
} caches[NR_CACHES] = {
	[OURS] = { "mmunotify", "bench-rcache-mmunotify", "" },
	[UCX] = { "UCX", "bench-rcache-ucx",
		  BENCH_HAVE_UCX ? "" : "UCX was not there when this was built" },
	[LIBFABRIC] = { "libfabric", "bench-rcache-libfabric",
			BENCH_HAVE_LIBFABRIC ? "" : "libfabric was not there when this was built" },
	[PLAIN] = { "plain libc", "bench-rcache-nothing", "" },
};

/* One quantity of a question. */
struct figure {
	const char *what, *unit;
	unsigned int index;
	/* Ours is not to have more: of itself; or, BETTER_PEER, than the better of the others. */
	double goal;
};

#define NO_GOAL     (-1.0)
#define BETTER_PEER (-2.0)
/* As figure 1, the first hit after the kernel's part alone, but for what reading the clock leaves. */
#define AS_ANY_HIT (-3.0)

struct question {
	char *arguments[7];
	/* FI_MR_CACHE_MAX_COUNT: libfabric's limit is a variable. */
	char *limit;
	struct figure figures[3];
	/* Beside plain libc too; one value for each process. */
	bool plain, once;
};

#define NO_LIMIT "FI_MR_CACHE_MAX_COUNT=10000000"

#define HIT(text, most, ...) \
	{ \
		.arguments = { "hit", __VA_ARGS__ }, .figures = { { text, "ns", 0, most } } \
	}

static const struct question hits[] = {
	HIT("hit, 1 region", 5, "1", "aligned"),
	HIT("hit, 1,000 regions", 6, "1000", "aligned"),
	HIT("hit, 100,000 regions", 40, "100000", "aligned"),
	HIT("hit, 1,000, all of the region", 6, "1000", "aligned", "whole"),
	HIT("hit, 1,000, 4 KiB off", 6, "1000", "shifted"),
	HIT("hit, 100,000, 4 KiB off", 40, "100000", "shifted"),
	HIT("hit, 1,000 of 4 KiB to 4 MiB, all", 6, "1000", "mixed", "whole"),
	HIT("hit, 100,000 of 4 KiB to 4 MiB, all", 40, "100000", "mixed", "whole"),
	HIT("hit, 1,000 of 4 KiB to 4 MiB, 2 KiB", 6, "1000", "mixed"),
	HIT("hit, 100,000 of 4 KiB to 4 MiB, 2 KiB", 40, "100000", "mixed"),
};

static const struct question parallel[] = {
	HIT("2 threads, the same region", 6, "1", "aligned", "part", "2", "same"),
	HIT("2 threads, each its own of 2", 6, "2", "aligned", "part", "2", "distinct"),
	HIT("2 threads, each its own 500", 6, "1000", "aligned", "part", "2", "distinct"),
};

#define FIRST(count, text) \
	{ \
		.arguments = { "first", count }, \
		.figures = { \
			{ text ", first hit after a munmap", "ns", 0, AS_ANY_HIT }, \
			{ text ", after one not heard of", "ns", 1, NO_GOAL }, \
			{ text ", once more", "ns", 2, NO_GOAL }, \
		}, \
	}

static const struct question firsts[] = {
	FIRST("1000", "1,000"),
	FIRST("100000", "100,000"),
};

static const struct question misses[] = {
	{ .arguments = { "miss", "1", "1000" },
	  .figures = { { "miss, 1 to 1,000 regions", "ns", 0, BETTER_PEER } } },
	{ .arguments = { "miss", "1000", "1000" },
	  .figures = { { "miss, beside 1,000", "ns", 0, BETTER_PEER } } },
	{ .arguments = { "miss", "100000", "10000" },
	  .figures = { { "miss, beside 100,000", "ns", 0, BETTER_PEER } } },
	{ .arguments = { "evict", "1000" },
	  .limit = "FI_MR_CACHE_MAX_COUNT=1000",
	  .figures = { { "eviction at 1,000", "ns", 0, BETTER_PEER },
		       { "registered at most", "%", 2, NO_GOAL } } },
	{ .arguments = { "evict", "100000" },
	  .limit = "FI_MR_CACHE_MAX_COUNT=100000",
	  .figures = { { "eviction at 100,000", "ns", 0, BETTER_PEER },
		       { "registered at most", "%", 2, NO_GOAL } } },
};

#define UNMAP_(text, most, ...) \
	{ \
		.arguments = { "unmap", __VA_ARGS__ }, .plain = true, \
		.figures = { { text, "ns", 0, most }, \
			     { text ", mean", "ns", 1, NO_GOAL }, \
			     { text ", not cached", "ns", 2, NO_GOAL } }, \
	}
#define UNMAP(count, text, most)      UNMAP_(text, most, count)
#define UNMAP_SAME(count, text, most) UNMAP_(text, most, count, "same")

static const struct question unmaps[] = {
	UNMAP("1", "munmap, 1 region", 100),
	UNMAP("1000", "munmap, 1 of 1,000", 100),
	UNMAP("100000", "munmap, 1 of 100,000", 200),
	UNMAP_SAME("1000", "munmap, the same of 1,000", 100),
	UNMAP_SAME("100000", "munmap, the same of 100,000", 200),
	{ .arguments = { "large", "100000" },
	  .plain = true,
	  .figures = { { "munmap, 1 GiB beside 100,000", "ns", 0, BETTER_PEER } } },
};

static const struct question memory[] = {
	{ .arguments = { "idle", "1000" },
	  .figures = { { "bytes pinned after 300 ms", "", 0, 0 },
		       { "last seen pinned", "ms", 1, NO_GOAL } } },
	{ .arguments = { "memory", "1000" },
	  .once = true,
	  .figures = { { "bytes a region of 1,000", "", 0, 160 },
		       { "the same, made for the first", "", 1, NO_GOAL } } },
	{ .arguments = { "memory", "100000" },
	  .once = true,
	  .figures = { { "bytes a region of 100,000", "", 0, 160 },
		       { "the same, made for the first", "", 1, NO_GOAL } } },
};

static struct bench_subject subjects[NR_CACHES];

static void prepare(const struct question *question)
{
	char **argv;

	memset(subjects, 0, sizeof(subjects));
	for (size_t i = 0; i < NR_CACHES; i++) {
		argv = subjects[i].argv;
		subjects[i].label = caches[i].name;
		snprintf(subjects[i].absent, sizeof(subjects[i].absent), "%s", caches[i].absent);
		*argv++ = "FI_MR_CACHE_MONITOR=memhooks";
		*argv++ = "FI_MR_CACHE_MAX_SIZE=1000000000000000";
		*argv++ = question->limit ? question->limit : NO_LIMIT;
		*argv++ = (char *)caches[i].program;
		for (size_t j = 0; question->arguments[j]; j++)
			*argv++ = question->arguments[j];
	}
}

static bool is_absent(unsigned int i)
{
	return subjects[i].absent[0] || !subjects[i].figures[0].count;
}

static double median(unsigned int i, unsigned int index)
{
	return bench_spread(&subjects[i].figures[index]).median;
}

/* Negative: there is none to reach. */
static double limit_of(const struct figure *figure)
{
	double limit = figure->goal;

	if (limit == AS_ANY_HIT)
		return median(OURS, 1) + 2;
	if (limit != BETTER_PEER)
		return limit;
	for (unsigned int i = UCX; i <= LIBFABRIC; i++)
		if (!is_absent(i) && (limit < 0 || median(i, figure->index) < limit))
			limit = median(i, figure->index);
	return limit;
}

/* The ratio of the others is to ours: how many times as much they take. */
static void report_one(unsigned int i, const struct figure *figure)
{
	static struct bench_samples ratios;
	const struct bench_samples *samples = &subjects[i].figures[figure->index];
	double limit = i == OURS ? limit_of(figure) : NO_GOAL;
	char what[80], goal[48];
	struct bench_row row = {
		.what = what,
		.unit = figure->unit,
		.measured = bench_spread(samples),
	};

	snprintf(what, sizeof(what), "%s: %s", caches[i].name, figure->what);
	if (!is_absent(OURS)) {
		bench_ratios(samples, &subjects[OURS].figures[figure->index], &ratios);
		row.ratio = bench_spread(&ratios).median;
	}
	if (limit >= 0) {
		snprintf(goal, sizeof(goal), limit < 10 ? "<= %.3g" : "<= %.0f", limit);
		row.goal = goal;
		row.verdict = bench_judge(row.measured.median <= limit);
	}
	bench_report(&row);
}

static void report(const struct figure *figure, unsigned int count)
{
	char what[80];

	for (unsigned int i = 0; i < count; i++)
		if (is_absent(i)) {
			snprintf(what, sizeof(what), "%s: %s", caches[i].name, figure->what);
			bench_report_absent(what, subjects[i].absent);
		} else {
			report_one(i, figure);
		}
}

static void ask(const struct question *question)
{
	const unsigned int count = question->plain ? NR_CACHES : PLAIN;
	unsigned int generations = bench_effort.generations;

	if (generations > MAX_GENERATIONS)
		generations = MAX_GENERATIONS;
	prepare(question);
	bench_take_turns(subjects, count, generations, question->once ? 1 : bench_effort.rounds);
	for (unsigned int i = 0; i < 3 && question->figures[i].what; i++)
		report(&question->figures[i], count);
}

static void ask_all(const char *title, const struct question *questions, size_t count)
{
	bench_title(title);
	for (size_t i = 0; i < count; i++)
		ask(&questions[i]);
}

#define ASK_ALL(title, questions) \
	ask_all(title, questions, sizeof(questions) / sizeof((questions)[0]))

void bench_rcache(void)
{
	ASK_ALL("registration caches: a hit, get and put of a region at random, 64 KiB each", hits);
	ASK_ALL("the same, two threads on two processors", parallel);
	ASK_ALL("one hit, right after 64 KiB beside the regions were unmapped", firsts);
	ASK_ALL("miss and insertion; the same at a limit, where another one goes", misses);
	ASK_ALL("munmap of 64 KiB, untouched: more than the bare system call takes", unmaps);
	ASK_ALL("1,000 regions are unmapped and the process idles; memory of the cache", memory);
}
