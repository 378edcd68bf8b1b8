/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The language of `mmunotify soft`: a script as its parser leaves it. */
#ifndef MMUN_TOOL_PLAY_SCRIPT_H
#define MMUN_TOOL_PLAY_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

/* What a name of the script means. */
enum soft_kind {
	SOFT_TASK,
	SOFT_FILE,
	SOFT_NOTIFIER,
	SOFT_INTERVAL,
	SOFT_DEVICE,
	SOFT_GRU,
	SOFT_CONTEXT,
	SOFT_KVM,
	SOFT_THREAD,
	SOFT_VALUE,
	SOFT_NR_KINDS
};

struct soft_symbol {
	struct soft_symbol *next;
	enum soft_kind kind;
	char *name;
	/* Where it is declared. */
	unsigned int line;
	/* What it is in the run: NULL until it is made.  Read and written with
	 * the accessors of world.h. */
	void *object;
	unsigned long value;
	bool has_value;
};

#define SOFT_MAX_TERMS 6

/* A sum of numbers and names: buf+2p. */
struct soft_term {
	bool minus;
	const struct soft_symbol *symbol;
	unsigned long number;
};

/* One argument of a command; which members count says the command's pattern. */
struct soft_arg {
	bool given;
	unsigned int column;
	struct soft_symbol *symbol;
	struct soft_term term[SOFT_MAX_TERMS];
	unsigned int nr_terms;
	/* A word that stands for a number (rights, advice, counter, point). */
	unsigned long number;
	/* The bytes of a text, owned. */
	char *bytes;
	size_t length;
	struct soft_block *block;
};

#define SOFT_MAX_ARGS     5
#define SOFT_MAX_KEYWORDS 20

struct soft_call;

/* An optional part of a command: a word, and the pattern letter of what follows it. */
struct soft_keyword {
	const char *word;
	char pattern;
};

struct soft_syntax {
	const char *name;
	/* Letters of parse.c, one per argument. */
	const char *pattern;
	const struct soft_keyword *keywords;
	/* Returns an outcome. */
	int (*run)(struct soft_call *call);
	/* The arguments as a person writes them. */
	const char *usage;
};

struct soft_statement {
	struct soft_statement *next;
	const struct soft_syntax *syntax;
	unsigned int line, column;
	/* The statement as it was written, owned. */
	char *text;
	/* Of SOFT_OUTCOME_*. */
	int expected;
	bool expects;
	struct soft_arg arg[SOFT_MAX_ARGS];
	struct soft_arg keyword[SOFT_MAX_KEYWORDS];
};

struct soft_block {
	struct soft_statement *first;
	struct soft_block *next;
};

struct soft_script {
	const char *name;
	char *source;
	size_t length;
	struct soft_symbol *symbols;
	struct soft_block *blocks;
	struct soft_block *main;
};

/* How a command ends: 0, an errno, or one of these. */
enum {
	SOFT_OUTCOME_SIGNAL = 1 << 12,
	SOFT_OUTCOME_VIOLATION = 2 << 12,
	SOFT_OUTCOME_RETRY = 3 << 12,
	/* An expectation of the command itself did not hold; it has been reported. */
	SOFT_OUTCOME_FAILED = 4 << 12,
};

const char *soft_outcome_name(int outcome);
bool soft_outcome_find(const char *name, int *outcome);

/* The commands; NULL name ends them. */
extern const struct soft_syntax soft_commands[];
/* The value of a word of the class that @pattern stands for. */
bool soft_word_find(char pattern, const char *word, unsigned long *value);
/* Every word of that class, for a message; a static string. */
const char *soft_words(char pattern);
bool soft_counter_find(enum soft_kind kind, const char *name, unsigned long *index);
const char *soft_kind_name(enum soft_kind kind);

/* Takes @source over.  0, or -1 after a message on stderr; free it in either case. */
int soft_script_parse(struct soft_script *script, const char *name, char *source, size_t length);
void soft_script_free(struct soft_script *script);

/* "file:line:column: WORD: ..." with the line and a caret below it, on stderr. */
void soft_complain(const struct soft_script *script, unsigned int line, unsigned int column,
		   const char *word, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Tokens. */
enum soft_token_type {
	SOFT_WORD,
	SOFT_STRING,
	SOFT_OPEN,
	SOFT_CLOSE,
	SOFT_EQUALS,
	/* End of line, or a semicolon. */
	SOFT_END,
	SOFT_EOF,
	SOFT_BAD,
};

struct soft_token {
	enum soft_token_type type;
	unsigned int line, column;
	/* Offsets in the source. */
	size_t start, end;
	/* SOFT_WORD: its text.  SOFT_STRING: its bytes.  Valid until the next token. */
	char *text;
	size_t length;
};

struct soft_lexer {
	const struct soft_script *script;
	size_t at;
	unsigned int line;
	size_t line_start;
	char *buffer;
	size_t size;
	char empty[1];
};

/* 0, or -1 after a message. */
int soft_lex(struct soft_lexer *lexer, struct soft_token *token);

#endif
