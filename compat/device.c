/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Devices by name, their files, and the module they belong to.
 *
 * I1  A file has the driver's own operations and an inode of its own, which lives until
 *     mmun_compat_stop(): ->release comes at the last put, by whomever.
 * I2  A device that is gone cannot be opened; files of it that are open stay.
 *
 * Tests: examples/kernel_driver/mirror_test.c, tests/contract/compat/memory.c.
 */
#include "runtime.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <linux/cdev.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(miscs);
static LIST_HEAD(cdevs);
static struct device *named;
static unsigned int next_major = 240, next_minor;

struct opened {
	struct inode inode;
	struct opened *next;
};

static struct opened *opened;

struct module mmun_compat_this_module = { .name = KBUILD_MODNAME };
static struct mmun_compat_call *calls, **last_call = &calls;

/* The module. */

void mmun_compat_add_call(struct mmun_compat_call *call)
{
	*last_call = call;
	last_call = &call->next;
}

/* The exits of what comes before @end, the last one first. */
static void run_exits(const struct mmun_compat_call *from, const struct mmun_compat_call *end)
{
	if (from == end)
		return;
	run_exits(from->next, end);
	if (from->exit)
		from->exit();
}

int mmun_compat_load(void)
{
	for (struct mmun_compat_call *call = calls; call; call = call->next) {
		int ret = call->init ? call->init() : 0;

		if (ret) {
			run_exits(calls, call);
			return ret;
		}
	}
	return 0;
}

void mmun_compat_unload(void)
{
	WARN_ON(READ_ONCE(mmun_compat_this_module.refs));
	run_exits(calls, NULL);
}

bool try_module_get(struct module *module)
{
	__module_get(module);
	return true;
}

void __module_get(struct module *module)
{
	__atomic_fetch_add(&module->refs, 1, __ATOMIC_SEQ_CST);
}

void module_put(struct module *module)
{
	WARN_ON(__atomic_sub_fetch(&module->refs, 1, __ATOMIC_SEQ_CST) < 0);
}

void mmun_compat_free_inodes(void)
{
	struct opened *next;

	for (; opened; opened = next) {
		next = opened->next;
		free(opened);
	}
}

void mmun_compat_stop(void)
{
	rcu_barrier();
	mmun_compat_stop_work();
	mmun_compat_free_inodes();
	mmun_compat_free_debugfs();
	mmun_compat_start(NULL);
}

/* Names. */

int dev_set_name(struct device *dev, const char *name, ...)
{
	va_list args;

	va_start(args, name);
	vsnprintf(dev->mmun_name, sizeof(dev->mmun_name), name, args);
	va_end(args);
	return 0;
}

const char *dev_name(const struct device *dev)
{
	if (dev && dev->init_name)
		return dev->init_name;
	return dev && dev->mmun_name[0] ? dev->mmun_name : "(device)";
}

int device_add(struct device *dev)
{
	if (dev->init_name)
		dev_set_name(dev, "%s", dev->init_name);
	dev->init_name = NULL;
	pthread_mutex_lock(&lock);
	dev->mmun_next = named;
	named = dev;
	pthread_mutex_unlock(&lock);
	return 0;
}

void device_del(struct device *dev)
{
	struct device **link;

	pthread_mutex_lock(&lock);
	for (link = &named; *link; link = &(*link)->mmun_next) {
		if (*link == dev) {
			*link = dev->mmun_next;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	mmun_compat_devres_release(dev);
}

struct device *device_create(const struct class *class, struct device *parent, dev_t devt,
			     void *drvdata, const char *name, ...)
{
	struct device *dev = (struct device *)kzalloc(sizeof(*dev), GFP_KERNEL);
	va_list args;

	if (!dev)
		return (struct device *)ERR_PTR(-ENOMEM);
	va_start(args, name);
	vsnprintf(dev->mmun_name, sizeof(dev->mmun_name), name, args);
	va_end(args);
	dev->class = class;
	dev->parent = parent;
	dev->devt = devt;
	dev->driver_data = drvdata;
	dev->mmun_created = true;
	device_add(dev);
	return dev;
}

void device_destroy(const struct class *class, dev_t devt)
{
	struct device *dev;

	pthread_mutex_lock(&lock);
	for (dev = named; dev; dev = dev->mmun_next) {
		if (dev->mmun_created && dev->class == class && dev->devt == devt)
			break;
	}
	pthread_mutex_unlock(&lock);
	if (!dev)
		return;
	device_del(dev);
	kfree(dev);
}

struct class *mmun_compat_class_create(const char *name)
{
	struct class *class = (struct class *)kzalloc(sizeof(*class), GFP_KERNEL);

	if (!class)
		return (struct class *)ERR_PTR(-ENOMEM);
	class->name = name;
	return class;
}

void class_destroy(const struct class *class)
{
	kfree(class);
}

int misc_register(struct miscdevice *misc)
{
	struct device *dev = (struct device *)kzalloc(sizeof(*dev), GFP_KERNEL);

	if (!dev)
		return -ENOMEM;
	dev_set_name(dev, "%s", misc->name);
	pthread_mutex_lock(&lock);
	if (misc->minor == MISC_DYNAMIC_MINOR)
		misc->minor = (int)next_minor++;
	dev->devt = MKDEV(10, (unsigned int)misc->minor);
	misc->this_device = dev;
	list_add_tail(&misc->list, &miscs);
	pthread_mutex_unlock(&lock);
	return 0;
}

void misc_deregister(struct miscdevice *misc)
{
	pthread_mutex_lock(&lock);
	list_del(&misc->list);
	pthread_mutex_unlock(&lock);
	kfree(misc->this_device);
	misc->this_device = NULL;
}

int alloc_chrdev_region(dev_t *dev, unsigned int first, unsigned int count, const char *name)
{
	*dev = MKDEV(__atomic_fetch_add(&next_major, 1, __ATOMIC_SEQ_CST), first);
	return 0;
}

int register_chrdev_region(dev_t from, unsigned int count, const char *name)
{
	return 0;
}

void unregister_chrdev_region(dev_t from, unsigned int count)
{
}

void cdev_init(struct cdev *cdev, const struct file_operations *fops)
{
	*cdev = (struct cdev){ .ops = fops };
}

int cdev_add(struct cdev *cdev, dev_t dev, unsigned int count)
{
	cdev->dev = dev;
	cdev->count = count;
	pthread_mutex_lock(&lock);
	list_add_tail(&cdev->list, &cdevs);
	pthread_mutex_unlock(&lock);
	return 0;
}

void cdev_del(struct cdev *cdev)
{
	pthread_mutex_lock(&lock);
	list_del(&cdev->list);
	pthread_mutex_unlock(&lock);
}

int cdev_device_add(struct cdev *cdev, struct device *dev)
{
	int ret = cdev_add(cdev, dev->devt, 1);

	return ret ? ret : device_add(dev);
}

void cdev_device_del(struct cdev *cdev, struct device *dev)
{
	device_del(dev);
	cdev_del(cdev);
}

/* Files. */

/* What a name stands for. */
struct target {
	const struct file_operations *fops;
	struct miscdevice *misc;
	struct cdev *cdev;
	void *inode_private;
	dev_t dev;
	unsigned int flags;
};

static bool find_misc(const char *name, struct target *out)
{
	struct miscdevice *misc;

	list_for_each_entry(misc, &miscs, list) {
		if (!strcmp(misc->name, name)) {
			*out = (struct target){ .fops = misc->fops,
						.misc = misc,
						.dev = misc->this_device->devt };
			return true;
		}
	}
	return false;
}

static bool find_cdev(const char *name, struct target *out)
{
	struct device *dev = named;
	struct cdev *cdev;

	while (dev && strcmp(dev->mmun_name, name))
		dev = dev->mmun_next;
	if (!dev)
		return false;
	list_for_each_entry(cdev, &cdevs, list) {
		if (dev->devt >= cdev->dev && dev->devt - cdev->dev < cdev->count) {
			*out = (struct target){ .fops = cdev->ops, .cdev = cdev, .dev = dev->devt };
			return true;
		}
	}
	return false;
}

static struct inode *new_inode(const struct target *target)
{
	struct opened *o = (struct opened *)calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->inode.i_rdev = target->dev;
	o->inode.i_cdev = target->cdev;
	o->inode.i_private = target->inode_private;
	pthread_mutex_lock(&lock);
	o->next = opened;
	opened = o;
	pthread_mutex_unlock(&lock);
	return &o->inode;
}

/* I1.  The machine opens the file; here it becomes the driver's. */
static int open_target(struct inode *none, struct file *file)
{
	const struct target *target = (const struct target *)file->private_data;

	file->f_inode = new_inode(target);
	if (!file->f_inode)
		return -ENOMEM;
	file->f_op = target->fops;
	file->f_flags = target->flags;
	file->f_mode = FMODE_READ | FMODE_WRITE;
	file->private_data = target->misc;
	return target->fops->open ? target->fops->open(file->f_inode, file) : 0;
}

static const struct file_operations opening = { .open = open_target };

static bool find_debugfs(const char *path, struct target *out)
{
	*out = (struct target){ 0 };
	out->fops = mmun_compat_find_debugfs(path, &out->inode_private);
	return out->fops;
}

int mmun_compat_open(const char *name, unsigned int flags, struct file **file)
{
	struct target target;
	bool found;

	pthread_mutex_lock(&lock);
	found = find_misc(name, &target) || find_cdev(name, &target);
	pthread_mutex_unlock(&lock);
	if (!found && !find_debugfs(name, &target))
		return -ENOENT;
	target.flags = flags;
	return mmun_soft_device_create(mmun_compat_machine(), name, &opening, &target, file);
}

void mmun_compat_close(struct file *file)
{
	mmun_soft_file_put(file);
}

struct file *filp_open(const char *name, int flags, umode_t mode)
{
	struct file *file;
	int ret = -ENOENT;

	might_sleep();
	if (!strncmp(name, "/dev/", 5))
		ret = mmun_compat_open(name + 5, (unsigned int)flags, &file);
	return ret ? (struct file *)ERR_PTR(ret) : file;
}

int filp_close(struct file *file, void *id)
{
	fput(file);
	return 0;
}

long mmun_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	long ret;

	if (!file->f_op->unlocked_ioctl)
		return -ENOTTY;
	ret = file->f_op->unlocked_ioctl(file, cmd, arg);
	return ret == -ENOIOCTLCMD ? -ENOTTY : ret;
}

long mmun_compat_read(struct file *file, unsigned long address, size_t length)
{
	if (!file->f_op->read)
		return -EINVAL;
	return file->f_op->read(file, (char __user *)address, length, &file->f_pos);
}

long mmun_compat_write(struct file *file, unsigned long address, size_t length)
{
	if (!file->f_op->write)
		return -EINVAL;
	return file->f_op->write(file, (const char __user *)address, length, &file->f_pos);
}

unsigned int mmun_compat_poll(struct file *file)
{
	poll_table table = { 0 };

	return file->f_op->poll ? file->f_op->poll(file, &table) : POLLIN | POLLOUT;
}

long compat_ptr_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return mmun_compat_ioctl(file, cmd, (u32)arg);
}

loff_t noop_llseek(struct file *file, loff_t offset, int whence)
{
	return file->f_pos;
}

int nonseekable_open(struct inode *inode, struct file *file)
{
	return 0;
}
