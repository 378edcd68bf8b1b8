/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: fork.
 *
 * It notifies the parent that its copy-on-write memory becomes shared; the
 * child has an address space of its own without notifiers.  Children that share
 * the memory are clone.c's, how processes end is ends.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <mmunotify/interval.h>
#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "conditions.h"
#include "sanitizer.h"
#include "watching.h"

extern char **environ;

/* Ways to fork. */

static pid_t by_syscall_fork(void)
{
	return (pid_t)syscall(SYS_fork);
}

static pid_t by_syscall_clone(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
}

static pid_t (*fork_way)(void);

/* The child holds still, so that the pages stay shared while they are looked at. */
static pid_t fork_and_hold(int hold)
{
	pid_t child = fork_way();
	char byte;

	if (!child) {
		while (read(hold, &byte, 1) < 0)
			;
		_exit(0);
	}
	return child;
}

static void check_fork_section(uint64_t shared)
{
	unsigned long page = watch.area.start;
	int i = watch_find(&watch, page, page + watch.area.pages * PAGE_BYTES);
	const struct watch_record *s, *e;

	check(shared == (1ULL << watch.area.pages) - 1, "the pages became shared");
	if (!check(i >= 0, "a section covers the copy-on-write memory"))
		return;
	s = &watch.records[i];
	e = &watch.records[s->peer];
	check(s->event == MMU_NOTIFY_PROTECTION_PAGE, "its class is page protection");
	check(s->op == MMUN_OP_FORK, "its operation is fork");
	check(s->flags & MMUN_RANGE_PINNED_SAFE, "pinned users may ignore it");
	check(!(s->flags & MMU_NOTIFIER_RANGE_BLOCKABLE), "it is not blockable");
	check(s->moved == 0, "it starts before the pages are shared");
	check(e->moved == shared, "it ends after the pages are shared");
}

static void fork_notifies_parent(void)
{
	void *at = map_pages(8);
	struct watch_area area = area_of(at, 8, PAGE_SHARING);
	int hold[2];
	pid_t child;
	uint64_t shared;

	start_watching();
	if (pipe(hold))
		_exit(1);
	watch_arm(&watch, &area);
	child = fork_and_hold(hold[0]);
	shared = watch_moved(&watch);
	watch_disarm(&watch);
	check_fork_section(shared);
	check(watch.released == 0, "nothing is released");
	if (write(hold[1], "x", 1) != 1)
		_exit(1);
	waitpid(child, NULL, 0);
	check(watch_sees_unmap(&watch), "the parent still sees its unmaps");
}

static void fork_refused(void)
{
	void *at = map_pages(4);
	struct watch_area area = area_of(at, 4, PAGE_SHARING);
	unsigned long from = (unsigned long)at;

	start_watching();
	watch_arm(&watch, &area);
	/* A thread without a shared address space is not a thing. */
	check(syscall(SYS_clone, CLONE_THREAD | SIGCHLD, NULL, NULL, NULL, 0) == -1 &&
		      errno == EINVAL,
	      "a clone with bad flags fails with EINVAL");
	watch_disarm(&watch);
	check(watch_sections(&watch, from, from + 4 * PAGE_BYTES) == 0,
	      "a clone that fails reports nothing to act on");
}

static void child_is_new(void)
{
	struct mm_struct *parents = mmun_self();
	void *at = map_pages(4);
	struct watch_area area = area_of(at, 4, 0);
	struct mmu_notifier stray = { .ops = watch.mn.ops };
	unsigned int before;

	start_watching();
	watch_arm(&watch, &area);
	if (fork_way() > 0) {
		before = watch.nr_records;
		wait(NULL);
		check(watch.nr_records == before, "the parent hears nothing of the child's");
		return;
	}
	pagemap_open();
	before = watch.nr_records;
	munmap(at, 4 * PAGE_BYTES);
	check(watch.nr_records == before, "the child's unmap does not reach the parent's notifier");
	check(mmun_self() != parents, "the child has another mm");
	check(mmun_mm_is_stale(parents), "the inherited mm says that it is a copy");
	stray.ops = watch.mn.ops;
	check(mmu_notifier_register(&stray, parents) == -ESRCH,
	      "registration on the inherited mm is refused with ESRCH");
	mmu_notifier_unregister(&watch.mn, parents);
	check(watch.released == 0, "unregister of the inherited notifier only forgets it");
	check(watch_register(&second) == 0, "the child can register its own");
	check(watch_sees_unmap(&second), "the child sees its unmaps");
	watch_unregister(&second);
	check(second.released == 1, "and can unregister");
	if (!fork()) {
		static struct watch third;

		pagemap_open();
		check(watch_register(&third) == 0 && watch_sees_unmap(&third),
		      "a grandchild can do the same");
		_exit(0);
	}
	wait(NULL);
	_exit(0);
}

/* A child that never asked for anything keeps working on patched text. */
static void child_without_interest(void)
{
	pid_t child;
	int status;

	start_watching();
	child = fork();
	if (!child) {
		for (int i = 0; i < 100; i++)
			munmap(map_pages(2), 2 * PAGE_BYTES);
		free(malloc(64 << 20));
		exit(7);
	}
	waitpid(child, &status, 0);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 7, "it unmaps, frees and exits as ever");
	check(watch.released == 0, "its exit releases nothing of the parent's");
}

static void *unmap_once(void *unused)
{
	munmap(map_pages(1), PAGE_BYTES);
	return NULL;
}

static void *unmap_for_ever(void *stop)
{
	while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED))
		munmap(map_pages(1), PAGE_BYTES);
	return NULL;
}

/* Threads that were inside a section at fork do not exist in the child: its
 * registrations must not wait for them. */
static void fork_amid_sections(void)
{
	pthread_t threads[3];
	int stop = 0, bad = 0;

	start_watching();
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, unmap_for_ever, &stop);
	for (int i = 0; i < 60; i++) {
		pid_t child = fork();
		int status;

		if (!child) {
			alarm(60);
			pagemap_open();
			_exit(watch_register(&second) || !watch_sees_unmap(&second));
		}
		waitpid(child, &status, 0);
		bad += status != 0;
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	check(bad == 0, "60 children forked amid sections register and see (%d did not)", bad);
}

/* Another thread starts, registers and stops all the time: what a child finds of that is in
 * the middle of anything. */
static void *register_for_ever(void *stop)
{
	while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED)) {
		watch_register(&watch);
		munmap(map_pages(1), PAGE_BYTES);
		watch_unregister(&watch);
		mmun_self_stop();
	}
	return NULL;
}

/* Asked by LeakSanitizer at exit: a fork amid an allocation leaves the child memory that
 * only a register of the other thread had pointed to. */
static bool is_child;

int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return is_child;
}

static void fork_amid_registrations(void)
{
	int stop = 0, bad = 0;
	pthread_t thread;

	pagemap_open();
	pthread_create(&thread, NULL, register_for_ever, &stop);
	for (int i = 0; i < 150; i++) {
		pid_t child = fork();
		int status;

		if (!child) {
			alarm(60);
			is_child = true;
			pagemap_open();
			exit(watch_register(&second) || !watch_sees_unmap(&second));
		}
		waitpid(child, &status, 0);
		bad += status != 0;
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	check(bad == 0,
	      "150 children forked amid starts and stops register, see and exit (%d did not)", bad);
}

/*
 * A signal handler that forks while its thread is in fork(): in a callback of the section
 * of that.  The section covers the handler's fork neither for a notifier that has heard the
 * end already nor for one that has not heard the start.
 */

static struct {
	struct mmu_notifier mn;
	int open, starts, ends;
} older, newer;
static int raise_at_end = -1, uncovered, handlers_forks;

static int start_newer(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	newer.open++;
	newer.starts++;
	return 0;
}

static void end_newer(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	newer.open--;
	newer.ends++;
}

static void raise_once(int at_end)
{
	if (raise_at_end != at_end)
		return;
	raise_at_end = -1;
	raise(SIGUSR1);
}

static int start_older(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	raise_once(0);
	older.open++;
	older.starts++;
	return 0;
}

static void end_older(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	raise_once(1);
	older.open--;
	older.ends++;
}

static const struct mmu_notifier_ops newer_ops = { .invalidate_range_start = start_newer,
						   .invalidate_range_end = end_newer };
static const struct mmu_notifier_ops older_ops = { .invalidate_range_start = start_older,
						   .invalidate_range_end = end_older };

static void fork_in_handler(int sig)
{
	int newer_before = newer.starts, older_before = older.starts;
	pid_t child = fork();

	if (!child)
		_exit(newer.open < 1 || older.open < 1);
	handlers_forks++;
	uncovered += newer.starts == newer_before || older.starts == older_before;
	waitpid(child, NULL, 0);
}

static void fork_inside_fork(void)
{
	signal(SIGUSR1, fork_in_handler);
	older.mn.ops = &older_ops;
	newer.mn.ops = &newer_ops;
	check(mmu_notifier_register(&older.mn, mmun_self()) == 0 &&
		      mmu_notifier_register(&newer.mn, mmun_self()) == 0,
	      "registers");
	for (int at_end = 0; at_end < 2; at_end++) {
		pid_t child;

		raise_at_end = at_end;
		child = fork();
		if (!child)
			_exit(0);
		waitpid(child, NULL, 0);
	}
	check(handlers_forks == 2 && !uncovered, "a handler's fork has a section of its own");
	check(newer.starts == newer.ends && older.starts == older.ends && !newer.open &&
		      !older.open,
	      "each start has its end");
}

/* What hooks have open for a moment in other threads. */

static void *shorten_for_ever(void *fd)
{
	for (;;) {
		if (ftruncate((int)(long)fd, 2 * PAGE_BYTES) || ftruncate((int)(long)fd, 0))
			abort();
	}
	return NULL;
}

static int open_descriptors(int first)
{
	int count = 0;

	for (int fd = first; fd < first + 8; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Each new thread asks whether the first one, whose id is the process's, has ended. */
static void *unmap_in_new_threads(void *unused)
{
	for (;;) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, unmap_once, NULL))
			abort();
		pthread_join(thread, NULL);
	}
	return NULL;
}

static void count_descriptors(void *(*other)(void *), void *arg, int first)
{
	int opened = open_descriptors(first), leaked = 0, last = 0;
	pthread_t thread;

	check(mmu_notifier_register(&newer.mn, mmun_self()) == 0, "registers");
	/* This thread has acted before the others ask for it. */
	munmap(map_pages(1), PAGE_BYTES);
	pthread_create(&thread, NULL, other, arg);
	for (int i = 0; i < 1000; i++) {
		pid_t child = fork_way();
		int status;

		if (!child)
			_exit(open_descriptors(first) - opened);
		waitpid(child, &status, 0);
		leaked += status != 0;
		last = status ? status : last;
	}
	check(!leaked,
	      "%d of 1000 children have more descriptors than the program opened (status %x)",
	      leaked, last);
}

static int next_descriptor(void)
{
	int next = dup(0);

	close(next);
	return next;
}

static void no_descriptor_leaks(void)
{
	int fd = memfd_create("shortened", 0);

	mmap(NULL, 2 * PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	count_descriptors(shorten_for_ever, (void *)(long)fd, next_descriptor());
}

static void no_descriptor_of_new_threads(void)
{
	count_descriptors(unmap_in_new_threads, NULL, next_descriptor());
}

/* A descriptor of the program's with every flag that ours have but one. */
static void descriptors_stay(void)
{
	int fd = memfd_create("shortened", 0), own, status = -1;
	pthread_t thread;

	own = open("/proc/self/maps", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_APPEND);
	mmap(NULL, 2 * PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	newer.mn.ops = &newer_ops;
	check(own >= 0 && mmu_notifier_register(&newer.mn, mmun_self()) == 0, "registers");
	pthread_create(&thread, NULL, shorten_for_ever, (void *)(long)fd);
	for (int i = 0; i < 300 && status; i++) {
		pid_t child = fork();

		if (!child)
			_exit(fcntl(own, F_GETFD) >= 0);
		waitpid(child, &status, 0);
		if (WEXITSTATUS(status) != 1)
			break;
	}
	check(WIFEXITED(status) && WEXITSTATUS(status) == 1, "the program's own stay open");
}

/* A child that shares the table of descriptors: those of the hooks are its parent's, who
 * closes them himself.  The flags are what they are known by (descriptor.h). */
static void descriptors_of_parent(void)
{
	int fd = memfd_create("shortened", 0), like_ours;
	int children = 0;
	pthread_t thread;

	like_ours = open("/proc/self/maps", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_APPEND | O_DSYNC);
	mmap(NULL, 2 * PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	newer.mn.ops = &newer_ops;
	check(like_ours >= 0 && mmu_notifier_register(&newer.mn, mmun_self()) == 0, "registers");
	pthread_create(&thread, NULL, shorten_for_ever, (void *)(long)fd);
	for (; children < 1000 && fcntl(like_ours, F_GETFD) >= 0; children++) {
		pid_t child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, 0);

		if (!child)
			_exit(0);
		waitpid(child, NULL, 0);
	}
	check(children == 1000, "a child that shares descriptors closes none of its parent (%d)",
	      children);
}

static char fork_stack[256 << 10] __attribute__((aligned(64)));

static int on_other_stack(void *arg)
{
	char here, *stack = fork_stack;
	int state = -1;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
	return &here > stack && &here < stack + sizeof(fork_stack) && arg == &fork_way &&
			       state == PTHREAD_CANCEL_ENABLE
		       ? 5
		       : 6;
}

/* clone() with a stack for a child that does not share the memory. */
static void fork_to_other_stack(void)
{
	int status = -1;
	pid_t child;

	newer.mn.ops = &newer_ops;
	check(mmu_notifier_register(&newer.mn, mmun_self()) == 0, "registers");
	child = clone(on_other_stack, fork_stack + sizeof(fork_stack), SIGCHLD, &fork_way);
	waitpid(child, &status, 0);
	check(newer.starts == 1 && newer.ends == 1, "is notified");
	check(WIFEXITED(status) && WEXITSTATUS(status) == 5,
	      "the child goes on there, and can be cancelled");
}

static void fork_by_clone3(void)
{
	struct clone3_arguments arguments = { .exit_signal = SIGCHLD };
	int status = -1;
	long child;

	newer.mn.ops = &newer_ops;
	check(mmu_notifier_register(&newer.mn, mmun_self()) == 0, "registers");
	child = syscall(SYS_clone3, &arguments, sizeof(arguments));
	if (!child)
		_exit(3);
	waitpid((pid_t)child, &status, 0);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 3, "the child goes on");
	check(newer.starts == 1 && newer.ends == 1, "is notified");
	check(syscall(SYS_clone3, 16, sizeof(arguments)) == -1 && errno == EFAULT,
	      "arguments that are not there are EFAULT");
	arguments.exit_signal = 1000;
	check(syscall(SYS_clone3, &arguments, sizeof(arguments)) == -1 && errno == EINVAL,
	      "bad ones EINVAL");
}

#define GENERATIONS 60

/* One that hears of its own unmap, and leaves again. */
static bool lives(struct watch *own)
{
	bool hears;

	memset(own, 0, sizeof(*own));
	if (watch_register(own))
		return false;
	hears = watch_sees_unmap(own);
	watch_unregister(own);
	return hears;
}

/* Each child forks the next, and registers for itself. */
static void generations(void)
{
	static struct watch own;
	volatile long *words = scene_report->words;
	int status;

	for (int i = 0; i < GENERATIONS; i++) {
		pid_t child;

		words[0] += lives(&own);
		if (i == 5)
			words[1] = count_mappings();
		if (i == GENERATIONS - 1)
			words[2] = count_mappings();
		child = fork_way();
		if (!child)
			continue;
		waitpid(child, &status, 0);
		if (i)
			_exit(WEXITSTATUS(status));
		break;
	}
	if (getppid() != words[3])
		_exit(0);
	check(words[0] == GENERATIONS, "each of %d generations registers and hears (%ld)",
	      GENERATIONS, words[0]);
	check(words[2] <= words[1] + 8,
	      "what they inherit does not grow with them (%ld mappings, %ld)", words[1], words[2]);
}

static void all_generations(void)
{
	scene_report->words[3] = getppid();
	generations();
}

static void fork_scenes(void)
{
	static const struct {
		const char *name;
		pid_t (*way)(void);
	} ways[] = {
		{ "fork", fork },
		{ "_Fork", _Fork },
		{ "syscall(SYS_fork)", by_syscall_fork },
		{ "syscall(SYS_clone)", by_syscall_clone },
	};
	char name[80];

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		fork_way = ways[i].way;
		snprintf(name, sizeof(name), "%s, parent", ways[i].name);
		scene(name, fork_notifies_parent);
		if (SANITIZED && i >= 1)
			continue;
		snprintf(name, sizeof(name), "%s, child", ways[i].name);
		scene(name, child_is_new);
		snprintf(name, sizeof(name), "%s, descriptors", ways[i].name);
		newer.mn.ops = &newer_ops;
		scene(name, no_descriptor_leaks);
		snprintf(name, sizeof(name), "%s, descriptors of new threads", ways[i].name);
		scene(name, no_descriptor_of_new_threads);
	}
	fork_way = fork;
	scene("generations", all_generations);
	fork_way = _Fork;
	if (!SANITIZED)
		scene("generations by _Fork", all_generations);
	scene("clone that fails", fork_refused);
	scene("child without interest", child_without_interest);
	scene("fork amid sections", fork_amid_sections);
	scene("fork amid registrations", fork_amid_registrations);
	scene("fork inside fork", fork_inside_fork);
	scene("descriptors of the program", descriptors_stay);
	scene("descriptors of the parent", descriptors_of_parent);
	scene("child on another stack", fork_to_other_stack);
	scene("clone3", fork_by_clone3);
}

int main(void)
{
	if (THREAD_SANITIZED)
		skip_all(THREAD_END_REASON);
	if (pagemap_open() || !pagemap_shows_frames())
		skip_all("frame numbers need CAP_SYS_ADMIN (run as root)");
	fork_scenes();
	is(mmun_source_at(0)->coverage[MMUN_OP_FORK], MMUN_COVERS_BEFORE,
	   "what was observed is declared");
	return tap_done();
}
