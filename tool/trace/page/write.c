/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What was gathered, as the page's data: one JSON object inside its markup.
 *
 * Columns of numbers are written as they are, everything that has text goes through
 * json-c and then through put_escaped(), so that no name ends the element it stands in.
 * The reader of this is page.js beside it, which names the members.
 * Tests: tests/system/page.py.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/op.h>

#include "../../json.h"
#include "../output.h"
#include "../symbolize.h"
#include "page.h"

static const char *const dimension_names[] = {
	[CUBE_PROCESS] = "process", [CUBE_THREAD] = "thread",   [CUBE_MAPPING] = "mapping",
	[CUBE_STACK] = "stack",     [CUBE_OPERATION] = "op",    [CUBE_CLASS] = "class",
	[CUBE_OUTCOME] = "outcome", [CUBE_ADDRESS] = "address",
};

/* Prints and frees.  "<" would end the element, or begin a comment in it. */
static int put_object(FILE *out, struct json_object *object)
{
	const char *text = json_object_to_json_string_ext(
		object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

	for (const char *at = text; at && *at; at++) {
		if (*at == '<')
			fputs("\\u003c", out);
		else
			putc(*at, out);
	}
	json_object_put(object);
	return text ? 0 : -ENOMEM;
}

static void add_sum(struct json_object *object, const struct cube_sum *sum)
{
	json_add_number(object, "n", sum->count);
	json_add_number(object, "bytes", sum->bytes);
	json_add_number(object, "time", sum->time);
	json_add_number(object, "max", sum->max);
}

static struct json_object *unfollowed_array(const struct gathered *gathered)
{
	struct json_object *array = json_object_new_array();

	for (unsigned int i = 0; i < PAGE_UNFOLLOWED; i++) {
		struct json_object *object;

		if (!gathered->unfollowed[i].count)
			continue;
		object = json_object_new_object();
		json_add_text(object, "exe", gathered->unfollowed[i].exe);
		json_add_text(object, "reason", gathered->unfollowed[i].reason);
		json_add_number(object, "times", gathered->unfollowed[i].count);
		json_object_array_add(array, object);
	}
	return array;
}

static int put_head(const struct sink *sink, const struct gathered *gathered)
{
	struct json_object *head = json_object_new_object();
	char text[512];

	json_add_text(head, "command", sink->header.command);
	json_add_text(head, "version", sink->header.version);
	json_add_number(head, "began_ms", sink->header.start_realtime / 1000000);
	json_add_number(head, "duration", gathered->duration);
	json_add_number(head, "processes", gathered->processes);
	json_object_object_add(head, "filtered",
			       json_object_new_boolean(sink->options->filter.nr > 0));
	if (gathered->ended)
		output_status(gathered->wait_status, text, sizeof(text));
	json_add_text(head, "status", gathered->ended ? text : NULL);
	json_add_text(head, "lost", output_lost(&gathered->lost, text, sizeof(text)) ? text : NULL);
	json_object_object_add(head, "unfollowed", unfollowed_array(gathered));
	add_sum(head, &gathered->sum);
	return put_object(sink->out, head);
}

typedef void add_name(struct json_object *object, const struct name *name, void *arg);

static void add_process(struct json_object *object, const struct name *name, void *arg)
{
	json_add_number(object, "pid", name->process.pid);
	json_add_number(object, "ppid", name->process.ppid);
	json_add_text(object, "comm", name->process.comm);
	json_add_text(object, "exe", name->process.exe);
	json_add_number(object, "begin", name->process.begin);
	json_add_number(object, "end", name->process.end);
	if (name->process.error)
		json_add_text(object, "error", strerror(name->process.error));
}

static void add_thread(struct json_object *object, const struct name *name, void *arg)
{
	json_add_number(object, "process", name->thread.process);
	json_add_number(object, "tid", name->thread.tid);
}

static void add_mapping(struct json_object *object, const struct name *name, void *arg)
{
	struct record record = {
		.type = RECORD_EVENT,
		.event = { .kind = name->mapping.kind, .name = name->mapping.text },
	};
	char text[3 * RING_MAX_TEXT];

	output_mapping(&record, false, text, sizeof(text));
	json_add_text(object, "name", text);
	json_add_text(object, "kind", record_kind_name(name->mapping.kind));
}

static void add_outcome(struct json_object *object, const struct name *name, void *arg)
{
	const char *text = name->key == OUTCOME_OK ? "ok" : "unchanged";

	if (name->key >= OUTCOME_ERRNO)
		text = strerrorname_np((int)(name->key - OUTCOME_ERRNO));
	json_add_text(object, "name", text ? text : "error");
}

/* Frames that several stacks share are printed once, when all stacks have been. */
struct frames {
	struct symbolizer *symbolizer;
	struct key_map numbers;
	const struct record_frame **list;
	size_t nr, max;
};

static int frame_number(struct frames *frames, const struct record_frame *frame)
{
	uint64_t key = (uintptr_t)frame->module * 0x9e3779b97f4a7c15ull ^ frame->offset;
	const struct record_frame *known = NULL;
	void **place;

	for (;; key++) {
		place = key_map_place(&frames->numbers, key);
		if (!place)
			return -1;
		if (!*place)
			break;
		known = frames->list[(uintptr_t)*place - 1];
		if (known->module == frame->module && known->offset == frame->offset)
			return (int)((uintptr_t)*place - 1);
	}
	if (frames->nr == frames->max) {
		size_t max = frames->max ? 2 * frames->max : 256;
		void *list = realloc(frames->list, max * sizeof(*frames->list));

		/* The empty place is taken by the next call that gets here. */
		if (!list)
			return -1;
		frames->list = list;
		frames->max = max;
	}
	frames->list[frames->nr++] = frame;
	*place = (void *)(uintptr_t)frames->nr;
	return (int)frames->nr - 1;
}

static void add_stack(struct json_object *object, const struct name *name, void *arg)
{
	struct json_object *array = json_object_new_array();
	int number;

	for (unsigned int i = 0; i < name->stack.nr_frames; i++) {
		number = frame_number(arg, &name->stack.frames[i]);
		if (number >= 0)
			json_object_array_add(array, json_object_new_int(number));
	}
	json_object_object_add(object, "frames", array);
}

static int put_names(FILE *out, const struct names *names, add_name *add, void *arg)
{
	int error = 0;

	putc('[', out);
	for (uint32_t i = 0; i < names->nr && !error; i++) {
		struct json_object *object = json_object_new_object();

		if (i != NAMES_OTHER)
			add(object, &names->names[i], arg);
		else
			json_add_number(object, "folded", names->folded);
		add_sum(object, &names->names[i].sum);
		if (i)
			putc(',', out);
		error = put_object(out, object);
	}
	putc(']', out);
	return error;
}

static int put_frames(FILE *out, const struct frames *frames)
{
	struct symbol symbol;
	int error = 0;

	putc('[', out);
	for (size_t i = 0; i < frames->nr && !error; i++) {
		struct json_object *object = json_object_new_object();

		symbolizer_find(frames->symbolizer, frames->list[i], &symbol);
		json_add_text(object, "module", frames->list[i]->module);
		json_add_address(object, "offset", frames->list[i]->offset);
		if (symbol.function)
			json_add_text(object, "function", symbol.function);
		if (symbol.file) {
			json_add_text(object, "file", symbol.file);
			json_add_number(object, "line", (uint64_t)symbol.line);
		}
		if (i)
			putc(',', out);
		error = put_object(out, object);
	}
	putc(']', out);
	return error;
}

static int put_words(FILE *out, const char *(*word)(unsigned int number), unsigned int nr)
{
	struct json_object *array = json_object_new_array();

	for (unsigned int i = 0; i < nr; i++)
		json_object_array_add(array, json_object_new_string(word(i)));
	return put_object(out, array);
}

static int by_combination(const void *a, const void *b)
{
	const struct cube_cell *left = a, *right = b;

	return memcmp(left->key.by, right->key.by, sizeof(left->key.by));
}

static int by_range(const void *a, const void *b)
{
	const struct cube_key *left = &((const struct cube_cell *)a)->key;
	const struct cube_key *right = &((const struct cube_cell *)b)->key;

	if (left->start != right->start)
		return left->start < right->start ? -1 : 1;
	return left->end == right->end ? 0 : left->end < right->end ? -1 : 1;
}

static int by_time(const void *a, const void *b)
{
	const struct cube_cell *left = a, *right = b;
	int order = left->key.bin == right->key.bin ? 0 : left->key.bin < right->key.bin ? -1 : 1;

	if (!order)
		order = by_range(a, b);
	return order ? order : by_combination(a, b);
}

/* The distinct combinations, numbered in the cells: one array for each dimension. */
static void put_combinations(FILE *out, struct cube *cube)
{
	uint32_t number = 0;

	qsort(cube->cells, cube->nr, sizeof(*cube->cells), by_combination);
	for (size_t i = 0; i < cube->nr; i++) {
		if (i && by_combination(&cube->cells[i - 1], &cube->cells[i]))
			number++;
		cube->cells[i].combination = number;
	}
	fputs("\"combinations\":{", out);
	for (unsigned int d = 0; d < CUBE_DIMENSIONS; d++) {
		fprintf(out, "%s\"%s\":[", d ? "," : "", dimension_names[d]);
		for (size_t i = 0; i < cube->nr; i++)
			if (!i || cube->cells[i].combination != cube->cells[i - 1].combination)
				fprintf(out, "%s%" PRIu32, i ? "," : "", cube->cells[i].key.by[d]);
		putc(']', out);
	}
	fputs("},", out);
}

/* The distinct ranges, each after the start of the one before: [distance, size, ...]. */
static void put_ranges(FILE *out, struct cube *cube)
{
	uint64_t last = 0;
	uint32_t number = 0;

	qsort(cube->cells, cube->nr, sizeof(*cube->cells), by_range);
	fputs("\"ranges\":[", out);
	for (size_t i = 0; i < cube->nr; i++) {
		const struct cube_key *key = &cube->cells[i].key;

		if (i && !by_range(&cube->cells[i - 1], &cube->cells[i])) {
			cube->cells[i].range = number;
			continue;
		}
		number += !!i;
		cube->cells[i].range = number;
		fprintf(out, "%s%" PRIu64 ",%" PRIu64, i ? "," : "", key->start - last,
			key->end - key->start);
		last = key->start;
	}
	fputs("],", out);
}

static void put_columns(FILE *out, struct cube *cube)
{
	static const char *const columns[] = { "t", "c", "r", "n", "bytes", "time", "max" };
	uint64_t last = 0, value = 0;

	qsort(cube->cells, cube->nr, sizeof(*cube->cells), by_time);
	for (unsigned int column = 0; column < sizeof(columns) / sizeof(*columns); column++) {
		fprintf(out, "%s\"%s\":[", column ? "," : "", columns[column]);
		for (size_t i = 0; i < cube->nr; i++) {
			const struct cube_cell *cell = &cube->cells[i];

			switch (column) {
			case 0:
				value = cell->key.bin - last;
				last = cell->key.bin;
				break;
			case 1:
				value = cell->combination;
				break;
			case 2:
				value = cell->range;
				break;
			case 3:
				value = cell->sum.count;
				break;
			case 4:
				value = cell->sum.bytes;
				break;
			case 5:
				value = cell->sum.time;
				break;
			default:
				/* Of one event, its time again. */
				value = cell->sum.count > 1 ? cell->sum.max : 0;
			}
			fprintf(out, "%s%" PRIu64, i ? "," : "", value);
		}
		putc(']', out);
	}
}

static void put_cube(FILE *out, struct cube *cube)
{
	const struct cube_level *level = cube_level(cube);
	const char *comma = "";
	uint64_t least, most;

	cube_steps(cube, &least, &most);
	fprintf(out,
		"{\"name\":\"%s\",\"exact\":%s,\"bin\":%" PRIu64 ",\"steps\":[%" PRIu64 ",%" PRIu64
		"],\"dimensions\":[",
		cube->name, cube->level ? "false" : "true", (uint64_t)1 << cube->time_shift, least,
		most);
	for (unsigned int d = 0; d <= CUBE_ADDRESS; d++) {
		if (!(level->dimensions & CUBE_BIT(d)))
			continue;
		fprintf(out, "%s\"%s\"", comma, dimension_names[d]);
		comma = ",";
	}
	fputs("],", out);
	put_combinations(out, cube);
	put_ranges(out, cube);
	put_columns(out, cube);
	putc('}', out);
}

/* A cube that has every event by itself has all that the others have. */
static void put_cubes(FILE *out, struct gathered *gathered)
{
	for (unsigned int i = 0; i < PAGE_CUBES; i++) {
		if (i && !gathered->cubes[PAGE_MAP].level)
			break;
		if (i)
			putc(',', out);
		put_cube(out, &gathered->cubes[i]);
	}
}

static int put_dimensions(FILE *out, const struct gathered *gathered, struct frames *frames)
{
	static add_name *const adds[] = { add_process, add_thread, add_mapping, add_stack,
					  add_outcome };
	int error = 0;

	for (unsigned int d = 0; d < PAGE_NAMES && !error; d++) {
		fprintf(out, ",\"%s\":", dimension_names[d]);
		error = put_names(out, &gathered->names[d], adds[d], frames);
	}
	fputs(",\"frame\":", out);
	if (!error)
		error = put_frames(out, frames);
	fputs(",\"op\":", out);
	if (!error)
		error = put_words(out, mmun_op_name, MMUN_NR_OPS + 1);
	fputs(",\"class\":", out);
	if (!error)
		error = put_words(out, record_event_name, MMUN_NR_EVENTS + 1);
	return error;
}

int page_put_data(const struct sink *sink, struct gathered *gathered)
{
	struct frames frames = { .symbolizer = symbolizer_new() };
	int error;

	fputs("{\"head\":", sink->out);
	error = put_head(sink, gathered);
	if (!error)
		error = put_dimensions(sink->out, gathered, &frames);
	fputs(",\"cubes\":[", sink->out);
	put_cubes(sink->out, gathered);
	fputs("]}\n", sink->out);
	symbolizer_free(frames.symbolizer);
	key_map_clear(&frames.numbers);
	free(frames.list);
	return error ? error : ferror(sink->out) ? -EIO : 0;
}
