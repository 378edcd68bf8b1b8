/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: vfork, spawn, clone: children that share the memory are part of this process.
 *
 * Also those that share its thread-local storage, while another thread is inside a section.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <mmunotify/interval.h>
#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "sanitizer.h"
#include "watching.h"

extern char **environ;

__attribute__((noinline)) static int vfork_exec(const char *path)
{
	char *argv[] = { (char *)(unsigned long)path, NULL };
	pid_t child = vfork();
	int status = -1;

	if (!child) {
		execv(path, argv);
		_exit(42);
	}
	waitpid(child, &status, 0);
	return status;
}

/* What an exec watch has heard, in this memory also from vfork children. */
static struct {
	int before, failed, error, again;
	/* Is given to the program; NULL: what it has. */
	char **envp;
	char *const *given;
} heard;

static void hear_exec(struct mmun_exec *exec)
{
	heard.before++;
	heard.given = exec->envp;
	if (heard.envp)
		exec->envp = heard.envp;
}

static bool hear_failure(struct mmun_exec *exec)
{
	heard.failed++;
	heard.error = exec->error;
	return heard.again-- > 0;
}

static struct mmun_exec_watch exec_watch = { .before = hear_exec, .failed = hear_failure };

/* Return: its exit status; 100 and more: the errno of the call. */
static int execute(const char *path, bool by_vfork, bool at)
{
	char *argv[] = { "sh", "-c", "test \"$GIVEN\" = by-watch", NULL }, *none[] = { NULL };
	volatile pid_t child = by_vfork ? vfork() : fork();
	int status = -1;

	if (!child) {
		if (at)
			syscall(SYS_execveat, AT_FDCWD, path, argv, none, 0);
		else
			execve(path, argv, none);
		_exit(100 + errno);
	}
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

static void exec_watched(void)
{
	static char *given[] = { "GIVEN=by-watch", NULL };
	char path[] = "/tmp/mmunotify-XXXXXX";
	int fd = mkstemp(path);

	start_watching();
	check(execute("/bin/sh", true, false) == 1, "without a watch the environment is as given");
	mmun_self_watch_exec(&exec_watch);
	check(execute("/bin/sh", true, false) == 1 && heard.before == 1,
	      "a watch hears of execve() in a vfork child");
	heard.envp = given;
	check(execute("/bin/sh", true, false) == 0, "... and gives another environment");
	check(execute("/bin/sh", true, true) == 0 && heard.before == 3, "... to execveat() too");
	check(heard.failed == 0, "a call that succeeds has not failed");
	check(execute("/no/such/program", true, false) == 100 + ENOENT && heard.before == 3,
	      "a call that finds no file is not heard of");
	check(write(fd, "no program", 10) == 10 && !fchmod(fd, 0755), "a file that is no program");
	close(fd);
	check(execute(path, true, false) == 100 + ENOEXEC && heard.before == 4 &&
		      heard.failed == 1 && heard.error == ENOEXEC,
	      "a call that fails is heard of, and fails with the kernel's error");
	heard.again = 2;
	check(execute(path, true, true) == 100 + ENOEXEC && heard.failed == 4,
	      "... as often as the watch wants it made again");
	/* A forked child has no source that is started: nobody listens there. */
	heard.before = 0;
	check(execute("/bin/sh", false, false) == 1 && !heard.before,
	      "a forked child is not watched until it watches itself");
	check(watch.released == 0, "nothing is released here");
	/* The owner itself, in its own process: released before, renewed after. */
	heard.envp = NULL;
	execve(path, given, given);
	check(errno == ENOEXEC && heard.before == 1 && heard.error == ENOEXEC &&
		      watch.released == 1,
	      "the process itself: heard before the release, and of the failure");
	unlink(path);
}

static void shared_children(void)
{
	char *argv[] = { "true", NULL };
	pid_t child;
	int status;

	start_watching();
	check(vfork_exec("/bin/true") == 0, "vfork and exec");
	check(watch.released == 0, "exec in a vfork child releases nothing here");
	check(WEXITSTATUS(vfork_exec("/no/such/program")) == 42, "vfork, failing exec, _exit");
	check(watch.released == 0, "exit of a vfork child releases nothing here");
	check(posix_spawn(&child, "/bin/true", NULL, NULL, argv, environ) == 0, "posix_spawn");
	waitpid(child, &status, 0);
	check(status == 0, "the spawned program runs");
	check(posix_spawn(&child, "/no/such/program", NULL, NULL, argv, environ) == ENOENT,
	      "posix_spawn of nothing says ENOENT");
	check(system("exit 3") == 3 << 8, "system()");
	check(watch.released == 0, "spawning releases nothing here");
	check(watch_sees_unmap(&watch), "the notifier still sees");
}

static char clone_stack[256 << 10] __attribute__((aligned(64)));

static int unmap_it(void *at)
{
	return munmap(at, 4 * PAGE_BYTES);
}

static void clone_vm(void)
{
	void *at = map_pages(4);
	struct watch_area area = area_of(at, 4, 0);
	unsigned long from = (unsigned long)at;
	pid_t child;

	start_watching();
	watch_arm(&watch, &area);
	child = clone(unmap_it, clone_stack + sizeof(clone_stack), CLONE_VM | SIGCHLD, at);
	waitpid(child, NULL, 0);
	watch_disarm(&watch);
	check(watch_find(&watch, from, from + 4 * PAGE_BYTES) >= 0,
	      "an unmap by a process that shares the memory is seen");
	check(watch.released == 0, "the end of that process releases nothing");
}

/*
 * Two threads that run at once with one thread-local storage: the section of one is not to
 * be taken for the other's own.
 */

#define TWIN_FLAGS \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

static struct {
	char *page;
	int inside, may_end, ended;
} twins;

static bool hold_twin(struct mmu_interval_notifier *ni, const struct mmu_notifier_range *range,
		      unsigned long seq)
{
	mmu_interval_set_seq(ni, seq);
	if (range->start != (unsigned long)twins.page)
		return true;
	__atomic_store_n(&twins.inside, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&twins.may_end, __ATOMIC_SEQ_CST))
		sched_yield();
	return true;
}

static const struct mmu_interval_notifier_ops twin_ops = { .invalidate = hold_twin };

__attribute__((noreturn)) static void twin(void)
{
	madvise(twins.page, PAGE_BYTES, MADV_DONTNEED);
	__atomic_store_n(&twins.ended, 1, __ATOMIC_SEQ_CST);
	for (;;)
		syscall(SYS_exit, 0);
}

static int twin_by_clone(void *arg)
{
	twin();
}

static void *let_twin_end(void *arg)
{
	usleep(50000);
	__atomic_store_n(&twins.may_end, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static struct mmu_interval_notifier twin_interval;

static void begin_twin(void)
{
	twins.page = map_pages(2);
	check(mmu_interval_notifier_insert(&twin_interval, mmun_self(), (unsigned long)twins.page,
					   2 * PAGE_BYTES, &twin_ops) == 0,
	      "an interval");
	/* This thread is known by what lies in the storage. */
	madvise(twins.page + PAGE_BYTES, PAGE_BYTES, MADV_DONTNEED);
}

static void remove_beside_twin(bool made)
{
	pthread_t thread;

	if (!check(made, "a thread with the storage of another"))
		return;
	while (!__atomic_load_n(&twins.inside, __ATOMIC_SEQ_CST))
		sched_yield();
	pthread_create(&thread, NULL, let_twin_end, NULL);
	mmu_interval_notifier_remove(&twin_interval);
	check(__atomic_load_n(&twins.may_end, __ATOMIC_SEQ_CST),
	      "a removal waits for that one's section");
	while (!__atomic_load_n(&twins.ended, __ATOMIC_SEQ_CST))
		sched_yield();
	pthread_join(thread, NULL);
}

static void shared_storage(void)
{
	begin_twin();
	remove_beside_twin(
		clone(twin_by_clone, clone_stack + sizeof(clone_stack), TWIN_FLAGS, NULL) > 0);
}

/* The new thread returns from syscall() to what lies on its stack. */
static void shared_storage_by_clone3(void)
{
	struct clone3_arguments arguments = { .flags = TWIN_FLAGS };
	void **top = (void **)(clone_stack + sizeof(clone_stack) - 64);

	begin_twin();
	*top = (void *)twin;
	arguments.stack = (uint64_t)clone_stack;
	arguments.stack_size = (uint64_t)((char *)top - clone_stack);
	remove_beside_twin(syscall(SYS_clone3, &arguments, sizeof(arguments)) > 0);
}

int main(void)
{
	if (THREAD_SANITIZED)
		skip_all(THREAD_END_REASON);
	if (pagemap_open() || !pagemap_shows_frames())
		skip_all("frame numbers need CAP_SYS_ADMIN (run as root)");
	scene("a watch of exec", exec_watched);
	scene("children that share the memory", shared_children);
	scene("CLONE_VM process", clone_vm);
	scene("shared storage", shared_storage);
	scene("shared storage by clone3", shared_storage_by_clone3);
	return tap_done();
}
