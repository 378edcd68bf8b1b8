/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: the first registration waits for calls that began unseen (R2: no
 * section from before is open when it returns), for nothing else, and not for ever.
 *
 * 200 threads that compute are watched together: registration beside them ends
 * within two seconds.  A thread that sleeps anywhere else costs nothing.  One that
 * stays in a call from before the patch is given up after the stated time, and
 * counted.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <mmunotify/interval.h>
#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "sanitizer.h"
#include "scene.h"

#define BUSY 200

static const struct mmu_notifier_ops nothing;
static struct mmu_notifier mn = { .ops = &nothing };
static int stopping;

static double seconds_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double now(void)
{
	return seconds_of(CLOCK_MONOTONIC);
}

/* Of all threads of this process. */
static double processor_time(void)
{
	return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

static unsigned long unsettled(void)
{
	struct mmun_stats stats;

	mmun_mm_stats(mmun_self(), &stats);
	return stats.unsettled;
}

/* Seconds that a registration takes. */
static double register_now(void)
{
	double from = now();

	check(mmu_notifier_register(&mn, mmun_self()) == 0, "registers");
	return now() - from;
}

static void *compute(void *arg)
{
	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED))
		;
	return NULL;
}

static void beside_busy_threads(void)
{
	static pthread_t threads[BUSY];
	double took, used;
	int made = 0;

	for (; made < BUSY && !pthread_create(&threads[made], NULL, compute, NULL); made++)
		;
	check(made == BUSY, "%d threads compute", made);
	used = -processor_time();
	took = register_now();
	used += processor_time();
	/* Only where the process has had the machine for itself, and no sanitizer in it. */
	check(SANITIZED || took < 2 || used < 0.9 * took * (double)sysconf(_SC_NPROCESSORS_ONLN),
	      "the first registration takes less than 2 s (%.3f s, %.3f s of processors)", took,
	      used);
	check(took > 2 || unsettled() == 0, "all were seen in user mode (%lu not)", unsettled());
	mmu_notifier_unregister(&mn, mmun_self());
	took = register_now();
	check(took < 1.5, "a second one does not wait for them (%.3f)", took);
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < made; i++)
		pthread_join(threads[i], NULL);
}

/* On one processor with those it waits for, which it must not starve. */
static void as_real_time_thread(void)
{
	struct sched_param param = { .sched_priority = 10 };
	pthread_t threads[3];
	cpu_set_t one;
	double took;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, compute, NULL);
	if (sched_setscheduler(0, SCHED_FIFO, &param)) {
		check(true, "no real-time priority for this user");
		_exit(0);
	}
	took = register_now();
	check(took < 2 && unsettled() == 0, "threads that compute go on meanwhile (%.3f s)", took);
	_exit(0);
}

static int pipe_ends[2];

static void *sleep_elsewhere(void *arg)
{
	char byte;

	return read(pipe_ends[0], &byte, 1) < 0 ? arg : NULL;
}

static void beside_sleeping_threads(void)
{
	pthread_t threads[50];
	double took;

	check(pipe(pipe_ends) == 0, "a pipe");
	for (int i = 0; i < 50; i++)
		pthread_create(&threads[i], NULL, sleep_elsewhere, NULL);
	usleep(50000);
	took = register_now();
	check(took < 1 && unsettled() == 0, "threads that sleep cost nothing (%.4f s)", took);
}

static char file[64];

/* Sleeps as long as somebody has a lease of the file, which it would shorten. */
static void *shorten(void *arg)
{
	int fd = open(file, O_WRONLY | O_TRUNC);

	return fd < 0 ? arg : NULL;
}

static int lease;

static pthread_t begin_old_call(void)
{
	pthread_t thread;

	signal(SIGIO, SIG_IGN);
	snprintf(file, sizeof(file), "settle-%d.file", (int)getpid());
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	lease = open(file, O_RDONLY | O_CLOEXEC);
	check(fcntl(lease, F_SETLEASE, F_RDLCK) == 0, "a lease");
	pthread_create(&thread, NULL, shorten, NULL);
	usleep(100000);
	return thread;
}

static void end_old_call(pthread_t thread)
{
	fcntl(lease, F_SETLEASE, F_UNLCK);
	check(pthread_join(thread, NULL) == 0, "it goes on undisturbed");
	unlink(file);
}

static void beside_an_old_call(void)
{
	pthread_t thread = begin_old_call();
	double took = register_now();

	check(took > 1.9 && took < 10, "a thread in an old call is given time (%.3f s)", took);
	check(unsettled() == 1, "and counted (%lu)", unsettled());
	end_old_call(thread);
}

/* The call begins while the source is stopped; then it is started, and nobody registers. */
static bool invalidate(struct mmu_interval_notifier *ni, const struct mmu_notifier_range *range,
		       unsigned long seq)
{
	mmu_interval_set_seq(ni, seq);
	return true;
}

static const struct mmu_interval_notifier_ops interval_ops = { .invalidate = invalidate };

/* Seconds that an insertion takes. */
static double insert_now(struct mmu_interval_notifier *ni)
{
	double from = now();

	check(mmu_interval_notifier_insert(ni, mmun_self(), 1 << 20, 4096, &interval_ops) == 0,
	      "an interval is inserted");
	return now() - from;
}

static void after_a_restart(void)
{
	struct mmu_interval_notifier ni;
	pthread_t thread;
	double took;

	insert_now(&ni);
	mmu_interval_notifier_remove(&ni);
	check(mmun_self_stop() == 0, "stops");
	thread = begin_old_call();
	check(mmun_self_start() == 0, "starts again");
	took = insert_now(&ni);
	check(took > 1.9 && took < 10, "an insertion gives a thread in an old call time (%.3f s)",
	      took);
	check(unsettled() == 1, "and counts it (%lu)", unsettled());
	mmu_interval_notifier_remove(&ni);
	took = insert_now(&ni);
	check(took < 1, "the next one does not wait (%.3f s)", took);
	mmu_interval_notifier_remove(&ni);
	end_old_call(thread);
}

int main(void)
{
	if (THREAD_SANITIZED)
		skip_all(THREAD_END_REASON);
	scene("busy threads", beside_busy_threads);
	scene("real-time thread", as_real_time_thread);
	scene("sleeping threads", beside_sleeping_threads);
	scene("old call", beside_an_old_call);
	scene("old call after a restart", after_a_restart);
	return tap_done();
}
