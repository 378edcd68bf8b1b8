/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `mmunotify audit`: runs a program with mmunotify-audit.so preloaded (../trace/session.c),
 * and reports at the end which registrations have outlived their memory.
 * Tests: tests/system/audit.py.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "../command.h"
#include "../trace/session.h"
#include "print.h"

#define DEFAULT_STATUS   99
#define DEFAULT_GRACE_MS 1000
#define DEFAULT_MOST     1000

static const char help_text[] =
	"Usage: mmunotify audit [OPTION...] [--] COMMAND [ARGUMENT...]\n"
	"\n"
	"Run COMMAND and report registrations of memory (fixed buffers of io_uring, memory\n"
	"regions of RDMA, host memory of CUDA, pages in pipes) that outlived that memory.\n"
	"\n"
	"  -o, --output, --log-file=FILE\n"
	"                      write the report to FILE, not to standard error\n"
	"      --json          one JSON object per line\n"
	"      --kinds=KINDS   which registrations: io_uring, verbs, cuda, vmsplice, mlock, or all\n"
	"                      (default: all but mlock)\n"
	"      --suppressions=FILE\n"
	"                      do not report what the lines kind:pattern of FILE match\n"
	"      --grace=MS      an unused registration may be dropped so many milliseconds after\n"
	"                      the change (default 1000)\n"
	"      --exit-code=STATUS\n"
	"                      end with STATUS if there are findings (default 99; 0: with the\n"
	"                      program's own)\n"
	"      --max-findings=COUNT\n"
	"                      print no more (default 1000)\n"
	"      --no-follow     do not watch children\n"
	"      --strict        see system calls that no C library makes, too; they cost more\n"
	"      --buffer=SIZE   size of the ring between program and tool (default 4M)\n"
	"  -h, --help          print this text\n"
	"\n"
	"Exit status: STATUS if there are findings, else the program's; 2 wrong usage or\n"
	"unwritable output; 125 the tool failed; 126 the program cannot be run or watched;\n"
	"127 there is no such program.\n";

struct audit {
	bool json, strict;
	unsigned int kinds;
	unsigned long grace_ms, exit_code;
	uint64_t buffer;
	char **command;
	struct output_options options;
	struct session session;
	struct findings findings;
	struct report report;
};

/* What the collector calls has no argument of ours. */
static struct audit audit;

enum {
	OPTION_JSON = 256,
	OPTION_KINDS,
	OPTION_SUPPRESSIONS,
	OPTION_GRACE,
	OPTION_EXIT_CODE,
	OPTION_MAX_FINDINGS,
	OPTION_NO_FOLLOW,
	OPTION_STRICT,
	OPTION_BUFFER,
};

static int take_number(const char *option, unsigned long most, unsigned long *out)
{
	char *end;

	errno = 0;
	*out = strtoul(optarg, &end, 10);
	if (*optarg >= '0' && *optarg <= '9' && !*end && !errno && *out <= most)
		return 0;
	return mmunotify_usage_error("audit", "--%s is a number from 0 to %lu, not '%s'", option,
				     most, optarg);
}

static bool add_kind(const char *word, size_t length)
{
	if (length == 3 && !strncmp(word, "all", 3)) {
		audit.kinds = (1u << AUDIT_NR_KINDS) - 1;
		return true;
	}
	for (unsigned int kind = 0; kind < AUDIT_NR_KINDS; kind++)
		if (strlen(audit_kind_name(kind)) == length &&
		    !strncmp(word, audit_kind_name(kind), length)) {
			audit.kinds |= 1u << kind;
			return true;
		}
	return false;
}

static int take_kinds(void)
{
	const char *at = optarg;
	size_t length;

	for (audit.kinds = 0;; at += length + 1) {
		length = strcspn(at, ",");
		if (!add_kind(at, length))
			return mmunotify_usage_error("audit",
						     "--kinds is a list of io_uring, verbs, cuda, "
						     "vmsplice, mlock, or all, not '%s'",
						     optarg);
		if (!at[length])
			return 0;
	}
}

static int take_buffer(void)
{
	if (filter_parse_size(optarg, strlen(optarg), &audit.buffer) ||
	    audit.buffer < RING_MIN_SLOTS * sizeof(struct ring_slot) ||
	    audit.buffer > RING_MAX_BYTES)
		return mmunotify_usage_error("audit", "--buffer is a size from 1K to 1G, not '%s'",
					     optarg);
	return 0;
}

/* Return: 0 or the exit status. */
static int take_value(int option)
{
	switch (option) {
	case 'o':
		audit.options.path = optarg;
		return 0;
	case OPTION_KINDS:
		return take_kinds();
	case OPTION_SUPPRESSIONS:
		return suppressions_read(&audit.report.suppressions, optarg);
	case OPTION_GRACE:
		return take_number("grace", 86400000, &audit.grace_ms);
	case OPTION_EXIT_CODE:
		return take_number("exit-code", 255, &audit.exit_code);
	case OPTION_MAX_FINDINGS:
		return take_number("max-findings", 1ul << 30, &audit.report.most);
	case OPTION_BUFFER:
		return take_buffer();
	}
	return 0;
}

/* Return: below 0 to go on, otherwise the exit status. */
static int take_option(int option)
{
	int status;

	switch (option) {
	case OPTION_JSON:
		audit.json = true;
		break;
	case OPTION_NO_FOLLOW:
		audit.session.follow = false;
		break;
	case OPTION_STRICT:
		audit.strict = true;
		break;
	case 'h':
		fputs(help_text, stdout);
		return 0;
	case '?':
		return MMUNOTIFY_EXIT_USAGE;
	default:
		status = take_value(option);
		return status ? status : -1;
	}
	return -1;
}

static int parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "log-file", required_argument, NULL, 'o' },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "kinds", required_argument, NULL, OPTION_KINDS },
		{ "suppressions", required_argument, NULL, OPTION_SUPPRESSIONS },
		{ "grace", required_argument, NULL, OPTION_GRACE },
		{ "exit-code", required_argument, NULL, OPTION_EXIT_CODE },
		{ "max-findings", required_argument, NULL, OPTION_MAX_FINDINGS },
		{ "no-follow", no_argument, NULL, OPTION_NO_FOLLOW },
		{ "strict", no_argument, NULL, OPTION_STRICT },
		{ "buffer", required_argument, NULL, OPTION_BUFFER },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option, status;

	audit.session.command = "audit";
	audit.session.follow = true;
	audit.kinds = AUDIT_DEFAULT_KINDS;
	audit.buffer = RING_DEFAULT_BYTES;
	audit.grace_ms = DEFAULT_GRACE_MS;
	audit.exit_code = DEFAULT_STATUS;
	audit.report.most = DEFAULT_MOST;
	optind = 0;
	while ((option = mmunotify_getopt("audit", argc, argv, "+o:h", options, NULL)) >= 0) {
		status = take_option(option);
		if (status >= 0)
			return status;
	}
	if (optind == argc)
		return mmunotify_usage_error("audit", "a command to run is missing");
	audit.command = argv + optind;
	return -1;
}

/* What the record names lasts no longer than the call. */
static void note_unfollowed(const struct record *record)
{
	struct report *report = &audit.report;
	char *line = NULL;

	if (report->nr_unfollowed++ >= REPORT_UNFOLLOWED)
		return;
	if (asprintf(&line, "%s: %s",
		     record->unfollowed.exe ? record->unfollowed.exe : "(not known)",
		     record->unfollowed.reason ? record->unfollowed.reason : "not known") >= 0)
		report->unfollowed[report->nr_unfollowed - 1] = line;
}

static int sink_take(struct sink *sink, const struct record *record)
{
	switch (record->type) {
	case RECORD_PROCESS:
		if (record->process.error && !audit.report.nr_unwatchable++)
			audit.report.unwatchable_error = record->process.error;
		return process_table_take(audit.report.processes, record);
	case RECORD_UNFOLLOWED:
		note_unfollowed(record);
		break;
	case RECORD_LOST:
		audit.report.lost = *record;
		break;
	case RECORD_END:
		audit.report.end = *record;
		break;
	default:
		break;
	}
	return 0;
}

static int sink_finish(struct sink *sink)
{
	return 0;
}

static void take_message(struct collector *collector, const struct ring_message *message)
{
	if (message->type == RING_AUDIT)
		findings_take(&audit.findings, collector, message);
}

static int open_output(void)
{
	audit.report.out = stderr;
	if (!audit.options.path) {
		/* Whole lines, between those of the program. */
		setvbuf(stderr, NULL, _IOFBF, 65536);
		return 0;
	}
	audit.report.out = output_open(&audit.options, "audit", false, NULL);
	return audit.report.out ? 0 : MMUNOTIFY_EXIT_USAGE;
}

static int open_report(void)
{
	static const struct sink_ops ops = { .record = sink_take, .close = sink_finish };

	findings_init(&audit.findings, audit.grace_ms * 1000000);
	audit.session.collector.other = take_message;
	audit.session.sink = (struct sink){ .ops = &ops, .options = &audit.options, .out = stderr };
	audit.report.findings = &audit.findings;
	audit.report.header = session_header(audit.command);
	audit.report.processes = process_table_new();
	audit.report.symbolizer = symbolizer_new();
	if (audit.report.processes)
		return 0;
	mmunotify_error("audit", "there is not enough memory");
	return MMUNOTIFY_EXIT_TOOL;
}

static int print(void)
{
	struct report *report = &audit.report;
	int error;

	findings_finish(&audit.findings);
	report_count(report);
	error = audit.json ? report_print_json(report) : report_print_text(report);
	if (report->out != stderr && output_close(report->out) && !error)
		error = -errno;
	return error;
}

/* The names and stacks of findings live as long as the collector, so they are printed first. */
static int finish(void)
{
	unsigned long nr;
	int error, closed;

	session_finish(&audit.session);
	error = print();
	nr = audit.report.nr;
	closed = session_close(&audit.session);
	findings_free(&audit.findings);
	suppressions_free(&audit.report.suppressions);
	for (size_t i = 0; i < REPORT_UNFOLLOWED; i++)
		free(audit.report.unfollowed[i]);
	symbolizer_free(audit.report.symbolizer);
	process_table_free(audit.report.processes);
	if (!error && !closed)
		return nr && audit.exit_code ? (int)audit.exit_code
					     : launch_pass_on(audit.session.wait_status);
	return mmunotify_output_error(
		"audit", audit.options.path ? output_name(&audit.options) : "standard error",
		error ? -error : -closed);
}

int mmunotify_cmd_audit(int argc, char **argv)
{
	unsigned int wants;
	int status = parse(argc, argv);

	if (status >= 0)
		return status;
	wants = RING_WANT_STACKS | (audit.strict ? RING_STRICT : 0) |
		audit.kinds << RING_AUDIT_SHIFT;
	/* The output last: a mistyped command must not empty an old report. */
	if ((status = launch_check(&audit.session.launch, "audit", audit.command)) ||
	    (status = launch_find_library(&audit.session.launch, "audit")) ||
	    (status = session_open(&audit.session, wants, audit.buffer)) ||
	    (status = open_output()) || (status = open_report()) ||
	    (status = session_run(&audit.session)))
		return status;
	return finish();
}
