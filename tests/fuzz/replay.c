/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A fuzz target without a fuzzer: each input of the corpora named on the command line
 * once, in their order (corpus.py has the format).  A failure aborts, as the fuzzer wants
 * it; the test's last line then says which input it was.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "tap.h"

#define LONGEST_INPUT 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned char input[LONGEST_INPUT];
static size_t input_size;

static void append(const char *text, size_t size)
{
	if (size > sizeof(input) - input_size)
		bail_out("an input is too long");
	memcpy(input + input_size, text, size);
	input_size += size;
}

static void append_digits(const char *digits)
{
	for (; *digits; digits++) {
		char pair[3] = { digits[0], digits[1], '\0' }, byte;

		if (isspace((unsigned char)*digits))
			continue;
		if (!isxdigit((unsigned char)pair[0]) || !isxdigit((unsigned char)pair[1]))
			bail_out("a line of a corpus has no pairs of digits");
		byte = (char)strtoul(pair, NULL, 16);
		append(&byte, 1);
		digits++;
	}
}

/* From memory of its size, so that a sanitizer sees a read behind its end. */
static void play(const char *name)
{
	uint8_t *data = malloc(input_size + !input_size);

	if (!data)
		bail_out("no memory for an input");
	memcpy(data, input, input_size);
	diag("%s", name);
	LLVMFuzzerTestOneInput(data, input_size);
	free(data);
	input_size = 0;
}

/* Return: how many inputs there were. */
static int replay(FILE *corpus)
{
	char *line = NULL, *name = NULL;
	size_t room = 0;
	ssize_t length;
	int inputs = 0;

	while ((length = getline(&line, &room, corpus)) > 0) {
		if (strchr("#\n", line[0]))
			continue;
		if (line[length - 1] != '\n' || (line[0] != '=' && !name))
			bail_out("a line of a corpus is cut off, or belongs to no input");
		switch (line[0]) {
		case '=':
			if (name)
				play(name);
			free(name);
			name = strndup(line + 2, (size_t)length - 3);
			inputs++;
			break;
		case '|':
		case '>':
			append(line + 1, (size_t)length - 1 - (line[0] == '>'));
			break;
		case ':':
			append_digits(line + 1);
			break;
		default:
			bail_out("a line is none of a corpus");
		}
	}
	if (name)
		play(name);
	free(name);
	free(line);
	return inputs;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		FILE *corpus = fopen(argv[i], "r");
		int inputs;

		if (!corpus)
			bail_out("a corpus cannot be read");
		inputs = replay(corpus);
		fclose(corpus);
		ok(inputs > 0, "the %d inputs of the corpus pass", inputs);
	}
	return tap_done();
}
