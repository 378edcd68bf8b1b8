/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One run of a program with an object preloaded that sends to a ring: what trace and audit share. */
#ifndef MMUN_TOOL_TRACE_SESSION_H
#define MMUN_TOOL_TRACE_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "collect.h"
#include "launch.h"
#include "output.h"
#include "ring.h"

struct session {
	/* The command of mmunotify(1) that runs, for sentences. */
	const char *command;
	/* Descendants are followed, and waited for. */
	bool follow;
	/* launch_check() has filled it. */
	struct launch launch;
	/* Where records go; the caller has opened it before session_run(). */
	struct sink sink;

	struct ring ring;
	int ring_fd;
	struct collector collector;
	pid_t child;
	int wait_status;
	uint64_t ended_at;
};

/*
 * session_open() - look whether processes can be watched here, and make the ring.
 * @wants: RING_WANT_STACKS and RING_STRICT; RING_FOLLOW comes of session->follow.
 * Return: 0, or the exit status after one sentence on stderr.
 */
int session_open(struct session *session, unsigned int wants, uint64_t bytes);

/*
 * session_run() - run the program and drain the ring until it and, if they are followed, its
 * descendants have ended.  Return: as above.
 */
int session_run(struct session *session);

/* session_finish() - the records that close a run.  What records refer to is there still. */
void session_finish(struct session *session);
/* session_close() - Return: 0 or the first error, -errno. */
int session_close(struct session *session);

/* session_header() - what the output says of a run that begins now. */
struct record_header session_header(char **command);

#endif
