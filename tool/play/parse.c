/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The parser of `mmunotify soft`: a script becomes blocks of statements.
 *
 * Each command's pattern (syntax.c) has one letter per argument:
 *
 *   t f n i d g c k h v  declare a task, file, notifier, interval, device, GRU,
 *                        context, guest, thread, value
 *   T F I G K H          name one;  L: notifier, interval or device;  U: notifier or
 *                        device;  D: device, context or guest;  O: what has counters
 *   @ a sum   " a text or a sum   S a text   B a block   = itself   <word> itself
 *   P A b m r X          a word of a class (soft_words());  C: a counter of argument 1
 *   ? what follows may be missing
 *
 * I1  A script is either understood completely, every name in it declared before its
 *     use, or refused with its first mistake; nothing has run by then.
 *
 * Not here: tokens (lex.c), what commands there are (syntax.c).
 * Tests: tests/system/soft_tool.py.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

struct parser {
	struct soft_script *script;
	struct soft_lexer lexer;
	struct soft_token token;
	unsigned int depth;
};

#define MAX_DEPTH 8

/* All letters of the kinds, at the kind's place. */
static const char kind_letters[] = "tfnidgckhv";

static int complain_memory(void)
{
	fputs("mmunotify soft: out of memory\n", stderr);
	return -1;
}

#define complain(p, column, ...) \
	(soft_complain((p)->script, (p)->token.line, column, "error", __VA_ARGS__), -1)

static int advance(struct parser *p)
{
	return soft_lex(&p->lexer, &p->token);
}

static bool at_word(const struct parser *p, const char *word)
{
	return p->token.type == SOFT_WORD && !strcmp(p->token.text, word);
}

static bool at_end(const struct parser *p)
{
	return p->token.type == SOFT_END || p->token.type == SOFT_EOF ||
	       p->token.type == SOFT_CLOSE;
}

static const char *token_name(const struct parser *p)
{
	switch (p->token.type) {
	case SOFT_OPEN:
		return "{";
	case SOFT_CLOSE:
		return "}";
	case SOFT_EQUALS:
		return "=";
	case SOFT_WORD:
		return p->token.text;
	case SOFT_STRING:
		return "a text";
	default:
		return "the end of the line";
	}
}

static struct soft_symbol *find_symbol(const struct parser *p, const char *name, size_t length)
{
	struct soft_symbol *symbol = p->script->symbols;

	while (symbol && (strncmp(symbol->name, name, length) || symbol->name[length]))
		symbol = symbol->next;
	return symbol;
}

static bool is_name(const char *text)
{
	if (!isalpha((unsigned char)*text) && *text != '_')
		return false;
	while (*text && (isalnum((unsigned char)*text) || *text == '_'))
		text++;
	return !*text;
}

static bool is_reserved(const char *name)
{
	static const char *const words[] = {
		"any", "stats", "maps", "locks", "pagemap", "waiting"
	};
	int outcome;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(name, words[i]))
			return true;
	return soft_outcome_find(name, &outcome);
}

static int declare(struct parser *p, enum soft_kind kind, struct soft_arg *arg)
{
	const char *name = p->token.text;
	struct soft_symbol *symbol;

	if (p->token.type != SOFT_WORD)
		return complain(p, arg->column, "here a name for a %s is expected, not '%s'",
				soft_kind_name(kind), token_name(p));
	if (!is_name(name) || is_reserved(name))
		return complain(p, arg->column,
				"'%s' cannot be a name: letters, digits and _, "
				"and no word of the language",
				name);
	symbol = find_symbol(p, name, p->token.length);
	if (symbol)
		return complain(p, arg->column, "'%s' is a %s since line %u already", name,
				soft_kind_name(symbol->kind), symbol->line);
	symbol = calloc(1, sizeof(*symbol));
	if (!symbol)
		return complain_memory();
	symbol->name = strdup(name);
	if (!symbol->name) {
		free(symbol);
		return complain_memory();
	}
	symbol->kind = kind;
	symbol->line = p->token.line;
	symbol->next = p->script->symbols;
	p->script->symbols = symbol;
	arg->symbol = symbol;
	return 0;
}

/* The kinds that a capital letter admits, as a set. */
static unsigned int kinds_of(char letter)
{
	switch (letter) {
	case 'L':
		return 1u << SOFT_NOTIFIER | 1u << SOFT_INTERVAL | 1u << SOFT_DEVICE;
	case 'U':
		return 1u << SOFT_NOTIFIER | 1u << SOFT_DEVICE;
	case 'D':
		return 1u << SOFT_DEVICE | 1u << SOFT_CONTEXT | 1u << SOFT_KVM;
	case 'O':
		return 1u << SOFT_NOTIFIER | 1u << SOFT_INTERVAL | 1u << SOFT_DEVICE |
		       1u << SOFT_GRU | 1u << SOFT_KVM;
	}
	return 1u << (strchr(kind_letters, tolower((unsigned char)letter)) - kind_letters);
}

static int parse_symbol(struct parser *p, char letter, struct soft_arg *arg)
{
	unsigned int kinds = kinds_of(letter);
	enum soft_kind first = (enum soft_kind)__builtin_ctz(kinds);
	struct soft_symbol *symbol;

	if (p->token.type != SOFT_WORD)
		return complain(p, arg->column, "here the name of a %s is expected, not '%s'",
				soft_kind_name(first), token_name(p));
	symbol = find_symbol(p, p->token.text, p->token.length);
	if (!symbol)
		return complain(p, arg->column, "there is no '%s' yet", p->token.text);
	if (!(kinds & 1u << symbol->kind))
		return complain(p, arg->column, "'%s' is a %s (line %u); here a %s is expected",
				symbol->name, soft_kind_name(symbol->kind), symbol->line,
				soft_kind_name(first));
	arg->symbol = symbol;
	return 0;
}

static int scale(const char *suffix, unsigned int *shift)
{
	static const struct {
		const char *suffix;
		unsigned int shift;
	} scales[] = {
		{ "", 0 }, { "p", 12 }, { "k", 10 }, { "K", 10 }, { "M", 20 }, { "G", 30 },
	};

	for (size_t i = 0; i < sizeof(scales) / sizeof(scales[0]); i++) {
		if (!strcmp(suffix, scales[i].suffix)) {
			*shift = scales[i].shift;
			return 0;
		}
	}
	return -1;
}

static int parse_number(struct parser *p, const char *text, unsigned int column,
			unsigned long *number)
{
	unsigned int shift;
	char *end;

	errno = 0;
	*number = strtoul(text, &end, text[0] == '0' && text[1] == 'x' ? 16 : 10);
	if (end == text || scale(end, &shift))
		return complain(p, column,
				"'%s' is no number: 4096, 0x1000, 4k, 2M, 1G, or 3p "
				"for three pages",
				text);
	if (errno || (*number << shift) >> shift != *number)
		return complain(p, column, "'%s' does not fit into 64 bits", text);
	*number <<= shift;
	return 0;
}

static int parse_term(struct parser *p, const char *text, unsigned int column,
		      struct soft_term *term)
{
	if (isdigit((unsigned char)*text))
		return parse_number(p, text, column, &term->number);
	if (!strcmp(text, "any"))
		return 0;
	term->symbol = find_symbol(p, text, strlen(text));
	if (!term->symbol)
		return complain(p, column,
				is_name(text) ? "there is no '%s' yet"
					      : "'%s' is neither a number nor a name",
				text);
	if (term->symbol->kind != SOFT_VALUE && term->symbol->kind != SOFT_CONTEXT)
		return complain(p, column, "'%s' is a %s (line %u) and has no value", text,
				soft_kind_name(term->symbol->kind), term->symbol->line);
	return 0;
}

/* Splits the token at its signs, in place. */
static int parse_sum(struct parser *p, struct soft_arg *arg)
{
	char *at = p->token.text, *sign, mark;

	if (p->token.type != SOFT_WORD)
		return complain(p, arg->column, "here a number is expected, not '%s'",
				token_name(p));
	for (mark = '+'; mark; at = sign + 1) {
		unsigned int column = arg->column + (unsigned int)(at - p->token.text);
		struct soft_term *term = &arg->term[arg->nr_terms];

		if (arg->nr_terms == SOFT_MAX_TERMS)
			return complain(p, column, "a sum has at most %d terms", SOFT_MAX_TERMS);
		term->minus = mark == '-';
		sign = at + strcspn(at, "+-");
		mark = *sign;
		*sign = 0;
		if (parse_term(p, at, column, term))
			return -1;
		arg->nr_terms++;
	}
	return 0;
}

static int parse_text(struct parser *p, struct soft_arg *arg)
{
	if (p->token.type != SOFT_STRING)
		return complain(p, arg->column,
				"here a text in double quotes is expected, not '%s'",
				token_name(p));
	arg->length = p->token.length;
	arg->bytes = malloc(arg->length + 1);
	if (!arg->bytes)
		return complain_memory();
	memcpy(arg->bytes, p->token.text, arg->length);
	arg->bytes[arg->length] = 0;
	return 0;
}

static int parse_class(struct parser *p, char letter, struct soft_arg *arg)
{
	if (p->token.type == SOFT_WORD && soft_word_find(letter, p->token.text, &arg->number))
		return 0;
	return complain(p, arg->column, "'%s' is none of: %s", token_name(p), soft_words(letter));
}

static int parse_counter(struct parser *p, const struct soft_symbol *of, struct soft_arg *arg)
{
	if (p->token.type == SOFT_WORD && soft_counter_find(of->kind, p->token.text, &arg->number))
		return 0;
	return complain(p, arg->column, "a %s has no counter '%s'", soft_kind_name(of->kind),
			token_name(p));
}

static struct soft_block *parse_block(struct parser *p, bool outermost);

static int parse_braces(struct parser *p, struct soft_arg *arg)
{
	if (p->token.type != SOFT_OPEN)
		return complain(p, arg->column, "here a block in braces is expected, not '%s'",
				token_name(p));
	if (p->depth == MAX_DEPTH)
		return complain(p, arg->column, "blocks are nested deeper than %d", MAX_DEPTH);
	if (advance(p))
		return -1;
	p->depth++;
	arg->block = parse_block(p, false);
	p->depth--;
	return arg->block ? 0 : -1;
}

/* One argument by its letter; the token after it is read. */
static int parse_arg(struct parser *p, char letter, const struct soft_statement *statement,
		     struct soft_arg *arg)
{
	const char *kind = strchr(kind_letters, letter);
	int ret;

	arg->given = true;
	arg->column = p->token.column;
	if (kind)
		ret = declare(p, (enum soft_kind)(kind - kind_letters), arg);
	else if (letter == '@' || (letter == '"' && p->token.type != SOFT_STRING))
		ret = parse_sum(p, arg);
	else if (letter == '"' || letter == 'S')
		ret = parse_text(p, arg);
	else if (letter == 'B')
		ret = parse_braces(p, arg);
	else if (letter == 'C')
		ret = parse_counter(p, statement->arg[0].symbol, arg);
	else if (strchr("PAbmrX", letter))
		ret = parse_class(p, letter, arg);
	else
		ret = parse_symbol(p, letter, arg);
	return ret ? ret : advance(p);
}

static int keyword_index(const struct soft_syntax *syntax, const char *word)
{
	for (int i = 0; syntax->keywords && syntax->keywords[i].word; i++)
		if (!strcmp(syntax->keywords[i].word, word))
			return i;
	return -1;
}

static int parse_keywords(struct parser *p, struct soft_statement *statement)
{
	const struct soft_syntax *syntax = statement->syntax;
	struct soft_arg *arg;
	int i;

	while (!at_end(p)) {
		i = p->token.type == SOFT_WORD ? keyword_index(syntax, p->token.text) : -1;
		if (i < 0)
			return complain(p, p->token.column, "'%s' has no place here: %s %s",
					token_name(p), syntax->name, syntax->usage);
		arg = &statement->keyword[i];
		if (arg->given)
			return complain(p, p->token.column, "'%s' is said twice", p->token.text);
		arg->given = true;
		arg->column = p->token.column;
		if (advance(p))
			return -1;
		if (syntax->keywords[i].pattern &&
		    parse_arg(p, syntax->keywords[i].pattern, statement, arg))
			return -1;
	}
	return 0;
}

/* "<word>" or "=" of a pattern.  Returns where the pattern goes on. */
static const char *parse_literal(struct parser *p, const struct soft_syntax *syntax,
				 const char *pattern)
{
	const char *end = *pattern == '<' ? strchr(pattern, '>') : pattern;
	size_t length = *pattern == '<' ? (size_t)(end - pattern - 1) : 1;
	const char *word = *pattern == '<' ? pattern + 1 : pattern;
	const char *is = token_name(p);

	if (p->token.type == SOFT_STRING || strlen(is) != length || strncmp(is, word, length)) {
		(void)complain(p, p->token.column, "here '%.*s' is expected, not '%s': %s %s",
			       (int)length, word, is, syntax->name, syntax->usage);
		return NULL;
	}
	return advance(p) ? NULL : end + 1;
}

static bool may_stop(const struct parser *p, const struct soft_statement *statement)
{
	return at_end(p) ||
	       (p->token.type == SOFT_WORD && keyword_index(statement->syntax, p->token.text) >= 0);
}

static int parse_pattern(struct parser *p, struct soft_statement *statement)
{
	const struct soft_syntax *syntax = statement->syntax;
	const char *at = syntax->pattern;
	struct soft_arg *arg = statement->arg;

	while (*at) {
		if (*at == '?') {
			if (may_stop(p, statement))
				break;
			at++;
		} else if (*at == '<' || *at == '=') {
			at = parse_literal(p, syntax, at);
			if (!at)
				return -1;
		} else if (at_end(p)) {
			return complain(p, p->token.column, "something is missing here: %s %s",
					syntax->name, syntax->usage);
		} else if (parse_arg(p, *at++, statement, arg++)) {
			return -1;
		}
	}
	return parse_keywords(p, statement);
}

static const struct soft_syntax *find_command(const char *first, const char *second)
{
	size_t length = strlen(first);

	for (const struct soft_syntax *syntax = soft_commands; syntax->name; syntax++) {
		if (strncmp(syntax->name, first, length))
			continue;
		if (second ? syntax->name[length] == ' ' &&
				     !strcmp(syntax->name + length + 1, second)
			   : !syntax->name[length])
			return syntax;
	}
	return NULL;
}

/* After "expect": an outcome and a statement, or a question of its own. */
static int parse_expect(struct parser *p, struct soft_statement *statement)
{
	if (p->token.type != SOFT_WORD)
		return complain(p, p->token.column,
				"here an outcome (SIGSEGV, ENOMEM, again...) "
				"or what is to be looked at is expected, not '%s'",
				token_name(p));
	if (soft_outcome_find(p->token.text, &statement->expected)) {
		statement->expects = true;
		return advance(p);
	}
	statement->syntax = find_command("expect", p->token.text);
	if (statement->syntax)
		return advance(p);
	statement->syntax = find_command("expect", NULL);
	return 0;
}

static int parse_command(struct parser *p, struct soft_statement *statement)
{
	bool expect = at_word(p, "expect");

	if (expect && (advance(p) || parse_expect(p, statement)))
		return -1;
	if (!statement->syntax) {
		if (p->token.type != SOFT_WORD)
			return complain(p, p->token.column, "here a command is expected, not '%s'",
					token_name(p));
		statement->syntax = find_command(p->token.text, NULL);
		if (!statement->syntax || at_word(p, "expect"))
			return complain(p, p->token.column, "there is no command '%s'",
					p->token.text);
		if (advance(p))
			return -1;
	}
	return parse_pattern(p, statement);
}

/* What a command with a block begins with is enough to name it. */
static int keep_text(const struct parser *p, size_t start, struct soft_statement *statement)
{
	const char *source = p->script->source;
	size_t end = start;

	while (end < p->token.start && source[end] != '\n')
		end++;
	while (end > start && isspace((unsigned char)source[end - 1]))
		end--;
	statement->text = strndup(source + start, end - start);
	return statement->text ? 0 : complain_memory();
}

/* What no pattern can say. */
static int check_statement(struct parser *p, const struct soft_statement *statement, bool first)
{
	const char *name = statement->syntax->name, *what = NULL;
	bool words = false;

	for (int i = 0; i < SOFT_MAX_KEYWORDS; i++)
		words |= statement->keyword[i].given;
	if (!strcmp(name, "machine") && !first)
		what = "machine must be the first command";
	else if (!strcmp(name, "expect pagemap") && !words)
		what = "what is expected of the entry is missing";
	if (!what)
		return 0;
	soft_complain(p->script, statement->line, statement->column, "error", "%s", what);
	return -1;
}

static int parse_statement(struct parser *p, struct soft_block *block,
			   struct soft_statement ***tail)
{
	struct soft_statement *statement = calloc(1, sizeof(*statement));
	bool first = p->script->main == block && !block->first;
	size_t start = p->token.start;

	if (!statement)
		return complain_memory();
	**tail = statement;
	*tail = &statement->next;
	statement->line = p->token.line;
	statement->column = p->token.column;
	if (parse_command(p, statement) || keep_text(p, start, statement))
		return -1;
	return check_statement(p, statement, first);
}

static struct soft_block *new_block(struct parser *p)
{
	struct soft_block *block = calloc(1, sizeof(*block));

	if (!block) {
		complain_memory();
		return NULL;
	}
	block->next = p->script->blocks;
	p->script->blocks = block;
	return block;
}

/* The token is left on the closing brace, or on the end of the script. */
static struct soft_block *parse_block(struct parser *p, bool outermost)
{
	struct soft_block *block = new_block(p);
	struct soft_statement **tail;
	unsigned int line = p->token.line;

	if (!block)
		return NULL;
	if (outermost)
		p->script->main = block;
	tail = &block->first;
	while (p->token.type != SOFT_CLOSE && p->token.type != SOFT_EOF) {
		if (p->token.type == SOFT_END ? advance(p) : parse_statement(p, block, &tail))
			return NULL;
	}
	if (outermost && p->token.type == SOFT_CLOSE) {
		(void)complain(p, p->token.column, "this brace closes nothing");
		return NULL;
	}
	if (!outermost && p->token.type == SOFT_EOF) {
		(void)complain(p, p->token.column, "the block of line %u is not closed", line);
		return NULL;
	}
	return block;
}

int soft_script_parse(struct soft_script *script, const char *name, char *source, size_t length)
{
	struct parser p = { .script = script };
	int ret;

	*script = (struct soft_script){ .name = name, .source = source, .length = length };
	p.lexer = (struct soft_lexer){ .script = script, .line = 1 };
	ret = advance(&p);
	if (!ret && !parse_block(&p, true))
		ret = -1;
	free(p.lexer.buffer);
	return ret;
}

static void free_statement(struct soft_statement *statement)
{
	for (int i = 0; i < SOFT_MAX_ARGS; i++)
		free(statement->arg[i].bytes);
	for (int i = 0; i < SOFT_MAX_KEYWORDS; i++)
		free(statement->keyword[i].bytes);
	free(statement->text);
	free(statement);
}

static void free_block(struct soft_block *block)
{
	struct soft_statement *statement;

	while ((statement = block->first)) {
		block->first = statement->next;
		free_statement(statement);
	}
	free(block);
}

void soft_script_free(struct soft_script *script)
{
	struct soft_symbol *symbol;
	struct soft_block *block;

	while ((block = script->blocks)) {
		script->blocks = block->next;
		free_block(block);
	}
	while ((symbol = script->symbols)) {
		script->symbols = symbol->next;
		free(symbol->name);
		free(symbol);
	}
	free(script->source);
}
