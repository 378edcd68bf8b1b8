/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Torture of rule R2: no section that opened earlier is open when register
 * returns, not even one that nobody saw because the text was not patched yet.
 *
 *	settle [--rounds N] [--seconds N]
 *
 * Threads drop and overlay a page of their own without a pause, by libc's
 * functions and by its syscall().  Right after each registration the pages are
 * looked at through pagemap.  An operation that was under way then, found its
 * page still there, and was never notified has changed it behind the notifier's
 * back.  Looks at frames only, so it wants root.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>

#include "../tap.h"
#include "park.h"

#define THREADS 8
#define PAGE    4096UL
#define RW      (PROT_READ | PROT_WRITE)
#define HISTORY 4096
#define PRESENT (1ULL << 63)

static unsigned long rounds = 1000, seconds = 30;
static int stopping, pagemap;

struct worker {
	pthread_t thread;
	char *page;
	unsigned int starts;
	/* Number of the operation under way, and of the last one that is over. */
	unsigned long begun, over;
	/* By number: was it notified?  (number << 1 | notified) */
	unsigned long history[HISTORY];
} __attribute__((aligned(64)));

static struct worker workers[THREADS];
static __thread struct worker *me;

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (me && range->start == (unsigned long)me->page)
		me->starts++;
	return 0;
}

static const struct mmu_notifier_ops ops = { .invalidate_range_start = on_start };

static int drop(char *page)
{
	return madvise(page, PAGE, MADV_DONTNEED);
}

static int drop_raw(char *page)
{
	return (int)syscall(SYS_madvise, page, PAGE, MADV_DONTNEED);
}

static int overlay(char *page)
{
	return mmap(page, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page;
}

static int overlay_raw(char *page)
{
	return (char *)syscall(SYS_mmap, page, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			       -1, 0) != page;
}

static int (*const menu[])(char *) = { drop, overlay, drop_raw, overlay_raw };

static void perform(struct worker *w, int (*fn)(char *))
{
	unsigned long number = w->begun + 1;

	w->page[0] = 1;
	w->starts = 0;
	__atomic_store_n(&w->begun, number, __ATOMIC_SEQ_CST);
	if (fn(w->page))
		abort();
	__atomic_store_n(&w->history[number % HISTORY], number << 1 | (w->starts > 0),
			 __ATOMIC_RELAXED);
	__atomic_store_n(&w->over, number, __ATOMIC_SEQ_CST);
}

static void *work(void *arg)
{
	me = arg;
	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED))
		for (size_t i = 0; i < sizeof(menu) / sizeof(menu[0]); i++)
			perform(me, menu[i]);
	return park_thread();
}

static bool is_present(const char *page)
{
	uint64_t word = 0;

	return pread(pagemap, &word, sizeof(word), (off_t)((uintptr_t)page / PAGE * 8)) ==
		       sizeof(word) &&
	       word & PRESENT;
}

/* The operation under way with its page still there, or 0. */
static unsigned long under_way(const struct worker *w)
{
	unsigned long number = __atomic_load_n(&w->begun, __ATOMIC_SEQ_CST);

	if (__atomic_load_n(&w->over, __ATOMIC_SEQ_CST) == number || !is_present(w->page) ||
	    __atomic_load_n(&w->over, __ATOMIC_SEQ_CST) == number ||
	    __atomic_load_n(&w->begun, __ATOMIC_SEQ_CST) != number)
		return 0;
	return number;
}

static void wait_for(const struct worker *w, unsigned long number)
{
	while (__atomic_load_n(&w->over, __ATOMIC_SEQ_CST) < number)
		sched_yield();
}

/* Was it notified, though it ended after the registration? */
static bool was_notified(const struct worker *w, unsigned long number)
{
	unsigned long entry = __atomic_load_n(&w->history[number % HISTORY], __ATOMIC_RELAXED);

	return entry >> 1 != number || entry & 1;
}

static const char *one_round(unsigned long *looked_at, unsigned long *unnotified)
{
	static struct mmu_notifier mn = { .ops = &ops };
	static char failure[80];
	unsigned long suspects[THREADS];
	int ret = mmu_notifier_register(&mn, mmun_self());

	if (ret) {
		snprintf(failure, sizeof(failure), "registration failed: %s", strerror(-ret));
		return failure;
	}
	for (int i = 0; i < THREADS; i++)
		suspects[i] = under_way(&workers[i]);
	for (int i = 0; i < THREADS; i++) {
		if (!suspects[i])
			continue;
		wait_for(&workers[i], suspects[i]);
		++*looked_at;
		*unnotified += !was_notified(&workers[i], suspects[i]);
	}
	mmu_notifier_unregister(&mn, mmun_self());
	return mmun_self_stop() ? "stop failed" : NULL;
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

static void start_workers(void)
{
	for (int i = 0; i < THREADS; i++) {
		workers[i].page = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
}

int main(int argc, char **argv)
{
	unsigned long round = 0, looked_at = 0, unnotified = 0;
	const char *failure = NULL;
	time_t limit;

	parse(argc, argv);
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		skip_all("no /proc/self/pagemap");
	limit = time(NULL) + (time_t)seconds;
	start_workers();
	for (; round < rounds && !failure && time(NULL) < limit; round++)
		failure = one_round(&looked_at, &unnotified);
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < THREADS; i++)
		park_wait(workers[i].thread, THREADS);
	diag("%lu rounds, %lu operations under way at their registration", round, looked_at);
	ok(!failure, "%lu registrations%s%s", round, failure ? ": " : "", failure ? failure : "");
	ok(looked_at > 0, "some operations were under way");
	is(unnotified, 0, "R2: each of them was notified");
	return tap_done();
}
