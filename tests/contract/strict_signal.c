/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: strict mode works by a signal, and the program's signals go on to work.
 *
 * Masks that block everything, waits with another mask, handlers from before and after,
 * the program's own SIGSYS handler, seccomp filters that trap, returns of its own.
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

#include "sanitizer.h"
#include "strict.h"

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

static volatile int go;

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

int main(void)
{
	if (SANITIZED)
		skip_all("the sanitizers' own calls are not what this looks at");
	unsetenv("MMUNOTIFY_STRICT");
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
	scene("own sigreturn", own_sigreturn);
	return tap_done();
}
