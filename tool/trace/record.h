/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One line of a trace as the tool handles it, and the recording on disk.
 *
 * Strings belong to the maker of the record (see intern.h) and outlive it.
 * The file format is documented in mmunotify-recording(5).
 */
#ifndef MMUN_TOOL_TRACE_RECORD_H
#define MMUN_TOOL_TRACE_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ring.h"

/* Values are written to recordings: append only. */
enum record_type {
	/* A program or a forked process came under the trace. */
	RECORD_PROCESS = 1,
	RECORD_EVENT,
	/* The address space of a process went away (exit or exec). */
	RECORD_RELEASE,
	/* Messages were lost; totals so far. */
	RECORD_LOST,
	/* The traced command ended; the last record of a whole recording. */
	RECORD_END,
	/* A program is not traced. */
	RECORD_UNFOLLOWED,
};

struct record_frame {
	/* NULL: code that belongs to no file. */
	const char *module;
	uint64_t offset;
};

struct record {
	enum record_type type;
	uint32_t pid, tid;
	/* CLOCK_MONOTONIC of the traced machine, ns. */
	uint64_t time;
	unsigned int flags; /* RING_* */
	union {
		struct {
			uint32_t ppid;
			int error;
			const char *comm, *exe;
		} process;
		struct {
			unsigned int op, event, kind;
			uint64_t start, end, duration, offset;
			int64_t result;
			/* NULL: the mapping has none. */
			const char *name;
			unsigned int nr_frames;
			struct record_frame frames[RING_MAX_FRAMES];
		} event;
		struct {
			uint64_t dropped, abandoned, too_deep, unfollowed, unredirected;
		} lost;
		struct {
			/* NULL: not known. */
			const char *exe;
			const char *reason;
		} unfollowed;
		struct {
			/* As waitpid() gives it. */
			int wait_status;
		} end;
	};
};

/* What all records of a trace share. */
struct record_header {
	/* The trace began: by both clocks, ns. */
	uint64_t start_monotonic, start_realtime;
	/* The command line, words quoted for a shell. */
	const char *command;
	const char *version;
};

/* "unmap", "heap": as printed and as filters name them; never NULL. */
const char *record_event_name(unsigned int event);
const char *record_kind_name(unsigned int kind);

/* Writing. */

struct record_writer {
	FILE *out;
	uint64_t last_time, last_start;
	struct string_ids *ids;
};

/* All return 0 or -errno. */
int record_writer_open(struct record_writer *writer, FILE *out, const struct record_header *header);
int record_write(struct record_writer *writer, const struct record *record);
int record_writer_close(struct record_writer *writer);

/* Reading. */

struct record_reader {
	FILE *in;
	/* Of the record being read: for error messages. */
	uint64_t offset;
	uint64_t position;
	uint64_t last_time, last_start;
	const char **strings;
	uint64_t nr_strings, max_strings;
	struct intern *intern;
	/* Whether RECORD_END has been seen. */
	bool ended;
	/* When reading failed: what is wrong, one clause. */
	const char *damage;
	/* Room for one with numbers. */
	char damage_text[96];
};

/*
 * record_reader_open() - start reading.
 * Return: 0; -EINVAL when it is no recording or damaged, -ENOTSUP when it is of another
 * version; reader->damage says it in words.
 */
int record_reader_open(struct record_reader *reader, FILE *in, struct intern *intern,
		       struct record_header *header);
/*
 * record_read() - the next record.
 * Return: 1; 0 at the end of a whole recording; -EINVAL when the file is
 * damaged or ends early at reader->offset.
 */
int record_read(struct record_reader *reader, struct record *record);
void record_reader_close(struct record_reader *reader);

#endif
