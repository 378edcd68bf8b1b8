/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of the tracer that lives in the traced process.
 *
 * Everything but attaching runs inside the program's memory operations: with
 * any lock of the program held, in signal handlers, on small stacks.  So: raw
 * system calls only, no allocation, no lock, no libc, errno untouched.
 */
#ifndef MMUN_TOOL_TRACE_TRACER_H
#define MMUN_TOOL_TRACE_TRACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../ring.h"

struct mmu_notifier_ops;

/* emit.c: messages into the ring. */

/* Binds the ring whose memory is @path.  False: not there, not ours, not usable. */
bool emit_attach(const char *path);
/* What the tool wants (RING_WANT_STACKS, RING_FOLLOW, RING_STRICT); 0 once it has gone. */
unsigned int emit_wants(void);
bool emit_is_open(void);
void emit_set_clock(int (*clock)(int, void *));
/* In a forked child. */
void emit_forget_thread(void);
uint64_t emit_now(void);
void emit_event(const struct ring_event *event, unsigned int flags, uint64_t time);
void emit_audit(const struct ring_audit *audit, uint64_t time);
/* @flags: RING_AFTER_EXEC or 0; @error: why nothing can be watched, or 0. */
void emit_process(unsigned int flags, int error);
void emit_release(void);
/* @type: RING_EXEC or RING_EXEC_FAILED; @error: a positive errno or 0; @file: a text's hash. */
void emit_exec(enum ring_message_type type, unsigned int flags, int error, uint64_t file);
void emit_too_deep(void);
/* @count more attempts to redirect a library failed. */
void emit_unredirected(unsigned long count);
/* Makes sure that the tool knows the blob; its hash, never 0 for one that exists. */
uint64_t emit_blob(enum ring_blob_kind kind, const void *bytes, size_t length);
uint64_t emit_text(const char *text);

/* exec.c: this object goes along into what the process executes. */

/* From now on, with @name=@value in the environment. */
void exec_follow(const char *name, const char *value);
/* In a forked child. */
void exec_forked(void);

/* program.c */

/* Once the ring is bound: what the others here use, and what RING_FOLLOW wants. */
void program_attach(const char *ring, void (*forked_child)(void));
/* This process, to whatever happens in it.  Return: 0 or -errno. */
int program_subscribe(const struct mmu_notifier_ops *ops);
/* In a forked child: the subscription that it has a copy of. */
void program_unsubscribe(void);
/* Not a copy of the subscribed process, made by a fork that no handler has seen.  Any context. */
bool program_is_subscribed(void);

/* report.c: says in the file @name what the process consists of. */
void report_attach(const char *name);

/* inherited.c: forked children keep nothing that other threads had open here.  Call once. */
void inherited_watch(void);

/* mapping.c: what a range is. */

struct span {
	unsigned long start, end;
};

struct mapping {
	enum mapping_kind kind;
	bool more;
	/* The first one in the range; empty when there is none. */
	struct span first;
	/* In the file, of the range's first byte. */
	uint64_t offset;
	/* Empty: the kind says all. */
	char name[RING_MAX_TEXT];
};

/* @sp: the caller's stack pointer. */
void mapping_find(unsigned long start, unsigned long end, unsigned long sp, struct mapping *out);
/* Size of the thread descriptor at the top of thread stacks; 0: not known. */
void mapping_set_thread_size(unsigned int size);
/* Remembers that there are threads, if there are; wanted at each event. */
void mapping_note_threads(void);
/* Is there a thread's descriptor right below @top, in a page that is there? */
bool mapping_is_stack_top(unsigned long top);
/* Does the stack of a thread whose stack pointer is @sp lie in @span? */
bool mapping_is_own_stack(unsigned long sp, const struct span *span);

/*
 * The two ways to ask the kernel; they describe the first mapping in the range,
 * and *@last is the one in which the range ends, or else the first.
 */
bool mapping_query(int maps, unsigned long start, unsigned long end, struct mapping *out,
		   struct span *last);
bool mapping_parse(int maps, unsigned long start, unsigned long end, struct mapping *out,
		   struct span *last);

/* recent.c: what is known of mappings that this thread asked about a moment ago. */

struct recent {
	struct span span;
	/* Anonymous where it depends on who asks whether it is a stack. */
	enum mapping_kind kind;
	/* Of the span's first byte, in the file. */
	uint64_t offset;
	/* The name's hash. */
	uint64_t name;
};

/* Around each section that may change which mappings there are. */
void recent_change_begins(void);
void recent_change_ends(void);
/* A change that nobody will see the end of: from now on nothing is remembered. */
void recent_stop(void);
/* In a forked child. */
void recent_reset(void);
/* Whether a mapping that holds the whole range is known.  @now: emit_now(). */
bool recent_find(unsigned long start, unsigned long end, uint64_t now, struct recent *out);
/* Before the question is asked.  False: its answer is not to be remembered. */
bool recent_begin(unsigned long *seq);
void recent_remember(const struct recent *found, unsigned long seq, uint64_t now);

/* stack.c: the calling functions. */

/* Loads what unwinding needs; may allocate. */
void stack_prepare(const char *program);
/* The stack from the code at @pc with stack pointer @sp upwards; a blob's hash. */
uint64_t stack_capture(unsigned long pc, unsigned long sp);

#endif
