/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The workers of rcache_work.c in an order that a seed decides: before each lock, instead of each
 * sleep, and between the accesses of the cache whose order matters.  A run that fails can be had
 * again: --seed S --runs 1.  Each run is a process of its own.
 *
 * --seed S (the first), --runs N, --steps N (per worker), --workers W.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "rcache_work.h"
#include "scheduler.h"

static unsigned int nr_workers = 4;
static long runs = 10, steps = 60;

static bool fail_sometimes(size_t size)
{
	return inject_rng && one_in(inject_rng, 50);
}

static void work(unsigned int id, void *arg)
{
	for (long i = 0; i < steps; i++) {
		work_step(id);
		scheduler_log(work_hash(id));
	}
}

struct outcome {
	uint64_t hash;
	struct work_counts counts;
	struct mmun_rcache_stats stats;
};

static struct outcome run(uint64_t seed)
{
	struct outcome outcome = { 0 };

	/* A thread of its own would run when it likes. */
	work_create(nr_workers, seed, MMUN_RCACHE_NO_REAPER);
	mmun_alloc_fail = fail_sometimes;
	outcome.hash = scheduler_run(seed, nr_workers, work, NULL);
	mmun_alloc_fail = NULL;
	work_destroy(&outcome.stats);
	outcome.counts = work_counts;
#define MIX(name, text) outcome.hash = (outcome.hash ^ outcome.stats.name) * 0x100000001b3ull;
	MMUN_RCACHE_STATS(MIX)
#undef MIX
	return outcome;
}

/* In a child, so that each run starts from the same memory.  False: it ended otherwise. */
static bool run_apart(uint64_t seed, struct outcome *outcome)
{
	int ends[2], status;
	ssize_t got;
	pid_t pid;

	if (pipe(ends))
		bail_out("no pipe");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		*outcome = run(seed);
		fflush(stdout);
		_exit(write(ends[1], outcome, sizeof(*outcome)) != sizeof(*outcome));
	}
	close(ends[1]);
	got = read(ends[0], outcome, sizeof(*outcome));
	close(ends[0]);
	waitpid(pid, &status, 0);
	return got == sizeof(*outcome) && WIFEXITED(status) && !WEXITSTATUS(status);
}

static bool is_right(const struct work_counts *counts)
{
	return !counts->violations && !counts->wrong && !counts->refused && !counts->leaked;
}

static void add(struct outcome *sum, const struct outcome *one)
{
#define ADD(name, text) sum->counts.name += one->counts.name;
	WORK_COUNTS(ADD)
#undef ADD
#define ADD(name, text) sum->stats.name += one->stats.name;
	MMUN_RCACHE_STATS(ADD)
#undef ADD
}

static void test_seed(uint64_t seed, struct outcome *sum)
{
	struct outcome o = { 0 };
	bool ended = run_apart(seed, &o);

	ok(ended && is_right(&o.counts),
	   "seed %llu: contents, translations and registrations are right (%016llx)",
	   (unsigned long long)seed, (unsigned long long)o.hash);
	if (!ended)
		diag("it did not come to its end");
	add(sum, &o);
}

static void test_same_again(uint64_t seed)
{
	struct outcome first = { 0 }, second = { 0 };

	ok(run_apart(seed, &first) && run_apart(seed, &second) && first.hash == second.hash,
	   "seed %llu twice is the same run", (unsigned long long)seed);
	run_apart(seed + 1, &second);
	ok(first.hash != second.hash, "another seed is another run");
}

int main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	struct outcome sum = { 0 };

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--runs"))
			runs = atol(argv[i + 1]);
		else if (!strcmp(argv[i], "--steps"))
			steps = atol(argv[i + 1]);
		else if (!strcmp(argv[i], "--workers"))
			nr_workers = (unsigned int)atoi(argv[i + 1]);
	}
	if (nr_workers < 1 || nr_workers > MAX_WORKERS)
		bail_out("--workers 1..8");
	test_same_again(options.seed);
	for (long i = 0; i < runs; i++)
		test_seed(options.seed + (uint64_t)i, &sum);
#define SHOW(name, text) diag("%10ld %s", sum.counts.name, text);
	WORK_COUNTS(SHOW)
#undef SHOW
#define SHOW(name, text) diag("%10lu %s", sum.stats.name, text);
	MMUN_RCACHE_STATS(SHOW)
#undef SHOW
	return tap_done();
}
