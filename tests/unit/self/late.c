/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* primary/self/late.c: late patches that failed are counted, and when they are tried again. */
#include <errno.h>

#include "../../../primary/self/late.c"
#include "tap.h"

#define MS 1000000ul

static void fail(struct mmun_late *late, int error, uint64_t now)
{
	late->why.error = error;
	mmun_late_note(late, now);
}

static void counted(void)
{
	struct mmun_late late = { 0 };

	ok(!late.failed && !mmun_late_is_due(&late, -1ul), "nothing has failed: nothing is due");
	fail(&late, -ENOMEM, 0);
	ok(late.failed, "B14: a failed late patch is known");
	fail(&late, -EPERM, 0);
	is(late.failures, 2, "B14: a failed late patch is counted");
	mmun_late_clear(&late);
	ok(!late.failed && late.failures == 2, "once it has worked the count stays");
}

static void tried_again(void)
{
	struct mmun_late late = { 0 };
	uint64_t now = 1000, waited;

	fail(&late, -ENOMEM, now);
	ok(!mmun_late_is_due(&late, now), "it is not tried again at once");
	ok(mmun_late_is_due(&late, now + MS),
	   "B14: a failed late patch is due a millisecond later");
	for (int i = 0; i < 30; i++) {
		now = late.next;
		fail(&late, -ENOMEM, now);
	}
	waited = late.next - now;
	ok(waited > 30000 * MS && waited <= 60000 * MS, "after many failures once a minute");
	mmun_late_clear(&late);
	ok(!mmun_late_is_due(&late, -1ul), "once it has worked nothing is due");
	fail(&late, -EBUSY, now);
	ok(mmun_late_is_due(&late, now + MS), "and the next failure begins again");
}

static void forbidden(void)
{
	struct mmun_late late = { 0 };

	fail(&late, -EPERM, 0);
	ok(!mmun_late_is_due(&late, -1ul), "what a filter forbids is not tried again by itself");
	fail(&late, -EACCES, 0);
	ok(!mmun_late_is_due(&late, -1ul), "nor what PR_SET_MDWE does");
	fail(&late, -EAGAIN, 0);
	ok(mmun_late_is_due(&late, -1ul), "another cause may pass");
}

int main(void)
{
	counted();
	tried_again();
	forbidden();
	return tap_done();
}
