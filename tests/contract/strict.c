/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: strict mode sees every system call instruction, in every thread, and the
 * program does not notice it.
 *
 * The operations themselves are operations.c's, on the routes "inline" and
 * "generated-code".  Here: registers, threads however they are made, alternate stacks,
 * contexts, children.  Signals are strict_signal.c's.
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

static void never_called(int sig, siginfo_t *info, void *context)
{
	check(false, "a SIGSYS of ours reaches the program");
}

static void stop_and_start(void)
{
	struct sigaction action = { .sa_sigaction = never_called, .sa_flags = SA_SIGINFO };
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
			      now.handler == (void *)never_called,
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
	scene("alternate stack", on_alternate_stack);
	scene("contexts", contexts);
	scene("many addresses", many_addresses);
	scene("32-bit calls", compat_calls);
	scene("children", children);
	scene("stop and start", stop_and_start);
	scene("environment", by_environment);
	return tap_done();
}
