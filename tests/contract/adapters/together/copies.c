/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: a program that has a copy of libmmunotify linked into it, under the adapter.
 *
 * One copy patches a process; the second is refused and says so.  If that is the
 * adapter, UCX works as without it; if it is the program, UCX is fed all the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>

#include "../../scene.h"
#include "stack.h"

#define RANGE 65536ul

static unsigned int nr_starts;

static int note_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	__atomic_add_fetch(&nr_starts, 1, __ATOMIC_RELAXED);
	return 0;
}

static const struct mmu_notifier_ops ops = { .invalidate_range_start = note_start };
static struct mmu_notifier mn = { .ops = &ops };

static char *fresh(void)
{
	return mmap(NULL, RANGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* A range is replaced: is what UCX had of it found again? */
static bool is_stale(bool by_syscall)
{
	char *at = fresh();
	uint64_t got = 0;

	*(volatile uint64_t *)at = 1;
	check(stack_ucx.lookup(at, RANGE, &got) && got == 1, "UCX registers");
	if (by_syscall)
		syscall(SYS_munmap, at, RANGE);
	else
		munmap(at, RANGE);
	mmap(at, RANGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
	     -1, 0);
	*(volatile uint64_t *)at = 2;
	check(stack_ucx.lookup(at, RANGE, &got), "UCX looks up");
	return got != 2;
}

/* Starts UCX; what was said meanwhile is in @said. */
static bool start_ucx(char *said, size_t size)
{
	int saved = dup(STDERR_FILENO), ends[2];
	const char *why;
	ssize_t length;

	if (pipe2(ends, O_NONBLOCK))
		return false;
	dup2(ends[1], STDERR_FILENO);
	why = stack_ucx.start();
	dup2(saved, STDERR_FILENO);
	length = read(ends[0], said, size - 1);
	said[length > 0 ? length : 0] = 0;
	return check(!why, "UCX starts%s%s", why ? ": " : "", why ? why : "");
}

static void the_program_first(void)
{
	unsigned int before;
	char said[1024];

	check(!mmu_notifier_register(&mn, mmun_self()), "the program registers");
	if (!start_ucx(said, sizeof(said)))
		return;
	check(strstr(said, "mmunotify: ucx: ") == said &&
		      strstr(said, "another copy of libmmunotify") &&
		      strstr(said, "UCX's own hooks are used"),
	      "the adapter stands aside and says why");
	check(strchr(said, '\n') == said + strlen(said) - 1, "once");
	check(!is_stale(false), "UCX hears of munmap()");
	check(is_stale(true), "and not of syscall(SYS_munmap), as without us");
	before = nr_starts;
	syscall(SYS_munmap, fresh(), RANGE);
	check(nr_starts > before, "the program hears of it");
}

static void ucx_first(void)
{
	char said[1024];

	if (!start_ucx(said, sizeof(said)))
		return;
	check(!*said, "nothing is said");
	check(mmu_notifier_register(&mn, mmun_self()) == -EBUSY, "the program is refused");
	check(!is_stale(false) && !is_stale(true), "UCX hears of everything");
}

int main(void)
{
	scene("the program first", the_program_first);
	scene("UCX first", ucx_first);
	return tap_done();
}
