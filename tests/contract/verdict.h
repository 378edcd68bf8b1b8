/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What one operation on one route came to. */
#ifndef MMUN_TESTS_CONTRACT_VERDICT_H
#define MMUN_TESTS_CONTRACT_VERDICT_H

#include "operations.h"

/* Lives in memory that parent and child share. */
struct outcome {
	bool skipped, failed;
	char text[2048];
	long ret;
	int error;
	/* Sampled pages that the kernel changed, and a hash of what is there now. */
	uint64_t moved, contents;
	/* How far the notice of the changed pages went. */
	bool notified_before, notified_return, missed;
};

/* Judges @w's records of r->op; writes what is wrong to @out. */
void verdict_judge(struct outcome *out, const struct region *r, const struct watch *w);
/* The same call without a notifier must have had the same result. */
void verdict_compare(struct outcome *out, const struct outcome *plain, const struct operation *op);
uint64_t verdict_contents(const struct watch_area *area);

__attribute__((format(printf, 2, 3))) void verdict_fail(struct outcome *out, const char *format,
							...);

#endif
