// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* core/gate.c: the door, nesting, signal handlers, forks. */
#include "fake.h"

static struct fake fake, other_fake;
static struct mm_struct *mm, *other;

struct actor {
	long started, inside, done;
	int cookie;
};

static void *enter_and_leave(void *arg)
{
	struct actor *actor = arg;

	count(&actor->started);
	actor->cookie = mmun_gate_enter(mm, false);
	count(&actor->inside);
	mmun_gate_exit(mm, actor->cookie);
	count(&actor->done);
	return NULL;
}

static void *close_and_open(void *arg)
{
	struct actor *actor = arg;

	count(&actor->started);
	mmun_gate_close(mm);
	count(&actor->done);
	mmun_gate_open(mm);
	return NULL;
}

static unsigned long waits(void)
{
	struct mmun_stats stats;

	mmun_mm_stats(mm, &stats);
	return stats.gate_waits;
}

static void test_closed(void)
{
	struct actor actor = { 0 };
	unsigned long before = waits();
	pthread_t thread;

	mmun_gate_close(mm);
	thread = spawn(enter_and_leave, &actor);
	wait_until_set(&actor.started);
	let_others_run();
	ok(!counted(&actor.done), "a closed gate keeps threads out");
	mmun_gate_open(mm);
	pthread_join(thread, NULL);
	ok(actor.done, "they enter when it opens");
	ok(waits() > before, "and are counted");
}

/* The next closing waits until whoever stood at the door has been inside. */
static bool handed_over(void)
{
	struct actor actor = { 0 };
	unsigned long before = waits();
	pthread_t thread;
	bool done;

	mmun_gate_close(mm);
	thread = spawn(enter_and_leave, &actor);
	while (waits() == before)
		sched_yield();
	while (!mmun_load_full(&mm->gate.waiting))
		sched_yield();
	let_others_run();
	mmun_gate_open(mm);
	mmun_gate_close(mm);
	done = counted(&actor.inside);
	mmun_gate_open(mm);
	pthread_join(thread, NULL);
	return done;
}

static void test_hand_over(void)
{
	int passed = 0;

	for (int round = 0; round < 50; round++)
		passed += handed_over();
	ok(passed > 40, "closing again lets those in who waited: %d of 50 times", passed);
}

/* What a waiter leaves behind that a signal handler jumped out of. */
static void test_forgotten_waiter(void)
{
	mmun_store_full(&mm->gate.waiting, 1);
	mmun_gate_close(mm);
	ok(!mmun_load_full(&mm->gate.waiting), "one who never comes is forgotten");
	mmun_gate_open(mm);
}

static void test_close_waits(void)
{
	struct actor actor = { 0 };
	int cookie = mmun_gate_enter(mm, false);
	pthread_t thread = spawn(close_and_open, &actor);

	wait_until_set(&actor.started);
	let_others_run();
	ok(!counted(&actor.done), "closing waits for the threads inside");
	mmun_gate_exit(mm, cookie);
	pthread_join(thread, NULL);
	ok(actor.done, "and ends when they have left");
}

static void test_nested(void)
{
	struct actor actor = { 0 };
	int outer = mmun_gate_enter(mm, false), inner;
	pthread_t thread = spawn(close_and_open, &actor);

	while (!mmun_load_full(&mm->gate.closed))
		usleep(100);
	inner = mmun_gate_enter(mm, true);
	ok(!counted(&actor.done), "a thread inside enters again while a closer waits for it");
	mmun_gate_exit(mm, inner);
	inner = mmun_gate_enter(mm, false);
	ok(!counted(&actor.done), "also when the caller did not know that it is inside");
	mmun_gate_exit(mm, inner);
	let_others_run();
	ok(!counted(&actor.done), "leaving the inner one does not let the closer through");
	mmun_gate_exit(mm, outer);
	pthread_join(thread, NULL);
	ok(actor.done, "leaving the outer one does");
	is(mmun_task.gate, 0, "the thread's books are clean");
}

static void *enter_as_nested(void *arg)
{
	struct actor *actor = arg;

	actor->cookie = mmun_gate_enter(mm, true);
	mmun_gate_exit(mm, actor->cookie);
	count(&actor->done);
	return NULL;
}

static void test_wrong_nested(void)
{
	struct actor actor = { 0 };
	pthread_t thread;

	mmun_gate_close(mm);
	thread = spawn(enter_as_nested, &actor);
	let_others_run();
	ok(!counted(&actor.done), "R2 a caller's wrong belief to be inside opens no closed gate");
	mmun_gate_open(mm);
	pthread_join(thread, NULL);
}

/*
 * A signal handler between two instructions of mmun_gate_enter(): the thread is
 * counted in, its books say MAYBE.
 */
static void *interrupted_entry(void *arg)
{
	struct actor *actor = arg;
	int bank = srcu_read_lock(&mm->srcu);

	mmun_task.gate = (uintptr_t)mm | MMUN_GATE_MAYBE;
	count(&actor->started);
	while (!mmun_load_full(&mm->gate.closed))
		sched_yield();
	actor->cookie = mmun_gate_enter(mm, false);
	ok(!mmun_load_full(&mm->gate.closed) || !counted(&actor->done),
	   "a handler in the middle of an entry makes the closer back off");
	mmun_gate_exit(mm, actor->cookie);
	is(mmun_task.gate, (uintptr_t)mm | MMUN_GATE_MAYBE, "and leaves the books as they were");
	mmun_task.gate = 0;
	srcu_read_unlock(&mm->srcu, bank);
	return NULL;
}

static void test_back_off(void)
{
	struct actor inside = { 0 }, closer = { 0 };
	pthread_t a = spawn(interrupted_entry, &inside), b;

	wait_until_set(&inside.started);
	b = spawn(close_and_open, &closer);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	ok(closer.done, "the closer gets its turn afterwards");
}

static long stop, entries;

static void enter_in_handler(int sig)
{
	mmun_gate_exit(mm, mmun_gate_enter(mm, false));
	count(&entries);
}

static void *busy(void *arg)
{
	while (!counted(&stop))
		mmun_gate_exit(mm, mmun_gate_enter(mm, false));
	return NULL;
}

static void *signaller(void *arg)
{
	const pthread_t *thread = arg;

	while (!counted(&stop)) {
		pthread_kill(*thread, SIGUSR1);
		for (int i = 0; i < 200; i++)
			mmun_cpu_relax();
	}
	return NULL;
}

static void test_handlers(void)
{
	pthread_t thread, killer;

	signal(SIGUSR1, enter_in_handler);
	thread = spawn(busy, NULL);
	killer = spawn(signaller, &thread);
	for (int i = 0; i < 3000 || counted(&entries) < 3000; i++) {
		mmun_gate_close(mm);
		mmun_gate_open(mm);
	}
	count(&stop);
	pthread_join(killer, NULL);
	pthread_join(thread, NULL);
	ok(true, "thousands of handlers enter while the gate closes and opens thousands of times");
	signal(SIGUSR1, SIG_DFL);
}

static long handled_while_closed;

static void note_closed(int sig)
{
	handled_while_closed = 1 + mmun_load_full(&mm->gate.closed);
}

static void test_signals_blocked(void)
{
	signal(SIGUSR1, note_closed);
	mmun_gate_close(mm);
	raise(SIGUSR1);
	is(handled_while_closed, 0, "no handler runs on the closer: it would wait at its own door");
	mmun_gate_open(mm);
	wait_for_handler(&handled_while_closed);
	is(handled_while_closed, 1, "it runs after the gate is open");
	signal(SIGUSR1, SIG_DFL);
}

static long inside_now, together;

static void *exclusive_closer(void *arg)
{
	for (int i = 0; i < 500; i++) {
		mmun_gate_close(mm);
		if (mmun_add_full(&inside_now, 1) != 1)
			count(&together);
		(void)mmun_sub_full(&inside_now, 1);
		mmun_gate_open(mm);
	}
	return NULL;
}

static void test_closers(void)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		threads[i] = spawn(exclusive_closer, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	is(together, 0, "several closers take turns");
}

static void test_elsewhere(void)
{
	int outer = mmun_gate_enter(other, false);
	int inner = mmun_gate_enter(mm, false);

	ok(mmun_task_in_gate(other), "inside two gates the thread's books have the outer one");
	mmun_gate_exit(mm, inner);
	ok(mmun_task_in_gate(other), "leaving the inner one leaves them alone");
	mmun_gate_exit(other, outer);
	is(mmun_task.gate, 0, "leaving the outer one clears them");
}

static void test_fork_inside(void)
{
	static unsigned int word = 1;
	struct fake old_fake;
	struct mm_struct *old = fake_mm_with_word(&old_fake, &word);
	int cookie = mmun_gate_enter(old, false);

	ok(mmun_task_in_gate(old), "inside");
	word = 0;
	ok(!mmun_task_in_gate(old), "S11 a child that was forked inside is not inside any more");
	cookie = mmun_gate_enter(mm, false);
	ok(mmun_task_in_gate(mm), "and its books follow the gates of its own mm");
	mmun_gate_exit(mm, cookie);
	is(mmun_task.gate, 0, "they are clean again");
	mmdrop(old);
	word = 1;
}

/*
 * Callbacks that come to a shut door while the closer waits for them, or for
 * others that wait for them.  Each test ends, or is ended by the time limit.
 */
struct visitor {
	struct watcher watcher;
	struct mm_struct *own, *visited;
	long inside, go;
};

static void visit(struct watcher *watcher)
{
	struct visitor *visitor = mmun_container_of(watcher, struct visitor, watcher);

	if (mmun_add_full(&visitor->inside, 1) != 1)
		return;
	wait_until_set(&visitor->go);
	fake_section(visitor->visited);
}

static void pass_on(struct watcher *watcher)
{
	fake_section(mmun_container_of(watcher, struct visitor, watcher)->visited);
}

static void *gated_section(void *mm_of_it)
{
	fake_section(mm_of_it);
	return NULL;
}

static void *plain_section(void *mm_of_it)
{
	struct mmu_notifier_range range;

	range_init(&range, mm_of_it);
	mmu_notifier_invalidate_range_start(&range);
	mmu_notifier_invalidate_range_end(&range);
	return NULL;
}

static void *leave(void *arg)
{
	struct visitor *visitor = arg;

	mmu_notifier_unregister(&visitor->watcher.mn, visitor->own);
	return NULL;
}

static void visitor_init(struct visitor *visitor, struct mm_struct *own, struct mm_struct *visited)
{
	memset(visitor, 0, sizeof(*visitor));
	watch(&visitor->watcher, own);
	visitor->own = own;
	visitor->visited = visited;
	visitor->watcher.in_start = visit;
}

static void *shut_out(void *which)
{
	struct watcher watcher;

	watch(&watcher, which);
	mmu_notifier_unregister(&watcher.mn, which);
	return NULL;
}

static void wait_until_shut(const struct mm_struct *which)
{
	while (!mmun_load_full(&which->gate.closed))
		usleep(100);
}

/* @thread is at its visit; somebody shuts the door that it is about to find. */
static void visit_shut_door(struct visitor *visitor, pthread_t thread)
{
	pthread_t closer;

	wait_until_set(&visitor->inside);
	closer = spawn(shut_out, visitor->visited);
	wait_until_shut(visitor->visited);
	count(&visitor->go);
	pthread_join(thread, NULL);
	pthread_join(closer, NULL);
}

static void test_visits(void)
{
	struct visitor visitor, passing;

	visitor_init(&visitor, mm, mm);
	visit_shut_door(&visitor, spawn(plain_section, mm));
	ok(true, "a callback of a section without the gate comes in while somebody registers");

	visitor.inside = visitor.go = 0;
	visitor_init(&passing, other, mm);
	passing.watcher.in_start = pass_on;
	visit_shut_door(&visitor, spawn(gated_section, other));
	ok(true, "so does one inside two gates, whose books have the other one");
	mmu_notifier_unregister(&passing.watcher.mn, other);

	visitor.inside = visitor.go = 0;
	visitor.watcher.in_start = NULL;
	visitor.watcher.in_release = visit;
	visit_shut_door(&visitor, spawn(leave, &visitor));
	ok(true, "and a ->release that unmaps memory");
}

static void test_crossed_visits(void)
{
	struct visitor here, there;
	pthread_t threads[4];

	visitor_init(&here, mm, other);
	visitor_init(&there, other, mm);
	threads[0] = spawn(gated_section, mm);
	threads[1] = spawn(gated_section, other);
	wait_until_set(&here.inside);
	wait_until_set(&there.inside);
	threads[2] = spawn(shut_out, mm);
	threads[3] = spawn(shut_out, other);
	wait_until_shut(mm);
	wait_until_shut(other);
	count(&here.go);
	count(&there.go);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ok(true, "two callbacks, each at the door of the other's address space");
	mmu_notifier_unregister(&here.watcher.mn, mm);
	mmu_notifier_unregister(&there.watcher.mn, other);
}

int main(void)
{
	mm = fake_mm(&fake);
	other = fake_mm(&other_fake);
	test_closed();
	test_hand_over();
	test_forgotten_waiter();
	test_close_waits();
	test_nested();
	test_wrong_nested();
	test_back_off();
	test_handlers();
	test_signals_blocked();
	test_closers();
	test_elsewhere();
	test_visits();
	test_crossed_visits();
	test_fork_inside();
	mmput(mm);
	mmput(other);
	return tap_done();
}
