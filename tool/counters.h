/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Statistics pages of processes (mmunotify/stat.h), read by somebody who trusts nothing in them. */
#ifndef MMUN_TOOL_COUNTERS_H
#define MMUN_TOOL_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <mmunotify/stat.h>

struct counter {
	char label[MMUN_STAT_LABEL_SIZE];
	uint64_t value;
};

/* Every text ends, is not empty (but the state) and has printable ASCII characters only. */
struct counters_user {
	char name[MMUN_STAT_NAME_SIZE];
	char state[MMUN_STAT_STATE_SIZE];
	bool connected;
	unsigned int nr;
	struct counter counters[MMUN_STAT_COUNTERS];
};

struct counters {
	/* What the process says of itself. */
	pid_t pid;
	uint64_t made;
	unsigned int nr;
	struct counters_user users[MMUN_STAT_SLOTS];
};

/*
 * counters_parse() - what a copy of a page says.
 * @page: any bytes
 * Return: false if it is no page of the version that is known here.
 */
bool counters_parse(const void *page, size_t size, struct counters *out);

/* counters_clean() - a text of at most @length bytes as one that can be printed. */
void counters_clean(char *to, size_t size, const char *text, size_t length);

/* The link that /proc/PID/fd and /proc/PID/maps show for the file of a page. */
#define COUNTERS_LINK "/memfd:" MMUN_STAT_NAME " (deleted)"

#endif
