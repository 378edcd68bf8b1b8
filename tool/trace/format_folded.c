/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * --folded: one line per process and stack, as flame graphs are drawn from.
 *
 *     make;main;compile;free;__munmap;munmap 12
 *
 * The process, the frames from the outermost on, the operation, a blank and the weight.
 * What separates is replaced in names, as the scripts do that other profilers have.  It
 * keeps different stacks, not events.  Tests: tests/system/trace_profiles.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/op.h>

#include "command.h"
#include "intern.h"
#include "output.h"
#include "processes.h"
#include "stacks.h"
#include "summary.h"
#include "symbolize.h"

int folded_take(struct output_options *options, const char *command, const char *weight)
{
	static const enum summary_order weights[] = { SUMMARY_BY_EVENTS, SUMMARY_BY_BYTES,
						      SUMMARY_BY_TIME };
	static const char *const names[] = { "events", "bytes", "time" };

	for (int i = 0; i < 3; i++) {
		if (!weight || !strcmp(weight, names[i])) {
			options->folded = weights[i];
			return 0;
		}
	}
	return mmunotify_usage_error(command, "--folded is events, bytes or time, not '%s'",
				     weight);
}

/* It counts as a summary by process, stack and operation does. */
struct folded {
	struct output_options options;
	struct summary *summary;
};

static int folded_open(struct sink *sink, const struct record_header *header)
{
	struct folded *folded = calloc(1, sizeof(*folded));

	if (!folded)
		return -ENOMEM;
	folded->options = *sink->options;
	folded->options.stacks = true;
	folded->options.summary = (struct summary_options){
		.nr = 1,
		.splits = { { 3, { SUMMARY_PROCESS, SUMMARY_STACK, SUMMARY_OPERATION } } },
	};
	folded->summary = summary_new(&folded->options);
	if (!folded->summary) {
		free(folded);
		return -ENOMEM;
	}
	sink->state = folded;
	return 0;
}

static int folded_record(struct sink *sink, const struct record *record)
{
	return summary_take(((struct folded *)sink->state)->summary, record);
}

/* One line on its way; what does not fit is left out. */
struct line {
	size_t used;
	char text[65536];
};

/* @blank: what a blank becomes. */
static void add_frame(struct line *line, const char *name, char blank)
{
	char escaped[4096];

	terminal_escape(name, escaped, sizeof(escaped));
	if (line->used + strlen(escaped) + 2 > sizeof(line->text))
		return;
	if (line->used)
		line->text[line->used++] = ';';
	for (const char *c = escaped; *c; c++)
		line->text[line->used++] = *c == ';' ? ':' : *c == ' ' ? blank : *c;
	line->text[line->used] = '\0';
}

/* "munmap", without the version of a symbol; "[libz.so.1]" where nothing is known. */
static void add_place(struct line *line, struct symbolizer *symbolizer,
		      const struct record_frame *frame)
{
	const char *base = frame->module ? strrchr(frame->module, '/') : NULL;
	char name[4096], *version;
	struct symbol symbol;

	symbolizer_find(symbolizer, frame, &symbol);
	if (symbol.function) {
		snprintf(name, sizeof(name), "%s", symbol.function);
		version = strchr(name, '@');
		if (version && version > name)
			*version = '\0';
	} else {
		snprintf(name, sizeof(name), "[%s]",
			 base            ? base + 1
			 : frame->module ? frame->module
					 : "unknown");
	}
	add_frame(line, name, ' ');
}

static void build_line(struct line *line, const struct summary *summary,
		       struct symbolizer *symbolizer, const struct summary_row *row)
{
	const struct record_frame *frames;
	unsigned int nr;

	line->used = 0;
	add_frame(line, row->values[0].text, '_');
	frames = stack_table_frames(summary_stacks(summary), (uint32_t)row->values[1].number, &nr);
	/* What called the outermost of so many was not recorded. */
	if (nr == RING_MAX_FRAMES)
		add_frame(line, "[truncated]", ' ');
	while (nr--)
		add_place(line, symbolizer, &frames[nr]);
	add_frame(line, mmun_op_name((unsigned int)row->values[2].number), ' ');
}

struct weighted {
	const char *line;
	uint64_t weight;
};

static int by_line(const void *a, const void *b)
{
	const struct weighted *left = *(struct weighted *const *)a;
	const struct weighted *right = *(struct weighted *const *)b;

	return strcmp(left->line, right->line);
}

static uint64_t weight_of(const struct folded *folded, const struct summary_row *row)
{
	switch (folded->options.folded) {
	case SUMMARY_BY_BYTES:
		return row->bytes;
	case SUMMARY_BY_TIME:
		return row->time;
	default:
		return row->events;
	}
}

/* Rows whose frames are called the same, and processes, are one line. */
static int gather(const struct folded *folded, struct symbolizer *symbolizer, struct intern *lines,
		  struct key_map *weights)
{
	struct summary_row **rows = summary_rows(folded->summary, 0);
	struct line *line = malloc(sizeof(*line));
	int error = rows && line ? 0 : -ENOMEM;

	for (uint64_t i = 0; !error && rows[i]; i++) {
		struct weighted *weighted;
		const char *text;
		void **place;

		build_line(line, folded->summary, symbolizer, rows[i]);
		text = intern_text(lines, line->text, line->used);
		place = text ? key_map_place(weights, (uintptr_t)text) : NULL;
		if (!place || (!*place && !(*place = calloc(1, sizeof(*weighted))))) {
			error = -ENOMEM;
			break;
		}
		weighted = *place;
		weighted->line = text;
		weighted->weight += weight_of(folded, rows[i]);
	}
	free(line);
	free(rows);
	return error;
}

static int print_lines(FILE *out, const struct key_map *weights)
{
	struct weighted **lines = calloc(weights->nr + 1, sizeof(*lines));
	size_t nr = 0;

	if (!lines)
		return -ENOMEM;
	for (size_t i = 0; i < weights->size; i++)
		if (weights->entries[i].value)
			lines[nr++] = weights->entries[i].value;
	qsort(lines, nr, sizeof(*lines), by_line);
	for (size_t i = 0; i < nr; i++)
		if (lines[i]->weight)
			fprintf(out, "%s %llu\n", lines[i]->line,
				(unsigned long long)lines[i]->weight);
	free(lines);
	return ferror(out) ? -EIO : 0;
}

static int folded_close(struct sink *sink)
{
	struct folded *folded = sink->state;
	struct symbolizer *symbolizer = symbolizer_new();
	struct intern *lines = intern_new();
	struct key_map weights = { 0 };
	char sentence[512];
	int error = -ENOMEM;

	if (lines)
		error = gather(folded, symbolizer, lines, &weights);
	if (!error)
		error = print_lines(sink->out, &weights);
	/* The output is for other programs: what people must know goes beside it. */
	if (weights.nr && !stack_table_size(summary_stacks(folded->summary)))
		fputs("mmunotify: no event has a stack (trace -k and trace --folded collect them): "
		      "the lines have processes and operations only\n",
		      stderr);
	if (output_lost(summary_lost(folded->summary), sentence, sizeof(sentence)))
		fprintf(stderr, "mmunotify: %s\n", sentence);
	key_map_free_values(&weights);
	intern_free(lines);
	symbolizer_free(symbolizer);
	summary_free(folded->summary);
	free(folded);
	return error;
}

const struct sink_ops sink_folded = { folded_open, folded_record, folded_close };
