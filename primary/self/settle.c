/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Waits for memory calls that entered the kernel before their site was patched,
 * so that registration does not return while one of them, unseen, is still
 * changing the address space (R2: no section that opened earlier is open when registration
 * returns).
 *
 * All threads are watched at once.  One has left an old call when
 *  - it is gone, or sleeps elsewhere: the kernel shows for a sleeping thread which
 *    call it is in and where that returns to; or
 *  - its user time has advanced.  Of a thread that is on a CPU or waits for one the
 *    kernel shows nothing else; it may have been preempted in the kernel just before
 *    it took the lock of the address space.
 *
 * Two clocks show user time.  The thread's CPU clock counts the timer ticks that found
 * it in user mode (or exact times, where the kernel keeps them): one step is proof, but
 * among many threads a tick may be long in coming to each.  /proc's is a share of all
 * its processor time, in steps of 10 ms, scaled from the ticks, so a step may be shown
 * up to a tick too early: it counts for a thread that has also used ENOUGH.
 *
 * Then the kernel's lock of the address space is taken once, behind those that had
 * it.  A thread of which nothing is proved after LAST_RESORT is taken as done when it
 * has used more processor time than the way to that lock needs, and after GIVE_UP in
 * any case; it is counted (mmun_stats.unsettled).
 *
 * Between two looks the caller sleeps: a real-time thread does not keep those from
 * running that it waits for.  Descriptors are needed two at a time.
 * Tests: tests/torture/settle.c, tests/contract/settle.c.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "call.h"
#include "clock.h"
#include "number.h"
#include "state.h"
#include "threads.h"

#define MS          1000000UL
#define LAST_RESORT (2000 * MS)
#define GIVE_UP     (3000 * MS)
/* Processor time: far more than a call needs to ask for the lock.  What the host of a
 * virtual machine takes away, and interrupts, count as used. */
#define ENOUGH (1 * MS)
/* The caller sleeps from the first to the last, and twice as long each time. */
#define FIRST_PAUSE 50000UL
#define LAST_PAUSE  (4 * MS)

/* Clocks of one thread, by the kernel's numbers. */
#define CLOCK_USER  1
#define CLOCK_SCHED 2

/* In the flags of a thread: it never runs user code (io_uring's). */
#define FLAG_IO_WORKER 0x10

struct thread {
	long id;
	/* When the watch began, ns: time in user mode, all processor time; 0: they
	 * cannot be read. */
	unsigned long user, used;
	/* User time by /proc when it was first seen running, and 1; 0: not seen yet. */
	unsigned long shown;
	bool done;
};

struct list {
	struct thread *threads;
	size_t count, room;
};

/* "nr arg... sp pc" as the kernel prints it. */
struct syscall_line {
	int nr;
	/* Six arguments, stack pointer, program counter. */
	unsigned long values[8];
};

static bool parse_syscall_line(const char *text, struct syscall_line *line)
{
	unsigned long nr;
	int count = 0;

	text = mmun_get_decimal(text, &nr);
	line->nr = (int)nr;
	for (; count < 8 && !memcmp(text, " 0x", 3); count++) {
		unsigned long value = 0;

		for (text += 3; (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'f');
		     text++)
			value = value * 16 + (*text <= '9' ? *text - '0' : *text - 'a' + 10);
		line->values[count] = value;
	}
	return count == 8;
}

/* Or in a stub, which it took while the hooks were not armed. */
static bool is_behind_site(const struct mmun_image *images, unsigned long pc)
{
	for (const struct mmun_image *image = images; image; image = image->next) {
		if (!image->used)
			continue;
		if (pc - (unsigned long)image->stubs < image->stubs_size ||
		    pc - (unsigned long)mmun_self_raw < 64)
			return true;
		if (pc < image->text_start || pc >= image->text_end)
			continue;
		for (int j = 0; j < image->nr_sites; j++)
			if ((unsigned long)image->sites[j].resume == pc)
				return true;
	}
	return false;
}

/* libc's syscall() is one site for every number, and most opens are harmless. */
static bool is_memory_call(const struct syscall_line *line)
{
	const struct mmun_call *call = mmun_call_of(line->nr);

	return call && (!call->concerns || call->concerns(line->values));
}

enum where { ELSEWHERE, IN_CALL, UNKNOWN };

static enum where where_is(const struct mmun_image *images, int dir, long id)
{
	struct syscall_line line;
	char text[256];
	long n = mmun_threads_read(dir, id, "/syscall", text, sizeof(text));

	if (n == -ENOENT || n == -ESRCH)
		return ELSEWHERE;
	if (n <= 0 || !strncmp(text, "running", 7))
		return UNKNOWN;
	return parse_syscall_line(text, &line) && is_memory_call(&line) &&
			       is_behind_site(images, line.values[7])
		       ? IN_CALL
		       : ELSEWHERE;
}

/* The field with this number, from 4 on, of "id (name) state 4 5 6...". */
static unsigned long field_of(const char *text, int number)
{
	const char *p = strrchr(text, ')');

	for (int field = 2; p && field < number; field++)
		p = strchr(p + 1, ' ');
	return mmun_decimal(p ? p + 1 : "");
}

#define FIELD_FLAGS 9
#define FIELD_USER  14

static unsigned long read_clock(long clock)
{
	struct {
		long sec, nsec;
	} time;

	if (mmun_syscall3(SYS_clock_gettime, clock, (unsigned long)&time, 0))
		return 0;
	return time.sec * 1000000000UL + time.nsec + 1;
}

static unsigned long clock_of(long id, int which)
{
	return read_clock((int)(~(unsigned long)id << 3 | 4 | which));
}

static bool has_run_outside(const struct thread *thread)
{
	return thread->user && clock_of(thread->id, CLOCK_USER) > thread->user;
}

/* False for one whose clock cannot be read. */
static bool has_run_enough(const struct thread *thread)
{
	unsigned long used = clock_of(thread->id, CLOCK_SCHED);

	return thread->used && used > thread->used && used - thread->used > ENOUGH;
}

/* What /proc knows of one that runs: does it never run user code, or has it? */
static bool is_seen_outside(int dir, struct thread *thread)
{
	unsigned long shown;
	char text[512];

	if (thread->shown && !has_run_enough(thread))
		return false;
	if (mmun_threads_read(dir, thread->id, "/stat", text, sizeof(text)) <= 0)
		return false;
	if (field_of(text, FIELD_FLAGS) & FLAG_IO_WORKER)
		return true;
	shown = field_of(text, FIELD_USER) + 1;
	if (!thread->shown) {
		thread->shown = shown;
		thread->used = clock_of(thread->id, CLOCK_SCHED);
	}
	return shown > thread->shown;
}

static bool is_done(const struct mmun_image *images, int dir, struct thread *thread)
{
	if (has_run_outside(thread))
		return true;
	switch (where_is(images, dir, thread->id)) {
	case ELSEWHERE:
		return true;
	case IN_CALL:
		return false;
	case UNKNOWN:
		break;
	}
	return is_seen_outside(dir, thread);
}

static size_t look_at_all(const struct mmun_image *images, int dir, struct list *list)
{
	size_t waiting = 0;

	for (size_t i = 0; i < list->count; i++) {
		struct thread *thread = &list->threads[i];

		if (!thread->done)
			thread->done = is_done(images, dir, thread);
		waiting += !thread->done;
	}
	return waiting;
}

/* Those of which nothing is proved are no longer waited for; returns how many. */
static unsigned long take_as_done(struct list *list, bool all)
{
	unsigned long taken = 0;

	for (size_t i = 0; i < list->count; i++) {
		struct thread *thread = &list->threads[i];

		if (!thread->done && (all || has_run_enough(thread))) {
			thread->done = true;
			taken++;
		}
	}
	return taken;
}

/* Returns how many threads have not been seen to leave. */
static unsigned long wait_for(const struct mmun_image *images, int dir, struct list *list)
{
	const unsigned long begin = read_clock(CLOCK_MONOTONIC);
	unsigned long taken = 0, pause = FIRST_PAUSE, waited;

	while (look_at_all(images, dir, list)) {
		waited = read_clock(CLOCK_MONOTONIC) - begin;
		if (waited > LAST_RESORT)
			taken += take_as_done(list, waited > GIVE_UP);
		mmun_nap(pause);
		pause = pause < LAST_PAUSE ? pause * 2 : LAST_PAUSE;
	}
	return taken;
}

/* As /proc names it, which may be that of another namespace: ".../task/ID". */
static long own_id(void)
{
	char link[64];
	long n = mmun_syscall3(SYS_readlink, (unsigned long)"/proc/thread-self",
			       (unsigned long)link, sizeof(link) - 1);
	const char *slash;

	link[n > 0 ? n : 0] = 0;
	slash = strrchr(link, '/');
	return slash ? (long)mmun_decimal(slash + 1) : mmun_syscall3(SYS_gettid, 0, 0, 0);
}

static int make_room(struct list *list)
{
	size_t room = list->room ? list->room * 2 : MMUN_PAGE_SIZE / sizeof(struct thread);
	long at;

	if (list->room)
		at = mmun_syscall4(SYS_mremap, (unsigned long)list->threads,
				   list->room * sizeof(struct thread), room * sizeof(struct thread),
				   MREMAP_MAYMOVE);
	else
		at = mmun_syscall6(SYS_mmap, 0, room * sizeof(struct thread),
				   PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0);
	if (at < 0)
		return (int)at;
	list->threads = (struct thread *)at;
	list->room = room;
	return 0;
}

static void free_list(struct list *list)
{
	if (list->room)
		mmun_syscall3(SYS_munmap, (unsigned long)list->threads,
			      list->room * sizeof(struct thread), 0);
}

/* The kernel lists threads in the order of their creation, and so do we. */
static bool is_known(const struct list *list, size_t *hint, long id)
{
	for (size_t i = 0; i < list->count; i++) {
		size_t at = (*hint + i) % list->count;

		if (list->threads[at].id == id) {
			*hint = at + 1;
			return true;
		}
	}
	return false;
}

static int add_thread(struct list *list, long id)
{
	int ret = list->count == list->room ? make_room(list) : 0;

	if (ret)
		return ret;
	list->threads[list->count++] = (struct thread){
		.id = id,
		.user = clock_of(id, CLOCK_USER),
		.used = clock_of(id, CLOCK_SCHED),
	};
	return 0;
}

/* One pass over the threads. */
struct pass {
	struct list *list;
	/* Nobody is on the list yet. */
	bool first;
	long own;
	size_t hint;
};

static int add_new_thread(long id, void *arg)
{
	struct pass *pass = arg;

	if (id == pass->own || (!pass->first && is_known(pass->list, &pass->hint, id)))
		return 0;
	return add_thread(pass->list, id);
}

/* Adds the threads that are not on the list yet. */
static int list_threads(int dir, struct list *list)
{
	struct pass pass = { .list = list, .first = !list->count, .own = own_id() };

	return mmun_threads_each(dir, add_new_thread, &pass);
}

/* Takes and leaves the kernel's lock of the address space for writing. */
static void pass_lock(void)
{
	long page = mmun_syscall6(SYS_mmap, 0, MMUN_PAGE_SIZE, PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0);

	if (page > 0)
		mmun_syscall3(SYS_munmap, page, MMUN_PAGE_SIZE, 0);
}

int mmun_self_settle(const struct mmun_image *images, unsigned long *unsettled)
{
	struct list list = { 0 };
	int dir = mmun_threads_open();
	int ret;

	if (dir < 0)
		return dir;
	/* Twice: while threads come and go one pass may miss some.  One that is
	 * born after the patch is watched in vain. */
	ret = list_threads(dir, &list);
	if (!ret)
		ret = list_threads(dir, &list);
	if (!ret) {
		*unsettled = wait_for(images, dir, &list);
		pass_lock();
	}
	free_list(&list);
	mmun_self_close(dir);
	return ret;
}
