/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What runs out: slots, RLIMIT_MEMLOCK, the kernel's memory; and kernels that are older.
 * These are made here by a syscall() that answers for them.
 */
#include "scene.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>

#define SIZE (16 * PAGE)

/* What the kernel is to be. */
static bool without_sparse, without_tables;
static unsigned int failing_clears, clears_failed;
/* The fill that is to fail, counted down. */
static unsigned int failing_fill;

static long answer(unsigned int what, const void *argument)
{
	const struct io_uring_rsrc_register *table = argument;
	const struct io_uring_rsrc_update2 *update = argument;

	if (what == IORING_REGISTER_BUFFERS2 && (table->flags ? without_sparse : without_tables))
		return -EINVAL;
	if (what == IORING_REGISTER_BUFFERS_UPDATE && failing_fill &&
	    ((const struct iovec *)update->data)->iov_base && !--failing_fill)
		return -EFAULT;
	if (what == IORING_REGISTER_BUFFERS_UPDATE && failing_clears && update->nr == 1 &&
	    !((const struct iovec *)update->data)->iov_base) {
		failing_clears--;
		clears_failed++;
		return -ENOMEM;
	}
	return 0;
}

/* In front of the C library's, for everything in this process. */
long syscall(long number, ...)
{
	static long (*next)(long number, ...);
	long args[6], error = 0;
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		args[i] = va_arg(list, long);
	va_end(list);
	if (!next)
		next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	if (number == __NR_io_uring_register)
		error = answer((unsigned int)args[1], (const void *)args[2]);
	if (error) {
		errno = (int)-error;
		return -1;
	}
	return next(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

static int words;

static void slots(void)
{
	struct mmun_uring_options options = { .slots = 70 };
	char *memory = scene_map(80 * PAGE);
	struct mmun_uring_buffer *buffer[80];
	bool seen[70] = { false }, twice = false;
	struct mmun_uring *cache;
	struct io_uring ring;
	int errors = 0;

	scene_ring(&ring, 0);
	cache = scene_cache(&ring, &options);
	for (int i = 0; i < 70; i++) {
		buffer[i] = mmun_uring_get(cache, memory + i * PAGE, PAGE, 0);
		if (mmun_is_err(buffer[i]) || buffer[i]->slot >= 70)
			bail_out("not enough slots");
		twice |= seen[buffer[i]->slot];
		seen[buffer[i]->slot] = true;
	}
	ok(!twice, "70 slots for 70 buffers in use, none twice");
	is(scene_error(cache, memory + 70 * PAGE, PAGE, 0), -EAGAIN, "one more: -EAGAIN");
	is(scene_read(&ring, cache, words, memory + 70 * PAGE, PAGE, 0), PAGE,
	   "which is read as ever");
	ok(scene_right(memory + 70 * PAGE, PAGE, 1, 0), "the right bytes");
	for (int i = 0; i < 70; i++)
		mmun_uring_put(cache, buffer[i]);
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 80; i++) {
			size_t offset = (size_t)(i % 8) * PAGE;
			char *page = memory + i * PAGE;

			errors += scene_read(&ring, cache, words, page, PAGE, offset) != PAGE ||
				  !scene_right(page, PAGE, 1, offset);
		}
	is(errors, 0, "80 buffers take turns in 70 slots");
	ok(scene_stats(cache).evictions >= 10, "by eviction");
	is(mmun_uring_destroy(cache), 0, "the end");
	io_uring_queue_exit(&ring);
	munmap(memory, 80 * PAGE);
}

/* Status: what went wrong, by number. */
static int as_ordinary_user(void *arg)
{
	enum { LIMIT = 1 << 20, BUFFER = 1 << 18, COUNT = 16 };
	struct rlimit limit = { LIMIT, LIMIT };
	struct mmun_uring_buffer *held[COUNT];
	struct mmun_uring *cache;
	struct io_uring ring;
	char *memory;
	int error = 0, nr = 0;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || (!geteuid() && (setgid(65534) || setuid(65534))))
		return 1;
	if (io_uring_queue_init(16, &ring, 0))
		return 2;
	cache = scene_cache(&ring, NULL);
	memory = scene_map((size_t)COUNT * BUFFER);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT; i++) {
			char *part = memory + (size_t)i * BUFFER;

			if (scene_error(cache, part, BUFFER, 0))
				return 3;
			if (scene_read(&ring, cache, words, part, SIZE, PAGE) != SIZE ||
			    !scene_right(part, SIZE, 1, PAGE))
				return 4;
		}
	if (!scene_stats(cache).evictions)
		return 5;
	while (nr < COUNT) {
		held[nr] = mmun_uring_get(cache, memory + (size_t)nr * BUFFER, BUFFER, 0);
		error = mmun_is_err(held[nr]) ? mmun_ptr_err(held[nr]) : 0;
		if (error)
			break;
		nr++;
	}
	if (error != -ENOMEM && error != -EAGAIN)
		return 6;
	if (!nr || nr > LIMIT / BUFFER)
		return 7;
	if (scene_read(&ring, cache, words, memory + (size_t)nr * BUFFER, SIZE, 0) != SIZE)
		return 8;
	while (nr--)
		mmun_uring_put(cache, held[nr]);
	if (mmun_uring_destroy(cache))
		return 9;
	return 0;
}

static void older_kernels(void)
{
	char *memory = scene_map(SIZE);
	struct mmun_uring *cache;
	struct io_uring ring;

	scene_ring(&ring, 0);
	without_sparse = without_tables = true;
	is(mmun_uring_create(&ring, NULL, &cache), -ENOTSUP, "a kernel before 5.13: -ENOTSUP");
	without_tables = false;
	cache = scene_cache(&ring, NULL);
	without_sparse = false;
	is(scene_read(&ring, cache, words, memory, SIZE, PAGE), SIZE, "a kernel before 5.19");
	ok(scene_right(memory, SIZE, 1, PAGE), "the right bytes");
	is(scene_stats(cache).registered, 1, "through a fixed buffer");
	is(mmun_uring_destroy(cache), 0, "the end");
	io_uring_queue_exit(&ring);
	munmap(memory, SIZE);
}

static void slot_stays_full(void)
{
	struct mmun_uring_options options = { .slots = 2 };
	char *memory = scene_map(8 * SIZE);
	struct mmun_uring *cache;
	struct io_uring ring;
	int errors = 0;

	scene_ring(&ring, 0);
	cache = scene_cache(&ring, &options);
	failing_clears = 5;
	for (int i = 0; i < 40; i++) {
		char *part = memory + (size_t)(i % 8) * SIZE;
		size_t offset = (size_t)(i % 5) * PAGE;

		errors += scene_read(&ring, cache, words, part, SIZE, offset) != SIZE ||
			  !scene_right(part, SIZE, 1, offset);
	}
	is(clears_failed, 5, "slots that could not be emptied");
	is(errors, 0, "are used again");
	failing_clears = 0;
	is(mmun_uring_destroy(cache), 0, "the end");
	io_uring_queue_exit(&ring);
	munmap(memory, 8 * SIZE);
}

static void all_of_a_set_or_none(void)
{
	struct io_uring ring[3], *rings[] = { &ring[0], &ring[1], &ring[2] };
	char *memory = scene_map(SIZE);
	struct mmun_uring *cache;
	struct io_uring_sqe *sqe;

	for (int i = 0; i < 3; i++)
		scene_ring(&ring[i], 0);
	is(mmun_uring_create_set(rings, 3, NULL, &cache), 0, "a set");
	failing_fill = 3;
	is(scene_error(cache, memory, SIZE, 0), -EFAULT, "of which one ring refuses memory");
	for (int i = 0; i < 3; i++) {
		sqe = io_uring_get_sqe(&ring[i]);
		io_uring_prep_read_fixed(sqe, words, memory, PAGE, 0, 0);
		io_uring_submit(&ring[i]);
		is(scene_completion(&ring[i]), -EFAULT, "ring %d has it not", i);
	}
	is(scene_read(&ring[1], cache, words, memory, SIZE, 0), SIZE, "the next time all have it");
	is(scene_stats(cache).registered, 1, "in a fixed buffer");
	is(mmun_uring_destroy(cache), 0, "the end");
	for (int i = 0; i < 3; i++)
		io_uring_queue_exit(&ring[i]);
	munmap(memory, SIZE);
}

int main(void)
{
	int status;

	words = scene_file(2 * SIZE, 1);
	/* Before hooks are there: ThreadSanitizer holds locks across fork() that they need. */
	status = scene_child(as_ordinary_user, NULL);
	if (status == 1 || status == 2)
		skip("an ordinary user's limit", "one cannot become an ordinary user here");
	else
		is(status, 0, "an ordinary user's limit: idle buffers go, then -ENOMEM");
	slots();
	older_kernels();
	slot_stays_full();
	all_of_a_set_or_none();
	return tap_done();
}
