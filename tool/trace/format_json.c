/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One JSON object per record and line; the members are in mmunotify-trace(1).
 *
 * Every line has "type"; members are never left out but "time" (--time=none),
 * "name" and "offset" (null without a name) and "stack" (-k only).
 * Tests: tests/system/trace_events.py.
 */
#include <stdlib.h>
#include <sys/wait.h>

#include <mmunotify/op.h>

#include "json.h"
#include "output.h"
#include "symbolize.h"

static struct json_object *new_line(struct sink *sink, const char *type,
				    const struct record *record)
{
	struct json_object *line = json_object_new_object();
	char time[40];

	json_add_text(line, "type", type);
	output_time(sink, record->time, 9, time, sizeof(time));
	if (*time)
		json_object_object_add(line, "time",
				       json_object_new_double_s(strtod(time, NULL), time));
	json_add_number(line, "pid", record->pid);
	json_add_number(line, "tid", record->tid);
	return line;
}

static int json_open(struct sink *sink, const struct record_header *header)
{
	struct record begin = { .time = header->start_monotonic };
	struct json_object *line = new_line(sink, "trace", &begin);

	json_object_object_del(line, "pid");
	json_object_object_del(line, "tid");
	json_add_text(line, "command", header->command);
	json_add_text(line, "version", header->version);
	sink->state = sink->options->stacks ? symbolizer_new() : NULL;
	return json_print_line(sink->out, line);
}

static void add_event(struct sink *sink, struct json_object *line, const struct record *record)
{
	struct json_object *stack;

	json_add_text(line, "op", mmun_op_name(record->event.op));
	json_add_text(line, "class", record_event_name(record->event.event));
	json_add_address(line, "start", record->event.start);
	json_add_address(line, "end", record->event.end);
	json_add_number(line, "size", record->event.end - record->event.start);
	json_add_text(line, "range", record_kind_name(record->event.kind));
	json_add_text(line, "name", record->event.name);
	if (record->event.name)
		json_add_number(line, "offset", record->event.offset);
	else
		json_add_text(line, "offset", NULL);
	json_object_object_add(line, "more",
			       json_object_new_boolean(!!(record->flags & RING_MORE_MAPPINGS)));
	json_add_number(line, "duration_ns", record->event.duration);
	json_add_text(line, "outcome", output_outcome(record));
	json_object_object_add(line, "unchanged",
			       json_object_new_boolean(!!(record->flags & RING_UNCHANGED)));
	json_object_object_add(line, "pinned_safe",
			       json_object_new_boolean(!!(record->flags & RING_PINNED_SAFE)));
	if (!sink->options->stacks)
		return;
	stack = json_object_new_array();
	for (unsigned int i = 0; i < record->event.nr_frames; i++)
		json_object_array_add(stack,
				      symbolizer_object(sink->state, &record->event.frames[i]));
	json_object_object_add(line, "stack", stack);
}

static void add_lost(struct json_object *line, const struct record *record)
{
	json_add_number(line, "dropped", record->lost.dropped);
	json_add_number(line, "abandoned", record->lost.abandoned);
	json_add_number(line, "too_deep", record->lost.too_deep);
	json_add_number(line, "unfollowed", record->lost.unfollowed);
	json_add_number(line, "unredirected", record->lost.unredirected);
}

static void add_unfollowed(struct json_object *line, const struct record *record)
{
	json_add_text(line, "exe", record->unfollowed.exe);
	json_add_text(line, "reason", record->unfollowed.reason);
}

static void add_end(struct json_object *line, const struct record *record)
{
	int status = record->end.wait_status;

	if (WIFSIGNALED(status))
		json_add_number(line, "signal", (uint64_t)WTERMSIG(status));
	else
		json_add_number(line, "status", (uint64_t)WEXITSTATUS(status));
}

static void add_process(struct json_object *line, const struct record *record)
{
	json_add_number(line, "ppid", record->process.ppid);
	json_object_object_add(line, "after_exec",
			       json_object_new_boolean(!!(record->flags & RING_AFTER_EXEC)));
	json_add_text(line, "comm", record->process.comm);
	json_add_text(line, "exe", record->process.exe);
	json_add_number(line, "error", (uint64_t)record->process.error);
}

static int json_record(struct sink *sink, const struct record *record)
{
	static const char *const types[] = {
		[RECORD_PROCESS] = "process", [RECORD_EVENT] = "event",
		[RECORD_RELEASE] = "release", [RECORD_LOST] = "lost",
		[RECORD_END] = "end",         [RECORD_UNFOLLOWED] = "unfollowed",
	};
	struct json_object *line;

	if (sink->options->quiet && output_is_about_process(record))
		return 0;
	line = new_line(sink, types[record->type], record);
	if (record->type == RECORD_EVENT)
		add_event(sink, line, record);
	else if (record->type == RECORD_PROCESS)
		add_process(line, record);
	else if (record->type == RECORD_LOST)
		add_lost(line, record);
	else if (record->type == RECORD_END)
		add_end(line, record);
	else if (record->type == RECORD_UNFOLLOWED)
		add_unfollowed(line, record);
	return json_print_line(sink->out, line);
}

static int json_close(struct sink *sink)
{
	symbolizer_free(sink->state);
	return 0;
}

const struct sink_ops sink_json = { json_open, json_record, json_close };
