/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * --summary: the tables of summary.h as text for people and, with --json, as one object.
 *
 * Tests: tests/system/trace_events.py, tests/system/trace_summary.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/op.h>

#include "columns.h"
#include "json.h"
#include "output.h"
#include "stacks.h"
#include "summary.h"
#include "symbolize.h"

#define USUAL_ROWS 20

static int summary_open(struct sink *sink, const struct record_header *header)
{
	sink->state = summary_new(sink->options);
	return sink->state ? 0 : -ENOMEM;
}

static int summary_record(struct sink *sink, const struct record *record)
{
	return summary_take(sink->state, record);
}

enum { SHARE, SECONDS, MEAN, MAX, EVENTS, ERRORS, UNCHANGED, BYTES, NR_COLUMNS };

static const struct column columns[NR_COLUMNS] = {
	[SHARE] = { "% time", 6, .right = true, .goes_at = 5 },
	[SECONDS] = { "seconds", 11, .right = true, .goes_at = 6 },
	[MEAN] = { "mean us", 10, .right = true, .goes_at = 3 },
	[MAX] = { "max us", 10, .right = true, .goes_at = 1 },
	[EVENTS] = { "events", 9, .right = true, .goes_at = 8 },
	[ERRORS] = { "errors", 7, .right = true, .goes_at = 4 },
	[UNCHANGED] = { "unchanged", 9, .right = true, .goes_at = 2 },
	[BYTES] = { "bytes", 9, .right = true, .goes_at = 7 },
};

#define LEAST_NAME 24

/* One table on its way to the output. */
struct printer {
	struct sink *sink;
	const struct summary *summary;
	const struct summary_split *split;
	struct layout layout;
	struct symbolizer *symbolizer;
	/* Of the whole table. */
	uint64_t time;
};

static void print_count(const struct printer *printer, unsigned int column, uint64_t count)
{
	char cell[32];

	snprintf(cell, sizeof(cell), "%llu", (unsigned long long)count);
	layout_print(&printer->layout, printer->sink->out, column, STYLE_PLAIN, cell);
}

static void print_decimal(const struct printer *printer, unsigned int column, const char *format,
			  double value)
{
	char cell[40];

	snprintf(cell, sizeof(cell), format, value);
	layout_print(&printer->layout, printer->sink->out, column, STYLE_PLAIN, cell);
}

static void print_row(const struct printer *printer, const struct summary_row *row, char *name)
{
	double time = (double)row->time;
	char bytes[32];

	print_decimal(printer, SHARE, "%.2f",
		      printer->time ? 100.0 * time / (double)printer->time : 0.0);
	print_decimal(printer, SECONDS, "%.6f", time / 1e9);
	print_decimal(printer, MEAN, "%.1f", row->events ? time / 1e3 / (double)row->events : 0.0);
	print_decimal(printer, MAX, "%.1f", (double)row->max / 1e3);
	print_count(printer, EVENTS, row->events);
	print_count(printer, ERRORS, row->errors);
	print_count(printer, UNCHANGED, row->unchanged);
	output_size(row->bytes, bytes, sizeof(bytes));
	layout_print(&printer->layout, printer->sink->out, BYTES, STYLE_PLAIN, bytes);
	layout_print_last(&printer->layout, printer->sink->out, STYLE_PLAIN, name);
}

static void print_rule(const struct printer *printer)
{
	char dashes[33];

	for (unsigned int i = 0; i < NR_COLUMNS; i++) {
		snprintf(dashes, sizeof(dashes), "%.*s", (int)columns[i].width,
			 "--------------------------------");
		layout_print(&printer->layout, printer->sink->out, i, STYLE_PLAIN, dashes);
	}
	strcpy(dashes, "----------------");
	layout_print_last(&printer->layout, printer->sink->out, STYLE_PLAIN, dashes);
}

/* Where a stack leads to the C library: the place that people look for. */
static void describe_caller(const struct printer *printer, uint32_t id, char *out, size_t size)
{
	const struct record_frame *frames, *caller;
	struct symbol symbol;
	unsigned int nr;

	frames = stack_table_frames(summary_stacks(printer->summary), id, &nr);
	caller = stack_caller(frames, nr);
	if (!caller) {
		snprintf(out, size, "no stack");
		return;
	}
	symbolizer_find(printer->symbolizer, caller, &symbol);
	if (symbol.function)
		terminal_escape(symbol.function, out, size);
	else
		symbolizer_describe(printer->symbolizer, caller, out, size);
}

/* Returns the stack among the values; 0: none. */
static uint32_t name_row(const struct printer *printer, const struct summary_row *row, char *out,
			 size_t size)
{
	uint32_t stack = 0;
	size_t used = 0;

	*out = '\0';
	for (unsigned int i = 0; i < printer->split->nr && used + 3 < size; i++) {
		enum summary_key key = printer->split->keys[i];

		if (i)
			strcpy(out + used, ", ");
		used = strlen(out);
		if (key == SUMMARY_STACK) {
			stack = (uint32_t)row->values[i].number;
			describe_caller(printer, stack, out + used, size - used);
		} else {
			summary_describe(key, &row->values[i], out + used, size - used);
		}
		used = strlen(out);
	}
	return stack;
}

static void print_frames(const struct printer *printer, uint32_t stack)
{
	const struct terminal *terminal = &printer->sink->terminal;
	const struct record_frame *frames;
	char place[SYMBOLIZER_MAX_PLACE];
	unsigned int nr;

	frames = stack_table_frames(summary_stacks(printer->summary), stack, &nr);
	for (unsigned int i = 0; i < nr; i++) {
		symbolizer_describe(printer->symbolizer, &frames[i], place, sizeof(place));
		fprintf(printer->sink->out, "%s    > %s%s\n", terminal_begin(terminal, STYLE_FAINT),
			place, terminal_end(terminal, STYLE_FAINT));
	}
}

static void title_of(const struct summary_split *split, char *out, size_t size)
{
	size_t used = 0;

	for (unsigned int i = 0; i < split->nr && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "",
					 summary_key_name(split->keys[i]));
}

static int print_table(struct printer *printer, unsigned int table)
{
	struct summary_row **rows = summary_rows(printer->summary, table), others = { 0 };
	const struct summary_row *total = summary_total(printer->summary, table);
	uint64_t top = printer->sink->options->summary.top, all;
	char name[4 * RING_MAX_TEXT];
	uint32_t stack;

	if (!rows)
		return -ENOMEM;
	all = summary_nr_rows(printer->summary, table);
	top = top ? top : USUAL_ROWS;
	printer->split = summary_split(printer->summary, table);
	printer->time = total->time;
	title_of(printer->split, name, sizeof(name));
	layout_print_header(&printer->layout, printer->sink->out, name);
	print_rule(printer);
	for (uint64_t i = 0; rows[i]; i++) {
		/* No line for what would be one line itself. */
		if (i >= top && all - top > 1) {
			summary_add(&others, rows[i]);
			continue;
		}
		stack = name_row(printer, rows[i], name, sizeof(name));
		print_row(printer, rows[i], name);
		if (stack)
			print_frames(printer, stack);
	}
	if (others.events) {
		snprintf(name, sizeof(name), "%llu others", (unsigned long long)(all - top));
		print_row(printer, &others, name);
	}
	print_rule(printer);
	strcpy(name, "total");
	print_row(printer, total, name);
	free(rows);
	return 0;
}

static void print_unfollowed(struct sink *sink, const struct summary *summary)
{
	char exe[2 * RING_MAX_TEXT], reason[512], times[32] = "";
	const struct summary_unfollowed *one;
	uint64_t nr;

	one = summary_unfollowed(summary, &nr);
	if (nr)
		putc('\n', sink->out);
	for (; nr--; one++) {
		terminal_escape(one->exe, exe, sizeof(exe));
		terminal_escape(one->reason, reason, sizeof(reason));
		if (one->count > 1)
			snprintf(times, sizeof(times), " (%llu times)",
				 (unsigned long long)one->count);
		fprintf(sink->out, "mmunotify: not followed: %s: %s%s\n", exe, reason,
			one->count > 1 ? times : "");
	}
}

static int summary_close(struct sink *sink)
{
	struct summary *summary = sink->state;
	struct printer printer = {
		.sink = sink,
		.summary = summary,
		.symbolizer = sink->options->stacks ? symbolizer_new() : NULL,
	};
	char sentence[512];
	int error = 0;

	layout_fit(&printer.layout, &sink->terminal, columns, NR_COLUMNS, LEAST_NAME);
	for (unsigned int i = 0; i < summary_nr_tables(summary) && !error; i++) {
		if (i)
			putc('\n', sink->out);
		error = print_table(&printer, i);
	}
	print_unfollowed(sink, summary);
	if (output_lost(summary_lost(summary), sentence, sizeof(sentence)))
		fprintf(sink->out, "\nmmunotify: %s\n", sentence);
	symbolizer_free(printer.symbolizer);
	summary_free(summary);
	return error ? error : ferror(sink->out) ? -EIO : 0;
}

const struct sink_ops sink_summary = { summary_open, summary_record, summary_close };

static void add_numbers(struct json_object *object, const struct summary_row *row)
{
	json_add_number(object, "events", row->events);
	json_add_number(object, "errors", row->errors);
	json_add_number(object, "unchanged", row->unchanged);
	json_add_number(object, "bytes", row->bytes);
	json_add_number(object, "time_ns", row->time);
	json_add_number(object, "mean_ns", row->events ? row->time / row->events : 0);
	json_add_number(object, "max_ns", row->max);
}

static void add_value(const struct printer *printer, struct json_object *object,
		      enum summary_key key, const struct summary_value *value)
{
	const struct record_frame *frames;
	struct json_object *stack;
	char text[3 * RING_MAX_TEXT];
	unsigned int nr;

	switch (key) {
	case SUMMARY_PROCESS:
		json_add_number(object, "pid", value->number);
		json_add_text(object, "comm", value->text);
		break;
	case SUMMARY_THREAD:
		json_add_number(object, "pid", value->number >> 32);
		json_add_number(object, "tid", (uint32_t)value->number);
		json_add_text(object, "comm", value->text);
		break;
	case SUMMARY_STACK:
		stack = json_object_new_array();
		frames = stack_table_frames(summary_stacks(printer->summary),
					    (uint32_t)value->number, &nr);
		for (unsigned int i = 0; i < nr; i++)
			json_object_array_add(stack,
					      symbolizer_object(printer->symbolizer, &frames[i]));
		json_object_object_add(object, "stack", stack);
		break;
	default:
		summary_describe(key, value, text, sizeof(text));
		json_add_text(object, summary_key_name(key), text);
	}
}

static struct json_object *table_object(struct printer *printer, unsigned int table)
{
	struct summary_row **rows = summary_rows(printer->summary, table), others = { 0 };
	uint64_t top = printer->sink->options->summary.top;
	struct json_object *object = json_object_new_object();
	struct json_object *keys = json_object_new_array(), *array = json_object_new_array();

	printer->split = summary_split(printer->summary, table);
	for (unsigned int i = 0; i < printer->split->nr; i++) {
		const char *name = summary_key_name(printer->split->keys[i]);

		json_object_array_add(keys, json_object_new_string(name));
	}
	for (uint64_t i = 0; rows && rows[i]; i++) {
		struct json_object *row;

		if (top && i >= top) {
			summary_add(&others, rows[i]);
			continue;
		}
		row = json_object_new_object();
		for (unsigned int k = 0; k < printer->split->nr; k++)
			add_value(printer, row, printer->split->keys[k], &rows[i]->values[k]);
		add_numbers(row, rows[i]);
		json_object_array_add(array, row);
	}
	free(rows);
	json_object_object_add(object, "keys", keys);
	json_object_object_add(object, "rows", array);
	json_add_number(object, "nr_rows", summary_nr_rows(printer->summary, table));
	json_object_object_add(object, "others", json_object_new_object());
	add_numbers(json_object_object_get(object, "others"), &others);
	json_object_object_add(object, "total", json_object_new_object());
	add_numbers(json_object_object_get(object, "total"),
		    summary_total(printer->summary, table));
	return object;
}

static struct json_object *unfollowed_object(const struct summary *summary)
{
	struct json_object *array = json_object_new_array(), *object;
	const struct summary_unfollowed *one;
	uint64_t nr;

	for (one = summary_unfollowed(summary, &nr); nr--; one++) {
		object = json_object_new_object();
		json_add_text(object, "exe", one->exe);
		json_add_text(object, "reason", one->reason);
		json_add_number(object, "times", one->count);
		json_object_array_add(array, object);
	}
	return array;
}

static int summary_json_close(struct sink *sink)
{
	struct summary *summary = sink->state;
	struct printer printer = {
		.sink = sink,
		.summary = summary,
		.symbolizer = sink->options->stacks ? symbolizer_new() : NULL,
	};
	const struct record *lost = summary_lost(summary);
	struct json_object *object = json_object_new_object(), *tables = json_object_new_array();
	int error;

	json_add_text(object, "type", "summary");
	json_add_text(object, "command", sink->header.command);
	for (unsigned int i = 0; i < summary_nr_tables(summary); i++)
		json_object_array_add(tables, table_object(&printer, i));
	json_object_object_add(object, "tables", tables);
	json_add_number(object, "processes", summary_processes(summary));
	json_add_number(object, "dropped", lost->lost.dropped);
	json_add_number(object, "abandoned", lost->lost.abandoned);
	json_add_number(object, "too_deep", lost->lost.too_deep);
	json_add_number(object, "unfollowed", lost->lost.unfollowed);
	json_add_number(object, "unredirected", lost->lost.unredirected);
	json_object_object_add(object, "not_followed", unfollowed_object(summary));
	error = json_print_line(sink->out, object);
	symbolizer_free(printer.symbolizer);
	summary_free(summary);
	return error;
}

const struct sink_ops sink_summary_json = { summary_open, summary_record, summary_json_close };
