/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Attributes of devices: what would be files of sysfs.
 *
 * I1  Removal waits until nobody is inside ->show or ->store.
 *
 * Tests: tests/contract/compat/memory.c.
 */
#include "runtime.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <linux/device.h>
#include <linux/mm.h>

struct file_of {
	struct file_of *next;
	struct device *dev;
	const struct device_attribute *attr;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file_of *files;

static struct file_of **find(const struct device *dev, const char *device, const char *name)
{
	struct file_of **link = &files;

	while (*link &&
	       ((dev ? (*link)->dev != dev : !device || strcmp(dev_name((*link)->dev), device)) ||
		strcmp((*link)->attr->attr.name, name)))
		link = &(*link)->next;
	return link;
}

int device_create_file(struct device *dev, const struct device_attribute *attr)
{
	struct file_of *file = (struct file_of *)kzalloc(sizeof(*file), GFP_KERNEL);
	struct file_of **link;

	if (!file)
		return -ENOMEM;
	file->dev = dev;
	file->attr = attr;
	pthread_mutex_lock(&lock);
	link = find(dev, NULL, attr->attr.name);
	if (*link) {
		pthread_mutex_unlock(&lock);
		kfree(file);
		return -EEXIST;
	}
	*link = file;
	pthread_mutex_unlock(&lock);
	return 0;
}

/* I1 */
void device_remove_file(struct device *dev, const struct device_attribute *attr)
{
	struct file_of **link, *file;

	might_sleep();
	pthread_mutex_lock(&lock);
	link = find(dev, NULL, attr->attr.name);
	file = *link;
	if (file)
		*link = file->next;
	pthread_mutex_unlock(&lock);
	kfree(file);
}

long mmun_compat_show_attribute(const char *device, const char *name, char *buf)
{
	struct file_of *file;
	ssize_t ret = -ENOENT;

	pthread_mutex_lock(&lock);
	file = *find(NULL, device, name);
	if (file)
		ret = file->attr->show
			      ? file->attr->show(file->dev,
						 (struct device_attribute *)(uintptr_t)file->attr,
						 buf)
			      : -EIO;
	pthread_mutex_unlock(&lock);
	return ret;
}

long mmun_compat_store_attribute(const char *device, const char *name, const char *text)
{
	struct file_of *file;
	ssize_t ret = -ENOENT;

	pthread_mutex_lock(&lock);
	file = *find(NULL, device, name);
	if (file)
		ret = file->attr->store
			      ? file->attr->store(file->dev,
						  (struct device_attribute *)(uintptr_t)file->attr,
						  text, strlen(text))
			      : -EIO;
	pthread_mutex_unlock(&lock);
	return ret;
}

int sysfs_emit(char *buf, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(buf, PAGE_SIZE, format, args);
	va_end(args);
	return n < (int)PAGE_SIZE ? n : (int)PAGE_SIZE - 1;
}
