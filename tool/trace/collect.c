/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Messages from the ring made into records.
 *
 * Names and stacks arrive in pieces before the first event that refers to
 * them; a piece that was lost leaves the name unknown until it is sent again.
 * What comes through the ring was written by programs and is not trusted: every
 * number is checked before it is used.
 * Tests: tests/system/trace_events.py, tests/system/trace_overflow.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/op.h>

#include "collect.h"
#include "command.h"

/* A text or a stack on its way or complete. */
struct blob {
	uint32_t kind, total, got;
	/* Of a complete text. */
	const char *text;
	unsigned char bytes[];
};

static void emit(struct collector *collector, const struct record *record)
{
	if (!collector->error)
		collector->error = sink_record(collector->sink, record);
}

/* On stderr as well, once for each program, where the output is elsewhere. */
static void name_unfollowed(struct collector *collector, const char *exe, const char *reason)
{
	char sentence[4 * RING_MAX_TEXT], name[2 * RING_MAX_TEXT], why[RING_MAX_TEXT];
	void **place;

	if (collector->sink->out == stderr)
		return;
	terminal_escape(exe, name, sizeof(name));
	terminal_escape(reason, why, sizeof(why));
	snprintf(sentence, sizeof(sentence), "not followed: %s: %s", name, why);
	place = key_map_place(&collector->named, (uintptr_t)intern_text(collector->intern, sentence,
									strlen(sentence)));
	if (place && *place)
		return;
	if (place)
		*place = collector;
	mmunotify_error(collector->command, "%s", sentence);
}

static const char *keep(struct collector *collector, const char *text)
{
	const char *kept = intern_text(collector->intern, text, strlen(text));

	return kept ? kept : "?";
}

static void report_unfollowed(void *arg, uint32_t pid, const char *exe, const char *reason,
			      uint64_t now)
{
	struct collector *collector = arg;
	struct record record = {
		.type = RECORD_UNFOLLOWED,
		.time = now,
		.pid = pid,
		.tid = pid,
		.unfollowed = { .exe = keep(collector, exe ? exe : "a program"),
				.reason = keep(collector, reason) },
	};

	emit(collector, &record);
	name_unfollowed(collector, record.unfollowed.exe, reason);
}

int collector_init(struct collector *collector, struct ring *ring, ino_t ring_inode,
		   struct sink *sink)
{
	memset(collector, 0, sizeof(*collector));
	collector->reader.ring = ring;
	collector->follow = (struct follow){
		.ring_inode = ring_inode,
		.report = report_unfollowed,
		.arg = collector,
	};
	collector->sink = sink;
	collector->intern = intern_new();
	return collector->intern ? 0 : -ENOMEM;
}

void collector_free(struct collector *collector)
{
	key_map_free_values(&collector->blobs);
	key_map_clear(&collector->named);
	follow_free(&collector->follow);
	intern_free(collector->intern);
}

static bool piece_is_sound(const struct ring_blob *piece)
{
	uint32_t limit = piece->kind == RING_BLOB_STACK
				 ? RING_MAX_FRAMES * sizeof(struct ring_frame)
				 : RING_MAX_TEXT;

	return piece->total && piece->total <= limit && piece->offset < piece->total && piece->hash;
}

static void take_blob(struct collector *collector, const struct ring_blob *piece)
{
	void **place = piece_is_sound(piece) ? key_map_place(&collector->blobs, piece->hash) : NULL;
	uint32_t length = piece->total - piece->offset;
	struct blob *blob;

	if (!place)
		return;
	if (!*place) {
		*place = calloc(1, sizeof(*blob) + piece->total);
		if (!*place)
			return;
		((struct blob *)*place)->total = piece->total;
		((struct blob *)*place)->kind = piece->kind;
	}
	blob = *place;
	/* Several processes may send the same; each piece counts once. */
	if (blob->got != piece->offset || blob->total != piece->total)
		return;
	if (length > sizeof(piece->bytes))
		length = sizeof(piece->bytes);
	memcpy(blob->bytes + blob->got, piece->bytes, length);
	blob->got += length;
	if (blob->got == blob->total && blob->kind == RING_BLOB_TEXT)
		blob->text = intern_text(collector->intern, (char *)blob->bytes,
					 strnlen((char *)blob->bytes, blob->total));
}

static const struct blob *find_blob(struct collector *collector, uint64_t hash, uint32_t kind)
{
	const struct blob *blob = hash ? key_map_find(&collector->blobs, hash) : NULL;

	return blob && blob->kind == kind && blob->got == blob->total ? blob : NULL;
}

const char *collector_text(struct collector *collector, uint64_t hash)
{
	const struct blob *blob = find_blob(collector, hash, RING_BLOB_TEXT);

	if (!hash)
		return NULL;
	return blob ? blob->text : "(name lost)";
}

unsigned int collector_stack(struct collector *collector, uint64_t hash,
			     struct record_frame frames[RING_MAX_FRAMES])
{
	const struct blob *blob = find_blob(collector, hash, RING_BLOB_STACK);
	unsigned int nr = blob ? blob->total / sizeof(struct ring_frame) : 0;
	struct ring_frame frame;

	for (unsigned int i = 0; i < nr; i++) {
		memcpy(&frame, blob->bytes + i * sizeof(frame), sizeof(frame));
		frames[i].module = collector_text(collector, frame.module);
		frames[i].offset = frame.offset;
	}
	return nr;
}

static void take_event(struct collector *collector, const struct ring_event *event,
		       struct record *record)
{
	record->type = RECORD_EVENT;
	record->event.op = event->op;
	record->event.event = event->event;
	record->event.kind = event->kind;
	record->event.start = event->start;
	record->event.end = event->end;
	record->event.duration = event->duration;
	record->event.result = event->result;
	record->event.offset = event->offset;
	record->event.name = collector_text(collector, event->name);
	record->event.nr_frames = collector_stack(collector, event->stack, record->event.frames);
	/* The child may take a while to come forward. */
	if (record->event.op == MMUN_OP_FORK && record->event.result > 0)
		follow_forked(&collector->follow, (uint32_t)record->event.result, record->pid,
			      record->time);
	emit(collector, record);
}

static void take_process(struct collector *collector, const struct ring_message *ring_message,
			 struct record *record)
{
	const struct ring_process *message = &ring_message->process;
	char comm[sizeof(message->comm) + 1];

	follow_attached(&collector->follow, ring_message);
	memcpy(comm, message->comm, sizeof(message->comm));
	comm[sizeof(message->comm)] = '\0';
	record->type = RECORD_PROCESS;
	record->process.ppid = message->ppid;
	record->process.error = message->error;
	record->process.comm = intern_text(collector->intern, comm, strlen(comm));
	record->process.exe = collector_text(collector, message->exe);
	emit(collector, record);
}

static void take_release(struct collector *collector, struct record *record)
{
	follow_released(&collector->follow, record->pid, record->time);
	record->type = RECORD_RELEASE;
	emit(collector, record);
}

static void take(struct collector *collector, const struct ring_message *message)
{
	struct record record = {
		.pid = message->pid,
		.tid = message->tid,
		.time = message->time,
		.flags = message->flags,
	};

	switch (message->type) {
	case RING_EVENT:
		take_event(collector, &message->event, &record);
		break;
	case RING_PROCESS:
		take_process(collector, message, &record);
		break;
	case RING_RELEASE:
		take_release(collector, &record);
		break;
	case RING_BLOB:
		take_blob(collector, &message->blob);
		break;
	case RING_EXEC:
		follow_exec(&collector->follow, message,
			    collector_text(collector, message->exec.file));
		break;
	case RING_EXEC_FAILED:
		follow_exec_failed(&collector->follow, message->pid,
				   collector_text(collector, message->exec.file),
				   message->exec.error, message->time);
		break;
	default:
		if (collector->other)
			collector->other(collector, message);
	}
}

void collector_drain(struct collector *collector)
{
	struct ring_message message;
	bool any = false;

	while (ring_read(&collector->reader, &message)) {
		take(collector, &message);
		any = true;
	}
	if (any && !collector->error && fflush(collector->sink->out))
		collector->error = -errno;
}

void collector_finish(struct collector *collector, pid_t child, int wait_status, uint64_t now)
{
	const struct ring_header *header = collector->reader.ring->header;
	struct record record = {
		.type = RECORD_LOST, .time = now, .pid = (uint32_t)child, .tid = (uint32_t)child
	};

	record.lost.dropped = header->dropped;
	record.lost.abandoned = header->abandoned;
	record.lost.too_deep = header->too_deep;
	record.lost.unfollowed = collector->follow.unfollowed;
	record.lost.unredirected = header->unredirected;
	if (header->dropped || header->abandoned || header->too_deep ||
	    collector->follow.unfollowed || header->unredirected)
		emit(collector, &record);
	record.type = RECORD_END;
	memset(&record.lost, 0, sizeof(record.lost));
	record.end.wait_status = wait_status;
	emit(collector, &record);
}
