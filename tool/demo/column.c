/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One column of the demo: every operation on a buffer that a device has
 * registered, without a notifier, with one, or through the registration cache.
 *
 * With one, the smallest thing that is correct (struct cache) stands
 * between the program and the device: the notifier counts sections that touch
 * the buffer, and a use re-registers when one has opened since.  The device is
 * never called from a callback.  What is judged is only what the file and the
 * memory hold afterwards.  Tests: tests/system/demo.py.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>
#include <mmunotify/self.h>
#include <mmunotify/seq.h>

#include "demo.h"

/* What fills the pages: at registration, by the program after the operation,
 * and by the device. */
enum { OLD = 0x11, NEW = 0x22, DELIVERED = 0x33 };

int demo_device_open(struct demo_device *dev, const struct demo_device_ops *ops,
		     unsigned char *buffer, size_t size, struct demo_error *error)
{
	int result;

	*dev = (struct demo_device){ .ops = ops, .buffer = buffer, .size = size, .error = error };
	dev->state = calloc(1, ops->state_size);
	if (!dev->state)
		return demo_fail(error, ENOMEM, "cannot open the device");
	result = ops->open(dev);
	if (result)
		free(dev->state);
	return result;
}

void demo_device_close(struct demo_device *dev)
{
	demo_device_detach(dev);
	dev->ops->close(dev);
	free(dev->state);
}

int demo_device_attach(struct demo_device *dev)
{
	int result = dev->ops->attach(dev);

	dev->attached = !result;
	return result;
}

void demo_device_detach(struct demo_device *dev)
{
	if (dev->attached)
		dev->ops->detach(dev);
	dev->attached = false;
}

struct cache {
	struct mmu_notifier mn;
	struct mmun_seq seq;
	/* The buffer; constant while the notifier is registered. */
	unsigned long start, end;
	/* The sequence number under which the device's translation was made. */
	unsigned long valid;
	unsigned long sections, registrations;
};

static struct cache *to_cache(struct mmu_notifier *mn)
{
	return (struct cache *)((char *)mn - offsetof(struct cache, mn));
}

static bool overlaps(const struct cache *cache, const struct mmu_notifier_range *range)
{
	return range->start < cache->end && cache->start < range->end;
}

static int cache_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct cache *cache = to_cache(mn);

	if (overlaps(cache, range)) {
		mmun_seq_start(&cache->seq);
		__atomic_add_fetch(&cache->sections, 1, __ATOMIC_RELAXED);
	}
	return 0;
}

static void cache_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct cache *cache = to_cache(mn);

	if (overlaps(cache, range))
		mmun_seq_end(&cache->seq);
}

static void cache_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	mmun_seq_kill(&to_cache(mn)->seq);
}

static const struct mmu_notifier_ops cache_ops = {
	.release = cache_release,
	.invalidate_range_start = cache_start,
	.invalidate_range_end = cache_end,
};

int demo_why_no_notifier(int result, struct demo_error *error)
{
	const struct mmun_primary_ops *source;
	struct mmun_probe probe;

	for (unsigned int i = 0; (source = mmun_source_at(i)); i++) {
		if (strcmp(source->name, "self") || !source->probe)
			continue;
		source->probe(&probe);
		if (!probe.available)
			return demo_fail(error, 0, "no notifier can be registered here: %s  %s",
					 probe.reason, probe.remedy);
	}
	return demo_fail(error, -result, "registering the notifier failed");
}

static int cache_create(struct cache **out, const struct demo_buffer *buffer,
			struct demo_error *error)
{
	struct cache *cache = calloc(1, sizeof(*cache));
	struct mm_struct *mm = mmun_self();
	int result;

	if (!cache || !mm) {
		free(cache);
		return demo_fail(error, ENOMEM, "cannot create the registration cache");
	}
	cache->mn.ops = &cache_ops;
	cache->start = (unsigned long)buffer->start;
	cache->end = cache->start + buffer->size;
	result = mmu_notifier_register(&cache->mn, mm);
	if (result) {
		free(cache);
		return demo_why_no_notifier(result, error);
	}
	*out = cache;
	return 0;
}

static void cache_destroy(struct cache *cache)
{
	mmu_notifier_unregister(&cache->mn, mmun_self());
	free(cache);
}

/* Make the device's translation current; a hit costs one load. */
static int cache_use(struct cache *cache, struct demo_device *dev)
{
	unsigned long seq;
	int result;

	if (dev->attached && !mmun_seq_retry(&cache->seq, cache->valid))
		return 0;
	do {
		demo_device_detach(dev);
		while (!mmun_seq_begin(&cache->seq, &seq)) {
			if (__atomic_load_n(&cache->seq.dead, __ATOMIC_RELAXED))
				return demo_fail(dev->error, 0, "the address space is gone");
			sched_yield();
		}
		result = demo_device_attach(dev);
		if (result)
			return result;
		cache->registrations++;
	} while (mmun_seq_retry(&cache->seq, seq));
	cache->valid = seq;
	return 0;
}

/* The program's side of one cell. */
struct user {
	enum demo_way way;
	struct demo_buffer buffer;
	/* What the two ways without the registration cache have: one device. */
	struct demo_device dev;
	struct cache *cache;
	struct demo_cached *cached;
};

/* A device that the buffer is registered with: a use of it begins. */
static int begin_use(struct user *user, struct demo_device **dev)
{
	if (user->way == DEMO_CACHE)
		return demo_cached_get(user->cached, &user->buffer, dev);
	*dev = &user->dev;
	if (user->way == DEMO_NOTIFIER)
		return cache_use(user->cache, &user->dev);
	/* The first translation is used for ever. */
	return user->dev.attached ? 0 : demo_device_attach(&user->dev);
}

static void end_use(struct user *user, struct demo_device *dev)
{
	if (user->way == DEMO_CACHE)
		demo_cached_put(user->cached, dev);
}

static void count(const struct user *user, struct demo_cell *cell)
{
	if (user->way == DEMO_CACHE) {
		demo_cached_count(user->cached, cell);
	} else if (user->way == DEMO_NOTIFIER) {
		cell->sections = __atomic_load_n(&user->cache->sections, __ATOMIC_RELAXED);
		cell->registrations = user->cache->registrations;
	}
}

static bool holds(const unsigned char *bytes, size_t size, unsigned char value)
{
	return bytes[0] == value && !memcmp(bytes, bytes + 1, size - 1);
}

static int judge(const struct demo_device *dev, const unsigned char *bytes, unsigned char fresh,
		 unsigned char stale, const char *what, enum demo_view *view)
{
	if (holds(bytes, dev->size, fresh))
		*view = DEMO_FRESH;
	else if (holds(bytes, dev->size, stale))
		*view = DEMO_STALE;
	else
		return demo_fail(dev->error, 0, "%s neither the new nor the old bytes", what);
	return 0;
}

/* A device that cannot see an unchanged buffer proves nothing. */
static int check_control(struct demo_device *dev, unsigned char *scratch)
{
	int result = dev->ops->fetch(dev, scratch);

	if (!result && !holds(scratch, dev->size, OLD))
		result = demo_fail(dev->error, 0,
				   "the device does not see the buffer even before "
				   "the operation");
	return result;
}

static int see_fetched(struct demo_device *dev, unsigned char *scratch, struct demo_cell *cell)
{
	int result = dev->ops->fetch(dev, scratch);

	if (result)
		return result;
	return judge(dev, scratch, NEW, OLD, "the device read", &cell->fetched);
}

static int see_delivered(struct demo_device *dev, unsigned char *scratch, struct demo_cell *cell)
{
	int result;

	if (!dev->ops->delivers)
		return 0;
	memset(scratch, DELIVERED, dev->size);
	result = dev->ops->deliver(dev, scratch);
	if (result)
		return result;
	return judge(dev, dev->buffer, DELIVERED, NEW, "after the device wrote, the memory holds",
		     &cell->delivered);
}

static int use_before(struct user *user, unsigned char *scratch)
{
	struct demo_device *dev;
	int result = begin_use(user, &dev);

	if (result)
		return result;
	result = check_control(dev, scratch);
	end_use(user, dev);
	return result;
}

/* Where a cache looks whether it is current. */
static int use_after(struct user *user, unsigned char *scratch, struct demo_cell *cell)
{
	struct demo_device *dev;
	int result = begin_use(user, &dev);

	if (result)
		return result;
	result = see_fetched(dev, scratch, cell);
	if (!result)
		result = see_delivered(dev, scratch, cell);
	end_use(user, dev);
	return result;
}

static void run_cell(const struct demo_operation *op, struct user *user, struct demo_cell *cell)
{
	unsigned char *scratch = malloc(user->buffer.size);
	int result;

	if (!scratch) {
		demo_fail(&cell->error, ENOMEM, "no memory for the device's answer");
		return;
	}
	/* Untouched memory has no page of its own yet that could be pinned. */
	memset(user->buffer.start, OLD, user->buffer.size);
	result = use_before(user, scratch);
	if (!result)
		result = op->change(&user->buffer, &cell->error);
	if (!result) {
		memset(user->buffer.start, NEW, user->buffer.size);
		use_after(user, scratch, cell);
	}
	count(user, cell);
	free(scratch);
}

/* The device, and what hears of changes. */
static int set_up(struct user *user, const struct demo_device_ops *ops, struct demo_error *error)
{
	int result;

	if (user->way == DEMO_CACHE)
		return demo_cached_create(&user->cached, ops, error);
	result = demo_device_open(&user->dev, ops, user->buffer.start, user->buffer.size, error);
	if (result || user->way == DEMO_WITHOUT)
		return result;
	result = cache_create(&user->cache, &user->buffer, error);
	if (result)
		demo_device_close(&user->dev);
	return result;
}

static void take_down(struct user *user)
{
	if (user->cached) {
		demo_cached_destroy(user->cached);
		return;
	}
	if (user->cache)
		cache_destroy(user->cache);
	demo_device_close(&user->dev);
}

static void set_up_and_run_cell(const struct demo_operation *op, const struct demo_device_ops *ops,
				enum demo_way way, struct demo_cell *cell)
{
	struct user user = { .way = way };

	if (demo_buffer_map(&user.buffer, op->of_file, &cell->error))
		return;
	if (!set_up(&user, ops, &cell->error)) {
		run_cell(op, &user, cell);
		take_down(&user);
	}
	demo_buffer_unmap(&user.buffer);
}

/* Say once, not five times, that there are no notifiers here. */
static bool can_register(struct demo_error *error)
{
	const struct demo_buffer nothing = { .start = NULL };
	struct cache *cache;

	if (cache_create(&cache, &nothing, error))
		return false;
	cache_destroy(cache);
	return true;
}

void demo_column_run(struct demo_column *column, const struct demo_device_ops *ops,
		     enum demo_way way)
{
	if (way != DEMO_WITHOUT && !can_register(&column->error))
		return;
	for (int i = 0; i < DEMO_NR_OPERATIONS; i++)
		set_up_and_run_cell(&demo_operations[i], ops, way, &column->cells[i]);
}

/* Register a buffer and let the device read it once. */
int demo_device_probe(const struct demo_device_ops *ops, struct demo_error *error)
{
	struct demo_buffer buffer;
	struct demo_device dev;
	unsigned char *scratch;
	int result = demo_buffer_map(&buffer, false, error);

	if (result)
		return result;
	result = demo_device_open(&dev, ops, buffer.start, buffer.size, error);
	if (result)
		goto unmap;
	memset(buffer.start, OLD, buffer.size);
	scratch = malloc(buffer.size);
	result = scratch ? demo_device_attach(&dev) : demo_fail(error, ENOMEM, "cannot probe");
	if (!result)
		result = check_control(&dev, scratch);
	free(scratch);
	demo_device_close(&dev);
unmap:
	demo_buffer_unmap(&buffer);
	return result;
}
