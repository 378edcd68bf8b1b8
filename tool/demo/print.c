/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The demo's result as a table for people and as JSON for machines, and the
 * verdict that both state.
 *
 * Colour only on a terminal and when NO_COLOR is unset or empty; the words
 * alone say everything.  Tests: tests/system/demo.py.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

static bool cell_shows(const struct demo_report *report, const struct demo_cell *cell,
		       enum demo_view view, bool all_directions)
{
	bool fetched = cell->fetched == view;
	bool delivered = cell->delivered == view;

	if (cell->error.text[0])
		return !all_directions && (fetched || delivered);
	if (!report->device->delivers)
		return fetched;
	return all_directions ? fetched && delivered : fetched || delivered;
}

unsigned int demo_count(const struct demo_report *report, enum demo_way way, enum demo_view view,
			bool all_directions)
{
	unsigned int count = 0;

	for (int i = 0; i < DEMO_NR_OPERATIONS; i++)
		count += cell_shows(report, &report->columns[way]->cells[i], view, all_directions);
	return count;
}

bool demo_passed(const struct demo_report *report)
{
	return demo_count(report, DEMO_WITHOUT, DEMO_STALE, true) == DEMO_NR_OPERATIONS &&
	       demo_count(report, DEMO_NOTIFIER, DEMO_FRESH, true) == DEMO_NR_OPERATIONS &&
	       demo_count(report, DEMO_CACHE, DEMO_FRESH, true) == DEMO_NR_OPERATIONS;
}

static bool colourful(FILE *out)
{
	const char *no_color = getenv("NO_COLOR");

	return isatty(fileno(out)) && !(no_color && *no_color);
}

/* A word in a column of its own; the colour codes take no width. */
static void print_view(FILE *out, enum demo_view view, bool failed, bool colour)
{
	const char *word = failed ? "failed" : "-", *on = "";

	if (view == DEMO_STALE) {
		word = "STALE";
		on = "\033[1;31m";
	} else if (view == DEMO_FRESH) {
		word = "ok";
		on = "\033[32m";
	}
	fprintf(out, "%s%s%s%*s", colour ? on : "", word, colour && *on ? "\033[0m" : "",
		7 - (int)strlen(word), "");
}

static void print_cell(FILE *out, const struct demo_report *report, int column, int row,
		       bool colour)
{
	const struct demo_cell *cell = &report->columns[column]->cells[row];
	bool failed = cell->error.text[0] || report->columns[column]->error.text[0];

	fputs("| ", out);
	print_view(out, cell->fetched, failed, colour);
	if (report->device->delivers)
		print_view(out, cell->delivered, failed, colour);
	else
		fprintf(out, "%7s", "");
}

static void print_headings(FILE *out, bool delivers)
{
	const char *sub = delivers ? "file   memory" : "pipe";

	fprintf(out, "%-31s| %-14s| %-14s| %s\n", "", "no notifier", "a notifier", "the cache");
	fprintf(out, "%-31s| %-14s| %-14s| %s\n", "what the program does", sub, sub, sub);
	fputs("-------------------------------+---------------+---------------+--------------\n",
	      out);
}

static void print_failures(FILE *out, const struct demo_report *report)
{
	static const char *const names[DEMO_NR_WAYS] = { "without a notifier", "with a notifier",
							 "through the cache" };

	for (int c = 0; c < DEMO_NR_WAYS; c++) {
		if (report->columns[c]->error.text[0])
			fprintf(out, "%s: %s.\n", names[c], report->columns[c]->error.text);
		for (int i = 0; i < DEMO_NR_OPERATIONS; i++)
			if (report->columns[c]->cells[i].error.text[0])
				fprintf(out, "%s, %s: %s.\n", names[c], demo_operations[i].title,
					report->columns[c]->cells[i].error.text);
	}
}

static unsigned int count_tried(const struct demo_report *report, enum demo_way way)
{
	unsigned int count = 0;

	for (int i = 0; i < DEMO_NR_OPERATIONS; i++)
		count += report->columns[way]->cells[i].fetched != DEMO_UNTESTED;
	return count;
}

static void print_verdict(FILE *out, const struct demo_report *report)
{
	fprintf(out,
		"Without a notifier %u of %u operations corrupted data silently; "
		"with one, %u of %u;\nthrough the registration cache, %u of %u.\n",
		demo_count(report, DEMO_WITHOUT, DEMO_STALE, false),
		count_tried(report, DEMO_WITHOUT),
		demo_count(report, DEMO_NOTIFIER, DEMO_STALE, false),
		count_tried(report, DEMO_NOTIFIER),
		demo_count(report, DEMO_CACHE, DEMO_STALE, false), count_tried(report, DEMO_CACHE));
	if (!demo_passed(report))
		fprintf(out, "This is not the expected result (every cell STALE without, "
			     "every cell ok otherwise).\n");
}

void demo_print_table(const struct demo_report *report, FILE *out)
{
	bool delivers = report->device->delivers, colour = colourful(out);

	if (report->note.text[0])
		fprintf(out, "%s.\nSo the demo uses %s instead.\n\n", report->note.text,
			report->device->name);
	fprintf(out, "One buffer is registered once with %s\n\n", report->device->story);
	print_headings(out, delivers);
	for (int i = 0; i < DEMO_NR_OPERATIONS; i++) {
		fprintf(out, "%-31s", demo_operations[i].title);
		for (int c = 0; c < DEMO_NR_WAYS; c++)
			print_cell(out, report, c, i, colour);
		fputc('\n', out);
	}
	fprintf(out, "\nSTALE: the device used the old, orphaned pages, so\n%s.\n",
		delivers ? "replaced bytes went out or data read never arrived"
			 : "it read bytes that the program had replaced");
	print_failures(out, report);
	print_verdict(out, report);
}

static void json_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void json_error(FILE *out, const char *key, const struct demo_error *error)
{
	fprintf(out, "\"%s\":", key);
	if (error->text[0])
		json_string(out, error->text);
	else
		fputs("null", out);
}

static void json_cell(FILE *out, const struct demo_cell *cell, bool with_notifier)
{
	static const char *const views[] = {
		[DEMO_UNTESTED] = "null",
		[DEMO_FRESH] = "\"fresh\"",
		[DEMO_STALE] = "\"stale\"",
	};

	fprintf(out, "{\"device_reads\":%s,\"device_writes\":%s,", views[cell->fetched],
		views[cell->delivered]);
	if (with_notifier)
		fprintf(out, "\"invalidations\":%lu,\"registrations\":%lu,", cell->sections,
			cell->registrations);
	json_error(out, "error", &cell->error);
	fputc('}', out);
}

void demo_print_json(const struct demo_report *report, FILE *out)
{
	static const char *const names[DEMO_NR_WAYS] = { "without", "with", "cached" };
	char key[16];

	fprintf(out, "{\"backend\":\"%s\",", report->device->name);
	json_error(out, "note", &report->note);
	fputs(",\"operations\":[", out);
	for (int i = 0; i < DEMO_NR_OPERATIONS; i++) {
		fprintf(out, "%s{\"name\":\"%s\"", i ? "," : "", demo_operations[i].name);
		for (int c = 0; c < DEMO_NR_WAYS; c++) {
			fprintf(out, ",\"%s\":", names[c]);
			json_cell(out, &report->columns[c]->cells[i], c != DEMO_WITHOUT);
		}
		fputc('}', out);
	}
	fputc(']', out);
	for (int c = 0; c < DEMO_NR_WAYS; c++) {
		snprintf(key, sizeof(key), "error_%s", names[c]);
		fputc(',', out);
		json_error(out, key, &report->columns[c]->error);
	}
	for (int c = 0; c < DEMO_NR_WAYS; c++)
		fprintf(out, ",\"stale_%s\":%u", names[c],
			demo_count(report, (enum demo_way)c, DEMO_STALE, false));
	fprintf(out, ",\"pass\":%s}\n", demo_passed(report) ? "true" : "false");
}
