/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int ring_register(int fd, unsigned int what, const void *argument, unsigned int size)
{
	long result = syscall(__NR_io_uring_register, fd, what, argument, size);

	return result < 0 ? -errno : (int)result;
}

static int update(int fd, unsigned int slot, const struct iovec *buffers, unsigned int nr)
{
	struct io_uring_rsrc_update2 request = {
		.offset = slot,
		.data = (uintptr_t)buffers,
		.nr = nr,
	};
	int done = ring_register(fd, IORING_REGISTER_BUFFERS_UPDATE, &request, sizeof(request));

	if (done < 0)
		return done;
	return done == (int)nr ? 0 : -EINVAL;
}

/* Between 5.13 and 5.19 a table is made of buffers that are empty, not of a flag. */
static int make_empty_table(int fd, const struct iovec *empty, unsigned int slots)
{
	struct io_uring_rsrc_register request = {
		.nr = slots,
		.flags = IORING_RSRC_REGISTER_SPARSE,
	};
	int error = ring_register(fd, IORING_REGISTER_BUFFERS2, &request, sizeof(request));

	if (error != -EINVAL)
		return error;
	request.flags = 0;
	request.data = (uintptr_t)empty;
	error = ring_register(fd, IORING_REGISTER_BUFFERS2, &request, sizeof(request));
	return error == -EINVAL || error == -EFAULT ? -ENOTSUP : error;
}

static int open_ring(struct uring_table *table, int fd, const struct iovec *empty, bool adopt)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	int error;

	if (own < 0)
		return -errno;
	if (adopt)
		error = update(own, table->first, empty, table->slots);
	else
		error = make_empty_table(own, empty, table->first + table->slots);
	if (error) {
		close(own);
		return error;
	}
	table->fds[table->nr_rings++] = own;
	return 0;
}

int mmun_uring_table_open(struct uring_table *table, struct io_uring *const *rings, bool adopt)
{
	unsigned int nr = table->nr_rings;
	struct iovec *empty = calloc(table->first + table->slots, sizeof(*empty));
	int error = 0;

	table->nr_rings = 0;
	if (!empty)
		return -ENOMEM;
	for (unsigned int i = 0; i < nr && !error; i++)
		error = open_ring(table, rings[i]->ring_fd, empty, adopt);
	/* What was made for nothing must not be in the way of another attempt. */
	for (unsigned int i = 0; error && !adopt && i < table->nr_rings; i++)
		ring_register(table->fds[i], IORING_UNREGISTER_BUFFERS, NULL, 0);
	if (error)
		mmun_uring_table_close(table);
	free(empty);
	return error;
}

void mmun_uring_table_close(struct uring_table *table)
{
	for (unsigned int i = 0; i < table->nr_rings; i++)
		close(table->fds[i]);
	table->nr_rings = 0;
}

/* Index of a slot that was free, or -ENOSPC. */
static int take(struct uring_table *table)
{
	unsigned int words = (table->slots + 63) / 64;
	unsigned int hint = __atomic_load_n(&table->hint, __ATOMIC_RELAXED);

	for (unsigned int i = 0; i < words; i++) {
		unsigned int word = (hint / 64 + i) % words;
		unsigned int bits = table->slots - 64 * word;
		uint64_t usable = bits < 64 ? (1ull << bits) - 1 : ~0ull;
		uint64_t *taken = &table->taken[word];
		uint64_t seen = __atomic_load_n(taken, __ATOMIC_RELAXED);

		while (usable & ~seen) {
			unsigned int bit = (unsigned int)__builtin_ctzll(usable & ~seen);

			seen = __atomic_fetch_or(taken, 1ull << bit, __ATOMIC_ACQUIRE);
			if (!(seen & 1ull << bit))
				return (int)(64 * word + bit);
		}
	}
	return -ENOSPC;
}

static void give_back(struct uring_table *table, unsigned int index)
{
	__atomic_fetch_and(&table->taken[index / 64], ~(1ull << index % 64), __ATOMIC_RELEASE);
	__atomic_store_n(&table->hint, index, __ATOMIC_RELAXED);
}

int mmun_uring_table_set(struct uring_table *table, unsigned long start, size_t length,
			 unsigned int *slot)
{
	struct iovec buffer = { (void *)start, length };
	struct iovec empty = { NULL, 0 };
	int error = 0, index = take(table);
	unsigned int done = 0;

	if (index < 0)
		return index;
	while (done < table->nr_rings && !error) {
		error = update(table->fds[done], table->first + (unsigned int)index, &buffer, 1);
		done += !error;
	}
	if (!error) {
		*slot = table->first + (unsigned int)index;
		return 0;
	}
	while (done--)
		update(table->fds[done], table->first + (unsigned int)index, &empty, 1);
	give_back(table, (unsigned int)index);
	return error;
}

/*
 * The kernel may have no memory for emptying a slot.  Then the slot goes back full, to be
 * taken next, which replaces what is in it.
 */
void mmun_uring_table_clear(struct uring_table *table, unsigned int slot)
{
	struct iovec empty = { NULL, 0 };

	for (unsigned int i = 0; i < table->nr_rings; i++)
		update(table->fds[i], slot, &empty, 1);
	give_back(table, slot - table->first);
}
