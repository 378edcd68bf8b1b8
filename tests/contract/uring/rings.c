/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tables of others, several rings, rings of one thread, and the order of the end. */
#include "scene.h"

#define SIZE (4 * PAGE)

static int words;

struct errand {
	struct io_uring *ring;
	struct mmun_uring *cache;
	char *memory;
	struct mmun_uring_buffer *buffer;
	int result;
};

static void create_elsewhere(void *arg)
{
	struct errand *errand = arg;

	errand->result = mmun_uring_create(errand->ring, NULL, &errand->cache);
}

static void get_elsewhere(void *arg)
{
	struct errand *errand = arg;

	errand->buffer = mmun_uring_get(errand->cache, errand->memory, SIZE, 0);
	errand->result = mmun_is_err(errand->buffer) ? mmun_ptr_err(errand->buffer) : 0;
}

static void put_elsewhere(void *arg)
{
	struct errand *errand = arg;

	mmun_uring_put(errand->cache, errand->buffer);
}

/* Which slots are empty: a fixed read of an empty one is -EFAULT. */
static int read_slot(struct io_uring *ring, char *memory, unsigned int slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_read_fixed(sqe, words, memory, PAGE, 0, (int)slot);
	io_uring_submit(ring);
	return scene_completion(ring);
}

static void tables(void)
{
	struct mmun_uring_options options = { .slots = 4, .first = 2 };
	char *memory = scene_map(SIZE), *own = scene_map(PAGE);
	struct iovec vector = { own, PAGE };
	struct mmun_uring_buffer *buffer;
	struct mmun_uring *cache, *second = NULL;
	struct io_uring ring;

	scene_ring(&ring, 0);
	options.flags = MMUN_URING_ADOPT;
	is(mmun_uring_create(&ring, &options, &cache), -ENXIO, "no table to adopt: -ENXIO");
	options.flags = 0;
	cache = scene_cache(&ring, &options);
	is(mmun_uring_create(&ring, NULL, &second), -EBUSY, "a ring has one table: -EBUSY");
	buffer = mmun_uring_get(cache, memory, SIZE, 0);
	ok(buffer->slot >= 2 && buffer->slot < 6, "slots begin where it was said");
	mmun_uring_put(cache, buffer);

	is(io_uring_register_buffers_update_tag(&ring, 0, &vector, &(__u64){ 0 }, 1), 1,
	   "the program has slots of its own in it");
	is(mmun_uring_destroy(cache), 0, "the cache goes");
	is(read_slot(&ring, own, 0), PAGE, "the program's slot stays");
	is(read_slot(&ring, memory, 2), -EFAULT, "those of the cache are empty");

	options.flags = MMUN_URING_ADOPT;
	options.slots = 5;
	is(mmun_uring_create(&ring, &options, &cache), -EINVAL, "more slots than there are");
	options.slots = 4;
	cache = scene_cache(&ring, &options);
	is(scene_error(cache, memory, SIZE, 0), 0, "an adopted table serves");
	is(read_slot(&ring, own, 0), PAGE, "the program's slot stays");
	is(mmun_uring_destroy(cache), 0, "the cache goes");
	io_uring_queue_exit(&ring);

	options = (struct mmun_uring_options){ .slots = MMUN_URING_MAX_SLOTS + 1 };
	scene_ring(&ring, 0);
	is(mmun_uring_create(&ring, &options, &cache), -EINVAL, "too many slots: -EINVAL");
	options = (struct mmun_uring_options){ .slots = 2, .first = MMUN_URING_MAX_SLOTS - 1 };
	is(mmun_uring_create(&ring, &options, &cache), -EINVAL, "slots past the last: -EINVAL");
	options = (struct mmun_uring_options){ .flags = 1u << 5 };
	is(mmun_uring_create(&ring, &options, &cache), -EINVAL, "unknown flags: -EINVAL");
	options = (struct mmun_uring_options){ .cache = &(struct mmun_rcache_options){
						       .registration_size =
							       sizeof(struct mmun_registration) } };
	is(mmun_uring_create(&ring, &options, &cache), -EINVAL, "no room for the slot: -EINVAL");
	options = (struct mmun_uring_options){ .slots = MMUN_URING_MAX_SLOTS };
	cache = scene_cache(&ring, &options);
	is(scene_error(cache, memory, SIZE, 0), 0, "the largest table serves");
	is(mmun_uring_destroy(cache), 0, "the cache goes");
	io_uring_queue_exit(&ring);
	munmap(memory, SIZE);
	munmap(own, PAGE);
}

static void sets(void)
{
	struct io_uring ring[3], *rings[] = { &ring[0], &ring[1], &ring[2] };
	char *memory = scene_map(SIZE);
	struct mmun_uring_buffer *buffer;
	struct mmun_uring *cache;
	struct iovec vector = { memory, SIZE };

	for (int i = 0; i < 3; i++)
		scene_ring(&ring[i], 0);
	is(mmun_uring_create_set(rings, 0, NULL, &cache), -EINVAL, "no rings: -EINVAL");
	io_uring_register_buffers(&ring[2], &vector, 1);
	is(mmun_uring_create_set(rings, 3, NULL, &cache), -EBUSY, "one has a table: -EBUSY");
	io_uring_unregister_buffers(&ring[2]);
	is(mmun_uring_create_set(rings, 3, NULL, &cache), 0, "the others have been left alone");
	buffer = mmun_uring_get(cache, memory, SIZE, 0);
	for (int i = 0; i < 3; i++) {
		mmun_uring_prep_read(io_uring_get_sqe(&ring[i]), words, memory, SIZE,
				     (__u64)i * PAGE, buffer);
		io_uring_submit(&ring[i]);
		is(scene_completion(&ring[i]), SIZE, "a set: ring %d", i);
		ok(scene_right(memory, SIZE, 1, (size_t)i * PAGE), "the right bytes");
	}
	mmun_uring_put(cache, buffer);
	is(scene_stats(cache).registered, 1, "one registration for all");
	scene_replace(memory, SIZE);
	for (int i = 0; i < 3; i++) {
		is(scene_read(&ring[i], cache, words, memory, SIZE, PAGE), SIZE, "changed");
		ok(scene_right(memory, SIZE, 1, PAGE), "ring %d reads into the new memory", i);
	}
	is(mmun_uring_destroy(cache), 0, "the cache goes");
	for (int i = 0; i < 3; i++) {
		is(read_slot(&ring[i], memory, 0), -EFAULT, "ring %d is empty", i);
		io_uring_queue_exit(&ring[i]);
	}
	munmap(memory, SIZE);
}

static void one_thread(void)
{
	char *memory = scene_map(SIZE), *other = scene_map(SIZE);
	struct errand errand = { .memory = memory };
	struct io_uring ring;
	int error = io_uring_queue_init(16, &ring,
					IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);

	if (error) {
		skip("a ring of one thread", "the kernel has none (before 6.1)");
		return;
	}
	errand.ring = &ring;
	scene_thread(create_elsewhere, &errand);
	is(errand.result, -EEXIST, "a ring of another thread: -EEXIST");
	errand.cache = scene_cache(&ring, NULL);
	ok(!scene_stats(errand.cache).reaper, "a ring of one thread: no reaper");
	scene_thread(get_elsewhere, &errand);
	is(errand.result, -EPERM, "another thread's miss: -EPERM");
	is(scene_read(&ring, errand.cache, words, memory, SIZE, 0), SIZE, "its own reads");
	scene_thread(get_elsewhere, &errand);
	is(errand.result, 0, "another thread's hit");
	munmap(memory, SIZE);
	scene_thread(put_elsewhere, &errand);
	mmun_rcache_progress(mmun_uring_rcache(errand.cache));
	is(scene_stats(errand.cache).deregistered, 1, "the owner's progress deregisters");
	is(scene_read(&ring, errand.cache, words, other, SIZE, PAGE), SIZE, "its own reads");
	ok(scene_right(other, SIZE, 1, PAGE), "the right bytes");
	is(mmun_uring_destroy(errand.cache), 0, "the cache goes");
	io_uring_queue_exit(&ring);
	munmap(other, SIZE);
}

/* liburing then says to the kernel: ring 0 of this thread. */
static void other_ring_zero(void *arg)
{
	struct errand *errand = arg;
	struct io_uring own;

	scene_ring(&own, 0);
	if (io_uring_register_ring_fd(&own) == 1) {
		io_uring_register_buffers_sparse(&own, 4);
		get_elsewhere(arg);
		is(read_slot(&own, errand->memory, 0), -EFAULT, "nothing came into another ring");
	}
	io_uring_queue_exit(&own);
}

static void registered_ring(void)
{
	struct errand errand = { .memory = scene_map(SIZE) };
	struct io_uring ring;

	scene_ring(&ring, 0);
	if (io_uring_register_ring_fd(&ring) != 1) {
		skip("a ring that is registered", "the kernel has none (before 5.18)");
		io_uring_queue_exit(&ring);
		return;
	}
	errand.cache = scene_cache(&ring, NULL);
	scene_thread(other_ring_zero, &errand);
	is(errand.result, 0, "another thread registers");
	is(read_slot(&ring, errand.memory, errand.buffer->slot), PAGE, "in the ring that is meant");
	mmun_uring_put(errand.cache, errand.buffer);
	is(mmun_uring_destroy(errand.cache), 0, "the cache goes");
	io_uring_queue_exit(&ring);
	munmap(errand.memory, SIZE);
}

/* The kernel's thread takes requests when it likes. */
static void polled_ring(void)
{
	char *memory = scene_map(SIZE);
	struct io_uring ring;
	struct mmun_uring *cache;
	int wrong = 0;

	if (io_uring_queue_init(16, &ring, IORING_SETUP_SQPOLL)) {
		skip("a ring that is polled", "it is not permitted here");
		munmap(memory, SIZE);
		return;
	}
	cache = scene_cache(&ring, NULL);
	for (size_t i = 0; i < 200; i++) {
		size_t offset = i % 3 * PAGE;

		wrong += scene_read(&ring, cache, words, memory, SIZE, offset) != SIZE ||
			 !scene_right(memory, SIZE, 1, offset);
		if (i & 1)
			scene_replace(memory, SIZE);
	}
	is(wrong, 0, "a ring that is polled: 200 reads, the memory replaced after each second");
	ok(scene_stats(cache).hits >= 100 && scene_stats(cache).registered >= 100,
	   "in fixed buffers");
	is(mmun_uring_destroy(cache), 0, "the cache goes");
	io_uring_queue_exit(&ring);
	munmap(memory, SIZE);
}

/* The program's descriptor is closed, and another ring's by the time. */
static void wrong_order(void)
{
	char *memory = scene_map(SIZE);
	struct iovec vector = { memory, SIZE };
	struct io_uring ring, next;
	struct mmun_uring *cache;
	int fd;

	scene_ring(&ring, 0);
	cache = scene_cache(&ring, NULL);
	fd = ring.ring_fd;
	is(scene_error(cache, memory, SIZE, 0), 0, "a buffer");
	io_uring_queue_exit(&ring);
	scene_ring(&next, 0);
	io_uring_register_buffers(&next, &vector, 1);
	is(next.ring_fd, fd, "a ring that has gone, and another one in its place");
	is(mmun_uring_destroy(cache), 0, "the cache goes");
	is(read_slot(&next, memory, 0), PAGE, "and leaves the other one alone");
	io_uring_queue_exit(&next);
	ring.ring_fd = -1;
	ring.flags = 0;
	is(mmun_uring_create(&ring, NULL, &cache), -EBADF, "a ring without descriptor: -EBADF");
	munmap(memory, SIZE);
}

int main(void)
{
	words = scene_file(4 * SIZE, 1);
	tables();
	sets();
	one_thread();
	registered_ring();
	polled_ring();
	wrong_order();
	return tap_done();
}
