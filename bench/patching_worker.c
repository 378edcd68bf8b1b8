/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * See patching.h.  The epoch is odd while calls must be seen: it turns odd
 * after the patch returned and even before unpatching begins, so a call that
 * finds the same odd epoch before and after itself had to be seen.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "patching.h"
#include "worker.h"

#define MAX_BUSY 64
/* With more threads than processors a yield costs milliseconds: now and then
 * the busy threads get the processor in the middle of a round, otherwise they
 * meet the patching from the other processor. */
#define YIELD_EVERY 16

static unsigned long rounds, nr_busy;
static int (*patch_in)(void);
static int (*patch_out)(void);

static unsigned long epoch;
static bool stop;
static unsigned long calls, checked, missed;
static bool anybody_sees;

/* Changed by callbacks inside munmap(), which libc's header declares not to
 * call back into this file: only marked accesses are read again after it. */
static __thread unsigned long seen;

void bench_patching_seen(void)
{
	__atomic_store_n(&seen, __atomic_load_n(&seen, __ATOMIC_RELAXED) + 1, __ATOMIC_SEQ_CST);
}

static unsigned long seen_so_far(void)
{
	return __atomic_load_n(&seen, __ATOMIC_SEQ_CST);
}

static void check(unsigned long before, unsigned long seen_before)
{
	if (!(before & 1) || __atomic_load_n(&epoch, __ATOMIC_SEQ_CST) != before)
		return;
	__atomic_add_fetch(&checked, 1, __ATOMIC_RELAXED);
	if (seen_so_far() == seen_before)
		__atomic_add_fetch(&missed, 1, __ATOMIC_RELAXED);
}

static void *busy(void *arg)
{
	unsigned long done = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		void *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);
		unsigned long seen_before, before;

		madvise(p, 65536, MADV_DONTNEED);
		seen_before = seen_so_far();
		before = __atomic_load_n(&epoch, __ATOMIC_SEQ_CST);
		munmap(p, 65536);
		if (__atomic_load_n(&anybody_sees, __ATOMIC_RELAXED))
			check(before, seen_before);
		done += 3;
	}
	__atomic_add_fetch(&calls, done, __ATOMIC_RELAXED);
	return arg;
}

int bench_patching_setup(char **args, int (*in)(void), int (*out)(void))
{
	rounds = bench_number(args, 0, 1000);
	nr_busy = bench_number(args, 1, 8);
	patch_in = in;
	patch_out = out;
	return nr_busy > MAX_BUSY ? -EINVAL : 0;
}

/* Can this subject say so at all?  One unmapping of our own decides. */
static int probe_sight(void)
{
	int error = patch_in();

	if (error)
		return error;
	munmap(mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
	anybody_sees = seen_so_far() > 0;
	return patch_out();
}

static unsigned long patch_rounds(void)
{
	unsigned long done;

	for (done = 0; done < rounds; done++) {
		if (patch_in())
			break;
		__atomic_add_fetch(&epoch, 1, __ATOMIC_SEQ_CST);
		if (done % YIELD_EVERY == 0)
			sched_yield();
		__atomic_add_fetch(&epoch, 1, __ATOMIC_SEQ_CST);
		if (patch_out())
			break;
	}
	return done;
}

void bench_patching_batch(double *figures)
{
	pthread_t threads[MAX_BUSY];
	unsigned long started;

	if (probe_sight())
		return;
	for (started = 0; started < nr_busy; started++)
		if (pthread_create(&threads[started], NULL, busy, NULL))
			break;
	if (started == nr_busy)
		figures[0] = (double)patch_rounds();
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	while (started)
		pthread_join(threads[--started], NULL);
	figures[1] = (double)calls;
	figures[2] = (double)checked;
	figures[3] = (double)missed;
}
