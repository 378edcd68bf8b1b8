/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One line of text per record, for people; and the recording, for replay.
 *
 * Columns are fixed up to the last one, the mapping, so that lines can be cut
 * and sorted.  Tests: tests/system/trace_events.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/op.h>

#include "output.h"
#include "symbolize.h"

static int text_open(struct sink *sink, const struct record_header *header)
{
	sink->state = sink->options->stacks ? symbolizer_new() : NULL;
	return 0;
}

static void print_prefix(struct sink *sink, const struct record *record)
{
	char time[40];

	output_time(sink, record->time, 6, time, sizeof(time));
	if (*time)
		fprintf(sink->out, "%12s ", time);
	fprintf(sink->out, "%7u/%-7u ", record->pid, record->tid);
}

static void print_stack(struct sink *sink, const struct record *record)
{
	char place[2048];

	for (unsigned int i = 0; i < record->event.nr_frames; i++) {
		symbolizer_describe(sink->state, &record->event.frames[i], place, sizeof(place));
		fprintf(sink->out, "    > %s\n", place);
	}
}

static void print_event(struct sink *sink, const struct record *record)
{
	char size[32], mapping[3 * RING_MAX_TEXT], duration[32];

	if (record->event.kind == MAPPING_ALL)
		strcpy(size, "-");
	else
		output_size(record->event.end - record->event.start, size, sizeof(size));
	output_mapping(record, true, mapping, sizeof(mapping));
	snprintf(duration, sizeof(duration), "%llu.%lluus",
		 (unsigned long long)(record->event.duration / 1000),
		 (unsigned long long)(record->event.duration % 1000 / 100));
	fprintf(sink->out, "%-18s %-12s %012llx-%012llx %7s %10s %-9s %s%s\n",
		mmun_op_name(record->event.op), record_event_name(record->event.event),
		(unsigned long long)record->event.start, (unsigned long long)record->event.end,
		size, duration, output_outcome(record), mapping,
		record->flags & RING_MORE_MAPPINGS ? " and more" : "");
	if (sink->options->stacks)
		print_stack(sink, record);
}

static void print_process(struct sink *sink, const struct record *record)
{
	char comm[64], exe[2 * RING_MAX_TEXT];

	output_escape(record->process.comm, comm, sizeof(comm));
	output_escape(record->process.exe ? record->process.exe : "?", exe, sizeof(exe));
	fprintf(sink->out, "%-18s %s, %s, parent %u\n",
		record->flags & RING_AFTER_EXEC ? "program" : "forked", comm, exe,
		record->process.ppid);
	if (record->process.error)
		fprintf(sink->out, "mmunotify: process %u cannot be watched: %s\n", record->pid,
			strerror(record->process.error));
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
		print_prefix(sink, record);
		print_process(sink, record);
		break;
	case RECORD_RELEASE:
		print_prefix(sink, record);
		fprintf(sink->out, "%-18s address space\n", "release");
		break;
	case RECORD_LOST:
		if (output_lost(record, sentence, sizeof(sentence)))
			fprintf(sink->out, "mmunotify: %s\n", sentence);
		break;
	case RECORD_END:
		print_prefix(sink, record);
		output_status(record->end.wait_status, sentence, sizeof(sentence));
		fprintf(sink->out, "%s\n", sentence);
		break;
	}
	return ferror(sink->out) ? -EIO : 0;
}

static int text_close(struct sink *sink)
{
	symbolizer_free(sink->state);
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
