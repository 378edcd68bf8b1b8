/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Recordings: records to bytes and back; mmunotify-recording(5) is the format.
 *
 * Invariants: every byte after the magic belongs to a frame {length, body,
 * CRC-16 of the body}, so damage anywhere is noticed and its place is known; a
 * string is defined before the first record that names it.  A reader trusts no
 * number in the file.  It does not print.  Tests: tests/unit/tool/record.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/mmu_notifier.h>

#include "intern.h"
#include "record.h"

static const unsigned char magic[8] = { 0x89, 'M', 'M', 'U', 'N', '\r', '\n', 0x1a };

#define FORMAT_VERSION 1
/* Frame types beside enum record_type. */
#define FRAME_HEADER 0
#define FRAME_STRING 64

#define MAX_BODY   8192
#define MAX_STRING (MAX_BODY - 64)

static const char *const event_names[] = {
	[MMU_NOTIFY_UNMAP] = "unmap",
	[MMU_NOTIFY_CLEAR] = "clear",
	[MMU_NOTIFY_PROTECTION_VMA] = "protect",
	[MMU_NOTIFY_PROTECTION_PAGE] = "protect-page",
	[MMU_NOTIFY_SOFT_DIRTY] = "soft-dirty",
	[MMU_NOTIFY_RELEASE] = "release",
	[MMU_NOTIFY_MIGRATE] = "migrate",
	[MMU_NOTIFY_EXCLUSIVE] = "exclusive",
};

static const char *const kind_names[NR_MAPPING_KINDS] = {
	[MAPPING_UNKNOWN] = "unknown",     [MAPPING_NONE] = "nothing",
	[MAPPING_ANONYMOUS] = "anonymous", [MAPPING_HEAP] = "heap",
	[MAPPING_STACK] = "stack",         [MAPPING_THREAD_STACK] = "thread-stack",
	[MAPPING_FILE] = "file",           [MAPPING_MEMFD] = "memfd",
	[MAPPING_SYSV] = "sysv",           [MAPPING_SHARED_ANONYMOUS] = "shared-anonymous",
	[MAPPING_SPECIAL] = "special",     [MAPPING_ALL] = "all",
};

const char *record_event_name(unsigned int event)
{
	return event < MMUN_NR_EVENTS ? event_names[event] : "unknown";
}

const char *record_kind_name(unsigned int kind)
{
	return kind < NR_MAPPING_KINDS ? kind_names[kind] : "unknown";
}

/* CRC-16/CCITT, initial value 0xffff; by half bytes, for what each does to the rest. */
static uint16_t crc16(const unsigned char *bytes, size_t length)
{
	static const uint16_t table[16] = {
		0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
		0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef,
	};
	uint16_t crc = 0xffff;

	while (length--) {
		crc = (uint16_t)(crc << 4 ^ table[crc >> 12 ^ *bytes >> 4]);
		crc = (uint16_t)(crc << 4 ^ table[crc >> 12 ^ (*bytes++ & 15)]);
	}
	return crc;
}

/* A frame being built. */
struct body {
	size_t length;
	unsigned char bytes[MAX_BODY];
};

static void put_byte(struct body *body, unsigned int byte)
{
	if (body->length < sizeof(body->bytes))
		body->bytes[body->length++] = (unsigned char)byte;
}

static void put(struct body *body, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		put_byte(body, 0x80 | (value & 0x7f));
	put_byte(body, (unsigned int)value);
}

/* Sign in the lowest bit, so that small negative numbers are short too. */
static void put_signed(struct body *body, int64_t value)
{
	put(body, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static void put_text(struct body *body, const char *text)
{
	size_t length = text ? strnlen(text, MAX_STRING / 2) : 0;

	put(body, length);
	while (length--)
		put_byte(body, (unsigned char)*text++);
}

static int write_frame(FILE *out, const struct body *body)
{
	uint16_t crc = crc16(body->bytes, body->length);
	struct body length;

	length.length = 0;
	put(&length, body->length);
	fwrite(length.bytes, 1, length.length, out);
	fwrite(body->bytes, 1, body->length, out);
	putc(crc & 0xff, out);
	putc(crc >> 8, out);
	return ferror(out) ? -(errno ? errno : EIO) : 0;
}

/* The numbers that the file gives to strings, by the strings' addresses. */
struct string_ids {
	struct key_map numbers;
	uint64_t last;
};

/* The number of @text, after defining it in the file; 0 for none. */
static uint64_t string_id(struct record_writer *writer, const char *text)
{
	struct string_ids *ids = writer->ids;
	struct body body;
	void **place;

	if (!text || !*text)
		return 0;
	place = key_map_place(&ids->numbers, (uintptr_t)text);
	if (!place)
		return 0;
	if (!*place) {
		body.length = 0;
		put_byte(&body, FRAME_STRING);
		put_text(&body, text);
		write_frame(writer->out, &body);
		*place = (void *)(uintptr_t)++ids->last;
	}
	return (uintptr_t)*place;
}

int record_writer_open(struct record_writer *writer, FILE *out, const struct record_header *header)
{
	struct body body;

	body.length = 0;
	memset(writer, 0, sizeof(*writer));
	writer->ids = calloc(1, sizeof(*writer->ids));
	if (!writer->ids)
		return -ENOMEM;
	writer->out = out;
	writer->last_time = header->start_monotonic;
	fwrite(magic, 1, sizeof(magic), out);
	putc(FORMAT_VERSION, out);
	put_byte(&body, FRAME_HEADER);
	put(&body, header->start_monotonic);
	put(&body, header->start_realtime);
	put_text(&body, header->version);
	put_text(&body, header->command);
	return write_frame(out, &body);
}

static void put_event(struct record_writer *writer, struct body *body, const struct record *record)
{
	uint64_t modules[RING_MAX_FRAMES], name = string_id(writer, record->event.name);

	for (unsigned int i = 0; i < record->event.nr_frames; i++)
		modules[i] = string_id(writer, record->event.frames[i].module);
	put(body, record->event.op);
	put(body, record->event.event);
	put(body, record->event.kind);
	put_signed(body, (int64_t)(record->event.start - writer->last_start));
	put(body, record->event.end - record->event.start);
	put(body, record->event.duration);
	put_signed(body, record->event.result);
	put(body, name);
	put(body, record->event.offset);
	put(body, record->event.nr_frames);
	for (unsigned int i = 0; i < record->event.nr_frames; i++) {
		put(body, modules[i]);
		put(body, record->event.frames[i].offset);
	}
	writer->last_start = record->event.start;
}

static void put_process(struct record_writer *writer, struct body *body,
			const struct record *record)
{
	uint64_t exe = string_id(writer, record->process.exe);

	put(body, record->process.ppid);
	put(body, (uint64_t)record->process.error);
	put_text(body, record->process.comm);
	put(body, exe);
}

int record_write(struct record_writer *writer, const struct record *record)
{
	struct body body;

	body.length = 0;
	put_byte(&body, record->type);
	put(&body, record->flags);
	put_signed(&body, (int64_t)(record->time - writer->last_time));
	put(&body, record->pid);
	put(&body, record->tid);
	writer->last_time = record->time;
	switch (record->type) {
	case RECORD_PROCESS:
		put_process(writer, &body, record);
		break;
	case RECORD_EVENT:
		put_event(writer, &body, record);
		break;
	case RECORD_LOST:
		put(&body, record->lost.dropped);
		put(&body, record->lost.abandoned);
		put(&body, record->lost.too_deep);
		put(&body, record->lost.unfollowed);
		put(&body, record->lost.unredirected);
		break;
	case RECORD_END:
		put(&body, (uint64_t)record->end.wait_status);
		break;
	case RECORD_UNFOLLOWED:
		put_text(&body, record->unfollowed.exe);
		put_text(&body, record->unfollowed.reason);
		break;
	case RECORD_RELEASE:
		break;
	}
	return write_frame(writer->out, &body);
}

int record_writer_close(struct record_writer *writer)
{
	int error = fflush(writer->out) ? -errno : 0;

	if (writer->ids)
		key_map_clear(&writer->ids->numbers);
	free(writer->ids);
	writer->ids = NULL;
	return error;
}

/* A frame being taken apart; reading past its end gives zeros and is noticed. */
struct cursor {
	const unsigned char *at, *end;
	bool bad;
};

static unsigned int get_byte(struct cursor *cursor)
{
	if (cursor->at == cursor->end) {
		cursor->bad = true;
		return 0;
	}
	return *cursor->at++;
}

static uint64_t get(struct cursor *cursor)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 64; shift += 7) {
		unsigned int byte = get_byte(cursor);

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	cursor->bad = true;
	return 0;
}

static int64_t get_signed(struct cursor *cursor)
{
	uint64_t value = get(cursor);

	return (int64_t)(value >> 1 ^ -(value & 1));
}

static const char *get_text(struct cursor *cursor, struct intern *intern)
{
	uint64_t length = get(cursor);
	const char *text = (const char *)cursor->at;

	if (length > (size_t)(cursor->end - cursor->at)) {
		cursor->bad = true;
		return "";
	}
	cursor->at += length;
	return intern_text(intern, text, length);
}

static const char *get_string(struct cursor *cursor, struct record_reader *reader)
{
	uint64_t id = get(cursor);

	if (id > reader->nr_strings)
		cursor->bad = true;
	return id && id <= reader->nr_strings ? reader->strings[id - 1] : NULL;
}

static int damaged(struct record_reader *reader, const char *what)
{
	reader->damage = what;
	return -EINVAL;
}

/* Return: 1 with the body in @body, 0 at the end of the file, or -EINVAL. */
static int read_frame(struct record_reader *reader, struct body *body)
{
	unsigned char head[10], tail[2];
	struct cursor cursor = { head, head, false };
	uint64_t length;
	int c = EOF;

	for (size_t i = 0; i < sizeof(head); i++) {
		c = getc(reader->in);
		if (c == EOF)
			break;
		head[i] = (unsigned char)c;
		reader->position++;
		cursor.end++;
		if (!(c & 0x80))
			break;
	}
	if (c == EOF)
		return cursor.end == head ? 0 : damaged(reader, "the file ends inside a record");
	length = get(&cursor);
	if (cursor.bad || !length || length > sizeof(body->bytes))
		return damaged(reader, "a record has an impossible length");
	if (fread(body->bytes, 1, length, reader->in) != length ||
	    fread(tail, 1, sizeof(tail), reader->in) != sizeof(tail))
		return damaged(reader, "the file ends inside a record");
	if (crc16(body->bytes, length) != (tail[0] | tail[1] << 8))
		return damaged(reader, "a record does not match its checksum");
	reader->position += length + sizeof(tail);
	body->length = length;
	return 1;
}

static int add_string(struct record_reader *reader, struct cursor *cursor)
{
	if (reader->nr_strings == reader->max_strings) {
		uint64_t max = reader->max_strings ? reader->max_strings * 2 : 64;
		const char **strings = realloc(reader->strings, max * sizeof(*strings));

		if (!strings)
			return damaged(reader, "there is not enough memory for its names");
		reader->strings = strings;
		reader->max_strings = max;
	}
	reader->strings[reader->nr_strings++] = get_text(cursor, reader->intern);
	return cursor->bad ? damaged(reader, "a name is cut short") : 0;
}

static void get_event(struct record_reader *reader, struct cursor *cursor, struct record *record)
{
	record->event.op = (unsigned int)get(cursor);
	record->event.event = (unsigned int)get(cursor);
	record->event.kind = (unsigned int)get(cursor);
	record->event.start = reader->last_start + (uint64_t)get_signed(cursor);
	record->event.end = record->event.start + get(cursor);
	record->event.duration = get(cursor);
	record->event.result = get_signed(cursor);
	record->event.name = get_string(cursor, reader);
	record->event.offset = get(cursor);
	record->event.nr_frames = (unsigned int)get(cursor);
	if (record->event.nr_frames > RING_MAX_FRAMES) {
		cursor->bad = true;
		return;
	}
	for (unsigned int i = 0; i < record->event.nr_frames; i++) {
		record->event.frames[i].module = get_string(cursor, reader);
		record->event.frames[i].offset = get(cursor);
	}
	reader->last_start = record->event.start;
}

static void get_body(struct record_reader *reader, struct cursor *cursor, struct record *record)
{
	switch (record->type) {
	case RECORD_PROCESS:
		record->process.ppid = (uint32_t)get(cursor);
		record->process.error = (int)get(cursor);
		record->process.comm = get_text(cursor, reader->intern);
		record->process.exe = get_string(cursor, reader);
		break;
	case RECORD_EVENT:
		get_event(reader, cursor, record);
		break;
	case RECORD_LOST:
		record->lost.dropped = get(cursor);
		record->lost.abandoned = get(cursor);
		record->lost.too_deep = get(cursor);
		record->lost.unfollowed = get(cursor);
		/* Not in older recordings. */
		record->lost.unredirected = cursor->at < cursor->end ? get(cursor) : 0;
		break;
	case RECORD_END:
		record->end.wait_status = (int)get(cursor);
		reader->ended = true;
		break;
	case RECORD_UNFOLLOWED:
		record->unfollowed.exe = get_text(cursor, reader->intern);
		record->unfollowed.reason = get_text(cursor, reader->intern);
		break;
	case RECORD_RELEASE:
		break;
	}
}

/* Return: 1, 0 for a frame of a type that this version does not know, or -EINVAL. */
static int decode(struct record_reader *reader, const struct body *body, struct record *record)
{
	struct cursor cursor = { body->bytes, body->bytes + body->length, false };
	unsigned int type = get_byte(&cursor);

	if (type == FRAME_STRING)
		return add_string(reader, &cursor);
	if (type < RECORD_PROCESS || type > RECORD_UNFOLLOWED)
		return 0;
	memset(record, 0, sizeof(*record));
	record->type = type;
	record->flags = (unsigned int)get(&cursor);
	record->time = reader->last_time + (uint64_t)get_signed(&cursor);
	record->pid = (uint32_t)get(&cursor);
	record->tid = (uint32_t)get(&cursor);
	get_body(reader, &cursor, record);
	reader->last_time = record->time;
	return cursor.bad ? damaged(reader, "a record is malformed") : 1;
}

int record_read(struct record_reader *reader, struct record *record)
{
	struct body body;
	int result;

	do {
		reader->offset = reader->position;
		result = read_frame(reader, &body);
		if (!result)
			return reader->ended ? 0 : damaged(reader, "its end is missing");
		if (result > 0)
			result = decode(reader, &body, record);
	} while (!result);
	return result;
}

int record_reader_open(struct record_reader *reader, FILE *in, struct intern *intern,
		       struct record_header *header)
{
	unsigned char start[sizeof(magic) + 1];
	struct cursor cursor;
	struct body body;

	memset(reader, 0, sizeof(*reader));
	reader->in = in;
	reader->intern = intern;
	if (fread(start, 1, sizeof(start), in) != sizeof(start) ||
	    memcmp(start, magic, sizeof(magic)))
		return damaged(reader, "it is not a recording of mmunotify trace");
	reader->offset = reader->position = sizeof(magic);
	if (start[sizeof(magic)] != FORMAT_VERSION) {
		snprintf(reader->damage_text, sizeof(reader->damage_text),
			 "its format is of another version, %u; this mmunotify reads version %u",
			 start[sizeof(magic)], FORMAT_VERSION);
		reader->damage = reader->damage_text;
		return -ENOTSUP;
	}
	reader->offset = ++reader->position;
	if (read_frame(reader, &body) <= 0)
		return damaged(reader, reader->damage ? reader->damage : "its header is missing");
	cursor = (struct cursor){ body.bytes, body.bytes + body.length, false };
	if (get_byte(&cursor) != FRAME_HEADER)
		return damaged(reader, "its header is missing");
	header->start_monotonic = get(&cursor);
	header->start_realtime = get(&cursor);
	header->version = get_text(&cursor, intern);
	header->command = get_text(&cursor, intern);
	reader->last_time = header->start_monotonic;
	return cursor.bad ? damaged(reader, "its header is malformed") : 0;
}

void record_reader_close(struct record_reader *reader)
{
	free(reader->strings);
	reader->strings = NULL;
}
