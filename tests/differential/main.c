/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Replays the lists named on the command line, then makes random ones.
 * A difference is made short and printed as a list that can be kept.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "diff.h"
#include "tap.h"

#define LIST     2000
#define MAX_CASE 4000

struct options {
	uint64_t seed, steps;
	unsigned int seconds, jobs, events;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void report(struct op *ops, size_t count, uint64_t seed, struct run *run)
{
	printf("# step %zu of list %#lx: %s\n", run->step, (unsigned long)seed, run->difference);
	fflush(stdout);
	count = minimise(ops, count, seed, run);
	printf("# made short: %s\n", run->difference);
	for (size_t i = 0; i < count; i++) {
		printf("#   ");
		print_op(stdout, &ops[i]);
	}
	fflush(stdout);
}

/* One list; its steps and what is looked at follow from @seed alone.  How many of
 * them were performed, or -1. */
static long random_list(uint64_t seed)
{
	struct op *ops = malloc(LIST * sizeof(*ops));
	struct random r = { seed };
	struct run run;
	bool same;

	for (size_t i = 0; i < LIST; i++)
		ops[i] = make_op(&r, i + 1);
	same = run_steps(ops, LIST, seed, &run);
	if (!same)
		report(ops, LIST, seed, &run);
	free(ops);
	return same ? (long)run.performed : -1;
}

/* The lists of one job; returns how many steps ran, or -1. */
static long random_job(const struct options *options, unsigned int job)
{
	const double end = now() + options->seconds;
	const uint64_t wanted = options->steps / options->jobs;
	uint64_t seed = options->seed + job * 0x100000000ull, done = 0;

	while (options->steps ? done < wanted : now() < end) {
		long performed = random_list(seed++);

		if (performed < 0)
			return -1;
		done += (uint64_t)performed;
	}
	return (long)done;
}

static void random_jobs(const struct options *options)
{
	long total = 0;
	bool same = true;
	FILE *results = tmpfile();
	double began = now();

	for (unsigned int job = 0; job < options->jobs; job++) {
		if (!fork()) {
			long steps = random_job(options, job);

			if (write(fileno(results), &steps, sizeof(steps)) != sizeof(steps))
				_exit(1);
			_exit(0);
		}
	}
	while (wait(NULL) > 0 || errno == EINTR)
		;
	rewind(results);
	for (unsigned int job = 0; job < options->jobs; job++) {
		long steps = -1;

		if (fread(&steps, sizeof(steps), 1, results) != 1 || steps < 0)
			same = false;
		else
			total += steps;
	}
	fclose(results);
	ok(same, "%s%ld random steps without a difference (seed %#lx, %.0f steps/s)",
	   with_events ? "B14: " : "", total, (unsigned long)options->seed,
	   total / (now() - began));
}

static void replay(const char *path)
{
	static struct op ops[MAX_CASE];
	FILE *file = fopen(path, "r");
	struct run run = { 0 };
	size_t count = 0;
	char line[256];
	bool good = file;
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;

	while (good && fgets(line, sizeof(line), file) && count < MAX_CASE) {
		int kind = parse_op(line, &ops[count]);

		good = kind >= 0;
		count += kind > 0;
	}
	if (file)
		fclose(file);
	/* What is looked at may matter: several draws. */
	for (uint64_t seed = 1; good && seed <= 8; seed++)
		good = run_steps(ops, count, seed, &run);
	ok(good && count, "case %s, %zu steps%s%s", name, count, run.difference[0] ? ": " : "",
	   run.difference);
}

int main(int argc, char **argv)
{
	struct options options = { .seed = (uint64_t)time(NULL) << 8, .seconds = 20, .jobs = 1 };
	int i;

	for (i = 1; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		uint64_t value = strtoull(argv[i + 1], NULL, 0);

		if (!strcmp(argv[i], "--seed"))
			options.seed = value;
		else if (!strcmp(argv[i], "--steps"))
			options.steps = value;
		else if (!strcmp(argv[i], "--seconds"))
			options.seconds = (unsigned int)value;
		else if (!strcmp(argv[i], "--jobs"))
			options.jobs = (unsigned int)value;
		else if (!strcmp(argv[i], "--events"))
			options.events = (unsigned int)value;
		else
			break;
	}
	if (options.events) {
		const char *missing = events_prepare();

		if (missing)
			skip_all(missing);
		with_events = true;
	}
	for (; i < argc; i++)
		replay(argv[i]);
	if (options.steps || options.seconds)
		random_jobs(&options);
	return tap_done();
}
