/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SRCU under load, after rcutorture: an element that was taken out of use ages
 * by one with each grace period, and a reader notes the age of what it still
 * holds.  Ages 0 (in use) and 1 (taken out, grace period not over) are right;
 * any greater age is a grace period that ended too early.
 *
 * Readers sleep, nest, run in signal handlers, and hand their open section to
 * another thread.  Sections are counted in cells, or (an even seed) in shared slots.
 * One updater waits for grace periods, one uses callbacks,
 * several only wait.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "options.h"
#include "call_srcu.h"

#define NR_READERS  4
#define NR_SYNCERS  2
#define NR_ELEMENTS 64
#define AGES        4

struct element {
	struct mmun_callback callback;
	long age;
	long in_use;
};

static struct srcu_slot slots[MMUN_SRCU_MAX_SLOTS];
static struct srcu_struct domain;
static struct element elements[2][NR_ELEMENTS];
/* [0] is replaced by the waiting updater, [1] by the one with callbacks. */
static struct element *current[2];
static long histogram[AGES];
static long grace_periods, callbacks, sections, handed_over, in_handlers, no_element;
static int stop, stopped, updated;
static struct options options;

/* A section that one reader left open for the next one. */
struct open_section {
	struct mmun_reader reader;
	struct element *element;
};
static struct open_section *mailbox;

static void note(const struct element *element)
{
	long age = mmun_load_acquire(&element->age);

	mmun_add_relaxed(&histogram[age < AGES ? age : AGES - 1], 1);
}

static void dawdle(struct rng *rng)
{
	if (one_in(rng, 2000))
		usleep(next_random(rng) % 2000);
	else if (one_in(rng, 50))
		sched_yield();
	else
		for (unsigned int i = next_random(rng) % 64; i > 0; i--)
			mmun_cpu_relax();
}

static void close_section(struct open_section *section)
{
	note(section->element);
	srcu_read_unlock(&domain, &section->reader);
}

static void read_once(struct rng *rng)
{
	struct open_section section, *old;

	section.reader = srcu_read_lock(&domain);
	section.element = mmun_load_acquire(&current[one_in(rng, 2)]);
	dawdle(rng);
	if (one_in(rng, 8)) {
		struct mmun_reader nested = srcu_read_lock(&domain);

		note(section.element);
		srcu_read_unlock(&domain, &nested);
	}
	mmun_add_relaxed(&sections, 1);
	if (!one_in(rng, 100)) {
		close_section(&section);
		return;
	}
	old = malloc(sizeof(*old));
	*old = section;
	old = mmun_swap_full(&mailbox, old);
	if (old) {
		mmun_add_relaxed(&handed_over, 1);
		close_section(old);
		free(old);
	}
}

static void *reader(void *arg)
{
	struct rng rng = rng_of(options.seed, (unsigned int)(long)arg);

	while (!mmun_load_full(&stop))
		read_once(&rng);
	/* A section that we have handed over is open no longer than we are here. */
	(void)mmun_add_full(&stopped, 1);
	while (!mmun_load_full(&updated))
		usleep(1000);
	return NULL;
}

static void handler(int sig)
{
	struct mmun_reader reader = srcu_read_lock(&domain);
	struct element *element = mmun_load_acquire(&current[0]);

	mmun_cpu_relax();
	note(element);
	srcu_read_unlock(&domain, &reader);
	mmun_add_relaxed(&in_handlers, 1);
}

static struct element *take_element(int which)
{
	for (int i = 0; i < NR_ELEMENTS; i++) {
		struct element *element = &elements[which][i];

		if (!mmun_load_acquire(&element->in_use)) {
			mmun_store_relaxed(&element->in_use, 1);
			mmun_store_relaxed(&element->age, 0);
			return element;
		}
	}
	return NULL;
}

/* The element stays unused for a few more grace periods, so that a reader that
 * holds it wrongly finds a great age and not a new life. */
static void *waiting_updater(void *arg)
{
	struct element *retired[8] = { NULL };
	struct rng rng = rng_of(options.seed, 100);

	for (unsigned int n = 0; !mmun_load_full(&stop); n++) {
		struct element *new = take_element(0), *old;

		old = mmun_swap_full(&current[0], new);
		mmun_store_release(&old->age, 1);
		synchronize_srcu(&domain);
		mmun_add_relaxed(&grace_periods, 1);
		for (int i = 0; i < 8; i++) {
			if (retired[i])
				mmun_add_full(&retired[i]->age, 1);
		}
		mmun_store_release(&old->age, 2);
		if (retired[n % 8])
			mmun_store_release(&retired[n % 8]->in_use, 0);
		retired[n % 8] = old;
		if (one_in(&rng, 10))
			dawdle(&rng);
	}
	return NULL;
}

static void recycle(struct mmun_callback *callback)
{
	struct element *element = (struct element *)callback;

	mmun_add_relaxed(&callbacks, 1);
	mmun_store_release(&element->in_use, 0);
}

static void expire(struct mmun_callback *callback)
{
	struct element *element = (struct element *)callback;

	mmun_store_release(&element->age, 2);
	call_srcu(&domain, callback, recycle);
}

static void *callback_updater(void *arg)
{
	struct rng rng = rng_of(options.seed, 101);

	while (!mmun_load_full(&stop)) {
		struct element *new = take_element(1), *old;

		if (!new) {
			mmun_add_relaxed(&no_element, 1);
			srcu_barrier();
			continue;
		}
		old = mmun_swap_full(&current[1], new);
		mmun_store_release(&old->age, 1);
		call_srcu(&domain, &old->callback, expire);
		dawdle(&rng);
	}
	return NULL;
}

static void *syncer(void *arg)
{
	struct rng rng = rng_of(options.seed, (unsigned int)(long)arg);

	while (!mmun_load_full(&stop)) {
		synchronize_srcu(&domain);
		mmun_add_relaxed(&grace_periods, 1);
		usleep(next_random(&rng) % 500);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[NR_READERS + NR_SYNCERS + 2];
	struct open_section *left;
	int n = 0;

	options = parse_options(argc, argv);
	mmun_srcu_init(&domain, slots, mmun_srcu_nr_slots());
	if (options.seed & 1 && !mmun_srcu_use_cells(&domain))
		diag("no cells here");
	diag("sections in %s", domain.cells ? "cells" : "slots");
	if (mmun_srcu_worker_start())
		bail_out("no worker");
	current[0] = take_element(0);
	current[1] = take_element(1);
	signal(SIGUSR1, handler);
	for (long i = 0; i < NR_READERS; i++)
		pthread_create(&threads[n++], NULL, reader, (void *)i);
	pthread_create(&threads[n++], NULL, waiting_updater, NULL);
	pthread_create(&threads[n++], NULL, callback_updater, NULL);
	for (long i = 0; i < NR_SYNCERS; i++)
		pthread_create(&threads[n++], NULL, syncer, (void *)(200 + i));

	for (long i = 0; i < options.seconds * 1000; i++) {
		usleep(1000);
		pthread_kill(threads[i % NR_READERS], SIGUSR1);
	}
	mmun_store_full(&stop, 1);
	/* What is left in the mailbox is waited for by the others. */
	while (mmun_load_full(&stopped) < NR_READERS)
		usleep(1000);
	left = mmun_swap_full(&mailbox, NULL);
	if (left) {
		close_section(left);
		free(left);
	}
	for (int i = NR_READERS; i < n; i++)
		pthread_join(threads[i], NULL);
	mmun_store_full(&updated, 1);
	for (int i = 0; i < NR_READERS; i++)
		pthread_join(threads[i], NULL);
	srcu_barrier();
	srcu_barrier();

	diag("age of what readers held: 0: %ld  1: %ld  2: %ld  more: %ld", histogram[0],
	     histogram[1], histogram[2], histogram[3]);
	diag("%ld sections, %ld handed over, %ld in handlers, %ld grace periods, %ld callbacks",
	     sections, handed_over, in_handlers, grace_periods, callbacks);
	ok(sections && handed_over && in_handlers && grace_periods && callbacks,
	   "every kind of section and of grace period took place");
	ok(histogram[1] > 0, "readers did meet grace periods");
	is(histogram[2] + histogram[3], 0, "U2 no grace period ended too early");
	synchronize_srcu(&domain);
	ok(true, "every section was accounted for");
	return tap_done();
}
