/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* base/percpu_rwsem.c: readers and writers keep each other out, and which goes first. */
#include "fake.h"

#include "clock.h"
#include "percpu_rwsem.h"

static struct mmun_percpu_rwsem sem, other;

/* A thread that gets in, says so, and leaves when it may. */
struct visitor {
	bool writes, nests;
	long inside, may_leave, nested, left;
};

static void *visit(void *arg)
{
	struct visitor *visitor = arg;
	unsigned int slot = 0, again;

	if (visitor->writes)
		mmun_percpu_write_lock(&sem);
	else
		slot = mmun_percpu_read_lock(&sem);
	count(&visitor->inside);
	wait_until_set(&visitor->may_leave);
	if (visitor->nests) {
		again = mmun_percpu_read_lock(&sem);
		count(&visitor->nested);
		mmun_percpu_read_unlock(&sem, again);
	}
	if (visitor->writes)
		mmun_percpu_write_unlock(&sem);
	else
		mmun_percpu_read_unlock(&sem, slot);
	count(&visitor->left);
	return NULL;
}

static pthread_t visit_now(struct visitor *visitor)
{
	pthread_t thread = spawn(visit, visitor);

	wait_until_set(&visitor->inside);
	return thread;
}

static void leave_now(struct visitor *visitor, pthread_t thread)
{
	count(&visitor->may_leave);
	pthread_join(thread, NULL);
}

static bool gets_in(struct visitor *visitor)
{
	for (int i = 0; i < 20000 && !counted(&visitor->inside); i++)
		usleep(100);
	return counted(&visitor->inside);
}

static void test_readers(void)
{
	struct visitor reader = { 0 };
	pthread_t thread = visit_now(&reader);
	unsigned int slot = mmun_percpu_read_lock(&sem);

	ok(true, "two readers are inside");
	ok(mmun_percpu_read_held(&sem) && !mmun_percpu_read_held(&other), "and know where");
	mmun_percpu_read_unlock(&sem, slot);
	ok(!mmun_percpu_read_held(&sem), "until they leave");
	leave_now(&reader, thread);
}

static void test_writer_waits(void)
{
	struct visitor reader = { 0 }, writer = { .writes = true };
	pthread_t reading = visit_now(&reader), writing = spawn(visit, &writer);

	let_others_run();
	ok(!counted(&writer.inside), "L3 a writer waits for a reader that is inside");
	leave_now(&reader, reading);
	ok(gets_in(&writer), "L3 until he has left");
	leave_now(&writer, writing);
}

static void test_reader_waits(void)
{
	struct visitor reader = { 0 }, writer = { .writes = true };
	pthread_t writing = visit_now(&writer), reading = spawn(visit, &reader);

	let_others_run();
	ok(!counted(&reader.inside), "L3 a reader waits for a writer");
	leave_now(&writer, writing);
	ok(gets_in(&reader), "L3 until he has left");
	leave_now(&reader, reading);
}

/* It would wait for the writer who waits for it. */
static void test_nested(void)
{
	struct visitor reader = { .nests = true }, writer = { .writes = true };
	pthread_t reading = visit_now(&reader), writing = spawn(visit, &writer);

	while (!mmun_load_full(&sem.writing))
		usleep(100);
	count(&reader.may_leave);
	for (int i = 0; i < 20000 && !counted(&reader.nested); i++)
		usleep(100);
	if (!ok(counted(&reader.nested), "L2 a reader gets in again while a writer waits for him"))
		exit(tap_done());
	pthread_join(reading, NULL);
	leave_now(&writer, writing);
}

/* Readers that wait get in between two writers. */
static void test_hand_over(void)
{
	struct visitor reader = { 0 };
	pthread_t thread;

	count(&reader.may_leave);
	mmun_percpu_write_lock(&sem);
	thread = spawn(visit, &reader);
	while (!mmun_load_full(&sem.waiting))
		usleep(100);
	/* One of two processors may be enough for the writer alone. */
	for (int i = 0; i < 100 && !counted(&reader.left); i++) {
		mmun_percpu_write_unlock(&sem);
		mmun_percpu_write_lock(&sem);
	}
	ok(counted(&reader.inside), "L2 writers in a row let a reader in that waits");
	mmun_percpu_write_unlock(&sem);
	pthread_join(thread, NULL);
	is(sem.waiting, 0, "and nobody waits any more");
}

/* He was stopped before he could get in.  A busy machine makes it longer, never shorter. */
static void test_passed_by(void)
{
	uint64_t least = ~0ul, begin;

	for (int i = 0; i < 5; i++) {
		mmun_store_full(&sem.waiting, 1);
		begin = mmun_now();
		mmun_percpu_write_lock(&sem);
		begin = mmun_now() - begin;
		least = begin < least ? begin : least;
		mmun_percpu_write_unlock(&sem);
	}
	ok(least >= 5 * MMUN_NSEC_PER_MSEC,
	   "L2 a writer gives readers that wait the time to get in");
	ok(true, "L2 but one that is stopped does not hold him up");
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static bool is_idle(void)
{
	unsigned long entered = 0, left = 0;

	for (int i = 0; i < MMUN_RWSEM_SLOTS; i++) {
		entered += sem.slot[i].entered;
		left += sem.slot[i].left;
	}
	return entered == left;
}

static void test_migration(void)
{
	unsigned int slot, outer;
	cpu_set_t before;

	sched_getaffinity(0, sizeof(before), &before);
	pin(0);
	outer = mmun_percpu_read_lock(&sem);
	pin(1);
	slot = mmun_percpu_read_lock(&sem);
	pin(0);
	mmun_percpu_read_unlock(&sem, outer);
	pin(1);
	mmun_percpu_read_unlock(&sem, slot);
	sched_setaffinity(0, sizeof(before), &before);
	ok(is_idle(), "a reader that changes its processor leaves as often as it has entered");
	mmun_percpu_write_lock(&sem);
	mmun_percpu_write_unlock(&sem);
}

/* One inside the other, and each as often as one likes. */
static void test_two(void)
{
	unsigned int first = mmun_percpu_read_lock(&sem), second = mmun_percpu_read_lock(&other);

	ok(mmun_percpu_read_held(&sem), "of two the outer one is known");
	mmun_percpu_read_unlock(&other, second);
	mmun_percpu_read_unlock(&sem, first);
	ok(!mmun_percpu_read_held(&sem) && is_idle(), "and left");
}

static void write_inside(void *arg)
{
	mmun_percpu_read_lock(&sem);
	mmun_percpu_write_lock(&sem);
}

static void test_misuse(void)
{
	char text[1024];

	ok(aborted(run_in_child(write_inside, NULL, text, sizeof(text))) &&
		   strstr(text, "waits for itself"),
	   "L2 a reader that becomes a writer is reported");
}

/* Everybody at once. */

static long readers_inside, wrong, stop;
static unsigned long written[2];

static void *read_on_and_on(void *arg)
{
	unsigned int slot;

	while (!counted(&stop)) {
		slot = mmun_percpu_read_lock(&sem);
		(void)mmun_add_full(&readers_inside, 1);
		if (mmun_load_relaxed(&written[0]) != mmun_load_relaxed(&written[1]))
			count(&wrong);
		(void)mmun_sub_full(&readers_inside, 1);
		mmun_percpu_read_unlock(&sem, slot);
		count((long *)arg);
	}
	return NULL;
}

static void *write_on_and_on(void *arg)
{
	while (!counted(&stop)) {
		mmun_percpu_write_lock(&sem);
		if (mmun_load_full(&readers_inside))
			count(&wrong);
		mmun_store_relaxed(&written[0], written[0] + 1);
		sched_yield();
		mmun_store_relaxed(&written[1], written[1] + 1);
		mmun_percpu_write_unlock(&sem);
		count((long *)arg);
		usleep(100);
	}
	return NULL;
}

static void test_crowd(void)
{
	pthread_t threads[6];
	long done[6] = { 0 };
	bool all = false;

	for (int i = 0; i < 6; i++)
		threads[i] = spawn(i < 4 ? read_on_and_on : write_on_and_on, &done[i]);
	usleep(500000);
	for (int tries = 0; !all && tries < 600; tries++) {
		usleep(tries ? 100000 : 0);
		all = true;
		for (int i = 0; i < 6; i++)
			all &= counted(&done[i]) > 10;
	}
	count(&stop);
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	is(wrong, 0, "L3 four readers and two writers: nobody is inside together with a writer");
	ok(all, "L2 and each gets in (%ld, %ld, %ld, %ld; %ld, %ld)", done[0], done[1], done[2],
	   done[3], done[4], done[5]);
	ok(is_idle() && !sem.waiting && !sem.writing, "at the end nobody is counted");
}

int main(void)
{
	mmun_percpu_rwsem_init(&sem, MMUN_RANK_SOFT_CHANGES);
	mmun_percpu_rwsem_init(&other, MMUN_RANK_SOFT_CHANGES);
	test_readers();
	test_writer_waits();
	test_reader_waits();
	test_nested();
	test_hand_over();
	test_passed_by();
	test_migration();
	test_two();
	test_misuse();
	test_crowd();
	mmun_percpu_rwsem_destroy(&other);
	mmun_percpu_rwsem_destroy(&sem);
	return tap_done();
}
