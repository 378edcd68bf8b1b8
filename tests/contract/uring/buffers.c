/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fixed buffers of one ring: found again while the memory is the same, never after it
 * changed, and what cannot be one is read as ever.
 */
#include "scene.h"

#include <fcntl.h>
#include <stdlib.h>

#define SIZE (16 * PAGE)

static struct io_uring ring;
static struct mmun_uring *cache;
static int words; /* a file */

static void found_again(void)
{
	char *memory = scene_map(SIZE);
	struct mmun_uring_buffer *first, *second;
	struct io_uring_sqe *sqe;
	unsigned int slot;

	first = mmun_uring_get(cache, memory, SIZE, 0);
	if (!ok(!mmun_is_err(first), "a get has a buffer"))
		return;
	slot = first->slot;
	ok(first->registration.start <= (unsigned long)memory &&
		   first->registration.end >= (unsigned long)memory + SIZE,
	   "it covers what was asked for");
	sqe = io_uring_get_sqe(&ring);
	mmun_uring_prep_read(sqe, words, memory + 100, 1000, 800, first);
	is(sqe->opcode, IORING_OP_READ_FIXED, "its read is a fixed one");
	is(sqe->buf_index, slot, "of its slot");
	io_uring_submit(&ring);
	is(scene_completion(&ring), 1000, "it reads");
	ok(scene_right(memory + 100, 1000, 1, 800), "the right bytes");

	second = mmun_uring_get(cache, memory + 5 * PAGE + 17, 3, 0);
	ok(second == first, "a smaller request has the same");
	mmun_uring_put(cache, second);
	mmun_uring_put(cache, first);
	is(scene_error(cache, memory, SIZE, MMUN_RCACHE_CACHED), 0, "it stays after its put");
	is(scene_stats(cache).registered, 1, "all that took one registration");
	munmap(memory, SIZE);
	is(scene_error(cache, memory, SIZE, MMUN_RCACHE_CACHED), -ENOENT, "until it is unmapped");
}

/* Each read goes to other words, so that old ones are seen. */
static void never_after_a_change(void)
{
	static const char *const how[] = { "munmap and mmap", "mmap over it", "MADV_DONTNEED",
					   "mremap onto it", "mremap away" };
	char *memory = scene_map(SIZE), *other;

	for (unsigned int i = 0; i < 10; i++) {
		size_t offset = (1 + i) * PAGE;

		is(scene_read(&ring, cache, words, memory, SIZE, 0), SIZE, "before %s", how[i % 5]);
		switch (i % 5) {
		case 0:
			munmap(memory, SIZE);
			scene_replace(memory, SIZE);
			break;
		case 1:
			scene_replace(memory, SIZE);
			break;
		case 2:
			madvise(memory, SIZE, MADV_DONTNEED);
			break;
		case 3:
			other = scene_map(SIZE);
			mremap(other, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, memory);
			break;
		case 4:
			other = mremap(memory, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
				       scene_map(SIZE));
			scene_replace(memory, SIZE);
			ok(scene_right(other, SIZE, 1, 0), "what moved is what was read");
			munmap(other, SIZE);
			break;
		}
		is(scene_read(&ring, cache, words, memory, SIZE, offset), SIZE, "%s", how[i % 5]);
		ok(scene_right(memory, SIZE, 1, offset), "%s: the memory that is there now",
		   how[i % 5]);
	}
	munmap(memory, SIZE);
}

static void files_below(void)
{
	int fd = memfd_create("below", MFD_CLOEXEC);
	char *memory;

	if (fd < 0 || ftruncate(fd, SIZE))
		bail_out("memory file");
	memory = mmap(NULL, SIZE, RW, MAP_SHARED, fd, 0);
	for (int i = 0; i < 2; i++) {
		is(scene_read(&ring, cache, words, memory, SIZE, 0), SIZE, "a shared memory file");
		if (i ? ftruncate(fd, 0) || ftruncate(fd, SIZE)
		      : fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE))
			bail_out("holes");
		is(scene_write(&ring, cache, fd, memory, PAGE, 0), PAGE, "written through");
		is(memory[8], 0, "after %s it writes zeroes", i ? "truncation" : "a hole");
		is(scene_read(&ring, cache, words, memory, SIZE, PAGE), SIZE, "and reads");
		ok(scene_right(memory, SIZE, 1, PAGE), "into what the file is now");
	}
	munmap(memory, SIZE);
	close(fd);
}

/* The memory goes while the kernel writes it; the slot may go at once. */
static void change_in_flight(void)
{
	char *memory = scene_map(SIZE), text[8] = "";
	struct mmun_uring_buffer *buffer = mmun_uring_get(cache, memory, SIZE, 0);
	int ends[2];

	if (pipe(ends))
		bail_out("pipe");
	mmun_uring_prep_read(io_uring_get_sqe(&ring), ends[0], memory, 5, 0, buffer);
	io_uring_submit(&ring);
	scene_replace(memory, SIZE);
	ok(!mmun_rcache_is_current(mmun_uring_rcache(cache), &buffer->registration),
	   "memory replaced under a request: the buffer is not current");
	is(scene_error(cache, memory, SIZE, 0), 0, "others get another");
	is(mmun_uring_destroy(cache), -EBUSY, "the cache cannot go");
	if (write(ends[1], "hello", 5) != 5)
		bail_out("pipe");
	is(scene_completion(&ring), 5, "the request completes");
	is(memory[0], 0, "into memory that is gone");
	mmun_uring_put(cache, buffer);
	is(mmun_uring_destroy(cache), 0, "then the cache goes");

	/* A slot that is emptied under a request: what a put too early would do. */
	cache = scene_cache(&ring, &(struct mmun_uring_options){ .flags = MMUN_URING_ADOPT });
	buffer = mmun_uring_get(cache, memory, SIZE, 0);
	mmun_uring_prep_read(io_uring_get_sqe(&ring), ends[0], memory, 5, 0, buffer);
	io_uring_submit(&ring);
	mmun_uring_put(cache, buffer);
	is(mmun_rcache_flush(mmun_uring_rcache(cache)), 0, "a slot is emptied under a request");
	if (write(ends[1], "again", 5) != 5)
		bail_out("pipe");
	is(scene_completion(&ring), 5, "the request completes");
	memcpy(text, memory, 5);
	ok(!strcmp(text, "again"), "into its memory");
	close(ends[0]);
	close(ends[1]);
	munmap(memory, SIZE);
}

static void cannot_be_one(void)
{
	char *memory = scene_map(2 * PAGE), path[] = "/var/tmp/mmunotify-uring-XXXXXX";
	int fd = mkstemp(path), error;
	char *shared;

	munmap(memory + PAGE, PAGE);
	is(scene_error(cache, memory, 2 * PAGE, 0), -EFAULT, "half of it is not mapped: -EFAULT");
	is(scene_read(&ring, cache, words, memory, 2 * PAGE, 0), PAGE, "read as ever, as far");
	mprotect(memory, PAGE, PROT_READ);
	is(scene_error(cache, memory, PAGE, 0), -EFAULT, "memory that may not be written: -EFAULT");
	is(scene_read(&ring, cache, words, memory, PAGE, 0), -EFAULT, "a plain read fails as ever");
	munmap(memory, PAGE);
	is(scene_error(cache, memory, 0, 0), -EINVAL, "no bytes: -EINVAL");
	is(scene_error(cache, memory, PAGE, MMUN_RCACHE_WRITE), -EINVAL, "flags: -EINVAL");
	mmun_uring_put(cache, NULL);
	mmun_uring_put(cache, mmun_err_ptr(-ENOMEM));

	memory = mmap(NULL, MMUN_URING_MAX_LENGTH + PAGE, RW,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	is(scene_error(cache, memory, MMUN_URING_MAX_LENGTH + 1, 0), -EMSGSIZE,
	   "more than 1 GiB: -EMSGSIZE");
	munmap(memory, MMUN_URING_MAX_LENGTH + PAGE);

	unlink(path);
	if (fd < 0 || ftruncate(fd, PAGE))
		bail_out("file");
	memory = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	is(scene_error(cache, memory, PAGE, 0), 0, "a private mapping of a file is like memory");
	shared = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	error = scene_error(cache, shared, PAGE, 0);
	/* On a memory file system it is a memory file. */
	if (error)
		ok(error == -EFAULT || error == -EOPNOTSUPP,
		   "a shared mapping of a file: as the kernel says (%s)", strerror(-error));
	is(scene_read(&ring, cache, words, shared, PAGE, PAGE), PAGE, "and it is read as ever");
	ok(scene_right(shared, PAGE, 1, PAGE), "into the file's memory");
	munmap(shared, PAGE);
	munmap(memory, PAGE);
	close(fd);
}

static int use_in_child(void *arg)
{
	struct mmun_uring_buffer *buffer = arg;
	char *memory = (char *)buffer->registration.start;

	if (scene_error(cache, memory, SIZE, 0) != -ESRCH)
		return 1;
	if (scene_error(cache, scene_map(SIZE), SIZE, 0) != -ESRCH)
		return 2;
	mmun_uring_put(cache, buffer);
	memset(memory, 0xcc, SIZE);
	munmap(memory, SIZE);
	return mmun_uring_destroy(cache) ? 3 : 0;
}

static void children(void)
{
	char *memory = scene_map(SIZE);
	struct mmun_uring_buffer *buffer = mmun_uring_get(cache, memory, SIZE, 0);
	unsigned long registered = scene_stats(cache).registered;

	if (THREAD_SANITIZED)
		skip("a child cannot use its parent's buffers",
		     "ThreadSanitizer holds locks across fork() that sections need");
	else
		is(scene_child(use_in_child, buffer), 0, "a child cannot use its parent's buffers");
	mmun_uring_put(cache, buffer);
	is(scene_read(&ring, cache, words, memory, SIZE, PAGE), SIZE, "the parent goes on");
	ok(scene_right(memory, SIZE, 1, PAGE), "with the right bytes");
	diag("%lu registrations more after fork", scene_stats(cache).registered - registered);
	munmap(memory, SIZE);
}

int main(void)
{
	scene_ring(&ring, 0);
	cache = scene_cache(&ring, NULL);
	words = scene_file(2 * SIZE, 1);
	found_again();
	never_after_a_change();
	files_below();
	change_in_flight();
	cannot_be_one();
	children();
	is(mmun_uring_destroy(cache), 0, "the end");
	io_uring_queue_exit(&ring);
	return tap_done();
}
