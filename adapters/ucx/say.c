/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The adapter's environment variable and its sentences.
 * Tests: tests/contract/adapters/ucx.c.
 */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../line.h"
#include "atomic.h"

__attribute__((format(printf, 1, 0))) static void say(const char *format, va_list args)
{
	static const char who[] = "mmunotify: ucx: ";
	char text[768];
	size_t length = sizeof(who) - 1;
	int added;

	memcpy(text, who, length);
	added = vsnprintf(text + length, sizeof(text) - length - 1, format, args);
	if (added > 0)
		length += (size_t)added < sizeof(text) - length - 1 ? (size_t)added
								    : sizeof(text) - length - 2;
	text[length++] = '\n';
	mmun_adapter_write_line(text, length);
}

void ucx_say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
}

void ucx_say_once(const char *format, ...)
{
	static int said;
	va_list args;

	if (mmun_swap_full(&said, 1))
		return;
	va_start(args, format);
	say(format, args);
	va_end(args);
}

enum ucx_setting {
	UCX_SETTING_UNREAD,
	UCX_SETTING_ON,
	UCX_SETTING_OFF,
	UCX_SETTING_SILENT,
};

static enum ucx_setting ucx_setting(void)
{
	static int read_before = UCX_SETTING_UNREAD;
	enum ucx_setting setting = mmun_load_relaxed(&read_before);
	const char *value;

	if (setting != UCX_SETTING_UNREAD)
		return setting;
	value = getenv("MMUNOTIFY_UCX");
	setting = UCX_SETTING_ON;
	if (value && !strcmp(value, "off"))
		setting = UCX_SETTING_OFF;
	else if (value && !strcmp(value, "silent"))
		setting = UCX_SETTING_SILENT;
	else if (value && *value && strcmp(value, "on") != 0)
		ucx_say_once("MMUNOTIFY_UCX=%s is not known and ignored: UCX is connected; "
			     "say on or off",
			     value);
	mmun_store_relaxed(&read_before, setting);
	return setting;
}

bool ucx_is_off(void)
{
	return ucx_setting() == UCX_SETTING_OFF;
}

bool ucx_is_silent(void)
{
	return ucx_setting() == UCX_SETTING_SILENT;
}
