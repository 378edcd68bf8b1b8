/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Torture of software address spaces.
 *
 * Workers, each a task with a region of its own, do everything that a program or the
 * machine may do to memory, at once and against each other: they share address
 * spaces (clone), copy them (fork) and change them (exec, exit), and share files.
 * Devices watch some of them.  Allocations fail, and signals arrive, at random.
 *
 * What must hold:
 *   - every page of a region says in all its words what its worker wrote there last;
 *   - a word of a shared file says what its worker wrote last, unless the file was cut since;
 *   - no device ever uses a translation that the machine calls stale;
 *   - sections pair, and at the end every frame, slot and block is back.
 *
 * --seconds N, --steps N (per thread), --seed S, --workers W, --threads T.  With one
 * thread the workers take turns, and --steps and --seed repeat a run exactly.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#include "alloc.h"
#include "atomic.h"
#include "options.h"
#include "soft_work.h"

#define MAX_WORKERS 16
#define FRAMES      2048ul
#define SLOTS       8192ul

/* mm_lock() by marks takes locks in any order, one task at a time under a mutex; the
 * sanitizer's order checker does not know that, the library's own does. */
const char *__tsan_default_options(void);
__attribute__((unused)) const char *__tsan_default_options(void)
{
	return "detect_deadlocks=0";
}

static struct mmun_soft *soft;
static struct worker workers[MAX_WORKERS];
static unsigned int nr_workers = 6, nr_threads = 6;
static long max_steps = -1;
static long stop, running;

static void on_violation(const struct mmun_soft_violation *what, void *arg)
{
	diag("violation: %s at %#lx, frame %lu, %s", mmun_soft_violation_name(what->kind),
	     what->address, what->pfn, what->write ? "write" : "read");
}

/* Only where a worker expects it: see inject(). */
static bool fail_sometimes(size_t size)
{
	return inject_rng && one_in(inject_rng, 400);
}

static void on_signal(int signal)
{
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* The workers first, first + nr_threads, ... in an order of the seed. */
struct turn {
	pthread_t thread;
	unsigned int first;
	struct rng rng;
};

static void *run_workers(void *arg)
{
	struct turn *turn = arg;
	unsigned int mine = (nr_workers - turn->first + nr_threads - 1) / nr_threads;

	for (long step = 0; step != max_steps && !mmun_load_relaxed(&stop); step++) {
		unsigned int which = (unsigned int)(next_random(&turn->rng) % mine);

		worker_step(&workers[turn->first + which * nr_threads]);
	}
	(void)mmun_sub_full(&running, 1);
	return NULL;
}

/* With several threads, a signal to one of them every millisecond. */
static void wait_and_disturb(struct turn *turns, long seconds)
{
	struct timespec start;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned int i = 0;
	     mmun_load_full(&running) && seconds_since(&start) < (double)seconds; i++) {
		const struct timespec ms = { .tv_nsec = 1000000 };

		nanosleep(&ms, NULL);
		if (nr_threads > 1)
			pthread_kill(turns[i % nr_threads].thread, SIGUSR1);
	}
	mmun_store_full(&stop, 1);
}

static void run(const struct options *options)
{
	struct turn turns[MAX_WORKERS];

	running = nr_threads;
	for (unsigned int i = 0; i < nr_threads; i++) {
		turns[i].first = i;
		turns[i].rng = rng_of(options->seed, 1000 + i);
		if (pthread_create(&turns[i].thread, NULL, run_workers, &turns[i]))
			bail_out("cannot create a thread");
	}
	wait_and_disturb(turns, options->seconds);
	for (unsigned int i = 0; i < nr_threads; i++)
		pthread_join(turns[i].thread, NULL);
}

static void parse_counts(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--workers"))
			nr_workers = (unsigned int)atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--threads"))
			nr_threads = (unsigned int)atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--steps"))
			max_steps = atol(argv[i + 1]);
	}
	if (nr_workers < 1 || nr_workers > MAX_WORKERS || nr_threads < 1)
		bail_out("--workers 1..16, --threads 1..workers");
	if (nr_threads > nr_workers)
		nr_threads = nr_workers;
}

static void create(const struct options *options)
{
	const struct mmun_soft_params params = {
		.memory = FRAMES * MMUN_SOFT_PAGE_SIZE,
		.swap = SLOTS * MMUN_SOFT_PAGE_SIZE,
		.mm_lock = (enum mmun_soft_mm_lock)(options->seed % 3),
		.violation = on_violation,
	};
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &action, NULL);
	if (mmun_soft_create(&params, &soft))
		bail_out("cannot make a machine");
	files_create(soft);
	gpus_create(soft);
	for (unsigned int i = 0; i < nr_workers; i++)
		worker_create(&workers[i], soft, i, rng_of(options->seed, i));
	mmun_alloc_fail = fail_sometimes;
}

static void report(void)
{
	struct mmun_soft_stats stats;

	mmun_soft_stats(soft, &stats);
#define SHOW(name, text) diag("%10lu %s", stats.name, text);
	MMUN_SOFT_STATS(SHOW)
#undef SHOW
	ok(stats.violations == 0, "no device used a stale translation");
	ok(stats.device_writes > 0 && stats.device_reads > 0, "devices worked");
	ok(stats.swapped_out > 0 && stats.ksm_merged > 0 && stats.migrated > 0 && stats.forks > 0,
	   "so did swap, merging, migration and fork");
	ok(gpus_worked(), "so did memory of devices");
	ok(stats.frames_free == stats.frames, "every frame is free again (%zu of %zu)",
	   stats.frames_free, stats.frames);
	ok(stats.swap_free == stats.swap_slots, "and every swap slot (%zu of %zu)", stats.swap_free,
	   stats.swap_slots);
}

int main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	long live = mmun_alloc_live();

	parse_counts(argc, argv);
	create(&options);
	run(&options);
	mmun_alloc_fail = NULL;
	for (unsigned int i = 0; i < nr_workers; i++)
		worker_destroy(&workers[i]);
	files_destroy();
	gpus_destroy();
	ok(work_wrong() == 0, "every page said what was written there last");
	ok(device_unpaired() == 0, "sections paired");
	ok(tlb_stale() == 0 && tlb_flushes() > 0,
	   "S12: no device that walks the tables kept what was flushed too late (%ld flushes)",
	   tlb_flushes());
	report();
	ok(mmun_soft_destroy(soft) == 0, "the machine can go");
	ok(mmun_alloc_live() == live, "nothing is left behind (%ld blocks)",
	   mmun_alloc_live() - live);
	return tap_done();
}
