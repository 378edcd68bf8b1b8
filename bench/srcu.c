/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What does a reader pay to be waited for? */
#include "bench.h"

#define SUBJECT(text, what, threads) \
	{ \
		.label = text, .argv = { "bench-srcu", "srcu", what, threads, NULL } \
	}

static struct bench_subject subjects[] = {
	SUBJECT("srcu_read_lock + unlock, 1 thread", "srcu", "1"),
	SUBJECT("srcu_read_lock + unlock, 2 threads", "srcu", "2"),
	SUBJECT("the same in shared slots, 1 thread", "slots", "1"),
	SUBJECT("the same in shared slots, 2 threads", "slots", "2"),
	SUBJECT("two atomic additions, 1 thread (floor)", "additions", "1"),
	SUBJECT("two atomic additions, 2 threads (floor)", "additions", "2"),
};

void bench_srcu(void)
{
	const size_t count = sizeof(subjects) / sizeof(subjects[0]);

	bench_title("read sections, per lock and unlock and thread");
	bench_take_turns(subjects, count, 3, bench_effort.rounds);
	for (size_t i = 0; i < count; i++) {
		struct bench_row row = {
			.what = subjects[i].label,
			.unit = "ns",
			.measured = bench_spread(&subjects[i].figures[0]),
		};

		if (subjects[i].absent[0]) {
			bench_report_absent(subjects[i].label, subjects[i].absent);
			continue;
		}
		if (i < 2) {
			row.goal = "<= 3 ns";
			row.verdict = bench_judge(row.measured.median <= 3);
		}
		bench_report(&row);
	}
}
