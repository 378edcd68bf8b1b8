/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The buffer of the demo and five ways to put other pages behind its addresses.
 *
 * After each of them the program sees new pages at the same addresses, and
 * a device that translated the buffer before holds the old ones.  All go through the
 * C library, as a program's own would.  This file knows neither devices nor
 * notifiers.  Tests: tests/system/demo.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "demo.h"

/* errnum 0: the sentence says it all. */
int demo_fail(struct demo_error *error, int errnum, const char *format, ...)
{
	size_t used;
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	used = strlen(error->text);
	if (errnum)
		snprintf(error->text + used, sizeof(error->text) - used, ": %s", strerror(errnum));
	return errnum ? -errnum : -EIO;
}

static int map_at(struct demo_buffer *buffer, int flags, struct demo_error *error)
{
	void *got = mmap(buffer->start, buffer->size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (got == MAP_FAILED)
		return demo_fail(error, errno, "mmap of new memory at the buffer's address failed");
	return 0;
}

static int munmap_and_mmap(struct demo_buffer *buffer, struct demo_error *error)
{
	if (munmap(buffer->start, buffer->size))
		return demo_fail(error, errno, "munmap of the buffer failed");
	/* NOREPLACE: should somebody else have got the addresses, fail. */
	return map_at(buffer, MAP_FIXED_NOREPLACE, error);
}

static int mmap_over(struct demo_buffer *buffer, struct demo_error *error)
{
	return map_at(buffer, MAP_FIXED, error);
}

static int dontneed(struct demo_buffer *buffer, struct demo_error *error)
{
	if (madvise(buffer->start, buffer->size, MADV_DONTNEED))
		return demo_fail(error, errno, "madvise(MADV_DONTNEED) on the buffer failed");
	return 0;
}

static int mremap_over(struct demo_buffer *buffer, struct demo_error *error)
{
	void *other = mmap(NULL, buffer->size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (other == MAP_FAILED)
		return demo_fail(error, errno, "mmap of the memory to move over the buffer failed");
	if (mremap(other, buffer->size, buffer->size, MREMAP_MAYMOVE | MREMAP_FIXED,
		   buffer->start) == MAP_FAILED) {
		int errnum = errno;

		munmap(other, buffer->size);
		return demo_fail(error, errnum, "mremap over the buffer failed");
	}
	return 0;
}

static int punch_hole(struct demo_buffer *buffer, struct demo_error *error)
{
	if (fallocate(buffer->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      (off_t)buffer->size))
		return demo_fail(error, errno, "punching a hole into the memfd failed");
	return 0;
}

const struct demo_operation demo_operations[DEMO_NR_OPERATIONS] = {
	{ "munmap-mmap", "munmap, mmap at the same place", false, munmap_and_mmap },
	{ "mmap-fixed", "mmap(MAP_FIXED) over it", false, mmap_over },
	{ "madvise-dontneed", "madvise(MADV_DONTNEED), touch", false, dontneed },
	{ "mremap-over", "mremap other pages over it", false, mremap_over },
	{ "hole-punch", "punch a hole in its memfd", true, punch_hole },
};

static int map_memfd(struct demo_buffer *buffer, struct demo_error *error)
{
	int fd = memfd_create("mmunotify-demo", MFD_CLOEXEC);

	if (fd < 0)
		return demo_fail(error, errno, "memfd_create failed");
	if (ftruncate(fd, (off_t)buffer->size)) {
		int errnum = errno;

		close(fd);
		return demo_fail(error, errnum, "cannot size the memfd");
	}
	buffer->memfd = fd;
	return 0;
}

int demo_buffer_map(struct demo_buffer *buffer, bool of_file, struct demo_error *error)
{
	int result = 0;
	void *got;

	buffer->size = DEMO_PAGES * (size_t)sysconf(_SC_PAGESIZE);
	buffer->memfd = -1;
	buffer->start = NULL;
	if (of_file)
		result = map_memfd(buffer, error);
	if (result)
		return result;
	got = mmap(NULL, buffer->size, PROT_READ | PROT_WRITE,
		   of_file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, buffer->memfd, 0);
	if (got == MAP_FAILED) {
		result = demo_fail(error, errno, "mmap of the buffer failed");
		if (of_file)
			close(buffer->memfd);
		return result;
	}
	buffer->start = got;
	return 0;
}

void demo_buffer_unmap(struct demo_buffer *buffer)
{
	munmap(buffer->start, buffer->size);
	if (buffer->memfd >= 0)
		close(buffer->memfd);
}
