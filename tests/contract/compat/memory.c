/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A task's memory and pages as kernel code reaches them; devices. */
#include "machine.h"

#include <linux/capability.h>
#include <linux/cdev.h>
#include <linux/debugfs.h>
#include <linux/highmem.h>
#include <linux/mempool.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <mmunotify/compat.h>

static void test_copies(void)
{
	char buffer[64], *copy;
	int value = 0;

	map(AT, 1, PROT_READ | PROT_WRITE);
	is(copy_to_user((void *)AT, "hello", 6), 0, "copied to the task");
	is(copy_from_user(buffer, (void *)AT, 6), 0, "and back");
	ok(!strcmp(buffer, "hello"), "the same bytes");
	is(strncpy_from_user(buffer, (char *)AT, 64), 5, "a string has its length");
	is(copy_to_user((void *)(AT + PAGE_SIZE - 4), buffer, 10), 6, "what does not fit is left");
	memset(buffer, 1, sizeof(buffer));
	is(copy_from_user(buffer, (void *)(AT + PAGE_SIZE - 4), 10), 6, "what cannot be read too");
	is(buffer[9], 0, "and is zeroed");
	is(put_user(42, (int *)AT), 0, "put_user()");
	is(get_user(value, (int *)AT), 0, "get_user()");
	is(value, 42, "one value");
	is(get_user(value, (int *)(AT - 8)), -EFAULT, "from nowhere");
	is(clear_user((void *)AT, 8), 0, "cleared");
	copy = memdup_user((void *)AT, 8);
	ok(!IS_ERR(copy) && !copy[0], "memdup_user()");
	kfree(copy);
	ok(PTR_ERR(memdup_user((void *)(AT - 8), 8)) == -EFAULT, "of nothing");
	ok(PTR_ERR(memdup_array_user((void *)AT, SIZE_MAX, 8)) == -EOVERFLOW, "of too many");
}

/* Memory that the task's address space does not have: 16 bytes from OUTSIDE on. */
#define OUTSIDE 0x50000000ul
static char outside[16];

static size_t copy_outside(unsigned long address, void *buffer, size_t length, bool write)
{
	size_t at = address - OUTSIDE, n;

	if (at >= sizeof(outside))
		return 0;
	n = min(length, sizeof(outside) - at);
	if (write)
		memcpy(outside + at, buffer, n);
	else
		memcpy(buffer, outside + at, n);
	return n;
}

static void test_outside(void)
{
	char buffer[32];

	is(copy_to_user((void *)OUTSIDE, "hello", 6), 6, "nothing is outside by default");
	mmun_compat_outside_memory(copy_outside);
	is(copy_to_user((void *)OUTSIDE, "hello", 6), 0, "copied to what is outside");
	ok(!strcmp(outside, "hello"), "the same bytes");
	memset(buffer, 1, sizeof(buffer));
	is(copy_from_user(buffer, (void *)OUTSIDE, 20), 4, "and back, as far as it goes");
	ok(!strcmp(buffer, "hello") && !buffer[19] && buffer[20] == 1, "the rest is zeroed");
	map(OUTSIDE - PAGE_SIZE, 1, PROT_READ | PROT_WRITE);
	is(copy_to_user((void *)(OUTSIDE - 4), "1234outside", 12), 0,
	   "of both, one behind the other");
	is(copy_from_user(buffer, (void *)(OUTSIDE - 4), 12), 0, "both ways");
	ok(!strcmp(buffer, "1234outside") && !strcmp(outside, "outside"), "in this order");
	map(OUTSIDE, 1, PROT_NONE);
	is(copy_to_user((void *)OUTSIDE, "hello", 6), 6, "what the task has without access is not");
	is(copy_to_user((void *)(AT - 8), "hello", 6), 6, "nor what nobody has");
	mmun_compat_outside_memory(NULL);
	mmun_soft_munmap(current->mm, OUTSIDE - PAGE_SIZE, 2 * PAGE_SIZE);
	is(copy_from_user(buffer, (void *)OUTSIDE, 6), 6, "and nothing is when that is taken back");
}

static void test_pages(void)
{
	struct page *pages[4];
	char c = 7;

	map(AT, 2, PROT_READ | PROT_WRITE);
	is(get_user_pages_fast(AT, 3, FOLL_WRITE, pages), 2, "as many pages as there are");
	is(get_user_pages_fast(AT + 2 * PAGE_SIZE, 1, 0, pages + 2), -EFAULT, "or none");
	memcpy_to_page(pages[1], 5, &c, 1);
	c = 0;
	ok(!copy_from_user(&c, (char *)AT + PAGE_SIZE + 5, 1) && c == 7, "they are the task's");
	ok(pfn_to_page(page_to_pfn(pages[0])) == pages[0], "a page has a number");
	ok(virt_to_page((char *)page_address(pages[1]) + 9) == pages[1], "and an address");
	ok(!pfn_valid(~0ul), "no page has that number");
	release_pages(pages, 2);
	mmap_read_lock(current->mm);
	is(pin_user_pages(AT, 2, FOLL_WRITE, pages), 2, "pinned");
	mmap_read_unlock(current->mm);
	unpin_user_pages_dirty_lock(pages, 2, true);
	pages[0] = alloc_page(GFP_KERNEL);
	ok(pages[0], "a page of one's own");
	__free_page(pages[0]);
	free_page(get_zeroed_page(GFP_KERNEL));
}

static void gup_without_lock(void)
{
	struct page *page;

	get_user_pages(AT, 1, 0, &page);
}

static void test_contents(void)
{
	struct page *page = alloc_page(GFP_KERNEL), *other = alloc_page(GFP_KERNEL);
	char in[64], out[80], wrong = 0;

	for (unsigned int i = 0; i < sizeof(in); i++)
		in[i] = (char)(i + 1);
	for (unsigned int at = 0; at < 17; at++) {
		for (unsigned int n = 0; n < 40; n++) {
			clear_highpage(page);
			memset(out, 0x55, sizeof(out));
			memcpy_to_page(page, 8 + at, in + at % 3, n);
			memcpy_from_page(out + at % 5, page, 8 + at, n + 1);
			wrong |= memcmp(out + at % 5, in + at % 3, n) || out[at % 5 + n] ||
				 out[at % 5 + n + 1] != 0x55;
			memcpy_from_page(out, page, 7 + at, 1);
			wrong |= out[0];
		}
	}
	ok(!wrong, "bytes of a page, wherever they begin and end");
	memcpy_to_page(page, PAGE_SIZE - 1, in, 1);
	copy_highpage(other, page);
	ok(!memcmp(page_address(other), page_address(page), PAGE_SIZE), "all of it");
	put_page(page);
	put_page(other);
}

static void test_failures(void)
{
	struct kmem_cache *cache = kmem_cache_create("things", 24, 8, 0, NULL);
	void *thing = kmem_cache_zalloc(cache, GFP_KERNEL);

	kmem_cache_free(cache, thing);
	kmem_cache_destroy(cache);
	is(mmun_compat_allocated(), 0, "a cache leaves nothing");
	ok(!kmalloc_array(SIZE_MAX, 2, GFP_KERNEL), "an overflow is no memory");
	thing = krealloc(kmalloc(8, GFP_KERNEL), 800, GFP_KERNEL);
	is(mmun_compat_allocated(), 1, "a block that grows is one block");
	kfree(thing);
}

/* A character device with two minors. */
static int opened_minor = -1;

static int open_minor(struct inode *inode, struct file *file)
{
	opened_minor = (int)iminor(inode);
	return file->f_flags ? -EPERM : 0;
}

static int release_minor(struct inode *inode, struct file *file)
{
	opened_minor = 100 + (int)iminor(inode);
	return 0;
}

static ssize_t read_zeros(struct file *file, char __user *buffer, size_t length, loff_t *offset)
{
	*offset += (loff_t)length;
	return clear_user(buffer, length) ? -EFAULT : (ssize_t)length;
}

static __poll_t poll_in(struct file *file, struct poll_table_struct *wait)
{
	return EPOLLIN;
}

static const struct file_operations fops = {
	.open = open_minor,
	.release = release_minor,
	.read = read_zeros,
	.poll = poll_in,
};

static void *opened_data;

static int open_data(struct inode *inode, struct file *file)
{
	opened_data = inode->i_private;
	return 0;
}

static const struct file_operations data_fops = { .open = open_data };

static void test_debugfs(void)
{
	struct dentry *top = debugfs_create_dir("top", NULL), *below;
	struct file *file;

	below = debugfs_create_dir("below", top);
	ok(!IS_ERR(below), "folders");
	ok(!IS_ERR(debugfs_create_file("data", 0600, below, &file, &data_fops)), "a file");
	ok(PTR_ERR(debugfs_create_dir("top", NULL)) == -EEXIST, "a name is taken once");
	ok(PTR_ERR(debugfs_create_dir("x", (struct dentry *)ERR_PTR(-ENOMEM))) == -ENOMEM,
	   "nothing is below nothing");
	is(mmun_compat_open("top/below", 0, &file), -ENOENT, "a folder is not opened");
	is(mmun_compat_open("top/below/data", 0, &file), 0, "the file is, by its path");
	ok(opened_data == &file, "and has its data");
	mmun_compat_close(file);
	debugfs_remove(top);
	is(mmun_compat_open("top/below/data", 0, &file), -ENOENT, "it goes with the folder");
	ok(!IS_ERR(debugfs_create_file("left", 0, NULL, NULL, &data_fops)), "a file that is left");
}

static void test_pinned(void)
{
	struct page *page;

	map(AT, 1, PROT_READ | PROT_WRITE);
	is(get_user_pages_fast(AT, 1, FOLL_WRITE, &page), 1, "a page");
	ok(!page_maybe_dma_pinned(page) && folio_is_longterm_pinnable(page_folio(page)),
	   "that is not pinned, but can be");
	put_page(page);
	is(pin_user_pages_fast(AT, 1, FOLL_WRITE, &page), 1, "pinned");
	ok(folio_maybe_dma_pinned(page_folio(page)), "it says so");
	unpin_user_page(page);
}

static void test_devices(void)
{
	struct class *class = class_create("zeros");
	struct cdev cdev;
	struct file *file;
	dev_t devt;

	map(AT, 1, PROT_READ | PROT_WRITE);
	is(alloc_chrdev_region(&devt, 0, 2, "zeros"), 0, "numbers");
	cdev_init(&cdev, &fops);
	cdev_add(&cdev, devt, 2);
	device_create(class, NULL, devt + 1, NULL, "zeros%d", 1);
	is(mmun_compat_open("zeros0", 0, &file), -ENOENT, "no such device");
	is(mmun_compat_open("zeros1", 1, &file), -EPERM, "refused by the driver");
	is(opened_minor, 1, "which was not released");
	is(mmun_compat_open("zeros1", 0, &file), 0, "opened");
	is(opened_minor, 1, "by its number");
	is(mmun_compat_read(file, AT, 16), 16, "read");
	is(mmun_compat_read(file, AT - 16, 16), -EFAULT, "into nowhere");
	is(mmun_compat_write(file, AT, 16), -EINVAL, "not written");
	is(mmun_compat_ioctl(file, 0, 0), -ENOTTY, "no command");
	is(mmun_compat_poll(file), POLLIN, "polled");
	device_destroy(class, devt + 1);
	class_destroy(class);
	cdev_del(&cdev);
	unregister_chrdev_region(devt, 2);
	mmun_compat_close(file);
	is(opened_minor, 101, "released with its inode");
}

struct flexible {
	int n;
	long values[];
};

static void test_objects(void)
{
	struct flexible *one = kzalloc_flex(*one, values, 3);
	long *three = kzalloc_objs(long, 3, GFP_ATOMIC);

	ok(one && !one->values[2], "a structure with three values");
	ok(three && !three[2], "three objects of a type");
	ok(ksize(three) >= 3 * sizeof(long) && !ksize(NULL),
	   "which have at least the room for them");
	kfree(one);
	kfree(three);
	one = kmalloc_obj(*one);
	ok(one, "one of a variable's");
	kfree(one);
}

static void test_limits(void)
{
	ok(capable(CAP_IPC_LOCK) && can_do_mlock(), "a task may lock what it wants");
	is(atomic64_add_return(5, &current->mm->pinned_vm), 5, "and drivers count what they pin");
	atomic64_set(&current->mm->pinned_vm, 0);
	mmun_compat_limit_locked(2 * PAGE_SIZE);
	ok(!capable(CAP_IPC_LOCK) && capable(CAP_SYS_ADMIN), "until there is a limit");
	ok(rlimit(RLIMIT_MEMLOCK) == 2 * PAGE_SIZE && can_do_mlock(), "which is known");
	mmun_compat_limit_locked(0);
	ok(!can_do_mlock(), "of nothing at all");
	mmun_compat_limit_locked(ULONG_MAX);
	ok(capable(CAP_IPC_LOCK) && rlimit(RLIMIT_NOFILE) == ULONG_MAX, "and is taken back");
}

static bool refuse_all(size_t size, void *arg)
{
	return true;
}

static void test_pools(void)
{
	mempool_t *pool = mempool_create_kmalloc_pool(1, 32);
	void *first, *second;

	ok(pool, "a pool with one in reserve");
	first = mempool_alloc(pool, GFP_KERNEL);
	mmun_compat_fail_allocations(refuse_all, NULL);
	second = mempool_alloc(pool, GFP_ATOMIC);
	ok(first && second && first != second, "the reserve is there when memory is not");
	ok(!mempool_alloc(pool, GFP_ATOMIC), "once");
	mempool_free(first, pool);
	first = mempool_alloc(pool, GFP_KERNEL);
	ok(first, "what is freed fills it");
	mmun_compat_fail_allocations(NULL, NULL);
	mempool_free(first, pool);
	mempool_free(second, pool);
	mempool_destroy(pool);
}

static void test_shared_blocks(void)
{
	char *block = (char *)vmalloc_user(3 * PAGE_SIZE), bytes[4] = { 0 };
	unsigned long at = vm_mmap(NULL, 0, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
				   MAP_ANONYMOUS | MAP_SHARED, 0);
	struct vm_area_struct *vma;

	ok(block && !block[3 * PAGE_SIZE - 1], "a block that tasks may map, zeroed");
	mmap_write_lock(current->mm);
	vma = find_vma(current->mm, at);
	is(remap_vmalloc_range(vma, block, 2), -EINVAL, "not beyond its end");
	is(remap_vmalloc_range(vma, block + 1, 0), -EINVAL, "nor what is none");
	is(remap_vmalloc_range(vma, block, 1), 0, "mapped from its second page on");
	mmap_write_unlock(current->mm);
	strcpy(block + 2 * PAGE_SIZE, "abc");
	is(copy_from_user(bytes, (char *)at + PAGE_SIZE, 4), 0, "the task reads");
	ok(!strcmp(bytes, "abc"), "what is in the third");
	is(copy_to_user((char *)at, "xyz", 4), 0, "and writes");
	ok(!strcmp(block + PAGE_SIZE, "xyz"), "into the second");
	vfree(block);
	is(copy_from_user(bytes, (char *)at, 4), 0, "its mapping keeps its pages");
	vm_munmap(at, 2 * PAGE_SIZE);
	ok(!vmalloc_user(1ul << 30), "more than the machine has");
	vfree(vmalloc(10));
	vfree(NULL);
}

static int level = 5;

static ssize_t level_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", level);
}

static ssize_t level_store(struct device *dev, struct device_attribute *attr, const char *buf,
			   size_t count)
{
	u32 value;
	int ret = kstrtou32(buf, 0, &value);

	level = ret ? level : (int)value;
	return ret ? ret : (ssize_t)count;
}

static ssize_t name_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", dev_name(dev));
}

static DEVICE_ATTR_RW(level);
static DEVICE_ATTR_RO(name);

static void test_attributes(void)
{
	struct class *class = class_create("attributes");
	struct device *dev = device_create(class, NULL, MKDEV(99, 1), NULL, "known");
	char buf[PAGE_SIZE];

	is(device_create_file(dev, &dev_attr_level), 0, "an attribute");
	is(device_create_file(dev, &dev_attr_level), -EEXIST, "once");
	is(device_create_file(dev, &dev_attr_name), 0, "another");
	is(mmun_compat_show_attribute("known", "level", buf), 2, "it is read");
	ok(!strcmp(buf, "5\n"), "as the driver says");
	is(mmun_compat_store_attribute("known", "level", "0x10\n"), 5, "written");
	is(level, 16, "to the driver");
	is(mmun_compat_store_attribute("known", "level", "5x"), -EINVAL, "unless it refuses");
	is(mmun_compat_store_attribute("known", "level", "5000000000"), -ERANGE, "as too much");
	is(mmun_compat_store_attribute("known", "name", "n"), -EIO, "one is read only");
	is(mmun_compat_show_attribute("other", "level", buf), -ENOENT, "no other device has it");
	device_remove_file(dev, &dev_attr_level);
	is(mmun_compat_show_attribute("known", "level", buf), -ENOENT, "nor this one any more");
	device_remove_file(dev, &dev_attr_name);
	device_destroy(class, MKDEV(99, 1));
	class_destroy(class);
}

static void test_initial_name(void)
{
	static struct device_driver driver = { .name = "driver" };
	static struct device dev = { .init_name = "initial", .driver = &driver };
	char buf[PAGE_SIZE];

	ok(!strcmp(dev_name(&dev), "initial"), "a device that is no block has its first name");
	device_initialize(&dev);
	is(device_add(&dev), 0, "it is added");
	ok(!dev.init_name && !strcmp(dev_name(&dev), "initial"), "by that name");
	is(device_create_file(&dev, &dev_attr_name), 0, "under which");
	is(mmun_compat_show_attribute("initial", "name", buf), 8, "it is found");
	device_remove_file(&dev, &dev_attr_name);
	device_del(&dev);
}

int main(void)
{
	start_machine();
	test_copies();
	test_outside();
	test_pages();
	test_contents();
	dies(gup_without_lock, "get_user_pages() without the mmap lock");
	test_objects();
	test_limits();
	test_failures();
	test_pinned();
	test_debugfs();
	test_pools();
	test_shared_blocks();
	test_attributes();
	test_initial_name();
	test_devices();
	stop_machine(0);
	return tap_done();
}
