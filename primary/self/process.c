/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fork, exec and exit of this process.
 *
 * fork write-protects the parent's private memory: one section over the whole
 * address space around the call.  Its state is kept in thread-local storage,
 * not on the stack, because the child may run on another stack and C runs only
 * before and after the call (entry.S).  The child needs nothing from us: the
 * word that arms the hooks lives in memory that the kernel wipes on fork, so it
 * starts unarmed, without an mm and without notifiers.
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
#include <sys/uio.h>
#include <unistd.h>

#include "atomic.h"
#include "state.h"

#define WHOLE_END (-MMUN_PAGE_SIZE)

static __thread struct {
	unsigned int epoch;
	bool open;
	struct mmun_reader reader;
	unsigned long args[6];
	struct mmun_origin origin;
	struct mmu_notifier_range range;
} forking __attribute__((tls_model("initial-exec")));

/* Does clone3() with these arguments copy the memory? */
static bool clone3_copies(const unsigned long *args)
{
	unsigned long flags;
	struct iovec local = { &flags, sizeof(flags) }, remote = { (void *)args[0], sizeof(flags) };
	long pid = mmun_syscall6(SYS_getpid, 0, 0, 0, 0, 0, 0);

	long n = mmun_syscall6(SYS_process_vm_readv, pid, (long)&local, 1, (long)&remote, 1, 0);

	/* Forbidden here: a section too many does no harm. */
	if (n == -EPERM || n == -ENOSYS)
		return true;
	return n == sizeof(flags) && !(flags & CLONE_VM);
}

static long open_fork_section(void *arg)
{
	struct mmun_regs *regs = arg;
	struct mm_struct *mm = mmun_self_mm();
	int ret, cancel, saved_errno = errno;

	for (int i = 0; i < 6; i++)
		forking.args[i] = regs->args[i];
	forking.origin = (struct mmun_origin){
		.op = MMUN_OP_FORK,
		.nr = regs->site->nr >= 0 ? regs->site->nr : (int)regs->nr,
		.args = forking.args, .pc = regs->resume, .sp = (unsigned long)regs->stack,
	};
	forking.range = (struct mmu_notifier_range){
		.mm = mm, .start = 0, .end = WHOLE_END,
		.event = MMU_NOTIFY_PROTECTION_PAGE,
		.flags = MMUN_RANGE_READ_LOCKED | MMUN_RANGE_PINNED_SAFE, .origin = &forking.origin,
	};
	/* Only for the callbacks: the child inherits what is set at the fork. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	ret = mmu_notifier_invalidate_range_start_nonblock(&forking.range);
	pthread_setcancelstate(cancel, NULL);
	errno = saved_errno;
	return ret;
}

static void close_reader(struct mm_struct *mm)
{
	mmun_mm_read_unlock(mm, &forking.reader);
	forking.open = false;
}

/*
 * Return 0: perform the call, mmun_self_fork_after() follows in the parent;
 * above 0: perform it unnoticed; -errno: refused.
 */
long mmun_self_fork_before(struct mmun_regs *regs)
{
	struct mm_struct *mm = mmun_self_mm();
	unsigned int epoch = mmun_self_epoch();
	int nr = regs->site->nr >= 0 ? regs->site->nr : (int)regs->nr;

	if (!mm || (nr == SYS_clone3 && !clone3_copies(regs->args)))
		return 1;
	/* A signal handler forks during a fork: the open section covers it. */
	if (forking.epoch == epoch && forking.open)
		return 1;
	forking.epoch = epoch;
	forking.open = true;
	mmun_mm_read_lock(mm, &forking.reader);
	if (mmun_self_vectors_saved(open_fork_section, regs)) {
		close_reader(mm);
		return -EAGAIN;
	}
	return 0;
}

static long close_fork_section(void *arg)
{
	int cancel, saved_errno = errno;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	mmu_notifier_invalidate_range_end(&forking.range);
	pthread_setcancelstate(cancel, NULL);
	errno = saved_errno;
	return 0;
}

void mmun_self_fork_after(struct mmun_regs *regs)
{
	long result = regs->nr;

	forking.origin.result = result;
	if (result < 0)
		forking.range.flags |= MMUN_RANGE_UNCHANGED;
	mmun_self_vectors_saved(close_fork_section, NULL);
	close_reader(forking.range.mm);
}

static long release(void *mm)
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

void mmun_self_exit(struct mmun_regs *regs)
{
	if (may_release())
		mmun_self_vectors_saved(release, mmun_self_mm());
}

/* Would the kernel find an executable file?  execvp() tries many names. */
static bool will_exec(const struct mmun_regs *regs, int nr)
{
	bool at = nr == SYS_execveat;
	long dir = at ? (long)regs->args[0] : AT_FDCWD;
	unsigned long path = regs->args[at ? 1 : 0];
	long flags = at ? regs->args[4] & (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) : 0;
	struct stat file;
	long ret;

	if (mmun_syscall6(SYS_newfstatat, dir, path, (long)&file, flags, 0, 0) < 0 ||
	    !S_ISREG(file.st_mode))
		return false;
	if (flags & AT_EMPTY_PATH)
		return file.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH);
	ret = mmun_syscall4(SYS_faccessat2, dir, path, X_OK, AT_EACCESS);
	if (ret == -ENOSYS)
		ret = mmun_syscall3(SYS_faccessat, dir, path, X_OK);
	return ret == 0;
}

void mmun_self_exec(struct mmun_regs *regs, int nr)
{
	if (!may_release() || !will_exec(regs, nr))
		return;
	mmun_self_vectors_saved(release, mmun_self_mm());
	mmun_self_renew();
}
