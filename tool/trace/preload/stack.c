/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The caller's stack, for trace -k.
 *
 * libgcc's unwinder is linked in statically: this copy knows no registered
 * frame tables of a just-in-time compiler, so it never takes the lock that
 * guards them, and finds everything through _dl_find_object(), which takes none.
 * The frames of mmunotify itself lie below the caller's stack pointer.  A stack
 * ends at a signal handler and at code that has no unwind table.
 * Tests: tests/system/trace_stacks.py.
 */
#include <dlfcn.h>
#include <link.h>
#include <unwind.h>

#include "tracer.h"

static const char *program_name;

struct walk {
	unsigned long pc, sp;
	unsigned int nr;
	struct ring_frame frames[RING_MAX_FRAMES];
};

static void add_frame(struct walk *walk, unsigned long address)
{
	struct ring_frame *frame = &walk->frames[walk->nr++];
	struct dl_find_object object;
	const struct link_map *map;
	const char *name;

	frame->module = 0;
	frame->offset = address;
	if (_dl_find_object((void *)address, &object))
		return;
	map = object.dlfo_link_map;
	name = map->l_name && *map->l_name ? map->l_name : program_name;
	frame->module = name ? emit_text(name) : 0;
	frame->offset = address - map->l_addr;
}

static _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *data)
{
	struct walk *walk = data;
	int interrupted = 0;
	unsigned long address = _Unwind_GetIPInfo(context, &interrupted);

	if (_Unwind_GetCFA(context) < walk->sp)
		return _URC_NO_REASON;
	/* Beyond a signal handler: tables need not be right at every instruction,
	 * and what was interrupted did not ask for anything. */
	if (interrupted)
		return _URC_END_OF_STACK;
	if (!address || walk->nr == RING_MAX_FRAMES)
		return _URC_END_OF_STACK;
	/* The site itself is the first frame already. */
	if (walk->nr != 1 || address != walk->pc)
		add_frame(walk, address);
	return _URC_NO_REASON;
}

uint64_t stack_capture(unsigned long pc, unsigned long sp)
{
	struct walk walk = { .pc = pc, .sp = sp };

	if (pc)
		add_frame(&walk, pc);
	_Unwind_Backtrace(visit, &walk);
	return emit_blob(RING_BLOB_STACK, walk.frames, walk.nr * sizeof(walk.frames[0]));
}

static _Unwind_Reason_Code visit_nothing(struct _Unwind_Context *context, void *data)
{
	return _URC_NO_REASON;
}

void stack_prepare(const char *program)
{
	program_name = program;
	_Unwind_Backtrace(visit_nothing, NULL);
}
