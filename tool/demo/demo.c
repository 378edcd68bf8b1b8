/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `mmunotify demo`: the stale-translation problem and its cure on real kernel I/O.
 *
 * Each column runs in a child process of its own, so that nothing is patched
 * in the first one and a crash in one is a sentence, not a missing table.  The
 * result travels back in shared memory and is judged here only by what the
 * children saw.  Tests: tests/system/demo.py.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "demo.h"

static const char help_text[] =
	"Usage: mmunotify demo [OPTION...]\n"
	"\n"
	"Register a buffer with a device, change the memory behind it in five ways, and\n"
	"show what the device sees: without a notifier, with one that re-registers, and\n"
	"through the registration cache.\n"
	"\n"
	"      --backend=NAME  io_uring, vmsplice, or auto (default): io_uring where it is\n"
	"                      permitted, otherwise vmsplice\n"
	"  -j, --json          one JSON object\n"
	"  -h, --help          print this text\n"
	"\n"
	"Exit status: 0 if every operation went stale without a notifier and none with\n"
	"one or the cache, 1 if not or if the demo cannot run here, 2 for wrong usage.\n";

struct options {
	bool json;
	/* NULL: the first that works. */
	const struct demo_device_ops *device;
};

static int choose_backend(const char *name, struct options *options)
{
	if (!strcmp(name, "auto"))
		options->device = NULL;
	else if (!strcmp(name, demo_uring_device.name))
		options->device = &demo_uring_device;
	else if (!strcmp(name, demo_vmsplice_device.name))
		options->device = &demo_vmsplice_device;
	else
		return mmunotify_usage_error("demo",
					     "there is no backend '%s', only io_uring, "
					     "vmsplice and auto",
					     name);
	return 0;
}

/* Return: below 0 to go on, otherwise the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, ":hj", longs, NULL)) >= 0) {
		switch (c) {
		case 'b':
			if (choose_backend(optarg, options))
				return MMUNOTIFY_EXIT_USAGE;
			break;
		case 'j':
			options->json = true;
			break;
		case 'h':
			fputs(help_text, stdout);
			return EXIT_SUCCESS;
		case ':':
			return mmunotify_usage_error("demo", "option '%s' needs a value",
						     argv[optind - 1]);
		default:
			return mmunotify_usage_error("demo", "there is no option '%s'",
						     argv[optind - 1]);
		}
	}
	if (optind < argc)
		return mmunotify_usage_error("demo", "there is nothing to do with '%s'",
					     argv[optind]);
	return -1;
}

/* Return: 0 with report->device set. */
static int pick_device(const struct options *options, struct demo_report *report)
{
	struct demo_error error = { "" };

	report->device = options->device ? options->device : &demo_uring_device;
	if (!demo_device_probe(report->device, &error))
		return 0;
	if (!options->device) {
		report->note = error;
		report->device = &demo_vmsplice_device;
		if (!demo_device_probe(report->device, &error))
			return 0;
		mmunotify_error("demo", "%s", report->note.text);
	}
	mmunotify_error("demo", "%s", error.text);
	return -ENOTSUP;
}

static int wait_for(pid_t child, struct demo_error *error)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return demo_fail(error, errno, "waiting for the column's process failed");
	if (WIFSIGNALED(status))
		return demo_fail(error, 0, "the column's process was killed by signal %d (%s)",
				 WTERMSIG(status), strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status))
		return demo_fail(error, 0, "the column's process ended early with status %d",
				 WEXITSTATUS(status));
	return 0;
}

static void run_in_child(struct demo_column *column, const struct demo_device_ops *device,
			 enum demo_way way)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child < 0) {
		demo_fail(&column->error, errno, "cannot start the column's process");
	} else if (!child) {
		demo_column_run(column, device, way);
		_exit(EXIT_SUCCESS);
	} else {
		wait_for(child, &column->error);
	}
}

int mmunotify_cmd_demo(int argc, char **argv)
{
	struct options options = { .json = false };
	struct demo_report report = { .device = NULL };
	struct demo_column *columns;
	int status = parse(argc, argv, &options);

	if (status >= 0)
		return status;
	if (pick_device(&options, &report))
		return MMUNOTIFY_EXIT_FAILED;
	columns = mmap(NULL, DEMO_NR_WAYS * sizeof(*columns), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (columns == MAP_FAILED) {
		mmunotify_error("demo", "no memory for the result: %s", strerror(errno));
		return MMUNOTIFY_EXIT_FAILED;
	}
	for (int i = 0; i < DEMO_NR_WAYS; i++) {
		run_in_child(&columns[i], report.device, (enum demo_way)i);
		report.columns[i] = &columns[i];
	}
	if (options.json)
		demo_print_json(&report, stdout);
	else
		demo_print_table(&report, stdout);
	status = demo_passed(&report) ? EXIT_SUCCESS : MMUNOTIFY_EXIT_FAILED;
	munmap(columns, DEMO_NR_WAYS * sizeof(*columns));
	return status;
}
