/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * UCX's memory hooks, as any program that loads UCX has them.
 *
 * By dlopen() and with the few declarations written out, so that the test is
 * built where UCX is not.
 */
#include <dlfcn.h>
#include <stddef.h>

#include "peer.h"

#define EVENT_VM_UNMAPPED (1 << 17)
/* mmap, munmap, mremap, shmat, shmdt, madvise, brk; some versions have none for sbrk. */
#define EVENTS_OF_CALLS 0xdf

struct vm_event {
	void *address;
	size_t size;
};

typedef signed char (*set_handler_fn)(int events, int priority,
				      void (*cb)(int, struct vm_event *, void *), void *arg);

static struct {
	unsigned long from, to;
} seen[256];
static unsigned int nr_seen;

static void on_unmapped(int type, struct vm_event *event, void *arg)
{
	unsigned int i = __atomic_fetch_add(&nr_seen, 1, __ATOMIC_SEQ_CST) % 256;

	seen[i].from = (unsigned long)event->address;
	seen[i].to = seen[i].from + event->size;
}

static unsigned int nr_calls;

static void on_call(int type, struct vm_event *event, void *arg)
{
	__atomic_add_fetch(&nr_calls, 1, __ATOMIC_SEQ_CST);
}

static unsigned int calls(void)
{
	return __atomic_load_n(&nr_calls, __ATOMIC_SEQ_CST);
}

static const char *start(void)
{
	/* Programs load this one; its constructor installs the hooks. */
	void *ucs = dlopen("libucs.so.0", RTLD_NOW | RTLD_GLOBAL);
	void *ucm = dlopen("libucm.so.0", RTLD_NOW | RTLD_GLOBAL);
	set_handler_fn set_handler;

	if (!ucs || !ucm)
		return "UCX is not installed";
	set_handler = (set_handler_fn)dlsym(ucm, "ucm_set_event_handler");
	/* Before the call, and before those that change what it says. */
	if (!set_handler || set_handler(EVENT_VM_UNMAPPED, 0, on_unmapped, NULL) ||
	    set_handler(EVENTS_OF_CALLS, -1, on_call, NULL))
		return "UCX refuses to install its hooks";
	return NULL;
}

static unsigned int saw(unsigned long from, unsigned long to)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < 256; i++)
		count += seen[i].from < to && from < seen[i].to;
	return count;
}

const struct peer peer_ucx = { "UCX", start, NULL, saw, calls };
