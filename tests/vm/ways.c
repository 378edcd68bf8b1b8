/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Beside it: ways.h. */
#include "ways.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void map_at(struct buffer *buffer, void *address)
{
	int flags = buffer->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *map = mmap(address, buffer->bytes, PROT_READ | PROT_WRITE,
			 flags | MAP_FIXED_NOREPLACE, buffer->fd, 0);

	if (map != address)
		fail("mmap");
	buffer->words = map;
}

static void replace_munmap(struct buffer *buffer)
{
	if (munmap(buffer->words, buffer->bytes))
		fail("munmap");
	map_at(buffer, buffer->words);
}

static void replace_fixed(struct buffer *buffer)
{
	if (mmap(buffer->words, buffer->bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		fail("mmap MAP_FIXED");
}

static void replace_dontneed(struct buffer *buffer)
{
	if (madvise(buffer->words, buffer->bytes, MADV_DONTNEED))
		fail("madvise");
}

static void replace_mremap(struct buffer *buffer)
{
	void *other = mmap(NULL, buffer->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);

	if (other == MAP_FAILED ||
	    mremap(other, buffer->bytes, buffer->bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		   buffer->words) == MAP_FAILED)
		fail("mremap");
}

static void replace_syscall(struct buffer *buffer)
{
	if (syscall(SYS_munmap, buffer->words, buffer->bytes))
		fail("syscall");
	map_at(buffer, buffer->words);
}

/* The number stands in the code. */
static void replace_assembly(struct buffer *buffer)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_munmap), "D"(buffer->words), "S"(buffer->bytes)
			 : "rcx", "r11", "memory");
	errno = (int)-ret;
	if (ret)
		fail("munmap in assembly");
	map_at(buffer, buffer->words);
}

static void replace_number(struct buffer *buffer)
{
	static volatile long number = SYS_munmap;
	long ret = number;

	__asm__ volatile("syscall"
			 : "+a"(ret)
			 : "D"(buffer->words), "S"(buffer->bytes)
			 : "rcx", "r11", "memory");
	errno = (int)-ret;
	if (ret)
		fail("munmap by its number");
	map_at(buffer, buffer->words);
}

void punch(int fd, size_t bytes)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes))
		fail("fallocate");
}

static void replace_punch(struct buffer *buffer)
{
	punch(buffer->fd, buffer->bytes);
}

const struct way ways[NR_WAYS] = {
	{ .name = "munmap+mmap", .replace = replace_munmap },
	{ .name = "MAP_FIXED", .replace = replace_fixed },
	{ .name = "DONTNEED", .replace = replace_dontneed },
	{ .name = "mremap-onto", .replace = replace_mremap },
	{ .name = "syscall()", .replace = replace_syscall },
	{ .name = "assembly", .replace = replace_assembly },
	{ .name = "number", .replace = replace_number, .is_raw = 1 },
	{ .name = "punch", .replace = replace_punch, .has_file = 1 },
};

void buffer_map(struct buffer *buffer, const struct way *way, uintptr_t address, size_t bytes)
{
	buffer->bytes = bytes;
	buffer->fd = -1;
	if (way->has_file) {
		buffer->fd = memfd_create("buffer", MFD_CLOEXEC);
		if (buffer->fd < 0 || ftruncate(buffer->fd, (off_t)bytes))
			fail("memfd");
	}
	map_at(buffer, (void *)address); // NOLINT(performance-no-int-to-ptr)
}

void buffer_unmap(struct buffer *buffer)
{
	munmap(buffer->words, buffer->bytes);
	if (buffer->fd >= 0)
		close(buffer->fd);
}
