/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What torture programs share: --seconds N, --seed S, and a generator per
 * thread, so that one seed gives each thread the same sequence of operations.
 */
#ifndef MMUN_TESTS_TORTURE_OPTIONS_H
#define MMUN_TESTS_TORTURE_OPTIONS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tap.h"

struct options {
	long seconds;
	uint64_t seed;
};

struct rng {
	uint64_t state;
};

__attribute__((unused)) static struct options parse_options(int argc, char **argv)
{
	struct options options = { .seconds = 10, .seed = 0 };

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--seconds"))
			options.seconds = atol(argv[i + 1]);
		else if (!strcmp(argv[i], "--seed"))
			options.seed = strtoull(argv[i + 1], NULL, 0);
	}
	if (!options.seed)
		options.seed = (uint64_t)time(NULL);
	diag("--seconds %ld --seed %llu", options.seconds, (unsigned long long)options.seed);
	return options;
}

__attribute__((unused)) static struct rng rng_of(uint64_t seed, unsigned int thread)
{
	return (struct rng){ seed * 0x9e3779b97f4a7c15ull + thread * 0xbf58476d1ce4e5b9ull + 1 };
}

/* splitmix64 */
__attribute__((unused)) static uint64_t next_random(struct rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* True once in @n. */
__attribute__((unused)) static bool one_in(struct rng *rng, unsigned int n)
{
	return next_random(rng) % n == 0;
}

#endif
