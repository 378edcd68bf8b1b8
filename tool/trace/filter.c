/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * --filter: a list of terms "key relation value", all of which must hold.
 *
 * A term is parsed into words (a bit set), an interval of numbers or a pattern,
 * so that matching an event costs a few comparisons.  Errors name the column
 * and what would be allowed there.  Tests: tests/unit/tool/filter.c.
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/op.h>

#include "filter.h"

static const char *outcome_name(unsigned int outcome)
{
	static const char *const names[] = { "ok", "unchanged", "error" };

	return names[outcome];
}

/* What a key takes: words by number, or a number, an interval, a pattern. */
struct key {
	const char *name;
	enum { WORDS, NUMBER, INTERVAL, PATTERN } takes;
	unsigned int nr_words;
	const char *(*word)(unsigned int);
};

static const struct key keys[NR_FILTER_KEYS] = {
	[FILTER_OP] = { "op", WORDS, MMUN_NR_OPS, mmun_op_name },
	[FILTER_CLASS] = { "class", WORDS, MMUN_NR_EVENTS, record_event_name },
	[FILTER_RANGE] = { "range", WORDS, NR_MAPPING_KINDS, record_kind_name },
	[FILTER_NAME] = { "name", PATTERN, 0, NULL },
	[FILTER_SIZE] = { "size", NUMBER, 0, NULL },
	[FILTER_ADDR] = { "addr", INTERVAL, 0, NULL },
	[FILTER_PID] = { "pid", NUMBER, 0, NULL },
	[FILTER_TID] = { "tid", NUMBER, 0, NULL },
	[FILTER_OUTCOME] = { "outcome", WORDS, 3, outcome_name },
};

static const struct {
	const char *text;
	enum filter_relation relation;
} relations[] = {
	/* The longer ones first. */
	{ "!=", FILTER_NE }, { "<=", FILTER_LE }, { ">=", FILTER_GE },
	{ "=", FILTER_EQ },  { "<", FILTER_LT },  { ">", FILTER_GT },
};

struct parser {
	const char *text, *at;
	struct filter_error *error;
};

static int __attribute__((format(printf, 3, 4)))
fail(struct parser *parser, const char *at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(parser->error->text, sizeof(parser->error->text), format, args);
	va_end(args);
	parser->error->column = (size_t)(at - parser->text) + 1;
	return -EINVAL;
}

static void list_words(const struct key *key, char *out, size_t size)
{
	size_t used = 0;

	*out = '\0';
	for (unsigned int i = 0; i < key->nr_words && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "",
					 key->word(i));
}

static int parse_key(struct parser *parser, struct filter_term *term)
{
	size_t length = strcspn(parser->at, "=<>!,|");

	for (unsigned int i = 0; i < NR_FILTER_KEYS; i++) {
		if (strlen(keys[i].name) == length && !strncmp(keys[i].name, parser->at, length)) {
			term->key = i;
			parser->at += length;
			return 0;
		}
	}
	return fail(parser, parser->at,
		    "'%.*s' is none of op, class, range, name, size, addr, "
		    "pid, tid, outcome",
		    (int)length, parser->at);
}

static int parse_relation(struct parser *parser, struct filter_term *term)
{
	bool ordered = keys[term->key].takes == NUMBER;

	for (size_t i = 0; i < sizeof(relations) / sizeof(relations[0]); i++) {
		size_t length = strlen(relations[i].text);

		if (strncmp(parser->at, relations[i].text, length))
			continue;
		if (!ordered && relations[i].relation > FILTER_NE)
			break;
		term->relation = relations[i].relation;
		parser->at += length;
		return 0;
	}
	return fail(parser, parser->at, "after '%s' comes %s", keys[term->key].name,
		    ordered ? "one of = != < <= > >=" : "= or !=");
}

static int parse_word(struct parser *parser, struct filter_term *term, size_t length)
{
	const struct key *key = &keys[term->key];
	char allowed[400];

	for (unsigned int i = 0; i < key->nr_words; i++) {
		const char *word = key->word(i);

		if (strlen(word) == length && !strncmp(word, parser->at, length)) {
			term->words |= 1ull << i;
			parser->at += length;
			return 0;
		}
	}
	list_words(key, allowed, sizeof(allowed));
	return fail(parser, parser->at, "there is no %s '%.*s', only %s", key->name, (int)length,
		    parser->at, allowed);
}

static int parse_words(struct parser *parser, struct filter_term *term)
{
	for (;;) {
		if (parse_word(parser, term, strcspn(parser->at, ",|")))
			return -EINVAL;
		if (*parser->at != '|')
			return 0;
		parser->at++;
	}
}

int filter_parse_size(const char *text, size_t length, uint64_t *out)
{
	static const char units[] = "KMGT";
	const char *unit;
	uint64_t value;
	char *end;

	if (!length || *text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || end > text + length)
		return -EINVAL;
	if (end < text + length) {
		unit = memchr(units, *end & ~0x20, sizeof(units) - 1);
		if (!unit || end + 1 != text + length)
			return -EINVAL;
		for (; unit >= units; unit--) {
			if (value > UINT64_MAX / 1024)
				return -EINVAL;
			value *= 1024;
		}
	}
	*out = value;
	return 0;
}

static int parse_number(struct parser *parser, struct filter_term *term)
{
	size_t length = strcspn(parser->at, ",");

	if (filter_parse_size(parser->at, length, &term->low))
		return fail(parser, parser->at, "'%.*s' is not a number such as 4096, 64K or 1M",
			    (int)length, parser->at);
	parser->at += length;
	return 0;
}

static int parse_address(struct parser *parser, uint64_t *out, size_t length)
{
	char *end;

	errno = 0;
	*out = strtoull(parser->at, &end, 16);
	if (errno || !length || end != parser->at + length)
		return fail(parser, parser->at, "'%.*s' is not a hexadecimal address", (int)length,
			    parser->at);
	parser->at += length;
	return 0;
}

/* "LOW-HIGH", or one address. */
static int parse_interval(struct parser *parser, struct filter_term *term)
{
	const char *start = parser->at;

	if (parse_address(parser, &term->low, strcspn(parser->at, ",-")))
		return -EINVAL;
	term->high = term->low + 1;
	if (*parser->at != '-')
		return 0;
	parser->at++;
	if (parse_address(parser, &term->high, strcspn(parser->at, ",")))
		return -EINVAL;
	if (term->high <= term->low)
		return fail(parser, start, "the range's end is not above its start");
	return 0;
}

static int parse_pattern(struct parser *parser, struct filter_term *term)
{
	size_t length = strcspn(parser->at, ",");

	if (!length)
		return fail(parser, parser->at, "a pattern such as *libc* is missing");
	term->pattern = strndup(parser->at, length);
	if (!term->pattern)
		return fail(parser, parser->at, "there is not enough memory");
	parser->at += length;
	return 0;
}

static int parse_value(struct parser *parser, struct filter_term *term)
{
	switch (keys[term->key].takes) {
	case WORDS:
		return parse_words(parser, term);
	case NUMBER:
		return parse_number(parser, term);
	case INTERVAL:
		return parse_interval(parser, term);
	case PATTERN:
		return parse_pattern(parser, term);
	}
	return -EINVAL;
}

static int parse_term(struct parser *parser, struct filter *filter)
{
	struct filter_term term = { 0 };

	if (filter->nr == FILTER_MAX_TERMS)
		return fail(parser, parser->at, "there are more than %d terms", FILTER_MAX_TERMS);
	if (parse_key(parser, &term) || parse_relation(parser, &term) || parse_value(parser, &term))
		return -EINVAL;
	filter->terms[filter->nr++] = term;
	return 0;
}

static void drop_terms(struct filter *filter, unsigned int keep)
{
	while (filter->nr > keep)
		free(filter->terms[--filter->nr].pattern);
}

/* System calls whose operations have other names. */
static const struct {
	const char *call, *operation;
} calls[] = {
	{ "mmap", "mmap-fixed" },
	{ "madvise", "madvise-*" },
	{ "process_madvise", "madvise-*" },
	{ "ftruncate", "truncate" },
	{ "clone", "fork" },
	{ "clone3", "fork" },
	{ "vfork", "fork" },
	{ "pkey_mprotect", "mprotect" },
	{ "exit_group", "exit" },
};

/* The operations that the system call @name performs; 0: none that we know. */
static uint64_t operations_of(const char *name, size_t length)
{
	const char *pattern = NULL;
	uint64_t words = 0;
	char exact[64];

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strlen(calls[i].call) == length && !strncmp(calls[i].call, name, length))
			pattern = calls[i].operation;
	if (!pattern && length < sizeof(exact)) {
		snprintf(exact, sizeof(exact), "%.*s", (int)length, name);
		pattern = exact;
	}
	for (unsigned int i = 1; pattern && i < MMUN_NR_OPS; i++)
		if (!fnmatch(pattern, mmun_op_name(i), 0))
			words |= 1ull << i;
	return words;
}

/* As strace has it: "trace=munmap,brk", "munmap,brk", "!munmap". */
static bool is_of_strace(const char *text)
{
	static const char word[] = "abcdefghijklmnopqrstuvwxyz0123456789_-%";
	size_t length;

	if (!strncmp(text, "trace=", 6) || !strncmp(text, "t=", 2))
		return true;
	text += *text == '!';
	length = strspn(text, word);
	for (unsigned int i = 0; i < NR_FILTER_KEYS; i++)
		if (strlen(keys[i].name) == length && !strncmp(keys[i].name, text, length))
			return false;
	while (text[length] == ',' && text[length + 1])
		length += 1 + strspn(text + length + 1, word);
	return length && !text[length];
}

static int parse_calls(struct parser *parser, struct filter *filter)
{
	struct filter_term term = { .key = FILTER_OP, .relation = FILTER_EQ };
	const char *equals = strchr(parser->text, '=');
	size_t length;

	if (equals)
		parser->at = equals + 1;
	if (*parser->at == '!') {
		term.relation = FILTER_NE;
		parser->at++;
	}
	for (;; parser->at += length + 1) {
		uint64_t words;

		length = strcspn(parser->at, ",");
		if ((length == 3 && !strncmp(parser->at, "all", 3)) ||
		    (length == 7 && !strncmp(parser->at, "%memory", 7)) ||
		    (length == 6 && !strncmp(parser->at, "memory", 6)))
			words = ~0ull;
		else
			words = operations_of(parser->at, length);
		if (!words)
			return fail(parser, parser->at,
				    "'%.*s' is no operation on memory and no system call that "
				    "performs one",
				    (int)length, parser->at);
		term.words |= words;
		if (!parser->at[length])
			break;
	}
	if (filter->nr == FILTER_MAX_TERMS)
		return fail(parser, parser->text, "there are more than %d terms", FILTER_MAX_TERMS);
	filter->terms[filter->nr++] = term;
	return 0;
}

int filter_parse(struct filter *filter, const char *text, struct filter_error *error)
{
	struct parser parser = { .text = text, .at = text, .error = error };
	unsigned int before = filter->nr;

	if (is_of_strace(text))
		return parse_calls(&parser, filter);
	for (;;) {
		if (parse_term(&parser, filter))
			break;
		if (!*parser.at)
			return 0;
		if (*parser.at != ',') {
			fail(&parser, parser.at, "between terms comes a comma");
			break;
		}
		parser.at++;
	}
	drop_terms(filter, before);
	return -EINVAL;
}

void filter_clear(struct filter *filter)
{
	drop_terms(filter, 0);
}

static bool compare(uint64_t value, enum filter_relation relation, uint64_t with)
{
	switch (relation) {
	case FILTER_EQ:
		return value == with;
	case FILTER_NE:
		return value != with;
	case FILTER_LT:
		return value < with;
	case FILTER_LE:
		return value <= with;
	case FILTER_GT:
		return value > with;
	case FILTER_GE:
		return value >= with;
	}
	return false;
}

static bool has_word(const struct filter_term *term, unsigned int word)
{
	return word < 64 && term->words >> word & 1;
}

static unsigned int outcome_of(const struct record *record)
{
	if ((record->flags & RING_HAS_RESULT) && record->event.result < 0)
		return 2;
	return record->flags & RING_UNCHANGED ? 1 : 0;
}

/* Ignoring "!=" for keys without order. */
static bool term_holds(const struct filter_term *term, const struct record *record)
{
	switch (term->key) {
	case FILTER_OP:
		return has_word(term, record->event.op);
	case FILTER_CLASS:
		return has_word(term, record->event.event);
	case FILTER_RANGE:
		return has_word(term, record->event.kind);
	case FILTER_OUTCOME:
		return has_word(term, outcome_of(record));
	case FILTER_NAME:
		return record->event.name && !fnmatch(term->pattern, record->event.name, 0);
	case FILTER_ADDR:
		return record->event.start < term->high && term->low < record->event.end;
	case FILTER_SIZE:
		return compare(record->event.end - record->event.start, term->relation, term->low);
	case FILTER_PID:
		return compare(record->pid, term->relation, term->low);
	case FILTER_TID:
		return compare(record->tid, term->relation, term->low);
	case NR_FILTER_KEYS:
		break;
	}
	return false;
}

bool filter_match(const struct filter *filter, const struct record *record)
{
	if (record->type != RECORD_EVENT)
		return true;
	for (unsigned int i = 0; i < filter->nr; i++) {
		const struct filter_term *term = &filter->terms[i];
		bool negate = term->relation == FILTER_NE && keys[term->key].takes != NUMBER;

		if (term_holds(term, record) == negate)
			return false;
	}
	return true;
}
