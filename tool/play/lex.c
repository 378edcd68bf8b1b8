/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Scripts of `mmunotify soft` as tokens, and messages that point into them.
 *
 * I1  A column counts bytes from 1; a tab is one.  The caret stands below it because
 *     the blanks before it repeat the line's tabs.
 *
 * Not here: what the words mean (parse.c).  Tests: tests/system/soft_tool.py.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

static const char *line_of(const struct soft_script *script, unsigned int line, size_t *length)
{
	const char *at = script->source, *end = script->source + script->length;
	const char *stop;

	while (--line && at < end) {
		stop = memchr(at, '\n', (size_t)(end - at));
		at = stop ? stop + 1 : end;
	}
	stop = memchr(at, '\n', (size_t)(end - at));
	*length = (size_t)((stop ? stop : end) - at);
	return at;
}

/* Nothing of a script may steer the terminal. */
static void put_visible(char c)
{
	fputc(c == '\t' || (unsigned char)c >= ' ' ? c : '?', stderr);
}

void soft_complain(const struct soft_script *script, unsigned int line, unsigned int column,
		   const char *word, const char *format, ...)
{
	const char *text;
	size_t length;
	va_list args;

	fflush(stdout);
	fprintf(stderr, "%s:%u:%u: %s: ", script->name, line, column, word);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\n  ", stderr);
	text = line_of(script, line, &length);
	for (size_t i = 0; i < length; i++)
		put_visible(text[i]);
	fputs("\n  ", stderr);
	for (size_t i = 0; i + 1 < column; i++)
		fputc(i < length && text[i] == '\t' ? '\t' : ' ', stderr);
	fputs("^\n", stderr);
}

static int peek(const struct soft_lexer *lexer)
{
	return lexer->at < lexer->script->length ? (unsigned char)lexer->script->source[lexer->at]
						 : EOF;
}

static void skip_blanks(struct soft_lexer *lexer)
{
	int c = peek(lexer);

	while (c == ' ' || c == '\t' || c == '\r' || c == '#') {
		if (c == '#')
			while (peek(lexer) != '\n' && peek(lexer) != EOF)
				lexer->at++;
		else
			lexer->at++;
		c = peek(lexer);
	}
}

static bool in_word(int c)
{
	return c != EOF && c > ' ' && !strchr(";{}\"#=", c);
}

static int keep(struct soft_lexer *lexer, struct soft_token *token, int c)
{
	char *bigger;

	if (token->length + 1 >= lexer->size) {
		bigger = realloc(lexer->buffer, lexer->size * 2 + 64);
		if (!bigger) {
			fputs("mmunotify soft: out of memory\n", stderr);
			return -1;
		}
		lexer->buffer = bigger;
		lexer->size = lexer->size * 2 + 64;
	}
	lexer->buffer[token->length++] = (char)c;
	lexer->buffer[token->length] = 0;
	return 0;
}

static int lex_word(struct soft_lexer *lexer, struct soft_token *token)
{
	token->type = SOFT_WORD;
	while (in_word(peek(lexer)))
		if (keep(lexer, token, lexer->script->source[lexer->at++]))
			return -1;
	return 0;
}

static int hex_digit(int c)
{
	return isxdigit(c) ? isdigit(c) ? c - '0' : tolower(c) - 'a' + 10 : -1;
}

/* After the backslash.  The character, or -1. */
static int lex_escape(struct soft_lexer *lexer)
{
	static const char letters[] = "nt0\\\"", values[] = "\n\t\0\\\"";
	int c = peek(lexer), high, low;
	const char *letter;

	lexer->at++;
	if (c == 'x') {
		high = hex_digit(peek(lexer));
		lexer->at += high >= 0;
		low = hex_digit(peek(lexer));
		lexer->at += low >= 0;
		return high < 0 || low < 0 ? -1 : high * 16 + low;
	}
	letter = c > 0 ? strchr(letters, c) : NULL;
	return letter ? (unsigned char)values[letter - letters] : -1;
}

static int lex_string(struct soft_lexer *lexer, struct soft_token *token)
{
	size_t at;
	int c;

	token->type = SOFT_STRING;
	lexer->at++;
	while ((c = peek(lexer)) != '"') {
		if (c == EOF || c == '\n') {
			soft_complain(lexer->script, token->line, token->column, "error",
				      "this text has no closing quote");
			return -1;
		}
		at = lexer->at++;
		if (c == '\\') {
			c = lex_escape(lexer);
			if (c < 0) {
				soft_complain(lexer->script, lexer->line,
					      (unsigned int)(at - lexer->line_start + 1), "error",
					      "an escape is one of \\n \\t \\0 \\\\ \\\" \\xHH");
				return -1;
			}
		}
		if (keep(lexer, token, c))
			return -1;
	}
	lexer->at++;
	return 0;
}

static int lex_mark(struct soft_lexer *lexer, struct soft_token *token)
{
	int c = peek(lexer);

	lexer->at++;
	switch (c) {
	case ';':
		token->type = SOFT_END;
		return 0;
	case '\n':
		token->type = SOFT_END;
		lexer->line++;
		lexer->line_start = lexer->at;
		return 0;
	case '{':
		token->type = SOFT_OPEN;
		return 0;
	case '}':
		token->type = SOFT_CLOSE;
		return 0;
	case '=':
		token->type = SOFT_EQUALS;
		return 0;
	}
	soft_complain(lexer->script, token->line, token->column, "error",
		      "the byte 0x%02x has no place in a script", c);
	return -1;
}

int soft_lex(struct soft_lexer *lexer, struct soft_token *token)
{
	int ret;

	skip_blanks(lexer);
	*token = (struct soft_token){
		.type = SOFT_BAD,
		.line = lexer->line,
		.column = (unsigned int)(lexer->at - lexer->line_start + 1),
		.start = lexer->at,
	};
	if (peek(lexer) == EOF) {
		token->type = SOFT_EOF;
		ret = 0;
	} else if (peek(lexer) == '"') {
		ret = lex_string(lexer, token);
	} else {
		ret = in_word(peek(lexer)) ? lex_word(lexer, token) : lex_mark(lexer, token);
	}
	token->end = lexer->at;
	token->text = token->length ? lexer->buffer : lexer->empty;
	return ret;
}
