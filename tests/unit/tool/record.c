/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Recordings: what is written is what is read; a recording that is cut short or
 * damaged at any byte is noticed and never trusted.  And the text helpers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/mmu_notifier.h>

#include "tap.h"

#include "command.h"
#include "intern.h"
#include "json.h"
#include "output.h"
#include "processes.h"
#include "record.h"
#include "stacks.h"

/* Wrong usage cannot happen here. */
int mmunotify_usage_error(const char *command, const char *format, ...)
{
	return MMUNOTIFY_EXIT_USAGE;
}

static const struct record_header header = {
	.start_monotonic = 123456789012345,
	.start_realtime = 1700000000123456789,
	.command = "echo 'a b'",
	.version = "0.1.0",
};

static struct record samples[7];

static void fill_samples(void)
{
	samples[0] = (struct record){
		.type = RECORD_PROCESS,
		.pid = 4194303,
		.tid = 1,
		.time = 123456789012346,
		.flags = RING_AFTER_EXEC,
		.process = { .ppid = 7, .error = 12, .comm = "co mm", .exe = "/bin/x" },
	};
	samples[1] = (struct record){
		.type = RECORD_EVENT,
		.pid = 10,
		.tid = 11,
		.time = 123456789099999,
		.flags = RING_HAS_RESULT | RING_UNCHANGED,
		.event = { .op = MMUN_OP_MREMAP,
			   .event = MMU_NOTIFY_UNMAP,
			   .kind = MAPPING_FILE,
			   .start = 0x7f0000001000,
			   .end = 0x7f0000005000,
			   .duration = 1234,
			   .offset = 0x3000,
			   .result = -ENOMEM,
			   .name = "/lib/libx.so",
			   .nr_frames = 2,
			   .frames = { { "/lib/libx.so", 0x1234 }, { NULL, 0x7fffffff0000 } } },
	};
	/* Back in time and address, as concurrent events are. */
	samples[2] = (struct record){
		.type = RECORD_EVENT,
		.pid = 10,
		.tid = 12,
		.time = 123456789012400,
		.event = { .op = MMUN_OP_FORK,
			   .event = MMU_NOTIFY_PROTECTION_PAGE,
			   .kind = MAPPING_ALL,
			   .start = 0,
			   .end = 0xfffffffffffff000,
			   .result = INT64_MIN },
	};
	samples[3] = (struct record){
		.type = RECORD_RELEASE, .pid = 10, .tid = 10, .time = 123456789100000
	};
	samples[4] = (struct record){
		.type = RECORD_LOST,
		.time = 123456789100001,
		.lost = { .dropped = UINT64_MAX,
			  .abandoned = 1,
			  .too_deep = 2,
			  .unfollowed = 3,
			  .unredirected = 4 },
	};
	samples[5] = (struct record){
		.type = RECORD_UNFOLLOWED,
		.pid = 12,
		.tid = 12,
		.time = 123456789100001,
		.unfollowed = { .exe = "/bin/st\001tic", .reason = "it is \303\244" },
	};
	samples[6] = (struct record){ .type = RECORD_END,
				      .pid = 10,
				      .tid = 10,
				      .time = 123456789100002,
				      .end = { .wait_status = 0x0300 } };
}

#define NR_SAMPLES (sizeof(samples) / sizeof(samples[0]))

/* A whole recording in memory; the caller frees it. */
static char *write_samples(size_t *size)
{
	struct record_writer writer;
	char *bytes = NULL;
	FILE *out = open_memstream(&bytes, size);
	int error = record_writer_open(&writer, out, &header);

	for (size_t i = 0; i < NR_SAMPLES; i++)
		error |= record_write(&writer, &samples[i]);
	error |= record_writer_close(&writer);
	fclose(out);
	is(error, 0, "the samples are written");
	return bytes;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_event(const struct record *a, const struct record *b)
{
	bool same = a->event.op == b->event.op && a->event.event == b->event.event &&
		    a->event.kind == b->event.kind && a->event.start == b->event.start &&
		    a->event.end == b->event.end && a->event.duration == b->event.duration &&
		    a->event.offset == b->event.offset && a->event.result == b->event.result &&
		    a->event.nr_frames == b->event.nr_frames &&
		    same_text(a->event.name, b->event.name);

	for (unsigned int i = 0; same && i < a->event.nr_frames; i++)
		same = a->event.frames[i].offset == b->event.frames[i].offset &&
		       same_text(a->event.frames[i].module, b->event.frames[i].module);
	return same;
}

static bool same_record(const struct record *a, const struct record *b)
{
	if (a->type != b->type || a->pid != b->pid || a->tid != b->tid || a->time != b->time ||
	    a->flags != b->flags)
		return false;
	switch (a->type) {
	case RECORD_PROCESS:
		return a->process.ppid == b->process.ppid && a->process.error == b->process.error &&
		       same_text(a->process.comm, b->process.comm) &&
		       same_text(a->process.exe, b->process.exe);
	case RECORD_EVENT:
		return same_event(a, b);
	case RECORD_LOST:
		return !memcmp(&a->lost, &b->lost, sizeof(a->lost));
	case RECORD_END:
		return a->end.wait_status == b->end.wait_status;
	case RECORD_UNFOLLOWED:
		return same_text(a->unfollowed.exe, b->unfollowed.exe) &&
		       same_text(a->unfollowed.reason, b->unfollowed.reason);
	case RECORD_RELEASE:
		return true;
	}
	return false;
}

/* How a reader fares with some bytes. */
struct reading {
	int opened, last;
	size_t nr, right;
	uint64_t offset;
	char damage[128];
	struct record_header header;
};

static struct reading read_bytes(const char *bytes, size_t size)
{
	struct reading reading = { 0 };
	struct intern *intern = intern_new();
	FILE *in = fmemopen((void *)bytes, size, "r");
	struct record_reader reader;
	struct record record;

	reading.opened = record_reader_open(&reader, in, intern, &reading.header);
	if (!reading.opened) {
		reading.right = !strcmp(reading.header.command, header.command) &&
						!strcmp(reading.header.version, header.version)
					? 0
					: 1000;
		while ((reading.last = record_read(&reader, &record)) > 0) {
			reading.right += reading.nr < NR_SAMPLES &&
					 same_record(&record, &samples[reading.nr]);
			reading.nr++;
		}
	}
	reading.offset = reader.offset;
	snprintf(reading.damage, sizeof(reading.damage), "%s", reader.damage ? reader.damage : "");
	record_reader_close(&reader);
	fclose(in);
	intern_free(intern);
	return reading;
}

static void test_whole(const char *bytes, size_t size)
{
	struct reading reading = read_bytes(bytes, size);

	is(reading.opened, 0, "a whole recording opens");
	is(reading.last, 0, "and ends as whole");
	is(reading.nr, NR_SAMPLES, "with all records");
	is(reading.right, NR_SAMPLES, "which are those written");
	ok(reading.header.start_monotonic == header.start_monotonic &&
		   reading.header.start_realtime == header.start_realtime,
	   "under the same clocks");
	ok(size < 400, "in few bytes (%zu)", size);
}

static void test_cut(const char *bytes, size_t size)
{
	bool noticed = true, prefix = true, place = true;

	for (size_t length = 1; length < size; length++) {
		struct reading reading = read_bytes(bytes, length);

		noticed &= reading.opened < 0 || reading.last < 0;
		prefix &= reading.opened < 0 || reading.right == reading.nr;
		place &= reading.offset <= length && *reading.damage;
	}
	ok(noticed, "a recording cut at any byte is noticed");
	ok(prefix, "and its readable part is right");
	ok(place, "and the damage has a place and a reason");
}

static void test_damage(const char *bytes, size_t size)
{
	char *copy = malloc(size);
	size_t unnoticed = 0, wrong = 0;

	for (size_t at = 0; at < size; at++) {
		for (int bit = 0; bit < 8; bit++) {
			struct reading reading;

			memcpy(copy, bytes, size);
			copy[at] ^= (char)(1 << bit);
			reading = read_bytes(copy, size);
			unnoticed += !reading.opened && !reading.last;
			wrong += !reading.opened && reading.right != reading.nr;
		}
	}
	is(unnoticed, 0, "any flipped bit is noticed");
	is(wrong, 0, "and no record before it is wrong");
	free(copy);
}

static void test_foreign(void)
{
	static const char later[] = "\x89MMUN\r\n\x1a\x02";
	struct reading reading = read_bytes("#!/bin/sh\necho not a recording\n", 31);

	is(reading.opened, -EINVAL, "another file is no recording");
	reading = read_bytes(later, sizeof(later) - 1);
	is(reading.opened, -ENOTSUP, "a later version is not guessed at");
	reading = read_bytes("\x89", 1);
	is(reading.opened, -EINVAL, "nor one that ends in the magic");
}

static void test_intern(void)
{
	struct intern *intern = intern_new();
	const char *first = intern_text(intern, "abc", 3);
	struct key_map map = { 0 };
	bool fine = true;

	ok(first == intern_text(intern, "abcd", 3), "equal strings are one");
	ok(first != intern_text(intern, "abcd", 4), "others are not");
	intern_free(intern);
	for (uint64_t i = 0; i < 10000; i++)
		*key_map_place(&map, i * 4096) = (void *)(uintptr_t)(i + 1);
	for (uint64_t i = 0; i < 10000; i++)
		fine &= (uintptr_t)key_map_find(&map, i * 4096) == i + 1;
	ok(fine && !key_map_find(&map, 1), "the map finds what was put in and nothing else");
	key_map_clear(&map);
}

static void test_stacks(void)
{
	struct stack_table *table = stack_table_new();
	struct record record = { .type = RECORD_EVENT };
	const struct record_frame *frames;
	bool fine = true;
	unsigned int nr;
	uint32_t id = 9;

	ok(!stack_table_add(table, &record, &id) && id == 0, "no stack has the number 0");
	record.event.nr_frames = 2;
	record.event.frames[0] = (struct record_frame){ "x", 16 };
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 1000; i++) {
			record.event.frames[1] = (struct record_frame){ "y", i };
			fine &= !stack_table_add(table, &record, &id) && id == i + 1;
		}
	}
	ok(fine && stack_table_size(table) == 1000, "equal stacks have one number");
	record.event.nr_frames = 1;
	ok(!stack_table_add(table, &record, &id) && id == 1001, "a part of a stack is another one");
	frames = stack_table_frames(table, 1000, &nr);
	ok(nr == 2 && frames[0].offset == 16 && frames[1].offset == 999,
	   "a number leads back to the frames");
	stack_table_free(table);
}

static void test_processes(void)
{
	struct process_table *table = process_table_new();
	struct record record = { .type = RECORD_RELEASE, .pid = 5 };

	ok(!process_table_take(table, &record) && !strcmp(process_table_comm(table, 5), "?"),
	   "a process that said nothing has no name");
	record = (struct record){ .type = RECORD_PROCESS, .pid = 5 };
	record.process.comm = "sh";
	ok(!process_table_take(table, &record) && !strcmp(process_table_comm(table, 5), "sh") &&
		   !strcmp(process_table_exe(table, 5), "?"),
	   "what it left out is not known");
	record.process.comm = "make";
	record.process.exe = "/usr/bin/make";
	ok(!process_table_take(table, &record) && !strcmp(process_table_comm(table, 5), "make") &&
		   !strcmp(process_table_exe(table, 5), "/usr/bin/make"),
	   "exec changes its name");
	process_table_free(table);
}

static void is_size(uint64_t bytes, const char *expected)
{
	char text[32];

	output_size(bytes, text, sizeof(text));
	if (!ok(!strcmp(text, expected), "%llu bytes are %s", (unsigned long long)bytes, expected))
		diag("got %s", text);
}

static void is_json(const char *bytes, const char *expected)
{
	struct json_object *object = json_object_new_object(), *value;

	json_add_text(object, "x", bytes);
	json_object_object_get_ex(object, "x", &value);
	if (!ok(!strcmp(json_object_get_string(value), expected), "JSON text is valid UTF-8"))
		diag("got %s", json_object_get_string(value));
	json_object_put(object);
}

static void test_text(void)
{
	char text[64];

	is_size(0, "0B");
	is_size(4096, "4K");
	is_size(1536, "1.5K");
	is_size(135168, "132K");
	is_size(1ull << 46, "64T");
	is_size(UINT64_MAX, "15.9E");
	is_json("a\xc3\xa4z", "a\xc3\xa4z");
	is_json("a\xc3z\xff", "a\xef\xbf\xbdz\xef\xbf\xbd");
	is_json("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	is_json("\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd");
	terminal_escape("a\nb\\c\033", text, sizeof(text));
	ok(!strcmp(text, "a\\012b\\134c\\033"), "control characters are written as octal");
}

int main(void)
{
	size_t size = 0;
	char *bytes;

	fill_samples();
	bytes = write_samples(&size);
	test_whole(bytes, size);
	test_cut(bytes, size);
	test_damage(bytes, size);
	test_foreign();
	test_intern();
	test_stacks();
	test_processes();
	test_text();
	free(bytes);
	return tap_done();
}
