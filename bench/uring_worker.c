/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Processor time of one read by io_uring, in four ways that take turns in one process, on
 * the same memory and the same file: fixed buffers through the cache, fixed buffers registered
 * by hand once, fixed buffers registered for each read, plain reads.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <mmunotify/uring.h>

#include "worker.h"

#define DEPTH  4u
#define FILE_  (64ul << 20)
#define SLICES 8u

enum way { CACHED, BY_HAND, EACH_TIME, PLAIN, WAYS };

static struct io_uring rings[WAYS];
static struct mmun_uring *cache;
static struct mmun_uring_buffer *held[DEPTH];
static char *buffers[DEPTH];
static size_t size;
static int fd;
static uint64_t place = 88172645463325252u;

static int update(unsigned int slot, void *memory, size_t length)
{
	struct iovec vector = { memory, length };

	return io_uring_register_buffers_update_tag(&rings[EACH_TIME], slot, &vector, &(__u64){ 0 },
						    1);
}

static void prepare(enum way way, unsigned int i)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&rings[way]);
	uint64_t offset;

	place ^= place << 13;
	place ^= place >> 7;
	place ^= place << 17;
	offset = place % (FILE_ / size) * size;
	switch (way) {
	case CACHED:
		held[i] = mmun_uring_get(cache, buffers[i], size, 0);
		mmun_uring_prep_read(sqe, fd, buffers[i], (unsigned int)size, offset, held[i]);
		break;
	case EACH_TIME:
		update(i, buffers[i], size);
		/* fall through */
	case BY_HAND:
		io_uring_prep_read_fixed(sqe, fd, buffers[i], (unsigned int)size, offset, (int)i);
		break;
	default:
		io_uring_prep_read(sqe, fd, buffers[i], (unsigned int)size, offset);
	}
	sqe->user_data = i;
}

static void complete(enum way way, const struct io_uring_cqe *cqe)
{
	if (cqe->res != (int)size) {
		fprintf(stderr, "a read of %zu bytes gave %d\n", size, cqe->res);
		exit(2);
	}
	if (way == CACHED)
		mmun_uring_put(cache, held[cqe->user_data]);
	else if (way == EACH_TIME)
		update((unsigned int)cqe->user_data, NULL, 0);
}

static double processor_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* DEPTH reads are always on their way.  Return: nanoseconds of all threads. */
static double reads(enum way way, unsigned int count)
{
	double start = processor_time();
	unsigned int begun = 0, done = 0;
	struct io_uring_cqe *cqe;

	while (begun < DEPTH)
		prepare(way, begun++);
	while (done < count) {
		io_uring_submit_and_wait(&rings[way], 1);
		while (done < begun && !io_uring_peek_cqe(&rings[way], &cqe)) {
			unsigned int i = (unsigned int)cqe->user_data;

			complete(way, cqe);
			io_uring_cqe_seen(&rings[way], cqe);
			done++;
			if (begun < count) {
				prepare(way, i);
				begun++;
			}
		}
	}
	return processor_time() - start;
}

/* Figures: nanoseconds of a read, by way. */
static void batch(double *figures)
{
	static unsigned int batches;
	unsigned int count = size <= 4096 ? 256 : size <= 65536 ? 96 : 24;

	/* Others had the processor: the first reads are slow, whoever makes them. */
	for (unsigned int i = 0; i < WAYS; i++)
		reads((enum way)i, count);
	for (unsigned int slice = 0; slice < SLICES; slice++)
		for (unsigned int i = 0; i < WAYS; i++) {
			/* Each comes after each other one. */
			unsigned int turn = slice & 1 ? WAYS - 1 - i : i;
			enum way way = (enum way)((turn + slice / 2 + batches) % WAYS);

			figures[way] += reads(way, count) / (count * SLICES);
		}
	batches++;
}

static int make_file(bool direct)
{
	int flags = O_TMPFILE | O_RDWR | O_CLOEXEC | (direct ? O_DIRECT : 0);
	char *bytes;

	fd = open(".", flags, 0600);
	if (fd < 0)
		fd = open("/var/tmp", flags, 0600);
	if (fd < 0)
		return -errno;
	bytes = mmap(NULL, FILE_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	memset(bytes, 0x5a, FILE_);
	if (pwrite(fd, bytes, FILE_, 0) != (ssize_t)FILE_ || fsync(fd))
		return errno ? -errno : -ENOSPC;
	munmap(bytes, FILE_);
	return 0;
}

/* Arguments: bytes of a read, 1 for O_DIRECT. */
static int setup(char **args)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct iovec vectors[DEPTH];
	int error;

	size = bench_number(args, 0, 4096);
	error = make_file(bench_number(args, 1, 0));
	if (error)
		return error;
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	for (unsigned int i = 0; i < DEPTH; i++) {
		buffers[i] = mmap(NULL, size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (buffers[i] == MAP_FAILED)
			return -errno;
		vectors[i] = (struct iovec){ buffers[i], size };
	}
	for (unsigned int i = 0; i < WAYS && !error; i++)
		error = io_uring_queue_init(2 * DEPTH, &rings[i], 0);
	if (!error)
		error = mmun_uring_create(&rings[CACHED], NULL, &cache);
	if (!error)
		error = io_uring_register_buffers(&rings[BY_HAND], vectors, DEPTH);
	if (!error)
		error = io_uring_register_buffers_sparse(&rings[EACH_TIME], DEPTH);
	return error;
}

const struct bench_mode bench_modes[] = { { .name = NULL } };

const struct bench_workload bench_workloads[] = {
	{ .name = "uring", .setup = setup, .batch = batch },
	{ .name = NULL },
};
