/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When to try again what failed.  A limit of mappings or memory, a breakpoint, a linker
 * that unmaps all the time: such causes pass, most often with an munmap().  What a rule
 * of the process forbids is tried again only when something else is loaded, and when
 * somebody registers.
 * Tests: tests/unit/self/late.c, tests/contract/later.c.
 */
#include "late.h"

#include <errno.h>

#include "atomic.h"
#include "clock.h"

#define FIRST_PAUSE MMUN_NSEC_PER_MSEC
#define LAST_PAUSE  (60 * MMUN_NSEC_PER_SEC)

static bool may_pass(int error)
{
	return error != -EPERM && error != -EACCES;
}

void mmun_late_note(struct mmun_late *late, uint64_t now)
{
	late->pause = late->failed ? 2 * late->pause : FIRST_PAUSE;
	if (late->pause > LAST_PAUSE)
		late->pause = LAST_PAUSE;
	mmun_store_relaxed(&late->next, now + late->pause);
	mmun_store_relaxed(&late->retries, may_pass(late->why.error));
	mmun_store_relaxed(&late->failures, late->failures + 1);
	mmun_store_full(&late->failed, true);
}

void mmun_late_clear(struct mmun_late *late)
{
	mmun_store_relaxed(&late->retries, false);
	mmun_store_full(&late->failed, false);
}

bool mmun_late_is_due(const struct mmun_late *late, uint64_t now)
{
	return mmun_load_relaxed(&late->retries) && now >= mmun_load_relaxed(&late->next);
}
