/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory slots: which guest frames are which addresses of the program; and the
 * log of pages that the guest wrote.
 *
 * I1  Slots do not overlap in guest frames.  Two may show the same address.
 * I2  A change of a slot that moves or removes it drops its shadow entries and
 *     counts slots_generation up: a fault that began before begins again, and
 *     a cache looks its page up again.
 * I3  Changing slots while sections are open is fine: what sections are open is
 *     kept by address of the program, not per slot, so each end finds its start
 *     whatever the slots have become.
 * I4  A page of a logged slot is writable in the shadow tables only if its bit
 *     is set; taking the log makes them read-only again.
 *
 * Not here: what is in the shadow tables (shadow.c).
 * Tests: tests/contract/secondary/kvm.c.
 */
#include "vm.h"

#include <errno.h>
#include <string.h>

#include "alloc.h"

#define BITS_PER_LONG (8 * sizeof(long))

static size_t bitmap_words(unsigned long pages)
{
	return (pages + BITS_PER_LONG - 1) / BITS_PER_LONG;
}

static bool contains(const struct kvm_slot *slot, unsigned long gfn)
{
	return gfn >= slot->base_gfn && gfn - slot->base_gfn < slot->npages;
}

struct kvm_slot *mmun_kvm_slot_of(struct mmun_kvm *kvm, unsigned long gfn)
{
	for (unsigned int i = 0; i < MMUN_KVM_SLOTS; i++) {
		if (contains(&kvm->slots[i], gfn))
			return &kvm->slots[i];
	}
	return NULL;
}

bool mmun_kvm_slot_frames(const struct kvm_slot *slot, unsigned long start, unsigned long end,
			  unsigned long *first, unsigned long *last)
{
	unsigned long slot_end = slot->address + (slot->npages << MMUN_SOFT_PAGE_SHIFT);

	if (start < slot->address)
		start = slot->address;
	if (end > slot_end)
		end = slot_end;
	if (start >= end)
		return false;
	*first = slot->base_gfn + ((start - slot->address) >> MMUN_SOFT_PAGE_SHIFT);
	*last = slot->base_gfn +
		((end - slot->address + MMUN_SOFT_PAGE_SIZE - 1) >> MMUN_SOFT_PAGE_SHIFT);
	return true;
}

void mmun_kvm_slot_mark_dirty(struct mmun_kvm *kvm, struct kvm_slot *slot, unsigned long gfn)
{
	unsigned long page = gfn - slot->base_gfn;
	unsigned long bit = 1ul << page % BITS_PER_LONG;

	if (!slot->dirty || slot->dirty[page / BITS_PER_LONG] & bit)
		return;
	slot->dirty[page / BITS_PER_LONG] |= bit;
	kvm_count(kvm, dirty_logged);
}

static bool aligned(const struct mmun_kvm_region *region)
{
	return !((region->guest_address | region->size | region->address) & ~MMUN_SOFT_PAGE_MASK);
}

static int check_region(const struct mmun_kvm_region *region)
{
	if (region->slot >= MMUN_KVM_SLOTS || !aligned(region))
		return -EINVAL;
	if (region->flags & ~(MMUN_KVM_LOG_DIRTY | MMUN_KVM_READONLY))
		return -EINVAL;
	if (region->size > MMUN_KVM_GUEST_SIZE ||
	    region->guest_address > MMUN_KVM_GUEST_SIZE - region->size)
		return -EINVAL;
	if (region->size > MMUN_SOFT_TASK_SIZE ||
	    region->address > MMUN_SOFT_TASK_SIZE - region->size)
		return -EINVAL;
	return 0;
}

static bool overlaps_another(const struct mmun_kvm *kvm, unsigned int index,
			     const struct kvm_slot *new)
{
	for (unsigned int i = 0; i < MMUN_KVM_SLOTS; i++) {
		const struct kvm_slot *slot = &kvm->slots[i];

		if (i != index && new->base_gfn < slot->base_gfn + slot->npages &&
		    slot->base_gfn < new->base_gfn + new->npages)
			return true;
	}
	return false;
}

static bool same_place(const struct kvm_slot *a, const struct kvm_slot *b)
{
	return a->base_gfn == b->base_gfn && a->npages == b->npages && a->address == b->address;
}

/* @new takes the place of @slot and gets the old one's log to free. */
static void replace_slot(struct mmun_kvm *kvm, struct kvm_slot *slot, struct kvm_slot *new)
{
	unsigned long *old_log = slot->dirty;

	/* Also when only the flags change: entries may be writable that must not be. */
	mmun_kvm_zap_frames(kvm, slot->base_gfn, slot->base_gfn + slot->npages);
	if (same_place(slot, new) && old_log && new->dirty)
		memcpy(new->dirty, old_log, bitmap_words(new->npages) * sizeof(long));
	*slot = *new;
	new->dirty = old_log;
	kvm->slots_generation++;
}

int mmun_kvm_set_region(struct mmun_kvm *kvm, const struct mmun_kvm_region *region)
{
	struct kvm_slot new = {
		.base_gfn = kvm_gfn(region->guest_address),
		.npages = region->size >> MMUN_SOFT_PAGE_SHIFT,
		.address = region->address,
		.flags = region->flags,
	};
	int ret = check_region(region);

	if (ret)
		return ret;
	if (new.npages &&new.flags & MMUN_KVM_LOG_DIRTY) {
		new.dirty = mmun_alloc(bitmap_words(new.npages) * sizeof(long));
		if (!new.dirty)
			return -ENOMEM;
	}
	pthread_mutex_lock(&kvm->mmu_lock);
	if (new.npages && overlaps_another(kvm, region->slot, &new))
		ret = -EEXIST;
	else
		replace_slot(kvm, &kvm->slots[region->slot], &new);
	pthread_mutex_unlock(&kvm->mmu_lock);
	mmun_free(new.dirty);
	return ret;
}

static void protect_spte(struct mmun_kvm *kvm, unsigned long gfn, struct kvm_spte *spte, void *arg)
{
	spte->writable = false;
}

int mmun_kvm_get_dirty_log(struct mmun_kvm *kvm, unsigned int index, unsigned long *bitmap,
			   size_t words)
{
	struct kvm_slot *slot;
	int ret = 0;

	if (index >= MMUN_KVM_SLOTS)
		return -ENOENT;
	slot = &kvm->slots[index];
	pthread_mutex_lock(&kvm->mmu_lock);
	if (!slot->dirty) {
		ret = -ENOENT;
	} else if (words < bitmap_words(slot->npages)) {
		ret = -EINVAL;
	} else {
		memcpy(bitmap, slot->dirty, bitmap_words(slot->npages) * sizeof(long));
		memset(slot->dirty, 0, bitmap_words(slot->npages) * sizeof(long));
		mmun_kvm_for_each_spte(kvm, slot->base_gfn, slot->base_gfn + slot->npages,
				       protect_spte, NULL);
	}
	pthread_mutex_unlock(&kvm->mmu_lock);
	return ret;
}
