/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Segments: made, opened, removed.
 *
 * I1  A segment holds one user of its exporter's notifier until it ends: by
 *     removal or by the exporter's ->release, whoever claims it first.
 * I2  A segment that has ended has no pages in any importer, and a fault of it
 *     that is under way fails; the struct stays for its files and mappings.
 * I3  Until then the segment is on its exporter's list: a section that begins
 *     while the segment is being removed waits for its pages as for others.
 * I4  No address space both exports and imports; looked at under the lock when
 *     either begins.
 *
 * Tests: tests/contract/secondary/xpmem.c.
 */
#include "segment.h"

#include <errno.h>

#include "alloc.h"

void mmun_xpmem_segment_put(struct xp_segment *segment)
{
	if (--segment->refcount)
		return;
	segment->x->nr_segments--;
	mmun_free(segment);
}

bool mmun_xpmem_exports(const struct mmun_xpmem *x, const struct mm_struct *mm)
{
	for (const struct xp_segment *segment = x->segments; segment; segment = segment->next) {
		if (segment->owner && segment->owner->mm == mm)
			return true;
	}
	return false;
}

static bool attached_to(const struct xp_segment *segment, const struct mm_struct *mm)
{
	for (const struct xp_attachment *a = segment->attachments; a; a = a->next) {
		if (a->mm == mm)
			return true;
	}
	return false;
}

bool mmun_xpmem_imports(const struct mmun_xpmem *x, const struct mm_struct *mm)
{
	for (const struct xp_segment *segment = x->segments; segment; segment = segment->next) {
		if (attached_to(segment, mm))
			return true;
	}
	return false;
}

static void enter_lists(struct xp_segment *segment, struct xp_exporter *exporter)
{
	struct mmun_xpmem *x = segment->x;

	segment->id = ++x->last_id;
	segment->listed = true;
	segment->next = x->segments;
	x->segments = segment;
	segment->exporter = exporter;
	segment->owner = exporter;
	segment->next_of_owner = exporter->segments;
	exporter->segments = segment;
	x->nr_segments++;
	xp_count(x, segments_made);
}

static int begin(struct xp_segment *segment, struct xp_exporter *exporter, unsigned long *id)
{
	struct mmun_xpmem *x = segment->x;
	int ret = 0;

	pthread_mutex_lock(&x->lock);
	if (exporter->released)
		ret = -ESRCH;
	else if (mmun_xpmem_imports(x, exporter->mm))
		ret = -ELOOP;
	else
		enter_lists(segment, exporter);
	*id = segment->id;
	pthread_mutex_unlock(&x->lock);
	return ret;
}

static bool good_range(unsigned long address, size_t size)
{
	return size && !((address | size) & ~MMUN_SOFT_PAGE_MASK) && size <= MMUN_SOFT_TASK_SIZE &&
	       address <= MMUN_SOFT_TASK_SIZE - size;
}

int mmun_xpmem_make(struct mmun_xpmem *x, struct mm_struct *mm, unsigned long address, size_t size,
		    unsigned long *id)
{
	struct xp_segment *segment;
	struct mmu_notifier *mn;
	unsigned long new_id;
	int ret;

	if (!good_range(address, size))
		return -EINVAL;
	segment = mmun_alloc(sizeof(*segment));
	if (!segment)
		return -ENOMEM;
	segment->x = x;
	segment->address = address;
	segment->size = size;
	segment->refcount = 1;
	mn = mmu_notifier_get(&x->ops, mm);
	if (mmun_is_err(mn)) {
		ret = mmun_ptr_err(mn);
		goto free_segment;
	}
	ret = begin(segment, xp_exporter_of(mn), &new_id);
	if (ret)
		goto put_notifier;
	*id = new_id;
	return 0;

put_notifier:
	mmu_notifier_put(mn);
free_segment:
	mmun_free(segment);
	return ret;
}

static void leave_owner(struct xp_segment *segment)
{
	struct xp_segment **link = &segment->owner->segments;

	while (*link != segment)
		link = &(*link)->next_of_owner;
	*link = segment->next_of_owner;
	segment->owner = NULL;
}

void mmun_xpmem_segment_forget(struct xp_segment *segment)
{
	struct xp_segment **link = &segment->x->segments;

	if (!segment->listed || segment->owner || segment->attachments)
		return;
	while (*link != segment)
		link = &(*link)->next;
	*link = segment->next;
	segment->listed = false;
}

bool mmun_xpmem_segment_end(struct xp_segment *segment)
{
	struct xp_exporter *exporter = segment->exporter;
	struct mmun_xpmem *x = segment->x;

	if (!exporter)
		return false;
	/* The claim; a fault that finds it fails. */
	segment->exporter = NULL;
	mmun_xpmem_take_back(segment, segment->address, segment->address + segment->size);
	leave_owner(segment);
	/* As long as there are others, they keep the exporter for faults of this one. */
	while (exporter->busy && !exporter->segments)
		pthread_cond_wait(&x->changed, &x->lock);
	mmu_notifier_put(&exporter->mn);
	mmun_xpmem_segment_forget(segment);
	mmun_xpmem_segment_put(segment);
	return true;
}

static struct xp_segment *find(const struct mmun_xpmem *x, unsigned long id)
{
	for (struct xp_segment *segment = x->segments; segment; segment = segment->next) {
		if (segment->id == id && segment->exporter)
			return segment;
	}
	return NULL;
}

int mmun_xpmem_remove(struct mmun_xpmem *x, unsigned long id)
{
	struct xp_segment *segment;
	int ret = -ENOENT;

	pthread_mutex_lock(&x->lock);
	segment = find(x, id);
	if (segment && mmun_xpmem_segment_end(segment)) {
		xp_count(x, segments_removed);
		ret = 0;
	}
	pthread_mutex_unlock(&x->lock);
	return ret;
}

int mmun_xpmem_open(struct mmun_xpmem *x, unsigned long id, struct file **out)
{
	struct xp_segment *segment;
	int ret;

	pthread_mutex_lock(&x->lock);
	segment = find(x, id);
	if (segment)
		segment->refcount++;
	pthread_mutex_unlock(&x->lock);
	if (!segment)
		return -ENOENT;
	ret = mmun_soft_device_create(x->soft, "/dev/xpmem", &mmun_xpmem_fops, segment, out);
	if (!ret)
		return 0;
	pthread_mutex_lock(&x->lock);
	mmun_xpmem_segment_put(segment);
	pthread_mutex_unlock(&x->lock);
	return ret;
}
