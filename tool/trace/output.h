/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where records go: one sink per format, chosen by the options that trace and replay share. */
#ifndef MMUN_TOOL_TRACE_OUTPUT_H
#define MMUN_TOOL_TRACE_OUTPUT_H

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "filter.h"
#include "record.h"

enum output_format {
	/* Not chosen: text, or a recording where -o names a file for trace. */
	OUTPUT_DEFAULT,
	OUTPUT_TEXT,
	OUTPUT_JSON,
	OUTPUT_SUMMARY,
	OUTPUT_SUMMARY_JSON,
	OUTPUT_RECORDING,
};

enum time_style { TIME_RELATIVE, TIME_ABSOLUTE, TIME_NONE };

struct output_options {
	bool text, json, summary, quiet, stacks;
	enum time_style time;
	struct filter filter;
	/* NULL: the stream that the command has by default. */
	const char *path;
};

/* The options above, for getopt_long(): short ones, and long ones as array elements. */
#define OUTPUT_SHORT_OPTIONS "ko:qh"
#define OUTPUT_LONG_OPTIONS \
	{ "output", required_argument, NULL, 'o' }, \
		{ "text", no_argument, NULL, OUTPUT_OPTION_TEXT }, \
		{ "json", no_argument, NULL, OUTPUT_OPTION_JSON }, \
		{ "summary", no_argument, NULL, OUTPUT_OPTION_SUMMARY }, \
		{ "filter", required_argument, NULL, OUTPUT_OPTION_FILTER }, \
		{ "time", required_argument, NULL, OUTPUT_OPTION_TIME }, \
		{ "stacks", no_argument, NULL, 'k' }, \
	{ \
		"quiet", no_argument, NULL, 'q' \
	}

enum {
	OUTPUT_OPTION_TEXT = 256,
	OUTPUT_OPTION_JSON,
	OUTPUT_OPTION_SUMMARY,
	OUTPUT_OPTION_FILTER,
	OUTPUT_OPTION_TIME,
	/* The first one free for a command's own. */
	OUTPUT_OPTION_NEXT
};

#define OUTPUT_HELP \
	"  -o, --output=FILE   write to FILE\n" \
	"      --text          one line per event\n" \
	"      --json          one JSON object per line\n" \
	"      --summary       a table per operation and per mapping at the end\n" \
	"      --filter=EXPR   only events for which EXPR holds, such as\n" \
	"                      'op=munmap|brk,size>=1M' (op, class, range, name, size, addr,\n" \
	"                      pid, tid, outcome)\n" \
	"      --time=STYLE    relative (default), absolute or none\n" \
	"  -k, --stacks        the caller's stack with each event\n" \
	"  -q, --quiet         no lines about processes\n"

/*
 * output_option() - take one option from getopt_long().
 * Return: 0; -1 when it is none of ours; otherwise the exit status (said already).
 */
int output_option(struct output_options *options, const char *command, int option);

/* The format asked for; 0 or the exit status (said already). */
int output_format(const struct output_options *options, const char *command, bool recording,
		  enum output_format *format);

struct sink;

struct sink_ops {
	int (*open)(struct sink *sink, const struct record_header *header);
	int (*record)(struct sink *sink, const struct record *record);
	int (*close)(struct sink *sink);
};

struct sink {
	const struct sink_ops *ops;
	const struct output_options *options;
	FILE *out;
	struct record_header header;
	void *state;
};

extern const struct sink_ops sink_text, sink_json, sink_summary, sink_summary_json, sink_recording;

/* All return 0 or -errno; record applies the filter. */
int sink_open(struct sink *sink, enum output_format format, const struct output_options *options,
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
/* Control and invalid bytes as \ooo. */
void output_escape(const char *text, char *out, size_t size);
/* "exited with status 0", "was killed by SIGKILL". */
void output_status(int wait_status, char *out, size_t size);
/* What was lost, a sentence; false when nothing was. */
bool output_lost(const struct record *record, char *out, size_t size);

#endif
