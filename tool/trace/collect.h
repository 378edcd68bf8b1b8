/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages from the ring made into records, and the processes that send them. */
#ifndef MMUN_TOOL_TRACE_COLLECT_H
#define MMUN_TOOL_TRACE_COLLECT_H

#include <stdbool.h>
#include <sys/types.h>

#include "intern.h"
#include "output.h"
#include "ring.h"

struct collector {
	struct ring_reader reader;
	/* Inode of the ring's memory, by which traced processes are known. */
	ino_t ring_inode;
	struct intern *intern;
	struct sink *sink;
	/* struct blob by hash. */
	struct key_map blobs;
	/* struct process by pid. */
	struct key_map processes;
	uint64_t unfollowed;
	/* Takes messages of types that are not trace's; NULL: they are left out. */
	void (*other)(struct collector *collector, const struct ring_message *message);
	/* The sink's first error. */
	int error;
};

/* Return: 0 or -ENOMEM. */
int collector_init(struct collector *collector, struct ring *ring, ino_t ring_inode,
		   struct sink *sink);
void collector_free(struct collector *collector);

/* What a hash in a message stands for: a text (NULL for 0), a stack and its number of frames. */
const char *collector_text(struct collector *collector, uint64_t hash);
unsigned int collector_stack(struct collector *collector, uint64_t hash,
			     struct record_frame frames[RING_MAX_FRAMES]);

/* Takes everything out of the ring. */
void collector_drain(struct collector *collector);
/* Processes whose address space went and that live on: did we lose them? */
void collector_check_released(struct collector *collector, uint64_t now);
/* Is any traced process alive? */
bool collector_is_anybody_alive(struct collector *collector, uint64_t now);
/* The records that close a trace. */
void collector_finish(struct collector *collector, pid_t child, int wait_status, uint64_t now);

#endif
