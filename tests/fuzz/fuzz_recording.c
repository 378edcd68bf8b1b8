/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bytes as a recording, read and shown in a format of `mmunotify replay`.
 *
 * The first byte says how (HOW_*), the second which format, the third how much of the
 * recording is there for I2; then the length of a filter, a byte, and the filter.  The rest is
 * the recording, or its frames only: then magic, version and checksums are added, which a
 * fuzzer would seldom find.
 *
 * I1  A recording is whole, or it is said what is wrong at which byte of it.
 * I2  What can be read of one that is cut off is the beginning of what is read of the whole.
 * I3  What the format of recordings writes is read again as the same.
 * I4  Nothing is left behind (the fuzzer's leak checker says so).
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "intern.h"
#include "output.h"
#include "record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(condition) \
	do { \
		if (!(condition)) \
			must_failed(#condition, __LINE__); \
	} while (0)

static void must_failed(const char *what, int line)
{
	fprintf(stdout, "fuzz_recording.c:%d: does not hold: %s\n", line, what);
	abort();
}

/* A filter's error is for the command line. */
int mmunotify_usage_error(const char *command, const char *format, ...)
{
	return MMUNOTIFY_EXIT_USAGE;
}

#define HOW_RAW      1
#define HOW_QUIET    2
#define HOW_STACKS   4
#define HOW_JSON     8
#define HOW_ABSOLUTE 16
#define HOW_NO_TIME  32
#define HOW_COLOUR   64

#define MAX_RECORDS 4096

/* What a reading gives. */
struct reading {
	int result;
	size_t nr;
	uint64_t hashes[MAX_RECORDS];
};

/* A recording in memory. */
struct bytes {
	uint8_t *data;
	size_t size;
};

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3ull;
	return hash;
}

/* As much of it as is written; without one is as empty. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
	return hash_bytes(hash, text ? text : "", text ? strnlen(text, 4000) : 0);
}

#define HASH(hash, member) hash_bytes(hash, &(member), sizeof(member))

static uint64_t hash_event(uint64_t hash, const struct record *record)
{
	must(record->event.nr_frames <= RING_MAX_FRAMES);
	hash = HASH(hash, record->event.op);
	hash = HASH(hash, record->event.event);
	hash = HASH(hash, record->event.kind);
	hash = HASH(hash, record->event.start);
	hash = HASH(hash, record->event.end);
	hash = HASH(hash, record->event.duration);
	hash = HASH(hash, record->event.offset);
	hash = HASH(hash, record->event.result);
	hash = hash_text(hash, record->event.name);
	for (unsigned int i = 0; i < record->event.nr_frames; i++) {
		hash = hash_text(hash, record->event.frames[i].module);
		hash = HASH(hash, record->event.frames[i].offset);
	}
	return hash;
}

static uint64_t hash_of(const struct record *record)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	hash = HASH(hash, record->type);
	hash = HASH(hash, record->pid);
	hash = HASH(hash, record->tid);
	hash = HASH(hash, record->time);
	hash = HASH(hash, record->flags);
	switch (record->type) {
	case RECORD_PROCESS:
		hash = HASH(hash, record->process.ppid);
		hash = HASH(hash, record->process.error);
		hash = hash_text(hash, record->process.comm);
		return hash_text(hash, record->process.exe);
	case RECORD_EVENT:
		return hash_event(hash, record);
	case RECORD_LOST:
		return HASH(hash, record->lost);
	case RECORD_END:
		return HASH(hash, record->end.wait_status);
	case RECORD_UNFOLLOWED:
		return hash_text(hash_text(hash, record->unfollowed.exe),
				 record->unfollowed.reason);
	case RECORD_RELEASE:
		return hash;
	}
	must(!"a type that is not known");
	return 0;
}

static FILE *open_bytes(const struct bytes *recording)
{
	FILE *in = fmemopen(recording->data, recording->size, "r");

	must(in);
	return in;
}

/* I1.  @sink: NULL, or where the records go, opened. */
static void read_recording(const struct bytes *recording, struct reading *reading,
			   const struct sink_ops *ops, const struct output_options *options,
			   FILE *out)
{
	FILE *in = recording->size ? open_bytes(recording) : fopen("/dev/null", "r");
	struct intern *intern = intern_new();
	struct record_reader reader;
	struct record_header header;
	struct record record;
	struct sink sink;

	must(in && intern);
	reading->nr = 0;
	reading->result = record_reader_open(&reader, in, intern, &header);
	if (!reading->result) {
		if (ops)
			must(!sink_open(&sink, ops, options, out, &header));
		while ((reading->result = record_read(&reader, &record)) > 0) {
			uint64_t hash = hash_of(&record);

			if (reading->nr < MAX_RECORDS)
				reading->hashes[reading->nr] = hash;
			reading->nr++;
			if (ops)
				must(!sink_record(&sink, &record));
		}
		if (ops)
			must(!sink_close(&sink));
	}
	if (reading->result)
		must(reader.damage && *reader.damage && reader.offset <= recording->size);
	else
		must(reader.ended);
	record_reader_close(&reader);
	intern_free(intern);
	fclose(in);
}

static uint16_t crc16(const uint8_t *bytes, size_t size)
{
	uint16_t crc = 0xffff;

	for (; size--; bytes++) {
		crc ^= (uint16_t)(*bytes << 8);
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
	}
	return crc;
}

/* The checksums of whole frames made right. */
static void mend(struct bytes *recording)
{
	size_t at = 9;

	while (at < recording->size) {
		size_t length = 0, shift = 0;
		uint16_t crc;

		while (at < recording->size && shift < 28) {
			uint8_t byte = recording->data[at++];

			length |= (size_t)(byte & 0x7f) << shift;
			shift += 7;
			if (!(byte & 0x80))
				break;
		}
		if (length + 2 > recording->size - at)
			return;
		crc = crc16(recording->data + at, length);
		recording->data[at + length] = (uint8_t)crc;
		recording->data[at + length + 1] = (uint8_t)(crc >> 8);
		at += length + 2;
	}
}

static struct bytes make_recording(const uint8_t *data, size_t size, bool raw)
{
	static const uint8_t start[] = { 0x89, 'M', 'M', 'U', 'N', '\r', '\n', 0x1a, 1 };
	size_t before = raw ? 0 : sizeof(start);
	struct bytes recording = { malloc(before + size + 1), before + size };

	must(recording.data);
	memcpy(recording.data, start, before);
	memcpy(recording.data + before, data, size);
	if (!raw)
		mend(&recording);
	return recording;
}

/* Of the formats' table and the one of recordings. */
static const struct sink_ops *choose(uint8_t number, bool json)
{
	unsigned int nr = 0;

	while (output_formats[nr].option)
		nr++;
	number %= nr + 1;
	if (number == nr)
		return &sink_recording;
	if (json && output_formats[number].json)
		return output_formats[number].json;
	/* Pages are not in every build. */
	return output_formats[number].ops->open ? output_formats[number].ops : &sink_text;
}

/* I3: of a whole recording, all of whose records are written. */
static void check_copy(const struct reading *reading, const char *text, size_t size)
{
	struct bytes copy = { (uint8_t *)text, size };
	static struct reading again;

	read_recording(&copy, &again, NULL, NULL, NULL);
	must(again.result == 0 && again.nr == reading->nr);
	for (size_t i = 0; i < reading->nr && i < MAX_RECORDS; i++)
		must(again.hashes[i] == reading->hashes[i]);
}

/* I2 */
static void check_part(const struct reading *reading, const struct bytes *recording, uint8_t part)
{
	/* In memory of its size, so that a sanitizer sees a read behind its end. */
	struct bytes cut = { NULL, recording->size * part / 256 };
	static struct reading of_part;

	cut.data = malloc(cut.size + !cut.size);
	must(cut.data);
	memcpy(cut.data, recording->data, cut.size);
	read_recording(&cut, &of_part, NULL, NULL, NULL);
	must(of_part.nr <= reading->nr);
	for (size_t i = 0; i < of_part.nr && i < MAX_RECORDS; i++)
		must(of_part.hashes[i] == reading->hashes[i]);
	free(cut.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct reading reading;
	struct output_options options = { 0 };
	const struct sink_ops *ops;
	struct filter_error error;
	struct bytes recording;
	char *text = NULL, expression[256];
	size_t length, filter;
	FILE *out;

	if (size < 4 || data[3] > size - 4)
		return 0;
	filter = data[3];
	options.quiet = data[0] & HOW_QUIET;
	options.stacks = data[0] & HOW_STACKS;
	options.time = data[0] & HOW_NO_TIME    ? TIME_NONE
		       : data[0] & HOW_ABSOLUTE ? TIME_ABSOLUTE
						: TIME_RELATIVE;
	options.colour = data[0] & HOW_COLOUR ? COLOUR_ALWAYS : COLOUR_NEVER;
	memcpy(expression, data + 4, filter);
	expression[filter] = '\0';
	if (filter && filter_parse(&options.filter, expression, &error))
		must(error.column <= filter + 1 && *error.text);
	ops = choose(data[1], data[0] & HOW_JSON);
	recording = make_recording(data + 4 + filter, size - 4 - filter, data[0] & HOW_RAW);
	out = open_memstream(&text, &length);
	must(out);
	read_recording(&recording, &reading, ops, &options, out);
	fclose(out);
	if (ops == &sink_recording && !reading.result && !options.filter.nr)
		check_copy(&reading, text, length);
	check_part(&reading, &recording, data[2]);
	filter_clear(&options.filter);
	free(recording.data);
	free(text);
	return 0;
}
