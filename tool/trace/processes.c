/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the processes of a trace are called: the last thing that each said of itself.
 * Tests: tests/unit/tool/record.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "intern.h"
#include "processes.h"

struct process_table {
	/* struct named by pid. */
	struct key_map by_pid;
};

struct named {
	const char *comm, *exe;
};

struct process_table *process_table_new(void)
{
	return calloc(1, sizeof(struct process_table));
}

void process_table_free(struct process_table *table)
{
	if (!table)
		return;
	key_map_free_values(&table->by_pid);
	free(table);
}

int process_table_take(struct process_table *table, const struct record *record)
{
	void **place;

	if (record->type != RECORD_PROCESS)
		return 0;
	place = key_map_place(&table->by_pid, record->pid);
	if (!place)
		return -ENOMEM;
	if (!*place && !(*place = malloc(sizeof(struct named))))
		return -ENOMEM;
	*(struct named *)*place = (struct named){ record->process.comm, record->process.exe };
	return 0;
}

const char *process_table_comm(const struct process_table *table, uint32_t pid)
{
	const struct named *named = key_map_find(&table->by_pid, pid);

	return named && named->comm ? named->comm : "?";
}

const char *process_table_exe(const struct process_table *table, uint32_t pid)
{
	const struct named *named = key_map_find(&table->by_pid, pid);

	return named && named->exe ? named->exe : "?";
}
