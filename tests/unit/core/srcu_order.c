/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* core/srcu.c: which bank a grace period looks at, and in which order it adds up. */
#include "fake.h"
#include "srcu_cells.h"

#include <sys/time.h>

static struct srcu_slot slots[1];
static struct srcu_struct domain;

static void begin(void)
{
	memset(slots, 0, sizeof(slots));
	mmun_srcu_init(&domain, slots, 1);
}

static bool grace_period_ends(unsigned int ms)
{
	return mmun_srcu_synchronize_until(&domain, mmun_now() + ms * MMUN_NSEC_PER_MSEC);
}

/* It read ->idx, and before it counted itself a whole grace period went by. */
static void test_late_reader(unsigned int bank)
{
	struct mmun_reader reader;

	begin();
	domain.idx = bank;
	reader = srcu_read_lock(&domain);
	domain.idx = bank ^ 1;
	ok(!grace_period_ends(20), "R2: a reader in the bank of before is waited for (%u)", bank);
	domain.idx = bank ^ 1;
	srcu_read_unlock(&domain, &reader);
	ok(grace_period_ends(0), "until it ends");
	mmun_srcu_destroy(&domain);
}

/*
 * One reader that has read ->idx long ago comes and goes between two of our instructions:
 * one at a time, for two of them would not look like nobody.
 */
static long came;

static void come_and_go(int sig)
{
	(void)mmun_add_full(&slots[0].opened[0], 1);
	(void)mmun_add_full(&slots[0].closed[0], 1);
	count(&came);
}

static void let_them_come(suseconds_t period)
{
	const struct itimerval timer = { { 0, period }, { 0, period } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Looks at the counters until many have come, or for some seconds on a busy machine. */
static long seen_empty(void)
{
	const uint64_t deadline = mmun_now() + 3000 * MMUN_NSEC_PER_MSEC;
	long empty = 0;

	for (long looks = 0; counted(&came) < 3000 && (looks % 4096 || !mmun_is_past(deadline));
	     looks++)
		empty += !mmun_srcu_nr_open(&slots[0], 0);
	return empty;
}

static void test_sum(void)
{
	struct mmun_reader reader;
	int ended = 0;

	begin();
	reader = srcu_read_lock(&domain);
	is((long)(reader.state & 1), 0, "a section in the first bank");
	signal(SIGALRM, come_and_go);
	let_them_come(50);
	is(seen_empty(), 0, "R2: the bank is never seen empty, whoever comes and goes meanwhile");
	for (int i = 0; i < 20; i++)
		ended += grace_period_ends(5);
	let_them_come(0);
	is(ended, 0, "R2: and no grace period ends in it");
	diag("%ld came and went", counted(&came));
	srcu_read_unlock(&domain, &reader);
	ok(grace_period_ends(0), "but when it ends");
	mmun_srcu_destroy(&domain);
}

int main(void)
{
	test_late_reader(0);
	test_late_reader(1);
	test_sum();
	return tap_done();
}
