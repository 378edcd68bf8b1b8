/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Read sections of core/srcu.h, measured directly, and two full atomic
 * additions to a private line: what this machine asks for the fastest reader
 * that counts itself in and out.
 *
 * Figure 0: nanoseconds per lock and unlock and thread.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "srcu.h"
#include "worker.h"

#define PAIRS       2000000u
#define MAX_THREADS 8

const struct bench_mode bench_modes[] = { { .name = NULL } };

static struct srcu_struct domain;
static struct srcu_slot slots[MMUN_SRCU_MAX_SLOTS];
static unsigned long nr_threads;
static void (*measured)(void);

static void lock_and_unlock(void)
{
	for (unsigned int i = 0; i < PAIRS; i++) {
		struct mmun_reader reader = srcu_read_lock(&domain);

		__asm__ volatile("" ::: "memory");
		srcu_read_unlock(&domain, &reader);
	}
}

static void two_additions(void)
{
	static __thread unsigned long words[2] __attribute__((aligned(128)));

	for (unsigned int i = 0; i < PAIRS; i++) {
		(void)mmun_add_full(&words[0], 1);
		(void)mmun_add_full(&words[1], 1);
	}
}

static void *run(void *arg)
{
	unsigned long index = (unsigned long)arg;
	uint64_t start;

	bench_pin((unsigned int)index + 1);
	start = bench_now();
	measured();
	return (void *)(bench_now() - start);
}

/* Arguments: srcu|slots|additions THREADS. */
static int srcu_setup(char **args)
{
	if (!args[0])
		return -EINVAL;
	measured = strcmp(args[0], "additions") ? lock_and_unlock : two_additions;
	nr_threads = bench_number(args, 1, 1);
	mmun_srcu_init(&domain, slots, mmun_srcu_nr_slots());
	if (!strcmp(args[0], "srcu") && !mmun_srcu_use_cells(&domain))
		return -ENOTSUP;
	return nr_threads && nr_threads <= MAX_THREADS ? 0 : -EINVAL;
}

static void srcu_batch(double *figures)
{
	pthread_t threads[MAX_THREADS];
	unsigned long started, count;
	double sum = 0;

	for (started = 0; started < nr_threads; started++)
		if (pthread_create(&threads[started], NULL, run, (void *)started))
			break;
	for (count = started; started;) {
		void *spent;

		pthread_join(threads[--started], &spent);
		sum += (double)(uintptr_t)spent;
	}
	figures[0] = count ? sum / (double)count / PAIRS : 0;
}

const struct bench_workload bench_workloads[] = {
	{ .name = "srcu", .setup = srcu_setup, .batch = srcu_batch },
	{ .name = NULL },
};
