/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Torture of software address spaces, interleaved by a seed.
 *
 * The workers of soft.c, one task each; scheduler.c decides before every lock and instead
 * of every sleep which thread goes on.  So a run that fails can be had again: --seed S --runs 1.
 * Each run is a process of its own, and what must hold is what soft.c says.
 *
 * --seed S (the first), --runs N, --steps N (per worker), --workers W.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "lock.h"
#include "options.h"
#include "scheduler.h"
#include "soft_work.h"

#define MAX_WORKERS 8
#define FRAMES      2048ul
#define SLOTS       8192ul

static struct mmun_soft *soft;
static struct worker workers[MAX_WORKERS];
static unsigned int nr_workers = 4;
static long runs = 10, steps = 60;

static void on_violation(const struct mmun_soft_violation *what, void *arg)
{
	diag("violation: %s at %#lx, frame %lu, %s", mmun_soft_violation_name(what->kind),
	     what->address, what->pfn, what->write ? "write" : "read");
}

/* Only where a worker expects it. */
static bool fail_sometimes(size_t size)
{
	return inject_rng && one_in(inject_rng, 400);
}

static void work(unsigned int id, void *arg)
{
	for (long i = 0; i < steps; i++) {
		worker_step(&workers[id]);
		scheduler_log(workers[id].sequence);
	}
}

static void create(uint64_t seed)
{
	const struct mmun_soft_params params = {
		.memory = FRAMES * MMUN_SOFT_PAGE_SIZE,
		.swap = SLOTS * MMUN_SOFT_PAGE_SIZE,
		.mm_lock = (enum mmun_soft_mm_lock)(seed % 3),
		.violation = on_violation,
	};

	if (mmun_soft_create(&params, &soft))
		bail_out("cannot make a machine");
	files_create(soft);
	gpus_create(soft);
	for (unsigned int i = 0; i < nr_workers; i++)
		worker_create(&workers[i], soft, i, rng_of(seed, i));
}

/* Everything that happened, as counted: part of what a seed repeats. */
static uint64_t hash_stats(uint64_t hash, const struct mmun_soft_stats *stats)
{
#define MIX(name, text) hash = (hash ^ stats->name) * 0x100000001b3ull;
	MMUN_SOFT_STATS(MIX)
#undef MIX
	return hash;
}

struct outcome {
	uint64_t hash;
	bool contents, paired, current, frames, gone;
};

static struct outcome run(uint64_t seed)
{
	long live = mmun_alloc_live();
	struct mmun_soft_stats stats;
	struct outcome outcome = { 0 };

	create(seed);
	mmun_alloc_fail = fail_sometimes;
	outcome.hash = scheduler_run(seed, nr_workers, work, NULL);
	mmun_alloc_fail = NULL;
	for (unsigned int i = 0; i < nr_workers; i++)
		worker_destroy(&workers[i]);
	files_destroy();
	gpus_destroy();
	mmun_soft_stats(soft, &stats);
	outcome.hash = hash_stats(outcome.hash, &stats);
	outcome.contents = work_wrong() == 0;
	outcome.paired = device_unpaired() == 0 && tlb_stale() == 0;
	outcome.current = stats.violations == 0;
	outcome.frames = stats.frames_free == stats.frames && stats.swap_free == stats.swap_slots;
	outcome.gone = !mmun_soft_destroy(soft) && mmun_alloc_live() == live;
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

static void test_seed(uint64_t seed)
{
	struct outcome o = { 0 };
	bool ended = run_apart(seed, &o);

	ok(ended && o.contents && o.paired && o.current && o.frames && o.gone,
	   "seed %llu: contents, sections, translations and memory are right (%016llx)",
	   (unsigned long long)seed, (unsigned long long)o.hash);
	if (!ended)
		diag("it did not come to its end");
	else if (!(o.contents && o.paired && o.current && o.frames && o.gone))
		diag("contents %d, paired %d, no stale translation %d, frames %d, memory %d",
		     o.contents, o.paired, o.current, o.frames, o.gone);
}

static void test_same_again(uint64_t seed)
{
	struct outcome first = { 0 }, second = { 0 };

	ok(run_apart(seed, &first) && run_apart(seed, &second) && first.hash == second.hash,
	   "seed %llu twice is the same run", (unsigned long long)seed);
	run_apart(seed + 1, &second);
	ok(first.hash != second.hash, "another seed is another run");
}

/* Two tasks, two locks, both orders: some seed must find it. */
static struct mmun_mutex a = MMUN_MUTEX_INIT(MMUN_RANK_CHAIN);
static struct mmun_mutex b = MMUN_MUTEX_INIT(MMUN_RANK_SOFT_PTL);

static void take_both(unsigned int id, void *arg)
{
	struct mmun_mutex *first = id ? &a : &b, *second = id ? &b : &a;

	mmun_mutex_lock(first);
	/* Past the check of ranks, which would forbid it at once. */
	mmun_take(&second->lock, mutex_lock);
	pthread_mutex_unlock(&second->lock);
	mmun_mutex_unlock(first);
}

static void test_finds_dead_lock(void)
{
	int found = 0, status;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		pid_t pid;

		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			signal(SIGABRT, SIG_DFL);
			if (!freopen("/dev/null", "w", stderr))
				_exit(1);
			scheduler_run(seed, 2, take_both, NULL);
			_exit(0);
		}
		waitpid(pid, &status, 0);
		found += WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
	}
	ok(found > 0 && found < 20,
	   "L2: the scheduler finds a deadlock of two locks (%d of 20 seeds)", found);
}

int main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);

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
	test_finds_dead_lock();
	test_same_again(options.seed);
	for (long i = 0; i < runs; i++)
		test_seed(options.seed + (uint64_t)i);
	return tap_done();
}
