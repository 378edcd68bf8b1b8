/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The pieces of --html. */
#ifndef MMUN_TOOL_TRACE_PAGE_PAGE_H
#define MMUN_TOOL_TRACE_PAGE_PAGE_H

#include "gather.h"

struct sink;

/* The markup before and after the data; made by embed.py.  Not there without the library. */
extern const unsigned char page_before[], page_after[];
extern const size_t page_before_size, page_after_size;

/*
 * page_put_data() - print what the page's script reads.
 * Cells are sorted for it: nothing may be added to @gathered afterwards.
 * Return: 0 or -errno.
 */
int page_put_data(const struct sink *sink, struct gathered *gathered);

#endif
