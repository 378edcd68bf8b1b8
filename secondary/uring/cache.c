/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The registration cache of fixed buffers: mmunotify/uring.h.
 *
 * A ring's table takes memory of whoever calls.  A forked child that has the ring, too, must not
 * put its memory into its parent's slots: all of struct mmun_uring is memory that a
 * child finds zero.
 */
#include "cache.h"

#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <sys/mman.h>

#include <mmunotify/self.h>

#include "table.h"

#define ACCESS (MMUN_RCACHE_READ | MMUN_RCACHE_WRITE)

struct mmun_uring {
	struct mmun_rcache *rcache;
	struct uring_table table;
};

static struct mmun_uring_buffer *buffer_of(struct mmun_registration *reg)
{
	return (struct mmun_uring_buffer *)reg; /* its first member */
}

static int register_memory(void *arg, struct mmun_registration *reg)
{
	struct mmun_uring *cache = arg;

	if (!cache->table.slots)
		return -ESRCH;
	/* The kernel pins for both, whatever is wanted. */
	reg->access = ACCESS;
	return mmun_uring_table_set(&cache->table, reg->start, reg->end - reg->start,
				    &buffer_of(reg)->slot);
}

static void deregister_memory(void *arg, struct mmun_registration *reg)
{
	struct mmun_uring *cache = arg;

	if (cache->table.slots)
		mmun_uring_table_clear(&cache->table, buffer_of(reg)->slot);
}

static void lower(unsigned long *limit, unsigned long most)
{
	if (!*limit || *limit > most)
		*limit = most;
}

static void limits(void *arg, struct mmun_rcache_limits *limits)
{
	struct mmun_uring *cache = arg;

	lower(&limits->regions, cache->table.slots);
	lower(&limits->length, MMUN_URING_MAX_LENGTH);
}

static const struct mmun_rcache_ops ops = {
	.register_memory = register_memory,
	.deregister_memory = deregister_memory,
	.limits = limits,
};

static struct mmun_uring *allocate(void)
{
	struct mmun_uring *cache = mmap(NULL, sizeof(*cache), PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (cache == MAP_FAILED)
		return NULL;
	if (madvise(cache, sizeof(*cache), MADV_WIPEONFORK)) {
		munmap(cache, sizeof(*cache));
		return NULL;
	}
	return cache;
}

static int read_options(const struct mmun_uring_options *options, struct uring_table *table,
			struct mmun_rcache_options *general)
{
	table->slots = options->slots ? options->slots : MMUN_URING_SLOTS;
	table->first = options->first;
	if (table->slots > MMUN_URING_MAX_SLOTS ||
	    table->first > MMUN_URING_MAX_SLOTS - table->slots ||
	    options->flags & ~MMUN_URING_ADOPT)
		return -EINVAL;
	if (options->cache)
		*general = *options->cache;
	if (!general->registration_size)
		general->registration_size = sizeof(struct mmun_uring_buffer);
	if (general->registration_size < sizeof(struct mmun_uring_buffer))
		return -EINVAL;
	if (!general->name)
		general->name = "uring";
	return 0;
}

int mmun_uring_create_of(struct mm_struct *mm, struct io_uring *const *rings, unsigned int nr,
			 const struct mmun_uring_options *options, struct mmun_uring **out)
{
	static const struct mmun_uring_options none;
	struct mmun_rcache_options general = { 0 };
	struct mmun_uring *cache;
	int error;

	if (!mm)
		return -ENOMEM;
	if (!nr || nr > MMUN_URING_MAX_RINGS)
		return -EINVAL;
	cache = allocate();
	if (!cache)
		return -ENOMEM;
	if (!options)
		options = &none;
	error = read_options(options, &cache->table, &general);
	if (error)
		goto unmap;
	for (unsigned int i = 0; i < nr; i++)
		if (rings[i]->flags & IORING_SETUP_SINGLE_ISSUER)
			general.flags |= MMUN_RCACHE_OWNED;
	cache->table.nr_rings = nr;
	error = mmun_uring_table_open(&cache->table, rings, options->flags & MMUN_URING_ADOPT);
	if (error)
		goto unmap;
	error = mmun_rcache_create(mm, &ops, cache, &general, &cache->rcache);
	if (error)
		goto close;
	*out = cache;
	return 0;
close:
	mmun_uring_table_close(&cache->table);
unmap:
	munmap(cache, sizeof(*cache));
	return error;
}

int mmun_uring_create_set(struct io_uring *const *rings, unsigned int nr,
			  const struct mmun_uring_options *options, struct mmun_uring **cache)
{
	return mmun_uring_create_of(mmun_self(), rings, nr, options, cache);
}

int mmun_uring_create(struct io_uring *ring, const struct mmun_uring_options *options,
		      struct mmun_uring **cache)
{
	return mmun_uring_create_set(&ring, 1, options, cache);
}

int mmun_uring_destroy(struct mmun_uring *cache)
{
	int error = cache->rcache ? mmun_rcache_destroy(cache->rcache) : 0;

	if (error)
		return error;
	mmun_uring_table_close(&cache->table);
	munmap(cache, sizeof(*cache));
	return 0;
}

struct mmun_uring_buffer *mmun_uring_get(struct mmun_uring *cache, const void *address,
					 size_t length, unsigned int flags)
{
	if (flags & MMUN_RCACHE_ACCESS)
		return mmun_err_ptr(-EINVAL);
	if (!cache->rcache)
		return mmun_err_ptr(-ESRCH);
	/* An error pointer stays one: the registration is the first member. */
	return buffer_of(
		mmun_rcache_get(cache->rcache, (unsigned long)address, length, ACCESS | flags));
}

void mmun_uring_put(struct mmun_uring *cache, struct mmun_uring_buffer *buffer)
{
	if (buffer && !mmun_is_err(buffer) && cache->rcache)
		mmun_rcache_put(cache->rcache, &buffer->registration);
}

void mmun_uring_prep_read(struct io_uring_sqe *sqe, int fd, void *address, unsigned int length,
			  uint64_t offset, const struct mmun_uring_buffer *buffer)
{
	if (!buffer || mmun_is_err(buffer))
		io_uring_prep_read(sqe, fd, address, length, offset);
	else
		io_uring_prep_read_fixed(sqe, fd, address, length, offset, (int)buffer->slot);
}

void mmun_uring_prep_write(struct io_uring_sqe *sqe, int fd, const void *address,
			   unsigned int length, uint64_t offset,
			   const struct mmun_uring_buffer *buffer)
{
	if (!buffer || mmun_is_err(buffer))
		io_uring_prep_write(sqe, fd, address, length, offset);
	else
		io_uring_prep_write_fixed(sqe, fd, address, length, offset, (int)buffer->slot);
}

struct mmun_rcache *mmun_uring_rcache(struct mmun_uring *cache)
{
	return cache->rcache;
}
