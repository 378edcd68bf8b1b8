/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bytes as a script of `mmunotify soft`, parsed and freed again; never run.
 *
 * I1  A script that is refused has said so, with a place inside the script.
 * I2  Nothing is left behind, refused or not (the fuzzer's leak checker says so).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "script.h"
#include "world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void must_failed(const char *what, const char *file, int line)
{
	fprintf(stdout, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

/* What the tool has for the command line, which is not used here. */
void mmunotify_error(const char *command, const char *format, ...)
{
	must_failed("the command line is not used", __FILE__, __LINE__);
}

int mmunotify_usage_error(const char *command, const char *format, ...)
{
	must_failed("the command line is not used", __FILE__, __LINE__);
}

int mmunotify_getopt(const char *command, int argc, char **argv, const char *shorts,
		     const struct option *longs, const char *(*explain)(int letter))
{
	must_failed("the command line is not used", __FILE__, __LINE__);
}

int mmunotify_flush_output(const char *command, int status, int failed)
{
	must_failed("the command line is not used", __FILE__, __LINE__);
}

static unsigned int lines_of(const uint8_t *data, size_t size)
{
	unsigned int lines = 1;

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	return lines;
}

/* Messages are "script:LINE:COLUMN: ..."; they go to memory, not to the terminal. */
static void check_message(const char *message, const uint8_t *data, size_t size)
{
	unsigned int line, column;

	must(sscanf(message, "script:%u:%u: ", &line, &column) == 2);
	must(line >= 1 && line <= lines_of(data, size));
	must(column >= 1 && column <= size + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct soft_script script;
	FILE *terminal = stderr;
	char *source = malloc(size + 1), *message = NULL;
	size_t length;
	int ret;

	must(source);
	memcpy(source, data, size);
	source[size] = '\0';
	stderr = open_memstream(&message, &length);
	must(stderr);
	ret = soft_script_parse(&script, "script", source, size);
	soft_script_free(&script);
	fclose(stderr);
	stderr = terminal;
	must(ret == 0 || ret == -1);
	must(!ret == !length);
	if (ret)
		check_message(message, data, size);
	free(message);
	return 0;
}
