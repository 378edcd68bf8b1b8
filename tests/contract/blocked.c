/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: a call that does not come back soon, or never.
 *
 * One that blocks for long and is then cancelled or jumped out of, threads that are
 * cancelled anywhere, a call that waits while the first notifier registers, a
 * collector that stops threads by signals.  Each scene plays in a child under an
 * alarm: to hang is to fail.  Compiled with -fexceptions, so that the clean-ups of a
 * cancelled C thread are found by unwinding.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <mmunotify/self.h>

#include "sanitizer.h"
#include "watching.h"

#define ROUNDS 2000

/*
 * Asynchronous cancellation: it may come anywhere in a section.  Whatever it finds there,
 * a registration afterwards must not wait for a thread that is gone.
 */

static volatile int hurried;
static bool in_forks;

static void *change_for_ever(void *at)
{
	/* NOLINTNEXTLINE(concurrency-thread-canceltype-asynchronous): what is tested */
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	hurried = 1;
	for (;;) {
		if (in_forks) {
			if (!_Fork())
				_exit(0);
		} else {
			((volatile char *)at)[0] = 1;
			madvise(at, PAGE_BYTES, MADV_DONTNEED);
		}
	}
	return NULL;
}

static int cancel_many(int count)
{
	char *at = map_pages(1);
	int joined = 0;

	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < count; i++) {
		pthread_t thread;

		hurried = 0;
		pthread_create(&thread, NULL, change_for_ever, at);
		while (!hurried)
			;
		usleep((useconds_t)(500 + i * 37));
		pthread_cancel(thread);
		/* What it returns is NULL in some versions of glibc. */
		joined += !pthread_join(thread, NULL);
	}
	return joined;
}

static void registers_after_cancellations(int count)
{
	check(cancel_many(count) == count, "%d threads are cancelled", count);
	alarm(60);
	check(watch_register(&second) == 0 && watch_sees_unmap(&second),
	      "a registration does not wait for them");
}

static void async_cancel_unheard(void)
{
	check(mmun_self_start() == 0, "starts");
	registers_after_cancellations(100);
}

static void async_cancel_heard(void)
{
	start_watching();
	registers_after_cancellations(100);
}

static void async_cancel_in_fork(void)
{
	start_watching();
	in_forks = true;
	registers_after_cancellations(60);
}

/* Threads that block.  What one of them sleeps in, the kernel says. */

static bool sleeps_in(pid_t tid, long nr)
{
	char path[64], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)tid);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	/* "running" and "-1" are no number of ours. */
	return text[0] && strtol(text, NULL, 10) == nr;
}

static void wait_asleep(const pid_t *tid, long nr)
{
	pid_t id;

	while (!(id = __atomic_load_n(tid, __ATOMIC_SEQ_CST)) || !sleeps_in(id, nr))
		usleep(200);
}

struct opener {
	pthread_t thread;
	pid_t tid;
	int flags;
	char path[64];
	/* The clean-up of the cancelled thread. */
	int cleaned, unwound;
};

static void say_tid(pid_t *tid)
{
	__atomic_store_n(tid, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
}

static void set_cleaned(void *opener)
{
	((struct opener *)opener)->cleaned = 1;
}

static void set_unwound(struct opener **opener)
{
	(*opener)->unwound = 1;
}

static void *open_for_long(void *arg)
{
	__attribute__((cleanup(set_unwound))) struct opener *opener = arg;
	int fd;

	pthread_cleanup_push(set_cleaned, opener);
	say_tid(&opener->tid);
	fd = open(opener->path, opener->flags, 0600);
	close(fd);
	pthread_cleanup_pop(0);
	return NULL;
}

static void make_fifo(struct opener *opener, int flags)
{
	opener->flags = flags;
	snprintf(opener->path, sizeof(opener->path), REGION_FILE "fifo-%d", (int)getpid());
	mkfifo(opener->path, 0600);
}

/* Returns with a thread asleep in the open of a FIFO that nobody else opens. */
static void block_in_fifo(struct opener *opener, int flags)
{
	make_fifo(opener, flags);
	pthread_create(&opener->thread, NULL, open_for_long, opener);
	wait_asleep(&opener->tid, SYS_openat);
	unlink(opener->path);
}

/* Did the thread end by that? */
static bool cancel_opener(struct opener *opener)
{
	void *end = NULL;

	pthread_cancel(opener->thread);
	pthread_join(opener->thread, &end);
	return end == PTHREAD_CANCELED;
}

/* A FIFO has no pages: O_TRUNC must not make its opener count as inside. */
static void register_beside_blocked(void)
{
	struct opener opener = { 0 };

	start_watching();
	block_in_fifo(&opener, O_WRONLY | O_TRUNC | O_CREAT);
	check(watch_register(&second) == 0, "a second registration returns");
	check(watch_sees_unmap(&second), "and sees");
	check(sleeps_in(opener.tid, SYS_openat), "while the opener still waits");
}

static void cancel_blocked(void)
{
	struct opener opener = { 0 };

	start_watching();
	block_in_fifo(&opener, O_WRONLY | O_TRUNC | O_CREAT);
	check(cancel_opener(&opener), "the opener is cancelled");
	check(watch_register(&second) == 0 && watch_sees_unmap(&second),
	      "registration works afterwards");
}

/* Redirected, but the plain way: unwinding has to pass the stub. */
static void unwind_blocked(void)
{
	struct opener opener = { 0 };

	check(mmun_self_start() == 0, "starts");
	block_in_fifo(&opener, O_RDONLY);
	check(cancel_opener(&opener), "the opener is cancelled");
	check(opener.cleaned, "its clean-up handler ran");
	check(opener.unwound, "its variables were cleaned up");
}

/* A handler that leaves the blocking open by a jump. */

static sigjmp_buf out_of_open;
static pid_t jumper;

static void jump(int sig)
{
	siglongjmp(out_of_open, 1);
}

static void *wake_jumper(void *path)
{
	wait_asleep(&jumper, SYS_openat);
	unlink(path);
	syscall(SYS_tgkill, getpid(), jumper, SIGUSR1);
	return NULL;
}

static void *register_second(void *arg)
{
	return watch_register(&second) ? NULL : arg;
}

static void open_and_jump(void)
{
	static struct opener opener;
	pthread_t waker;

	signal(SIGUSR1, jump);
	make_fifo(&opener, O_WRONLY | O_TRUNC);
	pthread_create(&waker, NULL, wake_jumper, opener.path);
	if (!sigsetjmp(out_of_open, 1)) {
		say_tid(&jumper);
		open(opener.path, opener.flags);
	}
}

static void jump_out(void)
{
	pthread_t registrar;
	void *registered = NULL;

	start_watching();
	open_and_jump();
	pthread_create(&registrar, NULL, register_second, &second);
	pthread_join(registrar, &registered);
	check(registered != NULL, "another thread registers afterwards");
	watch_unregister(&watch);
	check(watch_register(&watch) == 0, "so does the thread that jumped");
	check(watch_sees_unmap(&watch) && watch_sees_unmap(&second), "and both see");
}

/*
 * Calls while the first notifier registers.  The registration is held up by an open that
 * shortens a leased file: the kernel lets it wait until the lease is given up.
 */

static struct {
	struct opener opener;
	int lease;
	pid_t registrar;
	char *page;
	int done;
	unsigned long calls;
} held_up;

static const char *take_lease(void)
{
	char path[] = REGION_FILE "XXXXXX";
	int made = mkstemp(path);

	/* The kernel would send it when the lease is to be given up. */
	signal(SIGIO, SIG_IGN);
	held_up.lease = open(path, O_RDONLY);
	unlink(path);
	close(made);
	if (fcntl(held_up.lease, F_SETLEASE, F_RDLCK))
		return "this file system gives no leases";
	held_up.opener.flags = O_WRONLY | O_TRUNC;
	snprintf(held_up.opener.path, sizeof(held_up.opener.path), "/proc/self/fd/%d",
		 held_up.lease);
	return NULL;
}

static void *register_first(void *arg)
{
	say_tid(&held_up.registrar);
	return watch_register(&watch) ? NULL : arg;
}

static void *drop_page(void *arg)
{
	while (!__atomic_load_n(&held_up.done, __ATOMIC_SEQ_CST)) {
		*(volatile char *)held_up.page = 7;
		madvise(held_up.page, PAGE_BYTES, MADV_DONTNEED);
		__atomic_add_fetch(&held_up.calls, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void wait_for_calls(unsigned long more)
{
	unsigned long from = __atomic_load_n(&held_up.calls, __ATOMIC_SEQ_CST);

	while (__atomic_load_n(&held_up.calls, __ATOMIC_SEQ_CST) < from + more)
		usleep(200);
}

static void call_during_registration(void)
{
	pthread_t registrar, caller;
	void *registered = NULL;

	pagemap_open();
	held_up.page = map_pages(1);
	arm(&watch, held_up.page, 1);
	check(mmun_self_start() == 0 && !take_lease(), "starts");
	pthread_create(&held_up.opener.thread, NULL, open_for_long, &held_up.opener);
	wait_asleep(&held_up.opener.tid, SYS_openat);
	pthread_create(&caller, NULL, drop_page, NULL);
	pthread_create(&registrar, NULL, register_first, &watch);
	wait_asleep(&held_up.registrar, SYS_futex);
	wait_for_calls(100);
	check(true, "nobody else waits for what the registration waits for");
	fcntl(held_up.lease, F_SETLEASE, F_UNLCK);
	pthread_join(registrar, &registered);
	check(registered != NULL, "the first registration succeeds");
	wait_for_calls(2);
	__atomic_store_n(&held_up.done, 1, __ATOMIC_SEQ_CST);
	pthread_join(caller, NULL);
	watch_disarm(&watch);
	check(notified(&watch, held_up.page, 1), "from then on the calls are notified");
}

/* A collector that stops the world by signals, as garbage collectors do. */

static struct {
	sem_t stopped;
	volatile unsigned int round;
	int done;
	unsigned long registered, failed;
} world;

static void stop_here(int sig)
{
	unsigned int round = world.round;
	int saved_errno = errno;

	sem_post(&world.stopped);
	while (world.round == round)
		usleep(50);
	errno = saved_errno;
}

static bool world_goes_on(void)
{
	return !__atomic_load_n(&world.done, __ATOMIC_SEQ_CST);
}

static void *unmap_on_and_on(void *arg)
{
	while (world_goes_on())
		munmap(map_pages(16), 16 * PAGE_BYTES);
	return NULL;
}

static void *register_on_and_on(void *arg)
{
	while (world_goes_on()) {
		if (watch_register(&second))
			world.failed++;
		else
			watch_unregister(&second);
		world.registered++;
	}
	return NULL;
}

static void stop_world(const pthread_t *threads, int count)
{
	for (int i = 0; i < count; i++)
		pthread_kill(threads[i], SIGUSR1);
	for (int i = 0; i < count; i++)
		while (sem_wait(&world.stopped))
			;
	world.round++;
	usleep(200);
}

static void collector(void)
{
	pthread_t threads[2];

	sem_init(&world.stopped, 0, 0);
	signal(SIGUSR1, stop_here);
	start_watching();
	pthread_create(&threads[0], NULL, unmap_on_and_on, NULL);
	pthread_create(&threads[1], NULL, register_on_and_on, NULL);
	for (int i = 0; i < ROUNDS; i++)
		stop_world(threads, 2);
	__atomic_store_n(&world.done, 1, __ATOMIC_SEQ_CST);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	check(world.registered > 0 && !world.failed, "%lu registrations between stops, %lu failed",
	      world.registered, world.failed);
}

static void try_blocking(void)
{
	scene("registration beside a blocked open", register_beside_blocked);
	scene("cancelled in a blocked open", cancel_blocked);
	scene("unwound out of a blocked open", unwind_blocked);
	scene("jump out of a blocked open", jump_out);
}

int main(void)
{
	const char *no_lease = take_lease();

	if (THREAD_SANITIZED)
		skip_all(THREAD_END_REASON);
	close(held_up.lease);
	scene("cancelled anywhere, nobody listening", async_cancel_unheard);
	scene("cancelled anywhere", async_cancel_heard);
	scene("cancelled anywhere in fork", async_cancel_in_fork);
	try_blocking();
	if (no_lease)
		skip("calls while the first notifier registers", no_lease);
	else
		scene("calls while the first notifier registers", call_during_registration);
	scene("stop-the-world collector", collector);
	return tap_done();
}
