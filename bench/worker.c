/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A measured process: sets one workload up, then measures a batch whenever the
 * driver asks.  Between batches it sleeps in read(), so many of these can take
 * turns on one processor, and what one patches no other one sees.
 *
 * Exit status: 0 when the driver closes the socket; 77 when the workload
 * cannot run here; 2 for a wrong command line.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker.h"

void bench_pin(unsigned int cpu)
{
	cpu_set_t set;
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	CPU_ZERO(&set);
	CPU_SET(online > 0 ? cpu % (unsigned int)online : 0, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

unsigned long bench_number(char **args, unsigned int index, unsigned long fallback)
{
	for (unsigned int i = 0; i < index && *args; i++)
		args++;
	return *args ? strtoul(*args, NULL, 0) : fallback;
}

static const struct bench_workload *find_workload(const char *name)
{
	if (!strcmp(name, bench_cycle_workload.name))
		return &bench_cycle_workload;
	if (!strcmp(name, bench_advice_workload.name))
		return &bench_advice_workload;
	if (!strcmp(name, bench_parent_workload.name))
		return &bench_parent_workload;
	for (const struct bench_workload *w = bench_workloads; w->name; w++)
		if (!strcmp(name, w->name))
			return w;
	return NULL;
}

static void serve(const struct bench_workload *workload)
{
	double figures[BENCH_FIGURES];
	char request;

	while (read(BENCH_SOCKET, &request, 1) == 1) {
		memset(figures, 0, sizeof(figures));
		workload->batch(figures);
		if (write(BENCH_SOCKET, figures, sizeof(figures)) != sizeof(figures))
			return;
	}
}

int main(int argc, char **argv)
{
	const struct bench_workload *workload = argc > 1 ? find_workload(argv[1]) : NULL;
	int error;

	if (!workload) {
		fprintf(stderr, "%s: started by mmunotify-bench only\n", argv[0]);
		return 2;
	}
	error = workload->setup(argv + 2);
	if (error) {
		fprintf(stderr, "%s %s: %s\n", argv[0], argv[1], strerror(-error));
		return 77;
	}
	serve(workload);
	_exit(0);
}
