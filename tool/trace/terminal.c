/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a terminal may be shown, and how.
 *
 * Names in a trace were chosen by programs: a file may be called "\033[2J".  All text
 * from there goes through terminal_escape(), whether a terminal reads it now or later.
 * Tests: tests/unit/tool/text.c, tests/system/trace_terminal.py.
 */
#include <langinfo.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "json.h"
#include "terminal.h"

static bool is_utf8(void)
{
	static int utf8 = -1;

	if (utf8 < 0)
		utf8 = setlocale(LC_CTYPE, "") && !strcmp(nl_langinfo(CODESET), "UTF-8");
	return utf8;
}

static unsigned int width_of(int fd)
{
	const char *columns = getenv("COLUMNS");
	unsigned long width = columns ? strtoul(columns, NULL, 10) : 0;
	struct winsize size;

	if (width > 0 && width < 100000)
		return (unsigned int)width;
	return !ioctl(fd, TIOCGWINSZ, &size) && size.ws_col ? size.ws_col : 80;
}

void terminal_look(struct terminal *terminal, FILE *out, enum colour colour)
{
	const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

	*terminal = (struct terminal){ .is_terminal = isatty(fileno(out)) };
	if (terminal->is_terminal)
		terminal->width = width_of(fileno(out));
	if (colour == COLOUR_AUTO)
		terminal->coloured = terminal->is_terminal && !(none && *none) && term && *term &&
				     strcmp(term, "dumb");
	else
		terminal->coloured = colour == COLOUR_ALWAYS;
}

const char *terminal_begin(const struct terminal *terminal, enum style style)
{
	static const char *const sequences[] = {
		[STYLE_PLAIN] = "",           [STYLE_HEADER] = "\033[1;4m",
		[STYLE_FAINT] = "\033[2m",    [STYLE_PROCESS] = "\033[32m",
		[STYLE_UNMAP] = "\033[31m",   [STYLE_CLEAR] = "\033[33m",
		[STYLE_PROTECT] = "\033[36m", [STYLE_ERROR] = "\033[1;31m",
	};

	return terminal->coloured ? sequences[style] : "";
}

const char *terminal_end(const struct terminal *terminal, enum style style)
{
	return terminal->coloured && style != STYLE_PLAIN ? "\033[0m" : "";
}

/* Characters that change how a terminal shows others. */
static bool is_control(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} controls[] = {
		{ 0x00, 0x1f },     { 0x7f, 0x9f },     { 0x61c, 0x61c },
		{ 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },
		{ 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0xe0000, 0xe0fff },
	};

	for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++)
		if (c >= controls[i].first && c <= controls[i].last)
			return true;
	return false;
}

void terminal_escape(const char *text, char *out, size_t size)
{
	size_t used = 0, length;
	uint32_t c;

	for (; *text; text += length) {
		bool plain;

		/* Nearly all there is. */
		if (*text >= ' ' && *text <= '~' && *text != '\\' && used + 1 < size) {
			out[used++] = *text;
			length = 1;
			continue;
		}
		length = json_utf8(text, &c);
		plain = length && !is_control(c) && c != '\\' && (c < 0x80 || is_utf8());
		if (!length)
			length = 1;
		if (used + (plain ? length : 4 * length) >= size)
			break;
		for (size_t i = 0; i < length; i++) {
			if (plain)
				out[used++] = text[i];
			else
				used += (size_t)sprintf(out + used, "\\%03o",
							(unsigned char)text[i]);
		}
	}
	out[used] = '\0';
}

/* Of the character at @text; 0 for the rest of a text that is not valid. */
static size_t columns_of(const char *text, size_t *length)
{
	uint32_t c;
	int width;

	*length = json_utf8(text, &c);
	if (!*length) {
		*length = 1;
		return 1;
	}
	if (c < 0x80)
		return 1;
	width = wcwidth((wchar_t)c);
	return width < 0 ? 1 : (size_t)width;
}

size_t terminal_width(const char *text)
{
	size_t width = 0, length;

	for (; *text; text += length)
		width += columns_of(text, &length);
	return width;
}

static const char *ellipsis_of(void)
{
	return is_utf8() ? "\xe2\x80\xa6" : "~";
}

void terminal_keep_end(char *text, size_t width)
{
	const char *ellipsis = ellipsis_of();
	size_t all = terminal_width(text), bytes = strlen(ellipsis), length;
	char *end = text;

	if (!width || all <= width)
		return;
	/* The mark takes one column, and three bytes that one character may not have. */
	while (*end && (all > width - 1 || (size_t)(end - text) < bytes)) {
		all -= columns_of(end, &length);
		end += length;
	}
	memmove(text + bytes, end, strlen(end) + 1);
	memcpy(text, ellipsis, bytes);
}

void terminal_keep_start(char *text, size_t width)
{
	const char *ellipsis = ellipsis_of();
	size_t kept = 0, bytes = 0, length, columns;

	if (!width || terminal_width(text) <= width)
		return;
	while ((columns = columns_of(text + bytes, &length)) + kept < width) {
		kept += columns;
		bytes += length;
	}
	/* What goes is one column at least; the mark may need two bytes more than that. */
	if (strlen(text + bytes) >= strlen(ellipsis))
		strcpy(text + bytes, ellipsis);
	else
		text[bytes] = '\0';
}
