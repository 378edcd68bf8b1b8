/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writes recordings that no program here would make: large ones, and ones whose names are
 * made to break a page.
 *
 *     page-recording EVENTS FILE     an arena, threads, files and stacks, as in a server
 *     page-recording hostile FILE    few events with every kind of bad name
 *     page-recording many FILE       more processes, threads, mappings and stacks than a page has
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/op.h>

#include "record.h"

#define START 5000000000ull
#define ARENA 0x7f1000000000ull

static uint64_t random_state = 1;

static uint64_t next_random(uint64_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (random_state >> 33) % below;
}

static void write_record(struct record_writer *writer, const struct record *record)
{
	int error = record_write(writer, record);

	if (!error)
		return;
	fprintf(stderr, "cannot be written: %s\n", strerror(-error));
	exit(1);
}

static void write_process(struct record_writer *writer, uint32_t pid, uint64_t time,
			  const char *comm, const char *exe)
{
	struct record record = {
		.type = RECORD_PROCESS,
		.pid = pid,
		.tid = pid,
		.time = time,
		.process = { .ppid = 1, .comm = comm, .exe = exe },
	};

	write_record(writer, &record);
}

static void write_end(struct record_writer *writer, uint64_t time)
{
	struct record record = { .type = RECORD_END, .pid = 1000, .tid = 1000, .time = time };

	write_record(writer, &record);
}

static const char *const modules[] = { "/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/bin/server",
				       "/usr/lib/libstore.so" };

static void add_stack(struct record *record, uint64_t which)
{
	record->event.nr_frames = 3 + (unsigned int)(which % 5);
	for (unsigned int i = 0; i < record->event.nr_frames; i++)
		record->event.frames[i] = (struct record_frame){ modules[(which + i) % 3],
								 0x1000 + 0x40 * (which * 7 + i) };
}

/* One of a server's events: blocks come and go in an arena, files are read, rights change. */
static void fill_event(struct record *record, uint64_t i)
{
	static const char *const files[] = { "/srv/data/index.db", "/srv/data/log.0" };
	uint64_t kind = next_random(100), block = next_random(20000);

	*record = (struct record){
		.type = RECORD_EVENT,
		.pid = 1000 + (uint32_t)(kind % 3),
		.time = START + i * 700 + next_random(500),
		.flags = RING_HAS_RESULT | (kind == 5 ? RING_UNCHANGED : 0),
	};
	record->tid = record->pid + (uint32_t)next_random(8);
	record->event.kind = MAPPING_ANONYMOUS;
	record->event.start = ARENA + block * 0x12000;
	record->event.end = record->event.start + 4096 * (1 + next_random(16));
	record->event.duration = 900 + next_random(4000) + (kind == 7 ? 250000 : 0);
	record->event.op = kind < 60 ? MMUN_OP_MADV_DONTNEED : MMUN_OP_MUNMAP;
	record->event.event = kind < 60 ? MMU_NOTIFY_CLEAR : MMU_NOTIFY_UNMAP;
	add_stack(record, kind % 40);
	if (kind > 90) {
		record->event.kind = MAPPING_FILE;
		record->event.name = files[block % 2];
		record->event.start = 0x7f8000000000ull + (block % 300) * 0x10000;
		record->event.end = record->event.start + 0x10000;
	} else if (kind > 84) {
		record->event.kind = MAPPING_HEAP;
		record->event.op = MMUN_OP_BRK;
		record->event.start = 0x55d000000000ull + (block % 5000) * 4096;
		record->event.end = record->event.start + 0x21000;
	} else if (kind > 80) {
		record->event.op = MMUN_OP_MPROTECT;
		record->event.event = MMU_NOTIFY_PROTECTION_VMA;
		record->event.result = block % 50 ? 0 : -ENOMEM;
	}
}

static void write_large(struct record_writer *writer, uint64_t nr)
{
	struct record record;

	for (uint32_t i = 0; i < 3; i++)
		write_process(writer, 1000 + i, START, i ? "worker" : "server", "/usr/bin/server");
	for (uint64_t i = 0; i < nr; i++) {
		fill_event(&record, i);
		write_record(writer, &record);
	}
	write_end(writer, START + nr * 700 + 1000000);
}

static void write_hostile(struct record_writer *writer)
{
	static const char *const names[] = {
		"</script><script>window.broken=1</script>",
		"<!--<script>",
		"\"'&<>`${window.broken=1}",
		"\x01\x1b[31m\n\r\t",
		"\xff\xfe\xc3(\xed\xa0\x80",
		"\342\200\256abc\342\200\250def",
		"<img src=x onerror=window.broken=1>",
		"__proto__",
		"constructor",
		"",
	};
	const size_t nr = sizeof(names) / sizeof(*names);
	struct record record;

	for (size_t i = 0; i < nr; i++) {
		write_process(writer, 1000 + (uint32_t)i, START + i, names[i], names[nr - 1 - i]);
		for (unsigned int kind = 0; kind < NR_MAPPING_KINDS + 2; kind++) {
			record = (struct record){
				.type = RECORD_EVENT,
				.pid = 1000 + (uint32_t)i,
				.tid = 1000 + (uint32_t)i,
				.time = START + 1000 * i,
				.flags = RING_HAS_RESULT,
				.event = { .op = kind == 3 ? 9999 : MMUN_OP_MUNMAP,
					   .event = kind == 4 ? 9999 : MMU_NOTIFY_UNMAP,
					   .kind = kind,
					   .start = kind == 5 ? 0 : 4096 * (1 + i) << 20,
					   .duration = kind == 6 ? UINT64_MAX / 4 : 1000,
					   .name = names[i],
					   .nr_frames = 2,
					   .result = kind == 7 ? INT64_MIN : 0 },
			};
			record.event.end = kind == 5 ? UINT64_MAX : record.event.start + 4096;
			record.event.frames[0].module = names[i];
			record.event.frames[1].offset = UINT64_MAX - i;
			write_record(writer, &record);
		}
	}
	/* Before the trace began, and after the sun is gone. */
	record.time = 0;
	write_record(writer, &record);
	record.time = UINT64_MAX;
	write_record(writer, &record);
	write_end(writer, START + 1000000);
}

static void write_many(struct record_writer *writer)
{
	struct record record;

	for (uint32_t i = 0; i < 30000; i++) {
		/* Never freed: the writer knows names by their address. */
		char *name = malloc(32);

		if (!name)
			exit(1);
		snprintf(name, 32, "/tmp/file-%u", i);
		write_process(writer, 1000 + i, START + i * 1000ull, "child", "/usr/bin/child");
		fill_event(&record, i);
		record.pid = record.tid = 1000 + i;
		record.time = START + i * 1000ull;
		record.event.kind = MAPPING_FILE;
		record.event.name = name;
		record.event.frames[0].offset = i;
		write_record(writer, &record);
		record.type = RECORD_RELEASE;
		write_record(writer, &record);
	}
	write_end(writer, START + 30001000ull);
}

int main(int argc, char **argv)
{
	struct record_header header = {
		.start_monotonic = START,
		.start_realtime = 1700000000000000000ull,
		.command = "server '</script><b>'",
		.version = "test",
	};
	struct record_writer writer;
	FILE *out;

	if (argc != 3)
		return 2;
	out = fopen(argv[2], "w");
	if (!out || record_writer_open(&writer, out, &header)) {
		perror(argv[2]);
		return 1;
	}
	if (!strcmp(argv[1], "hostile"))
		write_hostile(&writer);
	else if (!strcmp(argv[1], "many"))
		write_many(&writer);
	else
		write_large(&writer, strtoull(argv[1], NULL, 10));
	if (record_writer_close(&writer) || fclose(out)) {
		perror(argv[2]);
		return 1;
	}
	return 0;
}
