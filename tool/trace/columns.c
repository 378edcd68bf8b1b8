/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Columns of text that fit.  Without a width all are there, and each line is as long as it
 * is.  Tests: tests/unit/tool/text.c, tests/system/trace_terminal.py.
 */
#include <string.h>

#include "columns.h"

static unsigned int width_of(const struct layout *layout, unsigned int i)
{
	return layout->is_short[i] ? layout->columns[i].short_width : layout->columns[i].width;
}

static unsigned int fixed_width(const struct layout *layout)
{
	unsigned int width = 0;

	for (unsigned int i = 0; i < layout->nr; i++)
		if (!layout->gone[i])
			width += width_of(layout, i) + 1;
	return width;
}

void layout_fit(struct layout *layout, const struct terminal *terminal,
		const struct column *columns, unsigned int nr, unsigned int least)
{
	*layout = (struct layout){ .columns = columns, .nr = nr, .terminal = terminal };
	if (!terminal->width)
		return;
	for (unsigned int step = 1; step <= 2 * nr; step++) {
		if (fixed_width(layout) + least <= terminal->width)
			break;
		for (unsigned int i = 0; i < nr; i++) {
			layout->is_short[i] |= columns[i].short_at == step;
			layout->gone[i] |= columns[i].goes_at == step;
		}
	}
	layout->rest = 1;
	if (terminal->width > fixed_width(layout))
		layout->rest = terminal->width - fixed_width(layout);
}

/* For each event of a live trace: it does not ask printf(). */
static void print_cell(const struct layout *layout, FILE *out, unsigned int i, const char *text)
{
	static const char blanks[] = "                                ";
	size_t length = strlen(text), width = width_of(layout, i);
	size_t missing = width > length ? width - length : 0;

	if (missing > sizeof(blanks) - 1)
		missing = sizeof(blanks) - 1;
	if (layout->columns[i].right)
		fwrite_unlocked(blanks, 1, missing, out);
	fwrite_unlocked(text, 1, length, out);
	if (!layout->columns[i].right)
		fwrite_unlocked(blanks, 1, missing, out);
}

void layout_print(const struct layout *layout, FILE *out, unsigned int i, enum style style,
		  const char *text)
{
	if (layout->gone[i])
		return;
	if (layout->terminal->coloured)
		fputs(terminal_begin(layout->terminal, style), out);
	print_cell(layout, out, i, text);
	if (layout->terminal->coloured)
		fputs(terminal_end(layout->terminal, style), out);
	putc_unlocked(' ', out);
}

void layout_print_last(const struct layout *layout, FILE *out, enum style style, char *text)
{
	terminal_keep_end(text, layout->rest);
	fprintf(out, "%s%s%s\n", terminal_begin(layout->terminal, style), text,
		terminal_end(layout->terminal, style));
}

void layout_print_header(const struct layout *layout, FILE *out, const char *last)
{
	char text[COLUMNS_MAX_CELL];

	for (unsigned int i = 0; i < layout->nr; i++)
		layout_print(layout, out, i, STYLE_HEADER,
			     layout->is_short[i] ? layout->columns[i].short_title
						 : layout->columns[i].title);
	snprintf(text, sizeof(text), "%s", last);
	layout_print_last(layout, out, STYLE_HEADER, text);
}
