/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where records go: one sink per format, chosen by the options that trace and replay share. */
#ifndef MMUN_TOOL_TRACE_OUTPUT_H
#define MMUN_TOOL_TRACE_OUTPUT_H

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "filter.h"
#include "record.h"
#include "summary.h"
#include "terminal.h"

enum time_style { TIME_RELATIVE, TIME_ABSOLUTE, TIME_NONE };

struct output_options {
	bool quiet, stacks;
	enum time_style time;
	enum colour colour;
	struct filter filter;
	/* NULL: the stream that the command has by default. */
	const char *path;
	/* The file that a format's argument named; output_choose() makes it the path. */
	const char *named_file;
	/* What was asked for, --json aside: it may vary another format.  NULL: nothing. */
	const struct format *format;
	bool json;
	struct summary_options summary;
	/* What --folded weighs by: events, bytes or time. */
	enum summary_order folded;
};

struct sink;

struct sink_ops {
	int (*open)(struct sink *sink, const struct record_header *header);
	int (*record)(struct sink *sink, const struct record *record);
	int (*close)(struct sink *sink);
};

/* A format that an option chooses: one entry of output_formats[], in formats.c. */
struct format {
	/* The long option, without the dashes. */
	const char *option;
	/* no_argument, required_argument or optional_argument (getopt.h). */
	int argument;
	/* Its lines in the help, newlines included. */
	const char *help;
	const struct sink_ops *ops;
	/* The same together with --json; NULL: --json does not go with it. */
	const struct sink_ops *json;
	/* The argument is the file to write, as after -o. */
	bool names_file;
	/* It is little without stacks: trace collects them as with -k. */
	bool wants_stacks;
	/* It has no sense without times: --time=none does not go with it. */
	bool needs_times;
	/* A short option that is the same without an argument; 0: none. */
	char letter;
	/*
	 * Takes the argument, which is NULL where an optional one is left out; NULL: there is
	 * nothing to take.  Return: 0 or the exit status (said already).
	 */
	int (*take)(struct output_options *options, const char *command, const char *argument);
};

/* The last one has no option. */
extern const struct format output_formats[];

/* The options above, for getopt_long(). */
#define OUTPUT_SHORT_OPTIONS "ko:qhce:S:"

enum {
	OUTPUT_OPTION_TIME = 256,
	OUTPUT_OPTION_COLOUR,
	OUTPUT_OPTION_TOP,
	/* The first one free for a command's own. */
	OUTPUT_OPTION_NEXT,
	/* And one for each format, in their order. */
	OUTPUT_OPTION_FORMATS = 512,
};

#define OUTPUT_MAX_OPTIONS 64

/* The long options above and the command's @own, which end with a zero entry. */
void output_long_options(struct option out[OUTPUT_MAX_OPTIONS], const struct option *own);
/* The sentence for a letter that strace has and we have not; NULL: any other. */
const char *output_explain(int letter);
/* Their help. */
void output_print_help(FILE *out);

/*
 * output_option() - take one option from getopt_long().
 * Return: 0; -1 when it is none of ours; otherwise the exit status (said already).
 */
int output_option(struct output_options *options, const char *command, int option);

/*
 * output_choose() - the sink asked for, when all options are known.
 * @recording: a file that -o names without a format becomes a recording.
 * Return: 0 or the exit status (said already).
 */
int output_choose(struct output_options *options, const char *command, bool recording,
		  const struct sink_ops **ops);

/*
 * output_open() - the stream of -o; - is standard output.
 * @recording: it will hold a recording; @in: what is read, which it must not be, or NULL
 * Return: NULL after one sentence on stderr.
 */
FILE *output_open(const struct output_options *options, const char *command, bool recording,
		  FILE *in);
/* Return: 0, or -1 with errno.  Standard output stays open. */
int output_close(FILE *out);
/* What the user calls it; NULL: standard output. */
const char *output_name(const struct output_options *options);

struct sink {
	const struct sink_ops *ops;
	const struct output_options *options;
	FILE *out;
	struct terminal terminal;
	struct record_header header;
	void *state;
};

extern const struct sink_ops sink_text, sink_json, sink_summary, sink_summary_json, sink_recording;
extern const struct sink_ops sink_folded, sink_perfetto;
int folded_take(struct output_options *options, const char *command, const char *weight);

/* All return 0 or -errno; record applies the filter. */
int sink_open(struct sink *sink, const struct sink_ops *ops, const struct output_options *options,
	      FILE *out, const struct record_header *header);
int sink_record(struct sink *sink, const struct record *record);
int sink_close(struct sink *sink);

/* For the formats. */

/* Does -q hide it?  Not a process that cannot be watched. */
bool output_is_about_process(const struct record *record);
/* "0.001234567" in the asked style with @digits decimals; "" for none. */
void output_time(const struct sink *sink, uint64_t time, int digits, char *out, size_t size);
/* "132K", "1.5M". */
void output_size(uint64_t bytes, char *out, size_t size);
/* "ok", "unchanged", "ENOMEM". */
const char *output_outcome(const struct record *record);
/* "libc.so.6+0x1000", "heap": one name for people. */
void output_mapping(const struct record *record, bool offset, char *out, size_t size);
/* "exited with status 0", "was killed by SIGKILL". */
void output_status(int wait_status, char *out, size_t size);
/* What was lost, a sentence; false when nothing was. */
bool output_lost(const struct record *record, char *out, size_t size);

#endif
