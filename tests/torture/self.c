/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Torture of this process: everything at once.
 *
 *	self [--seconds N] [--seed S]
 *
 * Owners unmap, remap, overlay, advise, move, punch and protect their own
 * slots of memory.  Caches subscribe, look translations up, ask their cache,
 * and unsubscribe; a cache that calls a dead translation valid is wrong
 * (oracle.h).  Beside them the allocator frees large blocks, a forker makes
 * children that subscribe and unmap, and a patcher removes and installs the
 * redirection whenever nobody subscribes.  The sequence of operations of each
 * thread follows from the seed and the thread's number alone.
 */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "../tap.h"
#include "oracle.h"
#include "park.h"

#define OWNERS    4
#define CACHES    3
#define OTHERS    3
#define EVERYBODY (OWNERS + CACHES + OTHERS)
#define RW        (PROT_READ | PROT_WRITE)

static unsigned long seconds = 60, seed = 1;
static int stopping;
/* Caches hold it for reading while subscribed; the patcher takes it for writing. */
static pthread_rwlock_t subscribed;

static unsigned long registrations, failures, patch_rounds, patch_failures, forks, fork_failures;
static unsigned long operations, operation_failures, blocks;
static struct cache caches[CACHES];

/* xorshift: one state per thread. */
static unsigned long next(unsigned long *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static unsigned long seed_of(unsigned long thread)
{
	return (seed + 1) * 0x9e3779b97f4a7c15UL ^ (thread + 1) * 0xbf58476d1ce4e5b9UL;
}

static bool running(void)
{
	return !__atomic_load_n(&stopping, __ATOMIC_RELAXED);
}

static void count(unsigned long *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

/* What an owner has besides its slots: room to move to, a file to map. */
struct owner {
	pthread_t thread;
	unsigned long random;
	unsigned int first;
	char *spare;
	int fd;
};

static bool map_anonymous(struct slot *s)
{
	return mmap(s->base, ORACLE_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	       s->base;
}

static bool do_unmap(struct owner *o, struct slot *s)
{
	bool done = !munmap(s->base, ORACLE_BYTES);

	oracle_died(s);
	return map_anonymous(s) && done;
}

static bool do_unmap_raw(struct owner *o, struct slot *s)
{
	bool done = !syscall(SYS_munmap, s->base, ORACLE_BYTES);

	oracle_died(s);
	return map_anonymous(s) && done;
}

static bool do_overlay(struct owner *o, struct slot *s)
{
	bool done = map_anonymous(s);

	oracle_died(s);
	return done;
}

static bool do_dontneed(struct owner *o, struct slot *s)
{
	bool done = !madvise(s->base, ORACLE_BYTES, MADV_DONTNEED);

	oracle_died(s);
	return done;
}

static bool do_move_away_and_back(struct owner *o, struct slot *s)
{
	void *there = mremap(s->base, ORACLE_BYTES, ORACLE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
			     o->spare);

	oracle_died(s);
	/* Back comes the same page, under a generation of its own. */
	if (there != o->spare)
		return false;
	*(uint64_t *)there = s->live + 1;
	return mremap(o->spare, ORACLE_BYTES, ORACLE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
		      s->base) == s->base;
}

static bool do_move_onto(struct owner *o, struct slot *s)
{
	bool done = mmap(o->spare, ORACLE_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			 0) == o->spare;

	memset(o->spare, 0, ORACLE_BYTES);
	done &= mremap(o->spare, ORACLE_BYTES, ORACLE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
		       s->base) == s->base;
	oracle_died(s);
	return done;
}

static bool map_file(struct owner *o, struct slot *s)
{
	bool done = !ftruncate(o->fd, ORACLE_BYTES) &&
		    mmap(s->base, ORACLE_BYTES, RW, MAP_SHARED | MAP_FIXED, o->fd, 0) == s->base;

	oracle_died(s);
	oracle_write(s);
	return done;
}

static bool do_punch(struct owner *o, struct slot *s)
{
	bool done = map_file(o, s);

	done &= !fallocate(o->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, ORACLE_BYTES);
	oracle_died(s);
	return map_anonymous(s) && done;
}

static bool do_truncate(struct owner *o, struct slot *s)
{
	bool done = map_file(o, s);

	done &= !ftruncate(o->fd, 0);
	oracle_died(s);
	return map_anonymous(s) && done;
}

/* Changes rights only: the generation lives on. */
static bool do_protect(struct owner *o, struct slot *s)
{
	return !mprotect(s->base, ORACLE_BYTES, PROT_READ) && !mprotect(s->base, ORACLE_BYTES, RW);
}

static bool do_nothing(struct owner *o, struct slot *s)
{
	return munmap(s->base + 1, ORACLE_BYTES) == -1 && errno == EINVAL;
}

static bool (*const menu[])(struct owner *, struct slot *) = {
	do_unmap,     do_unmap_raw, do_overlay,  do_dontneed, do_move_away_and_back,
	do_move_onto, do_punch,     do_truncate, do_protect,  do_nothing,
};

static void *own(void *arg)
{
	struct owner *o = arg;

	while (running()) {
		unsigned long r = next(&o->random);
		struct slot *s = &oracle_slots[o->first + r % (ORACLE_SLOTS / OWNERS)];

		if (!menu[(r >> 16) % (sizeof(menu) / sizeof(menu[0]))](o, s))
			count(&operation_failures);
		oracle_write(s);
		count(&operations);
	}
	return park_thread();
}

static bool start_owner(struct owner *o, unsigned int number)
{
	o->random = seed_of(number);
	o->first = number * (ORACLE_SLOTS / OWNERS);
	o->fd = memfd_create("torture", MFD_CLOEXEC);
	o->spare = oracle_room(ORACLE_BYTES);
	for (unsigned int i = 0; i < ORACLE_SLOTS / OWNERS; i++) {
		if (!map_anonymous(&oracle_slots[o->first + i]))
			return false;
		oracle_write(&oracle_slots[o->first + i]);
	}
	return o->fd >= 0 && o->spare && !pthread_create(&o->thread, NULL, own, o);
}

/* One subscription: as many lookups and questions as the dice say. */
static void subscribe_once(struct cache *c, unsigned long *random)
{
	unsigned long rounds = 100 + next(random) % 4000;

	c->mn.ops = &oracle_ops;
	oracle_flush(c);
	if (mmu_notifier_register(&c->mn, mmun_self())) {
		count(&failures);
		return;
	}
	count(&registrations);
	for (unsigned long i = 0; i < rounds && running(); i++) {
		unsigned long r = next(random);

		if (r & 1 << 20)
			oracle_lookup(c, (unsigned int)(r % ORACLE_SLOTS));
		for (unsigned int j = 0; j < 8; j++)
			oracle_ask(c, (unsigned int)((r >> 8) + j) % ORACLE_SLOTS);
	}
	mmu_notifier_unregister(&c->mn, mmun_self());
}

static void *cache(void *arg)
{
	struct cache *c = arg;
	unsigned long random = seed_of(100 + (unsigned long)(c - caches));

	while (running()) {
		pthread_rwlock_rdlock(&subscribed);
		subscribe_once(c, &random);
		pthread_rwlock_unlock(&subscribed);
	}
	return park_thread();
}

static void *patch(void *arg)
{
	unsigned long random = seed_of(200);

	while (running()) {
		usleep((useconds_t)(next(&random) % 20000));
		pthread_rwlock_wrlock(&subscribed);
		if (mmun_self_stop())
			count(&patch_failures);
		if (next(&random) & 1 && mmun_self_start())
			count(&patch_failures);
		pthread_rwlock_unlock(&subscribed);
		count(&patch_rounds);
	}
	return park_thread();
}

static void *free_blocks(void *arg)
{
	unsigned long random = seed_of(300);

	while (running()) {
		size_t size = (size_t)(next(&random) % (4 << 20)) + 1;
		char *block = malloc(size);

		if (!block)
			continue;
		block[0] = block[size - 1] = 1;
		if (next(&random) & 1)
			block = realloc(block, 2 * size);
		free(block);
		count(&blocks);
	}
	return park_thread();
}

/* What a child ends with, if not with the errno of its registration. */
#define CHILD_CANNOT_UNMAP 200
#define CHILD_MISSED       201
#define CHILD_HANGS        202

/* How far the last child came, in memory that it shares with its parent. */
static struct fate {
	const char *step;
	int status;
	unsigned long starts, ends;
	void *frames[24];
	int nr_frames;
} * fate;
/* Of the first that failed. */
static struct fate failed;

static void on_hang(int signal)
{
	fate->nr_frames = backtrace(fate->frames, (int)(sizeof(fate->frames) / sizeof(void *)));
	_exit(CHILD_HANGS);
}

/* Subscribes, sees its own unmap, and is gone. */
static int child(void)
{
	static struct cache mine = { .mn.ops = &oracle_ops };
	struct slot *s = &oracle_slots[0];
	int error;

	signal(SIGALRM, on_hang);
	alarm(60);
	oracle_flush(&mine);
	fate->step = "registered";
	error = -mmu_notifier_register(&mine.mn, mmun_self());
	if (error)
		return error;
	fate->step = "unmapped";
	if (munmap(s->base, ORACLE_BYTES))
		return CHILD_CANNOT_UNMAP;
	fate->step = "ended";
	fate->starts = mine.seq[0].start;
	fate->ends = mine.seq[0].end;
	return fate->starts == 1 && fate->ends == 1 ? 0 : CHILD_MISSED;
}

static void show_failed_child(void)
{
	char **names = backtrace_symbols(failed.frames, failed.nr_frames);

	diag("the first: status %d, signal %d, while it %s; %lu starts, %lu ends",
	     WEXITSTATUS(failed.status), WTERMSIG(failed.status), failed.step, failed.starts,
	     failed.ends);
	/* Without the handler's own. */
	for (int i = 2; names && i < failed.nr_frames; i++)
		diag("at %s", names[i]);
	free(names);
}

static void *fork_children(void *arg)
{
	unsigned long random = seed_of(400);

	/* The first call loads what the others only use. */
	backtrace(fate->frames, 1);
	/* ThreadSanitizer holds locks across fork() that the sections of other
	 * threads need, while fork() waits for a registration and that for them. */
	while (running() && !THREAD_SANITIZED) {
		pid_t pid;

		usleep((useconds_t)(next(&random) % 10000));
		*fate = (struct fate){ .step = "began" };
		pid = fork();
		if (!pid)
			_exit(child());
		if (pid < 0)
			fate->step = "was not made";
		else if (waitpid(pid, &fate->status, 0) != pid)
			fate->step = "was waited for";
		if (pid < 0 || strcmp(fate->step, "ended") != 0 || fate->status) {
			if (!fork_failures)
				failed = *fate;
			count(&fork_failures);
		}
		count(&forks);
	}
	return park_thread();
}

/* A hang is a failure, too.  Not waited for: the process ends with it. */
static void *watch_progress(void *arg)
{
	unsigned long last_operations = 0, last_registrations = 0;

	for (;;) {
		unsigned long now_operations, now_registrations;

		sleep(60);
		now_operations = __atomic_load_n(&operations, __ATOMIC_RELAXED);
		now_registrations = __atomic_load_n(&registrations, __ATOMIC_RELAXED);
		if (now_operations == last_operations || now_registrations == last_registrations)
			bail_out(running() ? "no progress for 60 s"
					   : "a thread did not end in 60 s");
		last_operations = now_operations;
		last_registrations = now_registrations;
	}
	return NULL;
}

static void parse(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--seconds"))
			seconds = strtoul(argv[i + 1], NULL, 0);
		if (!strcmp(argv[i], "--seed"))
			seed = strtoul(argv[i + 1], NULL, 0);
	}
}

static void report(void)
{
	static const char *const ages[ORACLE_BUCKETS] = { "1 us",  "10 us",  "100 us", "1 ms",
							  "10 ms", "100 ms", "1 s",    "longer" };
	unsigned long hits = 0, cached = 0, lookups = 0, stale = 0, unpaired = 0;

	for (int i = 0; i < CACHES; i++) {
		hits += caches[i].hits;
		cached += caches[i].cached;
		lookups += caches[i].lookups;
		unpaired += caches[i].unpaired;
	}
	diag("%lu operations, %lu registrations, %lu patch rounds, %lu forks, %lu blocks",
	     operations, registrations, patch_rounds, forks, blocks);
	diag("%lu lookups, %lu cached, %lu valid answers", lookups, cached, hits);
	for (int b = 0; b < ORACLE_BUCKETS; b++) {
		unsigned long sum = 0;

		for (int i = 0; i < CACHES; i++)
			sum += caches[i].stale[b];
		diag("stale answers up to %-6s old: %lu", ages[b], sum);
		stale += sum;
	}
	ok(hits > 0 && cached > 0, "the caches were of use");
	is(stale, 0, "no answer was stale");
	is(unpaired, 0, "R1: no end without its start");
	is(operation_failures, 0, "every operation did what it does");
	ok(registrations > 0, "there were registrations");
	is(failures, 0, "none of them failed");
	is(patch_failures, 0, "no start or stop failed");
	is(fork_failures, 0, "every child subscribed and saw its own unmap");
	if (fork_failures)
		show_failed_child();
}

int main(int argc, char **argv)
{
	static struct owner owners[OWNERS];
	pthread_rwlockattr_t attr;
	pthread_t others[OTHERS], subscribers[CACHES], watchdog;

	parse(argc, argv);
	diag("--seconds %lu --seed %lu", seconds, seed);
	/* The patcher must get its turn. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&subscribed, &attr);
	fate = mmap(NULL, sizeof(*fate), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!oracle_init())
		bail_out("no address space");
	/* The source is built without ThreadSanitizer, which therefore does not
	 * see how threads that ask first at the same time hand the mm over. */
	if (THREAD_SANITIZED)
		mmun_self();
	for (unsigned int i = 0; i < OWNERS; i++)
		if (!start_owner(&owners[i], i))
			bail_out("cannot start an owner");
	for (int i = 0; i < CACHES; i++)
		pthread_create(&subscribers[i], NULL, cache, &caches[i]);
	pthread_create(&others[0], NULL, patch, NULL);
	pthread_create(&others[1], NULL, free_blocks, NULL);
	pthread_create(&others[2], NULL, fork_children, NULL);
	pthread_create(&watchdog, NULL, watch_progress, NULL);
	pthread_detach(watchdog);
	sleep((unsigned int)seconds);
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < OWNERS; i++)
		park_wait(owners[i].thread, EVERYBODY);
	for (int i = 0; i < CACHES; i++)
		park_wait(subscribers[i], EVERYBODY);
	for (int i = 0; i < OTHERS; i++)
		park_wait(others[i], EVERYBODY);
	report();
	return tap_done();
}
