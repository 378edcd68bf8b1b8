/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `mmunotify trace`: runs a program with the tracer preloaded (session.c), its events into a
 * sink, and ends as the program ended.
 * Tests: tests/system/trace_*.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output.h"
#include "session.h"

static const char help_text[] =
	"Usage: mmunotify trace [OPTION...] [--] COMMAND [ARGUMENT...]\n"
	"\n"
	"Run COMMAND and print each change of its address space, its children's included.\n"
	"\n";

static const char own_help_text[] =
	"  -f, --follow        trace children (the default)\n"
	"      --no-follow     do not trace children\n"
	"      --strict        see system calls that no C library makes, too; they cost more\n"
	"      --buffer=SIZE   size of the ring between program and tool (default 4M)\n"
	"  -h, --help          print this text\n"
	"\n"
	"Without -o everything goes to standard error, as text.  With -o and no format FILE\n"
	"is a recording for mmunotify replay.\n"
	"\n"
	"Exit status: the program's; 2 wrong usage or unwritable output; 125 the tool failed;\n"
	"126 the program cannot be run or traced; 127 there is no such program.\n";

struct trace {
	struct output_options options;
	const struct sink_ops *ops;
	bool strict;
	uint64_t buffer;
	char **command;

	FILE *out;
	struct session session;
};

enum { OPTION_NO_FOLLOW = OUTPUT_OPTION_NEXT, OPTION_STRICT, OPTION_BUFFER };

static int take_buffer(struct trace *trace)
{
	if (filter_parse_size(optarg, strlen(optarg), &trace->buffer) ||
	    trace->buffer < RING_MIN_SLOTS * sizeof(struct ring_slot) ||
	    trace->buffer > RING_MAX_BYTES)
		return mmunotify_usage_error("trace", "--buffer is a size from 1K to 1G, not '%s'",
					     optarg);
	return 0;
}

/* Return: below 0 to go on, otherwise the exit status. */
static int take_option(struct trace *trace, int option)
{
	int status = output_option(&trace->options, "trace", option);

	if (status > 0)
		return status;
	switch (option) {
	case 'f':
		trace->session.follow = true;
		break;
	case OPTION_NO_FOLLOW:
		trace->session.follow = false;
		break;
	case OPTION_STRICT:
		trace->strict = true;
		break;
	case OPTION_BUFFER:
		status = take_buffer(trace);
		return status ? status : -1;
	case 'h':
		fputs(help_text, stdout);
		output_print_help(stdout);
		fputs(own_help_text, stdout);
		return 0;
	case '?':
		return MMUNOTIFY_EXIT_USAGE;
	}
	return -1;
}

/* What strace has and we have not. */
static const char *explain(int letter)
{
	if (letter == 'p')
		return "a running process cannot be watched, only what mmunotify trace starts; "
		       "replay has -p";
	return output_explain(letter);
}

static int parse_trace(struct trace *trace, int argc, char **argv)
{
	static const struct option own[] = {
		{ "follow", no_argument, NULL, 'f' },
		{ "no-follow", no_argument, NULL, OPTION_NO_FOLLOW },
		{ "strict", no_argument, NULL, OPTION_STRICT },
		{ "buffer", required_argument, NULL, OPTION_BUFFER },
		{ NULL, 0, NULL, 0 },
	};
	struct option options[OUTPUT_MAX_OPTIONS];
	int option, status;

	trace->session.follow = true;
	trace->buffer = RING_DEFAULT_BYTES;
	output_long_options(options, own);
	optind = 0;
	while ((option = mmunotify_getopt("trace", argc, argv, "+f" OUTPUT_SHORT_OPTIONS, options,
					  explain)) >= 0) {
		status = take_option(trace, option);
		if (status >= 0)
			return status;
	}
	if (optind == argc)
		return mmunotify_usage_error("trace", "a command to run is missing");
	trace->command = argv + optind;
	status = output_choose(&trace->options, "trace", true, &trace->ops);
	return status ? status : -1;
}

static int open_output(struct trace *trace)
{
	trace->out = stderr;
	if (!trace->options.path) {
		/* Whole lines, between those of the program. */
		setvbuf(stderr, NULL, _IOFBF, 65536);
		return 0;
	}
	trace->out = output_open(&trace->options, "trace", trace->ops == &sink_recording, NULL);
	return trace->out ? 0 : MMUNOTIFY_EXIT_USAGE;
}

static int open_sink(struct trace *trace)
{
	struct record_header header = session_header(trace->command);
	int error =
		sink_open(&trace->session.sink, trace->ops, &trace->options, trace->out, &header);

	if (!error)
		return 0;
	mmunotify_error("trace", "the output cannot be started: %s", strerror(-error));
	return MMUNOTIFY_EXIT_TOOL;
}

static int finish(struct trace *trace)
{
	int error;

	session_finish(&trace->session);
	error = session_close(&trace->session);
	if (trace->out != stderr && output_close(trace->out) && !error)
		error = -errno;
	filter_clear(&trace->options.filter);
	if (!error)
		return launch_pass_on(trace->session.wait_status);
	return mmunotify_output_error(
		"trace", trace->options.path ? output_name(&trace->options) : "standard error",
		-error);
}

int mmunotify_cmd_trace(int argc, char **argv)
{
	static struct trace trace;
	unsigned int wants;
	int status = parse_trace(&trace, argc, argv);

	if (status >= 0)
		return status;
	trace.session.command = "trace";
	wants = (trace.options.stacks ? RING_WANT_STACKS : 0) | (trace.strict ? RING_STRICT : 0);
	/* The output last: a mistyped command must not empty an old recording. */
	if ((status = launch_check(&trace.session.launch, "trace", trace.command)) ||
	    (status = open_output(&trace)) ||
	    (status = launch_find_library(&trace.session.launch, "trace")) ||
	    (status = session_open(&trace.session, wants, trace.buffer)) ||
	    (status = open_sink(&trace)) || (status = session_run(&trace.session)))
		return status;
	return finish(&trace);
}
