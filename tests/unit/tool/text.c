/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a terminal is shown: no control character of a name, columns that fit at every
 * width, texts cut between characters.
 */
#include <stdlib.h>
#include <string.h>

#include "tap.h"

#include "columns.h"
#include "command.h"
#include "terminal.h"

/* Wrong usage cannot happen here. */
int mmunotify_usage_error(const char *command, const char *format, ...)
{
	return MMUNOTIFY_EXIT_USAGE;
}

static void escapes_to(const char *text, const char *expected, const char *what)
{
	char out[64];

	terminal_escape(text, out, sizeof(out));
	if (!ok(!strcmp(out, expected), "%s", what))
		diag("got %s", out);
}

static void test_escape(void)
{
	char out[8];

	escapes_to("a\nb\\c\033[2J\177", "a\\012b\\134c\\033[2J\\177",
		   "control characters are octal");
	escapes_to("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f",
		   "letters beyond ASCII stay in UTF-8");
	escapes_to("\xc2\x9b"
		   "2J",
		   "\\302\\2332J", "a C1 control character is octal");
	escapes_to("\xe2\x80\xae"
		   "cod.exe",
		   "\\342\\200\\256cod.exe", "so is one that turns the text");
	escapes_to("\xff\xc3", "\\377\\303", "so is what is no UTF-8");
	terminal_escape("\033\033\033", out, sizeof(out));
	ok(!strcmp(out, "\\033"), "no half of an escape is left at the end");
	terminal_escape("aaaaaa\xc3\xbc", out, sizeof(out));
	ok(!strcmp(out, "aaaaaa"), "nor half of a character");
}

static void cut_to(const char *text, size_t width, const char *end, const char *start)
{
	char out[64];

	strcpy(out, text);
	terminal_keep_end(out, width);
	if (!ok(!strcmp(out, end), "the end of %s in %zu columns", text, width))
		diag("got %s", out);
	strcpy(out, text);
	terminal_keep_start(out, width);
	if (!ok(!strcmp(out, start), "and its start"))
		diag("got %s", out);
}

static void test_cut(void)
{
	bool fine = true;

	cut_to("/usr/lib/libc.so.6", 10,
	       "\xe2\x80\xa6"
	       "libc.so.6",
	       "/usr/lib/\xe2\x80\xa6");
	cut_to("heap", 4, "heap", "heap");
	cut_to("heap", 0, "heap", "heap");
	cut_to("\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97\xe7\xac\xa6", 5,
	       "\xe2\x80\xa6\xe5\xad\x97\xe7\xac\xa6", "\xe4\xb8\xad\xe6\x96\x87\xe2\x80\xa6");
	for (size_t width = 1; width < 12; width++) {
		for (int end = 0; end < 2; end++) {
			char out[] = "abcdefghijk";

			if (end)
				terminal_keep_end(out, width);
			else
				terminal_keep_start(out, width);
			fine &= terminal_width(out) <= width || (width < 3 && strlen(out) < 12);
		}
	}
	ok(fine, "a text of any width fits");
}

static const struct column columns[] = {
	{ "time", 12, true, .goes_at = 3 },
	{ "operation", 18, .goes_at = 0 },
	{ "addresses", 25, false, 2, "address", 12, 1 },
};

/* Length of a line, in columns, on a terminal of @width. */
static size_t line_length(unsigned int width, bool header)
{
	struct terminal terminal = { .is_terminal = true, .width = width };
	char name[] = "/usr/lib/x86_64-linux-gnu/libc.so.6+0x1000", *text = NULL;
	struct layout layout;
	size_t size = 0, length;
	FILE *out = open_memstream(&text, &size);

	layout_fit(&layout, &terminal, columns, 3, 16);
	if (header) {
		layout_print_header(&layout, out, "mapping");
	} else {
		layout_print(&layout, out, 0, STYLE_PLAIN, "0.123456");
		layout_print(&layout, out, 1, STYLE_ERROR, "munmap");
		layout_print(&layout, out, 2, STYLE_PLAIN,
			     layout.is_short[2] ? "000000000000" : "x");
		layout_print_last(&layout, out, STYLE_PLAIN, name);
	}
	fclose(out);
	length = terminal_width(text) - 1;
	free(text);
	return length;
}

static void test_layout(void)
{
	bool fits = true, full = true;

	for (unsigned int width = 20; width < 200; width++) {
		fits &= line_length(width, false) <= width && line_length(width, true) <= width;
		full &= line_length(width, false) + 30 >= (width < 100 ? width : 100);
	}
	ok(fits, "a line fits at every width from 20 on");
	ok(full, "and uses it");
	ok(line_length(1, false) < 24 && line_length(19, false) < 24, "below that it is short");
	ok(line_length(0, false) == 13 + 19 + 26 + 42, "without a width it is whole");
}

int main(void)
{
	setenv("LC_ALL", "C.UTF-8", 1);
	test_escape();
	test_cut();
	test_layout();
	return tap_done();
}
