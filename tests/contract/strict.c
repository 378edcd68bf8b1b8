/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: strict mode sees every system call instruction, in every thread, and the
 * program does not notice it.
 *
 * The operations themselves are operations.c's, on the routes "inline" and
 * "generated-code".  Here: threads however they are made, masks that block everything,
 * the program's own SIGSYS handler, alternate stacks, contexts, children.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "calls.h"
#include "sanitizer.h"
#include "scene.h"

#define PAGE 4096ul

/* What a notifier saw: the last range that started, and how many. */

static unsigned long last_start;
static unsigned long starts;

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	__atomic_store_n(&last_start, range->start, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&starts, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static const struct mmu_notifier_ops ops = { .invalidate_range_start = on_start };
static struct mmu_notifier notifier = { .ops = &ops };

static void start_strict(void)
{
	check(mmun_self_start_strict() == 0, "strict mode starts");
	check(mmu_notifier_register(&notifier, mmun_self()) == 0, "registers");
}

static char *map_page(void)
{
	char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*at = 1;
	return at;
}

/* An unmap by an instruction of this program: was it notified? */
static bool unmap_notified(void)
{
	char *at = map_page();

	/* An earlier one may have had the same address. */
	__atomic_store_n(&last_start, 0, __ATOMIC_SEQ_CST);
	return calls_inline(SYS_munmap, at, PAGE, 0L, 0L, 0L, 0L) == 0 &&
	       __atomic_load_n(&last_start, __ATOMIC_SEQ_CST) == (unsigned long)at;
}

static unsigned long traps(void)
{
	struct mmun_stats stats;

	mmun_mm_stats(mmun_self(), &stats);
	return stats.traps;
}

static void plain_calls(void)
{
	unsigned long before;

	start_strict();
	before = traps();
	check(calls_inline(SYS_getppid, 0L, 0L, 0L, 0L, 0L, 0L) == getppid(), "getppid answers");
	check(traps() == before + 1, "one trap was counted, none for the C library's");
	check(calls_inline(SYS_read, -1L, 0L, 0L, 0L, 0L, 0L) == -1 && errno == EBADF,
	      "an error is the kernel's");
	check(calls_inline(100000L, 0L, 0L, 0L, 0L, 0L, 0L) == -1 && errno == ENOSYS,
	      "so is that for a number that there is not");
	check(unmap_notified(), "an unmap is notified");
}

/* Every register and the red zone, across a call that is notified and one that is not. */
long registers_kept(long nr, long first, long second);
__asm__(".text\n"
	".globl registers_kept\n"
	"registers_kept:\n"
	"push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
	"mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n"
	"mov $3, %edx\n mov $4, %r10d\n mov $5, %r8d\n mov $6, %r9d\n"
	"mov $7, %ebx\n mov $8, %ebp\n mov $9, %r12d\n mov $10, %r13d\n mov $11, %r14d\n"
	"mov $12, %r15d\n"
	"movq %r15, %xmm15\n movq %rbx, %xmm0\n"
	"movq $77, -8(%rsp)\n movq $78, -128(%rsp)\n"
	"mov %rdi, -16(%rsp)\n mov %rsi, -24(%rsp)\n mov %rsp, -32(%rsp)\n"
	"syscall\n"
	"mov %rax, -40(%rsp)\n"
	"xor %eax, %eax\n"
	"cmp -16(%rsp), %rdi\n jne 2f\n cmp -24(%rsp), %rsi\n jne 2f\n"
	"cmp -32(%rsp), %rsp\n jne 2f\n"
	"cmp $3, %rdx\n jne 2f\n cmp $4, %r10\n jne 2f\n cmp $5, %r8\n jne 2f\n"
	"cmp $6, %r9\n jne 2f\n cmp $7, %rbx\n jne 2f\n cmp $8, %rbp\n jne 2f\n"
	"cmp $9, %r12\n jne 2f\n cmp $10, %r13\n jne 2f\n cmp $11, %r14\n jne 2f\n"
	"cmp $12, %r15\n jne 2f\n cmpq $77, -8(%rsp)\n jne 2f\n cmpq $78, -128(%rsp)\n jne 2f\n"
	"movq %xmm15, %rcx\n cmp $12, %rcx\n jne 2f\n movq %xmm0, %rcx\n cmp $7, %rcx\n jne 2f\n"
	"mov $1, %eax\n"
	"2: pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
	"ret\n");

static void registers(void)
{
	char *at;

	start_strict();
	check(registers_kept(SYS_getpid, 1, 2) == 1, "a call that is not notified changes none");
	at = map_page();
	check(registers_kept(SYS_munmap, (long)at, PAGE) == 1 && last_start == (unsigned long)at,
	      "one that is notified changes none");
	check(registers_kept(SYS_rt_sigprocmask, 0, 0) == 1, "one that sets a mask changes none");
}

/* Threads, however made. */

static void *unmap_in_thread(void *arg)
{
	return (void *)(long)unmap_notified();
}

static volatile int go, ready;
static int pipe_ends[2];

static void *spin(void *arg)
{
	ready++;
	while (!go)
		;
	return unmap_in_thread(NULL);
}

static void *sleep_in_read(void *arg)
{
	char byte;

	ready++;
	if (read(pipe_ends[0], &byte, 1) != 1)
		return NULL;
	return unmap_in_thread(NULL);
}

static void *sleep_inline(void *arg)
{
	char byte;

	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	if (calls_inline(SYS_read, (long)pipe_ends[0], &byte, 1L, 0L, 0L, 0L) != 1)
		return NULL;
	return unmap_in_thread(NULL);
}

static void thread_after_start(void)
{
	pthread_t thread;
	void *notified = NULL;

	start_strict();
	pthread_create(&thread, NULL, unmap_in_thread, NULL);
	pthread_join(thread, &notified);
	check(notified != NULL, "an unmap in a thread made later is notified");
}

static void threads_before_start(void)
{
	void *(*const mains[])(void *) = { spin, sleep_in_read, sleep_inline };
	pthread_t threads[3];
	void *notified;

	check(pipe(pipe_ends) == 0, "a pipe");
	for (int i = 0; i < 3; i++) {
		int was = ready;

		pthread_create(&threads[i], NULL, mains[i], NULL);
		while (ready == was)
			usleep(1000);
	}
	usleep(50000);
	start_strict();
	go = 1;
	pthread_join(threads[0], &notified);
	check(notified != NULL, "a thread that was running");
	for (int i = 1; i < 3; i++) {
		notified = NULL;
		check(write(pipe_ends[1], "x", 1) == 1, "one wakes");
		usleep(50000);
	}
	pthread_join(threads[1], &notified);
	check(notified != NULL, "a thread that was asleep in the C library");
	pthread_join(threads[2], &notified);
	check(notified != NULL, "a thread that was asleep in a call of its own");
}

static void *block_all(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	ready = 1;
	while (!go)
		usleep(1000);
	return NULL;
}

static void thread_that_blocks(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, block_all, NULL);
	while (!ready)
		usleep(1000);
	check(mmun_self_start_strict() == -ETIMEDOUT, "a thread that blocks SIGSYS: not started");
	check(calls_inline(SYS_getppid, 0L, 0L, 0L, 0L, 0L, 0L) == getppid() && traps() == 0,
	      "nothing traps");
	check(mmu_notifier_register(&notifier, mmun_self()) == 0, "registration works without");
	go = 1;
	pthread_join(thread, NULL);
	check(mmun_self_start_strict() == 0 && unmap_notified(),
	      "strict mode starts when it is gone");
}

/* Raw clone() with a stack of its own: the thread shares everything but that. */
static char raw_stack[65536] __attribute__((aligned(16)));
static int raw_done;

long clone_inline(long flags, void *stack, void (*fn)(void));
__asm__(".text\n"
	".globl clone_inline\n"
	"clone_inline:\n"
	"mov %rdx, -8(%rsi)\n sub $8, %rsi\n"
	"mov $56, %eax\n xor %edx, %edx\n xor %r10d, %r10d\n xor %r8d, %r8d\n"
	"syscall\n"
	"test %rax, %rax\n jz 1f\n ret\n"
	"1: pop %rax\n xor %ebp, %ebp\n and $-16, %rsp\n call *%rax\n"
	"mov $60, %eax\n xor %edi, %edi\n syscall\n");

static void raw_thread(void)
{
	char *at = (char *)calls_inline(SYS_mmap, NULL, PAGE, (long)(PROT_READ | PROT_WRITE),
					(long)(MAP_PRIVATE | MAP_ANONYMOUS), -1L, 0L);

	calls_inline(SYS_munmap, at, PAGE, 0L, 0L, 0L, 0L);
	__atomic_store_n(&raw_done,
			 __atomic_load_n(&last_start, __ATOMIC_SEQ_CST) == (unsigned long)at ? 1
											     : 2,
			 __ATOMIC_SEQ_CST);
}

#define THREAD_FLAGS \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

static void wait_for_raw(const char *name)
{
	for (int i = 0; i < 5000 && !__atomic_load_n(&raw_done, __ATOMIC_SEQ_CST); i++)
		usleep(1000);
	check(raw_done == 1, "an unmap in a thread made by %s is notified", name);
	raw_done = 0;
	usleep(20000);
}

static int raw_thread_main(void *arg)
{
	raw_thread();
	calls_inline(SYS_exit, 0L, 0L, 0L, 0L, 0L, 0L);
	return 0;
}

static void raw_clones(void)
{
	start_strict();
	check(clone_inline(THREAD_FLAGS, raw_stack + sizeof(raw_stack), raw_thread) > 0,
	      "an inline clone");
	wait_for_raw("an inline clone()");
	check(clone(raw_thread_main, raw_stack + sizeof(raw_stack), THREAD_FLAGS, NULL) > 0,
	      "the C library's clone");
	wait_for_raw("the C library's clone()");
}

/* Masks. */

static void all_blocked(void)
{
	sigset_t all, old, now;

	start_strict();
	sigfillset(&all);
	check(pthread_sigmask(SIG_BLOCK, &all, &old) == 0 && !sigismember(&old, SIGSYS),
	      "SIGSYS was not blocked");
	check(unmap_notified(), "an unmap with every signal blocked is notified");
	check(pthread_sigmask(SIG_BLOCK, NULL, &now) == 0 && sigismember(&now, SIGSYS) &&
		      sigismember(&now, SIGTERM),
	      "the program sees the mask that it has set");
	check(pthread_sigmask(SIG_SETMASK, &old, &now) == 0 && sigismember(&now, SIGSYS),
	      "also when it changes it back");
	check(pthread_sigmask(SIG_BLOCK, NULL, &now) == 0 && !sigismember(&now, SIGSYS) &&
		      !sigismember(&now, SIGTERM),
	      "and the one that it has put back");
}

/* A thread inherits the mask, and the C library sets it there in its own way. */
static void thread_with_all_blocked(void)
{
	sigset_t all, old, now;
	pthread_t thread;
	void *notified = NULL;

	start_strict();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_create(&thread, NULL, unmap_in_thread, NULL);
	pthread_join(thread, &notified);
	check(notified != NULL,
	      "an unmap in a thread that was made with every signal blocked is notified");
	pthread_sigmask(SIG_SETMASK, &old, &now);
	check(sigismember(&now, SIGSYS), "and the mask is as it was");
}

static void all_blocked_inline(void)
{
	unsigned long all = ~0ul, old = 0, now = 0;

	start_strict();
	check(calls_inline(SYS_rt_sigprocmask, (long)SIG_SETMASK, &all, &old, 8L, 0L, 0L) == 0,
	      "blocks by an instruction of its own");
	check(unmap_notified(), "an unmap is notified all the same");
	check(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &now, 8) == 0 &&
		      now == (all & ~(1ul << (SIGKILL - 1)) & ~(1ul << (SIGSTOP - 1))),
	      "the mask is the one that was set");
	check(calls_inline(SYS_rt_sigprocmask, (long)SIG_SETMASK, &old, NULL, 8L, 0L, 0L) == 0,
	      "and can be put back");
	check(calls_inline(SYS_rt_sigprocmask, (long)SIG_SETMASK, 8L, NULL, 8L, 0L, 0L) == -1 &&
		      errno == EFAULT,
	      "a bad address is EFAULT");
	check(calls_inline(SYS_rt_sigprocmask, 77L, &all, NULL, 8L, 0L, 0L) == -1 &&
		      errno == EINVAL,
	      "a bad operation EINVAL");
}

static volatile int handler_notified, handled;

static void unmapping_handler(int sig)
{
	handler_notified = unmap_notified();
	handled++;
}

static void handler_that_blocks_all(void)
{
	struct sigaction action = { .sa_handler = unmapping_handler }, now;

	start_strict();
	sigfillset(&action.sa_mask);
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	check(handler_notified, "an unmap in a handler that blocks every signal is notified");
	sigaction(SIGUSR1, NULL, &now);
	check(sigismember(&now.sa_mask, SIGSYS) && now.sa_handler == unmapping_handler,
	      "the program sees the action that it has set");
	sigemptyset(&action.sa_mask);
	sigaction(SIGUSR1, &action, &now);
	check(sigismember(&now.sa_mask, SIGSYS), "also when it sets another");
	sigaction(SIGUSR1, NULL, &now);
	check(!sigismember(&now.sa_mask, SIGSYS), "and that one too");
}

/* Handlers that were set while SIGSYS could still be in their masks. */
static void handler_from_before(void)
{
	struct sigaction action = { .sa_handler = unmapping_handler }, now;

	sigfillset(&action.sa_mask);
	sigaction(SIGUSR1, &action, NULL);
	start_strict();
	raise(SIGUSR1);
	check(handler_notified,
	      "an unmap in an earlier handler that blocks every signal is notified");
	sigaction(SIGUSR1, NULL, &now);
	check(sigismember(&now.sa_mask, SIGSYS), "the program sees the mask that it has set");
	mmu_notifier_unregister(&notifier, mmun_self());
	check(mmun_self_stop() == 0, "stops");
	sigaction(SIGUSR1, NULL, &now);
	check(sigismember(&now.sa_mask, SIGSYS), "and has it back");
}

static sigjmp_buf out;

static void leaving_handler(int sig)
{
	handler_notified = unmap_notified();
	siglongjmp(out, 1);
}

static void handler_that_jumps(void)
{
	struct sigaction action = { .sa_handler = leaving_handler };
	volatile int jumps = 0;
	sigset_t now;

	start_strict();
	sigfillset(&action.sa_mask);
	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < 3; i++) {
		if (!sigsetjmp(out, 1))
			raise(SIGUSR1);
		jumps += handler_notified;
		handler_notified = 0;
	}
	check(jumps == 3 && unmap_notified(), "handlers that leave by a jump");
	sigprocmask(SIG_BLOCK, NULL, &now);
	check(!sigismember(&now, SIGSYS) && !sigismember(&now, SIGUSR1), "and the mask is right");
}

static void wait_once(int way, const sigset_t *mask)
{
	struct timespec time = { 5, 0 };
	struct epoll_event event;
	int epoll = epoll_create1(0);
	struct {
		const void *mask;
		size_t size;
	} sized = { mask, 8 };

	switch (way) {
	case 0:
		sigsuspend(mask);
		break;
	case 1:
		ppoll(NULL, 0, &time, mask);
		break;
	case 2:
		pselect(0, NULL, NULL, NULL, &time, mask);
		break;
	case 3:
		epoll_pwait(epoll, &event, 1, 5000, mask);
		break;
	case 4:
		calls_inline(SYS_rt_sigsuspend, mask, 8L, 0L, 0L, 0L, 0L);
		break;
	case 5:
		calls_inline(SYS_ppoll, NULL, 0L, &time, mask, 8L, 0L);
		break;
	case 6:
		calls_inline(SYS_pselect6, 0L, NULL, NULL, NULL, &time, &sized);
		break;
	case 7:
		calls_inline(SYS_epoll_pwait, (long)epoll, &event, 1L, 5000L, mask, 8L);
		break;
	}
	close(epoll);
}

static void waits_with_a_mask(void)
{
	static const char *const names[] = { "sigsuspend",        "ppoll",
					     "pselect",           "epoll_pwait",
					     "inline sigsuspend", "inline ppoll",
					     "inline pselect",    "inline epoll_pwait" };
	struct sigaction action = { .sa_handler = unmapping_handler };
	sigset_t all, block;

	start_strict();
	sigfillset(&all);
	sigdelset(&all, SIGUSR1);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigaction(SIGUSR1, &action, NULL);
	sigprocmask(SIG_BLOCK, &block, NULL);
	for (int way = 0; way < 8; way++) {
		handled = handler_notified = 0;
		raise(SIGUSR1);
		wait_once(way, &all);
		check(handled == 1 && handler_notified,
		      "a handler inside %s with all others blocked", names[way]);
		check(sigismember(&all, SIGSYS), "%s: the mask is as it was", names[way]);
	}
}

/* The kernel's two queues wait with a mask, too; the C library has no functions for them. */
#define SYS_io_uring_setup_nr 425
#define SYS_io_uring_enter_nr 426
#define ENTER_GETEVENTS       1L
#define ENTER_EXT_ARG         8L

static void wait_for_events(int way, long queue, sigset_t *mask)
{
	struct {
		sigset_t *mask;
		size_t size;
	} sized = { mask, 8 };
	struct {
		sigset_t *mask;
		unsigned int size, unused;
		void *time;
	} arg = { mask, 8, 0, NULL };
	long event[4];

	switch (way) {
	case 0:
		calls_inline(SYS_io_pgetevents, queue, 1L, 1L, event, NULL, &sized);
		break;
	case 1:
		syscall(SYS_io_pgetevents, queue, 1L, 1L, event, NULL, &sized);
		break;
	case 2:
		calls_inline(SYS_io_uring_enter_nr, queue, 0L, 1L, ENTER_GETEVENTS, mask, 8L);
		break;
	case 3:
		syscall(SYS_io_uring_enter_nr, queue, 0L, 1L, ENTER_GETEVENTS, mask, 8L);
		break;
	case 4:
		calls_inline(SYS_io_uring_enter_nr, queue, 0L, 1L, ENTER_GETEVENTS | ENTER_EXT_ARG,
			     &arg, sizeof(arg));
		break;
	}
}

static void waits_in_queues(void)
{
	static const char *const names[] = { "inline io_pgetevents", "io_pgetevents",
					     "inline io_uring_enter", "io_uring_enter",
					     "inline io_uring_enter, extended" };
	struct sigaction action = { .sa_handler = unmapping_handler };
	long context = 0, parameters[15] = { 0 }, ring;
	sigset_t all, block;

	start_strict();
	sigfillset(&all);
	sigdelset(&all, SIGUSR1);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigaction(SIGUSR1, &action, NULL);
	sigprocmask(SIG_BLOCK, &block, NULL);
	syscall(SYS_io_setup, 4, &context);
	ring = syscall(SYS_io_uring_setup_nr, 4, parameters);
	for (int way = 0; way < 5; way++) {
		if (way < 2 ? !context : ring < 0)
			continue;
		handled = handler_notified = 0;
		raise(SIGUSR1);
		wait_for_events(way, way < 2 ? context : ring, &all);
		check(handled == 1 && handler_notified,
		      "a handler inside %s with all others blocked", names[way]);
		check(sigismember(&all, SIGSYS), "%s: the mask is as it was", names[way]);
	}
}

static void *sleep_until(void *arg)
{
	while (!go)
		usleep(1000);
	return NULL;
}

/* The C library makes cancellation points in another way where there are threads. */
static void waits_beside_a_thread(void)
{
	pthread_t thread;
	sigset_t block, old;

	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, &old);
	pthread_create(&thread, NULL, sleep_until, NULL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	waits_with_a_mask();
	go = 1;
	pthread_join(thread, NULL);
}

/* The program's SIGSYS. */

static volatile int sys_calls, sys_code, sys_value;

static void sys_handler(int sig, siginfo_t *info, void *context)
{
	sys_calls++;
	sys_code = info->si_code;
	sys_value = info->si_value.sival_int;
	handler_notified = unmap_notified();
}

static void own_sigsys_handler(void)
{
	struct sigaction action = { .sa_sigaction = sys_handler, .sa_flags = SA_SIGINFO }, now;
	union sigval value = { .sival_int = 42 };
	sigset_t set, old;

	sigaction(SIGSYS, &action, NULL);
	start_strict();
	sigaction(SIGSYS, NULL, &now);
	check(now.sa_sigaction == sys_handler && now.sa_flags & SA_SIGINFO,
	      "the handler set before is still shown");
	sigqueue(getpid(), SIGSYS, value);
	check(sys_calls == 1 && sys_code == SI_QUEUE && sys_value == 42, "it runs");
	check(handler_notified, "an unmap in it is notified");
	action.sa_flags |= SA_RESETHAND;
	sigaction(SIGSYS, &action, &now);
	check(now.sa_sigaction == sys_handler && !(now.sa_flags & SA_RESETHAND), "it is replaced");
	check(unmap_notified(), "a trap is not the program's");
	check(sys_calls == 1, "and does not run its handler");
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	sigprocmask(SIG_BLOCK, &set, &old);
	raise(SIGSYS);
	check(sys_calls == 1, "a blocked one waits");
	sigprocmask(SIG_SETMASK, &old, NULL);
	check(sys_calls == 2, "and comes when it is unblocked");
	sigaction(SIGSYS, NULL, &now);
	check(now.sa_handler == SIG_DFL, "SA_RESETHAND has reset it");
	check(unmap_notified(), "traps work on");
	signal(SIGSYS, SIG_IGN);
	raise(SIGSYS);
	check(unmap_notified(), "ignored, and traps work on");
}

static void sigsys_by_default(void)
{
	int status = 0;
	pid_t child = fork();

	if (!child) {
		mmun_self_start_strict();
		raise(SIGSYS);
		_exit(0);
	}
	waitpid(child, &status, 0);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "SIGSYS still kills (%x)", status);
}

static void emulate(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	sys_calls++;
	sys_code = info->si_code;
	uc->uc_mcontext.gregs[REG_RAX] = 4242;
}

static void seccomp_trap(void)
{
	struct sigaction action = { .sa_sigaction = emulate, .sa_flags = SA_SIGINFO };
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, filter };

	start_strict();
	sigaction(SIGSYS, &action, NULL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0,
	      "a filter that traps");
	check(getpgid(0) == 4242 && sys_calls == 1 && sys_code == 1,
	      "the program's handler answers for the C library's call");
	check(calls_inline(SYS_getpgid, 0L, 0L, 0L, 0L, 0L, 0L) == 4242 && sys_calls == 2,
	      "and for its own");
	check(unmap_notified(), "an unmap is notified");
}

/* Stacks and contexts. */

static void on_alternate_stack(void)
{
	static char alternate[65536];
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) }, now;
	struct sigaction action = { .sa_handler = unmapping_handler, .sa_flags = SA_ONSTACK };

	start_strict();
	sigaltstack(&stack, NULL);
	check(unmap_notified(), "an unmap of a thread that has an alternate stack");
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	check(handler_notified, "an unmap on the alternate stack");
	sigaltstack(NULL, &now);
	check(now.ss_sp == alternate && !(now.ss_flags & SS_ONSTACK), "it is as it was");
}

static ucontext_t here, there;
static volatile int context_notified;

static void in_context(void)
{
	context_notified = unmap_notified();
	swapcontext(&there, &here);
	context_notified += unmap_notified();
}

static void contexts(void)
{
	static char stack[65536];

	start_strict();
	getcontext(&there);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = sizeof(stack);
	there.uc_link = &here;
	sigfillset(&there.uc_sigmask);
	makecontext(&there, in_context, 0);
	swapcontext(&here, &there);
	check(context_notified == 1 && unmap_notified(), "in another context and back");
	swapcontext(&here, &there);
	check(context_notified == 2 && unmap_notified(), "and again");
}

/* A handler that returns by an instruction of the program. */
void own_restorer(void);
__asm__(".text\n.globl own_restorer\nown_restorer:\n mov $15, %eax\n syscall\n");

static void own_sigreturn(void)
{
	struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		unsigned long mask;
	} action = { unmapping_handler, 0x04000000, own_restorer, ~0ul };
	unsigned long mask = 0;

	start_strict();
	check(calls_inline(SYS_rt_sigaction, (long)SIGUSR1, &action, NULL, 8L, 0L, 0L) == 0,
	      "sets the action by itself");
	for (int i = 0; i < 3; i++)
		raise(SIGUSR1);
	check(handled == 3 && handler_notified, "its handlers run and return");
	check(unmap_notified(), "and traps work on");
	check(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8) == 0 && mask == 0,
	      "the mask is empty again");
}

/* More places than there is room for. */
static void many_addresses(void)
{
	unsigned char *code =
		mmap(NULL, 1024 * 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *pages =
		mmap(NULL, 1024 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long notified = 0, right = 0, pid = getpid();

	start_strict();
	for (int i = 0; i < 1024; i++)
		/* mov %edi,%eax; mov %rsi,%rdi; mov %rdx,%rsi; syscall; ret */
		memcpy(code + 16 * i, "\x89\xf8\x48\x89\xf7\x48\x89\xd6\x0f\x05\xc3", 11);
	mprotect(code, 1024 * 16, PROT_READ | PROT_EXEC);
	for (int i = 0; i < 1024; i++) {
		long (*fn)(int, long, long) = (long (*)(int, long, long))(code + 16 * i);

		right += (unsigned long)fn(SYS_getpid, 0, 0) == pid;
		right += fn(SYS_munmap, (long)(pages + i * PAGE), PAGE) == 0;
		notified += last_start == (unsigned long)(pages + i * PAGE);
	}
	check(right == 2048, "calls from 1024 addresses answer right (%lu)", right);
	check(notified == 1024, "and are notified (%lu)", notified);
	check(clone_inline(THREAD_FLAGS, raw_stack + sizeof(raw_stack), raw_thread) > 0,
	      "an address that makes a thread finds room");
	wait_for_raw("a late address");
}

/* Children. */

long vfork_inline(void);
__asm__(".text\n.globl vfork_inline\nvfork_inline:\n"
	"pop %rdx\n mov $58, %eax\n syscall\n push %rdx\n ret\n");

static void exec_true(void)
{
	char *argv[] = { "true", NULL };

	execv("/bin/true", argv);
	_exit(9);
}

static void children(void)
{
	char *argv[] = { "true", NULL };
	int status = -1, inlines;
	sigset_t set, old;
	pid_t child;

	start_strict();
	check(posix_spawn(&child, "/bin/true", NULL, NULL, argv, NULL) == 0 &&
		      waitpid(child, &status, 0) == child && status == 0,
	      "posix_spawn");
	child = vfork();
	if (!child)
		exec_true();
	check(waitpid(child, &status, 0) == child && status == 0, "vfork and exec");
	child = vfork_inline();
	if (!child)
		exec_true();
	check(waitpid(child, &status, 0) == child && status == 0, "inline vfork and exec");
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, &old);
	child = fork();
	if (!child) {
		inlines = calls_inline(SYS_getpid, 0L, 0L, 0L, 0L, 0L, 0L) == getpid();
		sigprocmask(SIG_SETMASK, NULL, &set);
		_exit(inlines && sigismember(&set, SIGSYS) ? 0 : 1);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	check(waitpid(child, &status, 0) == child && status == 0, "a forked child (%x)", status);
	child = calls_inline(SYS_fork, 0L, 0L, 0L, 0L, 0L, 0L);
	if (!child)
		_exit(calls_inline(SYS_getppid, 0L, 0L, 0L, 0L, 0L, 0L) == getppid() ? 0 : 1);
	check(waitpid(child, &status, 0) == child && status == 0, "an inline fork");
	child = fork();
	if (!child) {
		static struct mmu_notifier own = { .ops = &ops };

		status = mmun_self_start_strict() || mmu_notifier_register(&own, mmun_self());
		_exit(!status && unmap_notified() ? 0 : 1);
	}
	check(waitpid(child, &status, 0) == child && status == 0, "a child's own strict mode (%x)",
	      status);
	child = fork();
	if (!child)
		_exit(execl("/bin/sh", "sh", "-c", "kill -SYS $$", NULL));
	check(waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
		      WTERMSIG(status) == SIGSYS,
	      "an executed program has the default action");
	check(unmap_notified(), "the parent goes on");
}

/* int $0x80, by the numbers of 32-bit programs. */
static long call_compat(long nr, long first, long second)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(nr), "b"(first), "c"(second), "d"(3L), "S"(4L), "D"(5L)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

#define COMPAT_FORK   2
#define COMPAT_GETPID 20
#define COMPAT_MUNMAP 91

/* Off in some kernels, and a fault there. */
static bool has_compat_calls(void)
{
	int status, child = fork();

	if (!child)
		_exit(call_compat(COMPAT_GETPID, 0, 0) == getpid() ? 0 : 1);
	return waitpid(child, &status, 0) == child && status == 0;
}

static void compat_calls(void)
{
	int status, child;
	char *at;

	if (!has_compat_calls()) {
		check(true, "this kernel makes no 32-bit calls");
		return;
	}
	at = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	start_strict();
	check(call_compat(COMPAT_GETPID, 0, 0) == getpid(), "their numbers are what they were");
	check(call_compat(100000, 0, 0) == -ENOSYS, "and so are their errors");
	check(call_compat(COMPAT_MUNMAP, (long)at, PAGE) == 0 && msync(at, PAGE, 0) == -1,
	      "an unmap is made");
	child = call_compat(COMPAT_FORK, 0, 0);
	if (!child)
		_exit(call_compat(COMPAT_GETPID, 0, 0) == getpid() ? 0 : 1);
	check(waitpid(child, &status, 0) == child && status == 0, "a fork (%x)", status);
	check(unmap_notified(), "the others are seen as before");
}

static void stop_and_start(void)
{
	struct sigaction action = { .sa_sigaction = sys_handler, .sa_flags = SA_SIGINFO };
	unsigned long before;
	struct {
		void *handler;
		unsigned long rest[3];
	} now;

	sigaction(SIGSYS, &action, NULL);
	for (int i = 0; i < 3; i++) {
		check(mmun_self_start_strict() == 0, "start %d", i);
		check(mmu_notifier_register(&notifier, mmun_self()) == 0 && unmap_notified(),
		      "is notified");
		mmu_notifier_unregister(&notifier, mmun_self());
		check(mmun_self_stop() == 0, "stop %d", i);
		before = traps();
		check(!unmap_notified() && traps() == before, "nothing traps");
		check(calls_inline(SYS_rt_sigaction, (long)SIGSYS, NULL, &now, 8L, 0L, 0L) == 0 &&
			      now.handler == (void *)sys_handler,
		      "the program's handler is back");
	}
	check(mmun_self_start() == 0 && mmu_notifier_register(&notifier, mmun_self()) == 0,
	      "starts without strict mode");
	munmap(map_page(), PAGE);
	check(starts && !unmap_notified(), "and does not see what only strict mode sees");
	check(mmun_self_start_strict() == 0 && unmap_notified(), "strict mode comes on top");
}

static void by_environment(void)
{
	setenv("MMUNOTIFY_STRICT", "1", 1);
	check(mmu_notifier_register(&notifier, mmun_self()) == 0 && unmap_notified(),
	      "MMUNOTIFY_STRICT=1");
	mmu_notifier_unregister(&notifier, mmun_self());
	mmun_self_stop();
	setenv("MMUNOTIFY_STRICT", "0", 1);
	check(mmu_notifier_register(&notifier, mmun_self()) == 0 && !unmap_notified(),
	      "MMUNOTIFY_STRICT=0");
}

int main(void)
{
	if (SANITIZED)
		skip_all("the sanitizers' own calls are not what this looks at");
	unsetenv("MMUNOTIFY_STRICT");
	scene("plain calls", plain_calls);
	scene("registers", registers);
	scene("thread", thread_after_start);
	scene("earlier threads", threads_before_start);
	scene("thread that blocks", thread_that_blocks);
	scene("raw clones", raw_clones);
	scene("all blocked", all_blocked);
	scene("thread with all blocked", thread_with_all_blocked);
	scene("all blocked by itself", all_blocked_inline);
	scene("handler that blocks all", handler_that_blocks_all);
	scene("handler from before", handler_from_before);
	scene("handler that jumps", handler_that_jumps);
	scene("waits", waits_with_a_mask);
	scene("waits beside a thread", waits_beside_a_thread);
	scene("waits in queues", waits_in_queues);
	scene("own SIGSYS handler", own_sigsys_handler);
	scene("SIGSYS by default", sigsys_by_default);
	scene("seccomp", seccomp_trap);
	scene("alternate stack", on_alternate_stack);
	scene("contexts", contexts);
	scene("own sigreturn", own_sigreturn);
	scene("many addresses", many_addresses);
	scene("32-bit calls", compat_calls);
	scene("children", children);
	scene("stop and start", stop_and_start);
	scene("environment", by_environment);
	return tap_done();
}
