/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fork, exec and exit of this process.
 *
 * fork write-protects the parent's private memory: one section over the whole
 * address space around the call.  Its state lies on the stack of the caller, in the
 * parent; the child has a copy of that (entry.S).  So forks nest: one in a signal handler
 * that interrupted another's section opens a section of its own.  The child needs little
 * from us: the word that arms the hooks lives in memory that the kernel wipes on fork, so
 * it starts unarmed, without an mm and without notifiers.
 *
 * exec and exit run every ->release first: after them nobody is left to do it.
 * An execve() that the kernel would refuse is found out beforehand where that is
 * possible; when one fails all the same the process goes on with a new mm.
 * Tests: tests/contract.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mmunotify/self.h"

#include "atomic.h"
#include "call.h"
#include "inherited.h"
#include "state.h"

#define WHOLE_END (-MMUN_PAGE_SIZE)

struct fork {
	struct mm_struct *mm;
	struct mmun_reader reader;
	unsigned long descriptors;
	int cancel_type, cancel_state;
	bool other_tls, other_files;
	struct mmun_origin origin;
	struct mmu_notifier_range range;
};
_Static_assert(sizeof(struct fork) <= MMUN_FORK_SECTION_SIZE, "entry.S reserves the space");

/* What the kernel refuses before it looks at the arguments is a fork of nobody. */
static bool may_be_clone3_args(const unsigned long *args)
{
	return args[0] >= MMUN_PAGE_SIZE && args[1] >= CLONE_ARGS_SIZE_VER0 &&
	       args[1] <= MMUN_PAGE_SIZE;
}

/* The kernel copies a set of signals before it refuses what is to be done with it. */
static bool is_readable(unsigned long address)
{
	return mmun_syscall4(SYS_rt_sigprocmask, ~0UL, address, 0, 8) == -EINVAL;
}

/*
 * What clone3() is asked for, read without a fault where there is no memory.  Where neither
 * question is answered the program is taken at its word: a fork that nobody hears of would
 * be worse.
 */
static bool read_clone3_flags(const unsigned long *args, unsigned long *flags)
{
	unsigned long there = 0;

	if (!may_be_clone3_args(args))
		return false;
	if (!is_readable(args[0])) {
		int read = is_readable((unsigned long)&there)
				   ? 0
				   : mmun_read_program(flags, args[0], sizeof(*flags));

		if (read >= 0)
			return read;
	}
	*flags = *(volatile unsigned long *)args[0];
	return true;
}

static bool read_flags(const struct mmun_regs *regs, unsigned long *flags)
{
	switch (regs->nr) {
	case SYS_clone:
		*flags = regs->args[0];
		return true;
	case SYS_clone3:
		return read_clone3_flags(regs->args, flags);
	default:
		*flags = 0;
		return true;
	}
}

static long open_fork_section(void *arg)
{
	struct fork *fork = arg;
	int ret, saved_errno = errno;

	ret = mmu_notifier_invalidate_range_start_nonblock(&fork->range);
	errno = saved_errno;
	return ret;
}

static long close_fork_section(void *arg)
{
	struct fork *fork = arg;
	int saved_errno = errno;

	mmu_notifier_invalidate_range_end(&fork->range);
	errno = saved_errno;
	return 0;
}

static long with_vectors_saved(long (*fn)(void *), void *arg)
{
	struct mmun_stack stack;
	bool got = mmun_self_stack_get(&stack);
	long ret = mmun_self_vectors_saved(fn, arg, got ? mmun_self_stack_area(&stack) : NULL);

	if (got)
		mmun_self_stack_put(&stack);
	return ret;
}

static void restore_cancellation(const struct fork *fork)
{
	pthread_setcancelstate(fork->cancel_state, NULL);
	pthread_setcanceltype(fork->cancel_type, NULL);
}

static void leave_fork(struct fork *fork)
{
	mmun_mm_read_unlock(fork->mm, &fork->reader);
	restore_cancellation(fork);
}

/*
 * Return 0: perform the call, mmun_self_fork_after() follows in the parent and
 * mmun_self_fork_child() in the child; above 0: perform it unnoticed; -errno: refused.
 */
long mmun_self_fork_before(struct mmun_regs *regs, void *space)
{
	struct fork *fork = space;
	struct mm_struct *mm = mmun_self_mm();
	unsigned long flags;

	if (regs->site->nr >= 0)
		regs->nr = regs->site->nr;
	if (!mm || !read_flags(regs, &flags))
		return 1;
	if (flags & CLONE_VM) {
		/* clone3() by syscall(); entry.S asks the same of clone(). */
		if (!(flags & (CLONE_VFORK | CLONE_SETTLS)))
			mmun_thread_shares_tls();
		return 1;
	}
	*fork = (struct fork){ .mm = mm,
			       .other_tls = flags & CLONE_SETTLS,
			       .other_files = !(flags & CLONE_FILES) };
	fork->origin = (struct mmun_origin){
		.op = MMUN_OP_FORK,
		.nr = (int)regs->nr,
		.args = regs->args,
		.pc = regs->resume,
		.sp = (unsigned long)regs->stack,
	};
	fork->range = (struct mmu_notifier_range){
		.mm = mm,
		.start = 0,
		.end = WHOLE_END,
		.event = MMU_NOTIFY_PROTECTION_PAGE,
		.flags = MMUN_RANGE_READ_LOCKED | MMUN_RANGE_PINNED_SAFE,
		.origin = &fork->origin,
	};
	/* Over the call as well: the read section of a cancelled thread would stay.  Why
	 * both: cancel.h. */
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &fork->cancel_type);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &fork->cancel_state);
	mmun_mm_read_lock(mm, &fork->reader);
	fork->descriptors = mmun_inherited_before();
	if (mm_has_notifiers(mm) && with_vectors_saved(open_fork_section, fork)) {
		leave_fork(fork);
		return -EAGAIN;
	}
	return 0;
}

void mmun_self_fork_after(struct mmun_regs *regs, void *space)
{
	struct fork *fork = space;
	long result = regs->nr;

	fork->origin.result = result;
	if (result < 0)
		fork->range.flags |= MMUN_RANGE_UNCHANGED;
	if (mm_has_notifiers(fork->mm))
		with_vectors_saved(close_fork_section, fork);
	leave_fork(fork);
}

/* Undoes what the child has inherited from us. */
void mmun_self_fork_child(void *space)
{
	struct fork *fork = space;

	/* Else they are those of the parent, which closes them itself. */
	if (fork->other_files)
		mmun_inherited_close(fork->descriptors);
	/* The section is open in the copy, too; whose thread-local storage it is counts. */
	if (!fork->other_tls)
		leave_fork(fork);
}

static long release_mm(void *mm)
{
	int saved_errno = errno;

	mmun_mm_exit(mm);
	errno = saved_errno;
	return 0;
}

/* Not for a vfork child, which leaves alone. */
static bool may_release(void)
{
	struct mm_struct *mm = mmun_self_mm();

	return mm && mm_has_notifiers(mm) && mmun_self_is_owner();
}

/* Nobody needs the vector registers any more. */
void mmun_self_exit(struct mmun_regs *regs)
{
	if (may_release())
		release_mm(mmun_self_mm());
}

/* By a kernel that does not know the call, or a seccomp filter that does not. */
static bool is_unanswered(long ret)
{
	return ret == -ENOSYS || ret == -EPERM;
}

/* Would the kernel find an executable file?  execvp() tries many names.  Where it does not
 * answer the program is taken at its word. */
static bool will_exec(const struct mmun_exec *exec)
{
	long flags = exec->flags & (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
	long path = (long)exec->path;
	struct stat file;
	long ret;

	ret = mmun_syscall6(SYS_newfstatat, exec->dir, path, (long)&file, flags, 0, 0);
	if (ret < 0)
		return is_unanswered(ret);
	if (!S_ISREG(file.st_mode))
		return false;
	if (flags & AT_EMPTY_PATH)
		return file.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH);
	ret = mmun_syscall4(SYS_faccessat2, exec->dir, path, X_OK, AT_EACCESS);
	if (is_unanswered(ret))
		ret = mmun_syscall3(SYS_faccessat, exec->dir, path, X_OK);
	return !ret || is_unanswered(ret);
}

/* Those who want to know; none ever leaves. */
static struct mmun_exec_watch *watches;

void mmun_self_watch_exec(struct mmun_exec_watch *watch)
{
	watch->next = mmun_load_relaxed(&watches);
	while (!mmun_cas_full(&watches, &watch->next, watch))
		;
}

static long before_exec(void *arg)
{
	int saved_errno = errno;

	for (struct mmun_exec_watch *watch = mmun_load_acquire(&watches); watch;
	     watch = watch->next)
		watch->before(arg);
	errno = saved_errno;
	return 0;
}

/* Return: not 0 to try again. */
static long failed_exec(void *arg)
{
	int saved_errno = errno;
	long again = 0;

	for (struct mmun_exec_watch *watch = mmun_load_acquire(&watches); watch;
	     watch = watch->next)
		again |= watch->failed(arg);
	errno = saved_errno;
	return again;
}

static long make_exec(const struct mmun_regs *regs, int nr, const struct mmun_exec *exec)
{
	if (nr == SYS_execveat)
		return mmun_syscall6(nr, regs->args[0], regs->args[1], regs->args[2],
				     (long)exec->envp, regs->args[4], 0);
	return mmun_syscall3(nr, regs->args[0], regs->args[1], (long)exec->envp);
}

/* In a vfork child, too: only there nothing is released. */
int mmun_self_exec(struct mmun_regs *regs, int nr)
{
	bool at = nr == SYS_execveat, watched = mmun_load_acquire(&watches);
	struct mmun_exec exec = {
		.dir = at ? (int)regs->args[0] : AT_FDCWD,
		.flags = at ? (int)regs->args[4] : 0,
		.path = (const char *)regs->args[at ? 1 : 0],
		.envp = (char *const *)regs->args[at ? 3 : 2],
	};

	if (nr != SYS_execve && !at)
		return MMUN_UNNOTICED;
	if ((!watched && !may_release()) || !will_exec(&exec))
		return MMUN_UNNOTICED;
	if (watched)
		with_vectors_saved(before_exec, &exec);
	if (may_release()) {
		with_vectors_saved(release_mm, mmun_self_mm());
		mmun_self_renew();
	}
	if (!watched)
		return MMUN_UNNOTICED;
	/* Here, because who has lent an environment wants it back. */
	do {
		regs->nr = make_exec(regs, nr, &exec);
		exec.error = (int)-(long)regs->nr;
	} while (with_vectors_saved(failed_exec, &exec));
	return MMUN_REFUSED;
}
