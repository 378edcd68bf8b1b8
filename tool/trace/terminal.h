/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where text ends up: its width, its colours, and which bytes it may be shown. */
#ifndef MMUN_TOOL_TRACE_TERMINAL_H
#define MMUN_TOOL_TRACE_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum colour { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER };

struct terminal {
	bool is_terminal, coloured;
	/* Columns; 0: no limit, for what is no terminal. */
	unsigned int width;
};

enum style {
	STYLE_PLAIN,
	STYLE_HEADER,
	/* What matters less: times, frames, what changed nothing. */
	STYLE_FAINT,
	STYLE_PROCESS,
	STYLE_UNMAP,
	STYLE_CLEAR,
	STYLE_PROTECT,
	STYLE_ERROR,
};

/*
 * terminal_look() - what @out is.  Colour is for terminals, and not where NO_COLOR is set
 * or TERM is "dumb"; ALWAYS and NEVER overrule all of that.  COLUMNS in the environment
 * overrules the terminal's width.
 */
void terminal_look(struct terminal *terminal, FILE *out, enum colour colour);

/* Between these, what is printed has @style; "" without colours. */
const char *terminal_begin(const struct terminal *terminal, enum style style);
const char *terminal_end(const struct terminal *terminal, enum style style);

/*
 * terminal_escape() - @text as it may be shown to a terminal: control characters (C1 and
 * those that turn the direction of writing included), what is no UTF-8, and without a UTF-8
 * locale all beyond ASCII as \ooo, a backslash too.  What does not fit in @size is cut.
 */
void terminal_escape(const char *text, char *out, size_t size);

/* Columns that an escaped text takes. */
size_t terminal_width(const char *text);
/* Cut an escaped text to @width columns, with an ellipsis where it was cut; 0: no limit. */
void terminal_keep_end(char *text, size_t width);
void terminal_keep_start(char *text, size_t width);

#endif
