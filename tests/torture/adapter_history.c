/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The libfabric adapter's history and entries under load.
 *
 * Threads change ranges inside of sections; signal handlers do so in the midst of theirs.
 * Other threads are caches: they note a range's page, subscribe it, and ask about it until the
 * answer is no; a page that is called good must be the one that the range had when the question began.  A
 * sweeper notifies and renews meanwhile, and in every other round libfabric unsubscribes.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "atomic.h"
#include "entries.h"
#include "options.h"

#define NR_RANGES  6
#define NR_WRITERS 3
#define NR_CACHES  3

static struct lf_history *history;
static struct lf_entries *entries;
static struct options options;
/* libfabric's. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool unsubscribes;
static int stop;
static unsigned long pages[NR_RANGES], next_page = 1;
static unsigned long held[NR_CACHES][NR_RANGES];
static long good, bad, stale, kept, refused, in_handlers, notified;

static unsigned long start_of(unsigned int range)
{
	return (range + 1ul) << 20;
}

static void change(unsigned int range, unsigned long owner, struct rng *rng)
{
	const unsigned long start = start_of(range), end = start + 8192;
	const bool nothing = rng && one_in(rng, 8);

	lf_history_start(history, owner, start, end);
	if (rng && one_in(rng, 64))
		sched_yield();
	if (!nothing)
		mmun_store_full(&pages[range], mmun_add_full(&next_page, 1));
	lf_history_end(history, owner, start, end, !nothing);
}

static void handler(int sig)
{
	struct {
		long aligned[2];
	} owner;

	change((unsigned int)mmun_add_relaxed(&in_handlers, 1) % NR_RANGES, (unsigned long)&owner,
	       NULL);
}

static void *writer(void *arg)
{
	struct rng rng = rng_of(options.seed, (unsigned int)(long)arg);
	long owner[2];

	while (!mmun_load_full(&stop)) {
		change(next_random(&rng) % NR_RANGES, (unsigned long)owner, &rng);
		if (one_in(&rng, 4))
			usleep(next_random(&rng) % 50);
	}
	return NULL;
}

/* Under the lock. */
static void drop(unsigned int me, unsigned int range)
{
	held[me][range] = 0;
	if (unsubscribes)
		lf_entries_remove(entries, start_of(range), start_of(range) + 4096);
}

static void ask(unsigned int me, unsigned int range)
{
	const unsigned long mapped = mmun_load_full(&pages[range]);

	if (!held[me][range])
		return;
	if (lf_entries_valid(entries, history, start_of(range), start_of(range) + 4096)) {
		mmun_add_relaxed(&good, 1);
		/* Changed since the question began: nobody can know. */
		if (held[me][range] < mapped)
			mmun_add_relaxed(&stale, 1);
		return;
	}
	mmun_add_relaxed(&bad, 1);
	drop(me, range);
}

static void enter(unsigned int me, unsigned int range)
{
	const uint64_t since = lf_history_now(history);
	const unsigned long page = mmun_load_full(&pages[range]);

	pthread_mutex_lock(&lock);
	if (!held[me][range]) {
		held[me][range] = page;
		if (lf_entries_add(entries, history, start_of(range), start_of(range) + 4096,
				   since)) {
			mmun_add_relaxed(&refused, 1);
			drop(me, range);
		} else {
			mmun_add_relaxed(&kept, 1);
		}
	}
	pthread_mutex_unlock(&lock);
}

static void *cache(void *arg)
{
	const unsigned int me = (unsigned int)(long)arg;
	struct rng rng = rng_of(options.seed, 50 + me);

	while (!mmun_load_full(&stop)) {
		const unsigned int range = next_random(&rng) % NR_RANGES;

		enter(me, range);
		pthread_mutex_lock(&lock);
		ask(me, range);
		/* A cache that is full. */
		if (one_in(&rng, 200) && held[me][range])
			drop(me, range);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void notify(void *arg, unsigned long start, unsigned long end)
{
	unsigned int me, range = (unsigned int)(start >> 20) - 1;

	mmun_add_relaxed(&notified, 1);
	pthread_mutex_lock(&lock);
	for (me = 0; me < NR_CACHES; me++) {
		if (held[me][range])
			drop(me, range);
	}
	pthread_mutex_unlock(&lock);
}

static void *sweeper(void *arg)
{
	while (!mmun_load_full(&stop)) {
		lf_entries_sweep(entries, history, notify, NULL);
		usleep(200);
	}
	return NULL;
}

static void run_round(long ms)
{
	pthread_t threads[NR_WRITERS + NR_CACHES + 1];
	unsigned int i, n = 0;
	long step;

	history = calloc(1, sizeof(*history));
	entries = calloc(1, sizeof(*entries));
	memset(held, 0, sizeof(held));
	stop = 0;
	for (i = 0; i < NR_RANGES; i++)
		pages[i] = mmun_add_full(&next_page, 1);
	lf_entries_start(entries, 0);
	for (i = 0; i < NR_WRITERS; i++)
		pthread_create(&threads[n++], NULL, writer, (void *)(long)i);
	for (i = 0; i < NR_CACHES; i++)
		pthread_create(&threads[n++], NULL, cache, (void *)(long)i);
	pthread_create(&threads[n++], NULL, sweeper, NULL);
	for (step = 0; step < ms; step++) {
		usleep(1000);
		pthread_kill(threads[step % NR_WRITERS], SIGUSR1);
	}
	mmun_store_full(&stop, 1);
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	free(history);
	free(entries);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	time_t end;

	options = parse_options(argc, argv);
	sigaction(SIGUSR1, &action, NULL);
	end = time(NULL) + options.seconds;
	do {
		run_round(500);
		unsubscribes = !unsubscribes;
	} while (time(NULL) < end);
	diag("good %ld, not %ld; kept %ld, refused %ld; notified %ld; in handlers %ld", good, bad,
	     kept, refused, notified, in_handlers);
	is(stale, 0, "E1 nothing that is called good is old");
	ok(good > 1000 && bad > 100 && kept > 100 && refused > 10 && notified > 10,
	   "E1 and everything happened often");
	return tap_done();
}
