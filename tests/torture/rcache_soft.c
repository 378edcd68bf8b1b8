/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Torture of registration caches on software address spaces (rcache_work.c): threads get, let
 * a card read and write, and put, against everything that may happen to the memory.
 *
 * --seconds N, --seed S, --threads T.
 */
#include <pthread.h>
#include <unistd.h>

#include "alloc.h"
#include "atomic.h"
#include "rcache_work.h"

/* mm_lock() by marks takes locks in any order, one task at a time under a mutex; the
 * sanitizer's order checker does not know that, the library's own does. */
const char *__tsan_default_options(void);
__attribute__((unused)) const char *__tsan_default_options(void)
{
	return "detect_deadlocks=0";
}

static unsigned int nr_threads = 5;
static long stop;

static bool fail_sometimes(size_t size)
{
	return inject_rng && one_in(inject_rng, 100);
}

static void *run(void *arg)
{
	while (!mmun_load_relaxed(&stop))
		work_step((unsigned int)(uintptr_t)arg);
	return NULL;
}

static void torture(long seconds)
{
	pthread_t threads[MAX_WORKERS];

	for (unsigned long i = 0; i < nr_threads; i++) {
		if (pthread_create(&threads[i], NULL, run, (void *)i))
			bail_out("no thread");
	}
	sleep((unsigned int)seconds);
	mmun_store_full(&stop, 1);
	for (unsigned int i = 0; i < nr_threads; i++)
		pthread_join(threads[i], NULL);
}

static void report(const struct mmun_rcache_stats *stats)
{
#define SHOW(name, text) diag("%10ld %s", work_counts.name, text);
	WORK_COUNTS(SHOW)
#undef SHOW
#define SHOW(name, text) diag("%10lu %s", stats->name, text);
	MMUN_RCACHE_STATS(SHOW)
#undef SHOW
	is(work_counts.violations, 0, "the card used no stale translation");
	is(work_counts.wrong, 0, "every word said what was written there last");
	is(work_counts.refused, 0, "every get that had to succeed did");
	is(work_counts.leaked, 0, "everything could go in the end");
	ok(work_counts.reads > 0 && work_counts.writes > 0 && work_counts.outdated > 0 &&
		   work_counts.changes > 0 && work_counts.forks > 0 && work_counts.handed_over > 0,
	   "all of it was done");
	ok(stats->hits > 0 && stats->misses > 0 && stats->merged > 0 && stats->uncached > 0 &&
		   stats->retries > 0 && stats->invalidations > 0 && stats->evictions > 0,
	   "the caches hit, missed, merged, tried again and evicted");
}

int main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	struct mmun_rcache_stats stats;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--threads"))
			nr_threads = (unsigned int)atoi(argv[i + 1]);
	}
	if (nr_threads < 1 || nr_threads > MAX_WORKERS)
		bail_out("--threads 1..8");
	work_create(nr_threads, options.seed, 0);
	mmun_alloc_fail = fail_sometimes;
	torture(options.seconds);
	mmun_alloc_fail = NULL;
	work_destroy(&stats);
	report(&stats);
	return tap_done();
}
