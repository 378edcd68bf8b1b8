/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the processes of a trace are called, for formats that name them. */
#ifndef MMUN_TOOL_TRACE_PROCESSES_H
#define MMUN_TOOL_TRACE_PROCESSES_H

#include "record.h"

struct process_table;

/* NULL when there is no memory. */
struct process_table *process_table_new(void);
void process_table_free(struct process_table *table);

/* Learns from a record of a process; any other record changes nothing.  Return: 0 or -ENOMEM. */
int process_table_take(struct process_table *table, const struct record *record);

/* The program's name as the kernel shortens it, at this point of the trace; "?" if unknown. */
const char *process_table_comm(const struct process_table *table, uint32_t pid);
/* Its file; "?" if unknown. */
const char *process_table_exe(const struct process_table *table, uint32_t pid);

#endif
