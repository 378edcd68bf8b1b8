/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tests: tests/contract/adapters/fi.c. */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/stat.h>

#include "../line.h"

static struct mmun_stat *stat;

enum lf_setting lf_setting(void)
{
	const char *value = getenv("MMUNOTIFY_FI");

	if (!value || !*value || !strcmp(value, "on"))
		return LF_ON;
	if (!strcmp(value, "off"))
		return LF_OFF;
	if (!strcmp(value, "silent"))
		return LF_SILENT;
	lf_say("MMUNOTIFY_FI=%s is not known and ignored: libfabric is connected; say on or off",
	       value);
	return LF_ON;
}

void lf_say(const char *format, ...)
{
	static const char who[] = "mmunotify: libfabric: ";
	char text[1024];
	size_t length = sizeof(who) - 1;
	int added;
	va_list args;

	memcpy(text, who, length);
	va_start(args, format);
	added = vsnprintf(text + length, sizeof(text) - length - 1, format, args);
	va_end(args);
	if (added > 0)
		length += (size_t)added < sizeof(text) - length - 1 ? (size_t)added
								    : sizeof(text) - length - 2;
	text[length++] = '\n';
	mmun_adapter_write_line(text, length);
}

static void create_stat(void)
{
	static const char *const counters[] = {
		[LF_SECTIONS] = "sections", [LF_INVALIDATIONS] = "invalidations",
		[LF_REFUSED] = "refused",   [LF_KEPT] = "kept",
		[LF_RELEASED] = "released",
	};

	if (!stat)
		mmun_stat_create("libfabric", counters, sizeof(counters) / sizeof(counters[0]),
				 &stat);
}

void lf_count(enum lf_counter counter, unsigned long n)
{
	mmun_stat_add(stat, counter, n);
}

void lf_state(bool connected, const char *format, ...)
{
	char text[MMUN_STAT_STATE_SIZE];
	va_list args;

	create_stat();
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	mmun_stat_state(stat, connected, text);
}
