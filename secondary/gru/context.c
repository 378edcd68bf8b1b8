/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contexts: a mapping of the device makes one, its unmapping ends it.
 *
 * The notifier is found or made inside ->mmap, which runs with the mmap lock
 * held for write: this is why registration has a form for callers that hold it.
 *
 * I1  A context holds one user of its address space's notifier from ->mmap until
 *     its last reference goes, also while a fault of it is in progress.
 * I2  A closed context gets no more translations; the last one of an address
 *     space drops them all before the put, which does not call ->release.
 * I3  ->close runs with the mmap lock held for write, so nothing here waits:
 *     put does not, unregister would.
 *
 * Not here: rights; every user of the address space may use a context.
 * Tests: tests/contract/secondary/gru.c.
 */
#include "device.h"

#include <errno.h>

#include "alloc.h"

static const struct vm_operations_struct gru_vm_ops;

static struct gru_context *context_of(const struct vm_area_struct *vma)
{
	return vma && vma->vm_ops == &gru_vm_ops ? vma->vm_private_data : NULL;
}

struct gru_context *mmun_gru_context_get(struct mmun_gru *gru, struct mm_struct *mm,
					 unsigned long address)
{
	struct gru_context *context;

	mmap_read_lock(mm);
	context = context_of(mmun_soft_vma_lookup(mm, address));
	if (context && context->gru != gru)
		context = NULL;
	if (context) {
		pthread_mutex_lock(&gru->lock);
		context->refcount++;
		pthread_mutex_unlock(&gru->lock);
	}
	mmap_read_unlock(mm);
	return context;
}

static void context_free(struct gru_context *context)
{
	struct mmun_gru *gru = context->gru;
	struct gru_mm *gm = context->gm;

	mmun_gru_unload_context(context);
	if (--gm->nr_contexts == 0) {
		mmun_gru_tlb_forget(gru, gm);
		gru_count(gru, notifiers_dropped);
	}
	gru_count(gru, contexts_freed);
	mmun_free(context);
	/* Under the lock: the device must not go before its last notifier does, and it
	 * waits for that once it sees no context. */
	mmu_notifier_put(&gm->mn);
	gru->nr_contexts--;
}

void mmun_gru_context_put(struct gru_context *context)
{
	struct mmun_gru *gru = context->gru;

	pthread_mutex_lock(&gru->lock);
	if (--context->refcount == 0)
		context_free(context);
	pthread_mutex_unlock(&gru->lock);
}

/* A move makes the new mapping before it ends the old one. */
static void gru_vm_open(struct vm_area_struct *vma)
{
	struct gru_context *context = context_of(vma);
	struct mmun_gru *gru = context->gru;

	pthread_mutex_lock(&gru->lock);
	context->refcount++;
	context->mappings++;
	pthread_mutex_unlock(&gru->lock);
}

static void gru_vm_close(struct vm_area_struct *vma)
{
	struct gru_context *context = context_of(vma);
	struct mmun_gru *gru = context->gru;

	pthread_mutex_lock(&gru->lock);
	if (--context->mappings == 0)
		mmun_gru_unload_context(context);
	pthread_mutex_unlock(&gru->lock);
	mmun_gru_context_put(context);
}

static int gru_vm_may_split(struct vm_area_struct *vma, unsigned long address)
{
	return -EINVAL;
}

/* Instructions reach the device through mmun_gru_load() and its like, not by
 * stores to the mapping. */
static vm_fault_t gru_vm_fault(struct vm_fault *vmf)
{
	return VM_FAULT_SIGBUS;
}

static const char *gru_vm_name(struct vm_area_struct *vma)
{
	return "[gru]";
}

static const struct vm_operations_struct gru_vm_ops = {
	.open = gru_vm_open,
	.close = gru_vm_close,
	.may_split = gru_vm_may_split,
	.fault = gru_vm_fault,
	.name = gru_vm_name,
};

static int check_mapping(const struct vm_area_struct *vma)
{
	const unsigned long wanted = VM_SHARED | VM_READ | VM_WRITE;

	if ((vma->vm_flags & wanted) != wanted)
		return -EPERM;
	return vma->vm_end - vma->vm_start == MMUN_SOFT_PAGE_SIZE ? 0 : -EINVAL;
}

static void context_begin(struct gru_context *context, struct mmun_gru *gru, struct gru_mm *gm)
{
	context->gru = gru;
	context->gm = gm;
	context->refcount = 1;
	context->mappings = 1;
	context->slot = -1;
	pthread_mutex_lock(&gru->lock);
	if (gm->nr_contexts++ == 0)
		gru_count(gru, notifiers_made);
	gru->nr_contexts++;
	gru_count(gru, contexts_made);
	pthread_mutex_unlock(&gru->lock);
}

static int gru_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct mmun_gru *gru = file->private_data;
	struct gru_context *context;
	struct mmu_notifier *mn;
	int ret;

	ret = check_mapping(vma);
	if (ret)
		return ret;
	context = mmun_alloc(sizeof(*context));
	if (!context)
		return -ENOMEM;
	mn = mmu_notifier_get_locked(&gru->ops, vma->vm_mm);
	if (mmun_is_err(mn)) {
		mmun_free(context);
		return mmun_ptr_err(mn);
	}
	context_begin(context, gru, gru_mm_of(mn));
	/* Not inherited by fork: a child would have the parent's address space by it. */
	vma->vm_flags |= VM_IO | VM_PFNMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP;
	vma->vm_ops = &gru_vm_ops;
	vma->vm_private_data = context;
	return 0;
}

const struct file_operations mmun_gru_fops = {
	.mmap = gru_file_mmap,
};
