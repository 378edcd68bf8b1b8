/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: one redirection per process.
 *
 * Two copies of the library (a second linker namespace) may be in one process,
 * but only one may redirect its C library: the other gets -EBUSY, in words
 * by the probe, and may take over when the first has stopped.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "sanitizer.h"
#include "scene.h"
#include "watch.h"

#define ROUNDS 50

static struct watch watch;

static struct {
	struct mm_struct *(*self)(void);
	int (*start)(void);
	int (*stop)(void);
	int (*reg)(struct mmu_notifier *, struct mm_struct *);
	void (*unreg)(struct mmu_notifier *, struct mm_struct *);
	const struct mmun_primary_ops *(*source_at)(unsigned int);
} copy;

static bool load_copy(void)
{
	void *handle = dlmopen(LM_ID_NEWLM, TEST_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	struct {
		const char *name;
		void **to;
	} names[] = {
		{ "mmun_self", (void **)&copy.self },
		{ "mmun_self_start", (void **)&copy.start },
		{ "mmun_self_stop", (void **)&copy.stop },
		{ "mmu_notifier_register", (void **)&copy.reg },
		{ "mmu_notifier_unregister", (void **)&copy.unreg },
		{ "mmun_source_at", (void **)&copy.source_at },
	};

	for (size_t i = 0; handle && i < sizeof(names) / sizeof(names[0]); i++)
		if (!(*names[i].to = dlsym(handle, names[i].name)))
			return false;
	return handle;
}

static void two_copies(void)
{
	static const struct mmu_notifier_ops nothing;
	static struct mmu_notifier other = { .ops = &nothing };
	struct mmun_probe probe;
	int ret;

	if (!check(load_copy(), "a second copy of the library loads"))
		return;
	pagemap_open();
	check(copy.self() && copy.self() != mmun_self(), "it has an mm of its own");
	check(watch_register(&watch) == 0, "the first registers");
	check(copy.start() == -EBUSY, "the second cannot start: EBUSY");
	check(copy.reg(&other, copy.self()) == -EBUSY, "the second cannot register: EBUSY");
	copy.source_at(0)->probe(&probe);
	check(!probe.available && strstr(probe.reason, strrchr(TEST_LIBRARY, '/')) &&
		      probe.remedy[0],
	      "its probe says why, and names the file of the first");
	check(watch_sees_unmap(&watch), "the first is undisturbed");
	watch_unregister(&watch);
	check(mmun_self_stop() == 0, "the first stops");
	check(copy.reg(&other, copy.self()) == 0, "now the second may");
	ret = mmun_self_start();
	check(ret == -EBUSY, "and the first may not (%d)", ret);
	copy.unreg(&other, copy.self());
	check(copy.stop() == 0, "the second stops");
	check(watch_register(&watch) == 0 && watch_sees_unmap(&watch), "the first is back");
}

static pthread_barrier_t both;

static void *start_first(void *ret)
{
	pthread_barrier_wait(&both);
	*(int *)ret = mmun_self_start();
	return NULL;
}

/* Both look at text that is not patched, if nothing keeps them apart. */
static void at_the_same_time(void)
{
	int first = 0, second, alone = 0, stopped = 0;
	pthread_t thread;

	if (!check(load_copy() && copy.self() && mmun_self(), "a second copy loads"))
		return;
	pthread_barrier_init(&both, NULL, 2);
	for (int round = 0; round < ROUNDS; round++) {
		pthread_create(&thread, NULL, start_first, &first);
		pthread_barrier_wait(&both);
		second = copy.start();
		pthread_join(thread, NULL);
		alone += (!first && second == -EBUSY) || (!second && first == -EBUSY);
		stopped += !(first ? copy.stop() : mmun_self_stop());
	}
	check(alone == ROUNDS, "one starts and the other gets EBUSY (%d of %d)", alone, ROUNDS);
	check(stopped == ROUNDS, "which stops again");
}

int main(void)
{
	if (SANITIZED)
		skip_all("a sanitizer cannot live in two namespaces");
	scene("two copies", two_copies);
	scene("at the same time", at_the_same_time);
	return tap_done();
}
