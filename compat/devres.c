/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a device has until it goes.
 *
 * I1  Each is done once: by the one that takes it off the device's list, and with no lock
 *     held, latest first.
 *
 * Tests: tests/contract/compat/device_memory.c.
 */
#include "runtime.h"

#include <linux/device.h>
#include <linux/slab.h>

struct mmun_devres {
	struct mmun_devres *next;
	void (*action)(void *data);
	void *data;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int devm_add_action(struct device *dev, void (*action)(void *data), void *data)
{
	struct mmun_devres *entry = (struct mmun_devres *)kmalloc(sizeof(*entry), GFP_KERNEL);

	if (!entry)
		return -ENOMEM;
	entry->action = action;
	entry->data = data;
	pthread_mutex_lock(&lock);
	entry->next = dev->mmun_devres;
	dev->mmun_devres = entry;
	pthread_mutex_unlock(&lock);
	return 0;
}

int devm_add_action_or_reset(struct device *dev, void (*action)(void *data), void *data)
{
	int ret = devm_add_action(dev, action, data);

	if (ret)
		action(data);
	return ret;
}

/* The latest of these, off the list. */
static struct mmun_devres *take(struct device *dev, void (*action)(void *data), const void *data)
{
	struct mmun_devres **link, *entry;

	pthread_mutex_lock(&lock);
	link = &dev->mmun_devres;
	while (*link && ((*link)->action != action || (*link)->data != data))
		link = &(*link)->next;
	entry = *link;
	if (entry)
		*link = entry->next;
	pthread_mutex_unlock(&lock);
	WARN(!entry, "the device has no such action\n");
	return entry;
}

void devm_remove_action(struct device *dev, void (*action)(void *data), void *data)
{
	kfree(take(dev, action, data));
}

void devm_release_action(struct device *dev, void (*action)(void *data), void *data)
{
	struct mmun_devres *entry = take(dev, action, data);

	if (entry)
		action(data);
	kfree(entry);
}

static void free_block(void *data)
{
	kfree(data);
}

void *devm_kzalloc(struct device *dev, size_t size, gfp_t gfp)
{
	void *block = kzalloc(size, gfp);

	return block && devm_add_action_or_reset(dev, free_block, block) ? NULL : block;
}

void devm_kfree(struct device *dev, const void *block)
{
	devm_release_action(dev, free_block, (void *)(uintptr_t)block);
}

/* I1 */
void mmun_compat_devres_release(struct device *dev)
{
	struct mmun_devres *entry;

	for (;;) {
		pthread_mutex_lock(&lock);
		entry = dev->mmun_devres;
		if (entry)
			dev->mmun_devres = entry->next;
		pthread_mutex_unlock(&lock);
		if (!entry)
			return;
		entry->action(entry->data);
		kfree(entry);
	}
}
