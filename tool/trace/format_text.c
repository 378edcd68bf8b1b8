/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One line of text per record, for people; and the recording, for replay.
 *
 * Columns are fixed up to the last one, the mapping, so that lines can be cut and sorted;
 * on a terminal there are those that fit, and a header.
 * Tests: tests/system/trace_events.py, tests/system/trace_terminal.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/op.h>

#include "columns.h"
#include "output.h"
#include "symbolize.h"

enum { TIME, PROCESS, OPERATION, CLASS, RANGE, SIZE, DURATION, OUTCOME, NR_COLUMNS };

/* On a terminal of 132 columns all are there, on one of 80 the first steps are taken. */
static const struct column columns[NR_COLUMNS] = {
	[TIME] = { "time", 12, .right = true, .goes_at = 7 },
	[PROCESS] = { "process/thread ", 15, true, 6, "process", 7, 3 },
	[OPERATION] = { "operation", 18, .goes_at = 0 },
	[CLASS] = { "class", 12, .goes_at = 1 },
	[RANGE] = { "addresses", 25, false, 5, "address", 12, 2 },
	[SIZE] = { "size", 7, .right = true, .goes_at = 8 },
	[DURATION] = { "took", 10, .right = true, .goes_at = 4 },
	[OUTCOME] = { "outcome", 9, .goes_at = 9 },
};

#define LEAST_MAPPING 16

struct text {
	struct symbolizer *symbolizer;
	/* Of an event, and of lines without a range. */
	struct layout layout;
};

static int text_open(struct sink *sink, const struct record_header *header)
{
	struct text *text = calloc(1, sizeof(*text));

	if (!text)
		return -ENOMEM;
	sink->state = text;
	text->symbolizer = sink->options->stacks ? symbolizer_new() : NULL;
	layout_fit(&text->layout, &sink->terminal, columns, NR_COLUMNS, LEAST_MAPPING);
	text->layout.gone[TIME] |= sink->options->time == TIME_NONE;
	if (sink->terminal.is_terminal)
		layout_print_header(&text->layout, sink->out, "mapping");
	return 0;
}

static void print_prefix(struct sink *sink, const struct record *record)
{
	const struct layout *layout = &((struct text *)sink->state)->layout;
	char cell[40];

	output_time(sink, record->time, 6, cell, sizeof(cell));
	layout_print(layout, sink->out, TIME, STYLE_FAINT, cell);
	if (layout->is_short[PROCESS])
		snprintf(cell, sizeof(cell), "%u", record->pid);
	else
		snprintf(cell, sizeof(cell), "%7u/%-7u", record->pid, record->tid);
	layout_print(layout, sink->out, PROCESS, STYLE_PLAIN, cell);
}

static void print_stack(struct sink *sink, const struct record *record)
{
	struct text *text = sink->state;
	char place[SYMBOLIZER_MAX_PLACE];

	for (unsigned int i = 0; i < record->event.nr_frames; i++) {
		symbolizer_describe(text->symbolizer, &record->event.frames[i], place,
				    sizeof(place));
		fprintf(sink->out, "%s    > %s%s\n", terminal_begin(&sink->terminal, STYLE_FAINT),
			place, terminal_end(&sink->terminal, STYLE_FAINT));
	}
}

static enum style style_of(const struct record *record)
{
	switch (record->event.event) {
	case MMU_NOTIFY_UNMAP:
		return STYLE_UNMAP;
	case MMU_NOTIFY_CLEAR:
		return STYLE_CLEAR;
	case MMU_NOTIFY_PROTECTION_VMA:
	case MMU_NOTIFY_PROTECTION_PAGE:
		return STYLE_PROTECT;
	default:
		return STYLE_PLAIN;
	}
}

static void print_event(struct sink *sink, const struct record *record)
{
	const struct layout *layout = &((struct text *)sink->state)->layout;
	bool failed = (record->flags & RING_HAS_RESULT) && record->event.result < 0;
	char cell[40], mapping[3 * RING_MAX_TEXT];

	layout_print(layout, sink->out, OPERATION, style_of(record),
		     mmun_op_name(record->event.op));
	layout_print(layout, sink->out, CLASS, STYLE_PLAIN, record_event_name(record->event.event));
	snprintf(cell, sizeof(cell), layout->is_short[RANGE] ? "%012llx" : "%012llx-%012llx",
		 (unsigned long long)record->event.start, (unsigned long long)record->event.end);
	layout_print(layout, sink->out, RANGE, STYLE_PLAIN, cell);
	if (record->event.kind == MAPPING_ALL)
		strcpy(cell, "-");
	else
		output_size(record->event.end - record->event.start, cell, sizeof(cell));
	layout_print(layout, sink->out, SIZE, STYLE_PLAIN, cell);
	snprintf(cell, sizeof(cell), "%llu.%lluus",
		 (unsigned long long)(record->event.duration / 1000),
		 (unsigned long long)(record->event.duration % 1000 / 100));
	layout_print(layout, sink->out, DURATION, STYLE_PLAIN, cell);
	layout_print(layout, sink->out, OUTCOME,
		     failed                           ? STYLE_ERROR
		     : record->flags & RING_UNCHANGED ? STYLE_FAINT
						      : STYLE_PLAIN,
		     output_outcome(record));
	output_mapping(record, true, mapping, sizeof(mapping) - sizeof(" and more"));
	if (record->flags & RING_MORE_MAPPINGS)
		strcat(mapping, " and more");
	layout_print_last(layout, sink->out, STYLE_PLAIN, mapping);
	if (sink->options->stacks)
		print_stack(sink, record);
}

/* A line about a process: from the operation on there is one column. */
static void print_about(struct sink *sink, const struct record *record, const char *what,
			char *words)
{
	const struct layout *layout = &((struct text *)sink->state)->layout;
	struct layout line = *layout;

	print_prefix(sink, record);
	if (*what)
		layout_print(layout, sink->out, OPERATION, STYLE_PROCESS, what);
	for (unsigned int i = CLASS; line.rest && i < NR_COLUMNS; i++) {
		if (!layout->gone[i])
			line.rest += 1 + (layout->is_short[i] ? columns[i].short_width
							      : columns[i].width);
	}
	if (line.rest && !*what)
		line.rest += columns[OPERATION].width + 1;
	terminal_keep_start(words, line.rest);
	layout_print_last(&line, sink->out, STYLE_PLAIN, words);
}

static void print_process(struct sink *sink, const struct record *record)
{
	char comm[64], exe[2 * RING_MAX_TEXT], words[3 * RING_MAX_TEXT];

	terminal_escape(record->process.comm, comm, sizeof(comm));
	terminal_escape(record->process.exe ? record->process.exe : "?", exe, sizeof(exe));
	snprintf(words, sizeof(words), "%s, %s, parent %u", comm, exe, record->process.ppid);
	print_about(sink, record, record->flags & RING_AFTER_EXEC ? "program" : "forked", words);
	if (record->process.error)
		fprintf(sink->out, "%smmunotify: process %u cannot be watched: %s%s\n",
			terminal_begin(&sink->terminal, STYLE_ERROR), record->pid,
			strerror(record->process.error),
			terminal_end(&sink->terminal, STYLE_ERROR));
}

/* Whole, however wide the terminal is. */
static void print_unfollowed(struct sink *sink, const struct record *record)
{
	char exe[2 * RING_MAX_TEXT], reason[512];

	terminal_escape(record->unfollowed.exe, exe, sizeof(exe));
	terminal_escape(record->unfollowed.reason, reason, sizeof(reason));
	print_prefix(sink, record);
	fprintf(sink->out, "%s%-18s %s: %s%s\n", terminal_begin(&sink->terminal, STYLE_ERROR),
		"not followed", exe, reason, terminal_end(&sink->terminal, STYLE_ERROR));
}

static int text_record(struct sink *sink, const struct record *record)
{
	char sentence[512];

	if (sink->options->quiet && output_is_about_process(record))
		return 0;
	switch (record->type) {
	case RECORD_EVENT:
		print_prefix(sink, record);
		print_event(sink, record);
		break;
	case RECORD_PROCESS:
		print_process(sink, record);
		break;
	case RECORD_RELEASE:
		strcpy(sentence, "address space");
		print_about(sink, record, "release", sentence);
		break;
	case RECORD_UNFOLLOWED:
		print_unfollowed(sink, record);
		break;
	case RECORD_LOST:
		if (output_lost(record, sentence, sizeof(sentence)))
			fprintf(sink->out, "%smmunotify: %s%s\n",
				terminal_begin(&sink->terminal, STYLE_ERROR), sentence,
				terminal_end(&sink->terminal, STYLE_ERROR));
		break;
	case RECORD_END:
		output_status(record->end.wait_status, sentence, sizeof(sentence));
		print_about(sink, record, "", sentence);
		break;
	}
	return ferror(sink->out) ? -EIO : 0;
}

static int text_close(struct sink *sink)
{
	symbolizer_free(((struct text *)sink->state)->symbolizer);
	free(sink->state);
	return 0;
}

const struct sink_ops sink_text = { text_open, text_record, text_close };

static int recording_open(struct sink *sink, const struct record_header *header)
{
	struct record_writer *writer = malloc(sizeof(*writer));

	if (!writer)
		return -ENOMEM;
	sink->state = writer;
	return record_writer_open(writer, sink->out, header);
}

static int recording_record(struct sink *sink, const struct record *record)
{
	return record_write(sink->state, record);
}

static int recording_close(struct sink *sink)
{
	int error = record_writer_close(sink->state);

	free(sink->state);
	return error;
}

const struct sink_ops sink_recording = { recording_open, recording_record, recording_close };
