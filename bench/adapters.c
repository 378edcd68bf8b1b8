/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What changes for a program when the chain feeds the registration cache of its library in
 * place of the library's own hooks?  Its start, memory that comes and goes beside what is
 * cached, and a hit.  The library of this machine, and UCX of a later Debian release under
 * the C library of that one, if it can be unpacked (bench/later_ucx.sh).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define CACHE "bench-cache-ucx"

#define FI_CACHE    "bench-cache-libfabric"
#define FI_MEMHOOKS "FI_MR_CACHE_MONITOR=memhooks"

#define FIRST_ROUNDS 15

#define SUBJECT(text, ...) \
	{ \
		.label = text, .argv = { __VA_ARGS__, NULL } \
	}

/* The linker, its search path and what is started: set by find_later(). */
static char linker[4096], libraries[4096], version[64], worker[4096];
/* Why there is none. */
static char no_later[120];

#define LATER linker, "--library-path", libraries, worker

/* Ours stands behind the library's own hooks. */
static struct bench_subject ucx_cycle[] = {
	SUBJECT("plain libc", "bench-plain", "cycle", "plain"),
	SUBJECT("UCX, own hooks, another process", CACHE, "cycle", "cached"),
	SUBJECT("UCX, own hooks", CACHE, "cycle", "cached"),
	SUBJECT("UCX, fed by the chain", BENCH_WITH_UCX, CACHE, "cycle", "cached"),
	SUBJECT("later UCX, own hooks", LATER, "cycle", "cached"),
	SUBJECT("later UCX, fed by the chain", BENCH_WITH_UCX, LATER, "cycle", "cached"),
};

static struct bench_subject ucx_hit[] = {
	SUBJECT("UCX, own hooks, another process", CACHE, "hit"),
	SUBJECT("UCX, own hooks", CACHE, "hit"),
	SUBJECT("UCX, fed by the chain", BENCH_WITH_UCX, CACHE, "hit"),
	SUBJECT("later UCX, own hooks", LATER, "hit"),
	SUBJECT("later UCX, fed by the chain", BENCH_WITH_UCX, LATER, "hit"),
};

static struct bench_subject ucx_first[] = {
	SUBJECT("UCX, own hooks", CACHE, "first"),
	SUBJECT("UCX, fed by the chain", BENCH_WITH_UCX, CACHE, "first"),
	SUBJECT("later UCX, own hooks", LATER, "first"),
	SUBJECT("later UCX, fed by the chain", BENCH_WITH_UCX, LATER, "first"),
};

static struct bench_subject fi_cycle[] = {
	SUBJECT("plain libc", "bench-plain", "cycle", "plain"),
	SUBJECT("libfabric, memhooks, another process", FI_MEMHOOKS, FI_CACHE, "cycle", "cached"),
	SUBJECT("libfabric, memhooks", FI_MEMHOOKS, FI_CACHE, "cycle", "cached"),
	SUBJECT("libfabric, fed by the chain", BENCH_WITH_FI, FI_CACHE, "cycle", "cached"),
};

static struct bench_subject fi_hit[] = {
	SUBJECT("libfabric, memhooks, another process", FI_MEMHOOKS, FI_CACHE, "hit"),
	SUBJECT("libfabric, memhooks", FI_MEMHOOKS, FI_CACHE, "hit"),
	SUBJECT("libfabric, fed by the chain", BENCH_WITH_FI, FI_CACHE, "hit"),
};

static struct bench_subject fi_first[] = {
	SUBJECT("libfabric, memhooks", FI_MEMHOOKS, FI_CACHE, "first"),
	SUBJECT("libfabric, fed by the chain", BENCH_WITH_FI, FI_CACHE, "first"),
};

static void drop_newline(char *line)
{
	line[strcspn(line, "\n")] = '\0';
}

/* The script says three lines: the linker, its path, the version; or one, why not. */
static void find_later(void)
{
	FILE *script = popen(BENCH_LATER_UCX, "r");

	if (!script)
		return;
	if (!fgets(linker, sizeof(linker), script) ||
	    !fgets(libraries, sizeof(libraries), script) ||
	    !fgets(version, sizeof(version), script))
		libraries[0] = '\0';
	pclose(script);
	drop_newline(linker);
	drop_newline(libraries);
	drop_newline(version);
	snprintf(worker, sizeof(worker), "%s", bench_beside(CACHE));
	if (!libraries[0])
		snprintf(no_later, sizeof(no_later), "%.100s", linker[0] ? linker : "no answer");
}

static bool is_later(const struct bench_subject *subject)
{
	return !strncmp(subject->label, "later", 5);
}

static void leave_later_out(struct bench_subject *subjects, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (no_later[0] && is_later(&subjects[i]))
			snprintf(subjects[i].absent, sizeof(subjects[i].absent), "%s", no_later);
}

static bool is_ours(const struct bench_subject *subject)
{
	return strstr(subject->label, "fed by the chain");
}

static void report_one(const struct bench_subject *subject, const struct bench_subject *base,
		       const char *unit, double limit)
{
	static struct bench_samples ratios;
	char goal[48];
	struct bench_row row = {
		.what = subject->label,
		.unit = unit,
		.measured = bench_spread(&subject->figures[0]),
		.note = is_later(subject) ? version : NULL,
	};

	bench_ratios(&subject->figures[0], &base->figures[0], &ratios);
	row.ratio = bench_spread(&ratios).median;
	if (limit > 0 && is_ours(subject)) {
		snprintf(goal, sizeof(goal), "<= %.2f", limit);
		row.goal = goal;
		row.verdict = bench_judge(row.measured.min >= 0 && row.ratio <= limit);
	}
	bench_report(&row);
}

/* Ours beside the library's own hooks, which stand before it; the others beside the first. */
static void report_all(const struct bench_subject *subjects, size_t count, const char *unit,
		       double limit)
{
	for (size_t i = 0; i < count; i++) {
		const struct bench_subject *base = is_ours(&subjects[i]) ? &subjects[i - 1]
									 : &subjects[0];

		if (subjects[i].absent[0] || base->absent[0])
			bench_report_absent(subjects[i].label, subjects[i].absent[0]
								       ? subjects[i].absent
								       : base->absent);
		else
			report_one(&subjects[i], base, unit, limit);
	}
}

/* A process each time: all of it, from its start to the first cache. */
static void time_first(struct bench_subject *subject)
{
	uint64_t start = bench_now();
	double figures[BENCH_FIGURES];
	struct bench_child child;

	if (subject->absent[0])
		return;
	bench_spawn(&child, subject->argv);
	if (bench_ask(&child, figures, 60) && figures[0] >= 0)
		bench_add(&subject->figures[0], (double)(bench_now() - start) / 1e6);
	else
		snprintf(subject->absent, sizeof(subject->absent), "%s",
			 child.ended[0] ? child.ended : "no cache");
	bench_reap(&child);
}

static void measure(struct bench_subject *subjects, size_t count, double limit)
{
	bench_take_turns(subjects, count, bench_effort.generations, bench_effort.rounds);
	report_all(subjects, count, "ns", limit);
}

static void measure_first(struct bench_subject *subjects, size_t count)
{
	for (unsigned int round = 0; round < FIRST_ROUNDS; round++)
		for (size_t i = 0; i < count; i++)
			time_first(&subjects[(i + round) % count]);
	report_all(subjects, count, "ms", 0);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void measure_ucx(void)
{
	find_later();
	leave_later_out(ucx_cycle, COUNT(ucx_cycle));
	leave_later_out(ucx_hit, COUNT(ucx_hit));
	leave_later_out(ucx_first, COUNT(ucx_first));
	bench_title("UCX: 1,000 regions cached, mmap + munmap of 64 KiB beside them");
	measure(ucx_cycle, COUNT(ucx_cycle), 1.05);
	bench_title("UCX: a hit in one of 1,000 regions");
	measure(ucx_hit, COUNT(ucx_hit), 0);
	bench_title("UCX: from the start of a process to its first registration cache");
	measure_first(ucx_first, COUNT(ucx_first));
}

static void measure_libfabric(void)
{
	bench_title("libfabric: 1,000 regions cached, mmap + munmap of 64 KiB beside them");
	measure(fi_cycle, COUNT(fi_cycle), 0);
	bench_title("libfabric: a hit in one of 1,000 regions");
	measure(fi_hit, COUNT(fi_hit), 0);
	bench_title("libfabric: from the start of a process to its first registration cache");
	measure_first(fi_first, COUNT(fi_first));
}

void bench_adapters(void)
{
	bool ucx = BENCH_WITH_UCX[0], libfabric = BENCH_WITH_FI[0];

	if (ucx)
		measure_ucx();
	if (libfabric)
		measure_libfabric();
	if (ucx && libfabric)
		return;
	bench_title("registration caches");
	bench_report_absent(ucx         ? "libfabric"
			    : libfabric ? "UCX"
					: "UCX and libfabric",
			    "the adapter is not built");
}
