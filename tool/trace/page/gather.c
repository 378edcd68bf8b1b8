/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records to what a page shows.
 *
 * Every event is in each cube once and in one name of each dimension.  Memory is bounded
 * by the tables below, however long the recording is and whatever it holds: numbers from
 * it that name something are brought into range here.  It prints nothing.
 * Tests: tests/system/page.py, tests/unit/tool/cube.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/op.h>

#include "gather.h"

#define P CUBE_BIT(CUBE_PROCESS)
#define T CUBE_BIT(CUBE_THREAD)
#define M CUBE_BIT(CUBE_MAPPING)
#define S CUBE_BIT(CUBE_STACK)
#define O CUBE_BIT(CUBE_OPERATION)
#define C CUBE_BIT(CUBE_CLASS)
#define R CUBE_BIT(CUBE_OUTCOME)
#define A CUBE_BIT(CUBE_ADDRESS)

/*
 * Where things happened: every event by itself at first, so that a small recording is
 * shown as it is.  Then time and addresses give way in turn, down to some 200 columns and
 * 100 lines, which is little for a screen but says where and when.
 */
static const struct cube_level map_levels[] = {
	{ CUBE_ALL, 0, 0 },
	{ P | T | M | O | C | R | A, 4096, 16384 },
	{ P | T | M | O | C | R | A, 2048, 8192 },
	{ P | M | O | C | R | A, 2048, 4096 },
	{ P | M | O | C | R | A, 1024, 4096 },
	{ P | M | O | C | A, 1024, 2048 },
	{ P | M | O | C | A, 512, 2048 },
	{ P | M | O | C | A, 512, 1024 },
	{ P | M | O | C | A, 256, 1024 },
	{ P | M | O | C | A, 256, 512 },
	{ P | M | O | C | A, 128, 512 },
	{ P | M | O | C | A, 128, 256 },
	{ P | M | O | C | A, 64, 256 },
	{ P | M | O | C | A, 64, 128 },
	{ P | M | O | C | A, 32, 128 },
	{ P | M | O | C | A, 16, 128 },
	{ P | M | O | C | A, 16, 64 },
	{ P | M | O | C | A, 8, 64 },
	{ P | M | O | C | A, 4, 64 },
	{ P | M | O | C | A, 1, 64 },
	{ P | O | C | A, 1, 64 },
	{ P | O | C | A, 1, 16 },
	{ O | C, 0, 1 },
};

/* When which thread was inside sections. */
static const struct cube_level lane_levels[] = {
	{ CUBE_ALL & ~A, 0, 0 },
	{ P | T | M | O | C | R, 0, 16384 },
	{ P | T | O | C | R, 0, 16384 },
	{ P | T | O | C | R, 0, 8192 },
	{ P | T | O | C | R, 0, 4096 },
	{ P | T | O | C, 0, 2048 },
	{ P | T | O | C, 0, 1024 },
	{ P | T | O | C, 0, 512 },
	{ P | T | O | C, 0, 256 },
	{ P | T | O | C, 0, 64 },
	{ P | O | C, 0, 64 },
	{ O | C, 0, 1 },
};

/* From where, with as much as can be of what it was done to. */
static const struct cube_level stack_levels[] = {
	{ CUBE_ALL & ~A, 0, 0 },
	{ P | T | M | S | O | C | R, 0, 2048 },
	{ P | M | S | O | C | R, 0, 2048 },
	{ P | M | S | O | C | R, 0, 1024 },
	{ P | S | O | C | R, 0, 1024 },
	{ P | S | O | C | R, 0, 512 },
	{ P | S | O | C | R, 0, 256 },
	{ P | S | O | C, 0, 128 },
	{ P | S | O | C, 0, 32 },
	{ S | O | C, 0, 8 },
	{ O | C, 0, 1 },
};

#undef P
#undef T
#undef M
#undef S
#undef O
#undef C
#undef R
#undef A

#define ENTRIES(array) (sizeof(array) / sizeof(*(array)))

static const struct {
	const char *name;
	const struct cube_level *levels;
	size_t nr_levels, cells;
} cubes[PAGE_CUBES] = {
	[PAGE_MAP] = { "map", map_levels, ENTRIES(map_levels), 65536 },
	[PAGE_LANES] = { "lanes", lane_levels, ENTRIES(lane_levels), 24576 },
	[PAGE_STACKS] = { "stacks", stack_levels, ENTRIES(stack_levels), 12288 },
};

static const uint32_t max_names[] = {
	[CUBE_PROCESS] = 2048, [CUBE_THREAD] = 2048, [CUBE_MAPPING] = 2048,
	[CUBE_STACK] = 2048,   [CUBE_OUTCOME] = 128,
};
_Static_assert(ENTRIES(max_names) == PAGE_NAMES, "one for each");

struct gathered *gather_new(const struct record_header *header)
{
	struct gathered *gathered = calloc(1, sizeof(*gathered));
	int error = 0;

	if (!gathered)
		return NULL;
	gathered->begin = header->start_monotonic;
	for (unsigned int i = 0; i < PAGE_NAMES && !error; i++)
		error = names_init(&gathered->names[i], max_names[i], i == CUBE_STACK);
	for (unsigned int i = 0; i < PAGE_CUBES && !error; i++)
		error = cube_init(&gathered->cubes[i], cubes[i].name, cubes[i].levels,
				  cubes[i].nr_levels, cubes[i].cells);
	if (!error)
		return gathered;
	gather_free(gathered);
	return NULL;
}

void gather_free(struct gathered *gathered)
{
	if (!gathered)
		return;
	for (unsigned int i = 0; i < PAGE_NAMES; i++)
		names_clear(&gathered->names[i]);
	for (unsigned int i = 0; i < PAGE_CUBES; i++)
		cube_clear(&gathered->cubes[i]);
	free(gathered);
}

static uint64_t thread_key(uint32_t process, uint32_t tid)
{
	return (uint64_t)process << 32 | tid;
}

/* Threads name their process, in their key too. */
static void move_threads(struct names *threads, const uint32_t *to)
{
	for (uint32_t i = 1; i < threads->nr; i++) {
		struct name *name = &threads->names[i];

		name->thread.process = to[name->thread.process];
		name->key = thread_key(name->thread.process, name->thread.tid);
		/* The thread ids of other processes mean nothing any more. */
		name->closed |= name->thread.process == NAMES_OTHER;
	}
	names_find_anew(threads);
}

static int make_room(struct gathered *gathered, enum cube_dimension dimension)
{
	uint32_t *to;

	if (!names_full(&gathered->names[dimension]))
		return 0;
	to = names_fold(&gathered->names[dimension]);
	if (!to)
		return -ENOMEM;
	for (unsigned int i = 0; i < PAGE_CUBES; i++)
		cube_renumber(&gathered->cubes[i], dimension, to);
	if (dimension == CUBE_PROCESS)
		move_threads(&gathered->names[CUBE_THREAD], to);
	free(to);
	return 0;
}

static uint64_t time_since(struct gathered *gathered, uint64_t time, uint64_t duration)
{
	const uint64_t limit = ((uint64_t)1 << 62) - 1;
	uint64_t since = time > gathered->begin ? time - gathered->begin : 0, end;

	since = since < limit ? since : limit;
	end = duration < limit - since ? since + duration : limit;
	if (end > gathered->duration)
		gathered->duration = end;
	return since;
}

static void close_process(struct gathered *gathered, uint32_t pid, uint64_t since)
{
	struct names *processes = &gathered->names[CUBE_PROCESS];
	uint32_t number = names_find(processes, pid);

	if (!number || processes->names[number].closed)
		return;
	processes->names[number].process.end = since;
	/* It is still found: a thread may be late. */
	processes->names[number].closed = true;
}

/* Return: 0 with *@number, or -ENOMEM; the same of those below. */
static int new_process(struct gathered *gathered, const struct record *record, uint64_t since,
		       uint32_t *number)
{
	struct names *processes = &gathered->names[CUBE_PROCESS];
	struct name *name;

	close_process(gathered, record->pid, since);
	if (make_room(gathered, CUBE_PROCESS))
		return -ENOMEM;
	*number = names_new(processes, record->pid);
	if (!*number)
		return -ENOMEM;
	name = &processes->names[*number];
	name->process.pid = record->pid;
	name->process.begin = since;
	if (record->type != RECORD_PROCESS)
		return 0;
	name->process.ppid = record->process.ppid;
	name->process.error = record->process.error;
	name->process.comm = record->process.comm;
	name->process.exe = record->process.exe;
	return 0;
}

static int find_process(struct gathered *gathered, const struct record *record, uint64_t since,
			uint32_t *number)
{
	*number = names_find(&gathered->names[CUBE_PROCESS], record->pid);
	return *number ? 0 : new_process(gathered, record, since, number);
}

static int find_thread(struct gathered *gathered, uint32_t process, uint32_t tid, uint32_t *number)
{
	struct names *threads = &gathered->names[CUBE_THREAD];

	*number = names_find(threads, thread_key(process, tid));
	if (*number)
		return 0;
	if (make_room(gathered, CUBE_THREAD))
		return -ENOMEM;
	*number = names_new(threads, thread_key(process, tid));
	threads->names[*number].thread.process = process;
	threads->names[*number].thread.tid = tid;
	return *number ? 0 : -ENOMEM;
}

static int find_mapping(struct gathered *gathered, const struct record *record, uint32_t *number)
{
	struct names *mappings = &gathered->names[CUBE_MAPPING];
	unsigned int kind = record->event.kind < NR_MAPPING_KINDS ? record->event.kind
								  : MAPPING_UNKNOWN;
	uint64_t key = (uintptr_t)record->event.name ^ (uint64_t)(kind + 1) << 56;

	*number = names_find(mappings, key);
	if (*number)
		return 0;
	if (make_room(gathered, CUBE_MAPPING))
		return -ENOMEM;
	*number = names_new(mappings, key);
	mappings->names[*number].mapping.kind = kind;
	mappings->names[*number].mapping.text = record->event.name;
	return *number ? 0 : -ENOMEM;
}

static bool same_stack(const struct name *name, const struct record *record)
{
	if (name->stack.nr_frames != record->event.nr_frames)
		return false;
	for (unsigned int i = 0; i < record->event.nr_frames; i++)
		if (name->stack.frames[i].module != record->event.frames[i].module ||
		    name->stack.frames[i].offset != record->event.frames[i].offset)
			return false;
	return true;
}

static uint64_t stack_key(const struct record *record)
{
	uint64_t key = record->event.nr_frames;

	for (unsigned int i = 0; i < record->event.nr_frames; i++) {
		key = (key ^ (uintptr_t)record->event.frames[i].module) * 0x9e3779b97f4a7c15ull;
		key = (key ^ key >> 29 ^ record->event.frames[i].offset) * 0xbf58476d1ce4e5b9ull;
		key ^= key >> 32;
	}
	return key;
}

/* An event without a stack has one of no frames. */
static int find_stack(struct gathered *gathered, const struct record *record, uint32_t *number)
{
	struct names *stacks = &gathered->names[CUBE_STACK];
	size_t size = record->event.nr_frames * sizeof(struct record_frame);
	uint64_t key = stack_key(record);
	struct record_frame *frames;

	while ((*number = names_find(stacks, key)) && !same_stack(&stacks->names[*number], record))
		key++;
	if (*number)
		return 0;
	if (make_room(gathered, CUBE_STACK))
		return -ENOMEM;
	frames = malloc(size + 1);
	if (!frames)
		return -ENOMEM;
	memcpy(frames, record->event.frames, size);
	*number = names_new(stacks, key);
	if (!*number) {
		free(frames);
		return -ENOMEM;
	}
	stacks->names[*number].stack.frames = frames;
	stacks->names[*number].stack.nr_frames = record->event.nr_frames;
	return 0;
}

static int find_outcome(struct gathered *gathered, const struct record *record, uint32_t *number)
{
	struct names *outcomes = &gathered->names[CUBE_OUTCOME];
	uint64_t key = record->flags & RING_UNCHANGED ? OUTCOME_UNCHANGED : OUTCOME_OK;

	if ((record->flags & RING_HAS_RESULT) && record->event.result < 0)
		key = OUTCOME_ERRNO - (uint64_t)record->event.result;
	*number = names_find(outcomes, key);
	if (*number)
		return 0;
	if (make_room(gathered, CUBE_OUTCOME))
		return -ENOMEM;
	*number = names_new(outcomes, key);
	return *number ? 0 : -ENOMEM;
}

static int gather_event(struct gathered *gathered, const struct record *record)
{
	uint64_t since = time_since(gathered, record->time, record->event.duration);
	struct cube_sum sum = {
		.count = 1,
		/* Of a fork nobody can say how much it write-protects. */
		.bytes = record->event.kind == MAPPING_ALL
				 ? 0
				 : record->event.end - record->event.start,
		.time = record->event.duration,
		.max = record->event.duration,
	};
	struct cube_key key = {
		.bin = since,
		.start = record->event.start,
		.end = record->event.end,
	};

	key.by[CUBE_OPERATION] = record->event.op < MMUN_NR_OPS ? record->event.op : MMUN_NR_OPS;
	key.by[CUBE_CLASS] = record->event.event < MMUN_NR_EVENTS ? record->event.event
								  : MMUN_NR_EVENTS;
	if (find_process(gathered, record, since, &key.by[CUBE_PROCESS]) ||
	    find_thread(gathered, key.by[CUBE_PROCESS], record->tid, &key.by[CUBE_THREAD]) ||
	    find_mapping(gathered, record, &key.by[CUBE_MAPPING]) ||
	    find_stack(gathered, record, &key.by[CUBE_STACK]) ||
	    find_outcome(gathered, record, &key.by[CUBE_OUTCOME]))
		return -ENOMEM;
	for (unsigned int d = 0; d < PAGE_NAMES; d++)
		cube_sum_add(&gathered->names[d].names[key.by[d]].sum, &sum);
	for (unsigned int i = 0; i < PAGE_CUBES; i++)
		cube_add(&gathered->cubes[i], &key, &sum);
	cube_sum_add(&gathered->sum, &sum);
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static void gather_unfollowed(struct gathered *gathered, const struct record *record)
{
	struct unfollowed *one = gathered->unfollowed;
	struct unfollowed *last = &gathered->unfollowed[PAGE_UNFOLLOWED - 1];

	while (one < last && one->count &&
	       !(same_text(one->exe, record->unfollowed.exe) &&
		 same_text(one->reason, record->unfollowed.reason)))
		one++;
	if (!one->count++ && one < last) {
		one->exe = record->unfollowed.exe;
		one->reason = record->unfollowed.reason;
	}
}

int gather_record(struct gathered *gathered, const struct record *record)
{
	uint32_t number;

	switch (record->type) {
	case RECORD_EVENT:
		return gather_event(gathered, record);
	case RECORD_PROCESS:
		gathered->processes++;
		return new_process(gathered, record, time_since(gathered, record->time, 0),
				   &number);
	case RECORD_RELEASE:
		close_process(gathered, record->pid, time_since(gathered, record->time, 0));
		break;
	case RECORD_LOST:
		gathered->lost = *record;
		break;
	case RECORD_UNFOLLOWED:
		gather_unfollowed(gathered, record);
		break;
	case RECORD_END:
		gathered->ended = true;
		gathered->wait_status = record->end.wait_status;
		time_since(gathered, record->time, 0);
		break;
	}
	return 0;
}
