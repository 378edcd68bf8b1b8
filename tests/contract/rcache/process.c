/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fork, vfork, signal handlers, and the order in which a process ends. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "device.h"

static unsigned long at;
static char *program;

/* What a child finds wrong, in order; 0: nothing. */
#define expect(condition) \
	do { \
		if (!(condition)) \
			_exit(1 + __COUNTER__); \
	} while (0)

static int child_status(pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* A child that does nothing else. */
static pid_t fork_child(void (*fn)(struct region *held), struct region *inherited)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(60);
		fn(inherited);
		_exit(0);
	}
	return pid;
}

static void child_begins_anew(struct region *inherited)
{
	struct region *region;

	expect(!is_cached(at, PAGE, RW));
	expect(stats().regions == 0);
	/* A put of the parent's does nothing, whenever. */
	put(inherited);
	region = get(at, PAGE, RW);
	expect(!mmun_is_err(region));
	expect(region->nr == 3);
	expect(device_load(region, at) == world_load(at));
	put(inherited);
	expect(is_cached(at, PAGE, RW));
	put(region);
	expect(touch(at, PAGE, RW) == 3);
	world_map_at(at, WORLD_PRIVATE, 1);
	expect(touch(at, PAGE, RW) == 4);
	expect(mmun_rcache_progress(cache) == 1);
	expect(mmun_rcache_flush(cache) == 0);
	expect(load(&device.deregistered) == 2);
}

static void child_destroys(struct region *inherited)
{
	expect(touch(at, PAGE, RW) == 3);
	expect(mmun_rcache_destroy(cache) == 0);
	expect(load(&device.deregistered) == 1);
}

static void child_destroys_at_once(struct region *inherited)
{
	expect(mmun_rcache_destroy(cache) == 0);
	expect(load(&device.deregistered) == 0);
}

static void child_forks(struct region *inherited)
{
	expect(touch(at, PAGE, RW) == 3);
	expect(child_status(fork_child(child_destroys_at_once, inherited)) == 0);
	expect(touch(at, PAGE, RW) == 3);
}

static void child_makes_another(struct region *inherited)
{
	struct mmun_rcache *other = new_cache((struct mmun_rcache_options){ 0 });

	expect(touch_in(other, at, PAGE, RW) == 3);
	expect(mmun_rcache_destroy(other) == 0);
	expect(touch(at, PAGE, RW) == 4);
}

static void test_fork(unsigned int flags, const char *name)
{
	static const struct {
		const char *what;
		void (*fn)(struct region *inherited);
	} children[] = {
		{ "begins with an empty cache, and works", child_begins_anew },
		{ "destroys it after use", child_destroys },
		{ "destroys it at once", child_destroys_at_once },
		{ "has a child itself", child_forks },
		{ "makes another cache", child_makes_another },
	};
	struct region *region;

	begin_with((struct mmun_rcache_options){ .flags = flags });
	at = world_map(WORLD_PRIVATE, 2);
	region = must_get(at, PAGE, RW);
	touch(at + PAGE, PAGE, RW);
	for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++) {
		is(child_status(fork_child(children[i].fn, region)), 0, "%s: a child %s", name,
		   children[i].what);
		is(touch(at, PAGE, RW), 1, "%s: its parent has what it had", name);
	}
	is(device_load(region, at), world_load(at), "%s: which works", name);
	mmun_rcache_invalidate(cache, at, at + PAGE);
	mmun_rcache_progress(cache);
	is(load(&device.deregistered), 0, "%s: the child's puts were not the parent's", name);
	put(region);
	end(name);
}

/* Children of a process whose other threads are inside the cache. */
static long stop;

static void *hammer(void *arg)
{
	unsigned long mine = (unsigned long)arg;

	for (unsigned long i = 0; !load(&stop); i++) {
		touch(at + (mine * 4 + i % 4) * PAGE, PAGE, RW);
		if (i % 16 == 0)
			mmun_rcache_invalidate(cache, at, at + 16 * PAGE);
		if (i % 64 == 0)
			mmun_rcache_progress(cache);
	}
	return NULL;
}

static void busy_child(struct region *inherited)
{
	for (unsigned long i = 0; i < 16; i++) {
		struct region *region = get(at + i * PAGE, PAGE, RW);

		expect(!mmun_is_err(region));
		expect(device_load(region, at + i * PAGE) == world_load(at + i * PAGE));
		put(region);
	}
	expect(mmun_rcache_flush(cache) == 0);
}

static void test_busy_fork(void)
{
	struct thread *threads[3];
	int status = 0, i;

	/* A child of the software machine finds locks that nobody will let go. */
	if (THREAD_SANITIZED || !world_is_self) {
		skip("forks of a busy process",
		     THREAD_SANITIZED ? "ThreadSanitizer may not survive them"
				      : "only this process's memory is forked whole");
		return;
	}
	begin_with((struct mmun_rcache_options){ 0 });
	at = world_map(WORLD_PRIVATE, 16);
	load(&stop);
	for (unsigned long n = 0; n < 3; n++)
		threads[n] = spawn(hammer, (void *)n);
	for (i = 0; i < 60 && !status; i++)
		status = child_status(fork_child(busy_child, NULL));
	(void)add(&stop, 1);
	for (unsigned long n = 0; n < 3; n++)
		join(threads[n]);
	is(status, 0, "children of a busy process find nothing, and make what they need");
	end("busy fork");
}

static long vfork_hit, vfork_unmapped;

static void test_vfork(void)
{
	pid_t pid;

	if (THREAD_SANITIZED) {
		skip("vfork", "ThreadSanitizer makes a fork of it");
		return;
	}
	begin();
	at = world_map(WORLD_PRIVATE, 2);
	touch(at, PAGE, RW);
	pid = vfork();
	if (pid == 0) {
		vfork_hit = touch(at, PAGE, RW);
		_exit(0);
	}
	is(child_status(pid), 0, "a vfork child");
	is(vfork_hit, 1, "has its parent's cache");
	is(touch(at, PAGE, RW), 1, "and leaves it as it was");
	pid = vfork();
	if (pid == 0) {
		world_unmap(at, 1);
		vfork_unmapped = 1;
		_exit(0);
	}
	is(child_status(pid) + vfork_unmapped, 1, "one that unmaps its parent's memory");
	world_map_at(at, WORLD_PRIVATE, 1);
	is(touch(at, PAGE, RW), 2, "is noticed");
	mmun_rcache_progress(cache);
	is(live(), 1, "and the old registration goes");
	end("vfork");
}

/* Signal handlers. */
static long handled, handler_hit, handler_miss, handler_cached_miss, handler_stale;

static void on_signal(int sig)
{
	int saved = errno;
	long hit = touch(at, PAGE, RW | MMUN_RCACHE_CACHED);

	handler_cached_miss = touch(at + 3 * PAGE, PAGE, RW | MMUN_RCACHE_CACHED);
	handler_miss = touch(at + 3 * PAGE, PAGE, RW);
	handler_hit = hit;
	(void)add(&handled, 1);
	errno = saved;
}

static void raise_here(const struct mmun_registration *reg)
{
	long before = load(&handled);

	raise(SIGUSR1);
	while (load(&handled) == before)
		usleep(100);
}

static void test_signal_inside(void)
{
	begin();
	signal(SIGUSR1, on_signal);
	at = world_map(WORLD_PRIVATE, 4);
	touch(at, PAGE, RW);
	device.in_register = raise_here;
	is(touch(at + PAGE, PAGE, RW), 2, "a handler inside the cache");
	is(handler_hit, 1, "has what is there");
	is(handler_cached_miss, -ENOENT, "is answered if it is not");
	is(handler_miss, -EDEADLK, "and cannot make anything");
	is(live(), 2, "nor has it");
	signal(SIGUSR1, SIG_DFL);
	end("signal inside");
}

/* Gets only what is there, and looks at it. */
static void on_timer(int sig)
{
	int saved = errno;
	struct region *region = get(at, PAGE, RW | MMUN_RCACHE_CACHED);

	if (!mmun_is_err(region)) {
		handler_stale += load(&region->live) != 1;
		(void)add(&handler_hit, 1);
		put(region);
	}
	(void)add(&handled, 1);
	errno = saved;
}

static void test_signal_storm(void)
{
	const struct itimerval often = { { 0, 300 }, { 0, 300 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = on_timer, .sa_flags = SA_RESTART };
	double start;
	long wrong = 0;

	begin_with((struct mmun_rcache_options){ .limits.regions = 3 });
	at = world_map(WORLD_PRIVATE, 8);
	device.hollow = true;
	handled = handler_hit = handler_stale = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	start = now_ms();
	for (unsigned long i = 0; now_ms() - start < 1500; i++) {
		struct region *region = get(at, PAGE, RW);

		wrong += mmun_is_err(region) || load(&region->live) != 1;
		if (!mmun_is_err(region))
			put(region);
		touch(at + (i % 7 + 1) * PAGE, PAGE, RW);
		if (i % 8 == 0)
			mmun_rcache_invalidate(cache, at, at + PAGE);
		if (i % 32 == 0)
			mmun_rcache_progress(cache);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	is(wrong, 0, "a thread that is interrupted all the time finds what is right");
	ok(load(&handled) > 100 && load(&handler_hit) > 0, "handlers ran (%ld, %ld hits)",
	   load(&handled), load(&handler_hit));
	is(handler_stale, 0, "and had only what was registered");
	end("signal storm");
}

/* The end of a process that has caches: run again, as another program. */
static void at_exit_use(void)
{
	if (touch(at, PAGE, RW) <= 0)
		_exit(3);
}

static void at_exit_destroy(void)
{
	at_exit_use();
	if (mmun_rcache_destroy(cache) || live())
		_exit(4);
}

static void deregister_slowly(const struct mmun_registration *reg)
{
	usleep(20000);
	__atomic_store_n(&device.in_deregister, deregister_slowly, __ATOMIC_SEQ_CST);
}

/* What the device calls ends here. */
static void at_exit_device(void)
{
	const long before = load(&device.deregistered);

	usleep(200000);
	if (load(&device.deregistered) != before)
		_exit(5);
}

/* The reaper has work for seconds. */
static void leave_much(void)
{
	at = world_map(WORLD_PRIVATE, 100);
	device.in_deregister = deregister_slowly;
	for (unsigned long i = 0; i < 100; i++)
		touch(at + i * PAGE, PAGE, RW);
	mmun_rcache_invalidate(cache, at, at + 100 * PAGE);
	while (!load(&device.deregistered))
		usleep(1000);
}

static void *use_for_ever(void *arg)
{
	for (unsigned long i = 0;; i++) {
		touch(at + i % 4 * PAGE, PAGE, RW);
		mmun_rcache_invalidate(cache, at, at + 4 * PAGE);
	}
	return NULL;
}

static int end_as(const char *how)
{
	alarm(60);
	/* Before the library has any of its own, so it runs after those. */
	if (!strcmp(how, "early-use"))
		atexit(at_exit_use);
	if (!strcmp(how, "early-destroy"))
		atexit(at_exit_destroy);
	if (!strcmp(how, "slow-device"))
		atexit(at_exit_device);
	begin_with((struct mmun_rcache_options){ 0 });
	at = world_map(WORLD_PRIVATE, 4);
	touch(at, 4 * PAGE, RW);
	if (!strcmp(how, "late-use"))
		atexit(at_exit_use);
	if (!strcmp(how, "late-destroy"))
		atexit(at_exit_destroy);
	if (!strcmp(how, "held"))
		must_get(at, PAGE, RW);
	if (!strcmp(how, "late-memory"))
		world_unmap(at, 4);
	if (!strcmp(how, "slow-device"))
		leave_much();
	if (!strcmp(how, "threads")) {
		for (int i = 0; i < 3; i++)
			spawn(use_for_ever, NULL);
		usleep(20000);
	}
	if (!strcmp(how, "_exit"))
		_exit(0);
	return 0;
}

/* Refused when ->release has run: the process goes on, with another mm. */
static void fail_to_exec(void)
{
	const int fd = memfd_create("no program", MFD_CLOEXEC);
	char path[64], *const argv[] = { path, NULL };

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd < 0 || write(fd, "neither", 7) != 7)
		bail_out("no file");
	execve(path, argv, argv + 1);
	is(errno, ENOEXEC, "execve() of what is no program");
	close(fd);
}

static void test_failed_exec(unsigned int flags)
{
	struct region *region;

	if (!world_is_self)
		return;
	begin_with((struct mmun_rcache_options){ .flags = flags });
	at = world_map(WORLD_PRIVATE, 4);
	touch(at, PAGE, RW);
	region = must_get(at + PAGE, PAGE, RW);
	fail_to_exec();
	ok(!is_cached(at, PAGE, RW) && !mmun_rcache_is_current(cache, &region->world.nic.reg),
	   "execve() that failed: what was cached is gone");
	is(device_load(region, at + PAGE), world_load(at + PAGE), "what is in use can be used");
	put(region);
	region = must_get(at, PAGE, RW);
	is(device_load(region, at), world_load(at), "registrations are made again");
	put(region);
	ok(is_cached(at, PAGE, RW), "and kept");
	world_map_at(at, WORLD_PRIVATE, 1);
	region = must_get(at, PAGE, RW);
	is(device_load(region, at), world_load(at), "and changes of memory end them");
	put(region);
	end("execve() that failed");
}

static void test_end(void)
{
	static const char *const ways[] = { "never-destroyed", "early-use",    "early-destroy",
					    "late-use",        "late-destroy", "held",
					    "late-memory",     "threads",      "_exit",
					    "slow-device" };

	if (THREAD_SANITIZED && world_is_self) {
		skip("ends",
		     "ThreadSanitizer does not survive the hooks of a child that it has not made");
		return;
	}
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		pid_t pid;

		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			/* Whatever is never freed is the subject. */
			setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
			execl(program, program, "--end", ways[i], NULL);
			_exit(127);
		}
		is(child_status(pid), 0, "a process that ends: %s", ways[i]);
	}
}

int main(int argc, char **argv)
{
	program = argv[0];
	if (argc == 3 && !strcmp(argv[1], "--end"))
		return end_as(argv[2]);
	if (THREAD_SANITIZED) {
		skip("fork",
		     "ThreadSanitizer does not survive a child with threads, nor its hooks");
	} else {
		test_fork(0, "fork");
		test_fork(MMUN_RCACHE_NO_REAPER, "fork without a reaper");
		test_fork(MMUN_RCACHE_OWNED, "fork of an owned cache");
	}
	test_busy_fork();
	test_vfork();
	test_signal_inside();
	test_signal_storm();
	test_failed_exec(0);
	test_failed_exec(MMUN_RCACHE_NO_REAPER);
	test_end();
	return tap_done();
}
