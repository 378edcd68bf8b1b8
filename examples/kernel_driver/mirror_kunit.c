/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The mirror driver under KUnit.  This file is a module of the kernel (see Kbuild) and,
 * linked with mirror.c to libmmunotify-compat, a program: what the device sees is what its
 * user sees, also while another thread replaces the memory.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>

#include "mirror_uapi.h"

#define PAGES   8ul
#define PATTERN 100

/* Of one case. */
struct mirror_user {
	struct file *device;
	struct mm_struct *mm;
	/* In its memory: what the device follows; arguments, and behind them what is copied. */
	unsigned long memory, arguments, buffer;
	/* The device's status page. */
	unsigned long status;
	bool go, done, replaced;
};

static unsigned long map(struct kunit *test, struct file *file, unsigned long pages, int prot,
			 int flags)
{
	return kunit_vm_mmap(test, file, 0, pages * PAGE_SIZE, prot, flags, 0);
}

static long command(struct mirror_user *user, unsigned int cmd, const void *argument, size_t length)
{
	if (copy_to_user((void __user *)user->arguments, argument, length))
		return -EFAULT;
	return user->device->f_op->unlocked_ioctl(user->device, cmd, user->arguments);
}

static long ranged(struct mirror_user *user, unsigned int cmd, unsigned long start,
		   unsigned long pages)
{
	struct mirror_range range = { start, pages * PAGE_SIZE };

	return command(user, cmd, &range, sizeof(range));
}

static int user_get(unsigned long address)
{
	int value;

	return get_user(value, (int __user *)address) ? -EFAULT : value;
}

static int user_put(unsigned long address, int value)
{
	return put_user(value, (int __user *)address);
}

static long device_get(struct mirror_user *user, unsigned long address)
{
	struct mirror_copy copy = { address, user->buffer, sizeof(int) };
	long ret = command(user, MIRROR_READ, &copy, sizeof(copy));

	return ret ? ret : user_get(user->buffer);
}

static long device_put(struct mirror_user *user, unsigned long address, int value)
{
	struct mirror_copy copy = { address, user->buffer, sizeof(int) };

	return user_put(user->buffer, value) ?: command(user, MIRROR_WRITE, &copy, sizeof(copy));
}

static u64 device_pages(struct mirror_user *user)
{
	struct mirror_status __user *status = (void __user *)user->status;
	u64 pages;

	return get_user(pages, &status->pages) ? U64_MAX : pages;
}

/* Another page, zero, where @page was. */
static bool replace(unsigned long page)
{
	return vm_mmap(NULL, page, PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED, 0) == page;
}

static int mirror_test_init(struct kunit *test)
{
	struct mirror_user *user = kunit_kzalloc(test, sizeof(*user), GFP_KERNEL);
	struct file *device;

	if (!user)
		return -ENOMEM;
	test->priv = user;
	user->memory = map(test, NULL, PAGES, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE);
	user->arguments = map(test, NULL, 1, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE);
	user->buffer = user->arguments + PAGE_SIZE / 2;
	user->mm = current->mm;
	if (!user->memory || IS_ERR_VALUE(user->memory) || IS_ERR_VALUE(user->arguments))
		return -ENOMEM;
	device = filp_open("/dev/mirror", O_RDWR, 0);
	if (IS_ERR(device))
		return PTR_ERR(device);
	user->device = device;
	user->status = map(test, device, 1, PROT_READ, MAP_SHARED);
	return ranged(user, MIRROR_WATCH, user->memory, PAGES);
}

/* The memory of the case is gone already. */
static void mirror_test_exit(struct kunit *test)
{
	struct mirror_user *user = test->priv;

	if (user && user->device)
		filp_close(user->device, NULL);
}

static void mirror_test_same_memory(struct kunit *test)
{
	struct mirror_user *user = test->priv;

	KUNIT_ASSERT_EQ(test, user_put(user->memory, 1), 0);
	KUNIT_EXPECT_EQ(test, device_get(user, user->memory), 1);
	KUNIT_EXPECT_EQ(test, device_put(user, user->memory + PAGE_SIZE, 2), 0);
	KUNIT_EXPECT_EQ(test, user_get(user->memory + PAGE_SIZE), 2);
	KUNIT_EXPECT_EQ(test, device_get(user, user->memory - 8), -EINVAL);
	KUNIT_EXPECT_EQ(test, device_pages(user), 2);
}

static void mirror_test_replaced(struct kunit *test)
{
	struct mirror_user *user = test->priv;

	KUNIT_ASSERT_EQ(test, device_put(user, user->memory, 5), 0);
	KUNIT_ASSERT_TRUE(test, replace(user->memory));
	KUNIT_EXPECT_EQ_MSG(test, device_get(user, user->memory), 0, "the device has the old page");
	KUNIT_EXPECT_EQ(test, device_put(user, user->memory, 6), 0);
	KUNIT_EXPECT_EQ(test, user_get(user->memory), 6);
}

static void mirror_test_unmapped(struct kunit *test)
{
	struct mirror_user *user = test->priv;

	KUNIT_ASSERT_EQ(test, device_put(user, user->memory, 5), 0);
	KUNIT_ASSERT_EQ(test, device_put(user, user->memory + PAGE_SIZE, 6), 0);
	KUNIT_ASSERT_EQ(test, vm_munmap(user->memory, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, device_get(user, user->memory), -EFAULT);
	KUNIT_EXPECT_EQ(test, device_pages(user), 1);
	KUNIT_EXPECT_EQ(test, device_get(user, user->memory + PAGE_SIZE), 6);
}

static const unsigned long offsets[] = { 0, 4, PAGE_SIZE - 4, PAGE_SIZE - 2, PAGE_SIZE - 1 };

static void describe(const unsigned long *offset, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "at %lu", *offset);
}

KUNIT_ARRAY_PARAM(offset, offsets, describe);

static void mirror_test_offset(struct kunit *test)
{
	unsigned long offset = *(const unsigned long *)test->param_value;
	struct mirror_user *user = test->priv;

	KUNIT_ASSERT_EQ(test, device_put(user, user->memory + offset, 0x1234567), 0);
	KUNIT_EXPECT_EQ(test, user_get(user->memory + offset), 0x1234567);
	KUNIT_EXPECT_EQ(test, device_get(user, user->memory + offset), 0x1234567);
}

static void mirror_test_pins(struct kunit *test)
{
	struct mirror_user *user = test->priv;
	const struct file_operations *fops = user->device->f_op;

	KUNIT_ASSERT_EQ(test, ranged(user, MIRROR_PIN, user->memory, 4), 0);
	KUNIT_EXPECT_EQ(test, fops->unlocked_ioctl(user->device, MIRROR_FILL, 0x5a), 4);
	KUNIT_EXPECT_EQ(test, user_get(user->memory + 3 * PAGE_SIZE), 0x5a5a5a5a);
	KUNIT_EXPECT_EQ(test, fops->unlocked_ioctl(user->device, MIRROR_UNPIN, 0), 0);
}

/* Another thread, behind the device's back and ordered by nothing but the driver's locks. */
static int replacer(void *data)
{
	struct mirror_user *user = data;

	kthread_use_mm(user->mm);
	while (!READ_ONCE(user->go) && !kthread_should_stop())
		cond_resched();
	WRITE_ONCE(user->replaced, replace(user->memory));
	WRITE_ONCE(user->done, true);
	while (!kthread_should_stop()) {
		user_put(user->memory, PATTERN);
		WRITE_ONCE(user->replaced, replace(user->memory));
		cond_resched();
	}
	kthread_unuse_mm(user->mm);
	return 0;
}

/* The device has just finished when the memory goes. */
static void mirror_test_replaced_by_thread(struct kunit *test)
{
	struct mirror_user *user = test->priv;
	struct task_struct *thread = kthread_run(replacer, user, "replacer");

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, thread);
	KUNIT_EXPECT_EQ(test, device_put(user, user->memory, 5), 0);
	WRITE_ONCE(user->go, true);
	while (!READ_ONCE(user->done))
		msleep(1);
	kthread_stop(thread);
	KUNIT_EXPECT_TRUE(test, user->replaced);
	KUNIT_EXPECT_EQ(test, device_get(user, user->memory), 0);
}

/* All the while: what the device reads has been written there, or is a new page's. */
static void mirror_test_race(struct kunit *test)
{
	struct mirror_user *user = test->priv;
	struct task_struct *thread = kthread_run(replacer, user, "replacer");
	long value, wrong = 0;
	int i;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, thread);
	WRITE_ONCE(user->go, true);
	for (i = 0; i < 100; i++) {
		value = device_get(user, user->memory);
		wrong += value != 0 && value != PATTERN;
	}
	kthread_stop(thread);
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

static struct kunit_case mirror_cases[] = { KUNIT_CASE(mirror_test_same_memory),
					    KUNIT_CASE(mirror_test_replaced),
					    KUNIT_CASE(mirror_test_unmapped),
					    KUNIT_CASE_PARAM(mirror_test_offset, offset_gen_params),
					    KUNIT_CASE(mirror_test_pins),
					    KUNIT_CASE(mirror_test_replaced_by_thread),
					    KUNIT_CASE(mirror_test_race),
					    {} };

static struct kunit_suite mirror_suite = {
	.name = "mirror",
	.init = mirror_test_init,
	.exit = mirror_test_exit,
	.test_cases = mirror_cases,
};
kunit_test_suite(mirror_suite);

MODULE_DESCRIPTION("Tests of the mirror driver");
MODULE_LICENSE("Dual BSD/GPL");
