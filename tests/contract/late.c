/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: a program that knows nothing of the library until it runs.
 *
 * Not linked with libmmunotify.  Its threads are unmapping already when it
 * loads the library with RTLD_LOCAL, subscribes, and from then on hears every
 * one of them; closing the handle is harmless.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>

#include <mmunotify/mmu_notifier.h>

#include "sanitizer.h"
#include "scene.h"

#define THREADS 4
#define PAGE    4096UL

static struct {
	struct mm_struct *(*self)(void);
	int (*reg)(struct mmu_notifier *, struct mm_struct *);
	void (*unreg)(struct mmu_notifier *, struct mm_struct *);
	int (*stop)(void);
} lib;

static struct worker {
	pthread_t thread;
	/* What it unmaps next, and what was reported of that. */
	char *page;
	unsigned int notified_start, notified_end;
	unsigned long rounds, missed;
} workers[THREADS];

/* 0: not watched, 1: every unmap must be reported, 2: leave. */
static int phase;

/* Callbacks run in the thread that unmaps. */
static __thread struct worker *me;

static struct worker *worker_of(const struct mmu_notifier_range *range)
{
	return me && me->page == (char *)range->start ? me : NULL;
}

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct worker *w = worker_of(range);

	if (w)
		w->notified_start++;
	return 0;
}

static void on_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct worker *w = worker_of(range);

	if (w)
		w->notified_end++;
}

static const struct mmu_notifier_ops ops = { .invalidate_range_start = on_start,
					     .invalidate_range_end = on_end };

static void one_round(struct worker *w, int now)
{
	w->notified_start = w->notified_end = 0;
	w->page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	w->page[0] = 1;
	munmap(w->page, PAGE);
	if (now != 1 || __atomic_load_n(&phase, __ATOMIC_SEQ_CST) != 1)
		return;
	w->rounds++;
	w->missed += w->notified_start != 1 || w->notified_end != 1;
}

static void *work(void *arg)
{
	int now;

	me = arg;
	while ((now = __atomic_load_n(&phase, __ATOMIC_SEQ_CST)) != 2)
		one_round(arg, now);
	return NULL;
}

static bool find(void *handle)
{
	lib.self = (struct mm_struct * (*)(void)) dlsym(handle, "mmun_self");
	lib.reg = (int (*)(struct mmu_notifier *,
			   struct mm_struct *))dlsym(handle, "mmu_notifier_register");
	lib.unreg = (void (*)(struct mmu_notifier *,
			      struct mm_struct *))dlsym(handle, "mmu_notifier_unregister");
	lib.stop = (int (*)(void))dlsym(handle, "mmun_self_stop");
	return lib.self && lib.reg && lib.unreg && lib.stop;
}

static void check_workers(void)
{
	unsigned long rounds = 0, missed = 0;

	__atomic_store_n(&phase, 2, __ATOMIC_SEQ_CST);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		check(workers[i].rounds > 0, "thread %d was watched", i);
		rounds += workers[i].rounds;
		missed += workers[i].missed;
	}
	check(missed == 0, "no unmap of a running thread was missed (%lu of %lu)", missed, rounds);
}

static void late(void)
{
	static struct mmu_notifier mn = { .ops = &ops };
	void *handle;

	for (int i = 0; i < THREADS; i++)
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	usleep(20000);
	handle = dlopen(TEST_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!check(handle && find(handle), "loads"))
		return;
	check(lib.reg(&mn, lib.self()) == 0, "registers");
	__atomic_store_n(&phase, 1, __ATOMIC_SEQ_CST);
	usleep(200000);
	check(dlclose(handle) == 0, "the handle is closed");
	usleep(200000);
	__atomic_store_n(&phase, 0, __ATOMIC_SEQ_CST);
	lib.unreg(&mn, lib.self());
	check(lib.stop() == 0, "stops");
	check_workers();
	handle = dlopen(TEST_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	check(handle && find(handle) && lib.reg(&mn, lib.self()) == 0, "comes again");
	lib.unreg(&mn, lib.self());
}

/* Never closed, never unregistered: the end of the process must cope. */
static void leaves_all_behind(void)
{
	static struct mmu_notifier mn = { .ops = &ops };
	void *handle = dlopen(TEST_LIBRARY, RTLD_NOW | RTLD_LOCAL);

	check(handle && find(handle) && lib.reg(&mn, lib.self()) == 0, "registers");
	dlclose(handle);
	exit(0);
}

int main(void)
{
	if (SANITIZED)
		skip_all("the library is built with a sanitizer that must come first");
	scene("late dlopen", late);
	scene("left behind", leaves_all_behind);
	return tap_done();
}
