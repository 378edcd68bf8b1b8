/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The processes, threads, mappings, stacks and outcomes of a page, numbered; the least are folded into one. */
#ifndef MMUN_TOOL_TRACE_PAGE_NAMES_H
#define MMUN_TOOL_TRACE_PAGE_NAMES_H

#include "cube.h"
#include "../intern.h"
#include "../record.h"

/* Number 0: all that have no number of their own. */
#define NAMES_OTHER 0

struct name {
	/* By what it is found, where that is one number; see names_find(). */
	uint64_t key;
	/* Is not found any more, and folded before the others. */
	bool closed;
	struct cube_sum sum;
	union {
		struct {
			uint32_t pid, ppid;
			int error;
			const char *comm, *exe;
			/* Since the trace began, ns; end 0: when it ended. */
			uint64_t begin, end;
		} process;
		struct {
			uint32_t process, tid;
		} thread;
		struct {
			unsigned int kind;
			const char *text;
		} mapping;
		struct {
			unsigned int nr_frames;
			struct record_frame *frames;
		} stack;
	};
};

struct names {
	struct name *names;
	uint32_t nr, max;
	/* Whether names own frames. */
	bool stacks;
	/* How often one was folded, a name that came back included. */
	uint64_t folded;
	struct key_map by_key;
};

/* Return: 0 or -ENOMEM. */
int names_init(struct names *names, uint32_t max, bool stacks);
void names_clear(struct names *names);

/* The number for @key, or NAMES_OTHER when there is none. */
uint32_t names_find(const struct names *names, uint64_t key);
/*
 * names_new() - a new name with @key; the caller fills in the rest.
 *
 * There must be room.  An older one of that key is not found any more.
 * Return: its number, or NAMES_OTHER without memory.
 */
uint32_t names_new(struct names *names, uint64_t key);
/*
 * names_fold() - make room: half of them, closed ones and those that took least time
 * first, become part of NAMES_OTHER.
 *
 * Return: the new number of each, for cube_renumber(), owned by the caller;
 * NULL without memory, and then nothing has changed.
 */
uint32_t *names_fold(struct names *names);
/* After keys have changed. */
void names_find_anew(struct names *names);

static inline bool names_full(const struct names *names)
{
	return names->nr == names->max;
}

#endif
