/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A program whose memory operations are known: it performs them and prints on
 * stdout, one line each, what a trace of it must show:
 *
 *     PID TID OP CLASS START END RANGE OUTCOME UNCHANGED
 *
 * Nothing but the operations touches the address space between the first and
 * the last one: no stdio, no allocation.
 *
 *     trace_workload basic | fork | threads | loop COUNT | storm | signals | inline |
 *		adrift
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul

static char report[65536];
static size_t used;
static pthread_mutex_t report_lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	used += (size_t)vsnprintf(report + used, sizeof(report) - used, format, args);
	va_end(args);
}

static void expect(const char *op, const char *class, const void *start, size_t size,
		   const char *range, const char *outcome, int unchanged)
{
	pthread_mutex_lock(&report_lock);
	say("%d %d %s %s 0x%lx 0x%lx %s %s %d\n", getpid(), gettid(), op, class,
	    (unsigned long)start, (unsigned long)start + size, range, outcome, unchanged);
	pthread_mutex_unlock(&report_lock);
}

static void print_report(void)
{
	if (write(1, report, used) != (ssize_t)used)
		_exit(9);
	used = 0;
}

static char *map(size_t pages)
{
	char *area = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	if (area == MAP_FAILED)
		_exit(9);
	memset(area, 1, pages * PAGE);
	return area;
}

static int temporary_file(size_t pages)
{
	char path[] = "/tmp/trace-workload-XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0 || ftruncate(fd, (off_t)(pages * PAGE)))
		_exit(9);
	unlink(path);
	return fd;
}

static void change_anonymous(void)
{
	char *area = map(16);

	munmap(area + 14 * PAGE, 2 * PAGE);
	expect("munmap", "unmap", area + 14 * PAGE, 2 * PAGE, "anonymous", "ok", 0);
	mprotect(area, PAGE, PROT_READ);
	expect("mprotect", "protect", area, PAGE, "anonymous", "ok", 0);
	madvise(area + PAGE, 2 * PAGE, MADV_DONTNEED);
	expect("madvise-dontneed", "clear", area + PAGE, 2 * PAGE, "anonymous", "ok", 0);
	madvise(area + PAGE, 2 * PAGE, MADV_FREE);
	expect("madvise-free", "clear", area + PAGE, 2 * PAGE, "anonymous", "ok", 0);
	if (mremap(area + 8 * PAGE, 6 * PAGE, 4 * PAGE, 0) == MAP_FAILED)
		_exit(9);
	expect("mremap", "unmap", area + 12 * PAGE, 2 * PAGE, "anonymous", "ok", 0);
	munmap(area, 12 * PAGE);
	expect("munmap", "unmap", area, 12 * PAGE, "anonymous", "ok", 0);
	munmap(area, 12 * PAGE);
	expect("munmap", "unmap", area, 12 * PAGE, "nothing", "ok", 0);
}

static void change_files(void)
{
	int file = temporary_file(8), memory = memfd_create("workload", 0);
	char *area = map(8);

	if (mmap(area + 2 * PAGE, 4 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, file, 2 * PAGE) ==
	    MAP_FAILED)
		_exit(9);
	expect("mmap-fixed", "unmap", area + 2 * PAGE, 4 * PAGE, "anonymous", "ok", 0);
	munmap(area + 3 * PAGE, PAGE);
	expect("munmap", "unmap", area + 3 * PAGE, PAGE, "file", "ok", 0);
	munmap(area, 8 * PAGE);
	expect("munmap", "unmap", area, 8 * PAGE, "anonymous", "ok", 0);
	if (ftruncate(memory, 4 * PAGE))
		_exit(9);
	area = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	memset(area, 1, 4 * PAGE);
	if (fallocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE))
		_exit(9);
	expect("fallocate", "clear", area + PAGE, PAGE, "memfd", "ok", 0);
	if (ftruncate(memory, 2 * PAGE))
		_exit(9);
	expect("truncate", "clear", area + 2 * PAGE, 2 * PAGE, "memfd", "ok", 0);
	munmap(area, 4 * PAGE);
	expect("munmap", "unmap", area, 4 * PAGE, "memfd", "ok", 0);
	close(file);
	close(memory);
}

static void change_others(void)
{
	int id = shmget(IPC_PRIVATE, 2 * PAGE, 0600);
	char *segment = shmat(id, NULL, 0), *end, *shared;

	shmctl(id, IPC_RMID, NULL);
	shmdt(segment);
	expect("shmdt", "unmap", segment, 2 * PAGE, "sysv", "ok", 0);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	munmap(shared, PAGE);
	expect("munmap", "unmap", shared, PAGE, "shared-anonymous", "ok", 0);
	/* From a page's boundary to another. */
	end = sbrk(0);
	if (brk((void *)(((unsigned long)end + 8 * PAGE) & -PAGE)))
		_exit(9);
	end = sbrk(0);
	memset(end - PAGE, 1, PAGE);
	if (brk(end - 3 * PAGE))
		_exit(9);
	expect("brk", "unmap", end - 3 * PAGE, 3 * PAGE, "heap", "ok", 0);
}

static void fail(void)
{
	char *area = map(4);

	munmap(area, 2 * PAGE);
	expect("munmap", "unmap", area, 2 * PAGE, "anonymous", "ok", 0);
	mprotect(area, 4 * PAGE, PROT_READ);
	expect("mprotect", "protect", area, 4 * PAGE, "anonymous", "ENOMEM", 0);
	mlock(area + 2 * PAGE, PAGE);
	madvise(area + 2 * PAGE, PAGE, MADV_DONTNEED);
	expect("madvise-dontneed", "clear", area + 2 * PAGE, PAGE, "anonymous", "EINVAL", 1);
	/* Not even addresses: nothing to report. */
	munmap(area + 1, PAGE);
	munmap(area, 0);
	munmap(area + 2 * PAGE, 2 * PAGE);
	expect("munmap", "unmap", area + 2 * PAGE, 2 * PAGE, "anonymous", "ok", 0);
}

static int basic(void)
{
	change_anonymous();
	change_files();
	change_others();
	fail();
	print_report();
	return 0;
}

static int fork_and_change(void)
{
	char *area = map(2);
	pid_t child;

	expect("fork", "protect-page", NULL, -PAGE, "all", "ok", 0);
	print_report();
	child = fork();
	if (!child) {
		munmap(area, PAGE);
		expect("munmap", "unmap", area, PAGE, "anonymous", "ok", 0);
		print_report();
		_exit(5);
	}
	waitpid(child, NULL, 0);
	munmap(area + PAGE, PAGE);
	expect("munmap", "unmap", area + PAGE, PAGE, "anonymous", "ok", 0);
	print_report();
	return 0;
}

static void *change_in_thread(void *unused)
{
	char *area = map(4);

	for (int i = 0; i < 4; i++) {
		munmap(area + (size_t)i * PAGE, PAGE);
		expect("munmap", "unmap", area + (size_t)i * PAGE, PAGE, "anonymous", "ok", 0);
	}
	return NULL;
}

static int threads(void)
{
	pthread_t thread[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, change_in_thread, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	print_report();
	return 0;
}

static int loop(int count)
{
	while (count--)
		munmap(map(1), PAGE);
	return 0;
}

/* Children that are killed at work. */
static int storm(void)
{
	int ready[2];
	char byte;

	if (pipe(ready))
		return 9;
	for (int i = 0; i < 20; i++) {
		pid_t child = fork();

		if (!child) {
			loop(1);
			if (write(ready[1], "", 1) != 1)
				_exit(9);
			for (;;)
				loop(1000);
		}
		if (read(ready[0], &byte, 1) != 1)
			return 9;
		usleep(10000);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	munmap(map(3), 3 * PAGE);
	return 0;
}

static volatile sig_atomic_t handled;
static char *signal_area;

/* A handler that interrupts operations and performs its own. */
static void on_signal(int signal)
{
	madvise(signal_area, PAGE, MADV_DONTNEED);
	handled++;
}

static int signals(void)
{
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct itimerspec spec = { .it_value.tv_nsec = 100000, .it_interval.tv_nsec = 100000 };
	int count = 0;

	signal_area = map(1);
	signal(SIGALRM, on_signal);
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	timer_settime(timer, 0, &spec, NULL);
	while (handled < 2000) {
		munmap(map(1), PAGE);
		count++;
	}
	timer_delete(timer);
	say("%d %d\n", count, (int)handled);
	print_report();
	return 0;
}

static void leave(void)
{
	munmap(map(1), PAGE);
	_exit(3);
}

/* On a stack of its own, under a return address that is none. */
static int adrift(void)
{
	static unsigned long stack[8192] __attribute__((aligned(16)));
	unsigned long *top = &stack[8000];

	*--top = 0xdeadbeefdead;
	__asm__ volatile("movq %0, %%rsp\n\tjmp *%1" : : "r"(top), "r"(leave) : "memory");
	__builtin_unreachable();
}

/* By an instruction of this program whose number nobody can know beforehand. */
static int unmap_inline(void)
{
	volatile long nr = 11;
	char *at = map(1);
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(at), "S"(PAGE)
			 : "rcx", "r11", "memory");
	say("%lx\n", (unsigned long)at);
	print_report();
	return result ? 1 : 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "basic"))
		return basic();
	if (!strcmp(what, "fork"))
		return fork_and_change();
	if (!strcmp(what, "threads"))
		return threads();
	if (!strcmp(what, "loop") && argc > 2)
		return loop(atoi(argv[2]));
	if (!strcmp(what, "storm"))
		return storm();
	if (!strcmp(what, "signals"))
		return signals();
	if (!strcmp(what, "inline"))
		return unmap_inline();
	if (!strcmp(what, "adrift"))
		return adrift();
	return 2;
}
