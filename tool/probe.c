/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `mmunotify probe`: which event sources work here, why not, what to do; and
 * what else of the machine the commands make use of.
 *
 * It asks each source's own probe and each facility itself, and invents nothing.
 * Tests: tests/system/trace_errors.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <mmunotify/primary.h>

#include "command.h"
#include "json.h"
#include "maps_query.h"
#include "sites.h"

static const char help_text[] =
	"Usage: mmunotify probe [OPTION...] [[--] COMMAND [ARGUMENT...]]\n"
	"\n"
	"List the event sources and whether each works here.  With COMMAND: run it, and list\n"
	"for each program the objects it consists of, how many of their system calls are\n"
	"redirected, and which are left unseen.\n"
	"\n"
	"  -v, --verbose  also when each source notifies of each operation: before the old\n"
	"                 page can be reused, before the call returns, or never; and each\n"
	"                 system call of this process, or of COMMAND's programs\n"
	"  -s, --sites=FILE  instead: what would be done about each system call of an ELF\n"
	"                 file; with -v also about those that change no memory\n"
	"      --json     one JSON object\n"
	"  -h, --help     print this text\n"
	"\n"
	"Exit status: 0 if a source works that makes a process visible, or no system call\n"
	"of FILE or of COMMAND's programs is left unseen; 1 otherwise; 2 wrong usage; 125 the\n"
	"tool failed; 126 COMMAND cannot be run or watched; 127 there is no such command.\n";

static const char *const coverage_names[] = {
	[MMUN_COVERS_NEVER] = "never",
	[MMUN_COVERS_RETURN] = "return",
	[MMUN_COVERS_BEFORE] = "before",
};

static int query_maps(void)
{
	struct mmun_maps_query query = { .size = sizeof(query),
					 .flags = MMUN_MAPS_COVERING_OR_NEXT };
	int error = 0, maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	if (maps < 0)
		return errno;
	if (ioctl(maps, MMUN_MAPS_QUERY, &query) < 0)
		error = errno;
	close(maps);
	return error;
}

/* Without valid arguments: EFAULT says that it exists and is permitted. */
static int try_io_uring(void)
{
	int ring = (int)syscall(SYS_io_uring_setup, 1, NULL);

	if (ring >= 0)
		close(ring);
	return ring >= 0 || errno == EFAULT ? 0 : errno;
}

static int read_own_memory(void)
{
	char from = 1, to = 0;
	struct iovec local = { &to, 1 }, remote = { &from, 1 };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1 ? 0 : errno;
}

struct facility {
	const char *name, *use, *otherwise;
	/* 0 or a positive errno. */
	int (*try)(void);
};

static const struct facility facilities[] = {
	{ "maps-query", "trace asks what a range was with one ioctl (Linux 6.11)",
	  "trace reads /proc/thread-self/maps instead, if that is there, which costs more",
	  query_maps },
	{ "process_vm_readv", "trace recognises thread stacks",
	  "trace shows stacks of other threads as anonymous", read_own_memory },
	{ "io_uring", "demo registers a buffer with the kernel",
	  "demo uses pages pinned by vmsplice instead", try_io_uring },
};

#define NR_FACILITIES (sizeof(facilities) / sizeof(facilities[0]))

static void print_source(const struct mmun_primary_ops *source, const struct mmun_probe *probe,
			 bool verbose)
{
	printf("%-18s %-12s %s\n", source->name, probe->available ? "available" : "unavailable",
	       source->summary);
	if (!probe->available)
		printf("%-18s why: %s\n%-18s do:  %s\n", "", probe->reason, "", probe->remedy);
	for (unsigned int op = MMUN_OP_NONE + 1; verbose && op < MMUN_NR_OPS; op++)
		printf("  %-22s %s\n", mmun_op_name(op), coverage_names[source->coverage[op]]);
}

static void print_facility(const struct facility *facility)
{
	int error = facility->try();

	printf("%-18s %-12s %s\n", facility->name, error ? "unavailable" : "available",
	       facility->use);
	if (error)
		printf("%-18s why: %s\n%-18s so:  %s\n", "", strerror(error), "",
		       facility->otherwise);
}

static struct json_object *source_object(const struct mmun_primary_ops *source,
					 const struct mmun_probe *probe)
{
	struct json_object *object = json_object_new_object();
	struct json_object *coverage = json_object_new_object();

	json_add_text(object, "name", source->name);
	json_add_text(object, "summary", source->summary);
	json_object_object_add(object, "available", json_object_new_boolean(probe->available));
	json_add_text(object, "reason", probe->available ? NULL : probe->reason);
	json_add_text(object, "remedy", probe->available ? NULL : probe->remedy);
	for (unsigned int op = MMUN_OP_NONE + 1; op < MMUN_NR_OPS; op++)
		json_add_text(coverage, mmun_op_name(op), coverage_names[source->coverage[op]]);
	json_object_object_add(object, "coverage", coverage);
	return object;
}

static struct json_object *facility_object(const struct facility *facility)
{
	struct json_object *object = json_object_new_object();
	int error = facility->try();

	json_add_text(object, "name", facility->name);
	json_add_text(object, "use", facility->use);
	json_object_object_add(object, "available", json_object_new_boolean(!error));
	json_add_text(object, "reason", error ? strerror(error) : NULL);
	return object;
}

/* A software address space is visible wherever it runs: that says nothing of the
 * process, so it does not count for the exit status. */
static bool makes_visible(const struct mmun_primary_ops *source, const struct mmun_probe *probe)
{
	return source->start && probe->available;
}

/* Return: whether a source makes a process visible. */
static bool print_text(bool verbose)
{
	const struct mmun_primary_ops *source;
	struct mmun_probe probe;
	bool any = false;

	puts("Event sources:");
	for (unsigned int i = 0; (source = mmun_source_at(i)); i++) {
		source->probe(&probe);
		print_source(source, &probe, verbose);
		any |= makes_visible(source, &probe);
	}
	puts("\nFacilities:");
	for (size_t i = 0; i < NR_FACILITIES; i++)
		print_facility(&facilities[i]);
	if (verbose)
		sites_print_self(verbose);
	return any;
}

static bool print_json(bool verbose)
{
	struct json_object *object = json_object_new_object();
	struct json_object *sources = json_object_new_array(), *others = json_object_new_array();
	const struct mmun_primary_ops *source;
	struct mmun_probe probe;
	bool any = false;

	for (unsigned int i = 0; (source = mmun_source_at(i)); i++) {
		source->probe(&probe);
		json_object_array_add(sources, source_object(source, &probe));
		any |= makes_visible(source, &probe);
	}
	for (size_t i = 0; i < NR_FACILITIES; i++)
		json_object_array_add(others, facility_object(&facilities[i]));
	json_object_object_add(object, "sources", sources);
	json_object_object_add(object, "facilities", others);
	if (verbose)
		json_object_object_add(object, "self", sites_self_object(verbose));
	json_print_line(stdout, object);
	return any;
}

int mmunotify_cmd_probe(int argc, char **argv)
{
	static const struct option options[] = {
		{ "sites", required_argument, NULL, 's' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool verbose = false, json = false;
	const char *sites = NULL;
	int option;

	optind = 0;
	while ((option = mmunotify_getopt("probe", argc, argv, "+vhs:", options, NULL)) >= 0) {
		switch (option) {
		case 'v':
			verbose = true;
			break;
		case 'j':
			json = true;
			break;
		case 's':
			sites = optarg;
			break;
		case 'h':
			fputs(help_text, stdout);
			return 0;
		default:
			return MMUNOTIFY_EXIT_USAGE;
		}
	}
	if (sites && optind < argc)
		return mmunotify_usage_error("probe", "--sites does not go with a command");
	if (sites)
		return sites_of_file(sites, verbose);
	if (optind < argc)
		return sites_of_command(argv + optind, verbose, json);
	return (json ? print_json(verbose) : print_text(verbose)) ? 0 : MMUNOTIFY_EXIT_FAILED;
}
