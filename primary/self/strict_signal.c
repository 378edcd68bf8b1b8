/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The program's view of SIGSYS in strict mode.
 *
 * SIGSYS must reach our handler at any time: the kernel ends a process that traps
 * with SIGSYS blocked, ignored or left at its default.  So the calls that set an
 * action or a mask are made here without it, and what the program has set is kept
 * and answered when it asks: the action of SIGSYS, per process; whether SIGSYS is
 * blocked, per thread; whether a handler blocks it, per signal.
 *
 * Invariants (T1 to T3: strict.c):
 *  T4  No mask and no handler's mask that the kernel is given here has SIGSYS.
 *  T5  The program's memory is never written but where the call would have.
 *  T6  A vfork child has signal handlers and a mask of its own and our memory: its
 *      calls are made as they are.
 * Limits: SIGSYS that somebody sends while the program blocks it waits here, where
 * sigpending(), sigwait() and signalfd() do not see it; it does not queue.
 * Tests: tests/contract/strict_signal.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "atomic.h"
#include "sigmask.h"
#include "strict.h"

#define SYS_epoll_pwait2_nr 441
/* linux/io_uring.h: the mask is in a structure. */
#define SYS_io_uring_enter_nr 426
#define ENTER_EXT_ARG         8UL
#define ENTER_EXT_ARG_REG     64UL

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

/* More than handlers can change at once while others read. */
#define ACTIONS 16

static struct {
	bool taken;
	void (*handler)(int, siginfo_t *, void *);
	/* The program's, the newest at @current. */
	struct mmun_kernel_action actions[ACTIONS];
	unsigned int next, current;
	/* Signals whose handlers block SIGSYS, as the program believes. */
	unsigned long hidden;
} sys;

/* Words of the largest structure that begins with the address of a mask. */
#define SIZED 3

static __thread struct {
	/* As the program believes. */
	bool blocked;
	/* One has come meanwhile. */
	bool pending;
	/* What the kernel reads instead of the program's. */
	unsigned long mask;
	unsigned long sized[SIZED];
} mine __attribute__((tls_model("initial-exec")));

static bool is_vfork_child(void)
{
	return mmun_load_relaxed(mmun_self_armed) && mmun_strict_pid &&
	       mmun_syscall3(SYS_getpid, 0, 0, 0) != mmun_strict_pid;
}

/* The program's memory: a bad address is an error there, not a fault here. */
static long copy(long nr, void *here, unsigned long there, size_t size)
{
	struct iovec local = { here, size }, remote = { (void *)there, size };
	long pid = mmun_syscall3(SYS_getpid, 0, 0, 0);
	long n = mmun_syscall6(nr, pid, (long)&local, 1, (long)&remote, 1, 0);

	if (n == -EPERM || n == -ENOSYS) {
		if (nr == SYS_process_vm_readv)
			memcpy(here, (void *)there, size);
		else
			memcpy((void *)there, here, size);
		return 0;
	}
	return n == (long)size ? 0 : -EFAULT;
}

static long fetch(void *to, unsigned long from, size_t size)
{
	return copy(SYS_process_vm_readv, to, from, size);
}

static long store(unsigned long to, void *from, size_t size)
{
	return copy(SYS_process_vm_writev, from, to, size);
}

static long make(int nr, const unsigned long *args)
{
	return mmun_syscall6(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}

static long set_action(struct mmun_kernel_action *action, struct mmun_kernel_action *old)
{
	return mmun_syscall4(SYS_rt_sigaction, SIGSYS, (unsigned long)action, (unsigned long)old,
			     sizeof(unsigned long));
}

/* Ours, which restarts calls as the program's would. */
static long set_ours(const struct mmun_kernel_action *theirs)
{
	bool restarts = theirs->handler == SIG_DFL || theirs->handler == SIG_IGN ||
			theirs->flags & SA_RESTART;
	struct mmun_kernel_action ours = {
		.handler = (void *)sys.handler,
		.restorer = mmun_strict_text.restorer,
		.flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK | 0x04000000 /* SA_RESTORER */ |
			 (restarts ? SA_RESTART : 0),
	};

	return set_action(&ours, NULL);
}

static void keep_action(const struct mmun_kernel_action *action)
{
	unsigned int at = mmun_add_full(&sys.next, 1) % ACTIONS;

	sys.actions[at] = *action;
	mmun_store_full(&sys.current, at);
}

static struct mmun_kernel_action program_action(void)
{
	return sys.actions[mmun_load_full(&sys.current)];
}

/* @trusted: the C library has written what the argument points to. */
static long fetch_action(struct mmun_kernel_action *action, unsigned long from, bool trusted)
{
	if (!trusted)
		return fetch(action, from, sizeof(*action));
	*action = *(const struct mmun_kernel_action *)from;
	return 0;
}

static long program_sets_action(const unsigned long *args, bool trusted)
{
	struct mmun_kernel_action new, old = program_action();
	long ret = 0;

	if (args[1] && fetch_action(&new, args[1], trusted))
		return -EFAULT;
	if (args[1]) {
		keep_action(&new);
		ret = set_ours(&new);
	}
	if (!ret && args[2])
		ret = store(args[2], &old, sizeof(old));
	return ret;
}

/* sig, act, oact, size */
static long do_sigaction(const unsigned long *args, bool trusted)
{
	int sig = args[0];
	unsigned long bit = sig >= 1 && sig <= 64 ? 1ul << (sig - 1) : 0;
	unsigned long sized = sizeof(unsigned long);
	struct mmun_kernel_action new, old;
	bool hides, hid = mmun_load_full(&sys.hidden) & bit;
	long ret;

	if (args[3] != sized || !sys.taken)
		return make(SYS_rt_sigaction, args);
	if (sig == SIGSYS)
		return is_vfork_child() ? make(SYS_rt_sigaction, args)
					: program_sets_action(args, trusted);
	if (args[1] && fetch_action(&new, args[1], trusted))
		return -EFAULT;
	hides = args[1] && new.mask &MMUN_SIGMASK_SYS;
	if ((!hides && !hid) || is_vfork_child())
		return make(SYS_rt_sigaction, args);
	new.mask &= ~MMUN_SIGMASK_SYS;
	ret = mmun_syscall4(SYS_rt_sigaction, sig, args[1] ? (unsigned long)&new : 0,
			    args[2] ? (unsigned long)&old : 0, sized);
	if (ret)
		return ret;
	if (hid)
		old.mask |= MMUN_SIGMASK_SYS;
	if (args[1] && hides)
		__atomic_or_fetch(&sys.hidden, bit, __ATOMIC_SEQ_CST);
	else if (args[1])
		__atomic_and_fetch(&sys.hidden, ~bit, __ATOMIC_SEQ_CST);
	return args[2] ? store(args[2], &old, sizeof(old)) : 0;
}

/* One that came while it was blocked comes now. */
static void let_pending_through(void)
{
	long pid = mmun_syscall3(SYS_getpid, 0, 0, 0), tid = mmun_syscall3(SYS_gettid, 0, 0, 0);

	if (mine.blocked || !mine.pending)
		return;
	mine.pending = false;
	mmun_syscall3(SYS_tgkill, pid, tid, SIGSYS);
}

static void note_mask(int how, unsigned long set)
{
	bool has = set & MMUN_SIGMASK_SYS;

	if (how == SIG_SETMASK)
		mine.blocked = has;
	else if (has)
		mine.blocked = how == SIG_BLOCK;
	if (mmun_unlikely(mine.pending))
		let_pending_through();
}

/* how, set, old, size.  @trusted: the C library has read the set itself. */
static long do_sigprocmask(const unsigned long *args, bool trusted)
{
	int how = args[0];
	unsigned long set = 0, old = 0;
	bool was = mine.blocked;
	long ret;

	if (args[3] != sizeof(set) || !sys.taken)
		return make(SYS_rt_sigprocmask, args);
	if (args[1] && trusted)
		set = *(const unsigned long *)args[1];
	else if (args[1] && fetch(&set, args[1], sizeof(set)))
		return -EFAULT;
	if (mmun_likely(!was && !(set & MMUN_SIGMASK_SYS)))
		return make(SYS_rt_sigprocmask, args);
	if (is_vfork_child())
		return make(SYS_rt_sigprocmask, args);
	/* To let it through is right, whatever had blocked it. */
	if (how != SIG_UNBLOCK)
		set &= ~MMUN_SIGMASK_SYS;
	ret = mmun_syscall4(SYS_rt_sigprocmask, how, args[1] ? (unsigned long)&set : 0,
			    args[2] ? (unsigned long)&old : 0, sizeof(set));
	if (ret)
		return ret;
	if (was)
		old |= MMUN_SIGMASK_SYS;
	if (args[1] && trusted)
		note_mask(how, *(const unsigned long *)args[1]);
	else if (args[1] && !fetch(&set, args[1], sizeof(set)))
		note_mask(how, set);
	if (args[2] && trusted)
		*(unsigned long *)args[2] = old;
	else if (args[2])
		return store(args[2], &old, sizeof(old));
	return 0;
}

/* Which argument of a call that waits with another mask points to that mask. */
static int mask_argument(int nr)
{
	switch (nr) {
	case SYS_rt_sigsuspend:
		return 0;
	case SYS_ppoll:
		return 3;
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2_nr:
	case SYS_io_uring_enter_nr:
		return 4;
	default:
		return 5;
	}
}

/* The size of the structure that it points to instead, with the address of the mask in
 * front; 0: there is none. */
static size_t mask_structure(int nr, const unsigned long *args)
{
	if (nr == SYS_pselect6 || nr == SYS_io_pgetevents)
		return 2 * sizeof(unsigned long);
	if (nr == SYS_io_uring_enter_nr && args[3] & ENTER_EXT_ARG)
		return args[5];
	return 0;
}

/* Puts a copy of the mask without SIGSYS into the arguments, where it has it. */
static void without_sigsys(int nr, unsigned long *args, unsigned long *mask, unsigned long *sized)
{
	const size_t size = mask_structure(nr, args);
	int i = mask_argument(nr);
	unsigned long at = args[i];

	if (!at || !sys.taken || size > SIZED * sizeof(*sized) ||
	    (nr == SYS_io_uring_enter_nr && args[3] & ENTER_EXT_ARG_REG))
		return;
	if (size) {
		if (fetch(sized, at, size) || !sized[0])
			return;
		at = sized[0];
	}
	if (fetch(mask, at, sizeof(*mask)) || !(*mask & MMUN_SIGMASK_SYS))
		return;
	*mask &= ~MMUN_SIGMASK_SYS;
	sized[0] = (unsigned long)mask;
	args[i] = size ? (unsigned long)sized : (unsigned long)mask;
}

void mmun_strict_wait(struct mmun_regs *regs)
{
	without_sigsys(regs->site->nr, regs->args, &mine.mask, mine.sized);
	regs->nr = regs->site->nr;
}

void mmun_strict_cancel(int nr, unsigned long *args)
{
	without_sigsys(nr, args, &mine.mask, mine.sized);
}

void mmun_strict_call(struct mmun_regs *regs)
{
	bool trusted = regs->site->nr >= 0;
	int nr = trusted ? regs->site->nr : (int)regs->nr;
	unsigned long args[6], mask, sized[SIZED];

	if (nr == SYS_rt_sigprocmask) {
		regs->nr = do_sigprocmask(regs->args, trusted);
	} else if (nr == SYS_rt_sigaction) {
		regs->nr = do_sigaction(regs->args, trusted);
	} else {
		memcpy(args, regs->args, sizeof(args));
		without_sigsys(nr, args, &mask, sized);
		regs->nr = make(nr, args);
	}
}

void mmun_strict_returns(unsigned long *mask)
{
	if (!sys.taken)
		return;
	mine.blocked = *mask & MMUN_SIGMASK_SYS;
	*mask &= ~MMUN_SIGMASK_SYS;
}

/* As the kernel does: its default action, whatever the program has set. */
static void die(void)
{
	struct mmun_kernel_action none = { .handler = SIG_DFL };
	long pid = mmun_syscall3(SYS_getpid, 0, 0, 0), tid = mmun_syscall3(SYS_gettid, 0, 0, 0);

	set_action(&none, NULL);
	mmun_syscall3(SYS_tgkill, pid, tid, SIGSYS);
}

static void run_handler(const struct mmun_kernel_action *action, siginfo_t *info,
			ucontext_t *context)
{
	unsigned long *frame_mask = (unsigned long *)&context->uc_sigmask;
	unsigned long mask = (*frame_mask | action->mask) & ~MMUN_SIGMASK_SYS;
	struct mmun_kernel_action none = { .handler = SIG_DFL };

	if (action->flags & SA_RESETHAND)
		keep_action(&none);
	mmun_syscall4(SYS_rt_sigprocmask, SIG_SETMASK, (unsigned long)&mask, 0, sizeof(mask));
	mine.blocked = !(action->flags & SA_NODEFER) || action->mask & MMUN_SIGMASK_SYS;
	((void (*)(int, siginfo_t *, void *))action->handler)(SIGSYS, info, context);
	mmun_strict_returns(frame_mask);
	if (mmun_unlikely(mine.pending))
		let_pending_through();
}

void mmun_strict_forward(siginfo_t *info, ucontext_t *context)
{
	struct mmun_kernel_action action = program_action();
	bool forced = info->si_code == SYS_SECCOMP;

	if (action.handler == SIG_DFL || (forced && (action.handler == SIG_IGN || mine.blocked)))
		die();
	else if (mine.blocked)
		mine.pending = true;
	else if (action.handler != SIG_IGN)
		run_handler(&action, info, context);
}

/* Handlers that were set earlier or will be kept: SIGSYS out of their masks, or back. */
static void change_handlers(bool hide)
{
	for (int sig = 1; sig <= 64; sig++) {
		unsigned long bit = 1ul << (sig - 1), sized = sizeof(unsigned long);
		struct mmun_kernel_action action;
		bool has;

		if (sig == SIGSYS ||
		    mmun_syscall4(SYS_rt_sigaction, sig, 0, (unsigned long)&action, sized))
			continue;
		has = hide ? action.mask & MMUN_SIGMASK_SYS : sys.hidden & bit;
		if (!has)
			continue;
		action.mask = hide ? action.mask & ~MMUN_SIGMASK_SYS
				   : action.mask | MMUN_SIGMASK_SYS;
		if (hide)
			__atomic_or_fetch(&sys.hidden, bit, __ATOMIC_SEQ_CST);
		mmun_syscall4(SYS_rt_sigaction, sig, (unsigned long)&action, 0, sized);
	}
	if (!hide)
		mmun_store_full(&sys.hidden, 0);
}

void mmun_strict_hide_in_handlers(void)
{
	change_handlers(true);
}

int mmun_strict_take_signal(void (*handler)(int, siginfo_t *, void *))
{
	struct mmun_kernel_action theirs;
	unsigned long set = MMUN_SIGMASK_SYS, old = 0;
	long ret;

	if (sys.taken)
		return 0;
	ret = set_action(NULL, &theirs);
	if (ret)
		return ret;
	sys.handler = handler;
	keep_action(&theirs);
	ret = set_ours(&theirs);
	if (ret)
		return ret;
	mmun_store_full(&sys.taken, true);
	mmun_syscall4(SYS_rt_sigprocmask, SIG_UNBLOCK, (unsigned long)&set, (unsigned long)&old,
		      sizeof(set));
	mine.blocked = old & MMUN_SIGMASK_SYS;
	return 0;
}

void mmun_strict_give_signal_back(void)
{
	struct mmun_kernel_action theirs = program_action();
	const unsigned long set = MMUN_SIGMASK_SYS;

	if (!sys.taken)
		return;
	mmun_store_full(&sys.taken, false);
	change_handlers(false);
	set_action(&theirs, NULL);
	if (mine.blocked)
		mmun_syscall4(SYS_rt_sigprocmask, SIG_BLOCK, (unsigned long)&set, 0, sizeof(set));
}
