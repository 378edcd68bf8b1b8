/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Walks /proc/self/maps inside hooks: raw system calls and stack memory only.
 * The file descriptor lives for the walk, so the program never meets it.
 * A walk is not a snapshot: mappings that change meanwhile are seen before or
 * after the change.  Tests: tests/contract (truncate, shmdt), tests/unit/vma.c.
 */
#include "vma.h"

#include <errno.h>
#include <linux/ioctl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "state.h"

/* linux/fs.h of 6.11; the headers at build time may be older. */
struct procmap_query {
	uint64_t size, query_flags, query_addr;
	uint64_t vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
	uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
	uint64_t vma_name_addr, build_id_addr;
};
#define QUERY_IOCTL _IOWR('f', 17, struct procmap_query)
enum { QUERY_READ = 1, QUERY_WRITE = 2, QUERY_EXEC = 4, QUERY_SHARED = 8,
       QUERY_OR_NEXT = 0x10, QUERY_FILE = 0x20 };

int mmun_vma_walk_start(struct mmun_vma_walk *walk, unsigned long from, bool files_only)
{
	walk->fd = mmun_self_open("/proc/self/maps");
	walk->text = false;
	walk->files_only = files_only;
	walk->next = from;
	walk->have = walk->pos = 0;
	return walk->fd < 0 ? walk->fd : 0;
}

void mmun_vma_walk_end(struct mmun_vma_walk *walk)
{
	mmun_self_close(walk->fd);
}

/* 1: found, 0: no more, -errno: the kernel does not know the query. */
static int query(struct mmun_vma_walk *walk, struct mmun_vma *vma)
{
	struct procmap_query q = {
		.size = sizeof(q), .query_addr = walk->next,
		.query_flags = QUERY_OR_NEXT | (walk->files_only ? QUERY_FILE : 0),
		.vma_name_size = sizeof(vma->name), .vma_name_addr = (uintptr_t)vma->name,
	};
	long ret;

	vma->name[0] = 0;
	ret = mmun_syscall6(SYS_ioctl, walk->fd, QUERY_IOCTL, (long)&q, 0, 0, 0);
	if (ret == -ENAMETOOLONG) {
		q.vma_name_size = 0;
		q.vma_name_addr = 0;
		ret = mmun_syscall6(SYS_ioctl, walk->fd, QUERY_IOCTL, (long)&q, 0, 0, 0);
	}
	if (ret == -ENOENT)
		return 0;
	if (ret < 0)
		return ret;
	vma->start = q.vma_start;
	vma->end = q.vma_end;
	vma->offset = q.vma_offset;
	vma->inode = q.inode;
	vma->prot = (q.vma_flags & QUERY_READ ? PROT_READ : 0) |
		    (q.vma_flags & QUERY_WRITE ? PROT_WRITE : 0) |
		    (q.vma_flags & QUERY_EXEC ? PROT_EXEC : 0);
	vma->shared = q.vma_flags & QUERY_SHARED;
	walk->next = q.vma_end;
	return 1;
}

/* The next character of the text form, or -1. */
static int next_char(struct mmun_vma_walk *walk)
{
	if (walk->pos == walk->have) {
		long n = mmun_syscall6(SYS_read, walk->fd, (long)walk->buffer,
				       sizeof(walk->buffer), 0, 0, 0);

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
static bool parse_line(struct mmun_vma_walk *walk, struct mmun_vma *vma)
{
	size_t length = 0;
	int c;

	vma->start = number(walk, 16, &c);
	if (c < 0)
		return false;
	vma->end = number(walk, 16, &c);
	vma->prot = (next_char(walk) == 'r' ? PROT_READ : 0);
	vma->prot |= (next_char(walk) == 'w' ? PROT_WRITE : 0);
	vma->prot |= (next_char(walk) == 'x' ? PROT_EXEC : 0);
	vma->shared = next_char(walk) == 's';
	next_char(walk);
	vma->offset = number(walk, 16, &c);
	number(walk, 16, &c);
	number(walk, 16, &c);
	vma->inode = number(walk, 10, &c);
	while (c == ' ')
		c = next_char(walk);
	for (; c >= 0 && c != '\n'; c = next_char(walk))
		if (length < sizeof(vma->name) - 1)
			vma->name[length++] = c;
	vma->name[length] = 0;
	return true;
}

bool mmun_vma_walk_next(struct mmun_vma_walk *walk, struct mmun_vma *vma)
{
	if (!walk->text) {
		int ret = query(walk, vma);

		if (ret >= 0)
			return ret;
		walk->text = true;
	}
	do {
		if (!parse_line(walk, vma))
			return false;
		/* The first System V segment has the number 0. */
	} while (vma->end <= walk->next ||
		 (walk->files_only && !vma->inode && vma->name[0] != '/'));
	return true;
}
