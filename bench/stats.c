/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Medians, spreads and paired comparisons of measured values. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

void bench_add(struct bench_samples *samples, double value)
{
	if (samples->count < BENCH_MAX_SAMPLES)
		samples->value[samples->count++] = value;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct bench_spread bench_spread(const struct bench_samples *samples)
{
	static double sorted[BENCH_MAX_SAMPLES];
	size_t n = samples->count;

	if (!n)
		return (struct bench_spread){ 0 };
	memcpy(sorted, samples->value, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare);
	return (struct bench_spread){
		.median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2,
		.min = sorted[0],
		.max = sorted[n - 1],
	};
}

static size_t pairs(const struct bench_samples *a, const struct bench_samples *b)
{
	return a->count < b->count ? a->count : b->count;
}

void bench_ratios(const struct bench_samples *a, const struct bench_samples *base,
		  struct bench_samples *out)
{
	out->count = 0;
	for (size_t i = 0; i < pairs(a, base); i++)
		if (base->value[i] > 0)
			bench_add(out, a->value[i] / base->value[i]);
}

void bench_differences(const struct bench_samples *a, const struct bench_samples *base,
		       struct bench_samples *out)
{
	out->count = 0;
	for (size_t i = 0; i < pairs(a, base); i++)
		bench_add(out, a->value[i] - base->value[i]);
}
