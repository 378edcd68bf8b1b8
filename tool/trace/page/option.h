/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* --html, for the table of formats. */
#ifndef MMUN_TOOL_TRACE_PAGE_OPTION_H
#define MMUN_TOOL_TRACE_PAGE_OPTION_H

#include "../output.h"

extern const struct sink_ops sink_page;

/* Return: 0, or in a build without the page the exit status. */
int page_take(struct output_options *options, const char *command, const char *argument);

#endif
