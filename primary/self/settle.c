/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Waits for memory calls that entered the kernel before their site was patched,
 * so that registration does not return while one of them, unseen, is still
 * changing the address space (R2).
 *
 * The kernel shows for a sleeping thread which call it is in and where it will
 * return to: not behind a site means that it is in no such call.  Of a thread
 * that is on a CPU or waiting for one it shows nothing; it may have been
 * preempted inside the kernel just before it took the lock of the address space.
 * Such a thread is given processor time until it has used more than the way to
 * that lock can take; then the lock is taken once by ourselves, behind it.
 * Tests: tests/torture/settle.c.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "call.h"
#include "state.h"

#define BATCH 64
/* Processor time, ns: far more than a call needs to ask for the lock.  What the host of a
 * virtual machine takes away, and interrupts, count as used. */
#define ENOUGH 1000000
/* Waits of PAUSE ns; a thread that never runs meanwhile is stopped, or starves. */
#define PAUSE 50000
#define PATIENCE 20000

struct thread {
	long id;
	/* Processor time used when the wait for it began; 0: no more waiting. */
	unsigned long since;
};

struct linux_dirent64 {
	unsigned long d_ino;
	long d_off;
	unsigned short d_reclen;
	unsigned char d_type;
	char d_name[];
};

/* "nr arg... sp pc" as the kernel prints it. */
struct syscall_line {
	int nr;
	/* Six arguments, stack pointer, program counter. */
	unsigned long values[8];
};

static bool parse_line(const char *text, struct syscall_line *line)
{
	int count = 0;

	for (line->nr = 0; *text >= '0' && *text <= '9'; text++)
		line->nr = line->nr * 10 + (*text - '0');
	for (; count < 8 && !memcmp(text, " 0x", 3); count++) {
		unsigned long value = 0;

		for (text += 3; (*text >= '0' && *text <= '9') ||
				(*text >= 'a' && *text <= 'f'); text++)
			value = value * 16 + (*text <= '9' ? *text - '0' : *text - 'a' + 10);
		line->values[count] = value;
	}
	return count == 8;
}

/* Or in a stub, which it took while the hooks were not armed. */
static bool is_behind_site(const struct mmun_image *images, unsigned long pc)
{
	for (const struct mmun_image *image = images; image; image = image->next) {
		if (!image->used)
			continue;
		if (pc - (unsigned long)image->stubs < image->stubs_size ||
		    pc - (unsigned long)mmun_self_raw < 64)
			return true;
		if (pc < image->text_start || pc >= image->text_end)
			continue;
		for (int j = 0; j < image->nr_sites; j++)
			if ((unsigned long)image->sites[j].resume == pc)
				return true;
	}
	return false;
}

/* libc's syscall() is one site for every number, and most opens are harmless. */
static bool is_memory_call(const struct syscall_line *line)
{
	const struct mmun_call *call = mmun_call_of(line->nr);

	return call && (!call->concerns || call->concerns(line->values));
}

enum where { ELSEWHERE, IN_CALL, RUNNING };

static enum where where_is(const struct mmun_image *images, long id)
{
	char path[64] = "/proc/self/task/", text[256];
	struct syscall_line line;
	size_t at = strlen(path);
	int fd;
	long n;

	for (long unit = 1000000000; unit; unit /= 10)
		if (id >= unit)
			path[at++] = '0' + id / unit % 10;
	memcpy(path + at, "/syscall", sizeof("/syscall"));
	fd = mmun_syscall4(SYS_openat, AT_FDCWD, (unsigned long)path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return ELSEWHERE;
	n = mmun_syscall3(SYS_read, fd, (unsigned long)text, sizeof(text) - 1);
	mmun_syscall3(SYS_close, fd, 0, 0);
	text[n > 0 ? n : 0] = 0;
	if (!strncmp(text, "running", 7))
		return RUNNING;
	return parse_line(text, &line) && is_memory_call(&line) &&
	       is_behind_site(images, line.values[7]) ? IN_CALL : ELSEWHERE;
}

/* Processor time that a thread has used, ns; 0 when it is gone. */
static unsigned long used(long id)
{
	/* The kernel's name for the scheduler's clock of one thread. */
	const int clock = (int)(~(unsigned long)id << 3 | 4 | 2);
	struct { long sec, nsec; } time;

	if (mmun_syscall3(SYS_clock_gettime, (unsigned long)clock, (unsigned long)&time, 0))
		return 0;
	return time.sec * 1000000000UL + time.nsec + 1;
}

static bool is_done(const struct mmun_image *images, const struct thread *thread)
{
	switch (where_is(images, thread->id)) {
	case ELSEWHERE:
		return true;
	case IN_CALL:
		return false;
	case RUNNING:
		break;
	}
	return used(thread->id) - thread->since > ENOUGH;
}

static void pause_briefly(void)
{
	const struct { long sec, nsec; } time = { 0, PAUSE };

	mmun_syscall4(SYS_nanosleep, (unsigned long)&time, 0, 0, 0);
}

static void wait_for(const struct mmun_image *images, struct thread *threads, int count)
{
	for (int i = 0; i < count; i++)
		threads[i].since = used(threads[i].id);
	for (int round = 0, waiting = count; waiting && round < PATIENCE; round++) {
		waiting = 0;
		for (int i = 0; i < count; i++) {
			if (threads[i].since && is_done(images, &threads[i]))
				threads[i].since = 0;
			waiting += threads[i].since != 0;
		}
		if (waiting)
			pause_briefly();
	}
}

/* The number a directory entry is named by; 0 for "." and "..". */
static long number_of(const char *name)
{
	long id = 0;

	for (; *name >= '0' && *name <= '9'; name++)
		id = id * 10 + (*name - '0');
	return id;
}

static void wait_for_all(const struct mmun_image *images, int fd)
{
	const long own = mmun_syscall3(SYS_gettid, 0, 0, 0);
	char buffer[2048];
	struct thread threads[BATCH];
	int count = 0;
	long n;

	while ((n = mmun_syscall3(SYS_getdents64, fd, (unsigned long)buffer,
				  sizeof(buffer))) > 0) {
		for (long at = 0; at < n;) {
			const struct linux_dirent64 *entry = (void *)(buffer + at);
			long id = number_of(entry->d_name);

			at += entry->d_reclen;
			if (!id || id == own)
				continue;
			threads[count++].id = id;
			if (count == BATCH) {
				wait_for(images, threads, count);
				count = 0;
			}
		}
	}
	wait_for(images, threads, count);
}

/* Takes and leaves the kernel's lock of the address space for writing. */
static void pass_lock(void)
{
	long page = mmun_syscall6(SYS_mmap, 0, MMUN_PAGE_SIZE, PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page > 0)
		mmun_syscall3(SYS_munmap, page, MMUN_PAGE_SIZE, 0);
}

void mmun_self_settle(const struct mmun_image *images)
{
	int fd = mmun_syscall4(SYS_openat, AT_FDCWD, (unsigned long)"/proc/self/task",
			       O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

	if (fd < 0)
		return;
	wait_for_all(images, fd);
	mmun_syscall3(SYS_close, fd, 0, 0);
	pass_lock();
}
