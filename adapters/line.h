/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an adapter says. */
#ifndef MMUN_ADAPTERS_LINE_H
#define MMUN_ADAPTERS_LINE_H

#include <stddef.h>

/*
 * Writes a line to stderr in one piece: other processes of the job write to the same place.
 * If nobody reads there the program does not end by SIGPIPE, for it has written nothing.
 * Context: sleeps.  Leaves errno alone.
 */
void mmun_adapter_write_line(const char *line, size_t length);

#endif
