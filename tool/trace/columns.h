/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Columns of text that fit where they are printed. */
#ifndef MMUN_TOOL_TRACE_COLUMNS_H
#define MMUN_TOOL_TRACE_COLUMNS_H

#include <stdbool.h>
#include <stdio.h>

#include "terminal.h"

#define COLUMNS_MAX      12
#define COLUMNS_MAX_CELL 160

/*
 * One column.  Where the terminal is too narrow, columns become short and go, in the order
 * of the numbers below; 0 never.
 */
struct column {
	const char *title;
	unsigned int width;
	bool right;
	unsigned int goes_at;
	/* A shorter form: another title and width. */
	const char *short_title;
	unsigned int short_width, short_at;
};

/* How a line is laid out: columns one blank apart, then a last one as wide as it likes. */
struct layout {
	const struct column *columns;
	unsigned int nr;
	const struct terminal *terminal;
	bool gone[COLUMNS_MAX], is_short[COLUMNS_MAX];
	/* What is left for the last one; 0: no limit. */
	unsigned int rest;
};

/* @least: what the last column should have. */
void layout_fit(struct layout *layout, const struct terminal *terminal,
		const struct column *columns, unsigned int nr, unsigned int least);

/* The titles as a line, @last for the last column. */
void layout_print_header(const struct layout *layout, FILE *out, const char *last);
/* A cell with the blank behind it; nothing if the column has gone. */
void layout_print(const struct layout *layout, FILE *out, unsigned int column, enum style style,
		  const char *text);
/* The last column and the line's end; @text is escaped, and cut in place. */
void layout_print_last(const struct layout *layout, FILE *out, enum style style, char *text);

#endif
