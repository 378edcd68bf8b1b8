/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages from the ring made into records, and the processes that send them. */
#ifndef MMUN_TOOL_TRACE_COLLECT_H
#define MMUN_TOOL_TRACE_COLLECT_H

#include <stdbool.h>
#include <sys/types.h>

#include "follow.h"
#include "intern.h"
#include "output.h"
#include "ring.h"

struct collector {
	struct ring_reader reader;
	struct intern *intern;
	struct sink *sink;
	/* struct blob by hash. */
	struct key_map blobs;
	struct follow follow;
	/* The command of mmunotify(1) that runs; what it has said on stderr. */
	const char *command;
	struct key_map named;
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
/* The records that close a trace. */
void collector_finish(struct collector *collector, pid_t child, int wait_status, uint64_t now);

#endif
