/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One look at the libraries that every traced program has, for all of them: what is
 * preloaded, and the C library, the dynamic linker and libmmunotify, which most often are those
 * that the tool has itself.  A program with others looks at them itself, as it
 * does if this fails.
 * Tests: tests/system/trace_survey.py.
 */
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mmunotify/self.h>

#include "survey.h"

#define MAX_PATHS 4

struct paths {
	const char *at[MAX_PATHS + 1];
	int nr;
};

static bool is_wanted(const char *path)
{
	static const char *const prefixes[] = { "libc.so", "ld-linux", "libmmunotify.so" };
	const char *slash = strrchr(path, '/');

	for (size_t i = 0; slash && i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (!strncmp(slash + 1, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

static int take(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct paths *paths = arg;

	if (paths->nr < MAX_PATHS && is_wanted(info->dlpi_name))
		paths->at[paths->nr++] = info->dlpi_name;
	return 0;
}

void survey_hand_over(const char *library)
{
	struct paths paths = { .at = { library }, .nr = 1 };
	char value[40];
	int survey;

	dl_iterate_phdr(take, &paths);
	survey = mmun_self_survey(paths.at);
	if (survey < 0)
		return;
	snprintf(value, sizeof(value), "/proc/%d/fd/%d", getpid(), survey);
	setenv(MMUN_SURVEY_VARIABLE, value, 1);
}
