/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Suppressions, in the form that users of sanitizers know: one "kind:pattern" per line, "#"
 * begins a comment.  A pattern is looked for anywhere in the names of functions, source files
 * and modules of a stack; "*" stands for anything, "^" and "$" for the ends.
 * Tests: tests/system/audit.py.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../command.h"
#include "suppressions.h"

/* Does the pattern, up to its end, match here?  @anchored: up to the end of the text. */
static bool matches_here(const char *pattern, const char *text)
{
	const char *star = NULL, *again = text;

	for (;;) {
		if (*pattern == '*') {
			star = ++pattern;
			again = text;
		} else if (!*pattern) {
			return true;
		} else if (*pattern == '$' && !pattern[1] && !*text) {
			return true;
		} else if (*text && *pattern == *text) {
			pattern++;
			text++;
		} else if (star && *again) {
			pattern = star;
			text = ++again;
		} else {
			return false;
		}
	}
}

static bool matches(const char *pattern, const char *text)
{
	if (!text)
		return false;
	if (*pattern == '^')
		return matches_here(pattern + 1, text);
	do {
		if (matches_here(pattern, text))
			return true;
	} while (*text++);
	return false;
}

static bool matches_stack(const char *pattern, struct symbolizer *symbolizer,
			  const struct stack *stack)
{
	struct symbol symbol;

	for (unsigned int i = 0; i < stack->nr; i++) {
		symbolizer_find(symbolizer, &stack->frames[i], &symbol);
		if (matches(pattern, symbol.function) || matches(pattern, symbol.file) ||
		    matches(pattern, stack->frames[i].module))
			return true;
	}
	return false;
}

const struct suppression *suppressions_match(struct suppression *list,
					     struct symbolizer *symbolizer,
					     const struct finding *finding)
{
	for (; list; list = list->next) {
		if (list->kind >= 0 && (unsigned int)list->kind != finding->kind)
			continue;
		if ((list->made && matches_stack(list->pattern, symbolizer, &finding->made)) ||
		    (list->changed &&
		     matches_stack(list->pattern, symbolizer, &finding->changed))) {
			list->matched += finding->nr;
			return list;
		}
	}
	return NULL;
}

/* "stale" is any kind by any of its stacks. */
static bool take_kind(struct suppression *suppression, const char *word)
{
	suppression->kind = -1;
	suppression->made = strcmp(word, "changed") != 0;
	suppression->changed = strcmp(word, "made") != 0;
	if (!strcmp(word, "stale") || !strcmp(word, "made") || !strcmp(word, "changed"))
		return true;
	for (int kind = 0; kind < AUDIT_NR_KINDS; kind++)
		if (!strcmp(word, audit_kind_name((unsigned int)kind))) {
			suppression->kind = kind;
			return true;
		}
	return false;
}

static int wrong(const char *path, unsigned int line, const char *what)
{
	mmunotify_error("audit", "%s, line %u: %s", path, line, what);
	return MMUNOTIFY_EXIT_USAGE;
}

static int take_line(struct suppression **list, const char *path, unsigned int number, char *line)
{
	struct suppression *suppression;
	char *colon;

	line += strspn(line, " \t");
	line[strcspn(line, "\r\n")] = '\0';
	for (size_t length = strlen(line); length && strchr(" \t", line[length - 1]); length--)
		line[length - 1] = '\0';
	if (!*line || *line == '#')
		return 0;
	colon = strchr(line, ':');
	if (!colon || !colon[1])
		return wrong(path, number, "it is not of the form kind:pattern");
	suppression = calloc(1, sizeof(*suppression));
	if (!suppression || !(suppression->text = strdup(line))) {
		free(suppression);
		mmunotify_error("audit", "there is not enough memory");
		return MMUNOTIFY_EXIT_TOOL;
	}
	*colon = '\0';
	suppression->pattern = suppression->text + (colon - line) + 1;
	suppression->file = path;
	suppression->line = number;
	if (!take_kind(suppression, line)) {
		free(suppression->text);
		free(suppression);
		return wrong(path, number,
			     "the kind is stale, made, changed, io_uring, verbs, cuda, vmsplice "
			     "or mlock");
	}
	while (*list)
		list = &(*list)->next;
	*list = suppression;
	return 0;
}

int suppressions_read(struct suppression **list, const char *path)
{
	unsigned int number = 0;
	char *line = NULL;
	size_t size = 0;
	int status = 0;
	FILE *in = fopen(path, "re");

	if (in)
		while (!status && getline(&line, &size, in) >= 0) {
			status = take_line(list, path, ++number, line);
			/* From its end on, for the next line. */
			while (*list)
				list = &(*list)->next;
		}
	if (!in || ferror(in)) {
		mmunotify_error("audit", "%s: cannot be read: %s", path, strerror(errno));
		status = MMUNOTIFY_EXIT_USAGE;
	}
	free(line);
	if (in)
		fclose(in);
	return status;
}

void suppressions_free(struct suppression **list)
{
	struct suppression *next;

	for (; *list; *list = next) {
		next = (*list)->next;
		free((*list)->text);
		free(*list);
	}
}
