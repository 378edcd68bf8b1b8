/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ring that other languages read: nothing lost uncounted, no handle that outlives its watch. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/soft.h>

#include "atomic.h"
#include "watch.h"
#include "tap.h"

#define PAGE      4096ul
#define PRODUCERS 3
#define ROUNDS    20000ul

static struct mmun_soft *soft;
static struct mm_struct *mm;

/* A section whose range says which one it is. */
static void section(unsigned long producer, unsigned long number)
{
	struct mmu_notifier_range range;

	memset(&range, 0, sizeof(range));
	range.mm = mm;
	range.start = (producer << 32 | number) * PAGE;
	range.end = range.start + PAGE;
	range.flags = MMU_NOTIFIER_RANGE_BLOCKABLE;
	range.event = number & 1 ? MMU_NOTIFY_UNMAP : MMU_NOTIFY_CLEAR;
	if (!mmu_notifier_invalidate_range_start(&range))
		mmu_notifier_invalidate_range_end(&range);
}

static void *produce(void *arg)
{
	for (unsigned long i = 0; i < ROUNDS; i++)
		section((uintptr_t)arg, i);
	return NULL;
}

static long open_watch(unsigned long events)
{
	const struct mmun_watch_options options = { .events = events };

	return mmun_watch_open_on(mm, &options);
}

/* What one reader has seen. */
struct seen {
	unsigned long events, lost, disorder;
	unsigned long next[PRODUCERS];
};

static void see(struct seen *seen, const struct mmun_watch_event *event)
{
	unsigned long producer = event->start / PAGE >> 32;
	unsigned long number = event->start / PAGE & 0xffffffff;

	seen->events++;
	seen->lost += event->lost;
	if (producer >= PRODUCERS || number < seen->next[producer] ||
	    event->end - event->start != PAGE ||
	    event->event != (number & 1 ? MMU_NOTIFY_UNMAP : MMU_NOTIFY_CLEAR))
		seen->disorder++;
	else
		seen->next[producer] = number + 1;
}

static long drain(long handle, struct seen *seen)
{
	struct mmun_watch_event events[16];
	uint64_t lost;
	long taken;

	do {
		taken = mmun_watch_read(handle, events, 16, &lost);
		for (long i = 0; i < taken; i++)
			see(seen, &events[i]);
		if (taken >= 0)
			seen->lost += lost;
	} while (taken == 16);
	return taken;
}

/* A reader that sleeps until there is something, by the descriptor or without. */
static void count_all(const char *how, unsigned long events, bool by_fd)
{
	const unsigned long all = PRODUCERS * ROUNDS;
	long handle = open_watch(events);
	struct pollfd poll_fd = { .fd = by_fd ? mmun_watch_fd(handle) : -1, .events = POLLIN };
	pthread_t threads[PRODUCERS];
	struct seen seen = { 0 };
	bool slept = true;

	for (uintptr_t i = 0; i < PRODUCERS; i++)
		pthread_create(&threads[i], NULL, produce, (void *)i);
	while (slept && seen.events + seen.lost < all) {
		if (by_fd)
			slept = poll(&poll_fd, 1, 60000) == 1;
		else
			slept = mmun_watch_wait(handle, 60000000000) == 1;
		drain(handle, &seen);
	}
	for (int i = 0; i < PRODUCERS; i++)
		pthread_join(threads[i], NULL);
	ok(slept, "%s: whenever there was something, the reader woke", how);
	is(seen.events + seen.lost, all, "%s: each section is there, or counted as lost", how);
	is(seen.disorder, 0, "%s: those of a thread in their order", how);
	is(drain(handle, &seen), 0, "%s: and nothing is left", how);
	is(mmun_watch_wait(handle, 0), 0, "%s: which a wait says too", how);
	is(mmun_watch_close(handle), 0, "%s: closed", how);
	diag("%lu events, %lu lost", seen.events, seen.lost);
}

static void test_handles(void)
{
	static const long wrong[] = { 0, -1, 1, 64, 65, 12345678, LONG_MAX, LONG_MIN };
	struct mmun_watch_event event;
	long first = open_watch(8), second;
	unsigned int answered = 0;
	uint64_t lost;

	mmun_watch_close(first);
	second = open_watch(8);
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		long handle = wrong[i] == second ? first : wrong[i];

		answered += mmun_watch_read(handle, &event, 1, &lost) == -EBADF &&
			    mmun_watch_wait(handle, 0) == -EBADF &&
			    mmun_watch_fd(handle) == -EBADF && mmun_watch_close(handle) == -EBADF;
	}
	is(answered, sizeof(wrong) / sizeof(*wrong), "what is no handle is -EBADF");
	is(mmun_watch_read(second, &event, 1, &lost), 0, "and reaches no other");
	is(mmun_watch_close(second), 0, "one close");
	is(mmun_watch_close(second), -EBADF, "is enough");
	is(open_watch(9), -EINVAL, "a size that is no power of two");
	is(open_watch(4), -EINVAL, "one that is too small");
	is(mmun_watch_abi(), MMUN_WATCH_ABI, "its version");
}

static void test_filter(void)
{
	const struct mmun_watch_options options = {
		.events = 8, .start = 5 * PAGE, .end = 8 * PAGE, .classes = 1u << MMU_NOTIFY_UNMAP
	};
	long handle = mmun_watch_open_on(mm, &options);
	struct mmun_watch_event events[8];
	uint64_t lost;

	for (unsigned long i = 0; i < 100; i++)
		section(0, i);
	is(mmun_watch_read(handle, events, 8, &lost), 2, "what is not wanted takes no room");
	is(events[0].start, 5 * PAGE, "the first in the range, of the class");
	is(events[1].start, 7 * PAGE, "and the last");
	mmun_watch_close(handle);
}

/* Readers and waiters of a watch that another thread closes, over and over. */
static long shared;
static unsigned long wrong_answers, finished;

static void *use_shared(void *arg)
{
	struct mmun_watch_event event;
	uint64_t lost;
	long result;

	while (!mmun_load_acquire(&finished)) {
		long handle = mmun_load_acquire(&shared);

		result = mmun_watch_wait(handle, arg ? 1000000 : -1);
		if (result != 1 && result != 0 && result != -EBADF)
			mmun_add_relaxed(&wrong_answers, 1);
		result = mmun_watch_read(handle, &event, 1, &lost);
		if (result != 1 && result != 0 && result != -EBADF && result != -EBUSY)
			mmun_add_relaxed(&wrong_answers, 1);
		result = arg ? mmun_watch_fd(handle) : 0;
		if (result < 0 && result != -EBADF && result != -EBUSY)
			mmun_add_relaxed(&wrong_answers, 1);
	}
	return NULL;
}

static void test_close_beside_use(void)
{
	pthread_t threads[4], producer;
	long failed = 0;

	shared = open_watch(8);
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, use_shared, (void *)(i & 1));
	pthread_create(&producer, NULL, produce, NULL);
	for (int i = 0; i < 300; i++) {
		long old = shared, handle = open_watch(8);

		mmun_store_release(&shared, handle);
		failed += handle < 0 || mmun_watch_close(old);
	}
	mmun_store_release(&finished, 1);
	failed += mmun_watch_close(shared) != 0;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	pthread_join(producer, NULL);
	is(failed, 0, "a watch is closed while others use it");
	is(wrong_answers, 0, "and they are answered as if it had never been");
}

int main(void)
{
	if (mmun_soft_create(NULL, &soft) || mmun_soft_mm_create(soft, &mm))
		bail_out("no address space");
	test_handles();
	test_filter();
	count_all("a small ring", 8, false);
	count_all("a large ring", 1ul << 16, false);
	count_all("by descriptor", 64, true);
	test_close_beside_use();
	mmput(mm);
	mmun_soft_destroy(soft);
	return tap_done();
}
