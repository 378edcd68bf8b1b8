/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rings, memory, and a file of which every word is another, for the tests of fixed buffers. */
#ifndef MMUN_TESTS_CONTRACT_URING_SCENE_H
#define MMUN_TESTS_CONTRACT_URING_SCENE_H

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmunotify/uring.h>

#include "../../tap.h"
#include "../../torture/park.h"

#define PAGE   4096ul
#define UNUSED __attribute__((unused))
#define RW     (PROT_READ | PROT_WRITE)

/* A thread that makes children which run threads: only simple ones here. */
const char *__tsan_default_options(void);
UNUSED const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}

static UNUSED void scene_ring(struct io_uring *ring, unsigned int flags)
{
	int error = io_uring_queue_init(16, ring, flags);

	if (error == -ENOSYS || error == -EPERM)
		skip_all("io_uring is not permitted here");
	if (error)
		bail_out("io_uring_queue_init");
}

static UNUSED struct mmun_uring *scene_cache(struct io_uring *ring,
					     const struct mmun_uring_options *options)
{
	struct mmun_uring *cache = NULL;
	int error = mmun_uring_create(ring, options, &cache);

	if (error) {
		diag("mmun_uring_create: %s", strerror(-error));
		bail_out("no cache");
	}
	return cache;
}

static UNUSED char *scene_map(size_t size)
{
	char *memory = mmap(NULL, size, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		bail_out("mmap");
	return memory;
}

/* What was there is gone, in one call. */
static UNUSED void scene_replace(char *memory, size_t size)
{
	if (mmap(memory, size, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != memory)
		bail_out("mmap over a mapping");
}

/* A memory file; word i, of 8 bytes, is @salt + i. */
static UNUSED int scene_file(size_t size, uint64_t salt)
{
	int fd = memfd_create("words", MFD_CLOEXEC);

	for (size_t i = 0; i < size / 8; i += PAGE / 8) {
		uint64_t words[PAGE / 8];

		for (size_t k = 0; k < PAGE / 8; k++)
			words[k] = salt + i + k;
		if (pwrite(fd, words, PAGE, (off_t)(8 * i)) != PAGE)
			bail_out("memory file");
	}
	return fd;
}

/* Are these the words of the file from @offset on? */
static UNUSED bool scene_right(const void *memory, size_t size, uint64_t salt, size_t offset)
{
	for (size_t i = 0; i < size / 8; i++) {
		uint64_t word;

		memcpy(&word, (const char *)memory + 8 * i, 8);
		if (word != salt + offset / 8 + i)
			return false;
	}
	return true;
}

static UNUSED int scene_completion(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int result = io_uring_wait_cqe(ring, &cqe);

	if (result)
		return result;
	result = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return result;
}

/* One request from get to put.  Return: what the completion says. */
static UNUSED int scene_read(struct io_uring *ring, struct mmun_uring *cache, int fd, char *memory,
			     size_t size, size_t offset)
{
	struct mmun_uring_buffer *buffer = mmun_uring_get(cache, memory, size, 0);
	int result;

	mmun_uring_prep_read(io_uring_get_sqe(ring), fd, memory, (unsigned int)size, offset,
			     buffer);
	io_uring_submit(ring);
	result = scene_completion(ring);
	mmun_uring_put(cache, buffer);
	return result;
}

static UNUSED int scene_write(struct io_uring *ring, struct mmun_uring *cache, int fd,
			      const char *memory, size_t size, size_t offset)
{
	struct mmun_uring_buffer *buffer = mmun_uring_get(cache, memory, size, 0);
	int result;

	mmun_uring_prep_write(io_uring_get_sqe(ring), fd, memory, (unsigned int)size, offset,
			      buffer);
	io_uring_submit(ring);
	result = scene_completion(ring);
	mmun_uring_put(cache, buffer);
	return result;
}

static UNUSED struct mmun_rcache_stats scene_stats(struct mmun_uring *cache)
{
	struct mmun_rcache_stats stats;

	mmun_rcache_stats(mmun_uring_rcache(cache), &stats);
	return stats;
}

/* The error of a get, 0 if it had a buffer, which is put. */
static UNUSED int scene_error(struct mmun_uring *cache, const void *memory, size_t size,
			      unsigned int flags)
{
	struct mmun_uring_buffer *buffer = mmun_uring_get(cache, memory, size, flags);

	if (mmun_is_err(buffer))
		return mmun_ptr_err(buffer);
	mmun_uring_put(cache, buffer);
	return 0;
}

/* What @body returns in a child that takes a copy of everything. */
static UNUSED int scene_child(int (*body)(void *arg), void *arg)
{
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child)
		_exit(body(arg));
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

struct scene_errand {
	void (*body)(void *arg);
	void *arg;
};

static UNUSED void *scene_run(void *arg)
{
	struct scene_errand *errand = arg;

	errand->body(errand->arg);
	return park_thread();
}

/* In a thread, which has ended on return. */
static UNUSED void scene_thread(void (*body)(void *arg), void *arg)
{
	static unsigned int threads;
	struct scene_errand errand = { body, arg };
	pthread_t thread;

	if (pthread_create(&thread, NULL, scene_run, &errand))
		bail_out("pthread_create");
	park_wait(thread, ++threads);
}

#endif
