/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Torture of patching: rounds of install and remove under busy threads.
 *
 *	patch [--rounds N] [--seconds N]
 *
 * Eight threads map, advise, remap and unmap without a pause.  Each round
 * subscribes (which patches), lets them work, unsubscribes and stops (which
 * puts libc's bytes back).  No crash, no hang, and no missed call: an operation
 * that began after the subscription returned and ended before it was taken
 * back was notified at both edges.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>

#include "../tap.h"
#include "park.h"

#define THREADS 8
#define PAGE    4096UL
#define RW      (PROT_READ | PROT_WRITE)

static unsigned long rounds = 10000, seconds = 60, done;
static int stopping;

/* The round in which every operation must be notified; 0 between rounds. */
static unsigned long round_now;

struct worker {
	pthread_t thread;
	char *page;
	unsigned int starts, ends;
	unsigned long operations, checked, missed, failed;
} __attribute__((aligned(64)));

static struct worker workers[THREADS];
static unsigned long checked_in_round;

/* Callbacks run in the thread that performs the operation. */
static __thread struct worker *me;

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (me && range->start == (unsigned long)me->page)
		me->starts++;
	return 0;
}

static void on_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (me && range->start == (unsigned long)me->page)
		me->ends++;
}

static const struct mmu_notifier_ops ops = { .invalidate_range_start = on_start,
					     .invalidate_range_end = on_end };

static int advise(char *page)
{
	return madvise(page, PAGE, MADV_DONTNEED);
}

static int overlay(char *page)
{
	return mmap(page, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page;
}

static int protect(char *page)
{
	return mprotect(page, PAGE, PROT_READ) || mprotect(page, PAGE, RW);
}

static int unmap(char *page)
{
	return munmap(page, PAGE);
}

static const struct {
	int (*fn)(char *);
	unsigned int sections;
} menu[] = {
	{ advise, 1 },
	{ overlay, 1 },
	{ protect, 2 },
	{ unmap, 1 },
};

static void perform(struct worker *w, unsigned int i)
{
	unsigned long before = __atomic_load_n(&round_now, __ATOMIC_SEQ_CST);

	w->starts = w->ends = 0;
	if (menu[i].fn(w->page) && !w->failed++)
		diag("operation %u failed: %s", i, strerror(errno));
	w->operations++;
	if (!before || __atomic_load_n(&round_now, __ATOMIC_SEQ_CST) != before)
		return;
	w->checked++;
	w->missed += w->starts != menu[i].sections || w->ends != menu[i].sections;
	__atomic_store_n(&checked_in_round, before, __ATOMIC_RELEASE);
}

static void *work(void *arg)
{
	me = arg;
	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
		me->page = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (unsigned int i = 0; i < sizeof(menu) / sizeof(menu[0]); i++)
			perform(me, i);
	}
	return park_thread();
}

static const char *one_round(unsigned long number, bool wait)
{
	static struct mmu_notifier mn = { .ops = &ops };

	if (mmu_notifier_register(&mn, mmun_self()))
		return "registration failed";
	__atomic_store_n(&round_now, number, __ATOMIC_SEQ_CST);
	/* Not every round waits: removal right after installation is a case too. */
	while (wait && __atomic_load_n(&checked_in_round, __ATOMIC_ACQUIRE) != number)
		sched_yield();
	__atomic_store_n(&round_now, 0, __ATOMIC_SEQ_CST);
	mmu_notifier_unregister(&mn, mmun_self());
	return mmun_self_stop() ? "stop failed" : NULL;
}

static void *watch_progress(void *arg)
{
	unsigned long last = 0;

	for (;;) {
		sleep(60);
		if (__atomic_load_n(&done, __ATOMIC_RELAXED) == last)
			bail_out("no progress for 60 s");
		last = __atomic_load_n(&done, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void parse(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--rounds"))
			rounds = strtoul(argv[i + 1], NULL, 0);
		if (!strcmp(argv[i], "--seconds"))
			seconds = strtoul(argv[i + 1], NULL, 0);
	}
}

static void report(const char *failure)
{
	unsigned long operations = 0, checked = 0, missed = 0, failed = 0;

	for (int i = 0; i < THREADS; i++) {
		park_wait(workers[i].thread, THREADS);
		operations += workers[i].operations;
		checked += workers[i].checked;
		missed += workers[i].missed;
		failed += workers[i].failed;
	}
	diag("%lu rounds, %lu operations, %lu of them inside a subscription", done, operations,
	     checked);
	ok(!failure, "%lu rounds of install and remove%s%s", done, failure ? ": " : "",
	   failure ? failure : "");
	ok(checked >= done / 2, "operations were checked");
	is(failed, 0, "no operation failed");
	is(missed, 0, "no call was missed after the patch returned");
}

int main(int argc, char **argv)
{
	const char *failure = NULL;
	pthread_t watchdog;
	time_t limit;

	parse(argc, argv);
	limit = time(NULL) + (time_t)seconds;
	for (int i = 0; i < THREADS; i++)
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	pthread_create(&watchdog, NULL, watch_progress, NULL);
	pthread_detach(watchdog);
	while (done < rounds && !failure && time(NULL) < limit)
		failure = one_round(__atomic_add_fetch(&done, 1, __ATOMIC_RELAXED), done & 1);
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	report(failure);
	if (done < rounds)
		diag("the time was up after %lu of %lu rounds", done, rounds);
	return tap_done();
}
