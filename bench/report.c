/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table for people, or with --json one object per line for machines. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

static unsigned int passed, missed;

static const char *const verdicts[] = {
	[BENCH_INFO] = "",
	[BENCH_PASS] = "pass",
	[BENCH_MISS] = "MISS",
};

void bench_title(const char *title)
{
	if (bench_effort.json)
		return;
	printf("\n%s\n", title);
	printf("  %-48s %9s %-17s %6s  %s\n", "", "median   ", "[min - max]", "ratio",
	       "must reach");
	fflush(stdout);
}

static void print_json(const struct bench_row *row)
{
	printf("{\"what\":\"%s\",\"unit\":\"%s\",\"median\":%.4g,\"min\":%.4g,\"max\":%.4g",
	       row->what, row->unit, row->measured.median, row->measured.min, row->measured.max);
	if (row->ratio > 0)
		printf(",\"ratio\":%.4f", row->ratio);
	if (row->goal)
		printf(",\"goal\":\"%s\",\"verdict\":\"%s\"", row->goal,
		       row->verdict == BENCH_PASS ? "pass" : "miss");
	if (row->note)
		printf(",\"note\":\"%s\"", row->note);
	puts("}");
}

/* Three digits that matter, and whole numbers whole. */
static const char *show(char *out, size_t size, double value)
{
	double magnitude = value < 0 ? -value : value;
	int digits = magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : 2;

	snprintf(out, size, "%.*f", digits, value);
	return out;
}

static void print_line(const struct bench_row *row)
{
	char median[16], min[16], max[16], spread[40], ratio[16] = "";

	snprintf(spread, sizeof(spread), "[%s - %s]", show(min, sizeof(min), row->measured.min),
		 show(max, sizeof(max), row->measured.max));
	if (row->ratio > 0)
		snprintf(ratio, sizeof(ratio), "%.3f", row->ratio);
	printf("  %-48s %6s %-2s %-17s %6s  %-14s %s%s%s\n", row->what,
	       show(median, sizeof(median), row->measured.median), row->unit, spread, ratio,
	       row->goal ? row->goal : "", verdicts[row->verdict], row->note ? "  " : "",
	       row->note ? row->note : "");
}

void bench_report(const struct bench_row *row)
{
	passed += row->verdict == BENCH_PASS;
	missed += row->verdict == BENCH_MISS;
	if (bench_effort.json)
		print_json(row);
	else
		print_line(row);
	fflush(stdout);
}

void bench_report_absent(const char *what, const char *reason)
{
	if (bench_effort.json)
		printf("{\"what\":\"%s\",\"absent\":\"%s\"}\n", what, reason);
	else
		printf("  %-48s not measured: %s\n", what, reason);
	fflush(stdout);
}

void bench_conclusion(void)
{
	if (bench_effort.json)
		printf("{\"goals_reached\":%u,\"goals_missed\":%u}\n", passed, missed);
	else
		printf("\n%u goals reached, %u missed\n", passed, missed);
}
