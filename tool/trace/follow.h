/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which processes are traced, and which program got away and why. */
#ifndef MMUN_TOOL_TRACE_FOLLOW_H
#define MMUN_TOOL_TRACE_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "intern.h"
#include "ring.h"

struct follow {
	/* Inode of the ring's memory, by which traced processes are known. */
	ino_t ring_inode;
	/* Of the preloaded object: it is there before its constructor has run. */
	const char *library;
	/* Are children to come forward? */
	bool children;
	/* struct process by pid. */
	struct key_map processes;
	/* A process has come forward whose parent has no number where it is. */
	bool has_namespaces;
	/* How many programs got away. */
	uint64_t unfollowed;
	/* Is called for each.  @exe: NULL, not known; both last only for the call. */
	void (*report)(void *arg, uint32_t pid, const char *exe, const char *reason, uint64_t now);
	void *arg;
};

void follow_free(struct follow *follow);

/* What the messages say.  @exe stays valid. */

/* A child of that number has been forked by @parent, in a call that began at @since. */
void follow_forked(struct follow *follow, uint32_t pid, uint32_t parent, uint64_t since);
/* The process has come forward. */
void follow_attached(struct follow *follow, const struct ring_message *message);
void follow_released(struct follow *follow, uint32_t pid, uint64_t now);
/* It is about to execute @exe, as @message says. */
void follow_exec(struct follow *follow, const struct ring_message *message, const char *exe);
void follow_exec_failed(struct follow *follow, uint32_t pid, const char *exe, int error,
			uint64_t now);

/* Processes that have executed a program and not come forward: did we lose them? */
void follow_check(struct follow *follow, uint64_t now);
/* Is any traced process alive?  *@pid: the first one found. */
bool follow_is_anybody_alive(struct follow *follow, uint64_t now, pid_t *pid);
/* The trace ends: nobody can come forward any more. */
void follow_finish(struct follow *follow, uint64_t now);

#endif
