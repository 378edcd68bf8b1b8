/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * --perfetto: the JSON that ui.perfetto.dev and chrome://tracing read, called the Trace
 * Event Format by its document.
 *
 * Each operation is a complete event ("X") of its thread, in microseconds since the trace
 * began; processes are named by metadata ("M"), and what happens to them are instants ("i").
 * Stacks are written once each, as the tree "stackFrames" that events point into by "sf".
 * Events are written as they come: what it keeps are names, threads and stacks.
 * Tests: tests/system/trace_profiles.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/op.h>

#include "intern.h"
#include "json.h"
#include "output.h"
#include "processes.h"
#include "symbolize.h"

/* One frame below others: a path from the root is a stack. */
struct node {
	struct node *next;
	/* From 1; 0 is no frame. */
	uint32_t id, parent;
	struct record_frame frame;
};

struct perfetto {
	struct process_table *processes;
	/* By pid and tid: the name that the thread was given. */
	struct key_map threads;
	struct key_map nodes;
	/* By id, from 0. */
	struct node **by_id;
	uint32_t nr_nodes, max_nodes;
	bool any;
};

static struct json_object *new_event(struct sink *sink, const char *phase, const char *name,
				     const struct record *record)
{
	struct json_object *event = json_object_new_object();
	int64_t since = (int64_t)(record->time - sink->header.start_monotonic);
	uint64_t ns = since < 0 ? -(uint64_t)since : (uint64_t)since;
	char time[40];

	if (sink->options->time == TIME_ABSOLUTE) {
		ns = (uint64_t)since + sink->header.start_realtime;
		since = 0;
	}
	snprintf(time, sizeof(time), "%s%llu.%03llu", since < 0 ? "-" : "",
		 (unsigned long long)(ns / 1000), (unsigned long long)(ns % 1000));
	json_add_text(event, "ph", phase);
	json_add_text(event, "name", name);
	json_object_object_add(event, "ts", json_object_new_double_s(strtod(time, NULL), time));
	json_add_number(event, "pid", record->pid);
	json_add_number(event, "tid", record->tid);
	return event;
}

static int print_event(struct sink *sink, struct json_object *event)
{
	struct perfetto *perfetto = sink->state;

	fputs(perfetto->any ? ",\n" : "\n", sink->out);
	perfetto->any = true;
	return json_print(sink->out, event);
}

static void perfetto_free(struct perfetto *perfetto)
{
	process_table_free(perfetto->processes);
	key_map_clear(&perfetto->threads);
	for (uint32_t i = 0; i < perfetto->nr_nodes; i++)
		free(perfetto->by_id[i]);
	free(perfetto->by_id);
	key_map_clear(&perfetto->nodes);
	free(perfetto);
}

static int perfetto_open(struct sink *sink, const struct record_header *header)
{
	struct perfetto *perfetto = calloc(1, sizeof(*perfetto));
	struct json_object *other;

	if (!perfetto)
		return -ENOMEM;
	perfetto->processes = process_table_new();
	if (!perfetto->processes) {
		free(perfetto);
		return -ENOMEM;
	}
	sink->state = perfetto;
	other = json_object_new_object();
	json_add_text(other, "command", header->command);
	json_add_text(other, "version", header->version);
	fputs("{\"displayTimeUnit\":\"ns\",\"otherData\":", sink->out);
	json_print(sink->out, other);
	fputs(",\"traceEvents\":[", sink->out);
	return ferror(sink->out) ? -EIO : 0;
}

/* "process_name" and the like. */
static int print_name(struct sink *sink, const char *what, const char *name,
		      const struct record *record)
{
	struct json_object *event = new_event(sink, "M", what, record);
	struct json_object *args = json_object_new_object();

	json_object_object_del(event, "ts");
	json_add_text(args, "name", name);
	json_object_object_add(event, "args", args);
	return print_event(sink, event);
}

/* Once for each thread, and again when exec gives its process another name. */
static int name_thread(struct sink *sink, const struct record *record)
{
	struct perfetto *perfetto = sink->state;
	const char *comm = process_table_comm(perfetto->processes, record->pid);
	void **place = key_map_place(&perfetto->threads, (uint64_t)record->pid << 32 | record->tid);

	if (!place)
		return -ENOMEM;
	if (*place == comm)
		return 0;
	*place = (void *)(uintptr_t)comm;
	return print_name(sink, "thread_name", comm, record);
}

static int print_instant(struct sink *sink, const char *name, const char *scope,
			 const struct record *record, struct json_object *args)
{
	struct json_object *event = new_event(sink, "i", name, record);

	json_add_text(event, "cat", "process");
	json_add_text(event, "s", scope);
	if (args)
		json_object_object_add(event, "args", args);
	return print_event(sink, event);
}

static int add_node(struct perfetto *perfetto, uint32_t parent, const struct record_frame *frame,
		    uint32_t *id)
{
	uint64_t hash = ((uintptr_t)frame->module * 0x9e3779b97f4a7c15ull ^ frame->offset) +
			parent * 0xbf58476d1ce4e5b9ull;
	uint32_t max = perfetto->max_nodes ? perfetto->max_nodes * 2 : 64;
	struct node *node, **by_id;
	void **place;

	for (node = key_map_find(&perfetto->nodes, hash); node; node = node->next) {
		if (node->parent == parent && node->frame.module == frame->module &&
		    node->frame.offset == frame->offset) {
			*id = node->id;
			return 0;
		}
	}
	if (perfetto->nr_nodes == perfetto->max_nodes) {
		by_id = realloc(perfetto->by_id, max * sizeof(struct node *));
		if (!by_id)
			return -ENOMEM;
		perfetto->by_id = by_id;
		perfetto->max_nodes = max;
	}
	node = malloc(sizeof(*node));
	place = node ? key_map_place(&perfetto->nodes, hash) : NULL;
	if (!place) {
		free(node);
		return -ENOMEM;
	}
	*node = (struct node){ *place, perfetto->nr_nodes + 1, parent, *frame };
	*place = node;
	perfetto->by_id[perfetto->nr_nodes++] = node;
	*id = node->id;
	return 0;
}

static int print_operation(struct sink *sink, const struct record *record)
{
	char mapping[3 * RING_MAX_TEXT], duration[40];
	struct json_object *event, *args;
	uint32_t frame = 0;
	int error;

	error = name_thread(sink, record);
	for (unsigned int i = record->event.nr_frames; i && !error; i--)
		error = add_node(sink->state, frame, &record->event.frames[i - 1], &frame);
	if (error)
		return error;
	event = new_event(sink, "X", mmun_op_name(record->event.op), record);
	snprintf(duration, sizeof(duration), "%llu.%03llu",
		 (unsigned long long)(record->event.duration / 1000),
		 (unsigned long long)(record->event.duration % 1000));
	json_object_object_add(event, "dur",
			       json_object_new_double_s(strtod(duration, NULL), duration));
	json_add_text(event, "cat", record_event_name(record->event.event));
	args = json_object_new_object();
	json_add_address(args, "start", record->event.start);
	json_add_address(args, "end", record->event.end);
	json_add_number(args, "size", record->event.end - record->event.start);
	output_mapping(record, true, mapping, sizeof(mapping));
	json_add_text(args, "mapping", mapping);
	json_add_text(args, "outcome", output_outcome(record));
	json_object_object_add(event, "args", args);
	if (frame)
		json_add_number(event, "sf", frame);
	return print_event(sink, event);
}

static int print_process(struct sink *sink, const struct record *record)
{
	struct perfetto *perfetto = sink->state;
	struct json_object *args;
	int error = process_table_take(perfetto->processes, record);

	if (!error)
		error = print_name(sink, "process_name", record->process.comm, record);
	if (!error)
		error = name_thread(sink, record);
	if (error || sink->options->quiet)
		return error;
	args = json_object_new_object();
	json_add_text(args, "exe", record->process.exe);
	json_add_number(args, "parent", record->process.ppid);
	if (record->process.error)
		json_add_text(args, "not watched", strerror(record->process.error));
	return print_instant(sink, record->flags & RING_AFTER_EXEC ? "program" : "forked", "p",
			     record, args);
}

static int print_lost(struct sink *sink, const struct record *record)
{
	struct json_object *args = json_object_new_object();

	json_add_number(args, "dropped", record->lost.dropped);
	json_add_number(args, "abandoned", record->lost.abandoned);
	json_add_number(args, "too_deep", record->lost.too_deep);
	json_add_number(args, "unfollowed", record->lost.unfollowed);
	json_add_number(args, "unredirected", record->lost.unredirected);
	return print_instant(sink, "events lost", "g", record, args);
}

static int print_unfollowed(struct sink *sink, const struct record *record)
{
	struct json_object *args = json_object_new_object();

	json_add_text(args, "exe", record->unfollowed.exe);
	json_add_text(args, "reason", record->unfollowed.reason);
	return print_instant(sink, "not followed", "p", record, args);
}

static int perfetto_record(struct sink *sink, const struct record *record)
{
	char sentence[64];
	int error = 0;

	switch (record->type) {
	case RECORD_EVENT:
		error = print_operation(sink, record);
		break;
	case RECORD_PROCESS:
		error = print_process(sink, record);
		break;
	case RECORD_RELEASE:
		if (!sink->options->quiet)
			error = print_instant(sink, "address space released", "p", record, NULL);
		break;
	case RECORD_LOST:
		error = print_lost(sink, record);
		break;
	case RECORD_END:
		output_status(record->end.wait_status, sentence, sizeof(sentence));
		if (!sink->options->quiet)
			error = print_instant(sink, sentence, "p", record, NULL);
		break;
	case RECORD_UNFOLLOWED:
		error = print_unfollowed(sink, record);
		break;
	}
	return error ? error : ferror(sink->out) ? -EIO : 0;
}

static void print_frame(struct sink *sink, struct symbolizer *symbolizer, const struct node *node)
{
	struct json_object *object = json_object_new_object();
	const char *module = node->frame.module ? node->frame.module : "";
	struct symbol symbol;
	char place[SYMBOLIZER_MAX_PLACE], parent[16];

	symbolizer_find(symbolizer, &node->frame, &symbol);
	if (symbol.function) {
		json_add_text(object, "name", symbol.function);
	} else {
		symbolizer_describe(symbolizer, &node->frame, place, sizeof(place));
		json_add_text(object, "name", place);
	}
	json_add_text(object, "category", module);
	if (node->parent) {
		snprintf(parent, sizeof(parent), "%u", node->parent);
		json_add_text(object, "parent", parent);
	}
	fprintf(sink->out, "%s\n\"%u\":", node->id > 1 ? "," : "", node->id);
	json_print(sink->out, object);
}

static int perfetto_close(struct sink *sink)
{
	struct perfetto *perfetto = sink->state;
	struct symbolizer *symbolizer = symbolizer_new();

	fputs("\n],\"stackFrames\":{", sink->out);
	for (uint32_t i = 0; i < perfetto->nr_nodes; i++)
		print_frame(sink, symbolizer, perfetto->by_id[i]);
	fputs("\n}}\n", sink->out);
	symbolizer_free(symbolizer);
	perfetto_free(perfetto);
	return ferror(sink->out) ? -EIO : 0;
}

const struct sink_ops sink_perfetto = { perfetto_open, perfetto_record, perfetto_close };
