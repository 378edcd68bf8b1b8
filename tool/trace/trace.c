/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `mmunotify trace`: runs a program with the tracer preloaded, drains the ring
 * into a sink, and ends as the program ended.
 *
 * One thread does it all: it sleeps on the ring's futex for at most TICK_NS,
 * and signals only set flags.  The terminal's signals are the program's
 * business: the tool outlives them and drains on.
 * Tests: tests/system/trace_*.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mmunotify/primary.h>
#include <mmunotify/version.h>

#include "collect.h"
#include "command.h"
#include "launch.h"
#include "output.h"

#define TICK_NS 50000000ull

static const char help_text[] =
	"Usage: mmunotify trace [OPTION...] [--] COMMAND [ARGUMENT...]\n"
	"\n"
	"Run COMMAND and print each change of its address space, its children's included.\n"
	"\n";

static const char own_help_text[] =
	"      --no-follow     do not trace children\n"
	"      --strict        see system calls that no C library makes, too; they cost more\n"
	"      --buffer=SIZE   size of the ring between program and tool (default 4M)\n"
	"  -h, --help          print this text\n"
	"\n"
	"Without -o everything goes to standard error, as text.  With -o and neither --text,\n"
	"--json nor --summary, FILE is a recording for mmunotify replay.\n"
	"\n"
	"Exit status: the program's; 2 wrong usage or unwritable output; 125 the tool failed;\n"
	"126 the program cannot be run or traced; 127 there is no such program.\n";

struct trace {
	struct output_options options;
	const struct sink_ops *ops;
	bool follow, strict;
	uint64_t buffer;
	char **command;

	FILE *out;
	struct ring ring;
	int ring_fd;
	struct launch launch;
	struct sink sink;
	struct collector collector;
	pid_t child;
	int wait_status;
	uint64_t ended_at;
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

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
	case OPTION_NO_FOLLOW:
		trace->follow = false;
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
		fputs("Try 'mmunotify trace --help'.\n", stderr);
		return MMUNOTIFY_EXIT_USAGE;
	}
	return -1;
}

static int parse_trace(struct trace *trace, int argc, char **argv)
{
	static const struct option own[] = {
		{ "no-follow", no_argument, NULL, OPTION_NO_FOLLOW },
		{ "strict", no_argument, NULL, OPTION_STRICT },
		{ "buffer", required_argument, NULL, OPTION_BUFFER },
		{ NULL, 0, NULL, 0 },
	};
	struct option options[OUTPUT_MAX_OPTIONS];
	int option, status;

	trace->follow = true;
	trace->buffer = RING_DEFAULT_BYTES;
	output_long_options(options, own);
	optind = 0;
	while ((option = getopt_long(argc, argv, "+" OUTPUT_SHORT_OPTIONS, options, NULL)) >= 0) {
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
	trace->out = fopen(trace->options.path, "we");
	if (trace->out)
		return 0;
	mmunotify_error("trace", "%s: cannot be written: %s", trace->options.path, strerror(errno));
	return MMUNOTIFY_EXIT_USAGE;
}

/* A sentence if the source of events cannot work on this machine at all. */
static int check_source(void)
{
	const struct mmun_primary_ops *source;
	struct mmun_probe probe;

	for (unsigned int i = 0; (source = mmun_source_at(i)); i++) {
		if (strcmp(source->name, "self"))
			continue;
		source->probe(&probe);
		if (probe.available)
			return 0;
		mmunotify_error("trace", "%s; %s", probe.reason, probe.remedy);
		return MMUNOTIFY_EXIT_TOOL;
	}
	mmunotify_error("trace", "this build has no source of events for processes");
	return MMUNOTIFY_EXIT_TOOL;
}

static int open_ring(struct trace *trace)
{
	unsigned int wants = (trace->options.stacks ? RING_WANT_STACKS : 0) |
			     (trace->follow ? RING_FOLLOW : 0) | (trace->strict ? RING_STRICT : 0);
	struct stat file;
	int error;

	error = ring_create(&trace->ring, trace->buffer, wants, &trace->ring_fd);
	if (error || fstat(trace->ring_fd, &file) < 0) {
		mmunotify_error("trace", "the ring of %llu bytes cannot be made: %s",
				(unsigned long long)trace->buffer,
				strerror(error ? -error : errno));
		return MMUNOTIFY_EXIT_TOOL;
	}
	trace->launch.variable = RING_ENV;
	snprintf(trace->launch.value, sizeof(trace->launch.value), "/proc/%d/fd/%d", getpid(),
		 trace->ring_fd);
	error = collector_init(&trace->collector, &trace->ring, file.st_ino, &trace->sink);
	if (!error)
		return 0;
	mmunotify_error("trace", "there is not enough memory");
	return MMUNOTIFY_EXIT_TOOL;
}

/* The words of the command, quoted where a shell would need it. */
static void join_command(char **words, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (; *words && used < size; words++) {
		bool plain =
			**words &&
			!(*words)[strspn(*words, "abcdefghijklmnopqrstuvwxyz"
						 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_")];
		const char *quote = plain ? "" : "'";

		used += (size_t)snprintf(out + used, size - used, "%s%s%s%s", used ? " " : "",
					 quote, *words, quote);
	}
}

static int open_sink(struct trace *trace)
{
	static char command[2048];
	struct record_header header = {
		.start_monotonic = clock_ns(CLOCK_MONOTONIC),
		.start_realtime = clock_ns(CLOCK_REALTIME),
		.command = command,
		.version = mmun_version(),
	};
	int error;

	join_command(trace->command, command, sizeof(command));
	error = sink_open(&trace->sink, trace->ops, &trace->options, trace->out, &header);
	if (!error)
		return 0;
	mmunotify_error("trace", "the output cannot be started: %s", strerror(-error));
	return MMUNOTIFY_EXIT_TOOL;
}

static volatile sig_atomic_t forward, interrupted;
/* When a child ended; we may be busy for long after that. */
static volatile uint64_t child_signal_at;

static void on_signal(int signal)
{
	if (signal == SIGTERM || signal == SIGHUP)
		forward = signal;
	if (signal == SIGCHLD)
		child_signal_at = clock_ns(CLOCK_MONOTONIC);
	else
		interrupted = 1;
}

/* Before the program can have printed anything: somebody may press Ctrl-C then.
 * What the caller ignores (nohup, a shell's background job) stays ignored. */
static void install_handlers(void)
{
	static const int signals[] = { SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal }, old;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaction(signals[i], NULL, &old);
		if (old.sa_handler != SIG_IGN || signals[i] == SIGCHLD)
			sigaction(signals[i], &action, NULL);
	}
	/* The reader of our output going away must not take the program along. */
	signal(SIGPIPE, SIG_IGN);
}

static bool child_has_ended(struct trace *trace)
{
	pid_t pid = waitpid(trace->child, &trace->wait_status, WNOHANG);

	return pid == trace->child || (pid < 0 && errno == ECHILD);
}

/* Until the program and, if they are followed, its descendants have ended. */
static void drain_until_end(struct trace *trace)
{
	bool ended = false;

	interrupted = 0;
	for (;;) {
		if (forward && !ended)
			kill(trace->child, forward);
		forward = 0;
		if (!ended && child_has_ended(trace)) {
			ended = true;
			trace->ended_at = child_signal_at ? child_signal_at
							  : clock_ns(CLOCK_MONOTONIC);
			interrupted = 0;
		}
		collector_drain(&trace->collector);
		collector_check_released(&trace->collector, clock_ns(CLOCK_MONOTONIC));
		if (ended &&
		    (!trace->follow || interrupted ||
		     !collector_is_anybody_alive(&trace->collector, clock_ns(CLOCK_MONOTONIC))))
			break;
		ring_wait(&trace->ring, TICK_NS);
	}
	mmun_store_full(&trace->ring.header->closed, 1);
	collector_drain(&trace->collector);
}

static int finish(struct trace *trace)
{
	int error;

	collector_finish(&trace->collector, trace->child, trace->wait_status, trace->ended_at);
	error = sink_close(&trace->sink);
	if (!error)
		error = trace->collector.error;
	if (trace->out != stderr && fclose(trace->out) && !error)
		error = -errno;
	collector_free(&trace->collector);
	ring_destroy(&trace->ring);
	filter_clear(&trace->options.filter);
	if (!error)
		return launch_pass_on(trace->wait_status);
	mmunotify_error("trace", "%s: cannot be written: %s",
			trace->options.path ? trace->options.path : "standard error",
			strerror(-error));
	return MMUNOTIFY_EXIT_USAGE;
}

int mmunotify_cmd_trace(int argc, char **argv)
{
	static struct trace trace;
	int status = parse_trace(&trace, argc, argv);

	if (status >= 0)
		return status;
	/* The output last: a mistyped command must not empty an old recording. */
	if ((status = launch_check(&trace.launch, "trace", trace.command)) ||
	    (status = open_output(&trace)) || (status = launch_find_library(&trace.launch)) ||
	    (status = check_source()) || (status = open_ring(&trace)) ||
	    (status = open_sink(&trace)) ||
	    (status = launch_start(&trace.launch, &trace.child, install_handlers)))
		return status;
	drain_until_end(&trace);
	return finish(&trace);
}
