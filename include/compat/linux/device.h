/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names, private data, classes and attributes of devices; buses are outside, and of a driver
 * there is its name. */
#ifndef MMUN_COMPAT_LINUX_DEVICE_H
#define MMUN_COMPAT_LINUX_DEVICE_H

#include <linux/dev_printk.h>
#include <linux/err.h>
#include <linux/kdev_t.h>
#include <linux/numa.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/types.h>

struct device;
/* Nobody listens. */
struct kobj_uevent_env;
__printf(2, 3) static inline int add_uevent_var(struct kobj_uevent_env *env, const char *format,
						...)
{
	return 0;
}

struct class
{
	const char *name;
	/* Never called. */
	int (*dev_uevent)(const struct device *dev, struct kobj_uevent_env *env);
};

struct device_attribute {
	struct attribute attr;
	ssize_t (*show)(struct device *dev, struct device_attribute *attr, char *buf);
	ssize_t (*store)(struct device *dev, struct device_attribute *attr, const char *buf,
			 size_t count);
};

struct dev_iommu;
struct iommu_group;

struct device_driver {
	const char *name;
};

struct device {
	struct device *parent;
	/* A name of one that is no block, until it is added. */
	const char *init_name;
	struct device_driver *driver;
	const struct class *class;
	void (*release)(struct device *dev);
	void *driver_data;
	dev_t devt;
	/* Of whoever puts it behind an IOMMU: there is none here. */
	struct dev_iommu *iommu;
	struct iommu_group *iommu_group;
	/* private: */
	char mmun_name[32];
	bool mmun_created;
	struct device *mmun_next;
	struct mmun_devres *mmun_devres;
	int mmun_users;
};

#define DEVICE_ATTR(name, mode, show, store) \
	struct device_attribute dev_attr_##name = __ATTR(name, mode, show, store)
#define DEVICE_ATTR_RO(name) struct device_attribute dev_attr_##name = __ATTR_RO(name)
#define DEVICE_ATTR_WO(name) struct device_attribute dev_attr_##name = __ATTR_WO(name)
#define DEVICE_ATTR_RW(name) struct device_attribute dev_attr_##name = __ATTR_RW(name)
/* -EEXIST: it has one of that name. */
int device_create_file(struct device *dev, const struct device_attribute *attr);
void device_remove_file(struct device *dev, const struct device_attribute *attr);

int dev_set_name(struct device *dev, const char *name, ...) __printf(2, 3);

static inline void *dev_get_drvdata(const struct device *dev)
{
	return dev->driver_data;
}

static inline void dev_set_drvdata(struct device *dev, void *data)
{
	dev->driver_data = data;
}

static inline int dev_to_node(struct device *dev)
{
	return NUMA_NO_NODE;
}

static inline void device_initialize(struct device *dev)
{
	dev->mmun_next = NULL;
	dev->mmun_devres = NULL;
	dev->mmun_users = 1;
}

static inline struct device *get_device(struct device *dev)
{
	if (dev)
		__atomic_fetch_add(&dev->mmun_users, 1, __ATOMIC_RELAXED);
	return dev;
}

/* The last one calls ->release, which devices from device_create() have none of. */
static inline void put_device(struct device *dev)
{
	if (dev && __atomic_sub_fetch(&dev->mmun_users, 1, __ATOMIC_ACQ_REL) == 0 && dev->release)
		dev->release(dev);
}

/* What is to be done when the device goes (device_del(), device_destroy()), latest first.
 * -ENOMEM. */
int devm_add_action(struct device *dev, void (*action)(void *data), void *data);
/* After -ENOMEM it has been done. */
int devm_add_action_or_reset(struct device *dev, void (*action)(void *data), void *data);
/* Not to be done; to be done now. */
void devm_remove_action(struct device *dev, void (*action)(void *data), void *data);
void devm_release_action(struct device *dev, void (*action)(void *data), void *data);
void *devm_kzalloc(struct device *dev, size_t size, gfp_t gfp);
void devm_kfree(struct device *dev, const void *block);
void mmun_compat_devres_release(struct device *dev);

int device_add(struct device *dev);
void device_del(struct device *dev);
struct device *device_create(const struct class *class, struct device *parent, dev_t devt,
			     void *drvdata, const char *name, ...) __printf(5, 6);
void device_destroy(const struct class *class, dev_t devt);
struct class *mmun_compat_class_create(const char *name);
void class_destroy(const struct class *class);

/* With the owner in front before 6.4, without since. */
#define class_create(args...) \
	mmun_compat_class_create(MMUN_COMPAT_CLASS_NAME(args, mmun_none, mmun_none))
#define MMUN_COMPAT_CLASS_NAME(a, b, ...) MMUN_COMPAT_CLASS_PICK(a, b)
#define MMUN_COMPAT_CLASS_PICK(a, b)      _Generic((a), char * : (a), const char * : (a), default : (b))
#define mmun_none                         ((const char *)NULL)

#endif
