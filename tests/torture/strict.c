/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Torture of strict mode.
 *
 *	strict [--seconds N] [--seed S]
 *
 * Threads make system calls by instructions of this program: memory calls, failing
 * calls, blocking calls, with every signal blocked, on alternate stacks, in new
 * threads, in forked children, in a timer's handler that interrupts all that and whose
 * mask blocks everything.  Beside them strict mode is started and stopped.  Each call
 * must answer right, and no thread may die of a trap.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "tap.h"
#include "options.h"

#define THREADS 8

static long inline_call(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = -1;
	register long r9 __asm__("r9") = 0;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static struct options options;
static pid_t pid;
static int stopping;
static unsigned long operations, wrong, handled, starts, ends;

static void expect(bool right)
{
	if (!right)
		__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&operations, 1, __ATOMIC_SEQ_CST);
}

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	__atomic_add_fetch(&starts, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void on_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	__atomic_add_fetch(&ends, 1, __ATOMIC_SEQ_CST);
}

static const struct mmu_notifier_ops ops = { .invalidate_range_start = on_start,
					     .invalidate_range_end = on_end };
static struct mmu_notifier notifier = { .ops = &ops };

static void map_and_unmap(void)
{
	char *at = (char *)inline_call(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS);

	*at = 1;
	expect(inline_call(SYS_munmap, (long)at, 4096, 0, 0) == 0);
	expect(inline_call(SYS_getpid, 0, 0, 0, 0) == pid);
}

static void on_timer(int sig)
{
	map_and_unmap();
	__atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
}

static void *short_thread(void *arg)
{
	map_and_unmap();
	return arg;
}

static void with_all_blocked(void)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	map_and_unmap();
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void another_thread(void)
{
	pthread_t thread;
	void *result = NULL;

	if (pthread_create(&thread, NULL, short_thread, &operations))
		return;
	pthread_join(thread, &result);
	expect(result == &operations);
}

static void another_process(bool shares)
{
	int status = -1;
	pid_t child = shares ? vfork() : fork();

	if (!child && shares)
		execl("/bin/true", "true", NULL);
	else if (!child)
		inline_call(SYS_exit_group, inline_call(SYS_getppid, 0, 0, 0, 0) != pid, 0, 0, 0);
	if (!child)
		_exit(1);
	waitpid(child, &status, 0);
	expect(status == 0);
}

static void *work(void *arg)
{
	struct rng rng = rng_of(options.seed, (unsigned int)(unsigned long)arg);
	stack_t stack = { .ss_size = 65536, .ss_sp = malloc(65536) };
	const long moment[2] = { 0, 1000 };

	if ((unsigned long)arg % 2)
		sigaltstack(&stack, NULL);
	while (!__atomic_load_n(&stopping, __ATOMIC_SEQ_CST)) {
		switch (next_random(&rng) % 8) {
		case 0:
			with_all_blocked();
			break;
		case 1:
			another_thread();
			break;
		case 2:
			free(malloc(300000));
			break;
		case 3:
			expect(inline_call(SYS_close, -1, 0, 0, 0) == -EBADF);
			break;
		case 4:
			inline_call(SYS_nanosleep, (long)moment, 0, 0, 0);
			break;
		case 5:
			if (one_in(&rng, 20))
				another_process(false);
			break;
		case 6:
			if (one_in(&rng, 20))
				another_process(true);
			break;
		default:
			map_and_unmap();
		}
	}
	stack.ss_flags = SS_DISABLE;
	sigaltstack(&stack, NULL);
	free(stack.ss_sp);
	return NULL;
}

int main(int argc, char **argv)
{
	struct itimerval fast = { { 0, 500 }, { 0, 500 } }, off = { 0 };
	struct sigaction action = { .sa_handler = on_timer, .sa_flags = SA_ONSTACK | SA_RESTART };
	unsigned long rounds = 0, failed = 0;
	pthread_t threads[THREADS];
	struct mmun_stats stats;
	time_t end;

	options = parse_options(argc, argv);
	pid = getpid();
	sigfillset(&action.sa_mask);
	sigaction(SIGALRM, &action, NULL);
	for (unsigned long i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, (void *)i);
	setitimer(ITIMER_REAL, &fast, NULL);
	for (end = time(NULL) + options.seconds; time(NULL) < end; rounds++) {
		failed += mmun_self_start_strict() != 0;
		failed += mmu_notifier_register(&notifier, mmun_self()) != 0;
		usleep(rounds % 8 ? 20000 : 300000);
		mmu_notifier_unregister(&notifier, mmun_self());
		failed += mmun_self_stop() != 0;
	}
	__atomic_store_n(&stopping, 1, __ATOMIC_SEQ_CST);
	setitimer(ITIMER_REAL, &off, NULL);
	for (unsigned long i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	mmun_mm_stats(mmun_self(), &stats);
	diag("%lu calls, %lu in handlers, %lu traps, %lu starts", operations, handled, stats.traps,
	     rounds);
	is(wrong, 0, "every call answered right");
	is(failed, 0, "every start and stop succeeded");
	ok(ends <= starts && starts, "S3: no end without its start (%lu, %lu)", starts, ends);
	ok(stats.traps > 1000 && handled > 100, "strict mode caught calls amid signals");
	return tap_done();
}
