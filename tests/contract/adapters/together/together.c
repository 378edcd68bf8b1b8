/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: UCX, libfabric, Open MPI's patcher and notifiers of the program's own in one
 * process, fed by one chain, with the adapters preloaded.
 *
 * In whatever order they start, each change reaches every cache before its next lookup, the
 * program's calls do what they did, and nobody waits for somebody who waits for him:
 * threads look up, replace, allocate, fork, add and remove handlers, caches and notifiers
 * at once.  With the adapters silent or off the same checks find stale registrations.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>

#include "../../../tap.h"
#include "../../scene.h"
#include "stack.h"

#define RANGE 65536ul

enum part { UCX, LIBFABRIC, OPENMPI, OURS, NR_PARTS };

static const char *const part_names[] = { "UCX", "libfabric", "Open MPI", "a notifier" };
static enum part order[NR_PARTS];
static unsigned int nr_order;
static const struct stack *caches[2];
static unsigned int nr_caches;
static bool patched_by_others;

/* Our own: what part of the range it has heard of. */
static unsigned long heard_at;
static unsigned int nr_starts, nr_ends;

static int note_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	unsigned long at = __atomic_load_n(&heard_at, __ATOMIC_RELAXED);

	if (range->start <= at && at < range->end)
		__atomic_add_fetch(&nr_starts, 1, __ATOMIC_RELAXED);
	return 0;
}

static void note_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	unsigned long at = __atomic_load_n(&heard_at, __ATOMIC_RELAXED);

	if (range->start <= at && at < range->end)
		__atomic_add_fetch(&nr_ends, 1, __ATOMIC_RELAXED);
}

static const struct mmu_notifier_ops note_ops = {
	.invalidate_range_start = note_start,
	.invalidate_range_end = note_end,
};
static struct mmu_notifier note = { .ops = &note_ops };
static bool noting;

static char *fresh(void *at)
{
	return mmap(at, RANGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED_NOREPLACE : 0), -1, 0);
}

/* Each replaces the pages at @at; return: where the range is now. */
static char *by_munmap(char *at)
{
	munmap(at, RANGE);
	return fresh(at);
}

static char *by_map_fixed(char *at)
{
	return mmap(at, RANGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0);
}

static char *by_dontneed(char *at)
{
	return madvise(at, RANGE, MADV_DONTNEED) ? NULL : at;
}

static char *by_mremap(char *at)
{
	return mremap(fresh(NULL), RANGE, RANGE, MREMAP_MAYMOVE | MREMAP_FIXED, at);
}

static char *by_syscall(char *at)
{
	syscall(SYS_munmap, at, RANGE);
	return fresh(at);
}

static const struct change {
	const char *name;
	char *(*make)(char *at);
	/* In between another thread may map something there. */
	bool leaves_a_gap;
} changes[] = {
	{ "munmap() and mmap()", by_munmap, true },  { "MAP_FIXED", by_map_fixed, false },
	{ "MADV_DONTNEED", by_dontneed, false },     { "mremap() onto it", by_mremap, false },
	{ "syscall(SYS_munmap)", by_syscall, true },
};

#define NR_CHANGES (sizeof(changes) / sizeof(changes[0]))

static const char *start_part(enum part part)
{
	const char *why;

	switch (part) {
	case UCX:
		why = stack_ucx.start();
		if (!why)
			caches[nr_caches++] = &stack_ucx;
		return why;
	case LIBFABRIC:
#ifdef HAVE_LIBFABRIC
		why = stack_libfabric.start();
		if (!why)
			caches[nr_caches++] = &stack_libfabric;
		return why;
#else
		return "libfabric's static archive was not there when this was built";
#endif
	case OPENMPI:
		patched_by_others = true;
		return openmpi_start();
	default:
		noting = !mmu_notifier_register(&note, mmun_self());
		return noting ? NULL : "the process cannot be watched";
	}
}

static bool start_in_order(void)
{
	const char *why;

	for (unsigned int i = 0; i < nr_order; i++) {
		why = start_part(order[i]);
		if (!check(!why, "%s starts%s%s", part_names[order[i]], why ? ": " : "",
			   why ? why : ""))
			return false;
	}
	return true;
}

/* tcmalloc has a munmap() of its own, of which Open MPI hears nothing without us either. */
static bool has_munmap_of_libc(void)
{
	Dl_info found, libc;

	return dladdr(dlsym(RTLD_DEFAULT, "munmap"), &found) &&
	       dladdr(dlsym(RTLD_DEFAULT, "gnu_get_libc_version"), &libc) &&
	       found.dli_fbase == libc.dli_fbase;
}

/* Return: a bit for each cache that gave a registration of what is gone. */
static unsigned int stale_after(const struct change *change)
{
	static uint64_t number = 1000;
	char *at = fresh(NULL), *now;
	unsigned int stale = 0;
	uint64_t got;

	number++;
	*(volatile uint64_t *)at = number;
	for (unsigned int i = 0; i < nr_caches; i++)
		check(caches[i]->lookup(at, RANGE, &got) && got == number, "%s registers",
		      caches[i]->name);
	__atomic_store_n(&heard_at, (unsigned long)at, __ATOMIC_RELAXED);
	nr_starts = nr_ends = 0;
	if (patched_by_others)
		openmpi_heard(at);
	now = change->make(at);
	if (patched_by_others && has_munmap_of_libc() && change->make == by_munmap)
		check(openmpi_heard(NULL) > 0, "Open MPI still hears of %s", change->name);
	if (noting)
		check(nr_starts && nr_starts == nr_ends, "our notifier hears of %s", change->name);
	__atomic_store_n(&heard_at, 0, __ATOMIC_RELAXED);
	if (!check(now == at, "%s succeeds, and there", change->name))
		return 0;
	check(*(volatile uint64_t *)at == 0, "%s: the pages are new", change->name);
	*(volatile uint64_t *)at = ++number;
	for (unsigned int i = 0; i < nr_caches; i++)
		if (caches[i]->lookup(at, RANGE, &got) && got != number)
			stale |= 1u << i;
	/* It stays mapped: what is stale must not be found by the next one. */
	return stale;
}

static void everything_is_seen(void)
{
	if (!start_in_order())
		return;
	for (unsigned int i = 0; i < NR_CHANGES; i++)
		check(!stale_after(&changes[i]), "%s: no cache is stale", changes[i].name);
}

/* UCX keeps what has not changed; libfabric may refuse what it cannot date. */
static void the_rest_is_kept(void)
{
	char *at = fresh(NULL);
	unsigned long before;
	uint64_t got;

	if (!start_in_order())
		return;
	*(volatile uint64_t *)at = 7;
	for (unsigned int i = 0; i < nr_caches; i++)
		caches[i]->lookup(at, RANGE, &got);
	for (unsigned int i = 0; i < nr_caches; i++) {
		before = caches[i]->registrations();
		for (unsigned int k = 0; k < 100; k++) {
			munmap(fresh(NULL), RANGE);
			caches[i]->lookup(at, RANGE, &got);
		}
		if (caches[i] == &stack_ucx)
			check(caches[i]->registrations() == before,
			      "%s keeps what has not changed (%lu new)", caches[i]->name,
			      caches[i]->registrations() - before);
	}
}

/* The control: the caches are on, and nobody says anything. */
static void silent(void)
{
	setenv("MMUNOTIFY_UCX", "silent", 1);
	setenv("MMUNOTIFY_FI", "silent", 1);
	if (!start_in_order())
		return;
	for (unsigned int i = 0; i < NR_CHANGES; i++)
		check(stale_after(&changes[i]) == (1u << nr_caches) - 1, "%s: all caches are stale",
		      changes[i].name);
}

/* The control: each alone, with its own hooks. */
static void off(void)
{
	unsigned int stale;

	setenv("MMUNOTIFY_UCX", "off", 1);
	setenv("MMUNOTIFY_FI", "off", 1);
	if (!start_in_order())
		return;
	stale = stale_after(&changes[0]);
	check(!stale, "its own hooks see %s", changes[0].name);
	stale = stale_after(&changes[NR_CHANGES - 1]);
	check(stale, "its own hooks do not see %s", changes[NR_CHANGES - 1].name);
}

/* Threads that get in each other's way. */

#define NR_RANGES 8
#define SECONDS   2

static volatile bool stop;
static char *ranges[2][NR_RANGES];
static unsigned long nr_replaced, nr_stale, nr_children, nr_failed;

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 16;
}

static char *range_at(char **range)
{
	return __atomic_load_n(range, __ATOMIC_RELAXED);
}

/* Replaces ranges of one cache; nobody else replaces these. */
static void replace(unsigned int i, uint32_t *state)
{
	static uint64_t number = 1;
	char **range = &ranges[i][next_random(state) % NR_RANGES];
	const struct change *change = &changes[next_random(state) % NR_CHANGES];
	char *at = range_at(range), *now;
	uint64_t mine = __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED), got = mine;

	now = change->make(at);
	/* Somebody else is there. */
	if (now == MAP_FAILED && change->leaves_a_gap)
		now = fresh(NULL);
	else if (now != at)
		__atomic_add_fetch(&nr_failed, 1, __ATOMIC_RELAXED);
	__atomic_store_n(range, now, __ATOMIC_RELAXED);
	*(volatile uint64_t *)now = mine;
	if (!caches[i]->lookup(now, RANGE, &got))
		__atomic_add_fetch(&nr_failed, 1, __ATOMIC_RELAXED);
	/* 0: registered after the change and before the number was written. */
	__atomic_add_fetch(&nr_stale, got != mine && got != 0, __ATOMIC_RELAXED);
	__atomic_add_fetch(&nr_replaced, 1, __ATOMIC_RELAXED);
}

static void look_up(unsigned int i, uint32_t *state)
{
	uint64_t got;

	caches[i]->lookup(range_at(&ranges[i][next_random(state) % NR_RANGES]), RANGE, &got);
}

static void allocate(unsigned int i, uint32_t *state)
{
	size_t size = 100000 + next_random(state) * 16;
	char *block = malloc(size), *grown;
	uint64_t got;

	block[0] = 1;
	caches[i]->lookup(block, size, &got);
	grown = realloc(block, 2 * size);
	free(grown ? grown : block);
}

static void disturb(unsigned int i, uint32_t *state)
{
	if (caches[i]->disturb)
		caches[i]->disturb();
	nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
}

/*
 * Not with Open MPI's patcher: it reports to UCX in the child too, and waits there for ever
 * for a lock that another thread held when the child was forked, with us and without.
 */
static void fork_child(unsigned int i, uint32_t *state)
{
	int status = -1;
	pid_t child;

	nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	if (patched_by_others)
		return;
	child = fork();
	if (!child) {
		alarm(60);
		free(malloc(500000));
		munmap(fresh(NULL), RANGE);
		_exit(0);
	}
	if (child > 0 && waitpid(child, &status, 0) == child && !status)
		__atomic_add_fetch(&nr_children, 1, __ATOMIC_RELAXED);
	else
		__atomic_add_fetch(&nr_failed, 1, __ATOMIC_RELAXED);
}

static void notify(unsigned int i, uint32_t *state)
{
	static const struct mmu_notifier_ops ops = { .invalidate_range_start = note_start };
	struct mmu_notifier mine = { .ops = &ops };

	if (mmu_notifier_register(&mine, mmun_self()))
		__atomic_add_fetch(&nr_failed, 1, __ATOMIC_RELAXED);
	else
		mmu_notifier_unregister(&mine, mmun_self());
}

static const struct task {
	const char *name;
	void (*turn)(unsigned int cache, uint32_t *state);
	bool once;
} tasks[] = {
	{ "replaces", replace, false },   { "looks up", look_up, false },
	{ "allocates", allocate, false }, { "disturbs", disturb, false },
	{ "forks", fork_child, true },    { "registers notifiers", notify, true },
};

#define NR_TASKS (sizeof(tasks) / sizeof(tasks[0]))

static struct worker {
	pthread_t thread;
	const struct task *task;
	unsigned int cache;
	unsigned long turns;
} workers[2 * NR_TASKS];
static unsigned int nr_workers;

static void *work(void *arg)
{
	struct worker *worker = arg;
	uint32_t state = (uint32_t)(worker - workers) * 77 + 1;

	while (!stop) {
		worker->task->turn(worker->cache, &state);
		__atomic_add_fetch(&worker->turns, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static unsigned long turns_of(const struct worker *worker)
{
	return __atomic_load_n(&worker->turns, __ATOMIC_RELAXED);
}

static void all_at_once(void)
{
	unsigned long before[2 * NR_TASKS];

	if (!start_in_order())
		return;
	for (unsigned int i = 0; i < nr_caches; i++)
		for (unsigned int k = 0; k < NR_RANGES; k++)
			ranges[i][k] = fresh(NULL);
	for (unsigned int i = 0; i < nr_caches; i++)
		for (unsigned int k = 0; k < NR_TASKS; k++)
			if (!i || !tasks[k].once)
				workers[nr_workers++] =
					(struct worker){ .task = &tasks[k], .cache = i };
	for (unsigned int i = 0; i < nr_workers; i++)
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	sleep(SECONDS);
	for (unsigned int i = 0; i < nr_workers; i++)
		before[i] = turns_of(&workers[i]);
	for (unsigned int tenth = 0; tenth < 200; tenth++) {
		unsigned int waiting = 0;

		for (unsigned int i = 0; i < nr_workers; i++)
			waiting += turns_of(&workers[i]) == before[i];
		if (!waiting)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	for (unsigned int i = 0; i < nr_workers; i++)
		check(turns_of(&workers[i]) > before[i], "who %s beside %s goes on (%lu)",
		      workers[i].task->name, caches[workers[i].cache]->name, turns_of(&workers[i]));
	stop = true;
	check(nr_stale == 0, "no lookup of %lu is stale (%lu)", nr_replaced, nr_stale);
	check((nr_children > 0 || patched_by_others) && nr_failed == 0,
	      "%lu children end well, nothing fails (%lu)", nr_children, nr_failed);
}

/* In a child: it must not be loaded here. */
static bool is_installed(const char *library)
{
	int status = -1;
	pid_t child = fork();

	if (!child)
		_exit(dlopen(library, RTLD_LAZY) ? 0 : 1);
	waitpid(child, &status, 0);
	return status == 0;
}

static void play(const char *what, const char *digits, void (*fn)(void))
{
	char name[160];
	int length = snprintf(name, sizeof(name), "%s", what);

	for (nr_order = 0; digits[nr_order]; nr_order++) {
		order[nr_order] = (enum part)(digits[nr_order] - '0');
		length += snprintf(name + length, sizeof(name) - (size_t)length, "%s%s",
				   nr_order ? ", " : ": ", part_names[order[nr_order]]);
	}
	if (strchr(digits, '0') && !is_installed("libucs.so.0"))
		skip(name, "UCX is not installed");
	else if (strchr(digits, '2') && !is_installed("libmca_common_ucx.so.40"))
		skip(name, "Open MPI 4.1 is not installed");
	else
		scene(name, fn);
}

static const struct {
	const char *name;
	void (*fn)(void);
	const char *orders[16];
} scenes[] = {
#ifdef HAVE_LIBFABRIC
	{ "in this order",
	  everything_is_seen,
	  { "0123", "1032", "2013", "3210", "2103", "3012", "0213", "1203", "0321", "10", "01", "1",
	    "12", "21" } },
	{ "kept", the_rest_is_kept, { "01" } },
	{ "silent", silent, { "01" } },
	{ "own hooks", off, { "0", "1" } },
	{ "at once", all_at_once, { "013", "2103" } },
#else
	{ "in this order", everything_is_seen, { "023", "302", "203", "320", "0", "20", "02" } },
	{ "kept", the_rest_is_kept, { "0" } },
	{ "silent", silent, { "0" } },
	{ "own hooks", off, { "0" } },
	{ "at once", all_at_once, { "03", "203" } },
#endif
};

static void play_scene(const char *name, size_t length, const char *digits)
{
	for (unsigned int i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		if (name && (strncmp(name, scenes[i].name, length) || scenes[i].name[length]))
			continue;
		for (unsigned int k = 0; scenes[i].orders[k] && !digits; k++)
			play(scenes[i].name, scenes[i].orders[k], scenes[i].fn);
		if (digits)
			play(scenes[i].name, digits, scenes[i].fn);
	}
}

/* together [SCENE[=ORDER]]... */
int main(int argc, char **argv)
{
	const char *equals;

	setenv("FI_PROVIDER", "tcp", 0);
	if (argc < 2)
		play_scene(NULL, 0, NULL);
	for (int i = 1; i < argc; i++) {
		equals = strchr(argv[i], '=');
		play_scene(argv[i], equals ? (size_t)(equals - argv[i]) : strlen(argv[i]),
			   equals ? equals + 1 : NULL);
	}
	return tap_done();
}
