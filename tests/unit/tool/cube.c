/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tool/trace/page: whatever is gathered, sums are exact, places cover, and memory is bounded. */
#include <string.h>

#include <mmunotify/op.h>

#include "gather.h"
#include "tap.h"

static uint64_t state = 7;

static uint64_t next_random(uint64_t below)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (state >> 30) % below;
}

#define D(dimension) CUBE_BIT(CUBE_##dimension)

static const struct cube_level levels[] = {
	{ CUBE_ALL, 0, 0 },
	{ D(PROCESS) | D(OPERATION) | D(ADDRESS), 64, 64 },
	{ D(PROCESS) | D(OPERATION) | D(ADDRESS), 4, 16 },
	{ D(OPERATION), 0, 1 },
};

static struct cube_sum all_cells(const struct cube *cube)
{
	struct cube_sum sum = { 0 };

	for (size_t i = 0; i < cube->nr; i++)
		cube_sum_add(&sum, &cube->cells[i].sum);
	return sum;
}

static bool same(const struct cube_sum *a, const struct cube_sum *b)
{
	return a->count == b->count && a->bytes == b->bytes && a->time == b->time &&
	       a->max == b->max;
}

/* Does a cell with @key's operation cover it? */
static bool covered(const struct cube *cube, const struct cube_key *key)
{
	bool addresses = cube_level(cube)->dimensions & D(ADDRESS);

	for (size_t i = 0; i < cube->nr; i++) {
		const struct cube_key *cell = &cube->cells[i].key;

		if (cell->bin == key->bin >> cube->time_shift &&
		    cell->by[CUBE_OPERATION] == key->by[CUBE_OPERATION] &&
		    (!addresses || (cell->start <= key->start && cell->end >= key->end)))
			return true;
	}
	return false;
}

static bool is_unique(const struct cube *cube)
{
	for (size_t i = 0; i < cube->nr; i++)
		for (size_t j = 0; j < i; j++)
			if (!memcmp(&cube->cells[i].key, &cube->cells[j].key,
				    sizeof(cube->cells[i].key)))
				return false;
	return true;
}

static struct cube_key random_key(uint64_t time)
{
	struct cube_key key = {
		.bin = time,
		.start = 0x7f0000000000ull + next_random(1 << 12) * 4096,
	};

	key.end = key.start + 4096 * (1 + next_random(3));
	key.by[CUBE_PROCESS] = 1 + (uint32_t)next_random(3);
	key.by[CUBE_STACK] = 1 + (uint32_t)next_random(50);
	key.by[CUBE_OPERATION] = (uint32_t)next_random(4);
	return key;
}

static void test_levels(void)
{
	static struct cube_key keys[6000];
	struct cube_sum total = { 0 }, sum;
	size_t reached = 0;
	struct cube cube;
	bool covers = true, sums = true, bounded = true;

	ok(!cube_init(&cube, "test", levels, sizeof(levels) / sizeof(*levels), 300), "a cube");
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		struct cube_sum one = { 1, next_random(1 << 20), next_random(1000), 0 };

		one.max = one.time;
		/* The time grows, and now and then goes back. */
		keys[i] = random_key(i * i + next_random(1000));
		cube_add(&cube, &keys[i], &one);
		cube_sum_add(&total, &one);
		bounded &= cube.nr <= cube.max;
		if (cube.level == reached && i % 1500)
			continue;
		reached = cube.level;
		sum = all_cells(&cube);
		sums &= same(&sum, &total);
		for (size_t j = 0; j <= i; j += 1 + i / 500)
			covers &= covered(&cube, &keys[j]);
	}
	is(cube.level, 3, "events beyond measure lead to the last level");
	ok(bounded, "there are never more cells than may be");
	ok(sums, "their sums are those of the events");
	ok(covers, "and each event is within one");
	ok(is_unique(&cube), "no two are alike");
	cube_clear(&cube);
}

static void test_small(void)
{
	struct cube_sum one = { 1, 4096, 10, 10 };
	struct cube_key key = { .bin = ((uint64_t)1 << 62) - 1, .end = UINT64_MAX };
	struct cube cube;

	cube_init(&cube, "test", levels, sizeof(levels) / sizeof(*levels), 300);
	cube_add(&cube, &key, &one);
	cube_add(&cube, &key, &one);
	is(cube.nr, 1, "what is alike is one cell");
	key.by[CUBE_STACK] = 9;
	key.start = 4095;
	cube_add(&cube, &key, &one);
	is(cube.nr, 2, "and what is not is its own");
	ok(cube.cells[1].key.bin == key.bin && cube.cells[1].key.start == 4095 && !cube.level,
	   "exactly where and when it was");
	for (uint64_t i = 0; i < 1000; i++) {
		key.start = i * 4096;
		cube_add(&cube, &key, &one);
	}
	ok(cube.level > 0 && all_cells(&cube).count == 1003, "until there are too many");
	cube_clear(&cube);
}

static void fill_record(struct record *record, unsigned int i)
{
	static char names[5000][16];

	*record = (struct record){
		.type = RECORD_EVENT,
		.pid = 100 + i % 1500,
		.tid = i,
		.time = i,
		.event = { .op = i % 50,
			   .event = i % 20,
			   .kind = i % 30,
			   .duration = i % 97,
			   .start = i * 4096ull,
			   .end = i * 4096ull + 8192 },
	};
	record->event.name = names[i % 5000];
	record->event.nr_frames = 2;
	record->event.frames[1].offset = i % 7000;
	record->flags = RING_HAS_RESULT;
	record->event.result = -(int64_t)(i % 300);
}

static void test_gather(void)
{
	struct record_header header = { .start_monotonic = 5 };
	struct gathered *gathered = gather_new(&header);
	struct record record;
	bool bounded = true;
	int error = 0;

	ok(gathered, "room to gather");
	for (unsigned int i = 0; i < 30000 && !error; i++) {
		fill_record(&record, i);
		error = gather_record(gathered, &record);
		if (i % 5)
			continue;
		record.type = i % 10 ? RECORD_PROCESS : RECORD_RELEASE;
		record.process.exe = record.process.comm = "";
		error |= gather_record(gathered, &record);
	}
	ok(!error, "more names of everything than there are numbers");
	is(gathered->sum.count, 30000, "all are counted");
	for (unsigned int d = 0; d < PAGE_NAMES; d++) {
		const struct names *names = &gathered->names[d];
		struct cube_sum sum = { 0 };

		bounded &= names->nr <= names->max && names->folded;
		for (uint32_t i = 0; i < names->nr; i++)
			cube_sum_add(&sum, &names->names[i].sum);
		ok(same(&sum, &gathered->sum), "once in each dimension (%u)", d);
	}
	ok(bounded, "the least are folded");
	for (unsigned int c = 0; c < PAGE_CUBES; c++) {
		struct cube_sum sum = all_cells(&gathered->cubes[c]);
		bool known = true;

		for (size_t i = 0; i < gathered->cubes[c].nr; i++)
			for (unsigned int d = 0; d < PAGE_NAMES; d++)
				known &= gathered->cubes[c].cells[i].key.by[d] <
					 gathered->names[d].nr;
		ok(same(&sum, &gathered->sum), "and once in the cube %s", gathered->cubes[c].name);
		ok(known, "which knows no name that is gone");
	}
	gather_free(gathered);
}

static void test_processes(void)
{
	struct record_header header = { .start_monotonic = 0 };
	struct gathered *gathered = gather_new(&header);
	struct record process = {
		.type = RECORD_PROCESS, .pid = 7, .tid = 7, .process = { .comm = "first" }
	};
	const struct names *names = &gathered->names[CUBE_PROCESS];
	struct record event;

	fill_record(&event, 0);
	event.pid = 7;
	gather_record(gathered, &process);
	gather_record(gathered, &event);
	process.process.comm = "second";
	process.time = 9;
	gather_record(gathered, &process);
	gather_record(gathered, &event);
	gather_record(gathered, &event);
	is(names->nr, 3, "a process that executes a program is two");
	ok(!strcmp(names->names[1].process.comm, "first") && names->names[1].sum.count == 1,
	   "each with what was done as it");
	ok(!strcmp(names->names[2].process.comm, "second") && names->names[2].sum.count == 2,
	   "by its name");
	is(names->names[1].process.end, 9, "and its time");
	gather_free(gathered);
}

int main(void)
{
	test_small();
	test_levels();
	test_gather();
	test_processes();
	return tap_done();
}
