/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Attachments: mappings of a segment, and the faults that fill them.
 *
 *   x->lock:   the segment lives, no open section covers the page; a user of the
 *              exporter's memory is taken; enter the list of faults
 *   no x->lock: the page is pinned (exporter's mmap lock, only tried)
 *   x->lock:   leave the list; a start has marked us: unpin and come again;
 *              else it is the attachment's page
 *
 * I1  Between the check and the importer's entry only the importer's mmap lock is
 *     held, for read.  The side that takes the page back takes that lock for write, so
 *     it finds the entry.
 * I2  A fault that cannot go on returns VM_FAULT_RETRY and holds nothing while
 *     it waits: the thread of the open section may be waiting for the importer's
 *     lock.
 * I3  The user of the exporter's memory is not put here: were it the last, ->release
 *     would run under the importer's mmap lock, which it needs.
 * I4  pages[i] is unpinned after the importer's entry is gone: by the side that takes the page
 *     back, or when the mapping is closed.
 *
 * Tests: tests/contract/secondary/xpmem.c.
 */
#include "segment.h"

#include <errno.h>

#include "alloc.h"

static const struct vm_operations_struct xp_vm_ops;

static struct xp_attachment *attachment_of(const struct vm_area_struct *vma)
{
	return vma->vm_ops == &xp_vm_ops ? vma->vm_private_data : NULL;
}

void mmun_xpmem_attachment_put(struct xp_attachment *attachment)
{
	if (--attachment->refcount)
		return;
	mmun_xpmem_segment_put(attachment->segment);
	mmdrop(attachment->mm);
	mmun_free(attachment);
}

void mmun_xpmem_attachment_unpin(struct xp_attachment *attachment, unsigned long first,
				 unsigned long last)
{
	struct mmun_xpmem *x = attachment->segment->x;

	for (unsigned long i = first; i < last; i++) {
		if (!attachment->pages[i])
			continue;
		/* The importer may have written it. */
		mmun_soft_set_page_dirty(attachment->pages[i]);
		mmun_soft_unpin_page(attachment->pages[i]);
		attachment->pages[i] = NULL;
		xp_count(x, unpinned);
	}
}

static void zap_mappings(const struct xp_attachment *attachment, unsigned long first,
			 unsigned long last)
{
	struct vm_area_struct *vma = mmun_soft_find_vma(attachment->mm, 0);

	for (; vma; vma = mmun_soft_find_vma(attachment->mm, vma->vm_end)) {
		if (attachment_of(vma) == attachment)
			mmun_soft_zap_vma_ptes(vma, vma->vm_start + (first << MMUN_SOFT_PAGE_SHIFT),
					       (last - first) << MMUN_SOFT_PAGE_SHIFT);
	}
}

void mmun_xpmem_attachment_zap(struct xp_attachment *attachment, unsigned long first,
			       unsigned long last)
{
	struct mmun_xpmem *x = attachment->segment->x;
	struct mm_struct *mm = attachment->mm;

	if (x->params.zapping)
		x->params.zapping(x->params.arg);
	if (!mmget_not_zero(mm)) {
		pthread_mutex_lock(&x->lock);
		attachment->leaving = true;
		pthread_mutex_unlock(&x->lock);
		return;
	}
	mmap_write_lock(mm);
	zap_mappings(attachment, first, last);
	pthread_mutex_lock(&x->lock);
	mmun_xpmem_attachment_unpin(attachment, first, last);
	xp_count(x, zaps);
	pthread_mutex_unlock(&x->lock);
	mmap_write_unlock(mm);
	mmput(mm);
}

static void xp_vm_open(struct vm_area_struct *vma)
{
	struct xp_attachment *attachment = attachment_of(vma);
	struct mmun_xpmem *x = attachment->segment->x;

	pthread_mutex_lock(&x->lock);
	attachment->mappings++;
	pthread_mutex_unlock(&x->lock);
}

static void leave_segment(struct xp_attachment *attachment)
{
	struct xp_segment *segment = attachment->segment;
	struct xp_attachment **link = &segment->attachments;

	while (*link != attachment)
		link = &(*link)->next;
	*link = attachment->next;
}

static void xp_vm_close(struct vm_area_struct *vma)
{
	struct xp_attachment *attachment = attachment_of(vma);
	struct xp_segment *segment = attachment->segment;
	struct mmun_xpmem *x = segment->x;

	pthread_mutex_lock(&x->lock);
	if (--attachment->mappings == 0) {
		mmun_xpmem_attachment_unpin(attachment, 0, attachment->nr_pages);
		leave_segment(attachment);
		mmun_xpmem_segment_forget(segment);
		xp_count(x, detached);
		mmun_xpmem_attachment_put(attachment);
		pthread_cond_broadcast(&x->changed);
	}
	pthread_mutex_unlock(&x->lock);
}

static int xp_vm_may_split(struct vm_area_struct *vma, unsigned long address)
{
	return -EINVAL;
}

/* A private page of the exporter, pinned.  The exporter's mmap lock is tried only: another
 * thread may hold it and wait for the importer's, which we hold. */
static int pin_page(struct mm_struct *mm, unsigned long address, struct page **page)
{
	const struct vm_area_struct *vma;
	long got = -EFAULT;

	if (!mmap_read_trylock(mm))
		return -EAGAIN;
	vma = mmun_soft_vma_lookup(mm, address);
	if (vma && !vma->vm_file && !(vma->vm_flags & VM_SHARED))
		got = mmun_soft_get_user_pages(mm, address, 1,
					       FOLL_WRITE | FOLL_PIN | FOLL_LONGTERM, page);
	mmap_read_unlock(mm);
	return got == 1 ? 0 : (int)got;
}

/* The exporter, with a user of its memory held and @fault on its list; NULL and *@ret. */
static struct xp_exporter *fault_begin(struct xp_segment *segment, struct xp_fault *fault,
				       vm_fault_t *ret)
{
	struct xp_exporter *exporter = segment->exporter;
	struct mmun_xpmem *x = segment->x;

	if (exporter->released || !mmget_not_zero(exporter->mm)) {
		xp_count(x, fault_ended);
		*ret = VM_FAULT_SIGBUS;
		return NULL;
	}
	exporter->busy++;
	fault->next = exporter->faults;
	exporter->faults = fault;
	return exporter;
}

static void leave_faults(struct xp_exporter *exporter, struct xp_fault *fault)
{
	struct xp_fault **link = &exporter->faults;

	while (*link != fault)
		link = &(*link)->next;
	*link = fault->next;
}

/* What the look-up's result @error means; the page is the caller's or nobody's. */
static vm_fault_t judge(struct xp_segment *segment, const struct xp_fault *fault, int error)
{
	struct mmun_xpmem *x = segment->x;

	if (!segment->exporter) {
		xp_count(x, fault_ended);
		return VM_FAULT_SIGBUS;
	}
	if (error == -EAGAIN) {
		xp_count(x, fault_retry_busy);
		return VM_FAULT_RETRY;
	}
	if (fault->collided) {
		xp_count(x, fault_retry_collided);
		return VM_FAULT_RETRY;
	}
	if (!error)
		return 0;
	xp_count(x, fault_failed);
	return error == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

/* Enters @page, or keeps what another thread has entered. */
static void keep(struct xp_attachment *attachment, unsigned long index, struct page *page)
{
	if (attachment->pages[index]) {
		mmun_soft_unpin_page(page);
		return;
	}
	attachment->pages[index] = page;
	xp_count(attachment->segment->x, fault_pinned);
}

/* The lock is dropped meanwhile. */
static vm_fault_t bring_in(struct xp_attachment *attachment, unsigned long index)
{
	struct xp_segment *segment = attachment->segment;
	struct mmun_xpmem *x = segment->x;
	struct xp_fault fault = {
		.address = attachment->address + (index << MMUN_SOFT_PAGE_SHIFT),
	};
	struct xp_exporter *exporter;
	struct page *page;
	vm_fault_t ret;
	int error;

	exporter = fault_begin(segment, &fault, &ret);
	if (!exporter)
		return ret;
	pthread_mutex_unlock(&x->lock);
	error = pin_page(exporter->mm, fault.address, &page);
	if (x->params.looked_up)
		x->params.looked_up(x->params.arg);
	pthread_mutex_lock(&x->lock);
	leave_faults(exporter, &fault);
	ret = judge(segment, &fault, error);
	if (!ret)
		keep(attachment, index, page);
	else if (!error)
		mmun_soft_unpin_page(page);
	mmun_xpmem_worker_mmput(x, exporter);
	return ret;
}

/* A reference for the importer's entry, besides the pin. */
static void give(struct xp_attachment *attachment, unsigned long index, struct vm_fault *vmf)
{
	vmf->page = attachment->pages[index];
	mmun_soft_get_page(vmf->page);
}

static vm_fault_t xp_vm_fault(struct vm_fault *vmf)
{
	struct xp_attachment *attachment = attachment_of(vmf->vma);
	unsigned long index = (vmf->address - vmf->vma->vm_start) >> MMUN_SOFT_PAGE_SHIFT;
	struct xp_segment *segment = attachment->segment;
	struct mmun_xpmem *x = segment->x;
	vm_fault_t ret = 0;

	pthread_mutex_lock(&x->lock);
	xp_count(x, faults);
	if (!segment->exporter) {
		xp_count(x, fault_ended);
		ret = VM_FAULT_SIGBUS;
	} else if (mmun_xpmem_section_open(segment->exporter,
					   attachment->address + (index << MMUN_SOFT_PAGE_SHIFT))) {
		xp_count(x, fault_retry_open);
		ret = VM_FAULT_RETRY;
	} else if (attachment->pages[index]) {
		xp_count(x, fault_shared);
	} else {
		ret = bring_in(attachment, index);
	}
	if (!ret)
		give(attachment, index, vmf);
	pthread_mutex_unlock(&x->lock);
	return ret;
}

static const char *xp_vm_name(struct vm_area_struct *vma)
{
	return "[xpmem]";
}

static const struct vm_operations_struct xp_vm_ops = {
	.open = xp_vm_open,
	.close = xp_vm_close,
	.may_split = xp_vm_may_split,
	.fault = xp_vm_fault,
	.name = xp_vm_name,
};

static int attach(struct xp_segment *segment, struct xp_attachment *attachment)
{
	struct mmun_xpmem *x = segment->x;
	int ret = 0;

	pthread_mutex_lock(&x->lock);
	if (!segment->exporter) {
		ret = -ENXIO;
	} else if (mmun_xpmem_exports(x, attachment->mm)) {
		ret = -ELOOP;
	} else {
		segment->refcount++;
		attachment->next = segment->attachments;
		segment->attachments = attachment;
		xp_count(x, attached);
	}
	pthread_mutex_unlock(&x->lock);
	return ret;
}

static struct xp_attachment *attachment_alloc(struct xp_segment *segment,
					      const struct vm_area_struct *vma)
{
	unsigned long pages = (vma->vm_end - vma->vm_start) >> MMUN_SOFT_PAGE_SHIFT;
	struct xp_attachment *attachment;

	attachment = mmun_alloc(sizeof(*attachment) + pages * sizeof(attachment->pages[0]));
	if (!attachment)
		return NULL;
	attachment->segment = segment;
	attachment->mm = vma->vm_mm;
	attachment->address = segment->address + (vma->vm_pgoff << MMUN_SOFT_PAGE_SHIFT);
	attachment->nr_pages = pages;
	attachment->refcount = 1;
	attachment->mappings = 1;
	return attachment;
}

static int xp_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct xp_segment *segment = file->private_data;
	unsigned long pages = segment->size >> MMUN_SOFT_PAGE_SHIFT;
	unsigned long wanted = (vma->vm_end - vma->vm_start) >> MMUN_SOFT_PAGE_SHIFT;
	struct xp_attachment *attachment;
	int ret;

	if (!(vma->vm_flags & VM_SHARED) || vma->vm_pgoff > pages || wanted > pages - vma->vm_pgoff)
		return -EINVAL;
	attachment = attachment_alloc(segment, vma);
	if (!attachment)
		return -ENOMEM;
	ret = attach(segment, attachment);
	if (ret) {
		mmun_free(attachment);
		return ret;
	}
	mmgrab(vma->vm_mm);
	vma->vm_flags |= VM_IO | VM_PFNMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP;
	vma->vm_ops = &xp_vm_ops;
	vma->vm_private_data = attachment;
	return 0;
}

static int xp_file_release(struct inode *inode, struct file *file)
{
	struct xp_segment *segment = file->private_data;
	struct mmun_xpmem *x = segment->x;

	pthread_mutex_lock(&x->lock);
	mmun_xpmem_segment_put(segment);
	pthread_mutex_unlock(&x->lock);
	return 0;
}

const struct file_operations mmun_xpmem_fops = {
	.mmap = xp_file_mmap,
	.release = xp_file_release,
};
