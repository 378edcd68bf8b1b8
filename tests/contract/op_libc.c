/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What libc does to the memory map on its own: the allocator, threads, dlclose. */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "operations.h"
#include "plugin.h"

#define BIG (64UL << 20)

static const char *block(struct region *r, size_t size)
{
	unsigned long first;

	r->other = malloc(size);
	if (!r->other)
		return "no memory";
	r->size = size;
	first = ((unsigned long)r->other + PAGE_BYTES) & ~(PAGE_BYTES - 1);
	r->base = (char *)first;
	region_fill(r->base, AREA_BYTES, 41);
	region_watch(r, 0, AREA_PAGES);
	region_expect(r, 0, AREA_PAGES);
	return NULL;
}

static const char *big_block(struct region *r)
{
	return block(r, BIG);
}

static long free_block(struct region *r)
{
	free(r->other);
	return 0;
}

static const char *big_block_blocked(struct region *r)
{
	const char *why = block(r, BIG);
	char *end = (char *)(((unsigned long)r->other + BIG + 2 * PAGE_BYTES) & ~(PAGE_BYTES - 1));

	/* Growing must move it.  Something may lie there already. */
	mmap(end, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	return why;
}

static long grow_block(struct region *r)
{
	void *grown = realloc(r->other, 2 * BIG);

	return grown && grown != r->other ? 0 : -1;
}

/* Free memory at the top of the heap, kept by the allocator until it is trimmed. */
static const char *heap_top(struct region *r)
{
	enum { PIECES = 64, PIECE = 16 << 10 };
	char *pieces[PIECES];

	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_TOP_PAD, 0);
	for (int i = 0; i < PIECES; i++)
		pieces[i] = malloc(PIECE);
	if (pieces[PIECES - 1] + PIECE > (char *)sbrk(0) || pieces[0] > pieces[PIECES - 1])
		return "the allocator does not use the heap";
	memset(pieces[0], 0, PIECE);
	r->base = (char *)(((unsigned long)pieces[16] + PAGE_BYTES) & ~(PAGE_BYTES - 1));
	region_fill(r->base, AREA_BYTES, 43);
	for (int i = PIECES - 1; i >= 1; i--)
		free(pieces[i]);
	region_watch(r, 0, AREA_PAGES);
	region_expect(r, 0, AREA_PAGES);
	return NULL;
}

/* Free memory below a block that stays: trimming gives back whole pages of it. */
static const char *heap_middle(struct region *r)
{
	size_t size = 2 * AREA_BYTES;
	char *below, *above;

	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	below = malloc(size);
	above = malloc(size);
	if (!below || !above || above < below || above > (char *)sbrk(0))
		return "the allocator does not use the heap";
	r->other = above;
	r->base = (char *)(((unsigned long)below + 2 * PAGE_BYTES) & ~(PAGE_BYTES - 1));
	region_fill(r->base, AREA_BYTES, 47);
	free(below);
	region_watch(r, 0, AREA_PAGES);
	region_expect(r, 0, AREA_PAGES);
	return NULL;
}

static long trim(struct region *r)
{
	return malloc_trim(0);
}

struct guest {
	pthread_t thread;
	pthread_barrier_t ready, leave;
	char *low;
};

static void *sit(void *arg)
{
	struct guest *guest = arg;
	char here;

	/* Pages far below our frame: unused stack by the time we leave. */
	guest->low = (char *)(((unsigned long)&here - (16UL << 20)) & ~(PAGE_BYTES - 1));
	region_fill(guest->low, AREA_BYTES, 53);
	pthread_barrier_wait(&guest->ready);
	pthread_barrier_wait(&guest->leave);
	return NULL;
}

static const char *start_guest(struct region *r)
{
	static struct guest guest;
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, BIG);
	pthread_barrier_init(&guest.ready, NULL, 2);
	pthread_barrier_init(&guest.leave, NULL, 2);
	if (pthread_create(&guest.thread, &attr, sit, &guest))
		return "no thread";
	pthread_barrier_wait(&guest.ready);
	r->state = &guest;
	r->base = guest.low;
	region_watch(r, 0, AREA_PAGES);
	region_expect(r, 0, AREA_PAGES);
	return NULL;
}

static long leave_and_join(struct region *r)
{
	struct guest *guest = r->state;

	pthread_barrier_wait(&guest->leave);
	return pthread_join(guest->thread, NULL) ? -1 : 0;
}

static const char *library(struct region *r, size_t which)
{
	const struct plugin *plugin;
	const char *pages[3];

	r->handle = dlopen(TEST_PLUGIN, RTLD_NOW | RTLD_LOCAL);
	plugin = r->handle ? dlsym(r->handle, "plugin_info") : NULL;
	if (!plugin)
		return "cannot load the test library";
	pages[0] = plugin->rodata;
	pages[1] = plugin->data;
	pages[2] = plugin->bss;
	r->base = (char *)(unsigned long)pages[which];
	for (size_t at = 0; at < PLUGIN_BYTES; at += PAGE_BYTES) {
		if (which)
			r->base[at] = 1;
		else
			(void)*(volatile char *)(r->base + at);
	}
	region_watch(r, 0, AREA_PAGES);
	region_expect(r, 0, AREA_PAGES);
	return NULL;
}

static const char *library_rodata(struct region *r)
{
	return library(r, 0);
}

static const char *library_data(struct region *r)
{
	return library(r, 1);
}

static const char *library_bss(struct region *r)
{
	return library(r, 2);
}

static long unload(struct region *r)
{
	return dlclose(r->handle) ? -1 : 0;
}

#define LIBC(name_, op_, event_, flags_, prepare_, act_) \
	{ \
		name_, MMUN_OP_##op_, MMU_NOTIFY_##event_, OP_PLAIN | OP_LOOSE | (flags_), \
			prepare_, act_ \
	}

const struct operation operations_libc[] = {
	LIBC("free of 64 MiB", MUNMAP, UNMAP, OP_MALLOC, big_block, free_block),
	LIBC("realloc that moves 64 MiB", MREMAP, UNMAP, OP_MALLOC, big_block_blocked, grow_block),
	LIBC("malloc_trim of the top", BRK, UNMAP, OP_MALLOC, heap_top, trim),
	LIBC("malloc_trim of the middle", MADV_DONTNEED, CLEAR, OP_MALLOC, heap_middle, trim),
	LIBC("thread exit and join, 64 MiB stack", NONE, UNMAP, OP_THREAD, start_guest,
	     leave_and_join),
	LIBC("dlclose, read-only data", MUNMAP, UNMAP, 0, library_rodata, unload),
	LIBC("dlclose, data", MUNMAP, UNMAP, 0, library_data, unload),
	LIBC("dlclose, bss", MUNMAP, UNMAP, 0, library_bss, unload),
	{ 0 },
};
