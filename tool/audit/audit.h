/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the preloaded object and the tool say to each other: the members of struct ring_audit. */
#ifndef MMUN_TOOL_AUDIT_AUDIT_H
#define MMUN_TOOL_AUDIT_AUDIT_H

/* X(NAME, "name as printed and chosen", "what it is") */
#define AUDIT_KINDS(X) \
	X(URING, "io_uring", "fixed buffer of io_uring") \
	X(VERBS, "verbs", "memory region of RDMA verbs") \
	X(CUDA, "cuda", "host memory of CUDA") \
	X(VMSPLICE, "vmsplice", "pages in a pipe by vmsplice") \
	X(MLOCK, "mlock", "locked memory")

enum audit_kind {
#define AUDIT_KIND_ENUM(name, text, meaning) AUDIT_##name,
	AUDIT_KINDS(AUDIT_KIND_ENUM)
#undef AUDIT_KIND_ENUM
		AUDIT_NR_KINDS
};

/* Unmapping unlocks, and programs rely on it: locks only if they are asked for. */
#define AUDIT_DEFAULT_KINDS ((1u << AUDIT_NR_KINDS) - 1 - (1u << AUDIT_MLOCK))

enum audit_what {
	/* Its memory changed: a finding. */
	AUDIT_STALE = 1,
	/* The finding's registration was used; it was dropped; the program ended or executed
	 * another and had it still.  The stale range may have grown since. */
	AUDIT_USED,
	AUDIT_DROPPED,
	AUDIT_AT_END,
	/* From now on its use may not have been seen. */
	AUDIT_USE_UNKNOWN,
	/* Made while its memory was being changed: nobody knows which pages it has. */
	AUDIT_RACED,
	/* Totals of a process at its end: ->start registrations, of which ->end were watched
	 * no more for want of memory, ->stale_start sections not looked at, ->stale_end buffers
	 * of rings that were registered unseen. */
	AUDIT_TOTALS,
	/* The memory of a registration changed, and use will not be seen. */
	AUDIT_STALE_UNKNOWN,
};

#endif
