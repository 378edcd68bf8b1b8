/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A primary MMU without memory, and a notifier that counts its callbacks.
 *
 * Its sections are read sections throughout; its mm_lock keeps nobody out.
 */
#ifndef MMUN_TESTS_UNIT_FAKE_H
#define MMUN_TESTS_UNIT_FAKE_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "internal.h"
#include "tap.h"

#define UNUSED __attribute__((unused))

/* ThreadSanitizer refuses threads in a child that a threaded process forked,
 * unless an option allows it; the children here run few and simple ones.  Its own
 * finder of deadlocks ends at 64 locks in one thread; the ranks replace it. */
const char *__tsan_default_options(void);
UNUSED const char *__tsan_default_options(void)
{
	return "die_after_fork=0:detect_deadlocks=0";
}

struct fake {
	int start_error;
	int lock_error;
	int starts, locks, unlocks, exits, destroys;
	/* Called inside mm_lock. */
	void (*while_locked)(struct mm_struct *mm);
};

static UNUSED int fake_start(struct mm_struct *mm)
{
	struct fake *fake = mmun_mm_priv(mm);

	fake->starts++;
	return fake->start_error;
}

static UNUSED int fake_lock(struct mm_struct *mm, struct mm_lock_data *data)
{
	struct fake *fake = mmun_mm_priv(mm);

	if (fake->lock_error)
		return fake->lock_error;
	fake->locks++;
	if (fake->while_locked)
		fake->while_locked(mm);
	return 0;
}

static UNUSED void fake_unlock(struct mm_struct *mm, struct mm_lock_data *data)
{
	struct fake *fake = mmun_mm_priv(mm);

	fake->unlocks++;
}

static UNUSED void fake_exit(struct mm_struct *mm)
{
	((struct fake *)mmun_mm_priv(mm))->exits++;
}

static UNUSED void fake_destroy(void *priv)
{
	((struct fake *)priv)->destroys++;
}

static UNUSED const struct mmun_primary_ops fake_ops = {
	.name = "fake",
	.start = fake_start,
	.lock = fake_lock,
	.unlock = fake_unlock,
	.exit = fake_exit,
	.destroy = fake_destroy,
};

static UNUSED struct mm_struct *fake_mm_with_word(struct fake *fake, const unsigned int *fork_word)
{
	struct mmun_mm_params params = { .ops = &fake_ops, .priv = fake, .fork_word = fork_word };
	struct mm_struct *mm;

	memset(fake, 0, sizeof(*fake));
	if (mmun_mm_create(&params, &mm))
		bail_out("no memory for an mm");
	return mm;
}

static UNUSED struct mm_struct *fake_mm(struct fake *fake)
{
	return fake_mm_with_word(fake, NULL);
}

static UNUSED bool fake_mmap_lock_is_free(struct mm_struct *mm)
{
	if (!mmap_write_trylock(mm))
		return false;
	mmap_write_unlock(mm);
	return true;
}

/* A notifier that counts; every counter is atomic. */
struct watcher {
	struct mmu_notifier mn;
	long starts, ends, releases, pages, frees;
	/* What the next starts answer. */
	int answer;
	/* Sections it knows to be open, and ends that came without a start. */
	long open, early_ends;
	int id;
	void (*in_start)(struct watcher *watcher);
	void (*in_end)(struct watcher *watcher);
	void (*in_release)(struct watcher *watcher);
};

#define count(p)   ((void)mmun_add_full((p), 1))
#define counted(p) mmun_load_full(p)

static UNUSED struct watcher *watcher_of(struct mmu_notifier *mn)
{
	return mmun_container_of(mn, struct watcher, mn);
}

static UNUSED int watcher_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct watcher *watcher = watcher_of(mn);

	count(&watcher->starts);
	if (watcher->in_start)
		watcher->in_start(watcher);
	if (watcher->answer && !mmu_notifier_range_blockable(range))
		return watcher->answer;
	(void)mmun_add_full(&watcher->open, 1);
	return 0;
}

static UNUSED void watcher_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct watcher *watcher = watcher_of(mn);

	count(&watcher->ends);
	if (mmun_sub_full(&watcher->open, 1) < 0)
		count(&watcher->early_ends);
	if (watcher->in_end)
		watcher->in_end(watcher);
}

static UNUSED void watcher_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct watcher *watcher = watcher_of(mn);

	count(&watcher->releases);
	if (watcher->in_release)
		watcher->in_release(watcher);
}

static UNUSED void watcher_page(struct mmu_notifier *mn, struct mm_struct *mm,
				unsigned long address)
{
	count(&watcher_of(mn)->pages);
}

static UNUSED const struct mmu_notifier_ops watcher_ops = {
	.release = watcher_release,
	.invalidate_range_start = watcher_start,
	.invalidate_range_end = watcher_end,
	.invalidate_page = watcher_page,
};

static UNUSED void watcher_init(struct watcher *watcher)
{
	memset(watcher, 0, sizeof(*watcher));
	watcher->mn.ops = &watcher_ops;
}

static UNUSED void watch(struct watcher *watcher, struct mm_struct *mm)
{
	watcher_init(watcher);
	if (mmu_notifier_register(&watcher->mn, mm))
		bail_out("cannot register");
}

static UNUSED void range_init(struct mmu_notifier_range *range, struct mm_struct *mm)
{
	*range = (struct mmu_notifier_range){ .mm = mm, .start = 4096, .end = 8192 };
}

/* One section inside a read section, as the running process has them. */
static UNUSED int fake_section(struct mm_struct *mm)
{
	struct mmu_notifier_range range;
	struct mmun_reader reader;
	int ret;

	mmun_mm_read_lock(mm, &reader);
	range_init(&range, mm);
	range.flags = MMUN_RANGE_READ_LOCKED;
	ret = mmu_notifier_invalidate_range_start_nonblock(&range);
	if (!ret)
		mmu_notifier_invalidate_range_end(&range);
	mmun_mm_read_unlock(mm, &reader);
	return ret;
}

/* Does the event happen although everybody gets the chance to be too early?
 * For proving a wait: a wrong implementation is caught with high probability,
 * a right one never fails. */
static UNUSED void let_others_run(void)
{
	for (int i = 0; i < 50; i++) {
		sched_yield();
		usleep(100);
	}
}

static UNUSED void wait_until_set(long *flag)
{
	while (!mmun_load_full(flag))
		usleep(100);
}

static UNUSED pthread_t spawn(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fn, arg))
		bail_out("cannot create a thread");
	return thread;
}

/* ThreadSanitizer runs handlers only at its next chance, which this offers. */
static UNUSED void wait_for_handler(long *handled)
{
	while (!mmun_load_full(handled))
		usleep(100);
}

/* The nth allocation from now on fails; 0: none does. */
static long fail_countdown;
static long allocations;

static UNUSED bool fail_nth(size_t size)
{
	(void)mmun_add_full(&allocations, 1);
	return mmun_load_full(&fail_countdown) && mmun_sub_full(&fail_countdown, 1) == 0;
}

static UNUSED void fail_allocation(long nth)
{
	mmun_store_full(&fail_countdown, nth);
	mmun_alloc_fail = nth ? fail_nth : NULL;
}

/* A child that ends here has been somewhere, too. */
#ifdef MMUN_COVERAGE
void __gcov_dump(void);
#define save_coverage() __gcov_dump()
static UNUSED void save_and_abort(int sig)
{
	signal(SIGABRT, SIG_DFL);
	save_coverage();
	raise(SIGABRT);
}
#else
#define save_coverage() ((void)0)
#define save_and_abort  SIG_DFL
#endif

/* Runs fn(arg) in a child with stderr going to @text.  Returns the wait status. */
static UNUSED int run_in_child(void (*fn)(void *), void *arg, char *text, size_t size)
{
	int pipe_fds[2], status;
	size_t used = 0;
	ssize_t got;
	pid_t pid;

	if (pipe(pipe_fds))
		bail_out("no pipe");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		/* An abort is expected: no report of a sanitizer, no core file. */
		signal(SIGABRT, save_and_abort);
		dup2(pipe_fds[1], 2);
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		alarm(60);
		fn(arg);
		save_coverage();
		_exit(0);
	}
	close(pipe_fds[1]);
	while (used < size - 1 && (got = read(pipe_fds[0], text + used, size - 1 - used)) > 0)
		used += (size_t)got;
	text[used] = '\0';
	close(pipe_fds[0]);
	waitpid(pid, &status, 0);
	return status;
}

static UNUSED bool aborted(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static UNUSED bool exited_well(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#endif
