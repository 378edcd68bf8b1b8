/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the tracer remembers of mappings: when an answer is good, and that a signal handler
 * never sees half of one.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include "tap.h"

#include "tracer.h"

#define NOW 1000000000ull

static void remember(unsigned long start, unsigned long end, unsigned long seq, uint64_t now)
{
	const struct recent found = {
		.span = { start, end },
		.kind = MAPPING_FILE,
		.offset = start,
		.name = start ^ end,
	};

	recent_remember(&found, seq, now);
}

static bool is_known(unsigned long start, unsigned long end, uint64_t now)
{
	struct recent found;

	return recent_find(start, end, now, &found) && found.kind == MAPPING_FILE &&
	       found.offset == found.span.start &&
	       found.name == (found.span.start ^ found.span.end);
}

static void test_ranges(void)
{
	unsigned long seq;

	recent_reset();
	ok(!is_known(0x1000, 0x2000, NOW), "nothing is known at first");
	ok(recent_begin(&seq), "an answer may be remembered while nothing changes");
	remember(0x1000, 0x4000, seq, NOW);
	ok(is_known(0x1000, 0x4000, NOW) && is_known(0x2000, 0x3000, NOW),
	   "the mapping and what lies in it are known");
	ok(!is_known(0x0000, 0x2000, NOW) && !is_known(0x3000, 0x5000, NOW),
	   "what reaches beyond it is not");
	for (unsigned long i = 1; i < 4; i++)
		remember(i << 20, (i << 20) + 0x1000, seq, NOW);
	ok(is_known(0x1000, 0x4000, NOW) && is_known(3 << 20, (3 << 20) + 0x1000, NOW),
	   "several are known at once");
	ok(!is_known(0x1000, 0x4000, NOW + 1000000), "after a millisecond none is");
}

static void test_changes(void)
{
	unsigned long seq, before;

	recent_reset();
	recent_begin(&seq);
	remember(0x1000, 0x4000, seq, NOW);
	recent_change_begins();
	ok(!is_known(0x1000, 0x2000, NOW), "once a change has begun an answer is not good");
	ok(!recent_begin(&before), "what is asked while it is open is not remembered");
	recent_change_ends();
	ok(!is_known(0x1000, 0x2000, NOW), "nor is it good when the change has ended");
	recent_begin(&before);
	recent_change_begins();
	recent_change_ends();
	remember(0x1000, 0x4000, before, NOW);
	ok(!is_known(0x1000, 0x2000, NOW), "an answer from before a whole change is not good");
	ok(recent_begin(&seq), "after it another may be asked");
	remember(0x1000, 0x4000, seq, NOW);
	ok(is_known(0x1000, 0x2000, NOW), "and is good");
	recent_stop();
	ok(!is_known(0x1000, 0x2000, NOW) && !recent_begin(&seq),
	   "a change whose end nobody sees ends it for good");
	recent_reset();
	ok(!is_known(0x1000, 0x2000, NOW) && recent_begin(&seq), "a forked child begins anew");
}

static volatile sig_atomic_t nr_signals, nr_torn;

static void look(unsigned long i)
{
	struct recent found;
	unsigned long seq;

	if (recent_find(i << 12, (i << 12) + 0x1000, NOW, &found) &&
	    (found.offset != found.span.start || found.name != (found.span.start ^ found.span.end)))
		nr_torn = nr_torn + 1;
	if (recent_begin(&seq))
		remember(i << 12, (i + 3) << 12, seq, NOW);
}

static void on_alarm(int signal)
{
	static unsigned long i;

	nr_signals = nr_signals + 1;
	look(i++ % 64);
}

static void test_handler(void)
{
	struct sigaction action = { .sa_handler = on_alarm }, old;
	struct itimerval often = { { 0, 20 }, { 0, 20 } }, never = { { 0, 0 }, { 0, 0 } };

	recent_reset();
	sigaction(SIGALRM, &action, &old);
	setitimer(ITIMER_REAL, &often, NULL);
	for (unsigned long i = 0; nr_signals < 5000; i++)
		look(i % 64);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &old, NULL);
	is(nr_torn, 0, "a signal handler and what it interrupts see whole answers");
}

int main(void)
{
	test_ranges();
	test_changes();
	test_handler();
	return tap_done();
}
