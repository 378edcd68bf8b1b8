/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A fuzz target without a fuzzer: each file of the directories named on the command
 * line once, in the order of their names.  A failure aborts, as the fuzzer wants it;
 * the test's last line then says which input it was.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdlib.h>

#include "tap.h"

#define LONGEST_INPUT 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned char input[LONGEST_INPUT];
static int inputs;

static void replay(const char *directory, const char *name)
{
	char path[4096];
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "rb");
	if (!file)
		bail_out("an input cannot be read");
	size = fread(input, 1, sizeof(input), file);
	fclose(file);
	diag("%s", path);
	LLVMFuzzerTestOneInput(input, size);
	inputs++;
}

static void replay_directory(const char *directory)
{
	struct dirent **entries;
	int count = scandir(directory, &entries, NULL, alphasort);

	if (count < 0)
		bail_out("a directory cannot be read");
	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.')
			replay(directory, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		inputs = 0;
		replay_directory(argv[i]);
		ok(inputs > 0, "the %d inputs of the corpus pass", inputs);
	}
	return tap_done();
}
