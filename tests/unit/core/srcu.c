/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* core/srcu.c and core/call_srcu.c: sections, grace periods, callbacks. */
#include "fake.h"

#include "call_srcu.h"

#include <dirent.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static struct srcu_slot slots[MMUN_SRCU_MAX_SLOTS];
static struct srcu_struct domain;
static long stop, handler_runs;

/* What the kernel can do, asked here: a domain that gives up its cells is no reason to skip. */
static bool cells_expected(void)
{
#if defined(__SANITIZE_THREAD__)
	return false;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
	return false;
#endif
#endif
	return !mmun_syscall3(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) &&
	       !mmun_syscall3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

static void domain_init(bool cells)
{
	memset(slots, 0, sizeof(slots));
	mmun_srcu_init(&domain, slots, mmun_srcu_nr_slots());
	if (cells && !mmun_srcu_use_cells(&domain))
		diag("no cells here");
}

static void enter_and_leave(void)
{
	struct mmun_reader reader = srcu_read_lock(&domain);

	srcu_read_unlock(&domain, &reader);
}

static void section_in_handler(int sig)
{
	enter_and_leave();
	count(&handler_runs);
}

static int nr_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	int nr = -2;

	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

static void test_slots(void)
{
	unsigned int nr = mmun_srcu_nr_slots();

	is(nr & (nr - 1), 0, "the number of slots is a power of two");
	ok(nr <= MMUN_SRCU_MAX_SLOTS, "and bounded");
	ok((long)nr >= sysconf(_SC_NPROCESSORS_CONF) || nr == MMUN_SRCU_MAX_SLOTS,
	   "one for each configured CPU");
	ok(nr == 1 || (long)nr / 2 < sysconf(_SC_NPROCESSORS_CONF), "and no more than that needs");
	ok(domain.rseq_offset, "libc shares the CPU number (without it: a hash of the thread)");
}

static void test_idle(void)
{
	const unsigned long before = domain.grace_periods;
	struct mmun_reader a, b;

	synchronize_srcu(&domain);
	is((long)(domain.grace_periods - before), 1, "a grace period without readers ends");
	a = srcu_read_lock(&domain);
	b = srcu_read_lock(&domain);
	srcu_read_unlock(&domain, &a);
	srcu_read_unlock(&domain, &b);
	synchronize_srcu(&domain);
	ok(true, "after nested sections too");
}

struct waiter {
	struct srcu_struct *ssp;
	long started, done;
};

static void *synchronizer(void *arg)
{
	struct waiter *waiter = arg;

	count(&waiter->started);
	synchronize_srcu(waiter->ssp);
	count(&waiter->done);
	return NULL;
}

static int bank_of(const struct mmun_reader *reader)
{
	return (int)(reader->state & 1);
}

/* A section that is open when the grace period begins; the same for each bank. */
static void test_waits(const char *how)
{
	for (int round = 0; round < 2; round++) {
		struct waiter waiter = { .ssp = &domain };
		struct mmun_reader reader = srcu_read_lock(&domain), later;
		pthread_t thread = spawn(synchronizer, &waiter);

		let_others_run();
		ok(!counted(&waiter.done), "a grace period waits for an open section (%s, bank %d)",
		   how, bank_of(&reader));
		later = srcu_read_lock(&domain);
		srcu_read_unlock(&domain, &later);
		ok(!counted(&waiter.done),
		   "a section that came and went meanwhile changes nothing");
		srcu_read_unlock(&domain, &reader);
		pthread_join(thread, NULL);
		ok(waiter.done, "the grace period ends with the section");
		synchronize_srcu(&domain); /* so that the next round has the other bank */
		synchronize_srcu(&domain);
	}
}

static void test_later_reader(void)
{
	struct waiter waiter = { .ssp = &domain };
	struct mmun_reader reader = srcu_read_lock(&domain), later;
	pthread_t thread = spawn(synchronizer, &waiter);

	/* The first wait is for the bank that new readers do not use, so ->idx
	 * flips even while this section is open. */
	while ((int)(mmun_load_full(&domain.idx) & 1) == bank_of(&reader))
		usleep(100);
	later = srcu_read_lock(&domain);
	ok(bank_of(&later) != bank_of(&reader),
	   "readers that come during a grace period go to the other bank");
	srcu_read_unlock(&domain, &reader);
	pthread_join(thread, NULL);
	ok(waiter.done, "and are not waited for");
	srcu_read_unlock(&domain, &later);
}

/* A section that ends in another thread than it began. */

struct opener {
	struct mmun_reader reader;
	long opened, may_end;
};

static void *open_and_stay(void *arg)
{
	struct opener *opener = arg;

	opener->reader = srcu_read_lock(&domain);
	count(&opener->opened);
	wait_until_set(&opener->may_end);
	return (void *)mmun_srcu_open_here(&domain);
}

static void test_other_thread(const char *how)
{
	struct waiter waiter = { .ssp = &domain };
	struct opener opener = { 0 };
	pthread_t thread, waiting;
	void *open;

	thread = spawn(open_and_stay, &opener);
	wait_until_set(&opener.opened);
	is((long)mmun_srcu_open_here(&domain), 0, "another thread's section is not ours (%s)", how);
	waiting = spawn(synchronizer, &waiter);
	let_others_run();
	ok(!counted(&waiter.done), "it is waited for (%s)", how);
	srcu_read_unlock(&domain, &opener.reader);
	pthread_join(waiting, NULL);
	ok(waiter.done, "and may be left on another thread");
	count(&opener.may_end);
	pthread_join(thread, &open);
	ok(!open, "after which its own thread is inside no more");
	synchronize_srcu(&domain);
}

static void test_open_here(const char *how)
{
	struct mmun_reader a = srcu_read_lock(&domain), b = srcu_read_lock(&domain);

	is((long)mmun_srcu_open_here(&domain), 2, "a thread knows its own sections (%s)", how);
	srcu_read_unlock(&domain, &a);
	is((long)mmun_srcu_open_here(&domain), 1, "one ended");
	srcu_read_unlock(&domain, &b);
	is((long)mmun_srcu_open_here(&domain), 0, "both did");
}

static void test_deadline(const char *how)
{
	struct opener opener = { 0 };
	pthread_t thread = spawn(open_and_stay, &opener);
	uint64_t before;

	wait_until_set(&opener.opened);
	before = mmun_now();
	ok(!mmun_srcu_synchronize_until(&domain, before + 50 * MMUN_NSEC_PER_MSEC),
	   "a grace period gives up in time (%s)", how);
	ok(mmun_now() - before >= 50 * MMUN_NSEC_PER_MSEC, "and not before");
	srcu_read_unlock(&domain, &opener.reader);
	ok(mmun_srcu_synchronize_until(&domain, mmun_now() + 60 * MMUN_NSEC_PER_SEC),
	   "the next one ends with the section");
	count(&opener.may_end);
	pthread_join(thread, NULL);
}

/* Cells alone: threads that are gone, and more of them than there are cells. */

static void *leave_open(void *arg)
{
	*(struct mmun_reader *)arg = srcu_read_lock(&domain);
	return NULL;
}

static void test_gone(void)
{
	unsigned long dropped = domain.dropped;
	struct mmun_reader left;

	pthread_join(spawn(leave_open, &left), NULL);
	synchronize_srcu(&domain);
	is((long)(domain.dropped - dropped), 1, "a section whose thread is gone is over");
	synchronize_srcu(&domain);
	synchronize_srcu(&domain);
	is((long)(domain.dropped - dropped), 1, "once and for all");
	srcu_read_unlock(&domain, &left);
	synchronize_srcu(&domain);
	ok(true, "to end it later changes nothing");
	for (int i = 0; i < 2; i++) {
		struct mmun_reader own = srcu_read_lock(&domain);

		ok(!mmun_srcu_synchronize_until(&domain, mmun_now() + 20 * MMUN_NSEC_PER_MSEC),
		   "no other section is taken for it (bank %d)", bank_of(&own));
		srcu_read_unlock(&domain, &own);
		synchronize_srcu(&domain);
		synchronize_srcu(&domain);
	}
}

static void *enter_once(void *arg)
{
	enter_and_leave();
	return NULL;
}

static void test_takeover(void)
{
	for (int i = 0; i < 2000; i++)
		pthread_join(spawn(enter_once, NULL), NULL);
	ok(domain.cells->nr < 100, "2000 threads after each other leave %u cells",
	   domain.cells->nr);
}

/* Asleep until it is opened: more than a thousand that look every now and then take minutes. */
static pthread_rwlock_t gate = PTHREAD_RWLOCK_INITIALIZER;

static void *enter_and_stay(void *arg)
{
	struct opener *opener = arg;
	struct mmun_reader reader;

	enter_and_leave();
	reader = srcu_read_lock(&domain);
	(void)mmun_add_full(&opener->opened, 1);
	pthread_rwlock_rdlock(&gate);
	pthread_rwlock_unlock(&gate);
	srcu_read_unlock(&domain, &reader);
	return (void *)mmun_srcu_open_here(&domain);
}

static void test_crowd(void)
{
	enum { CROWD = MMUN_SRCU_CELLS + 100 };
	static pthread_t threads[CROWD];
	struct waiter waiter = { .ssp = &domain };
	struct opener opener = { 0 };
	pthread_attr_t attr;
	pthread_t waiting;
	unsigned long wrong = 0;
	int nr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	pthread_rwlock_wrlock(&gate);
	for (nr = 0; nr < CROWD; nr++)
		if (pthread_create(&threads[nr], &attr, enter_and_stay, &opener))
			break;
	while (counted(&opener.opened) < nr)
		usleep(1000);
	diag("%d threads, %u cells", nr, domain.cells->nr);
	ok(domain.cells->nr <= MMUN_SRCU_CELLS, "no more cells than there are");
	waiting = spawn(synchronizer, &waiter);
	let_others_run();
	ok(!counted(&waiter.done), "threads beyond the cells are waited for");
	pthread_rwlock_unlock(&gate);
	pthread_join(waiting, NULL);
	for (int i = 0; i < nr; i++) {
		void *open;

		pthread_join(threads[i], &open);
		wrong += (unsigned long)open;
	}
	is((long)wrong, 0, "and end their sections");
	pthread_attr_destroy(&attr);
}

/* A handler claims the thread's cell wherever it interrupts the claim. */
static void *claim_under_signals(void *arg)
{
	pthread_t target = *(pthread_t *)arg;

	while (!counted(&stop))
		pthread_kill(target, SIGUSR1);
	return NULL;
}

static void test_interrupted_claim(void)
{
	struct mmun_reader reader;
	pthread_t self = pthread_self(), thread;
	long wrong = 0;

	signal(SIGUSR1, section_in_handler);
	stop = 0;
	thread = spawn(claim_under_signals, &self);
	for (int i = 0; i < 300; i++) {
		memset(mmun_task.cell, 0, sizeof(mmun_task.cell));
		mmun_compiler_barrier();
		reader = srcu_read_lock(&domain);
		wrong += mmun_srcu_open_here(&domain) != 1;
		wrong += mmun_srcu_synchronize_until(&domain, mmun_now() + 1);
		srcu_read_unlock(&domain, &reader);
		wrong += mmun_srcu_open_here(&domain) != 0;
	}
	count(&stop);
	pthread_join(thread, NULL);
	signal(SIGUSR1, SIG_DFL);
	synchronize_srcu(&domain);
	is(wrong, 0, "claims interrupted by handlers that claim");
}

static void in_child_of_fork(void *arg)
{
	struct mmun_reader reader;

	domain_init(true);
	reader = srcu_read_lock(&domain);
	if (mmun_srcu_open_here(&domain) != 1)
		_exit(2);
	if (mmun_srcu_synchronize_until(&domain, mmun_now() + 10 * MMUN_NSEC_PER_MSEC))
		_exit(3);
	srcu_read_unlock(&domain, &reader);
	synchronize_srcu(&domain);
}

static void test_child(void)
{
	char text[256];

	enter_and_leave();
	ok(exited_well(run_in_child(in_child_of_fork, NULL, text, sizeof(text))),
	   "a forked child's domain has cells of its own");
}

/* Shares memory and thread-local storage, with another id. */
static void test_vfork(void)
{
	struct mmun_reader reader = srcu_read_lock(&domain);
	unsigned long opened = domain.slots[0].opened[0] + domain.slots[0].opened[1], now = 0;
	pid_t pid;

	(void)opened;
	pid = vfork();
	if (!pid) {
		for (int i = 0; i < 1000; i++)
			enter_and_leave();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	is((long)mmun_srcu_open_here(&domain), 1, "a child of vfork() counts right");
	srcu_read_unlock(&domain, &reader);
	/* One whose parent has no cell yet gets none. */
	memset(mmun_task.cell, 0, sizeof(mmun_task.cell));
	pid = vfork();
	if (!pid) {
		enter_and_leave();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	ok(!mmun_task.cell[0].slot, "nor claims a cell");
	for (unsigned int i = 0; i <= domain.mask; i++)
		now += domain.slots[i].opened[0] + domain.slots[i].opened[1];
	ok(now > 0, "but counts in a slot");
	synchronize_srcu(&domain);
}

static void *share_and_count(void *arg)
{
	struct mmun_reader a = srcu_read_lock(&domain), b;

	mmun_srcu_share();
	b = srcu_read_lock(&domain);
	if (mmun_srcu_is_cell(&domain, b.slot) || !mmun_srcu_is_cell(&domain, a.slot))
		return (void *)1;
	srcu_read_unlock(&domain, &a);
	srcu_read_unlock(&domain, &b);
	return NULL;
}

static void test_share(void)
{
	void *wrong;

	pthread_join(spawn(share_and_count, NULL), &wrong);
	ok(!wrong, "a thread that shares its storage counts in slots");
	synchronize_srcu(&domain);
	ok(true, "and what it had open before has ended");
}

/* A filter that answers EPERM to membarrier, set after the domain was made. */
static void without_membarrier(void *arg)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };
	static struct srcu_struct other;
	static struct srcu_slot other_slots[MMUN_SRCU_MAX_SLOTS];

	domain_init(true);
	enter_and_leave();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(77);
	synchronize_srcu(&domain);
	if (!domain.fallbacks)
		_exit(2);
	/* And again: what it has done once can be done twice. */
	synchronize_srcu(&domain);
	mmun_srcu_init(&other, other_slots, mmun_srcu_nr_slots());
	if (mmun_srcu_use_cells(&other))
		_exit(3);
}

static void test_no_membarrier(void)
{
	char text[256];

	is(run_in_child(without_membarrier, NULL, text, sizeof(text)), 0,
	   "membarrier may be forbidden later, or from the beginning");
}

static void test_parallel(void)
{
	struct waiter waiters[8] = { 0 };
	pthread_t threads[8];
	struct mmun_reader reader = srcu_read_lock(&domain);
	long done = 0;

	for (int i = 0; i < 8; i++) {
		waiters[i].ssp = &domain;
		threads[i] = spawn(synchronizer, &waiters[i]);
	}
	let_others_run();
	for (int i = 0; i < 8; i++)
		done += counted(&waiters[i].done);
	is(done, 0, "eight grace periods wait for one section");
	srcu_read_unlock(&domain, &reader);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	ok(true, "and all end after it");
}

static void *reader(void *arg)
{
	while (!counted(&stop))
		enter_and_leave();
	return NULL;
}

static void test_signal_handler(void)
{
	pthread_t thread;

	signal(SIGUSR1, section_in_handler);
	stop = 0;
	thread = spawn(reader, NULL);
	for (int i = 0; i < 2000; i++) {
		pthread_kill(thread, SIGUSR1);
		if (i % 20 == 0)
			synchronize_srcu(&domain);
	}
	count(&stop);
	pthread_join(thread, NULL);
	synchronize_srcu(&domain);
	ok(handler_runs > 0, "sections in signal handlers that interrupt sections");
	signal(SIGUSR1, SIG_DFL);
}

struct job {
	struct mmun_callback callback;
	int number;
	pthread_t thread;
	bool signals_blocked;
};

static long jobs_done;
static int job_order[200];

static void job_func(struct mmun_callback *callback)
{
	struct job *job = mmun_container_of(callback, struct job, callback);
	sigset_t mask;

	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	job->signals_blocked = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGUSR1);
	job->thread = pthread_self();
	if (counted(&jobs_done) < 200)
		job_order[counted(&jobs_done)] = job->number;
	count(&jobs_done);
}

static void test_callbacks(void)
{
	static struct job jobs[200];
	struct mmun_reader reader;
	int before;
	bool in_order = true;

	srcu_barrier();
	ok(true, "a barrier without callbacks returns");
	before = nr_threads();
	is(mmun_srcu_worker_start(), 0, "the worker starts");
	is(nr_threads(), before + 1, "it is one thread");
	is(mmun_srcu_worker_start(), 0, "starting it again is fine");
	is(nr_threads(), before + 1, "and makes no second one");

	reader = srcu_read_lock(&domain);
	allocations = 0;
	fail_allocation(1000);
	for (int i = 0; i < 200; i++) {
		jobs[i].number = i;
		call_srcu(&domain, &jobs[i].callback, job_func);
	}
	fail_allocation(0);
	is(allocations, 0, "call_srcu() allocates nothing");
	let_others_run();
	is(counted(&jobs_done), 0, "no callback runs before the section ends");
	srcu_read_unlock(&domain, &reader);
	srcu_barrier();
	is(counted(&jobs_done), 200, "after a barrier all have run");
	for (int i = 0; i < 200; i++)
		in_order &= job_order[i] == i;
	ok(in_order, "in the order of their calls");
	ok(!pthread_equal(jobs[0].thread, pthread_self()), "in another thread");
	ok(jobs[0].signals_blocked, "which takes no signals");
}

static void in_forked_child(void *arg)
{
	static struct job job;
	static struct srcu_slot own_slots[MMUN_SRCU_MAX_SLOTS];
	static struct srcu_struct own;

	mmun_srcu_init(&own, own_slots, mmun_srcu_nr_slots());
	srcu_barrier(); /* must not wait for the parent's worker */
	jobs_done = 0;
	if (nr_threads() != 1)
		_exit(2);
	call_srcu(&own, &job.callback, job_func);
	srcu_barrier();
	if (jobs_done != 1)
		_exit(3);
	/* A domain that was queued in the parent when it forked. */
	call_srcu(&domain, &job.callback, job_func);
	srcu_barrier();
	if (jobs_done != 2)
		_exit(4);
}

static void test_fork(void)
{
	static struct job job;
	char text[1024];
	struct mmun_reader reader = srcu_read_lock(&domain);
	int status;

	call_srcu(&domain, &job.callback, job_func);
	/* In the child this section is open for ever: leave it for the copy. */
	srcu_read_unlock(&domain, &reader);
	srcu_barrier();
	status = run_in_child(in_forked_child, NULL, text, sizeof(text));
	ok(exited_well(status), "a forked child gets a worker of its own when it needs one");
	if (!exited_well(status))
		diag("status %x: %s", status, text);
}

static void test_readers(const char *how)
{
	test_idle();
	test_waits(how);
	test_later_reader();
	test_other_thread(how);
	test_open_here(how);
	test_deadline(how);
	test_parallel();
	test_signal_handler();
}

static unsigned long pages_mapped(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%lu", &pages) != 1)
		bail_out("no /proc/self/statm");
	fclose(file);
	return pages;
}

/* The cells go with the domain, unless there is a thread that may remember one. */
static void test_cells_go(void)
{
	unsigned long before = pages_mapped();

	for (int i = 0; i < 1000; i++) {
		domain_init(true);
		mmun_srcu_destroy(&domain);
	}
	ok(pages_mapped() < before + 1000 * sizeof(struct srcu_cells) / 4096 / 2,
	   "the cells of a domain that nobody entered go with it");
	domain_init(true);
	enter_and_leave();
	mmun_srcu_destroy(&domain);
	ok(!mmun_srcu_open_anywhere(), "those that a thread remembers stay");
	memset(mmun_task.cell, 0, sizeof(mmun_task.cell));
}

static void without_memory(void *arg)
{
	struct rlimit limit = { 4096, 4096 };

	setrlimit(RLIMIT_AS, &limit);
	mmun_srcu_init(&domain, slots, mmun_srcu_nr_slots());
	if (mmun_srcu_use_cells(&domain) || domain.cells || domain.cells_size)
		_exit(2);
	enter_and_leave();
	synchronize_srcu(&domain);
}

static void test_no_cells(void)
{
	char text[256];

	is(run_in_child(without_memory, NULL, text, sizeof(text)), 0,
	   "R7 without memory for cells it counts in slots");
}

/* The first cell of all, whose thread is gone. */
static void test_first_gone(void)
{
	struct mmun_reader left;

	domain_init(true);
	pthread_join(spawn(leave_open, &left), NULL);
	ok(left.slot == &domain.cells->cell[0], "a thread that has the first cell ends inside");
	ok(mmun_srcu_synchronize_until(&domain, mmun_now() + 60 * MMUN_NSEC_PER_SEC),
	   "nor is that one waited for");
}

static void test_cells(void)
{
	const bool expected = cells_expected();

	mmun_srcu_init(&domain, slots, mmun_srcu_nr_slots());
	is(mmun_srcu_use_cells(&domain), expected, "cells where the kernel has membarrier");
	is(!!domain.cells, expected, "as it says");
	if (!expected) {
		skip("cells", "no membarrier, or ThreadSanitizer, which does not know it");
		return;
	}
	test_first_gone();
	test_no_cells();
	test_cells_go();
	domain_init(true);
	test_readers("cells");
	is((long)domain.fallbacks, 0, "membarrier did for all of them");
	test_gone();
	test_takeover();
	test_interrupted_claim();
	test_vfork();
	test_share();
	test_child();
	test_no_membarrier();
	test_crowd();
}

int main(void)
{
	domain_init(false);
	test_slots();
	test_readers("slots by CPU");
	domain.rseq_offset = 0;
	test_readers("slots by thread");
	test_cells();
	domain_init(false);
	test_callbacks();
	test_fork();
	return tap_done();
}
