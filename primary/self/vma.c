/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Walks /proc/self/maps inside hooks: raw system calls and stack memory only.
 * The file descriptor lives for the walk, so the program never meets it.
 * A walk is not a snapshot: mappings that change meanwhile are seen before or
 * after the change.  Tests: tests/contract (truncate, shmdt), tests/unit/self/vma.c.
 */
#include "vma.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "maps_query.h"
#include "state.h"

/*
 * Of this thread: a process whose first thread has ended shows nothing under
 * /proc/self, and where /proc belongs to another PID namespace there is no such
 * link or the same memory behind it.
 */
static int open_maps(void)
{
	int fd = mmun_self_open("/proc/thread-self/maps");

	if (fd == -ENOENT)
		fd = mmun_self_open("/proc/self/maps");
	return fd;
}

static long ask_kernel(const struct mmun_vma_walk *walk, struct mmun_maps_query *q)
{
	return mmun_syscall6(SYS_ioctl, walk->fd, MMUN_MAPS_QUERY, (long)q, 0, 0, 0);
}

/* Is this stack mapped there?  0: no, -errno: the kernel does not know the query. */
static long shows_own_stack(const struct mmun_vma_walk *walk)
{
	struct mmun_maps_query q = { .size = sizeof(q), .address = (uintptr_t)&q };
	long ret = ask_kernel(walk, &q);

	return ret == -ENOENT ? 0 : ret ? ret : 1;
}

int mmun_vma_walk_start(struct mmun_vma_walk *walk, unsigned long from, bool files_only)
{
	long own;

	walk->fd = open_maps();
	if (walk->fd < 0)
		return walk->fd;
	walk->files_only = files_only;
	walk->next = from;
	walk->cleared = NULL;
	walk->have = walk->pos = 0;
	walk->error = 0;
	own = shows_own_stack(walk);
	walk->text = own < 0;
	walk->ours = own > 0;
	if (own)
		return 0;
	mmun_self_close(walk->fd);
	return -ESRCH;
}

/* Not by memset(), which belongs to the program and uses vector registers. */
static void clear(char *name, size_t size)
{
	__asm__ volatile("rep stosb" : "+D"(name), "+c"(size) : "a"(0) : "memory");
}

/* 1: found, 0: no more, -errno: the kernel does not know the query. */
static int query(struct mmun_vma_walk *walk, struct mmun_vma_place *place, char *name, size_t size)
{
	struct mmun_maps_query q = {
		.size = sizeof(q),
		.address = walk->next,
		.flags = MMUN_MAPS_COVERING_OR_NEXT | (walk->files_only ? MMUN_MAPS_FILE : 0),
		.name_size = size,
		.name_address = size ? (uintptr_t)name : 0,
	};
	long ret;

	if (size) {
		if (walk->cleared != name)
			clear(name, size);
		walk->cleared = name;
		name[0] = 0;
	}
	ret = ask_kernel(walk, &q);
	if (ret == -ENAMETOOLONG) {
		q.name_size = 0;
		q.name_address = 0;
		ret = ask_kernel(walk, &q);
		name[0] = 0;
	}
	if (ret == -ENOENT)
		return 0;
	if (ret < 0)
		return ret;
	place->start = q.start;
	place->end = q.end;
	place->offset = q.offset;
	place->inode = q.inode;
	place->page_size = q.page_size;
	place->prot = (q.vma_flags & MMUN_MAPS_READ ? PROT_READ : 0) |
		      (q.vma_flags & MMUN_MAPS_WRITE ? PROT_WRITE : 0) |
		      (q.vma_flags & MMUN_MAPS_EXEC ? PROT_EXEC : 0);
	place->shared = q.vma_flags & MMUN_MAPS_SHARED;
	walk->next = q.end;
	return 1;
}

/* The next character of the text form, or -1. */
static int next_char(struct mmun_vma_walk *walk)
{
	if (walk->pos == walk->have) {
		long n = mmun_syscall6(SYS_read, walk->fd, (long)walk->buffer, sizeof(walk->buffer),
				       0, 0, 0);

		if (n < 0)
			walk->error = n;
		if (n <= 0)
			return -1;
		walk->have = n;
		walk->pos = 0;
	}
	return (unsigned char)walk->buffer[walk->pos++];
}

/* A number in @base; leaves the character behind it in *@c. */
static unsigned long number(struct mmun_vma_walk *walk, int base, int *c)
{
	unsigned long value = 0;

	for (;;) {
		int digit;

		*c = next_char(walk);
		if (*c >= '0' && *c <= '9')
			digit = *c - '0';
		else if (base == 16 && *c >= 'a' && *c <= 'f')
			digit = *c - 'a' + 10;
		else
			return value;
		value = value * base + digit;
	}
}

/* One line: start-end rwxp offset major:minor inode   name */
static bool parse_maps_line(struct mmun_vma_walk *walk, struct mmun_vma_place *place, char *name,
			    size_t size)
{
	size_t length = 0;
	bool is_file;
	int c;

	do {
		place->start = number(walk, 16, &c);
		if (c < 0)
			return false;
		place->end = number(walk, 16, &c);
		place->prot = (next_char(walk) == 'r' ? PROT_READ : 0);
		place->prot |= (next_char(walk) == 'w' ? PROT_WRITE : 0);
		place->prot |= (next_char(walk) == 'x' ? PROT_EXEC : 0);
		place->shared = next_char(walk) == 's';
		next_char(walk);
		place->offset = number(walk, 16, &c);
		number(walk, 16, &c);
		number(walk, 16, &c);
		place->inode = number(walk, 10, &c);
		place->page_size = 0;
		while (c == ' ')
			c = next_char(walk);
		/* The first System V segment has the number 0. */
		is_file = place->inode || c == '/';
		for (length = 0; c >= 0 && c != '\n'; c = next_char(walk), length++)
			if (length + 1 < size)
				name[length] = c;
		if (size)
			name[length < size ? length : 0] = 0;
		if (place->start <= (uintptr_t)&length && (uintptr_t)&length < place->end)
			walk->ours = true;
	} while (place->end <= walk->next || (walk->files_only && !is_file));
	return true;
}

bool mmun_vma_walk_next_place(struct mmun_vma_walk *walk, struct mmun_vma_place *place, char *name,
			      size_t size)
{
	if (!walk->text) {
		int ret = query(walk, place, name, size);

		if (ret >= 0)
			return ret;
		walk->text = true;
	}
	return parse_maps_line(walk, place, name, size);
}

bool mmun_vma_walk_next(struct mmun_vma_walk *walk, struct mmun_vma *vma)
{
	return mmun_vma_walk_next_place(walk, &vma->place, vma->name, sizeof(vma->name));
}

int mmun_vma_walk_end(struct mmun_vma_walk *walk)
{
	struct mmun_vma_place place;

	walk->next = 0;
	walk->files_only = false;
	while (!walk->ours && parse_maps_line(walk, &place, NULL, 0))
		;
	mmun_self_close(walk->fd);
	return walk->error ? walk->error : walk->ours ? 0 : -ESRCH;
}

bool mmun_vma_is_one(unsigned long start, unsigned long end)
{
	struct mmun_vma_place place;
	struct mmun_vma_walk walk;
	bool found;

	if (mmun_vma_walk_start(&walk, start, false))
		return false;
	found = mmun_vma_walk_next_place(&walk, &place, NULL, 0) && place.start <= start &&
		place.end >= end;
	return !mmun_vma_walk_end(&walk) && found;
}
