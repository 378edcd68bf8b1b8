/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A driver as one would have written it in 2008, for version 15 of the MMU notifiers: a device
 * with a small table of translations, and a window that programs map to get one.
 *
 * I1  The notifier is registered inside ->mmap, which runs with the mmap lock held for write, and
 *     unregistered when the mapping is closed.  There is no ->release: the device reads
 *     only inside calls of a task of the same memory.
 * I2  A translation enters the table only if, under the lock, no section is open and none
 *     was opened since its page was looked up.  The table holds no references.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier_v15.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

#include "window_uapi.h"

#define WINDOW_ENTRIES 16

struct window {
	struct mmu_notifier mn;
	spinlock_t lock;
	unsigned int open; /* sections */
	unsigned long seq;
	struct {
		unsigned long address;
		struct page *page;
	} entry[WINDOW_ENTRIES];
	struct window_counts counts;
};

static struct window *window_of(struct mmu_notifier *mn)
{
	return container_of(mn, struct window, mn);
}

/* Under the lock. */
static void window_drop(struct window *w, unsigned long start, unsigned long end)
{
	int i;

	w->seq++;
	for (i = 0; i < WINDOW_ENTRIES; i++) {
		if (!w->entry[i].page || w->entry[i].address < start || w->entry[i].address >= end)
			continue;
		w->entry[i].page = NULL;
		w->counts.dropped++;
	}
}

static void window_invalidate_page(struct mmu_notifier *mn, struct mm_struct *mm,
				   unsigned long address)
{
	struct window *w = window_of(mn);

	spin_lock(&w->lock);
	window_drop(w, address, address + PAGE_SIZE);
	spin_unlock(&w->lock);
}

static void window_range_start(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			       unsigned long end)
{
	struct window *w = window_of(mn);

	spin_lock(&w->lock);
	w->open++;
	w->counts.sections++;
	window_drop(w, start, end);
	spin_unlock(&w->lock);
}

static void window_range_end(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			     unsigned long end)
{
	struct window *w = window_of(mn);

	spin_lock(&w->lock);
	w->open--;
	spin_unlock(&w->lock);
}

static int window_clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm,
				    unsigned long address)
{
	return 0;
}

static const struct mmu_notifier_ops window_mn_ops = {
	.clear_flush_young = window_clear_flush_young,
	.invalidate_page = window_invalidate_page,
	.invalidate_range_start = window_range_start,
	.invalidate_range_end = window_range_end,
};

static void window_close(struct vm_area_struct *vma)
{
	struct window *w = vma->vm_private_data;

	mmu_notifier_unregister(&w->mn, vma->vm_mm);
	WRITE_ONCE(vma->vm_file->private_data, NULL);
	kfree(w);
}

static const struct vm_operations_struct window_vm_ops = {
	.close = window_close,
};

/* The miscdevice is there otherwise. */
static int window_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL;
	return 0;
}

/* I1 */
static int window_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct window *w;
	int ret;

	if (file->private_data)
		return -EBUSY;
	w = kzalloc(sizeof(*w), GFP_KERNEL);
	if (!w)
		return -ENOMEM;
	spin_lock_init(&w->lock);
	w->mn.ops = &window_mn_ops;
	ret = __mmu_notifier_register(&w->mn, vma->vm_mm);
	if (ret) {
		kfree(w);
		return ret;
	}
	vma->vm_flags |= VM_DONTCOPY | VM_DONTEXPAND;
	vma->vm_private_data = w;
	vma->vm_ops = &window_vm_ops;
	WRITE_ONCE(file->private_data, w);
	return 0;
}

static struct page *window_find(struct window *w, unsigned long address)
{
	int i;

	for (i = 0; i < WINDOW_ENTRIES; i++) {
		if (w->entry[i].page && w->entry[i].address == address)
			return w->entry[i].page;
	}
	return NULL;
}

/* I2; under the lock. */
static void window_enter(struct window *w, unsigned long address, struct page *page)
{
	int i = (address >> PAGE_SHIFT) % WINDOW_ENTRIES;

	w->entry[i].address = address;
	w->entry[i].page = page;
	w->counts.entered++;
}

static int window_miss(struct window *w, unsigned long address)
{
	struct page *page;
	unsigned long seq;
	long got;

	spin_lock(&w->lock);
	seq = w->seq;
	spin_unlock(&w->lock);
	mmap_read_lock(current->mm);
	got = get_user_pages(address, 1, FOLL_WRITE, &page);
	mmap_read_unlock(current->mm);
	if (got != 1)
		return got < 0 ? (int)got : -EFAULT;
	spin_lock(&w->lock);
	if (!w->open && w->seq == seq)
		window_enter(w, address, page);
	spin_unlock(&w->lock);
	put_page(page);
	return 0;
}

/* One byte, read by the device through its table. */
static int window_read(struct window *w, unsigned long address, unsigned char *byte)
{
	struct page *page;
	int ret = 0;

	while (!ret) {
		spin_lock(&w->lock);
		page = window_find(w, address & PAGE_MASK);
		if (page)
			memcpy_from_page((char *)byte, page, offset_in_page(address), 1);
		spin_unlock(&w->lock);
		if (page)
			return 0;
		ret = window_miss(w, address & PAGE_MASK);
	}
	return ret;
}

static long window_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct window *w = READ_ONCE(file->private_data);
	void __user *user = (void __user *)arg;
	struct window_counts counts;
	struct window_byte byte;
	int ret;

	if (!w)
		return -ENXIO;
	switch (cmd) {
	case WINDOW_READ:
		if (copy_from_user(&byte, user, sizeof(byte)))
			return -EFAULT;
		ret = window_read(w, byte.address, &byte.value);
		if (ret)
			return ret;
		return copy_to_user(user, &byte, sizeof(byte)) ? -EFAULT : 0;
	case WINDOW_COUNTS:
		spin_lock(&w->lock);
		counts = w->counts;
		spin_unlock(&w->lock);
		return copy_to_user(user, &counts, sizeof(counts)) ? -EFAULT : 0;
	default:
		return -ENOTTY;
	}
}

static const struct file_operations window_fops = {
	.owner = THIS_MODULE,
	.open = window_open,
	.mmap = window_mmap,
	.unlocked_ioctl = window_ioctl,
};

static struct miscdevice window_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "window",
	.fops = &window_fops,
};

static int __init window_init(void)
{
	return misc_register(&window_device);
}

static void __exit window_exit(void)
{
	misc_deregister(&window_device);
}

module_init(window_init);
module_exit(window_exit);
MODULE_LICENSE("Dual BSD/GPL");
