/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Strict mode: Syscall User Dispatch catches every system call that no site covers,
 * in every thread: inline assembly, generated code, other libraries, the linker.
 *
 * The SIGSYS handler opens no section.  It leads the thread, when the signal returns,
 * to the entry code of a patched site, with a slot that stands for the address; so all
 * that follows happens in the thread's ordinary context, on its own stack and with its
 * own mask.  rcx and r11 are free there: a system call changes them.
 *
 * Dispatch belongs to a thread and is off in a new one.  New threads are armed on their
 * way out of clone() and clone3(), in the C library's code and in code that trapped;
 * those that exist already arm themselves in the SIGSYS that start sends them.
 *
 * Invariants:
 *  T1  The selector says BLOCK only while every thread can take a SIGSYS of ours.
 *  T2  Either every thread of the process is armed when start returns, or start fails.
 *  T3  When stop returns no thread is armed, or the handler stays.
 * Locks: start and stop run under self.lock.  Tests: tests/contract/strict.c.
 */
#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "atomic.h"
#include "call.h"
#include "clock.h"
#include "strict.h"
#include "threads.h"

#define PR_SET_SYSCALL_USER_DISPATCH 59
#define DISPATCH_OFF                 0
#define DISPATCH_ON                  1
#define ALLOW                        0
#define BLOCK                        1
#ifndef SYS_USER_DISPATCH
#define SYS_USER_DISPATCH 2
#endif

/* Below the frame of a trapped call whose address has no slot. */
#define RED_ZONE 128

/* How long start waits for a thread that blocks SIGSYS, and for all others, ns. */
#define PATIENCE      2000000000ul
#define LONG_PATIENCE 30000000000ul
#define PAUSE         200000ul

/* Threads that are asked at once: more than a process usually may have. */
#define ASKED 32768

long mmun_strict_pid;
unsigned long mmun_strict_prctl[3];

static struct {
	bool started;
	unsigned long traps;
	/* What the threads of ->asked are to do. */
	unsigned int mode;
	/* Their ids, 0 once they have done it. */
	int *asked;
	unsigned int nr_asked;
} strict;

const unsigned char mmun_strict_classes[512] = {
	[SYS_rt_sigprocmask] = MMUN_STRICT_SIGNALS,
	[SYS_rt_sigaction] = MMUN_STRICT_SIGNALS,
	[SYS_rt_sigsuspend] = MMUN_STRICT_SIGNALS,
	[SYS_ppoll] = MMUN_STRICT_SIGNALS,
	[SYS_pselect6] = MMUN_STRICT_SIGNALS,
	[SYS_epoll_pwait] = MMUN_STRICT_SIGNALS,
	[441 /* epoll_pwait2 */] = MMUN_STRICT_SIGNALS,
	[SYS_io_pgetevents] = MMUN_STRICT_SIGNALS,
	[426 /* io_uring_enter */] = MMUN_STRICT_SIGNALS,
	[SYS_clone] = MMUN_STRICT_THREAD,
	[SYS_clone3] = MMUN_STRICT_THREAD,
};

unsigned long mmun_strict_traps(void)
{
	return mmun_load_relaxed(&strict.traps);
}

bool mmun_strict_asked(void)
{
	const char *value = secure_getenv("MMUNOTIFY_STRICT");

	return value && *value && strcmp(value, "0");
}

/* The kernel looks at the selector's address after it has found everything else right. */
int mmun_strict_check(struct mmun_refusal *refusal)
{
	long ret =
		mmun_syscall6(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, DISPATCH_ON, 0, 0, ~0ul, 0);

	if (ret == -EFAULT)
		return 0;
	mmun_self_refuse(
		refusal, -ENOTSUP,
		ret == -EINVAL
			? "this kernel has no Syscall User Dispatch, which strict mode needs"
			: "this process may not use Syscall User Dispatch, which strict mode needs",
		ret == -EINVAL
			? "use Linux 5.11 or later, or run without strict mode"
			: "lift the seccomp rule on prctl for this program, or run without strict mode");
	return -ENOTSUP;
}

static long dispatch(unsigned int mode)
{
	if (mode == DISPATCH_OFF)
		return mmun_syscall6(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, mode, 0, 0, 0, 0);
	return mmun_syscall6(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, mode, mmun_strict_prctl[0],
			     mmun_strict_prctl[1], mmun_strict_prctl[2], 0);
}

/* The signal frame that rt_sigreturn() is about to load: its mask. */
static unsigned long *frame_mask(unsigned long sp)
{
	return (unsigned long *)&((ucontext_t *)sp)->uc_sigmask;
}

static bool makes_child(long nr)
{
	return nr == SYS_clone || nr == SYS_clone3 || nr == SYS_vfork || nr == SYS_fork;
}

/* With no slot left the address waits on the stack; but a child may have another. */
static void lead_without_slot(greg_t *regs)
{
	unsigned long sp = regs[REG_RSP] - RED_ZONE - sizeof(sp);

	if (makes_child(regs[REG_RAX])) {
		regs[REG_RAX] = -EAGAIN;
		return;
	}
	*(unsigned long *)sp = regs[REG_RIP];
	regs[REG_RSP] = sp;
	regs[REG_R11] = (greg_t)&mmun_strict_text.area->spare.site;
	regs[REG_RIP] = (greg_t)mmun_self_syscall_entry;
}

/*
 * int $0x80 has other numbers and arguments, and is not looked at.  It is made where it does
 * not trap; of the registers that it keeps r11 is lost, which Linux before 4.17 lost too.
 */
static void lead_compat(greg_t *regs)
{
	mmun_add_relaxed(&strict.traps, 1);
	regs[REG_R11] = regs[REG_RIP];
	regs[REG_RIP] = (greg_t)mmun_strict_text.compat;
}

/* Where the thread goes on instead of behind its system call instruction. */
static void lead(greg_t *regs)
{
	struct mmun_strict_slot *slot;

	mmun_add_relaxed(&strict.traps, 1);
	if (regs[REG_RAX] == SYS_rt_sigreturn) {
		mmun_strict_returns(frame_mask(regs[REG_RSP]));
		regs[REG_RIP] = (greg_t)mmun_strict_text.plain;
		return;
	}
	slot = mmun_strict_slot_of(regs[REG_RIP], makes_child(regs[REG_RAX]));
	if (!slot) {
		lead_without_slot(regs);
		return;
	}
	regs[REG_R11] = (greg_t)&slot->site;
	regs[REG_RIP] = (greg_t)mmun_self_syscall_entry;
}

static void lead_any(const siginfo_t *info, greg_t *regs)
{
	if (mmun_likely(info->si_arch == AUDIT_ARCH_X86_64))
		lead(regs);
	else
		lead_compat(regs);
}

/* Was this thread asked to arm or disarm itself? */
static bool is_asked(const siginfo_t *info)
{
	int tid;

	if (info->si_code != SI_TKILL || !mmun_load_acquire(&strict.asked) ||
	    info->si_pid != mmun_syscall3(SYS_getpid, 0, 0, 0))
		return false;
	tid = mmun_syscall3(SYS_gettid, 0, 0, 0);
	for (unsigned int i = 0; i < mmun_load_acquire(&strict.nr_asked); i++) {
		if (mmun_load_acquire(&strict.asked[i]) != tid)
			continue;
		if (!dispatch(mmun_load_acquire(&strict.mode)))
			mmun_store_full(&strict.asked[i], 0);
		return true;
	}
	return false;
}

static void on_sigsys(int sig, siginfo_t *info, void *arg)
{
	ucontext_t *context = arg;

	if (mmun_likely(info->si_code == SYS_USER_DISPATCH))
		lead_any(info, context->uc_mcontext.gregs);
	else if (!is_asked(info))
		mmun_strict_forward(info, context);
}

/* Ids that have been seen in this pass or an earlier one. */
struct seen {
	int *ids;
	unsigned int count;
};

static bool is_new(const struct seen *seen, int id)
{
	for (unsigned int i = 0; i < seen->count; i++)
		if (seen->ids[i] == id)
			return false;
	return true;
}

/* Asks one thread.  Return: 0, also when it is gone, or -errno. */
static int ask_thread(struct seen *seen, int id)
{
	unsigned int i = seen->count;
	long ret;

	if (i == ASKED)
		return -ENOSPC;
	seen->ids[i] = id;
	mmun_store_release(&strict.asked[i], id);
	seen->count = i + 1;
	mmun_store_full(&strict.nr_asked, seen->count);
	ret = mmun_syscall3(SYS_tgkill, mmun_strict_pid, id, SIGSYS);
	if (ret == -ESRCH)
		mmun_store_full(&strict.asked[i], 0);
	return ret == -ESRCH ? 0 : ret;
}

/* One look at the threads. */
struct asking {
	struct seen *seen;
	long own;
	int asked;
};

static int ask_if_new(long id, void *arg)
{
	struct asking *asking = arg;

	if (id == asking->own || !is_new(asking->seen, (int)id))
		return 0;
	asking->asked++;
	return ask_thread(asking->seen, (int)id);
}

/* Asks every thread that is new.  Return: how many, or -errno. */
static int ask_new(struct seen *seen)
{
	struct asking asking = { .seen = seen, .own = mmun_syscall3(SYS_gettid, 0, 0, 0) };
	int list = mmun_threads_open(), ret;

	if (list < 0)
		return list;
	ret = mmun_threads_each(list, ask_if_new, &asking);
	mmun_self_close(list);
	return ret < 0 ? ret : asking.asked;
}

/* Does the kernel say that this thread blocks SIGSYS? */
static bool blocks_sigsys(int id)
{
	int list = mmun_threads_open();
	const char *line;
	char text[2048];

	if (list < 0)
		return false;
	text[0] = 0;
	mmun_threads_read(list, id, "/status", text, sizeof(text));
	mmun_self_close(list);
	/* Sixteen digits; the ninth has the signals 29 to 32. */
	line = strstr(text, "\nSigBlk:\t");
	return line && strlen(line) > 25 && strchr("4567cdef", line[9 + 8]);
}

static int wait_for_asked(const struct seen *seen, unsigned long began)
{
	for (unsigned int i = 0; i < seen->count; i++) {
		while (mmun_load_acquire(&strict.asked[i])) {
			if (mmun_syscall3(SYS_tgkill, mmun_strict_pid, seen->ids[i], 0) == -ESRCH)
				break;
			if (mmun_now() - began > LONG_PATIENCE ||
			    (mmun_now() - began > PATIENCE && blocks_sigsys(seen->ids[i])))
				return -ETIMEDOUT;
			mmun_nap(PAUSE);
		}
	}
	return 0;
}

/*
 * Brings every other thread into @mode: until a look at all of them finds none that
 * is new.  A thread made by one that has been asked is armed at its birth.
 */
static int all_threads(unsigned int mode)
{
	const size_t size = 2 * ASKED * sizeof(int);
	unsigned long began = mmun_now();
	long map = mmun_syscall6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct seen seen = { .ids = (int *)map + ASKED };
	int ret;

	if (map < 0 && map > -4096)
		return map;
	mmun_store_release(&strict.nr_asked, 0);
	mmun_store_release(&strict.mode, mode);
	/* A table that a late answer may still look at stays. */
	mmun_store_full(&strict.asked, (int *)map);
	do {
		ret = ask_new(&seen);
		if (ret > 0 && (ret = wait_for_asked(&seen, began)) == 0)
			ret = 1;
	} while (ret > 0);
	if (ret)
		return ret;
	mmun_store_full(&strict.asked, NULL);
	mmun_syscall3(SYS_munmap, map, size, 0);
	return 0;
}

/* The C library that this one is linked with. */
static bool is_own_library(const struct mmun_image *image)
{
	unsigned long at = (unsigned long)secure_getenv;

	return image->used && at >= image->text_start && at < image->text_end;
}

int mmun_strict_begin(struct mmun_image *image, struct mmun_refusal *refusal)
{
	return is_own_library(image) ? mmun_strict_build(image, refusal) : 0;
}

static void refuse(struct mmun_refusal *refusal, int ret)
{
	mmun_self_refuse(
		refusal, ret,
		ret == -ETIMEDOUT
			? "a thread that runs already does not take the signal SIGSYS for strict mode"
			: "strict mode cannot be switched on in every thread",
		ret == -ETIMEDOUT
			? "start strict mode before the threads, or let them not block SIGSYS"
			: "mount /proc, or run without strict mode");
}

static void undo(void)
{
	mmun_strict_text.area->selector = ALLOW;
	dispatch(DISPATCH_OFF);
	/* A thread that cannot be reached may trap on its way: the handler stays. */
	if (!all_threads(DISPATCH_OFF))
		mmun_strict_give_signal_back();
	mmun_self_unpatch(&mmun_strict_text.image);
}

int mmun_strict_start(long pid, struct mmun_refusal *refusal)
{
	int ret;

	if (!mmun_strict_text.area)
		return -ENOTSUP;
	mmun_strict_pid = pid;
	mmun_strict_text.area->selector = ALLOW;
	mmun_strict_prctl[0] = mmun_strict_text.start;
	mmun_strict_prctl[1] = mmun_strict_text.length;
	mmun_strict_prctl[2] = (unsigned long)&mmun_strict_text.area->selector;
	ret = mmun_strict_take_signal(on_sigsys);
	if (!ret)
		ret = mmun_self_patch(&mmun_strict_text.image);
	mmun_strict_hide_in_handlers();
	if (!ret)
		ret = dispatch(DISPATCH_ON);
	if (!ret)
		ret = all_threads(DISPATCH_ON);
	if (ret) {
		undo();
		refuse(refusal, ret);
		return ret;
	}
	mmun_strict_text.area->selector = BLOCK;
	strict.started = true;
	return 0;
}

bool mmun_strict_is_started(void)
{
	return strict.started;
}

void mmun_strict_leave_thread(void)
{
	if (strict.started)
		dispatch(DISPATCH_OFF);
}

void mmun_strict_forget(void)
{
	strict.started = false;
	strict.asked = NULL;
}

void mmun_strict_stop(void)
{
	if (!strict.started)
		return;
	strict.started = false;
	undo();
}
