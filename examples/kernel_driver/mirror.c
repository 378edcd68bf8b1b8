/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A driver whose device follows a range of its user's memory: an interval notifier,
 * page lookups that retry, pinned buffers, a mapping with a fault handler, a worker.
 * The same file is a kernel module (see Kbuild) and runs on the software address space.
 *
 * I1  ctx->pages has a page only between a lookup that no section disturbed and the
 *     next section that covers it; both happen under ctx->lock.
 * I2  Pages there have no reference: the notifier is all that keeps them good.
 * I3  The status page is written under ctx->lock, each counter at once: programs read it
 *     without any lock.
 *
 * Each MIRROR_PLANTED_... makes it wrong in one place, so that what finds mistakes can be seen
 * to find them.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/hmm.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "mirror_uapi.h"

#define MIRROR_MAX_PINNED 64
#define MIRROR_WRITABLE   1ul

struct mirror {
	struct mutex ioctl_lock; /* one system call at a time */
	struct mutex lock;       /* pages, status; taken by the notifier */
	struct mmu_interval_notifier notifier;
	struct mm_struct *mm;
	bool watching;
	struct xarray pages;
	struct page *status_page;
	struct mirror_status *status;
	struct work_struct report;
	struct page *pinned[MIRROR_MAX_PINNED];
	long nr_pinned;
};

static struct workqueue_struct *mirror_wq;

/* I3 */
static void mirror_count(__u64 *counter, int change)
{
	WRITE_ONCE(*counter, *counter + change);
}

/* The notifier. */

static void mirror_drop(struct mirror *ctx, unsigned long start, unsigned long end)
{
	unsigned long index, last = (end - 1) >> PAGE_SHIFT;
	void *entry;

#ifdef MIRROR_PLANTED_STALE /* the last page stays */
	last--;
#endif
	xa_for_each_range(&ctx->pages, index, entry, start >> PAGE_SHIFT, last) {
		mirror_count(&ctx->status->pages, -1);
		xa_erase(&ctx->pages, index);
	}
}

static bool mirror_invalidate(struct mmu_interval_notifier *sub,
			      const struct mmu_notifier_range *range, unsigned long cur_seq)
{
	struct mirror *ctx = container_of(sub, struct mirror, notifier);

#ifdef MIRROR_PLANTED_RACE /* before the lock is taken, too */
	mirror_drop(ctx, range->start, range->end);
#endif
#ifdef MIRROR_PLANTED_SLEEP /* whatever the range */
	mutex_lock(&ctx->lock);
#else
	if (mmu_notifier_range_blockable(range))
		mutex_lock(&ctx->lock);
	else if (!mutex_trylock(&ctx->lock))
		return false;
#endif
	mmu_interval_set_seq(sub, cur_seq);
	mirror_drop(ctx, range->start, range->end);
	mirror_count(&ctx->status->invalidations, 1);
	mutex_unlock(&ctx->lock);
	queue_work(mirror_wq, &ctx->report);
	return true;
}

static const struct mmu_interval_notifier_ops mirror_ops = {
	.invalidate = mirror_invalidate,
};

static void mirror_report(struct work_struct *work)
{
	struct mirror *ctx = container_of(work, struct mirror, report);

	mutex_lock(&ctx->lock);
	mirror_count(&ctx->status->reports, 1);
	mutex_unlock(&ctx->lock);
}

/* Looking pages up. */

/* 0: looked up, with ctx->lock held; -EBUSY: begin again. */
static int mirror_lookup(struct mirror *ctx, struct hmm_range *range)
{
	int ret;

	range->notifier_seq = mmu_interval_read_begin(range->notifier);
	mmap_read_lock(ctx->mm);
	ret = hmm_range_fault(range);
	mmap_read_unlock(ctx->mm);
	if (ret)
		return ret;
	mutex_lock(&ctx->lock);
	if (!mmu_interval_read_retry(range->notifier, range->notifier_seq))
		return 0;
	mutex_unlock(&ctx->lock);
	return -EBUSY;
}

/* Puts the page at @address into ctx->pages; on success ctx->lock is held. */
static int mirror_fault(struct mirror *ctx, unsigned long address, bool write, void **entry)
{
	unsigned long pfn = 0;
	struct hmm_range range = {
		.notifier = &ctx->notifier,
		.start = address & PAGE_MASK,
		.end = (address & PAGE_MASK) + PAGE_SIZE,
		.hmm_pfns = &pfn,
		.default_flags = HMM_PFN_REQ_FAULT | (write ? HMM_PFN_REQ_WRITE : 0),
	};
	void *old;
	int ret;

	if (!mmget_not_zero(ctx->mm))
		return -EFAULT;
	while ((ret = mirror_lookup(ctx, &range)) == -EBUSY) {
		mutex_lock(&ctx->lock);
		mirror_count(&ctx->status->retries, 1);
		mutex_unlock(&ctx->lock);
	}
	mmput(ctx->mm);
	if (ret)
		return ret;
	mirror_count(&ctx->status->faults, 1);
	*entry = xa_tag_pointer(hmm_pfn_to_page(pfn), pfn & HMM_PFN_WRITE ? MIRROR_WRITABLE : 0);
	old = xa_store(&ctx->pages, address >> PAGE_SHIFT, *entry, GFP_KERNEL);
	if (!old)
		mirror_count(&ctx->status->pages, 1);
	ret = xa_err(old);
	if (ret)
		mutex_unlock(&ctx->lock);
	return ret;
}

/* The page, with ctx->lock held. */
static int mirror_get(struct mirror *ctx, unsigned long address, bool write, struct page **page)
{
	void *entry;
	int ret;

	mutex_lock(&ctx->lock);
	entry = xa_load(&ctx->pages, address >> PAGE_SHIFT);
	if (!entry || (write && xa_pointer_tag(entry) != MIRROR_WRITABLE)) {
		mutex_unlock(&ctx->lock);
		ret = mirror_fault(ctx, address, write, &entry);
		if (ret)
			return ret;
	}
	*page = xa_untag_pointer(entry);
	return 0;
}

static int mirror_copy_part(struct mirror *ctx, unsigned long address, char *buffer, size_t length,
			    bool write)
{
	struct page *page;
	int ret = mirror_get(ctx, address, write, &page);

	if (ret)
		return ret;
	if (write)
		memcpy_to_page(page, offset_in_page(address), buffer, length);
	else
		memcpy_from_page(buffer, page, offset_in_page(address), length);
	mutex_unlock(&ctx->lock);
	return 0;
}

static bool mirror_covers(const struct mirror *ctx, const struct mirror_copy *copy)
{
	return ctx->watching && copy->length && copy->length <= PAGE_SIZE &&
	       copy->address >= ctx->notifier.interval_tree.start &&
	       copy->address + copy->length - 1 <= ctx->notifier.interval_tree.last;
}

static long mirror_copy(struct mirror *ctx, void __user *arg, bool write)
{
	struct mirror_copy copy;
	unsigned long done, part;
	char *buffer;
	long ret = 0;

	if (copy_from_user(&copy, arg, sizeof(copy)))
		return -EFAULT;
	if (!mirror_covers(ctx, &copy))
		return -EINVAL;
	buffer = kzalloc(copy.length, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	if (write && copy_from_user(buffer, u64_to_user_ptr(copy.buffer), copy.length))
		ret = -EFAULT;
	for (done = 0; !ret && done < copy.length; done += part) {
		part = min_t(unsigned long, copy.length - done,
			     PAGE_SIZE - offset_in_page(copy.address + done));
		ret = mirror_copy_part(ctx, copy.address + done, buffer + done, part, write);
	}
	if (!ret && !write && copy_to_user(u64_to_user_ptr(copy.buffer), buffer, copy.length))
		ret = -EFAULT;
	kfree(buffer);
	return ret;
}

/* Ranges. */

static void mirror_forget(struct mirror *ctx)
{
	if (!ctx->watching)
		return;
	mmu_interval_notifier_remove(&ctx->notifier);
	ctx->watching = false;
	mutex_lock(&ctx->lock);
	mirror_drop(ctx, 0, ULONG_MAX);
	mutex_unlock(&ctx->lock);
}

static long mirror_watch(struct mirror *ctx, void __user *arg)
{
	struct mirror_range range;
	int ret;

	if (copy_from_user(&range, arg, sizeof(range)))
		return -EFAULT;
	if (!PAGE_ALIGNED(range.start | range.length) || current->mm != ctx->mm)
		return -EINVAL;
	mirror_forget(ctx);
	ret = mmu_interval_notifier_insert(&ctx->notifier, ctx->mm, range.start, range.length,
					   &mirror_ops);
	ctx->watching = !ret;
	return ret;
}

static void mirror_unpin(struct mirror *ctx)
{
	unpin_user_pages_dirty_lock(ctx->pinned, ctx->nr_pinned, true);
	ctx->nr_pinned = 0;
}

static long mirror_pin(struct mirror *ctx, void __user *arg)
{
	struct mirror_range range;
	unsigned long nr;
	int got;

	if (copy_from_user(&range, arg, sizeof(range)))
		return -EFAULT;
	nr = range.length >> PAGE_SHIFT;
	if (!PAGE_ALIGNED(range.start | range.length) || !nr || nr > MIRROR_MAX_PINNED ||
	    ctx->nr_pinned)
		return -EINVAL;
	got = pin_user_pages_fast(range.start, nr, FOLL_WRITE | FOLL_LONGTERM, ctx->pinned);
	if (got < 0)
		return got;
	ctx->nr_pinned = got;
	if (got == nr)
		return 0;
	mirror_unpin(ctx);
	return -EFAULT;
}

static long mirror_fill(struct mirror *ctx, unsigned char value)
{
	char pattern[64];
	long i;
	size_t at;

	memset(pattern, value, sizeof(pattern));
	for (i = 0; i < ctx->nr_pinned; i++) {
		for (at = 0; at < PAGE_SIZE; at += sizeof(pattern))
			memcpy_to_page(ctx->pinned[i], at, pattern, sizeof(pattern));
	}
	return ctx->nr_pinned;
}

static long mirror_command(struct mirror *ctx, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case MIRROR_WATCH:
		return mirror_watch(ctx, user);
	case MIRROR_FORGET:
		mirror_forget(ctx);
		return 0;
	case MIRROR_READ:
		return mirror_copy(ctx, user, false);
	case MIRROR_WRITE:
		return mirror_copy(ctx, user, true);
	case MIRROR_PIN:
		return mirror_pin(ctx, user);
	case MIRROR_UNPIN:
		mirror_unpin(ctx);
		return 0;
	case MIRROR_FILL:
		return mirror_fill(ctx, arg);
	}
	return -ENOTTY;
}

/* The file. */

static long mirror_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct mirror *ctx = file->private_data;
	long ret;

	if (mutex_lock_interruptible(&ctx->ioctl_lock))
		return -ERESTARTSYS;
	ret = mirror_command(ctx, cmd, arg);
	mutex_unlock(&ctx->ioctl_lock);
	return ret;
}

static vm_fault_t mirror_vm_fault(struct vm_fault *vmf)
{
	struct mirror *ctx = vmf->vma->vm_private_data;

	if (vmf->pgoff)
		return VM_FAULT_SIGBUS;
	get_page(ctx->status_page);
	vmf->page = ctx->status_page;
	return 0;
}

static const struct vm_operations_struct mirror_vm_ops = {
	.fault = mirror_vm_fault,
};

static int mirror_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_WRITE)
		return -EACCES;
	vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP, VM_MAYWRITE);
	vma->vm_ops = &mirror_vm_ops;
	vma->vm_private_data = file->private_data;
	return 0;
}

static int mirror_open(struct inode *inode, struct file *file)
{
	struct mirror *ctx = kzalloc(sizeof(*ctx), GFP_KERNEL);

	if (!ctx)
		return -ENOMEM;
	ctx->status_page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!ctx->status_page) {
#ifndef MIRROR_PLANTED_LEAK
		kfree(ctx);
#endif
		return -ENOMEM;
	}
	ctx->status = page_address(ctx->status_page);
	mutex_init(&ctx->ioctl_lock);
	mutex_init(&ctx->lock);
	xa_init(&ctx->pages);
	INIT_WORK(&ctx->report, mirror_report);
	ctx->mm = current->mm;
	mmgrab(ctx->mm);
	file->private_data = ctx;
	return 0;
}

static int mirror_release(struct inode *inode, struct file *file)
{
	struct mirror *ctx = file->private_data;

	mirror_forget(ctx);
	flush_work(&ctx->report);
	mirror_unpin(ctx);
	xa_destroy(&ctx->pages);
	put_page(ctx->status_page);
	mmdrop(ctx->mm);
	kfree(ctx);
	return 0;
}

static const struct file_operations mirror_fops = {
	.owner = THIS_MODULE,
	.open = mirror_open,
	.release = mirror_release,
	.unlocked_ioctl = mirror_ioctl,
	.mmap = mirror_mmap,
};

static struct miscdevice mirror_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mirror",
	.fops = &mirror_fops,
};

static int __init mirror_init(void)
{
	int ret;

	mirror_wq = alloc_workqueue("mirror", 0, 0);
	if (!mirror_wq)
		return -ENOMEM;
	ret = misc_register(&mirror_misc);
	if (ret)
		destroy_workqueue(mirror_wq);
	return ret;
}

static void __exit mirror_exit(void)
{
	misc_deregister(&mirror_misc);
	destroy_workqueue(mirror_wq);
}

module_init(mirror_init);
module_exit(mirror_exit);
MODULE_DESCRIPTION("A device that follows a range of its user's memory");
MODULE_LICENSE("Dual BSD/GPL");
