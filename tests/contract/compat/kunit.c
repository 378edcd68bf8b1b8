/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* KUnit's face: what passes, what fails and how it says so, what is given back, and faults.
 * Each run is a child whose report is compared. */
#include "part.h"

#include <string.h>

#include <kunit/static_stub.h>
#include <kunit/test-bug.h>
#include <kunit/test.h>
#include <kunit/visibility.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <mmunotify/compat.h>

/* A module that does nothing wrong, and code that is tested. */

static int loaded;
static void *kept;

static int module_begins(void)
{
	loaded++;
	return 0;
}

static void module_ends(void)
{
	loaded--;
}

module_init(module_begins);
module_exit(module_ends);

VISIBLE_IF_KUNIT int measured(int x);
VISIBLE_IF_KUNIT int measured(int x)
{
	KUNIT_STATIC_STUB_REDIRECT(measured, x);
	return x;
}
EXPORT_SYMBOL_IF_KUNIT(measured);

static int instead(int x)
{
	return 10 * x;
}

/* Passes. */

static void every_expectation(struct kunit *test)
{
	int object, *pointer = &object;

	KUNIT_SUCCEED(test);
	KUNIT_EXPECT_TRUE(test, loaded == 1);
	KUNIT_EXPECT_FALSE(test, loaded == 2);
	KUNIT_EXPECT_EQ(test, 1, 1l);
	KUNIT_EXPECT_NE(test, 1, 2u);
	KUNIT_EXPECT_LT(test, 1, 2);
	KUNIT_EXPECT_LE(test, 2, 2);
	KUNIT_EXPECT_GT(test, 2, 1);
	KUNIT_EXPECT_GE(test, 2, 2);
	KUNIT_EXPECT_PTR_EQ(test, pointer, &object);
	KUNIT_EXPECT_PTR_NE(test, pointer, &pointer);
	KUNIT_EXPECT_STREQ(test, "a", "a");
	KUNIT_EXPECT_STRNEQ(test, "a", "b");
	KUNIT_EXPECT_MEMEQ(test, "abc", "abd", 2);
	KUNIT_EXPECT_MEMNEQ(test, "abc", "abd", 3);
	KUNIT_EXPECT_NULL(test, NULL);
	KUNIT_EXPECT_NOT_NULL_MSG(test, pointer, "it is %d", 1);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, pointer);
	KUNIT_ASSERT_TRUE(test, true);
	KUNIT_ASSERT_EQ_MSG(test, 1, 1, "%d", 1);
	KUNIT_ASSERT_STREQ(test, "a", "a");
	KUNIT_ASSERT_NOT_NULL(test, pointer);
}

static void own_memory(struct kunit *test)
{
	unsigned long at;
	int value = 0;

	KUNIT_EXPECT_NULL_MSG(test, current->mm, "a kernel thread");
	at = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(at));
	KUNIT_ASSERT_NOT_NULL(test, current->mm);
	KUNIT_EXPECT_EQ(test, put_user(5, (int __user *)at), 0);
	KUNIT_EXPECT_EQ(test, get_user(value, (int __user *)at), 0);
	KUNIT_EXPECT_EQ(test, value, 5);
	KUNIT_EXPECT_EQ(test, vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ, MAP_PRIVATE, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, vm_munmap(at, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, get_user(value, (int __user *)at), -EFAULT);
	KUNIT_EXPECT_NULL_MSG(test, get_task_mm(current), "also with an address space");
}

static char order[16];

static void note(void *letter)
{
	strncat(order, (const char *)letter, 1);
}

static void resources(struct kunit *test)
{
	char *block = kunit_kzalloc(test, 10, GFP_KERNEL);

	order[0] = '\0';
	KUNIT_ASSERT_NOT_NULL(test, block);
	KUNIT_EXPECT_EQ(test, block[9], 0);
	kunit_kfree(test, block);
	KUNIT_ASSERT_NOT_NULL(test, kunit_kmalloc(test, 10, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, kunit_add_action(test, note, "a"), 0);
	KUNIT_EXPECT_EQ(test, kunit_add_action_or_reset(test, note, "b"), 0);
	KUNIT_EXPECT_EQ(test, kunit_add_action(test, note, "c"), 0);
	KUNIT_EXPECT_EQ(test, kunit_add_action(test, note, "d"), 0);
	kunit_release_action(test, note, "c");
	KUNIT_EXPECT_STREQ(test, order, "c");
	kunit_remove_action(test, note, "d");
}

static void resources_went(struct kunit *test)
{
	KUNIT_EXPECT_STREQ_MSG(test, order, "cba", "the newest first");
}

static void stubs(struct kunit *test)
{
	KUNIT_EXPECT_PTR_EQ(test, kunit_get_current_test(), test);
	kunit_activate_static_stub(test, measured, instead);
	KUNIT_EXPECT_EQ(test, measured(1), 10);
	kunit_deactivate_static_stub(test, measured);
	KUNIT_EXPECT_EQ(test, measured(1), 1);
	kunit_activate_static_stub(test, measured, instead);
}

static void stubs_went(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, measured(1), 1);
}

static void skipped(struct kunit *test)
{
	kunit_skip(test, "for reason %d", 1);
	KUNIT_FAIL(test, "goes on");
}

static const int numbers[] = { 3, 4 };
KUNIT_ARRAY_PARAM(number, numbers, NULL);

static void parameters(struct kunit *test)
{
	kunit_info(test, "is %d", *(const int *)test->param_value);
	KUNIT_EXPECT_EQ(test, test->param_index + 3, *(const int *)test->param_value);
}

static struct kunit_case good_cases[] = {
	KUNIT_CASE(every_expectation),
	KUNIT_CASE(own_memory),
	KUNIT_CASE(resources),
	KUNIT_CASE(resources_went),
	KUNIT_CASE(stubs),
	KUNIT_CASE_SLOW(stubs_went),
	KUNIT_CASE(skipped),
	KUNIT_CASE_PARAM(parameters, number_gen_params),
	{},
};

static int good_suite_init(struct kunit_suite *suite)
{
	kept = kmalloc(10, GFP_KERNEL);
	return kept ? 0 : -ENOMEM;
}

static void good_suite_exit(struct kunit_suite *suite)
{
	kfree(kept);
	kept = NULL;
}

static int good_init(struct kunit *test)
{
	test->priv = kept;
	return kept ? 0 : -EINVAL;
}

static struct kunit_suite good = {
	.name = "good",
	.suite_init = good_suite_init,
	.suite_exit = good_suite_exit,
	.init = good_init,
	.test_cases = good_cases,
};

/* Fails. */

static void expects(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 1 + 1, 3);
	KUNIT_EXPECT_TRUE_MSG(test, loaded == 2, "it is %d", loaded);
	KUNIT_EXPECT_STREQ(test, "a", "b");
	kunit_fail_current_test("and %s", "this");
}

static void asserts(struct kunit *test)
{
	KUNIT_ASSERT_NULL(test, test->priv);
	KUNIT_FAIL_AND_ABORT(test, "once");
	KUNIT_FAIL(test, "goes on");
}

static void warns(struct kunit *test)
{
	WARN_ON(!test->param_value);
}

static void leaks(struct kunit *test)
{
	kept = kmalloc(1, GFP_KERNEL);
}

static struct kunit_case bad_cases[] = {
	KUNIT_CASE(expects), KUNIT_CASE(asserts), KUNIT_CASE(warns), KUNIT_CASE(leaks), {},
};
static struct kunit_suite bad = { .name = "bad", .test_cases = bad_cases };

static int no_init(struct kunit *test)
{
	return -EIO;
}

static void is_not_run(struct kunit *test)
{
	KUNIT_FAIL(test, "it runs");
}

static struct kunit_case no_cases[] = { KUNIT_CASE(is_not_run), {} };
static struct kunit_suite no = { .name = "no", .init = no_init, .test_cases = no_cases };
kunit_test_suites(&good, &bad, &no);

/* Mistakes that only a fault shows. */

static DEFINE_MUTEX(mutex);

static void forgets_one(struct kunit *test)
{
	void *first = kmalloc(1, GFP_KERNEL), *second = kmalloc(1, GFP_KERNEL);

	if (!second)
		return;
	kfree(first);
	kfree(second);
}

static void stays_locked(struct kunit *test)
{
	DECLARE_WAIT_QUEUE_HEAD(queue);
	void *block = kmalloc(1, GFP_KERNEL);

	if (wait_event_interruptible(queue, true) || mutex_lock_interruptible(&mutex))
		return;
	mutex_unlock(&mutex);
	kfree(block);
}

static bool sleeps(struct mmu_interval_notifier *sub, const struct mmu_notifier_range *range,
		   unsigned long seq)
{
	mutex_lock(&mutex);
	mmu_interval_set_seq(sub, seq);
	mutex_unlock(&mutex);
	return true;
}

static const struct mmu_interval_notifier_ops sleeping_ops = { .invalidate = sleeps };

static void sleeps_when_reaped(struct kunit *test)
{
	static struct mmu_interval_notifier sub;
	unsigned long at = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, 0);

	KUNIT_ASSERT_EQ(test, put_user(5, (int __user *)at), 0);
	KUNIT_ASSERT_EQ(
		test, mmu_interval_notifier_insert(&sub, current->mm, at, PAGE_SIZE, &sleeping_ops),
		0);
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
	mmu_interval_notifier_remove(&sub);
}

static struct kunit_case faulty_cases[] = {
	KUNIT_CASE(forgets_one),
	KUNIT_CASE(stays_locked),
	KUNIT_CASE(sleeps_when_reaped),
	{},
};
static struct kunit_suite faulty = { .name = "faulty", .test_cases = faulty_cases };
kunit_test_suite(faulty);

/* Running them. */

static char report[16384];

/* The status that the program ends with, and its output in @report. */
static int run(const char *option, const char *glob)
{
	char *arguments[] = { (char *)"kunit", (char *)(option ? option : glob),
			      (char *)(option ? glob : NULL), NULL };
	int out[2], status = 0;
	size_t used = 0;
	ssize_t got;
	pid_t child;

	if (pipe(out))
		bail_out("no pipe");
	child = fork();
	if (!child) {
		dup2(out[1], STDOUT_FILENO);
		dup2(out[1], STDERR_FILENO);
		close(out[0]);
		exit(mmun_compat_kunit(option ? 3 : 2, arguments));
	}
	close(out[1]);
	while ((got = read(out[0], report + used, sizeof(report) - 1 - used)) > 0)
		used += (size_t)got;
	report[used] = '\0';
	close(out[0]);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* In the name of a result neither a line's end nor a # of the report means anything. */
static void says(const char *text)
{
	char name[80];
	size_t i;

	for (i = 0; text[i] && i < sizeof(name) - 1; i++)
		name[i] = text[i] == '\n' ? '|' : text[i] == '#' ? ';' : text[i];
	name[i] = '\0';
	ok(strstr(report, text), "it says \"%s\"", name);
}

static void test_good(void)
{
	is(run(NULL, "good"), 0, "what passes ends with 0");
	says("KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: good\n    1..8\n"
	     "    ok 1 every_expectation\n    ok 2 own_memory\n");
	says("    ok 7 skipped # SKIP for reason 1\n");
	says("        # Subtest: parameters\n    # parameters: is 3\n        ok 1 param-0\n");
	says("    ok 8 parameters\nok 1 good\n");
	is(run("--tap", "good.s*"), 0, "by a pattern, flat");
	says("ok 1 - good.stubs\nok 2 - good.stubs_went\nok 3 - good.skipped # SKIP for reason 1\n"
	     "ok 4 - good.(all), and nothing is left\n1..4\n");
	is(run("--allocations", "good"), 0, "with allocations that fail");
	says("ok 3 resources, with each allocation failing in turn: 1");
	is(run("--what", "good"), 2, "a wrong option");
	is(run(NULL, "nothing"), 2, "no such case");
}

static void test_bad(void)
{
	is(run(NULL, "bad.expects"), 1, "a failed expectation ends with 1");
	says("    # expects: EXPECTATION FAILED at ");
	says("    # Expected 1 + 1 == 3, but\n    #     1 + 1 == 2 (0x2)\n    #     3 == 3 (0x3)\n");
	says("Expected loaded == 2 is true\n    # it is 1\n");
	says("but\n    #     \"a\" == \"a\"\n    #     \"b\" == \"b\"\n");
	says("\n    # and this\n    not ok 1 expects\nnot ok 1 bad\n");
	is(run("--tap", "bad.asserts"), 1, "a failed assertion");
	says("# asserts: ASSERTION FAILED at ");
	says("\n# once\nnot ok 1 - bad.asserts\nnot ok 2 - bad.(all), and nothing is left\n1..2\n");
	is(run(NULL, "bad.warns"), 1, "a warning");
	says("    ok 1 warns\n    # bad: warnings: 1\nnot ok 1 bad\n");
	is(run(NULL, "bad.leaks"), 1, "a leak");
	says("    ok 1 leaks\n    # bad: blocks that were allocated and not freed: 1\nnot ok 1 bad\n");
	is(run(NULL, "no"), 1, "an ->init that fails");
	says("failed to initialize: -5\n    not ok 1 is_not_run\n");
}

static void test_faults(void)
{
	is(run(NULL, "faulty"), 0, "without faults nothing is seen");
	is(run("--allocations", "faulty.forgets_one"), 1,
	   "a block that is forgotten when another fails");
	says("    # forgets_one: blocks that were allocated and not freed: 1\n    not ok 1 forgets_one");
	is(run("--signals", "faulty.stays_locked"), 1, "one that is forgotten when a signal comes");
	says("with a signal at each wait in turn: number 1\n");
	is(run("--reap", "faulty.sleeps_when_reaped"), -SIGABRT, "a callback that sleeps");
	says("BUG: may sleep in a section whose callbacks must not at ");
	is(run("--reap", "faulty.forgets_one"), 0, "no memory, nothing to reap");
}

int main(void)
{
	test_good();
	test_bad();
	test_faults();
	return tap_done();
}
