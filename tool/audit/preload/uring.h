/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* io_uring_register(2) and io_uring_enter(2), whoever makes them. */
#ifndef MMUN_TOOL_AUDIT_URING_H
#define MMUN_TOOL_AUDIT_URING_H

#include "watch.h"

/* One call of io_uring_register(), from before to after. */
struct uring_call {
	unsigned long ring;
	/* Buffers that it registers, from the index on; or that it drops, of all. */
	unsigned int nr, index;
	bool registers, drops;
	struct caller caller;
	/* One per buffer, in a mapping. */
	struct registration **made;
};

void uring_before(struct uring_call *call, unsigned long ring, unsigned int opcode, const void *arg,
		  unsigned int nr, struct caller caller);
/* @result: below 0 for failure, whatever the error. */
void uring_after(struct uring_call *call, long result);
/* Requests are about to be submitted, which lie in the ring already. */
void uring_submits(unsigned long ring, struct caller caller);

#endif
