/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * core/call_srcu.c where the machine refuses memory or a thread, where two come at once, and
 * where a wake-up could be lost.  Includes the file, to refuse, and to let something happen
 * right before its exchange and its sleeps.
 */
#include "call_srcu.h"
#include "fake.h"
#include "futex.h"

#include <sys/prctl.h>

static int refuse_memory, refuse_attributes, refuse_thread;
static long mappings, unmappings, threads;
static void (*before_exchange)(void);
static void (*before_sleep)(const unsigned int *word, unsigned int value);

static long map(unsigned long size)
{
	if (refuse_memory)
		return -ENOMEM;
	mappings++;
	return mmun_syscall6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			     (unsigned long)-1, 0);
}

static long system_call(long nr, unsigned long a, unsigned long b, unsigned long c)
{
	unmappings += nr == SYS_munmap;
	return mmun_syscall3(nr, a, b, c);
}

static int create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	if (refuse_thread)
		return EAGAIN;
	count(&threads);
	return pthread_create(thread, attr, fn, arg);
}

static void sleep_on(const unsigned int *word, unsigned int value)
{
	void (*what)(const unsigned int *, unsigned int) = mmun_load_full(&before_sleep);

	if (what)
		what(word, value);
	mmun_futex_wait(word, value);
}

static void interfere(void)
{
	void (*what)(void) = before_exchange;

	before_exchange = NULL;
	if (what)
		what();
}

#undef mmun_cas_full
#define mmun_cas_full(p, expected, desired) \
	({ \
		interfere(); \
		__atomic_compare_exchange_n((p), (expected), (desired), 0, __ATOMIC_SEQ_CST, \
					    __ATOMIC_SEQ_CST); \
	})
#define mmun_syscall6(nr, a, size, c, d, e, f) map(size)
#define mmun_syscall3(nr, a, b, c)             system_call((nr), (a), (b), (c))
#define mmun_futex_wait(word, value)           sleep_on((word), (value))
#define pthread_create(thread, attr, fn, arg)  create((thread), (attr), (fn), (arg))
#define pthread_attr_init(attr)                (refuse_attributes ? ENOMEM : (pthread_attr_init)(attr))
#include "../../../core/call_srcu.c"
#undef pthread_create

static struct srcu_struct domain;
static struct srcu_slot slots[MMUN_SRCU_MAX_SLOTS];

struct job {
	struct mmun_callback callback;
	long done;
	char name[16];
	size_t stack_size;
	int detach_state;
};

static void run_job(struct mmun_callback *callback)
{
	struct job *job = mmun_container_of(callback, struct job, callback);
	pthread_attr_t attr;

	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getdetachstate(&attr, &job->detach_state);
	pthread_attr_getstacksize(&attr, &job->stack_size);
	pthread_attr_destroy(&attr);
	prctl(PR_GET_NAME, job->name);
	count(&job->done);
}

static void job_init(struct job *job)
{
	/* Whatever the memory was before. */
	memset(&job->callback, 0xee, sizeof(job->callback));
	job->done = 0;
}

static void submit(struct job *job)
{
	job_init(job);
	call_srcu(&domain, &job->callback, run_job);
}

/* Without a barrier, which wakes the worker. */
static bool done_soon(struct job *job)
{
	for (int i = 0; i < 20000 && !counted(&job->done); i++)
		usleep(500);
	return counted(&job->done);
}

#define check(condition) \
	do { \
		if (!(condition)) { \
			dprintf(2, "line %d: %s", __LINE__, #condition); \
			_exit(1); \
		} \
	} while (0)

/* Each in a child of its own, which has no worker yet. */

static struct job job, second_job;

static void no_memory(void *arg)
{
	struct mmun_callback callback = { .next = &callback };

	refuse_memory = 1;
	check(mmun_srcu_worker_start() == -ENOMEM);
	call_srcu(&domain, &callback, run_job);
	check(callback.next == &callback && !domain.callbacks && !domain.queued_in);
	srcu_barrier();
	refuse_memory = 0;
	submit(&job);
	check(done_soon(&job));
}

static void no_thread(void *arg)
{
	refuse_thread = 1;
	check(mmun_srcu_worker_start() == -EAGAIN);
	submit(&job);
	srcu_barrier();
	check(!job.done);
	refuse_thread = 0;
	srcu_barrier();
	check(job.done);
}

static void no_attributes(void *arg)
{
	refuse_attributes = 1;
	check(mmun_srcu_worker_start() == -ENOMEM);
	check(!threads);
	refuse_attributes = 0;
	check(!mmun_srcu_worker_start());
	check(threads == 1);
}

static void first_call_starts_it(void *arg)
{
	submit(&job);
	check(done_soon(&job));
	check(threads == 1);
}

static void wakes_it(void *arg)
{
	check(!mmun_srcu_worker_start());
	for (int i = 0; i < 20; i++) {
		let_others_run();
		submit(&job);
		check(done_soon(&job));
	}
	check(threads == 1);
}

/* Between the look at the queue and the sleep. */

static long about_to_sleep, may_sleep;

static void hold_worker(const unsigned int *word, unsigned int value)
{
	mmun_store_full(&before_sleep, NULL);
	count(&about_to_sleep);
	wait_until_set(&may_sleep);
}

static void comes_before_sleep(void *arg)
{
	mmun_store_full(&before_sleep, hold_worker);
	check(!mmun_srcu_worker_start());
	wait_until_set(&about_to_sleep);
	submit(&job);
	count(&may_sleep);
	check(done_soon(&job));
}

static struct worker *others;

static void map_before(void)
{
	others = map_worker();
}

static void two_map_at_once(void *arg)
{
	before_exchange = map_before;
	check(map_worker() == others && others);
	check(mappings == 2 && unmappings == 1);
	check(mmun_load_full(&worker) == others);
}

static void *start_it(void *returned)
{
	check(!mmun_srcu_worker_start());
	count((long *)returned);
	return NULL;
}

/* The one that comes second finds the first one in the middle, and wakes for no reason. */
static void two_start_at_once(void *arg)
{
	long returned = 0;
	pthread_t thread;

	check(map_worker());
	mmun_store_full(&worker->state, WORKER_STARTING);
	thread = spawn(start_it, &returned);
	let_others_run();
	for (int i = 0; i < 5; i++) {
		mmun_futex_wake_all(&worker->state);
		let_others_run();
	}
	check(!counted(&returned) && !counted(&threads));
	set_state(worker, WORKER_RUNNING);
	pthread_join(thread, NULL);
	check(returned == 1 && !threads);
}

/* Failed for the first one: the second one tries. */
static void first_start_fails(void *arg)
{
	long returned = 0;
	pthread_t thread;

	check(map_worker());
	mmun_store_full(&worker->state, WORKER_STARTING);
	thread = spawn(start_it, &returned);
	let_others_run();
	set_state(worker, WORKER_NONE);
	pthread_join(thread, NULL);
	check(returned == 1 && threads == 1);
}

static void queued_in_the_parent(void *arg)
{
	/* What fork has copied: a queue that is not this process's. */
	domain.queued_in = 42;
	domain.callbacks = domain.last_callback = (struct mmun_callback *)8;
	submit(&job);
	submit(&second_job);
	check(done_soon(&job) && done_soon(&second_job));
	check(job.done == 1 && second_job.done == 1);
}

/* What stood behind the domain when it was queued before, in memory that may be gone. */
static void queued_again(void *arg)
{
	unsigned int reached = 0;
	struct mmun_pending long_ago = { .reached = &reached };

	domain.pending.next = &long_ago;
	submit(&job);
	check(done_soon(&job));
	srcu_barrier();
	submit(&job);
	srcu_barrier();
	check(job.done == 1 && !reached);
}

static void is_a_good_thread(void *arg)
{
	sigset_t before, after;

	sigemptyset(&before);
	sigaddset(&before, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	submit(&job);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	check(sigismember(&after, SIGUSR2) == 1 && !sigismember(&after, SIGTERM));
	check(done_soon(&job));
	check(job.detach_state == PTHREAD_CREATE_DETACHED);
	check(job.stack_size <= 4 * STACK_SIZE);
	check(!strcmp(job.name, "mmunotify"));
}

static void in_child(void (*fn)(void *), const char *what)
{
	char text[1024];
	int status = run_in_child(fn, NULL, text, sizeof(text));

	if (!ok(exited_well(status), "%s", what))
		diag("status %x: %s", status, text);
}

static void test_report(void)
{
	char text[1024];

	run_in_child(no_memory, NULL, text, sizeof(text));
	ok(strstr(text, "never freed"), "a callback that is lost for want of memory is reported");
}

int main(void)
{
	mmun_srcu_init(&domain, slots, mmun_srcu_nr_slots());
	test_report();
	in_child(no_memory, "R7 no memory for the queue: an error, nothing queued, later it works");
	in_child(no_thread, "R7 no thread: the barrier does not wait for it; later it is served");
	in_child(no_attributes, "R7 no attributes for a thread: an error, later it works");
	in_child(first_call_starts_it, "I1 the first callback starts the worker");
	in_child(wakes_it, "later ones wake it");
	in_child(comes_before_sleep, "also one that comes between its look and its sleep");
	in_child(two_map_at_once, "two first ones have one queue, the memory of the other goes");
	in_child(two_start_at_once, "I1 who finds it starting waits, and starts no second one");
	in_child(first_start_fails, "and tries it if that failed");
	in_child(queued_in_the_parent, "I3 what a parent has queued is not served in the child");
	in_child(queued_again, "I4 what stood behind it last time is not served again");
	in_child(is_a_good_thread, "I2 the caller's signals are as before; the thread is detached, "
				   "small and has a name");
	return tap_done();
}
