/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The demo's device behind a registration cache (mmunotify/rcache.h): a registration is a
 * device of its own with the buffer attached, since the old one and the new one may be there at
 * the same time.  Tests: tests/system/demo.py.
 */
#include <errno.h>
#include <stdlib.h>

#include <mmunotify/rcache.h>
#include <mmunotify/self.h>

#include "demo.h"

struct demo_registration {
	struct mmun_registration reg;
	struct demo_device dev;
};

struct demo_cached {
	const struct demo_device_ops *ops;
	struct demo_error *error;
	struct mmun_rcache *cache;
};

static struct demo_registration *to_registration(struct mmun_registration *reg)
{
	return (struct demo_registration *)(void *)reg;
}

static int open_and_attach(void *arg, struct mmun_registration *reg)
{
	struct demo_device *dev = &to_registration(reg)->dev;
	struct demo_cached *cached = arg;
	int result;

	/* What an earlier attempt said may be over. */
	cached->error->text[0] = '\0';
	result = demo_device_open(dev, cached->ops, (unsigned char *)reg->start,
				  reg->end - reg->start, cached->error);
	if (result)
		return result;
	result = demo_device_attach(dev);
	if (result)
		demo_device_close(dev);
	return result;
}

static void detach_and_close(void *arg, struct mmun_registration *reg)
{
	demo_device_close(&to_registration(reg)->dev);
}

static const struct mmun_rcache_ops demo_rcache_ops = {
	.register_memory = open_and_attach,
	.deregister_memory = detach_and_close,
};

int demo_cached_create(struct demo_cached **out, const struct demo_device_ops *ops,
		       struct demo_error *error)
{
	const struct mmun_rcache_options options = {
		.name = "demo",
		.registration_size = sizeof(struct demo_registration),
	};
	struct demo_cached *cached = calloc(1, sizeof(*cached));
	int result;

	if (!cached)
		return demo_fail(error, ENOMEM, "cannot create the registration cache");
	cached->ops = ops;
	cached->error = error;
	result =
		mmun_rcache_create(mmun_self(), &demo_rcache_ops, cached, &options, &cached->cache);
	if (result) {
		free(cached);
		return demo_why_no_notifier(result, error);
	}
	*out = cached;
	return 0;
}

void demo_cached_destroy(struct demo_cached *cached)
{
	mmun_rcache_destroy(cached->cache);
	free(cached);
}

int demo_cached_get(struct demo_cached *cached, const struct demo_buffer *buffer,
		    struct demo_device **dev)
{
	struct mmun_registration *reg = mmun_rcache_get(cached->cache, (unsigned long)buffer->start,
							buffer->size,
							MMUN_RCACHE_READ | MMUN_RCACHE_WRITE);

	if (mmun_is_err(reg)) {
		/* The device has said more. */
		if (!cached->error->text[0])
			demo_fail(cached->error, -mmun_ptr_err(reg),
				  "the cache has no registration");
		return mmun_ptr_err(reg);
	}
	*dev = &to_registration(reg)->dev;
	return 0;
}

void demo_cached_put(struct demo_cached *cached, struct demo_device *dev)
{
	struct demo_registration *reg =
		(struct demo_registration *)(void *)((char *)dev -
						     offsetof(struct demo_registration, dev));

	mmun_rcache_put(cached->cache, &reg->reg);
}

void demo_cached_count(const struct demo_cached *cached, struct demo_cell *cell)
{
	struct mmun_rcache_stats stats;

	mmun_rcache_stats(cached->cache, &stats);
	cell->sections = stats.invalidations;
	cell->registrations = stats.registered;
}
