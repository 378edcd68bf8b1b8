/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: the situations in which a memory call can happen.
 *
 * Inside a callback, inside free() with an arena locked, in a signal handler
 * that interrupts another section, in a thread that is being cancelled, on the
 * smallest stack, before main and after the exit handlers; beside a callback
 * that takes long and a registration that waits for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include <mmunotify/self.h>

#include "sanitizer.h"
#include "watching.h"

/* What a plain counting notifier saw, for scenes with many threads. */
struct counter {
	struct mmu_notifier mn;
	unsigned long starts, ends;
};

static int count_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	__atomic_add_fetch(&((struct counter *)mn)->starts, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void count_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	__atomic_add_fetch(&((struct counter *)mn)->ends, 1, __ATOMIC_SEQ_CST);
}

static const struct mmu_notifier_ops counting = { .invalidate_range_start = count_start,
						  .invalidate_range_end = count_end };
static struct counter counter = { .mn.ops = &counting };

/* A callback that unmaps memory of its own, at both edges. */

static char *inner[2];

static void unmap_inside(struct watch *w, const struct mmu_notifier_range *range, bool end)
{
	char *mine = inner[end];

	if (!mine || range->start == (unsigned long)inner[0] ||
	    range->start == (unsigned long)inner[1])
		return;
	inner[end] = NULL;
	if (munmap(mine, 2 * PAGE_BYTES))
		abort();
}

static void recursion(void)
{
	char *at = map_pages(4), *first = map_pages(2), *last = map_pages(2);

	inner[0] = first;
	inner[1] = last;
	start_watching();
	watch.edge = unmap_inside;
	arm(&watch, at, 4);
	munmap(at, 4 * PAGE_BYTES);
	watch_disarm(&watch);
	check(notified(&watch, at, 4), "the outer unmap is notified");
	check(notified(&watch, first, 2), "an unmap inside the start callback is notified");
	check(notified(&watch, last, 2), "an unmap inside the end callback is notified");
	watch.edge = NULL;
	check(watch_register(&second) == 0 && watch_sees_unmap(&second),
	      "registration works afterwards");
}

/* errno of the program survives callbacks that set it. */
static void errno_kept(void)
{
	char *at = map_pages(1);

	start_watching();
	errno = ENOTTY;
	munmap(at, PAGE_BYTES);
	check(errno == ENOTTY, "a call that succeeds leaves errno alone");
	check(munmap((void *)1, PAGE_BYTES) == -1 && errno == EINVAL,
	      "a call that fails sets its own");
	errno = ENOTTY;
	free(malloc(64 << 20));
	check(errno == ENOTTY, "free leaves errno alone");
}

/* A timer whose handler unmaps too, in the middle of whatever. */

static volatile unsigned long handled;

static void tick(int sig)
{
	char *at = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(at, PAGE_BYTES);
	handled++;
}

static void signals_amid_sections(void)
{
	struct itimerval fast = { { 0, 200 }, { 0, 200 } }, off = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = tick, .sa_flags = SA_RESTART };
	unsigned long wanted = 20000;

	pagemap_open();
	check(mmu_notifier_register(&counter.mn, mmun_self()) == 0, "registers");
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &fast, NULL);
	for (unsigned long i = 0; i < wanted; i++)
		munmap(map_pages(1), PAGE_BYTES);
	setitimer(ITIMER_REAL, &off, NULL);
	alarm(60);
	check(handled > 0, "the handler ran (%lu times)", handled);
	check(counter.starts == wanted + handled, "every section was notified (%lu of %lu)",
	      counter.starts, wanted + handled);
	check(counter.ends == counter.starts, "each start has its end");
}

/* Registration under a fast timer must not starve. */
static void registration_under_timer(void)
{
	struct itimerval fast = { { 0, 200 }, { 0, 200 } }, off = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = tick };
	int failed = 0;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &fast, NULL);
	for (int i = 0; i < 300; i++) {
		failed += mmu_notifier_register(&counter.mn, mmun_self()) != 0;
		mmu_notifier_unregister(&counter.mn, mmun_self());
	}
	setitimer(ITIMER_REAL, &off, NULL);
	check(failed == 0, "300 registrations under a 0.2 ms timer succeed (%d failed)", failed);
}

/* Many threads in free() with arenas locked. */

static void *churn(void *arg)
{
	unsigned int seed = (unsigned int)(unsigned long)arg;

	for (int i = 0; i < 3000; i++) {
		size_t size = (size_t)(rand_r(&seed) % 512) << 10;
		char *block = malloc(size + 1);

		block[size / 2] = 1;
		if (i % 64 == 0)
			malloc_trim(0);
		free(block);
	}
	return NULL;
}

static void free_with_arenas_locked(void)
{
	pthread_t threads[6];

	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	mallopt(M_TRIM_THRESHOLD, 64 << 10);
	check(mmu_notifier_register(&counter.mn, mmun_self()) == 0, "registers");
	for (unsigned long i = 0; i < 6; i++)
		pthread_create(&threads[i], NULL, churn, (void *)(i + 1));
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	check(counter.starts == counter.ends, "each start has its end");
	check(SANITIZED || counter.starts > 1000, "the allocator was heard (%lu sections)",
	      counter.starts);
}

/* Cancellation: a callback reaches a cancellation point while a cancel is pending. */

static pthread_barrier_t cancel_barrier;

static void cancellation_point(struct watch *w, const struct mmu_notifier_range *range, bool end)
{
	pthread_testcancel();
	usleep(1);
}

static void *unmap_cancelled(void *at)
{
	pthread_barrier_wait(&cancel_barrier);
	/* The cancel is pending from here on; no cancellation point in between. */
	pthread_barrier_wait(&cancel_barrier);
	munmap(at, 4 * PAGE_BYTES);
	pthread_testcancel();
	return "not cancelled";
}

static void cancel_inside_section(void)
{
	char *at = map_pages(4);
	pthread_t thread;
	void *end = NULL;

	start_watching();
	/* Newer, so it has heard the start when the older one's is cancelled. */
	check(mmu_notifier_register(&counter.mn, mmun_self()) == 0, "a second one registers");
	pthread_barrier_init(&cancel_barrier, NULL, 2);
	pthread_create(&thread, NULL, unmap_cancelled, at);
	pthread_barrier_wait(&cancel_barrier);
	arm(&watch, at, 4);
	watch.edge = cancellation_point;
	pthread_cancel(thread);
	pthread_barrier_wait(&cancel_barrier);
	pthread_join(thread, &end);
	watch.edge = NULL;
	watch_disarm(&watch);
	check(end == PTHREAD_CANCELED, "the thread was cancelled");
	check(counter.starts > 0 && counter.starts == counter.ends,
	      "the other notifier got an end for each start (%lu, %lu)", counter.starts,
	      counter.ends);
	check(watch_register(&second) == 0, "the section was left: a registration succeeds");
	check(watch_sees_unmap(&second), "and sees");
	watch_unregister(&watch);
	check(watch.released == 1, "and the first notifier can go");
}

static void *unmap_many(void *arg)
{
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
	for (;;) {
		munmap(map_pages(1), PAGE_BYTES);
		pthread_testcancel();
	}
	return NULL;
}

static void cancel_in_loops(void)
{
	check(mmu_notifier_register(&counter.mn, mmun_self()) == 0, "registers");
	for (int i = 0; i < 100; i++) {
		pthread_t thread;

		pthread_create(&thread, NULL, unmap_many, NULL);
		usleep((useconds_t)(i * 7 % 500));
		pthread_cancel(thread);
		pthread_join(thread, NULL);
	}
	check(counter.starts == counter.ends, "after 100 cancelled threads each start has its end");
	pagemap_open();
	check(watch_register(&watch) == 0 && watch_sees_unmap(&watch),
	      "registration works afterwards");
}

/* Callbacks without a cancellation point: nobody need disable cancellation for them. */

static int state_seen = -1;

static int see_state(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	int ignored;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state_seen);
	pthread_setcancelstate(state_seen, &ignored);
	return 0;
}

static const struct mmu_notifier_ops see_state_ops = {
	.invalidate_range_start = see_state,
	.flags = MMUN_OPS_NO_CANCELLATION_POINT,
};
static struct mmu_notifier see_state_notifier = { .ops = &see_state_ops };

static void *unmap_twice(void *arg)
{
	int before, after, type;

	munmap(map_pages(1), PAGE_BYTES);
	before = state_seen;
	check(mmu_notifier_register(&counter.mn, mmun_self()) == 0,
	      "one that says nothing registers");
	munmap(map_pages(1), PAGE_BYTES);
	after = state_seen;
	check(before == PTHREAD_CANCEL_ENABLE, "not disabled for callbacks that need it not");
	check(after == PTHREAD_CANCEL_DISABLE, "disabled once there are others");
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &after);
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
	check(after == PTHREAD_CANCEL_ENABLE && type == PTHREAD_CANCEL_DEFERRED,
	      "and as it was afterwards");
	return NULL;
}

static void no_cancellation_point(void)
{
	pthread_t thread;

	check(mmu_notifier_register(&see_state_notifier, mmun_self()) == 0, "it registers");
	pthread_create(&thread, NULL, unmap_twice, NULL);
	pthread_join(thread, NULL);
}

/* A callback that takes long. */

static struct {
	unsigned long slow_page;
	int inside, leave, ended;
} slow;

static int slow_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (range->start != slow.slow_page)
		return 0;
	__atomic_store_n(&slow.inside, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&slow.leave, __ATOMIC_SEQ_CST))
		usleep(100);
	return 0;
}

static void slow_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (range->start == slow.slow_page)
		__atomic_store_n(&slow.ended, 1, __ATOMIC_SEQ_CST);
}

static const struct mmu_notifier_ops slow_ops = { .invalidate_range_start = slow_start,
						  .invalidate_range_end = slow_end };

static void *unmap_slow_page(void *at)
{
	munmap(at, PAGE_BYTES);
	return NULL;
}

static int registered_late;

static void *register_counter(void *arg)
{
	int error = mmu_notifier_register(&counter.mn, mmun_self());

	__atomic_store_n(&registered_late, error ? error : 1, __ATOMIC_SEQ_CST);
	/* R2: no section that opened earlier is still open. */
	return (void *)(long)__atomic_load_n(&slow.ended, __ATOMIC_SEQ_CST);
}

static void wait_for(const int *flag)
{
	while (!__atomic_load_n(flag, __ATOMIC_SEQ_CST))
		usleep(100);
}

static void long_callback(void)
{
	struct mmu_notifier mn = { .ops = &slow_ops };
	pthread_t unmapper, registrar;
	void *ended_before_return;

	slow.slow_page = (unsigned long)map_pages(1);
	check(mmu_notifier_register(&mn, mmun_self()) == 0, "registers");
	pthread_create(&unmapper, NULL, unmap_slow_page, (void *)slow.slow_page);
	wait_for(&slow.inside);
	for (int i = 0; i < 2000; i++)
		munmap(map_pages(1), PAGE_BYTES);
	check(!slow.ended, "other threads unmap while a callback takes long");
	pthread_create(&registrar, NULL, register_counter, NULL);
	usleep(50000);
	check(!__atomic_load_n(&registered_late, __ATOMIC_SEQ_CST),
	      "a registration waits for the open section");
	__atomic_store_n(&slow.leave, 1, __ATOMIC_SEQ_CST);
	pthread_join(registrar, &ended_before_return);
	check(registered_late == 1, "then it succeeds");
	check(ended_before_return != NULL, "R2: the open section had ended by then");
	pthread_join(unmapper, NULL);
	check(counter.starts == counter.ends, "R1: no end without its start");
	mmu_notifier_unregister(&mn, mmun_self());
}

/* The smallest stack that a thread can have. */

static void *unmap_on_little_stack(void *at)
{
	return munmap(at, PAGE_BYTES) ? (void *)1 : NULL;
}

static void smallest_stack(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	void *result = (void *)1;

	check(mmu_notifier_register(&counter.mn, mmun_self()) == 0, "registers");
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, (size_t)PTHREAD_STACK_MIN);
	check(pthread_create(&thread, &attr, unmap_on_little_stack, map_pages(1)) == 0, "starts");
	pthread_join(thread, &result);
	check(result == NULL && counter.starts > 0, "an unmap is notified on the smallest stack");
}

static void on_alternate_stack(int sig)
{
	munmap(map_pages(1), PAGE_BYTES);
}

/* A handler on an alternate stack of the minimum size the kernel asks for. */
static void alternate_stack(void)
{
	size_t size = (size_t)sysconf(_SC_SIGSTKSZ);
	stack_t stack = { .ss_sp = malloc(size), .ss_size = size };
	struct sigaction action = { .sa_handler = on_alternate_stack, .sa_flags = SA_ONSTACK };

	check(mmu_notifier_register(&counter.mn, mmun_self()) == 0, "registers");
	sigaltstack(&stack, NULL);
	sigaction(SIGUSR2, &action, NULL);
	raise(SIGUSR2);
	check(counter.starts > 0 && counter.starts == counter.ends, "an unmap there is notified");
}

/* A notifier that refuses with -EAGAIN: the operation is not performed. */

static int refuse(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	return range->start == slow.slow_page ? -EAGAIN : 0;
}

static const struct mmu_notifier_ops refusing = { .invalidate_range_start = refuse };

static void refusal(void)
{
	struct mmu_notifier mn = { .ops = &refusing };
	char *at = map_pages(1), byte = 0;
	int result;

	slow.slow_page = (unsigned long)at;
	check(mmu_notifier_register(&counter.mn, mmun_self()) == 0 &&
		      mmu_notifier_register(&mn, mmun_self()) == 0,
	      "registers");
	counter.starts = counter.ends = 0;
	result = munmap(at, PAGE_BYTES);
	check(counter.starts == counter.ends, "each start has its end");
	if (result)
		check(errno == EAGAIN && memory_peek(slow.slow_page, &byte, 1),
		      "the call fails with EAGAIN and the page stays");
	else
		check(!memory_peek(slow.slow_page, &byte, 1), "the call was done after all");
	mmu_notifier_unregister(&mn, mmun_self());
}

/* This process has no tables that a device walks: such a notifier would wait in vain. */

static void flush_nothing(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			  unsigned long end)
{
}

static void flushes_refused(void)
{
	static const struct mmu_notifier_ops newer = { .arch_invalidate_secondary_tlbs =
							       flush_nothing };
	static const struct mmu_notifier_ops older = { .invalidate_range = flush_nothing };
	struct mmu_notifier mn = { .ops = &newer };

	check(mmu_notifier_register(&mn, mmun_self()) == -EOPNOTSUPP, "of the newer form");
	mn.ops = &older;
	check(mmu_notifier_register(&mn, mmun_self()) == -EOPNOTSUPP, "of the older form");
}

/* One that refuses whatever can be refused, and hears what cannot. */

struct objector {
	struct mmu_notifier mn;
	unsigned long refusals, overruled, ends;
};

static int object(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct objector *objector = (struct objector *)mn;
	bool overruled = range->flags & MMUN_RANGE_NOT_REFUSABLE;

	__atomic_add_fetch(overruled ? &objector->overruled : &objector->refusals, 1,
			   __ATOMIC_SEQ_CST);
	return -EAGAIN;
}

static void hear_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	__atomic_add_fetch(&((struct objector *)mn)->ends, 1, __ATOMIC_SEQ_CST);
}

static const struct mmu_notifier_ops objecting = { .invalidate_range_start = object,
						   .invalidate_range_end = hear_end };

static struct objector objector = { .mn.ops = &objecting };

/* What the objector heard since the last time. */
static bool heard(bool was_refused, bool was_overruled)
{
	bool as_expected = !!objector.refusals == was_refused &&
			   !!objector.overruled == was_overruled &&
			   objector.ends == objector.overruled;

	objector.refusals = objector.overruled = objector.ends = 0;
	return as_expected;
}

static void *do_nothing(void *arg)
{
	return NULL;
}

/* Too large to be kept for the next thread: libc unmaps it. */
static void end_thread_with_large_stack(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 20);
	pthread_create(&thread, &attr, do_nothing, NULL);
	pthread_join(thread, NULL);
}

static void refusal_by_caller(void)
{
	char *at = map_pages(4), *moved = map_pages(4), byte;
	void *block = malloc(64 << 20);
	unsigned long freed = (unsigned long)block;

	check(mmu_notifier_register(&counter.mn, mmun_self()) == 0 &&
		      mmu_notifier_register(&objector.mn, mmun_self()) == 0,
	      "registers");
	errno = 0;
	check(munmap(at, PAGE_BYTES) == -1 && errno == EAGAIN && heard(true, false),
	      "munmap of the program's fails with EAGAIN");
	check(madvise(at, PAGE_BYTES, MADV_DONTNEED) == -1 && errno == EAGAIN && *at &&
		      heard(true, false),
	      "so does madvise");
	check(mprotect(at, PAGE_BYTES, PROT_READ) == -1 && errno == EAGAIN && heard(true, false),
	      "and mprotect");
	check(syscall(SYS_munmap, at, PAGE_BYTES) == -1 && errno == EAGAIN && heard(true, false),
	      "and syscall()");
	check(fork() == -1 && errno == EAGAIN && heard(true, false), "and fork");
	free(block);
	/* AddressSanitizer keeps for a while what is freed. */
	if (!ADDRESS_SANITIZED)
		check(!memory_peek(freed, &byte, 1) && heard(true, true),
		      "free() gives its memory back, and notifiers that refuse hear that");
	end_thread_with_large_stack();
	check(heard(true, true), "the stack of a thread goes, and the process does not");
	check(mremap(moved, 4 * PAGE_BYTES, PAGE_BYTES, 0) == moved && heard(true, true),
	      "mremap, whose caller is not known, is done");
	check(counter.starts == counter.ends, "the other notifier got an end for each start");
}

/* Before main, and after the exit handlers. */

static bool early_notified, early_registered;
static bool report_in_destructor;

__attribute__((constructor)) static void before_main(void)
{
	static struct watch early;
	char *at;

	if (!getenv("CONTRACT_EARLY"))
		return;
	pagemap_open();
	early_registered = watch_register(&early) == 0;
	at = map_pages(2);
	arm(&early, at, 2);
	munmap(at, 2 * PAGE_BYTES);
	watch_disarm(&early);
	early_notified = notified(&early, at, 2);
	watch_unregister(&early);
}

__attribute__((destructor)) static void after_handlers(void)
{
	if (report_in_destructor)
		check(watch_sees_unmap(&watch), "an unmap in a destructor is notified");
}

static void at_exit(void)
{
	check(watch_sees_unmap(&watch), "an unmap in an exit handler is notified");
}

static void ends_through_handlers(void)
{
	report_in_destructor = true;
	atexit(at_exit);
	start_watching();
	exit(0);
}

static int early_main(void)
{
	return early_registered && early_notified ? 0 : 1;
}

/*
 * This program again, as it was started: by a dynamic linker that was given it as an
 * argument, perhaps, which is what /proc/self/exe is then.
 */
static void exec_again(void)
{
	char line[4096], *argv[16] = { 0 };
	int fd = open("/proc/self/cmdline", O_RDONLY), count = 0;
	ssize_t size = read(fd, line, sizeof(line) - 1);

	if (size <= 0)
		return;
	line[size] = 0;
	for (char *at = line; at < line + size && count < 15; at += strlen(at) + 1)
		argv[count++] = at;
	execv("/proc/self/exe", argv);
}

static void early(void)
{
	int status = 1;
	pid_t child = fork();

	if (!child) {
		setenv("CONTRACT_EARLY", "1", 1);
		exec_again();
		_exit(1);
	}
	waitpid(child, &status, 0);
	check(status == 0, "a constructor registers, sees its unmap and unregisters");
}

int main(void)
{
	if (getenv("CONTRACT_EARLY"))
		return early_main();
	if (THREAD_SANITIZED)
		skip_all(THREAD_END_REASON);
	if (pagemap_open() || !pagemap_shows_frames())
		skip_all("frame numbers need CAP_SYS_ADMIN (run as root)");
	scene("callback that unmaps", recursion);
	scene("errno", errno_kept);
	scene("signals amid sections", signals_amid_sections);
	scene("registration under a timer", registration_under_timer);
	scene("free with arenas locked", free_with_arenas_locked);
	scene("cancel inside a section", cancel_inside_section);
	scene("cancelled loops", cancel_in_loops);
	scene("no cancellation point", no_cancellation_point);
	scene("long callback", long_callback);
	scene("smallest stack", smallest_stack);
	scene("alternate signal stack", alternate_stack);
	scene("refusal", refusal);
	scene("notifiers that wait for flushes", flushes_refused);
	scene("refusal by caller", refusal_by_caller);
	scene("before main", early);
	scene("after the exit handlers", ends_through_handlers);
	return tap_done();
}
