// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* core/srcu.c and core/srcu_worker.c: sections, grace periods, callbacks. */
#include "fake.h"

#include <dirent.h>

static struct srcu_slot slots[MMUN_SRCU_MAX_SLOTS];
static struct srcu_struct domain;

static void domain_init(void)
{
	memset(slots, 0, sizeof(slots));
	mmun_srcu_init(&domain, slots, mmun_srcu_nr_slots());
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
	ok(domain.rseq_offset, "libc shares the CPU number (without it: a hash of the thread)");
}

static void test_idle(void)
{
	int a, b;

	synchronize_srcu(&domain);
	ok(true, "a grace period without readers ends");
	a = srcu_read_lock(&domain);
	b = srcu_read_lock(&domain);
	srcu_read_unlock(&domain, a);
	srcu_read_unlock(&domain, b);
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

/* A section that is open when the grace period begins; the same for each bank. */
static void test_waits(const char *how)
{
	for (int round = 0; round < 2; round++) {
		struct waiter waiter = { .ssp = &domain };
		int bank = srcu_read_lock(&domain), later;
		pthread_t thread = spawn(synchronizer, &waiter);

		let_others_run();
		ok(!counted(&waiter.done), "a grace period waits for an open section (%s, bank %d)",
		   how, bank);
		later = srcu_read_lock(&domain);
		srcu_read_unlock(&domain, later);
		ok(!counted(&waiter.done), "a section that came and went meanwhile changes nothing");
		srcu_read_unlock(&domain, bank);
		pthread_join(thread, NULL);
		ok(waiter.done, "the grace period ends with the section");
		synchronize_srcu(&domain);	/* so that the next round has the other bank */
		synchronize_srcu(&domain);
		synchronize_srcu(&domain);
	}
}

static void test_later_reader(void)
{
	struct waiter waiter = { .ssp = &domain };
	int bank = srcu_read_lock(&domain), later;
	pthread_t thread = spawn(synchronizer, &waiter);

	/* The first wait is for the bank that new readers do not use, so ->idx
	 * flips even while this section is open. */
	while ((int)(mmun_load_full(&domain.idx) & 1) == bank)
		usleep(100);
	later = srcu_read_lock(&domain);
	ok(later != bank, "readers that come during a grace period go to the other bank");
	srcu_read_unlock(&domain, bank);
	pthread_join(thread, NULL);
	ok(waiter.done, "and are not waited for");
	srcu_read_unlock(&domain, later);
}

static int section;

static void *enter_section(void *arg)
{
	section = srcu_read_lock(&domain);
	return NULL;
}

static void test_other_thread(void)
{
	struct waiter waiter = { .ssp = &domain };
	pthread_t thread;

	pthread_join(spawn(enter_section, NULL), NULL);
	thread = spawn(synchronizer, &waiter);
	let_others_run();
	ok(!counted(&waiter.done), "a section outlives the thread that entered it");
	srcu_read_unlock(&domain, section);
	pthread_join(thread, NULL);
	ok(waiter.done, "and may be left on another");
}

static void test_parallel(void)
{
	struct waiter waiters[8] = { 0 };
	pthread_t threads[8];
	int bank = srcu_read_lock(&domain);
	long done = 0;

	for (int i = 0; i < 8; i++) {
		waiters[i].ssp = &domain;
		threads[i] = spawn(synchronizer, &waiters[i]);
	}
	let_others_run();
	for (int i = 0; i < 8; i++)
		done += counted(&waiters[i].done);
	is(done, 0, "eight grace periods wait for one section");
	srcu_read_unlock(&domain, bank);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	ok(true, "and all end after it");
}

static long stop, handler_runs;

static void section_in_handler(int sig)
{
	srcu_read_unlock(&domain, srcu_read_lock(&domain));
	count(&handler_runs);
}

static void *reader(void *arg)
{
	while (!counted(&stop))
		srcu_read_unlock(&domain, srcu_read_lock(&domain));
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
	int before, bank;
	bool in_order = true;

	srcu_barrier();
	ok(true, "a barrier without callbacks returns");
	before = nr_threads();
	is(mmun_srcu_worker_start(), 0, "the worker starts");
	is(nr_threads(), before + 1, "it is one thread");
	is(mmun_srcu_worker_start(), 0, "starting it again is fine");
	is(nr_threads(), before + 1, "and makes no second one");

	bank = srcu_read_lock(&domain);
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
	srcu_read_unlock(&domain, bank);
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
	srcu_barrier();		/* must not wait for the parent's worker */
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
	int bank = srcu_read_lock(&domain), status;

	call_srcu(&domain, &job.callback, job_func);
	/* In the child this section is open for ever: leave it for the copy. */
	srcu_read_unlock(&domain, bank);
	srcu_barrier();
	status = run_in_child(in_forked_child, NULL, text, sizeof(text));
	ok(exited_well(status), "a forked child gets a worker of its own when it needs one");
	if (!exited_well(status))
		diag("status %x: %s", status, text);
}

int main(void)
{
	domain_init();
	test_slots();
	test_idle();
	test_waits("slots by CPU");
	domain.rseq_offset = 0;
	test_waits("slots by thread");
	domain_init();
	test_later_reader();
	test_other_thread();
	test_parallel();
	test_signal_handler();
	test_callbacks();
	test_fork();
	return tap_done();
}
