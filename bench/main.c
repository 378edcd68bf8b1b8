/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mmunotify-bench: asks the questions of docs/PERFORMANCE.md and prints their
 * table.  A missed goal is a result, not an error.
 *
 * Exit status: 0 when everything asked for was measured; 2 for a wrong
 * command line.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"

struct bench_effort bench_effort = {
	.generations = 17,
	.rounds = 5,
	.patch_rounds = 2000,
	.stall_rounds = 15,
};

static const struct question {
	const char *name;
	void (*ask)(void);
} questions[] = {
	{ "cycle", bench_cycle },       { "srcu", bench_srcu },
	{ "interval", bench_interval }, { "registration", bench_registration },
	{ "stall", bench_stall },       { "startup", bench_startup },
	{ "patching", bench_patching }, { "mm_lock", bench_mm_lock },
	{ "adapters", bench_adapters }, { "rcache", bench_rcache },
	{ "uring", bench_uring },       { "trace", bench_trace },
};

static void usage(FILE *out)
{
	fprintf(out, "usage: mmunotify-bench [--quick] [--json] [--rounds N]"
		     " [--generations N] [QUESTION...]\nquestions:");
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
		fprintf(out, " %s", questions[i].name);
	fprintf(out, "\n");
}

static void make_quick(void)
{
	bench_effort.generations = 4;
	bench_effort.rounds = 4;
	bench_effort.patch_rounds = 1000;
	bench_effort.stall_rounds = 3;
}

static const struct question *find_question(const char *name)
{
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
		if (!strcmp(name, questions[i].name))
			return &questions[i];
	return NULL;
}

static void print_machine(void)
{
	struct utsname name;

	if (bench_effort.json || uname(&name))
		return;
	printf("%s %s, %ld processors; %u generations of %u rounds, in turns\n", name.sysname,
	       name.release, sysconf(_SC_NPROCESSORS_ONLN), bench_effort.generations,
	       bench_effort.rounds);
}

/* Returns the first argument that is a question, or 0 for a wrong option. */
static int parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "quick", no_argument, NULL, 'q' },
		{ "json", no_argument, NULL, 'j' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "generations", required_argument, NULL, 'g' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'q':
			make_quick();
			break;
		case 'j':
			bench_effort.json = true;
			break;
		case 'r':
			bench_effort.rounds = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'g':
			bench_effort.generations = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			return 0;
		}
	for (int i = optind; i < argc; i++)
		if (!find_question(argv[i]))
			return 0;
	return optind;
}

int main(int argc, char **argv)
{
	int first = parse(argc, argv);

	if (!first) {
		usage(stderr);
		return 2;
	}
	/* A library that libfabric's archive needs would print its own report of
	 * each crash into the table. */
	setenv("IPATH_NO_BACKTRACE", "1", 1);
	print_machine();
	if (first == argc)
		for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
			questions[i].ask();
	for (int i = first; i < argc; i++)
		find_question(argv[i])->ask();
	bench_conclusion();
	return 0;
}
