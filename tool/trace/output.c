/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The options of output, the choice of a sink, and words that several formats share.
 *
 * It knows no format's layout.  Tests: tests/system/trace_errors.py,
 * tests/system/trace_events.py.
 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "command.h"
#include "output.h"

static int take_filter(struct output_options *options, const char *command)
{
	struct filter_error error;

	if (!filter_parse(&options->filter, optarg, &error))
		return 0;
	return mmunotify_usage_error(command, "filter '%s', column %zu: %s", optarg, error.column,
				     error.text);
}

/* Its number, or -1. */
static int word_in(const char *const *words, int nr, const char *word)
{
	for (int i = 0; i < nr; i++)
		if (!strcmp(words[i], word))
			return i;
	return -1;
}

static int take_time(struct output_options *options, const char *command)
{
	static const char *const styles[] = {
		[TIME_RELATIVE] = "relative",
		[TIME_ABSOLUTE] = "absolute",
		[TIME_NONE] = "none",
	};
	int style = word_in(styles, 3, optarg);

	if (style < 0)
		return mmunotify_usage_error(command,
					     "--time is relative, absolute or none, not "
					     "'%s'",
					     optarg);
	options->time = (enum time_style)style;
	return 0;
}

static int take_colour(struct output_options *options, const char *command)
{
	static const char *const whens[] = {
		[COLOUR_AUTO] = "auto",
		[COLOUR_ALWAYS] = "always",
		[COLOUR_NEVER] = "never",
	};
	int when = optarg ? word_in(whens, 3, optarg) : COLOUR_ALWAYS;

	if (when < 0)
		return mmunotify_usage_error(command, "--color is auto, always or never, not '%s'",
					     optarg);
	options->colour = (enum colour)when;
	return 0;
}

void output_long_options(struct option out[OUTPUT_MAX_OPTIONS], const struct option *own)
{
	static const struct option shared[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "filter", required_argument, NULL, 'e' },
		{ "time", required_argument, NULL, OUTPUT_OPTION_TIME },
		{ "color", optional_argument, NULL, OUTPUT_OPTION_COLOUR },
		{ "sort", required_argument, NULL, 'S' },
		{ "top", required_argument, NULL, OUTPUT_OPTION_TOP },
		{ "stacks", no_argument, NULL, 'k' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	size_t nr = 0;

	for (const struct option *option = shared; option->name; option++)
		out[nr++] = *option;
	for (int i = 0; output_formats[i].option; i++)
		out[nr++] = (struct option){ output_formats[i].option, output_formats[i].argument,
					     NULL, OUTPUT_OPTION_FORMATS + i };
	for (; own->name && nr < OUTPUT_MAX_OPTIONS - 1; own++)
		out[nr++] = *own;
	out[nr] = (struct option){ 0 };
}

const char *output_explain(int letter)
{
	static const struct {
		const char *letters, *sentence;
	} missing[] = {
		{ "C", "it is lines or a summary; record with trace -o and replay both" },
		{ "s", "there are no strings to cut" },
		{ "T", "how long each operation took always stands in its line" },
		{ "tr", "the style of times is --time=relative, absolute or none" },
		{ "yYinxvX", "lines have one form; --json has everything" },
		{ "a", "columns are where they are; --json has everything" },
		{ "P", "the mapping's name is a filter: -e 'name=PATTERN'" },
		{ "zZ", "the outcome is a filter: -e outcome=ok or -e outcome=error" },
		{ "b", "exec is followed; --no-follow leaves children out" },
		{ "D", "the tool is the program's parent" },
		{ "EuIO", "this is an option of strace that mmunotify does not have" },
		{ "w", "times are always those of a clock on the wall" },
	};

	for (size_t i = 0; letter && i < sizeof(missing) / sizeof(missing[0]); i++)
		if (strchr(missing[i].letters, letter))
			return missing[i].sentence;
	return NULL;
}

void output_print_help(FILE *out)
{
	fputs("  -o, --output=FILE   write to FILE; - is standard output\n", out);
	for (const struct format *format = output_formats; format->option; format++)
		fputs(format->help, out);
	fputs("  -S, --sort=ORDER    rows of --summary by time (default), mean, max, events, errors,\n"
	      "                      unchanged, bytes or name\n"
	      "      --top=NUMBER    rows of each table of --summary (default 20), or all\n"
	      "  -e, --filter=EXPR   only events for which EXPR holds, such as\n"
	      "                      'op=munmap|brk,size>=1M' (op, class, range, name, size, addr,\n"
	      "                      pid, tid, outcome)\n"
	      "      --time=STYLE    relative (default), absolute or none\n"
	      "      --color[=WHEN]  auto (default: on a terminal, unless NO_COLOR is set),\n"
	      "                      always or never\n"
	      "  -k, --stacks        the caller's stack with each event\n"
	      "  -q, --quiet         no lines about processes\n",
	      out);
}

static int take_format(struct output_options *options, const char *command,
		       const struct format *format)
{
	if (format->ops == &sink_json) {
		options->json = true;
		return 0;
	}
	if (options->format && options->format != format)
		return mmunotify_usage_error(command, "--%s does not go with --%s",
					     options->format->option, format->option);
	options->format = format;
	if (format->names_file)
		options->named_file = optarg;
	return format->take ? format->take(options, command, optarg) : 0;
}

int output_option(struct output_options *options, const char *command, int option)
{
	switch (option) {
	case 'o':
		options->path = optarg;
		return 0;
	case 'k':
		options->stacks = true;
		return 0;
	case 'q':
		options->quiet = true;
		return 0;
	case 'e':
		return take_filter(options, command);
	case OUTPUT_OPTION_TIME:
		return take_time(options, command);
	case OUTPUT_OPTION_COLOUR:
		return take_colour(options, command);
	case 'S':
		return summary_take_order(options, command, optarg);
	case OUTPUT_OPTION_TOP:
		return summary_take_top(options, command, optarg);
	}
	for (int i = 0; output_formats[i].option; i++)
		if (option == OUTPUT_OPTION_FORMATS + i ||
		    (option && option == output_formats[i].letter))
			return take_format(options, command, &output_formats[i]);
	return -1;
}

int output_choose(struct output_options *options, const char *command, bool recording,
		  const struct sink_ops **ops)
{
	const struct format *format = options->format;

	if (options->json && format && !format->json)
		return mmunotify_usage_error(command, "--%s does not go with --json",
					     format->option);
	if (format && format->needs_times && options->time == TIME_NONE)
		return mmunotify_usage_error(command, "--time=none does not go with --%s",
					     format->option);
	if (options->named_file && options->path)
		return mmunotify_usage_error(command,
					     "--%s names the file already: -o %s is "
					     "one too many",
					     format->option, options->path);
	if (options->named_file)
		options->path = options->named_file;
	if (format)
		*ops = options->json ? format->json : format->ops;
	else if (options->json)
		*ops = &sink_json;
	else
		*ops = recording && options->path ? &sink_recording : &sink_text;
	if (format && format->wants_stacks)
		options->stacks = true;
	return 0;
}

int sink_open(struct sink *sink, const struct sink_ops *ops, const struct output_options *options,
	      FILE *out, const struct record_header *header)
{
	*sink = (struct sink){
		.ops = ops,
		.options = options,
		.out = out,
		.header = *header,
	};
	terminal_look(&sink->terminal, out, options->colour);
	return ops->open(sink, header);
}

/* Formats see that a stream has failed, and not why: errno is still that of the write. */
static int precise(int error)
{
	return error == -EIO && errno ? -errno : error;
}

int sink_record(struct sink *sink, const struct record *record)
{
	if (!filter_match(&sink->options->filter, record))
		return 0;
	errno = 0;
	return precise(sink->ops->record(sink, record));
}

int sink_close(struct sink *sink)
{
	int error;

	errno = 0;
	error = precise(sink->ops->close(sink));

	if (fflush(sink->out) && !error)
		error = -errno;
	return error;
}

void output_time(const struct sink *sink, uint64_t time, int digits, char *out, size_t size)
{
	static const uint64_t units[] = { 1000000000, 100000000, 10000000, 1000000, 100000,
					  10000,      1000,      100,      10,      1 };
	uint64_t since = time - sink->header.start_monotonic;
	const char *sign = "";

	*out = '\0';
	if (sink->options->time == TIME_NONE)
		return;
	if (sink->options->time == TIME_ABSOLUTE) {
		since += sink->header.start_realtime;
	} else if ((int64_t)since < 0) {
		sign = "-";
		since = -since;
	}
	snprintf(out, size, "%s%llu.%0*llu", sign, (unsigned long long)(since / 1000000000), digits,
		 (unsigned long long)(since % 1000000000 / units[digits]));
}

void output_size(uint64_t bytes, char *out, size_t size)
{
	static const char units[] = "BKMGTPE";
	unsigned int unit = 0;
	uint64_t whole = bytes, scale = 1;

	while (whole >= 1024 && unit < sizeof(units) - 2) {
		whole /= 1024;
		scale *= 1024;
		unit++;
	}
	if (bytes % scale == 0 || whole >= 100)
		snprintf(out, size, "%llu%c", (unsigned long long)whole, units[unit]);
	else
		snprintf(out, size, "%llu.%llu%c", (unsigned long long)whole,
			 (unsigned long long)(bytes % scale * 10 / scale), units[unit]);
}

bool output_is_about_process(const struct record *record)
{
	return record->type == RECORD_RELEASE || record->type == RECORD_END ||
	       (record->type == RECORD_PROCESS && !record->process.error);
}

const char *output_outcome(const struct record *record)
{
	const char *name;

	if ((record->flags & RING_HAS_RESULT) && record->event.result < 0) {
		/* A recording may hold any number. */
		name = record->event.result < -4095 ? NULL
						    : strerrorname_np(-(int)record->event.result);
		return name ? name : "error";
	}
	return record->flags & RING_UNCHANGED ? "unchanged" : "ok";
}

void output_mapping(const struct record *record, bool offset, char *out, size_t size)
{
	const char *name = record->event.name;
	const char *kind = record_kind_name(record->event.kind);
	char escaped[2 * RING_MAX_TEXT], at[32] = "", *deleted;

	if (!name) {
		snprintf(out, size, "%s", kind);
		return;
	}
	/* "/memfd:x (deleted)": neither a path nor deleted. */
	if ((record->event.kind == MAPPING_MEMFD || record->event.kind == MAPPING_SYSV) &&
	    *name == '/')
		name++;
	terminal_escape(name, escaped, sizeof(escaped));
	deleted = strstr(escaped, " (deleted)");
	if (deleted && record->event.kind != MAPPING_FILE)
		*deleted = '\0';
	if (offset)
		snprintf(at, sizeof(at), "+0x%llx", (unsigned long long)record->event.offset);
	if (record->event.kind == MAPPING_FILE || record->event.kind == MAPPING_MEMFD ||
	    record->event.kind == MAPPING_SYSV)
		snprintf(out, size, "%s%s", escaped, at);
	else
		snprintf(out, size, "%s %s", kind, escaped);
}

void output_status(int wait_status, char *out, size_t size)
{
	const char *name;

	if (WIFSIGNALED(wait_status)) {
		name = sigabbrev_np(WTERMSIG(wait_status));
		snprintf(out, size, "was killed by %s%s", name ? "SIG" : "signal ",
			 name ? name : "");
		if (!name)
			snprintf(out, size, "was killed by signal %d", WTERMSIG(wait_status));
		return;
	}
	snprintf(out, size, "exited with status %d", WEXITSTATUS(wait_status));
}

static void add_clause(char *out, size_t size, uint64_t count, const char *clause)
{
	size_t used = strlen(out);

	if (count)
		snprintf(out + used, size - used, "%s%s: %llu", used ? "; " : "", clause,
			 (unsigned long long)count);
}

bool output_lost(const struct record *record, char *out, size_t size)
{
	*out = '\0';
	add_clause(out, size, record->lost.dropped,
		   "events lost because the ring was full (--buffer makes it larger)");
	add_clause(out, size, record->lost.abandoned,
		   "events lost because their process died or stood still while it wrote them");
	add_clause(out, size, record->lost.too_deep,
		   "events lost because signal handlers nested too deep");
	add_clause(out, size, record->lost.unfollowed,
		   "programs and children that were not followed");
	add_clause(out, size, record->lost.unredirected,
		   "attempts to redirect a library that was loaded later failed (mmunotify probe "
		   "-- COMMAND says why)");
	return *out;
}
