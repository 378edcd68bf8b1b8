/* cc -o uring-copy uring-copy.c $(pkg-config --cflags --libs mmunotify-uring) */
/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copy a file through fixed buffers of io_uring, in memory that malloc() gives and free() takes.
 *
 *	uring-copy [-v] SOURCE TARGET
 *
 * The memory of each block is allocated for it and freed after it, as a program does that knows
 * nothing of registered buffers.  Where malloc() hands out the same memory again, the
 * cache has the buffer still; where the allocator has given it back to the
 * kernel meanwhile, it has not.  Holes stay holes.  -v says what the cache did.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <liburing.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <mmunotify/uring.h>

#define BLOCK       (256 * 1024ul)
#define DEPTH       8u
#define ITS_PLACE   ((__u64)-1) /* the file's own position */
#define BAR_COLUMNS 40

/* A part of the source on its way: read, then written. */
struct block {
	char *memory;
	struct mmun_uring_buffer *buffer;
	__u64 offset;
	unsigned int length; /* to be read yet, this included */
	unsigned int got, written;
	bool writing;
};

static struct io_uring ring;
static struct mmun_uring *cache;
static const char *source, *target;
static int in, out;
static bool verbose;
static struct stat in_stat, out_stat;
/* No offsets: one block at a time. */
static bool stream;
static unsigned long long next_offset, copied;
static unsigned int in_flight;

static int fail(int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%suring-copy: ", isatty(STDERR_FILENO) && copied ? "\n" : "");
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
	return 1;
}

static void progress(bool last)
{
	static struct timespec shown;
	struct timespec now;
	unsigned long long size = (unsigned long long)in_stat.st_size;
	unsigned int done;
	char bar[BAR_COLUMNS + 1];

	if (!isatty(STDERR_FILENO) || !size)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!last && now.tv_sec == shown.tv_sec && now.tv_nsec - shown.tv_nsec < 100000000)
		return;
	shown = now;
	done = next_offset >= size ? BAR_COLUMNS : (unsigned int)(next_offset * BAR_COLUMNS / size);
	memset(bar, '.', BAR_COLUMNS);
	memset(bar, '#', done);
	bar[BAR_COLUMNS] = '\0';
	fprintf(stderr, "\r[%s] %3llu%% %llu MiB%s", bar,
		next_offset >= size ? 100 : next_offset * 100 / size, copied >> 20,
		last ? "\n" : "");
}

static void queue(struct block *block)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	char *rest = block->memory + block->written;

	if (block->writing)
		mmun_uring_prep_write(sqe, out, rest, block->got - block->written,
				      stream ? ITS_PLACE : block->offset + block->written,
				      block->buffer);
	else
		mmun_uring_prep_read(sqe, in, block->memory, block->length,
				     stream ? ITS_PLACE : block->offset, block->buffer);
	io_uring_sqe_set_data(sqe, block);
}

/* The next data of the source from next_offset on: its length, 0 at the end. */
static unsigned int next_data(void)
{
	unsigned long long end = (unsigned long long)in_stat.st_size;
	off_t data, hole;

	if (stream)
		return BLOCK;
	if (next_offset >= end)
		return 0;
	data = lseek(in, (off_t)next_offset, SEEK_DATA);
	if (data < 0 && errno == ENXIO) {
		next_offset = end; /* a hole to the end */
		return 0;
	}
	if (data >= 0) {
		next_offset = (unsigned long long)data;
		hole = lseek(in, data, SEEK_HOLE);
		if (hole > data && (unsigned long long)hole < end)
			end = (unsigned long long)hole;
	}
	/* A file that was longer when we looked at it. */
	if (next_offset >= end)
		return 0;
	return (unsigned int)(end - next_offset < BLOCK ? end - next_offset : BLOCK);
}

/* Return: 1 when there is nothing more to begin, or -errno. */
static int begin(void)
{
	unsigned int length = next_data();
	struct block *block;

	if (!length)
		return 1;
	block = calloc(1, sizeof(*block));
	if (!block)
		return -ENOMEM;
	block->memory = malloc(length);
	if (!block->memory) {
		free(block);
		return -ENOMEM;
	}
	block->offset = next_offset;
	block->length = length;
	/* An error is as good: then it is copied by plain reads and writes. */
	block->buffer = mmun_uring_get(cache, block->memory, length, 0);
	next_offset += length;
	in_flight++;
	queue(block);
	return 0;
}

static void end(struct block *block)
{
	mmun_uring_put(cache, block->buffer);
	free(block->memory);
	free(block);
	in_flight--;
}

/* Return: 0; 1 at the end of a stream; 2 after an error, which has been said. */
static int step(struct block *block, int result)
{
	if (result == -EINTR || result == -EAGAIN) {
		queue(block);
		return 0;
	}
	if (result < 0 || (block->writing && !result)) {
		fail(result ? -result : EIO, "error %s '%s'",
		     block->writing ? "writing" : "reading", block->writing ? target : source);
		end(block);
		return 2;
	}
	if (!block->writing && !result) { /* shorter than it was */
		end(block);
		return stream;
	}
	if (!block->writing) {
		block->got = (unsigned int)result;
		block->writing = true;
		queue(block);
		return 0;
	}
	block->written += (unsigned int)result;
	copied += (unsigned int)result;
	if (block->written == block->got) {
		block->offset += block->got;
		block->length -= block->got;
		block->got = block->written = 0;
		block->writing = false;
		if (stream || !block->length) {
			end(block);
			return 0;
		}
	}
	queue(block);
	return 0;
}

static int copy(void)
{
	unsigned int depth = stream ? 1 : DEPTH;
	bool finished = false;
	int status = 0;

	for (;;) {
		struct io_uring_cqe *cqe;
		int result = 0;

		while (!finished && in_flight < depth) {
			result = begin();
			if (result < 0)
				status = fail(-result, "%s", source);
			if (result)
				finished = true;
		}
		if (!in_flight)
			return status;
		result = io_uring_submit_and_wait(&ring, 1);
		if (result < 0 && result != -EINTR)
			return fail(-result, "io_uring_submit");
		while (!io_uring_peek_cqe(&ring, &cqe)) {
			struct block *block = io_uring_cqe_get_data(cqe);

			result = cqe->res;
			io_uring_cqe_seen(&ring, cqe);
			result = step(block, result);
			if (result)
				finished = true;
			if (result == 2)
				status = 1;
		}
		progress(false);
	}
}

/* Opens both as cp does.  Return: 0, or 1 after an error, which has been said. */
static int open_both(void)
{
	static char inside[4096];

	if (stat(source, &in_stat))
		return fail(errno, "cannot stat '%s'", source);
	if (S_ISDIR(in_stat.st_mode))
		return fail(0, "-r not specified; omitting directory '%s'", source);
	in = open(source, O_RDONLY | O_CLOEXEC);
	if (in < 0 || fstat(in, &in_stat))
		return fail(errno, "cannot open '%s' for reading", source);
	if (!stat(target, &out_stat) && S_ISDIR(out_stat.st_mode)) {
		char name[4096];

		snprintf(name, sizeof(name), "%s", source);
		snprintf(inside, sizeof(inside), "%s/%s", target, basename(name));
		target = inside;
	}
	if (!stat(target, &out_stat)) {
		if (S_ISDIR(out_stat.st_mode))
			return fail(0, "cannot overwrite directory '%s' with non-directory",
				    target);
		if (out_stat.st_dev == in_stat.st_dev && out_stat.st_ino == in_stat.st_ino)
			return fail(0, "'%s' and '%s' are the same file", source, target);
	}
	out = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, in_stat.st_mode & 0777);
	if (out < 0)
		return fail(errno, "cannot create regular file '%s'", target);
	if (fstat(out, &out_stat))
		return fail(errno, "cannot stat '%s'", target);
	/* Files of /proc say that they are empty. */
	stream = !S_ISREG(in_stat.st_mode) || !S_ISREG(out_stat.st_mode) || !in_stat.st_size;
	return 0;
}

int main(int argc, char **argv)
{
	struct mmun_rcache_stats stats;
	int status, error;

	verbose = argc > 1 && !strcmp(argv[1], "-v");
	if (argc - verbose != 3) {
		fprintf(stderr, "usage: uring-copy [-v] SOURCE TARGET\n");
		return 1;
	}
	source = argv[1 + verbose];
	target = argv[2 + verbose];
	if (open_both())
		return 1;
	error = io_uring_queue_init(DEPTH, &ring, 0);
	if (error)
		return fail(-error, "io_uring_queue_init");
	error = mmun_uring_create(&ring, NULL, &cache);
	if (error)
		return fail(-error, "cannot cache buffers ('mmunotify probe' says why)");

	status = copy();
	/* A hole at the end; but it may be shorter by now. */
	if (!status && !stream && !fstat(in, &in_stat) &&
	    ftruncate(out,
		      in_stat.st_size < (off_t)next_offset ? in_stat.st_size : (off_t)next_offset))
		status = fail(errno, "cannot extend '%s'", target);
	if (!status)
		progress(true);
	if (verbose) {
		mmun_rcache_stats(mmun_uring_rcache(cache), &stats);
		printf("%llu bytes, %lu buffers registered, %lu found again\n", copied,
		       stats.registered, stats.hits);
	}
	/* The cache first: the ring would stay as long as it does. */
	mmun_uring_destroy(cache);
	io_uring_queue_exit(&ring);
	if (close(out) && !status)
		status = fail(errno, "failed to close '%s'", target);
	return status;
}
