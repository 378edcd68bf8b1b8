/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Uses, counted in cells of each thread. */
#include <sched.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "cells.h"
#include "fake.h"
#include "contract/sanitizer.h"

#define NR   64ul
#define SLOT 5u

static struct rc_process *process;
static struct rc_cell spare[NR];

static struct rc_cells *mine(void)
{
	struct rc_cells *cells = mmun_rc_cells(process, SLOT, NR);

	if (!cells)
		bail_out("no cells");
	return cells;
}

static uint32_t uses(uint32_t id)
{
	const struct rc_cell sum = mmun_rc_sum(process, SLOT, id, spare);

	return sum.begun - sum.ended;
}

static void begin_use(uint32_t id)
{
	mmun_rc_count(&mine()->cell[id].begun, false);
}

static void end_use(uint32_t id)
{
	mmun_rc_count(&mine()->cell[id].ended, false);
}

static void *use(void *arg)
{
	begin_use((uint32_t)(uintptr_t)arg);
	return mine();
}

static void *unuse(void *arg)
{
	end_use((uint32_t)(uintptr_t)arg);
	return mine();
}

static void *in_thread(void *(*fn)(void *), uintptr_t arg)
{
	void *result;

	pthread_join(spawn(fn, (void *)arg), &result);
	return result;
}

static unsigned int threads(void)
{
	unsigned int nr;

	mmun_rc_hits(process, SLOT, &nr);
	return nr;
}

static void test_sum(void)
{
	process = mmun_rc_process();
	ok(process && process == mmun_rc_process(), "one process");
	ok(mine() == mine(), "a thread has its cells");
	is(uses(1), 0, "nobody uses anything");
	begin_use(1);
	begin_use(1);
	is(uses(1), 2, "two uses are two");
	is(uses(2), 0, "and none of another one");
	in_thread(unuse, 1);
	in_thread(unuse, 1);
	is(uses(1), 0, "ended elsewhere they are none");
	begin_use(1);
	spare[1].ended = 1;
	is(uses(1), 0, "so do those that a thread without cells ends");
	is(mmun_rc_sum(process, SLOT, 1, spare).begun, 3, "how many there were is known");
	mine()->cell[3] = (struct rc_cell){ ~0u - 5, ~0u - 5 };
	for (int i = 0; i < 10; i++)
		begin_use(3);
	is(uses(3), 10, "counts may wrap");
	for (int i = 0; i < 10; i++)
		end_use(3);
	is(uses(3), 0, "both");
}

/* The kernel needs a moment for the end of a thread that was joined. */
static void test_take_over(void)
{
	struct rc_cells *theirs = in_thread(use, 4), *next = NULL;
	unsigned int before = threads();
	int i;

	is(uses(4), 1, "a thread that is gone leaves what it used");
	for (i = 0; i < 100; i++) {
		next = in_thread(use, 5);
		if (next == theirs)
			break;
		usleep(1000);
	}
	ok(next == theirs, "another one takes its cells over");
	is(uses(4), 1, "with what they count");
	is(uses(5), (uint32_t)i + 1, "and counts on in them");
	for (i = 0; i < 500; i++)
		in_thread(use, 6);
	ok(threads() - before < 50, "500 threads one after the other need few cells (%u)",
	   threads() - before);
	is(uses(6), 500, "and nothing is lost");
}

static long go;

static void *use_and_wait(void *arg)
{
	struct rc_cells *cells = mine();

	while (!mmun_load_full(&go))
		usleep(100);
	for (int i = 0; i < 1000; i++)
		begin_use(7);
	return cells;
}

static void test_many(void)
{
	void *cells[100];
	pthread_t thread[100];
	bool apart = true;

	for (int i = 0; i < 100; i++)
		thread[i] = spawn(use_and_wait, NULL);
	mmun_store_full(&go, 1);
	for (int i = 0; i < 100; i++)
		pthread_join(thread[i], &cells[i]);
	is(uses(7), 100000, "a hundred threads at once count");
	for (int i = 0; i < 100; i++)
		for (int j = 0; j < i; j++)
			apart = apart && (cells[i] != cells[j] || !cells[i]);
	/* One that began after another had ended may have its cells. */
	diag("each had its own: %d", apart);
}

static void on_signal(int sig)
{
	begin_use(8);
	end_use(8);
}

static long busy_done;

static void *busy(void *arg)
{
	for (int i = 0; i < 3000000; i++) {
		begin_use(8);
		end_use(8);
	}
	mmun_store_full(&busy_done, 1);
	return NULL;
}

static void test_signals(void)
{
	pthread_t thread;

	if (THREAD_SANITIZED) {
		skip("signals", "ThreadSanitizer runs handlers when it likes, and blocked ones");
		return;
	}
	signal(SIGUSR1, on_signal);
	thread = spawn(busy, NULL);
	while (!mmun_load_full(&busy_done)) {
		pthread_kill(thread, SIGUSR1);
		usleep(20);
	}
	pthread_join(thread, NULL);
	is(uses(8), 0, "a signal handler comes before or after, never in the middle");
}

static void *cells_or_none(void *arg)
{
	return mmun_rc_cells(process, SLOT + 1, NR);
}

static void test_memory(void)
{
	fail_allocation(1);
	ok(!in_thread(cells_or_none, 0), "no memory, no cells");
	fail_allocation(0);
	ok(in_thread(cells_or_none, 0), "the next one has some");
	mmun_rc_free_cells(process, SLOT + 1, NR);
}

static void in_child(void *arg)
{
	struct rc_process *ours = mmun_rc_process();

	if (uses(4) || uses(7) || ours->threads)
		abort();
	begin_use(4);
	if (uses(4) != 1)
		abort();
	in_thread(use, 4);
	if (uses(4) != 2)
		abort();
}

static void test_fork(void)
{
	char text[1000];

	memset(spare, 0, sizeof(spare));
	ok(exited_well(run_in_child(in_child, NULL, text, sizeof(text))),
	   "a forked child begins with no uses");
	is(uses(4), 1, "its parent has those it had");
}

static void without_membarrier(void *arg)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		abort();
	if (mmun_rc_barrier_works())
		abort();
	mmun_rc_barrier(page);
	/* Its rights are back. */
	page[0] = 2;
}

static void test_barrier(void)
{
	char text[1000];
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mmun_rc_barrier(page);
	page[0] = 1;
	ok(exited_well(run_in_child(without_membarrier, NULL, text, sizeof(text))),
	   "a kernel that refuses membarrier is noticed, and there is another way");
	munmap(page, 4096);
}

/* Counting, then looking at a flag, against the flag, the barrier, then the count: one of them
 * sees the other. */
static uint32_t flag;
static long seen_by_none, entered, stop;
static char *barrier_page;

static void *enter(void *arg)
{
	struct rc_cell *cell = &mine()->cell[9];
	bool fenced = !mmun_rc_barrier_works();

	while (!mmun_load_relaxed(&stop)) {
		mmun_rc_count(&cell->begun, fenced);
		if (!mmun_load_relaxed(&flag)) {
			(void)mmun_add_relaxed(&entered, 1);
			/* In use: a look that saw no use may not have been followed by the end. */
			if (mmun_load_acquire(&flag) == 2)
				(void)mmun_add_full(&seen_by_none, 1);
		}
		mmun_rc_count(&cell->ended, fenced);
	}
	return NULL;
}

static void test_one_sees_the_other(void)
{
	const bool works = mmun_rc_barrier_works();
	pthread_t thread[2];

	barrier_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 2; i++)
		thread[i] = spawn(enter, NULL);
	/* They may not have a processor yet. */
	while (!mmun_load_full(&entered))
		sched_yield();
	for (int i = 0; i < 20000 && mmun_load_full(&entered) < 3000000; i++) {
		mmun_store_full(&flag, 1);
		if (works)
			mmun_rc_barrier(barrier_page);
		if (!uses(9))
			mmun_store_release(&flag, 2);
		mmun_store_full(&flag, 0);
	}
	mmun_store_full(&stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	is(seen_by_none, 0, "a use is seen, or sees that it came too late");
	ok(entered > 0, "uses began (%ld)", entered);
	munmap(barrier_page, 4096);
}

int main(void)
{
	test_sum();
	test_take_over();
	test_many();
	test_signals();
	test_memory();
	test_fork();
	test_barrier();
	test_one_sees_the_other();
	mmun_rc_free_cells(process, SLOT, NR);
	is(threads(), 0, "all cells can go");
	return tap_done();
}
