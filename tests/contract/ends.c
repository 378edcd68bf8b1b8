/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: exec and exit.
 *
 * Exec and every way to end the process run each ->release exactly once while
 * the memory is still there.  Death by a signal notifies nobody, an exec that
 * fails nobody either where the kernel can be asked beforehand.  The scenes
 * play in children; what they say lies in a pipe that outlives them.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "operations.h"
#include "sanitizer.h"
#include "scene.h"

extern char **environ;

static struct watch watch, second;

static void *map_page(void)
{
	char *at =
		mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	at[0] = 1;
	return at;
}

static void *unmap_for_ever(void *arg)
{
	for (;;)
		munmap(map_page(), PAGE_BYTES);
	return NULL;
}

struct mourner {
	struct mmu_notifier mn;
	int fd;
	void *page;
	int released;
};

static void mourn(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct mourner *m = (struct mourner *)mn;
	bool there = page_state((unsigned long)m->page, 0) >> 63;

	__atomic_add_fetch(&m->released, 1, __ATOMIC_SEQ_CST);
	while (write(m->fd, there ? "R" : "X", 1) < 0 && errno == EINTR)
		;
}

static const struct mmu_notifier_ops mourning = { .release = mourn };
static struct mourner mourners[2];
static int mourning_pipe[2];

static void register_mourners(void)
{
	pagemap_open();
	for (int i = 0; i < 2; i++) {
		mourners[i] = (struct mourner){ .mn.ops = &mourning,
						.fd = mourning_pipe[1],
						.page = map_page() };
		check(mmu_notifier_register(&mourners[i].mn, mmun_self()) == 0, "registers");
	}
}

static void execs(void)
{
	char *argv[] = { "true", NULL };

	register_mourners();
	execve("/bin/true", argv, environ);
	_exit(9);
}

static void execs_by_path(void)
{
	register_mourners();
	execlp("true", "true", NULL);
	_exit(9);
}

static void execs_by_descriptor(void)
{
	char *argv[] = { "true", NULL };

	register_mourners();
	fexecve(open("/bin/true", O_RDONLY), argv, environ);
	_exit(9);
}

static void execs_by_syscall(void)
{
	char *argv[] = { "true", NULL };

	register_mourners();
	syscall(SYS_execve, "/bin/true", argv, environ);
	_exit(9);
}

static void exits(void)
{
	register_mourners();
	exit(0);
}

static void exits_quickly(void)
{
	register_mourners();
	quick_exit(0);
}

static void exits_at_once(void)
{
	register_mourners();
	_exit(0);
}

static void exits_by_syscall(void)
{
	register_mourners();
	syscall(SYS_exit_group, 0);
}

static void *last_thread(void *arg)
{
	usleep(20000);
	return NULL;
}

static void exits_with_last_thread(void)
{
	pthread_t thread;

	register_mourners();
	pthread_create(&thread, NULL, last_thread, NULL);
	pthread_detach(thread);
	pthread_exit(NULL);
}

static void *exit_from_thread(void *arg)
{
	exit(0);
	return NULL;
}

static void exits_amid_sections(void)
{
	pthread_t threads[3];

	register_mourners();
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, unmap_for_ever, NULL);
	usleep(10000);
	pthread_create(&threads[0], NULL, exit_from_thread, NULL);
	for (;;)
		pause();
}

static void *exit_group_from_thread(void *arg)
{
	syscall(SYS_exit_group, 0);
	return NULL;
}

static void exits_twice_at_once(void)
{
	pthread_t threads[2];

	register_mourners();
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, exit_group_from_thread, NULL);
	for (;;)
		pause();
}

static void unregisters_then_exits(void)
{
	register_mourners();
	for (int i = 0; i < 2; i++)
		mmu_notifier_unregister(&mourners[i].mn, mmun_self());
	exit(0);
}

static void dies_by_signal(void)
{
	register_mourners();
	raise(SIGKILL);
}

static void aborts(void)
{
	register_mourners();
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void exec_fails(void)
{
	char *argv[] = { "true", NULL };

	register_mourners();
	check(execve("/no/such/program", argv, environ) == -1 && errno == ENOENT,
	      "exec of nothing says ENOENT");
	check(execve("/etc/passwd", argv, environ) == -1 && errno == EACCES,
	      "exec of what is not executable says EACCES");
	check(execve("/", argv, environ) == -1 && errno == EACCES,
	      "exec of a directory says EACCES");
	check(mourners[0].released == 0, "exec that fails so releases nothing");
	check(watch_register(&watch) == 0 && watch_sees_unmap(&watch),
	      "and the notifiers see as before");
	mmu_notifier_unregister(&mourners[0].mn, mmun_self());
	mmu_notifier_unregister(&mourners[1].mn, mmun_self());
	watch_unregister(&watch);
}

/* A file that the kernel opens, reads and only then refuses. */
static void exec_fails_late(void)
{
	char path[] = REGION_FILE "XXXXXX", *argv[] = { path, NULL };
	int fd = mkstemp(path);

	if (fd < 0 || write(fd, "\001\002\003\004 no program", 15) != 15 || fchmod(fd, 0755))
		_exit(1);
	close(fd);
	pagemap_open();
	check(watch_register(&watch) == 0, "registers");
	check(execve(path, argv, environ) == -1 && errno == ENOEXEC,
	      "exec of what is no program says ENOEXEC");
	unlink(path);
	check(watch.released <= 1, "it releases at most once");
	if (watch.released) {
		check(watch_register(&second) == 0, "a new registration works after the release");
		check(watch_sees_unmap(&second), "and sees");
	} else {
		check(watch_sees_unmap(&watch), "the notifier that was not released still sees");
	}
}

/* Plays @fn and counts the releases that it wrote. */
static void end_scene(const char *name, void (*fn)(void), int releases)
{
	char said[16] = "";
	ssize_t got;
	int status, present = 0;

	if (pipe2(mourning_pipe, O_NONBLOCK))
		bail_out("no pipe");
	status = scene_play(name, fn, 30);
	got = read(mourning_pipe[0], said, sizeof(said) - 1);
	if (got < 0)
		got = 0;
	for (ssize_t i = 0; i < got; i++)
		present += said[i] == 'R';
	is(got, releases, "%s: releases", name);
	is(present, releases, "%s: the memory is still there then", name);
	if (releases && !ok(status == 0, "%s: status", name))
		diag("wait status %x", status);
	close(mourning_pipe[0]);
	close(mourning_pipe[1]);
}

static const struct {
	const char *name;
	void (*fn)(void);
	int releases;
} ends[] = {
	{ "execve", execs, 2 },
	{ "execlp", execs_by_path, 2 },
	{ "fexecve", execs_by_descriptor, 2 },
	{ "syscall(SYS_execve)", execs_by_syscall, 2 },
	{ "exit", exits, 2 },
	{ "quick_exit", exits_quickly, 2 },
	{ "_exit", exits_at_once, 2 },
	{ "syscall(SYS_exit_group)", exits_by_syscall, 2 },
	{ "pthread_exit of the last thread", exits_with_last_thread, 2 },
	{ "exit amid sections of other threads", exits_amid_sections, 2 },
	{ "exit of two threads at once", exits_twice_at_once, 2 },
	{ "unregister, then exit", unregisters_then_exits, 2 },
	{ "SIGKILL", dies_by_signal, 0 },
	{ "abort", aborts, 0 },
};

/* Returns from main in a child: the one end that needs main() itself. */
static int return_from_main(void)
{
	register_mourners();
	return 0;
}

static bool main_returns(int *status)
{
	pid_t child;

	if (pipe2(mourning_pipe, O_NONBLOCK))
		bail_out("no pipe");
	scene_reset();
	fflush(stdout);
	child = fork();
	if (!child)
		return true;
	waitpid(child, status, 0);
	return false;
}

static void check_main_returned(int status)
{
	char said[16];

	is(read(mourning_pipe[0], said, sizeof(said)), 2, "return from main: releases");
	is(status, 0, "return from main: status");
}

int main(void)
{
	const struct mmun_primary_ops *source = mmun_source_at(0);
	int status = 0;

	if (THREAD_SANITIZED)
		skip_all(THREAD_END_REASON);
	if (pagemap_open() || !pagemap_shows_frames())
		skip_all("frame numbers need CAP_SYS_ADMIN (run as root)");
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		end_scene(ends[i].name, ends[i].fn, ends[i].releases);
	if (pipe2(mourning_pipe, O_NONBLOCK))
		bail_out("no pipe");
	scene("exec that fails", exec_fails);
	scene("exec that fails late", exec_fails_late);
	is(source->coverage[MMUN_OP_EXEC], MMUN_COVERS_BEFORE, "exec is declared");
	is(source->coverage[MMUN_OP_EXIT], MMUN_COVERS_BEFORE, "exit is declared");
	if (main_returns(&status))
		return return_from_main();
	check_main_returned(status);
	return tap_done();
}
