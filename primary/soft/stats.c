/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A snapshot of the machine's counters.  Each is read atomically; together they
 * are of one moment only while nothing happens.
 *
 * Tests: tests/unit/soft/process.c.
 */
#include "machine.h"
#include "page.h"
#include "reclaim.h"

void mmun_soft_stats(struct mmun_soft *soft, struct mmun_soft_stats *out)
{
	*out = (struct mmun_soft_stats){ 0 };
#define COPY_STAT(name, text) out->name = mmun_load_relaxed(&soft->stats.name);
	MMUN_SOFT_STATS(COPY_STAT)
#undef COPY_STAT
	mmun_soft_zone_stats(soft, out);
	mmun_soft_swap_stats(soft, out);
}
