/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: the edges of a redirected call.
 *
 * Calls that fail after they changed something, ranges that are larger than
 * asked for or make no sense, a call that blocks for long and is then cancelled
 * or jumped out of, a call that waits while the first notifier registers, a
 * collector that stops threads by signals, a C library that is unloaded while
 * the source is stopped.  Each scene plays in a child under an alarm: to hang
 * is to fail.  Compiled with -fexceptions, so that the clean-ups of a cancelled
 * C thread are found by unwinding.
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

#include "operations.h"
#include "sanitizer.h"
#include "scene.h"

/* Younger than the headers of some systems this builds on. */
#define NR_MSEAL 462

#define HUGE_BYTES (2UL << 20)
#define ROUNDS     2000

static struct watch watch, second;

static char *map_pages(unsigned int pages, int flags)
{
	char *at = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	memset(at, 7, pages * PAGE_BYTES);
	return at;
}

static void start_watching(void)
{
	pagemap_open();
	check(watch_register(&watch) == 0, "registers");
}

static void arm(void *at)
{
	struct watch_area area = { (unsigned long)at, PAGE_BYTES, 1, 0 };

	watch_arm(&watch, &area);
}

/* Did one section that acts cover these pages? */
static bool notified(const void *at, unsigned int pages)
{
	unsigned long from = (unsigned long)at;

	return watch_find(&watch, from, from + pages * PAGE_BYTES) >= 0;
}

/* Is the page there, with this byte first? */
static bool still_has(const char *at, char value)
{
	char byte;

	return memory_peek((unsigned long)at, &byte, 1) && byte == value;
}

/* Calls that fail in their second mapping, with the first one changed. */

/* A sanitizer makes a function of mlock() that does nothing. */
static char *second_page_locked(void)
{
	char *at = map_pages(2, 0);

	check(syscall(SYS_mlock, at + PAGE_BYTES, PAGE_BYTES) == 0, "the second page is locked");
	return at;
}

static void advice_in_part(void)
{
	char *at = second_page_locked();

	start_watching();
	arm(at);
	check(madvise(at, 2 * PAGE_BYTES, MADV_DONTNEED) == -1, "the advice fails");
	watch_disarm(&watch);
	check(at[0] == 0, "after it dropped the first page");
	check(notified(at, 1), "which is seen as a change");
}

static void process_advice_in_part(void)
{
	char *at = second_page_locked();
	struct iovec piece = { at, 2 * PAGE_BYTES };
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	start_watching();
	arm(at);
	syscall(SYS_process_madvise, fd, &piece, 1, MADV_DONTNEED, 0);
	watch_disarm(&watch);
	/* Older kernels refuse this advice as a whole. */
	check(at[0] == 7 || notified(at, 1), "a page that was dropped is notified");
}

static void rights_in_part(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	char *at = map_pages(2, 0);

	mprotect(at, PAGE_BYTES, PROT_READ);
	check(mmap(at + PAGE_BYTES, PAGE_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) !=
		      MAP_FAILED,
	      "a file that cannot be written follows");
	start_watching();
	arm(at);
	check(mprotect(at, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE) == -1 && errno == EACCES,
	      "the new rights are refused");
	watch_disarm(&watch);
	/* Dies here if the kernel had not done it. */
	*(volatile char *)at = 1;
	check(notified(at, 1), "the page that got them is notified as a change");
}

/* The second of two source mappings is sealed; only some kernels move two at once. */
static void move_in_part(void)
{
	char *from = map_pages(2, 0), *to = map_pages(2, 0);

	to[0] = 4;
	mprotect(from + PAGE_BYTES, PAGE_BYTES, PROT_READ);
	syscall(NR_MSEAL, from + PAGE_BYTES, PAGE_BYTES, 0);
	start_watching();
	arm(from);
	mremap(from, 2 * PAGE_BYTES, 2 * PAGE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	watch_disarm(&watch);
	check(still_has(from, 7) || notified(from, 1), "a page that moved away is notified");
	check(still_has(to, 4) || notified(to, 1), "a page that was replaced is notified");
}

/* Ranges that are larger than what was asked for. */

static void removal_behind_alias(void)
{
	int fd = memfd_create("edges", 0);
	char *at, *alias;

	if (ftruncate(fd, 2 * PAGE_BYTES))
		abort();
	at = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	alias = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memset(at, 9, 2 * PAGE_BYTES);
	start_watching();
	arm(alias);
	check(madvise(at, PAGE_BYTES, MADV_REMOVE) == 0 && alias[0] == 0,
	      "the file's page is removed from both mappings");
	watch_disarm(&watch);
	check(notified(at, 1), "the mapping that was named is notified");
	check(notified(alias, 1), "the other one is notified too");
}

static void rights_that_grow_down(void)
{
	char *at = map_pages(8, MAP_GROWSDOWN);

	start_watching();
	arm(at);
	check(mprotect(at + 7 * PAGE_BYTES, PAGE_BYTES, PROT_NONE | PROT_GROWSDOWN) == 0,
	      "takes the rights of all from the last page down");
	watch_disarm(&watch);
	check(notified(at, 8), "all of it is notified");
}

static char *map_huge_over(char *at)
{
	return mmap(at, PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB | MAP_NORESERVE, -1, 0);
}

/* One small page is asked for, a whole huge one is replaced. */
static void huge_mapping(void)
{
	char *at = region_room(HUGE_BYTES, HUGE_BYTES);

	mmap(at, HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
	     0);
	memset(at, 5, HUGE_BYTES);
	start_watching();
	arm(at);
	map_huge_over(at);
	watch_disarm(&watch);
	check(still_has(at + HUGE_BYTES - PAGE_BYTES, 5) || notified(at, HUGE_BYTES / PAGE_BYTES),
	      "all small pages that a huge one replaced are notified");
}

/* Ranges that make no sense. */

static bool ranges_make_sense(void)
{
	for (unsigned int i = 0; i < watch.nr_records; i++)
		if (watch.records[i].from >= watch.records[i].to)
			return false;
	return true;
}

static void bad_ranges(void)
{
	int id = shmget(IPC_PRIVATE, 2 * PAGE_BYTES, IPC_CREAT | 0600);
	char *at = map_pages(2, 0), *last_page = (char *)-PAGE_BYTES;

	start_watching();
	arm(at);
	check(mremap(at, 2 * PAGE_BYTES, 2 * PAGE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
		     last_page) == MAP_FAILED,
	      "a move over the end of memory fails");
	check(shmat(id, at + 1, SHM_REMAP) == (void *)-1, "so does a segment at an odd address");
	watch_disarm(&watch);
	shmctl(id, IPC_RMID, NULL);
	check(ranges_make_sense(), "no range that is reported ends before it starts");
	check(at[0] == 7 && !notified(at, 1), "and no change is claimed");
}

/* What a fork leaves behind in the child. */
static void cancel_state_of_child(void)
{
	int status = 1;
	pid_t child;

	start_watching();
	child = fork();
	if (!child) {
		int state = -1;

		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
		_exit(state == PTHREAD_CANCEL_ENABLE ? 0 : 2);
	}
	waitpid(child, &status, 0);
	check(status == 0, "a child's thread can be cancelled as its parent's could");
}

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
	char *at = map_pages(1, 0);
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
	alarm(20);
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
	held_up.page = map_pages(1, 0);
	arm(held_up.page);
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
	check(notified(held_up.page, 1), "from then on the calls are notified");
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
		munmap(map_pages(16, 0), 16 * PAGE_BYTES);
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

/* A second C library is unloaded while the source is stopped. */
static void start_after_unload(void)
{
	void *handle;

	check(mmun_self_start() == 0, "starts");
	handle = dlmopen(LM_ID_NEWLM, "libm.so.6", RTLD_NOW);
	check(handle != NULL, "a second C library is loaded");
	check(mmun_self_stop() == 0, "stops");
	check(handle && dlclose(handle) == 0, "and is unloaded");
	check(mmun_self_start() == 0, "starts again");
	start_watching();
	check(watch_sees_unmap(&watch), "and sees");
}

static void try_partial(void)
{
	scene("advice that fails in part", advice_in_part);
	scene("process_madvise that fails in part", process_advice_in_part);
	scene("rights that fail in part", rights_in_part);
	scene("move that fails in part", move_in_part);
}

static void try_ranges(void)
{
	scene("MADV_REMOVE behind an alias", removal_behind_alias);
	scene("rights that grow down", rights_that_grow_down);
	scene("huge mapping", huge_mapping);
	scene("ranges without sense", bad_ranges);
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
	try_partial();
	try_ranges();
	scene("cancel state of a child", cancel_state_of_child);
	scene("cancelled anywhere, nobody listening", async_cancel_unheard);
	scene("cancelled anywhere", async_cancel_heard);
	scene("cancelled anywhere in fork", async_cancel_in_fork);
	try_blocking();
	if (no_lease)
		skip("calls while the first notifier registers", no_lease);
	else
		scene("calls while the first notifier registers", call_during_registration);
	scene("stop-the-world collector", collector);
	scene("C library unloaded while stopped", start_after_unload);
	return tap_done();
}
