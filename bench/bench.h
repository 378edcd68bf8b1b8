/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The driver's parts.  A question (one file each) starts the workers it wants
 * to compare, lets them take turns, and reports rows; statistics, turns and
 * the table are here once.
 */
#ifndef MMUN_BENCH_BENCH_H
#define MMUN_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "worker.h"

#define BENCH_MAX_SAMPLES 2048

/* How much to measure; set from the command line. */
struct bench_effort {
	unsigned int generations; /* sets of fresh processes */
	unsigned int rounds;      /* turns per generation */
	unsigned int patch_rounds;
	unsigned int stall_rounds; /* of one second each, in one generation */
	bool json;
};

extern struct bench_effort bench_effort;

/* stats.c: values of one quantity, in the order they were measured. */
struct bench_samples {
	double value[BENCH_MAX_SAMPLES];
	size_t count;
};

struct bench_spread {
	double median, min, max;
};

void bench_add(struct bench_samples *samples, double value);
struct bench_spread bench_spread(const struct bench_samples *samples);
/* Sample by sample: what was measured in the same round is compared. */
void bench_ratios(const struct bench_samples *a, const struct bench_samples *base,
		  struct bench_samples *out);
void bench_differences(const struct bench_samples *a, const struct bench_samples *base,
		       struct bench_samples *out);

/* child.c: one running worker. */
struct bench_child {
	pid_t pid;
	int fd;
	/* Why it is not running: a sentence, empty while it runs. */
	char ended[120];
};

/* @argv: assignments to variables of the environment, then the worker's file name beside this
 * program, or a path from the root, and what the worker is to do. */
void bench_spawn(struct bench_child *child, char *const *argv);
/* One batch; false, with ->ended, when the child died or took over @seconds. */
bool bench_ask(struct bench_child *child, double *figures, unsigned int seconds);
void bench_reap(struct bench_child *child);
/* The path of a file beside this program, in a static buffer. */
const char *bench_beside(const char *name);

/* turns.c: configurations measured in turns. */
struct bench_subject {
	const char *label;
	char *argv[20];
	/* One per figure of the batch. */
	struct bench_samples figures[BENCH_FIGURES];
	/* Empty, or why there is nothing to report. */
	char absent[120];
};

/* Each generation starts all subjects anew; each round asks every one of them
 * once, starting with another one each time. */
void bench_take_turns(struct bench_subject *subjects, size_t count, unsigned int generations,
		      unsigned int rounds);

/* report.c: one line of the table. */
enum bench_verdict { BENCH_INFO, BENCH_PASS, BENCH_MISS };

struct bench_row {
	const char *what;
	const char *unit;
	struct bench_spread measured;
	/* 0: no ratio. */
	double ratio;
	const char *goal;
	enum bench_verdict verdict;
	const char *note;
};

void bench_title(const char *title);
void bench_report(const struct bench_row *row);
void bench_report_absent(const char *what, const char *reason);
void bench_conclusion(void);

static inline enum bench_verdict bench_judge(bool good)
{
	return good ? BENCH_PASS : BENCH_MISS;
}

/* The questions. */
void bench_cycle(void);
void bench_srcu(void);
void bench_interval(void);
void bench_registration(void);
void bench_stall(void);
void bench_startup(void);
void bench_patching(void);
void bench_mm_lock(void);
void bench_adapters(void);
void bench_uring(void);
void bench_rcache(void);
void bench_trace(void);

#endif
