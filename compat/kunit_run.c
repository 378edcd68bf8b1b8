/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Running KUnit suites: machines, threads, faults, and the report as KTAP or as flat TAP.
 *
 * I1  A round is a machine from its creation to its end, with the modules loaded in it: what is
 *     left after one, or warned of, is a failure of its own.
 * I2  A case and its clean-up are two threads, as in the kernel: the address space goes with
 *     the first.
 * I3  With faults each round runs one case and has one fault in it, a later one each time,
 *     until a round ends before its fault.  What such a case expects does not count.
 *
 * Not here: what a case may call (kunit.c).
 * Tests: tests/contract/compat/kunit.c, examples/kernel_driver/mirror_kunit.c.
 */
#include "kunit_report.h"

#include <fnmatch.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <kunit/test-bug.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>

/* What goes wrong in a round, on purpose. */
enum faults { NO_FAULT, FAIL_ALLOCATION, SIGNAL, REAP };

static const char *const fault_names[] = { "", "each allocation failing", "a signal at each wait",
					   "its memory reaped at each mutex" };

#define REAPING_NS (20 * NSEC_PER_MSEC)

struct thread {
	struct kunit *test;
	struct kunit_suite *suite;
	/* NULL: cleans up. */
	struct kunit_case *kase;
	struct mmun_soft_task *task;
	/* Reaps its memory; may wait for a lock of this thread's. */
	pthread_t reaper;
	bool reaping;
	jmp_buf out;
};

/* One round. */
struct round {
	struct mmun_soft *soft;
	long blocks;
	unsigned long warnings;
	int load;
};

static struct mmun_compat_suites *lists, **last_list = &lists;
static __thread struct thread *self;
static bool flat;
static int number, failures;
static enum faults faults;
static long until_fault;
static bool quiet;

void mmun_compat_add_suites(struct mmun_compat_suites *suites)
{
	*last_list = suites;
	last_list = &suites->next;
}

/* The report. */

void mmun_compat_kunit_say(const char *name, const char *text)
{
	const char *indent = flat ? "" : KUNIT_SUBTEST_INDENT;
	char lines[4096];
	size_t used = 0;

	if (READ_ONCE(quiet))
		return;
	used += (size_t)scnprintf(lines, sizeof(lines), "%s# %s: ", indent, name);
	for (; *text && used < sizeof(lines) - 64; text++) {
		lines[used++] = *text;
		if (*text == '\n')
			used += (size_t)scnprintf(lines + used, sizeof(lines) - used, "%s# ",
						  indent);
	}
	while (used && lines[used - 1] == ' ')
		used--;
	if (lines[used - 1] == '#')
		used -= strlen(indent) + 1;
	if (lines[used - 1] != '\n')
		lines[used++] = '\n';
	fwrite(lines, 1, used, stdout);
	fflush(stdout);
}

/* The result of a case, the @n-th of @suite. */
static void result(const struct kunit_suite *suite, int n, const struct kunit *test,
		   const char *rest)
{
	bool skipped = test->status == KUNIT_SKIPPED;

	printf("%s%sok %d ", flat ? "" : KUNIT_SUBTEST_INDENT,
	       test->status == KUNIT_FAILURE ? "not " : "", flat ? ++number : n);
	printf("%s%s%s%s%s", flat ? "- " : "", flat ? suite->name : "", flat ? "." : "", test->name,
	       rest);
	printf("%s%s\n", skipped ? " # SKIP " : "", skipped ? test->status_comment : "");
	fflush(stdout);
}

/* Threads. */

struct kunit *kunit_get_current_test(void)
{
	return self ? self->test : NULL;
}

void mmun_compat_kunit_abort(struct kunit *test)
{
	if (!self || self->test != test)
		mmun_compat_broken("an assertion fails in a thread that is not the case's");
	longjmp(self->out, 1);
}

int kunit_attach_mm(void)
{
	if (current->mm)
		return 0;
	if (!self || mmun_soft_task_create(mmun_compat_machine(), &self->task))
		return -ENOMEM;
	mmun_compat_set_current(self->task);
	return 0;
}

/* Its end runs callbacks too, in which nothing is reaped any more. */
static void detach_mm(struct thread *thread)
{
	struct mmun_soft_task *task = thread->task;

	if (!task)
		return;
	if (thread->reaping)
		pthread_join(thread->reaper, NULL);
	thread->task = NULL;
	mmun_compat_set_current(NULL);
	mmun_soft_exit(task);
}

/* I2 */
static void *thread_main(void *arg)
{
	struct thread *thread = (struct thread *)arg;
	struct kunit *test = thread->test;
	struct kunit_suite *suite = thread->suite;
	int ret;

	self = thread;
	current->flags |= PF_KTHREAD;
	strscpy(current->comm, "kunit_try_catch", sizeof(current->comm));
	if (!setjmp(thread->out)) {
		if (!thread->kase) {
			if (suite->exit)
				suite->exit(test);
		} else if (suite->init && (ret = suite->init(test))) {
			KUNIT_FAIL(test, "failed to initialize: %d", ret);
		} else {
			thread->kase->run_case(test);
		}
	}
	if (!thread->kase)
		mmun_compat_kunit_cleanup(test);
	detach_mm(thread);
	self = NULL;
	return NULL;
}

static void in_thread(struct kunit *test, struct kunit_suite *suite, struct kunit_case *kase)
{
	struct thread thread = { .test = test, .suite = suite, .kase = kase };
	pthread_t id;

	if (pthread_create(&id, NULL, thread_main, &thread))
		mmun_compat_broken("no thread for a case");
	pthread_join(id, NULL);
}

/* Once, for one parameter. */
static void run_once(struct kunit_suite *suite, struct kunit_case *kase, struct kunit *test)
{
	spin_lock_init(&test->lock);
	INIT_LIST_HEAD(&test->resources);
	test->name = kase->name;
	in_thread(test, suite, kase);
	in_thread(test, suite, NULL);
}

static void param_result(const struct kunit_case *kase, const struct kunit *test, const char *desc)
{
	const char *verdict = test->status == KUNIT_FAILURE ? "not ok" : "ok";
	const char *skip = test->status == KUNIT_SKIPPED ? " # SKIP" : "";

	if (READ_ONCE(quiet))
		return;
	if (flat)
		printf("# %s: %s %d %s%s\n", kase->name, verdict, test->param_index + 1, desc,
		       skip);
	else
		printf(KUNIT_SUBSUBTEST_INDENT "%s %d %s%s\n", verdict, test->param_index + 1, desc,
		       skip);
	fflush(stdout);
}

/* Sums up in @sum: any failure fails, a skip counts if all were skipped. */
static void run_params(struct kunit_suite *suite, struct kunit_case *kase, struct kunit *sum)
{
	char desc[KUNIT_PARAM_DESC_SIZE] = "";
	const void *param = kase->generate_params(NULL, desc);
	bool all_skipped = param;
	struct kunit test;

	if (!flat && !READ_ONCE(quiet))
		printf(KUNIT_SUBSUBTEST_INDENT "KTAP version 1\n" KUNIT_SUBSUBTEST_INDENT
					       "# Subtest: %s\n",
		       kase->name);
	for (int i = 0; param; i++) {
		test = (struct kunit){ .param_value = param, .param_index = i };
		run_once(suite, kase, &test);
		if (!desc[0])
			scnprintf(desc, sizeof(desc), "param-%d", i);
		param_result(kase, &test, desc);
		if (test.status == KUNIT_FAILURE)
			sum->status = KUNIT_FAILURE;
		all_skipped = all_skipped && test.status == KUNIT_SKIPPED;
		desc[0] = '\0';
		param = kase->generate_params(param, desc);
	}
	if (all_skipped)
		mmun_compat_kunit_skip(sum, "each of its parameters");
}

static void run_case(struct kunit_suite *suite, struct kunit_case *kase, struct kunit *test)
{
	*test = (struct kunit){ .name = kase->name };
	if (kase->generate_params)
		run_params(suite, kase, test);
	else
		run_once(suite, kase, test);
}

/* Rounds. */

static void begin_round(struct round *round)
{
	const struct mmun_soft_params params = { .memory = 64ul << 20, .swap = 64ul << 20 };

	round->blocks = mmun_compat_allocated();
	round->warnings = mmun_compat_warnings();
	if (mmun_soft_create(&params, &round->soft))
		mmun_compat_broken("no memory for a machine");
	mmun_compat_start(round->soft);
	round->load = mmun_compat_load();
}

static void say_left(const char *name, const char *what, long count, bool *clean)
{
	char text[128];

	if (!count)
		return;
	*clean = false;
	scnprintf(text, sizeof(text), "%s: %ld", what, count);
	WRITE_ONCE(quiet, false);
	mmun_compat_kunit_say(name, text);
}

/* I1 */
static bool end_round(struct round *round, const char *name)
{
	struct mmun_soft_stats stats;
	bool clean = true;

	if (!round->load)
		mmun_compat_unload();
	mmun_compat_stop();
	mmun_soft_stats(round->soft, &stats);
	say_left(name, "accesses through stale translations", (long)stats.violations, &clean);
	say_left(name, "blocks that were allocated and not freed",
		 mmun_compat_allocated() - round->blocks, &clean);
	say_left(name, "warnings", (long)(mmun_compat_warnings() - round->warnings), &clean);
	say_left(name, "files or address spaces were not put",
		 mmun_soft_destroy(round->soft) ? 1 : 0, &clean);
	return clean;
}

static bool selected(const struct kunit_suite *suite, const struct kunit_case *kase,
		     const char *glob)
{
	char name[512];

	scnprintf(name, sizeof(name), "%s.%s", suite->name, kase->name);
	return !glob || !fnmatch(glob, name, 0) || !fnmatch(glob, suite->name, 0);
}

static int count_cases(const struct kunit_suite *suite, const char *glob)
{
	int count = 0;

	for (const struct kunit_case *kase = suite->test_cases; kase->run_case; kase++)
		count += selected(suite, kase, glob);
	return count;
}

/* I3 */

static bool fails_now(size_t size, void *arg)
{
	return __atomic_sub_fetch(&until_fault, 1, __ATOMIC_SEQ_CST) == 0;
}

static bool interrupts_now(void *arg)
{
	return fails_now(0, arg);
}

static void *reaper_main(void *mm)
{
	mmun_compat_non_block(1);
	mmun_soft_oom_reap((struct mm_struct *)mm);
	mmun_compat_non_block(-1);
	return NULL;
}

/* The case's thread has a mutex, which a callback that must not sleep may want: it has to
 * refuse.  The reaper is waited for, but not for long: another thread may wait for this mutex
 * and have the mmap lock. */
static void reap_now(void)
{
	struct timespec until;

	if (!self || !self->task || self->reaping || mmun_mmap_lock_held(current->mm, false) ||
	    !fails_now(0, NULL))
		return;
	if (pthread_create(&self->reaper, NULL, reaper_main, current->mm))
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	mmun_compat_ktime(&until,
			  (u64)until.tv_sec * NSEC_PER_SEC + (u64)until.tv_nsec + REAPING_NS);
	self->reaping = pthread_timedjoin_np(self->reaper, NULL, &until) != 0;
}

static void set_faults(enum faults which, long n)
{
	until_fault = n;
	mmun_compat_fail_allocations(which == FAIL_ALLOCATION ? fails_now : NULL, NULL);
	mmun_compat_signal_waits(which == SIGNAL ? interrupts_now : NULL, NULL);
	mmun_compat_mutex_taken = which == REAP ? reap_now : NULL;
}

/* One case, with the @n-th fault.  Return: whether nothing is left. */
static bool faulty_round(struct kunit_suite *suite, struct kunit_case *kase, long n)
{
	struct round round;
	struct kunit test;
	bool clean;

	set_faults(faults, n);
	begin_round(&round);
	if (!round.load && (!suite->suite_init || !suite->suite_init(suite)))
		run_case(suite, kase, &test);
	if (!round.load && suite->suite_exit)
		suite->suite_exit(suite);
	clean = end_round(&round, kase->name);
	set_faults(NO_FAULT, until_fault);
	return clean;
}

/* All first faults, then more and more thinly: a case may have thousands. */
static void run_faulty_case(struct kunit_suite *suite, struct kunit_case *kase, int place)
{
	struct kunit test = { .name = kase->name };
	long n = 1, at, rounds = 0;
	char text[128];
	bool clean = true, last;

	do {
		WRITE_ONCE(quiet, true);
		clean = faulty_round(suite, kase, n) && clean;
		last = READ_ONCE(until_fault) > 0;
		rounds += !last;
		at = n;
		n += 1 + n / 16;
	} while (clean && !last);
	WRITE_ONCE(quiet, false);
	if (!clean)
		test.status = KUNIT_FAILURE;
	scnprintf(text, sizeof(text), ", with %s in turn: %s%ld", fault_names[faults],
		  clean ? "" : "number ", clean ? rounds : at);
	failures += !clean;
	result(suite, place, &test, text);
}

static bool run_cases(struct kunit_suite *suite, const char *glob)
{
	bool pass = true;
	int n = 0;

	for (struct kunit_case *kase = suite->test_cases; kase->run_case; kase++) {
		struct kunit test;

		if (!selected(suite, kase, glob))
			continue;
		if (faults) {
			run_faulty_case(suite, kase, ++n);
			continue;
		}
		run_case(suite, kase, &test);
		result(suite, ++n, &test, "");
		pass = pass && test.status != KUNIT_FAILURE;
		failures += test.status == KUNIT_FAILURE;
	}
	return pass;
}

/* A fresh machine, the modules, the suite's own beginning and end around its cases. */
static bool run_normal(struct kunit_suite *suite, const char *glob)
{
	struct round round;
	bool pass = true, clean;
	int ret;

	begin_round(&round);
	ret = round.load;
	if (ret)
		KUNIT_FAIL((&(struct kunit){ .name = suite->name }), "the module's init returns %d",
			   ret);
	if (!ret && suite->suite_init && (ret = suite->suite_init(suite)))
		KUNIT_FAIL((&(struct kunit){ .name = suite->name }), "suite_init returns %d", ret);
	pass = !ret && run_cases(suite, glob);
	if (!round.load && suite->suite_exit)
		suite->suite_exit(suite);
	clean = end_round(&round, suite->name);
	failures += ret != 0 || !clean;
	return pass && clean && !ret;
}

static void run_suite(struct kunit_suite *suite, int n, const char *glob)
{
	struct kunit whole = { .name = "(all)" };
	int before = failures;
	bool pass;

	if (!flat)
		printf(KUNIT_SUBTEST_INDENT "KTAP version 1\n" KUNIT_SUBTEST_INDENT
					    "# Subtest: %s\n" KUNIT_SUBTEST_INDENT "1..%d\n",
		       suite->name, count_cases(suite, glob));
	if (faults)
		pass = run_cases(suite, glob) && failures == before;
	else
		pass = run_normal(suite, glob);
	if (!flat) {
		printf("%sok %d %s\n", pass ? "" : "not ", n, suite->name);
	} else if (!faults) {
		whole.status = pass ? KUNIT_SUCCESS : KUNIT_FAILURE;
		result(suite, 0, &whole, ", and nothing is left");
	}
	fflush(stdout);
}

static int usage(const char *program)
{
	fprintf(stderr,
		"usage: %s [--tap] [--allocations | --signals | --reap] [--messages] [SUITE.CASE]\n",
		program);
	return 2;
}

static int count_suites(const char *glob)
{
	int count = 0;

	for (const struct mmun_compat_suites *list = lists; list; list = list->next) {
		for (size_t i = 0; i < list->count; i++)
			count += count_cases(list->suites[i], glob) > 0;
	}
	return count;
}

int mmun_compat_kunit(int argc, char **argv)
{
	static const struct option options[] = {
		{ "tap", no_argument, NULL, 't' },      { "allocations", no_argument, NULL, 'a' },
		{ "signals", no_argument, NULL, 's' },  { "reap", no_argument, NULL, 'r' },
		{ "messages", no_argument, NULL, 'm' }, { NULL, 0, NULL, 0 },
	};
	const char *glob;
	int option, n = 0;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 't')
			flat = true;
		else if (option == 'm')
			mmun_compat_set_loglevel(8);
		else if (option == '?')
			return usage(argv[0]);
		else
			faults = option == 'a' ? FAIL_ALLOCATION : option == 's' ? SIGNAL : REAP;
	}
	glob = argv[optind];
	if (!count_suites(glob)) {
		fprintf(stderr, "%s: no case of that name\n", argv[0]);
		return 2;
	}
	if (!flat)
		printf("KTAP version 1\n1..%d\n", count_suites(glob));
	for (const struct mmun_compat_suites *list = lists; list; list = list->next) {
		for (size_t i = 0; i < list->count; i++) {
			if (count_cases(list->suites[i], glob))
				run_suite(list->suites[i], ++n, glob);
		}
	}
	if (flat)
		printf("1..%d\n", number);
	return failures ? 1 : 0;
}
