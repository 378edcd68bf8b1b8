/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Messages from the ring made into records.
 *
 * Names and stacks arrive in pieces before the first event that refers to
 * them; a piece that was lost leaves the name unknown until it is sent again.
 * What comes through the ring was written by programs and is not trusted: every
 * number is checked before it is used.  Whether a process is traced is not
 * guessed from messages: its maps either show the ring or do not.
 * Tests: tests/system/trace_events.py, tests/system/trace_overflow.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/op.h>

#include "collect.h"

#define RELEASED_PATIENCE_NS 500000000ull

/* A text or a stack on its way or complete. */
struct blob {
	uint32_t kind, total, got;
	/* Of a complete text. */
	const char *text;
	unsigned char bytes[];
};

struct process {
	/* When its address space went away; 0: it has one that we watch. */
	uint64_t released;
	bool gone;
};

int collector_init(struct collector *collector, struct ring *ring, ino_t ring_inode,
		   struct sink *sink)
{
	memset(collector, 0, sizeof(*collector));
	collector->reader.ring = ring;
	collector->ring_inode = ring_inode;
	collector->sink = sink;
	collector->intern = intern_new();
	return collector->intern ? 0 : -ENOMEM;
}

void collector_free(struct collector *collector)
{
	key_map_free_values(&collector->blobs);
	key_map_free_values(&collector->processes);
	intern_free(collector->intern);
}

static void emit(struct collector *collector, const struct record *record)
{
	if (!collector->error)
		collector->error = sink_record(collector->sink, record);
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

static struct process *process_of(struct collector *collector, uint32_t pid)
{
	void **place = key_map_place(&collector->processes, pid);

	if (place && !*place)
		*place = calloc(1, sizeof(struct process));
	return place ? *place : NULL;
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
		process_of(collector, (uint32_t)record->event.result);
	emit(collector, record);
}

static void take_process(struct collector *collector, const struct ring_process *message,
			 struct record *record)
{
	struct process *process = process_of(collector, record->pid);
	char comm[sizeof(message->comm) + 1];

	if (process)
		*process = (struct process){ 0 };
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
	struct process *process = process_of(collector, record->pid);

	if (process)
		process->released = record->time;
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
		take_process(collector, &message->process, &record);
		break;
	case RING_RELEASE:
		take_release(collector, &record);
		break;
	case RING_BLOB:
		take_blob(collector, &message->blob);
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

enum trace_state { PROCESS_GONE, PROCESS_TRACED, PROCESS_UNTRACED };

/* A dead or exiting process has no maps; one of another user shows none to us. */
static enum trace_state state_of(struct collector *collector, pid_t pid)
{
	enum trace_state state = PROCESS_GONE;
	unsigned long long inode;
	char path[40], line[4200];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	if (!maps)
		return errno == EACCES ? PROCESS_UNTRACED : PROCESS_GONE;
	while (state != PROCESS_TRACED && fgets(line, sizeof(line), maps)) {
		state = PROCESS_UNTRACED;
		if (sscanf(line, "%*s %*s %*s %*s %llu", &inode) == 1 &&
		    inode == collector->ring_inode && strstr(line, "/memfd:" RING_NAME))
			state = PROCESS_TRACED;
	}
	fclose(maps);
	return state;
}

void collector_check_released(struct collector *collector, uint64_t now)
{
	for (size_t i = 0; i < collector->processes.size; i++) {
		const struct key_entry *entry = &collector->processes.entries[i];
		struct process *process = entry->value;

		if (!process || process->gone || !process->released ||
		    now < process->released + RELEASED_PATIENCE_NS)
			continue;
		if (state_of(collector, (pid_t)entry->key) == PROCESS_UNTRACED)
			collector->unfollowed++;
		process->gone = true;
	}
}

bool collector_is_anybody_alive(struct collector *collector, uint64_t now)
{
	bool alive = false;
	enum trace_state state;

	for (size_t i = 0; i < collector->processes.size; i++) {
		const struct key_entry *entry = &collector->processes.entries[i];
		struct process *process = entry->value;

		if (!process || process->gone)
			continue;
		state = state_of(collector, (pid_t)entry->key);
		/* Released and there: exec, and the new program has not come
		 * forward yet. */
		if (state == PROCESS_TRACED || (state == PROCESS_UNTRACED && process->released &&
						now < process->released + RELEASED_PATIENCE_NS))
			alive = true;
		else if (!process->released)
			process->gone = true;
	}
	return alive;
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
	record.lost.unfollowed = collector->unfollowed;
	record.lost.unredirected = header->unredirected;
	if (header->dropped || header->abandoned || header->too_deep || collector->unfollowed ||
	    header->unredirected)
		emit(collector, &record);
	record.type = RECORD_END;
	memset(&record.lost, 0, sizeof(record.lost));
	record.end.wait_status = wait_status;
	emit(collector, &record);
}
