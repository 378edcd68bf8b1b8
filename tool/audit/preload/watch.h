/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What registrations the process has, and what became of their memory.
 *
 * The calls that make registrations are replaced by ours (uring.c, verbs.c, cuda.c, plain.c),
 * which make the real one and note it here.
 */
#ifndef MMUN_TOOL_AUDIT_WATCH_H
#define MMUN_TOOL_AUDIT_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mmunotify/mmu_notifier.h>

#include "../../trace/preload/tracer.h"
#include "../audit.h"

/* For the functions that replace others: in nobody's way but theirs. */
#define REPLACES __attribute__((visibility("default")))

/* The code that called us: where the program's own frames begin. */
struct caller {
	unsigned long pc, sp;
	/* Its stack once that has been sent (watch_stack()); 0: not yet. */
	uint64_t stack;
};
#define CALLER \
	((struct caller){ (unsigned long)__builtin_return_address(0), \
			  (unsigned long)__builtin_dwarf_cfa(), 0 })

/* What a registration is known by: a ring and an index, an address, a pipe; a region of verbs
 * and its local key. */
struct known_by {
	enum audit_kind kind;
	unsigned long holder, index;
	/* What it goes with, if it is closed: a device's context; of what is in a pipe, where in
	 * all that was put in it ends.  Not a part of the name. */
	unsigned long owner;
};

/* Is that kind watched in this process?  The first question of each function that replaces. */
bool watch_wants(enum audit_kind kind);

/* For a call that makes many registrations. */
uint64_t watch_stack(struct caller caller);

struct registration;

/*
 * watch_begin() - a registration of [@start, @start + @length) is about to be made.
 *
 * Context: not in a hook.  Return: what watch_done() takes, or NULL (counted): it is not watched.
 */
struct registration *watch_begin(enum audit_kind kind, unsigned long start, unsigned long length,
				 struct caller caller);
/* It was made, and any other of that name is gone; or it failed. */
void watch_done(struct registration *reg, const struct known_by *name);
void watch_failed(struct registration *reg);

/* It was dropped; or the @nr from the index on. */
void watch_dropped(const struct known_by *name, unsigned long nr, struct caller caller);
/* The part of it in this range was. */
void watch_dropped_range(enum audit_kind kind, unsigned long start, unsigned long end,
			 struct caller caller);
/* All of a kind, or of a holder. */
void watch_dropped_all(enum audit_kind kind, struct caller caller);
void watch_dropped_holder(enum audit_kind kind, unsigned long holder, struct caller caller);
void watch_dropped_owner(enum audit_kind kind, unsigned long owner, struct caller caller);

/* Is there any stale registration of that kind whose use is not known yet?  One load. */
bool watch_has_stale(enum audit_kind kind);
/* It is used: [@start, @end) of it; @end 0: from there on, nobody knows how far. */
void watch_used(const struct known_by *name, unsigned long start, unsigned long end,
		struct caller caller);
/* The same for one that is known by owner and index only, and lies in this range. */
void watch_used_at(const struct known_by *name, unsigned long start, unsigned long end,
		   struct caller caller);

/* plain.c: once, when the process is attached. */
void plain_init(void);

/* The hooks, and the process. */
void watch_section_start(const struct mmu_notifier_range *range);
void watch_section_end(const struct mmu_notifier_range *range);
void watch_init(unsigned int kinds);
/* A forked child: it has none of its parent's. */
void watch_forget(void);
void watch_release(void);

/* Are those pages mapped shared?  Then dropping them from the page tables changes nothing. */
bool memory_is_shared(unsigned long address);

/* Does the kernel still know the fixed buffer?  In uring.c; any context. */
enum uring_answer { URING_GONE, URING_THERE, URING_UNKNOWN };
enum uring_answer uring_asks(unsigned long ring, unsigned long index, unsigned long start,
			     bool *polled);
/* Of a holder's: perhaps one was used, nobody knows which. */
void watch_use_unknown(enum audit_kind kind, unsigned long holder);
/* One of that context has become stale: from now on see what is posted.  In verbs.c; called in
 * hooks, with the table's lock held. */
void verbs_watch_posts(unsigned long context);
/* How many buffers that we do not know of have the process's rings?  In uring.c; any context. */
unsigned long uring_unknown_buffers(bool (*is_known)(const struct known_by *name));
/* A forked child: its parent's rings are not its own. */
void uring_forget(void);
/* Is that still in the pipe, or with position 0, anything?  In plain.c; any context. */
bool pipe_holds(unsigned long pipe, unsigned long position);

/* library.c */

/*
 * library_function() - the function that ours stands in front of, once found in *@real: the next
 * one of that name, else that of the library @soname.  It stays loaded.  NULL: there is none.
 */
void *library_function(void **real, const char *soname, const char *name);

/* The same in the C library.  Allocates nothing: an allocator may be the caller. */
void *libc_function(void **real, const char *name);

/* Ours for a function that the program looks up by itself; lists end without a name. */
struct replacement {
	const char *name;
	void *function;
	void **real;
};
extern const struct replacement cuda_replacements[], verbs_replacements[], uring_replacements[];

const struct replacement *replacement_in(const struct replacement *list, const char *name);
/* What to give to who has found @found; @ours NULL: that. */
void *replacement_for(const struct replacement *ours, void *found);

#endif
