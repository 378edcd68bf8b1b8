/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Text that was loaded while the source runs and could not be redirected: counted
 * (mmun_stats.late_failed), with the reason, which the source's probe gives from then on, and
 * tried again.  Nobody can undo the loading, so the program goes on, every other library is
 * redirected all the same, and what is lost is made visible: a registration or insertion
 * tries again first and fails with that error if it fails again.  Calls that the library
 * made meanwhile may be under way; a registration waits for them as the first one does.
 *
 * One writer at a time (self.lock); hooks read.
 */
#ifndef MMUN_SELF_LATE_H
#define MMUN_SELF_LATE_H

#include <stdbool.h>
#include <stdint.h>

#include "state.h"

struct mmun_late {
	/* Attempts that failed, in all. */
	unsigned long failures;
	/* The last one did: calls of something that is loaded are not seen. */
	bool failed;
	/* Its cause may pass: try again at @next, and then each time after twice as long. */
	bool retries;
	uint64_t next, pause;
	/* Of the last failure. */
	struct mmun_refusal why;
};

/* Notes the failure that ->why is about. */
void mmun_late_note(struct mmun_late *late, uint64_t now);
/* All that is loaded is redirected, or nothing any more. */
void mmun_late_clear(struct mmun_late *late);
/* Any context. */
bool mmun_late_is_due(const struct mmun_late *late, uint64_t now);

#endif
