/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `mmunotify replay`: prints a recording in any format of trace.
 *
 * Records go through the same sinks as live ones, so both print the same.  What
 * can be read of a damaged file is printed before the damage is reported.
 * Tests: tests/system/trace_replay.py.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "intern.h"
#include "output.h"

static const char help_text[] =
	"Usage: mmunotify replay [OPTION...] FILE\n"
	"\n"
	"Print a recording made by mmunotify trace -o; - is standard input.\n"
	"\n";

static const char own_help_text[] =
	"  -p, --pid=PID       only this process, as --filter=pid=PID\n"
	"  -h, --help          print this text\n"
	"\n"
	"Exit status: 0; 1 the recording is damaged (what is readable is printed first);\n"
	"2 wrong usage, or a file that cannot be read or written.\n";

static int take_pid(struct output_options *options)
{
	struct filter_error error;
	char term[64];

	if (strlen(optarg) > 40 || strspn(optarg, "0123456789") != strlen(optarg) ||
	    snprintf(term, sizeof(term), "pid=%s", optarg) < 0 ||
	    filter_parse(&options->filter, term, &error))
		return mmunotify_usage_error("replay", "-p is the number of one process, not '%s'",
					     optarg);
	return 0;
}

/* Return: below 0 to go on, otherwise the exit status. */
static int parse_replay(struct output_options *options, int argc, char **argv)
{
	static const struct option own[] = {
		{ "pid", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	struct option longs[OUTPUT_MAX_OPTIONS];
	int option, status;

	output_long_options(longs, own);
	optind = 0;
	while ((option = mmunotify_getopt("replay", argc, argv, "p:" OUTPUT_SHORT_OPTIONS, longs,
					  output_explain)) >= 0) {
		status = output_option(options, "replay", option);
		if (status > 0)
			return status;
		if (option == 'p' && (status = take_pid(options)))
			return status;
		if (option == 'h') {
			fputs(help_text, stdout);
			output_print_help(stdout);
			fputs(own_help_text, stdout);
			return 0;
		}
		if (option == '?') {
			return MMUNOTIFY_EXIT_USAGE;
		}
	}
	if (optind == argc)
		return mmunotify_usage_error("replay", "a recording to print is missing");
	if (optind + 1 < argc)
		return mmunotify_usage_error("replay", "one recording at a time, not '%s' too",
					     argv[optind + 1]);
	return -1;
}

static int unusable(const char *path, const char *what, int error)
{
	mmunotify_error("replay", "%s: cannot be %s: %s", path, what, strerror(error));
	return MMUNOTIFY_EXIT_USAGE;
}

/* Return: 0, or the exit status for a damaged recording or failed output. */
static int copy(struct record_reader *reader, struct sink *sink, const char *path)
{
	struct record record;
	int result, error = 0;

	while ((result = record_read(reader, &record)) > 0 && !error)
		error = sink_record(sink, &record);
	if (error)
		return mmunotify_output_error("replay", output_name(sink->options), -error);
	if (!result)
		return 0;
	fflush(sink->out);
	mmunotify_error("replay", "%s: damaged at byte %llu: %s", path,
			(unsigned long long)reader->offset, reader->damage);
	return MMUNOTIFY_EXIT_FAILED;
}

static int replay(const struct output_options *options, const struct sink_ops *ops,
		  const char *path, FILE *in, FILE *out)
{
	struct intern *intern = intern_new();
	struct record_reader reader;
	struct record_header header;
	struct sink sink;
	int status, error;

	if (!intern)
		return unusable(path, "read", ENOMEM);
	error = record_reader_open(&reader, in, intern, &header);
	if (error) {
		mmunotify_error("replay", "%s: %s byte %llu: %s", path,
				error == -ENOTSUP  ? "not readable at"
				: !reader.position ? "no recording, at"
						   : "damaged at",
				(unsigned long long)reader.offset, reader.damage);
		intern_free(intern);
		return MMUNOTIFY_EXIT_FAILED;
	}
	error = sink_open(&sink, ops, options, out, &header);
	if (error) {
		status = unusable(path, "printed", -error);
	} else {
		status = copy(&reader, &sink, path);
		error = sink_close(&sink);
		if (error && !status)
			status = mmunotify_output_error("replay", output_name(options), -error);
	}
	record_reader_close(&reader);
	intern_free(intern);
	return status;
}

int mmunotify_cmd_replay(int argc, char **argv)
{
	struct output_options options = { 0 };
	const struct sink_ops *ops;
	int status = parse_replay(&options, argc, argv);
	FILE *in, *out = stdout;
	const char *path;

	if (status < 0)
		status = output_choose(&options, "replay", false, &ops);
	else
		return status;
	if (status)
		return status;
	path = argv[optind];
	in = strcmp(path, "-") ? fopen(path, "re") : stdin;
	if (!in)
		return unusable(path, "read", errno);
	/* A file that is as long as it may be is an error like others, and is said. */
	signal(SIGXFSZ, SIG_IGN);
	if (options.path && !(out = output_open(&options, "replay", ops == &sink_recording, in)))
		return MMUNOTIFY_EXIT_USAGE;
	status = replay(&options, ops, path, in, out);
	if (output_close(out) && !status)
		status = mmunotify_output_error("replay", output_name(&options), errno);
	filter_clear(&options.filter);
	return status;
}
